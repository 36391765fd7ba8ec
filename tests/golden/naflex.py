"""Fixture of SigLIP2 NaFlex preprocessing, tests/golden/naflex.json: grids of many picture sizes, and
the patches of two small pictures, by `Siglip2ImageProcessor` of transformers.

    python tests/golden/naflex.py

`grids` holds [width, height, patch, budget, rows, columns]. A picture of width W and height H has the
bytes (7 x + 13 y + 50 c + x y) mod 256; `patches` are its 8-bit values behind the resize, patch by
patch, row by row, the channels of a pixel together.
Made with transformers 5.23.0, Pillow 12.3.0.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image
import transformers
from transformers.models.siglip2.image_processing_siglip2 import get_image_size_for_max_num_patches

SIZES = [(w, h) for w in (1, 7, 16, 100, 224, 333, 640, 5000) for h in (1, 16, 99, 480, 1000)]


def main():
    grids = []
    for patch, budget in [(16, 256), (16, 576), (14, 100), (16, 1)]:
        for width, height in SIZES:
            rows, columns = get_image_size_for_max_num_patches(height, width, patch, budget)
            grids.append([width, height, patch, budget, rows // patch, columns // patch])
    pictures = []
    for width, height in [(30, 20), (9, 40)]:
        y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
        pixels = ((7 * x + 13 * y + 50 * c + x * y) % 256).astype(np.uint8)
        kind = getattr(transformers, "Siglip2ImageProcessorPil", transformers.Siglip2ImageProcessor)
        processor = kind(patch_size=8, max_num_patches=12)
        out = processor(images=[Image.fromarray(pixels)], return_tensors="np")
        rows, columns = out["spatial_shapes"][0].tolist()
        patches = out["pixel_values"][0][: rows * columns]
        values = np.rint((patches * 0.5 + 0.5) * 255).astype(int)
        assert np.abs(values / 255 - (patches * 0.5 + 0.5)).max() < 1e-5
        pictures.append(dict(width=width, height=height, grid=[rows, columns], patches=values.ravel().tolist()))
    path = Path(__file__).parent / "naflex.json"
    path.write_text(json.dumps(dict(grids=grids, pictures=pictures), separators=(",", ":")) + "\n")
    print(path.stat().st_size, "bytes")


main()
