"""Checks ONNX files with the Python packages `onnx` and `onnxruntime`, which share nothing with Hearth.

    python tests/parity/onnx_check.py MODEL.onnx...

For each file: the full check of `onnx.checker` (shapes inferred, strict), then a run at batches 1, 2 and 7
(or the one that is fixed), each row of which must be the row of a run with that sample alone. Prints a line
for each file and ends with 1 if one of them fails.
"""

import sys
import time

import numpy as np
import onnx
import onnxruntime as ort

BATCHES = (1, 2, 7)
TOLERANCE = 1e-4


def given(inputs, batch, seed):
    """Values for every input, as far as their types say what may be given."""
    random = np.random.default_rng(seed)
    values = {}
    for tensor in inputs:
        shape = [batch] + tensor.shape[1:]
        if tensor.type == "tensor(int64)":
            ids = random.integers(1, 100, shape, dtype=np.int64)
            values[tensor.name] = np.ones_like(ids) if "mask" in tensor.name else ids
        else:
            values[tensor.name] = random.standard_normal(shape, dtype=np.float32)
    return values


def check(path):
    onnx.checker.check_model(path, full_check=True)
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs, names = session.get_inputs(), [output.name for output in session.get_outputs()]
    fixed = inputs[0].shape[0]
    worst = 0.0
    for batch in (fixed,) if isinstance(fixed, int) else BATCHES:
        values = given(inputs, batch, batch)
        together = session.run(names, values)
        for name, rows in zip(names, together):
            if not np.isfinite(rows).all():
                return f"{name} is not finite at batch {batch}"
            if name.endswith("_embedding") and rows.shape[0] != batch:
                return f"{name} has {rows.shape[0]} rows at batch {batch}"
        if isinstance(fixed, int):
            continue
        for index in range(batch):
            alone = session.run(names, {name: value[index : index + 1] for name, value in values.items()})
            for name, rows, row in zip(names, together, alone):
                expected = rows[index] if rows.ndim else rows
                worst = max(worst, float(np.abs(expected - row.reshape(expected.shape)).max()))
    if worst > TOLERANCE:
        return f"a row depends on the rows beside it: {worst:.1e}"
    return None


def main():
    failed = False
    for path in sys.argv[1:]:
        start = time.perf_counter()
        try:
            problem = check(path)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the file's
            problem = f"{type(error).__name__}: {error}"
        print(f"{path}: {problem or 'good'} ({time.perf_counter() - start:.1f} s)")
        failed |= problem is not None
    sys.exit(failed)


if __name__ == "__main__":
    main()
