"""Times and memory of one case, and the line that says them: shared by all peers.

A line is `{"case": .., "median_ms": .., "min_ms": .., "peak_bytes": ..}`; cases may add entries of their own.
`peak_bytes` is by how much the process has grown at most since `Memory()`: VmHWM of /proc/self/status.
"""

import json
import statistics
import time
from pathlib import Path


class Memory:
    """How far the process grows from here on."""

    def __init__(self):
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            pass  # the peak so far stays, and growth below it is not seen
        self.start = self._read("VmRSS")

    def growth(self) -> int:
        return max(0, self._read("VmHWM") - self.start)

    @staticmethod
    def _read(name: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def times(run, seconds: float, at_least: int) -> list[float]:
    """Milliseconds of each call, for so long and so many; two calls before are not counted."""
    run(), run()
    found, end = [], time.perf_counter() + seconds
    while len(found) < at_least or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        found.append(1e3 * (time.perf_counter() - start))
    return found


def line(case: str, milliseconds: list[float], memory: Memory | None = None, **more) -> str:
    """One case as JSON."""
    found = {"case": case, "median_ms": statistics.median(milliseconds), "min_ms": min(milliseconds)}
    if memory is not None:
        found["peak_bytes"] = memory.growth()
    return json.dumps(found | more)
