"""Makes the photographs' stand-ins of the loader benchmark: seeded gradients, blobs and noise as JPEG.

    python benches/peers/pictures.py FOLDER [COUNT]

640x480, 4:2:0, quality 90: 60 to 100 KB, as telephones and data sets of photographs have them. Nothing is
made where the folder holds enough pictures already.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 640, 480


def picture(number: int) -> Image.Image:
    """Smooth colours, structure at every scale with falling contrast, and some noise of the sensor."""
    random = np.random.default_rng(number)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / WIDTH
    slope = random.uniform(-120, 120, (2, 3))
    pixels = 128 + x[..., None] * slope[0] + y[..., None] * slope[1]
    for octave in range(2, 8):
        cells = random.normal(0, 160 / 1.7**octave, (3 * 2**octave // 4, 2**octave, 3))
        planes = [Image.fromarray(cells[..., c].astype(np.float32)) for c in range(3)]
        planes = [plane.resize((WIDTH, HEIGHT), Image.BICUBIC) for plane in planes]
        pixels += np.stack([np.asarray(plane) for plane in planes], axis=-1)
    pixels += random.normal(0, random.uniform(2, 5), (HEIGHT, WIDTH, 1))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def make(folder: Path, count: int) -> list[Path]:
    """The paths of the pictures, made where they are not there."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:04}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        if not path.exists():
            picture(number).save(path, quality=90, subsampling="4:2:0")
    return paths


if __name__ == "__main__":
    made = make(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 128)
    print(f"{len(made)} pictures of {sum(path.stat().st_size for path in made) // len(made)} bytes")
