"""Makes tests/golden/drafts/: JPEGs of several MCUs, and the pixels of Pillow's `Image.draft` of them.

    python tests/golden/drafts.py

With the packages of requirements.txt; `cargo xtask goldens drafts` installs them. The pictures are generated;
their sizes are multiples of 8. `manifest.json` names for each file the SHA-256 of its RGB pixels after
`draft("RGB", ..)` to a half, a quarter and an eighth.
"""

import hashlib
import importlib.metadata
import io
import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

OUT = Path(__file__).parent / "drafts"
WIDTH, HEIGHT = 104, 72


def scene(seed):
    """Smooth colour, hard edges and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    pixels = np.stack([np.sin(x / (9 + c) + c) * np.cos(y / (7 + c) - seed) for c in range(3)], axis=-1) * 90 + 128
    pixels[HEIGHT // 3 : HEIGHT // 2, WIDTH // 4 : WIDTH // 2] = rng.integers(0, 256, 3)
    return Image.fromarray((pixels + rng.normal(0, 9, pixels.shape)).clip(0, 255).astype(np.uint8))


FILES = {
    "420.jpg": (scene(1), {"subsampling": "4:2:0"}),
    "422.jpg": (scene(2), {"subsampling": "4:2:2"}),
    "444.jpg": (scene(3), {"subsampling": "4:4:4"}),
    "grey.jpg": (scene(4).convert("L"), {}),
    "progressive.jpg": (scene(5), {"subsampling": "4:2:0", "progressive": True}),
    "restart.jpg": (scene(6), {"subsampling": "4:2:0", "restart_marker_blocks": 3}),
}


def draft(data, by):
    image = Image.open(io.BytesIO(data))
    image.draft("RGB" if image.mode == "RGB" else "L", (WIDTH // by, HEIGHT // by))
    assert image.size == (WIDTH // by, HEIGHT // by)
    return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    manifest = {"pillow": importlib.metadata.version("pillow"), "files": {}}
    for name, (image, options) in FILES.items():
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=85, **options)
        (OUT / name).write_bytes(buffer.getvalue())
        manifest["files"][name] = {str(by): draft(buffer.getvalue(), by) for by in (2, 4, 8)}
    (OUT / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


if __name__ == "__main__":
    main()
