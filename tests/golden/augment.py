"""Makes tests/golden/augment.json: what timm and Pillow make of small pictures and batches, for given draws.

    python tests/golden/augment.py

With the packages of requirements.txt; `cargo xtask goldens augment` installs them. Sources are pictures of
tests/golden/data, and parts of one of them with very few pixels. Of a result the CRC-32 of its RGB bytes is kept.

`ops`: [source, op, argument, filter, crc]. `levels`: [op of timm, level, argument for a positive and a negative
sign]. `policies`: [string, magnitude, layers, probability, noise (-1 is any), bound, increasing]. `training`: crop,
flip and changes in a row. `batches`: shares and boxes of timm's Mixup and what becomes of pictures and labels.
"""

import importlib.metadata
import json
import random
import zlib
from pathlib import Path

import numpy as np
import torch
import torchvision.transforms.functional as F
from PIL import Image
from timm.data import auto_augment, mixup
from torchvision.transforms import InterpolationMode

HERE = Path(__file__).parent
FILL = (124, 116, 104)
FILTERS = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}
MODES = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}


def sources():
    folder = HERE / "data/pictures/source"
    pictures = {name: Image.open(folder / f"{name}.png").convert("RGB") for name in ("landscape", "portrait", "strip", "tiny")}
    for width, height in [(1, 1), (2, 2), (3, 3), (1, 9), (9, 1), (2, 7)]:
        pictures[f"{width}x{height}"] = pictures["landscape"].crop((20, 11, 20 + width, 11 + height))
    pictures["flat"] = Image.new("RGB", (7, 6), (90, 0, 255))
    return pictures


def crc(image):
    assert image.mode == "RGB"
    return zlib.crc32(image.tobytes())


# Our name -> timm's function and the range of its argument; none where it has no argument.
OPS = {
    "AutoContrast": (auto_augment.auto_contrast, None),
    "Equalize": (auto_augment.equalize, None),
    "Invert": (auto_augment.invert, None),
    "Rotate": (auto_augment.rotate, (-30, 30)),
    "Posterize": (auto_augment.posterize, (1, 8)),
    "Solarize": (auto_augment.solarize, (0, 256)),
    "SolarizeAdd": (auto_augment.solarize_add, (0, 128)),
    "Color": (auto_augment.color, (0.1, 1.9)),
    "Contrast": (auto_augment.contrast, (0.1, 1.9)),
    "Brightness": (auto_augment.brightness, (0.1, 1.9)),
    "Sharpness": (auto_augment.sharpness, (0.1, 1.9)),
    "ShearX": (auto_augment.shear_x, (-0.3, 0.3)),
    "ShearY": (auto_augment.shear_y, (-0.3, 0.3)),
    "TranslateX": (auto_augment.translate_x_rel, (-0.45, 0.45)),
    "TranslateY": (auto_augment.translate_y_rel, (-0.45, 0.45)),
}
MOVING = ("Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY")
# Beyond what the draws reach: whole turns, nothing left, no change.
EDGES = {
    "Rotate": [0, 45, 90, -90, 180, 270, 1e-9, -1e-9, 333.3],
    "Posterize": [-1, 0, 1, 4, 8, 9],
    "Solarize": [0, 1, 255, 256],
    "SolarizeAdd": [0, 128],
    "Color": [0.0, 1.0, 2.0],
    "Contrast": [0.0, 1.0, 2.0],
    "Brightness": [0.0, 1.0, 2.0],
    "Sharpness": [0.0, 1.0, 2.0],
    "ShearX": [0, 1.5],
    "ShearY": [0, -1.5],
    "TranslateX": [0, 0.25, 1.0, -2.0],
    "TranslateY": [0, 0.25, 1.0, -2.0],
}


def run(image, op, argument, filter):
    function, _ = OPS[op]
    arguments = [] if argument is None else [argument]
    return function(image, *arguments, resample=FILTERS[filter], fillcolor=FILL)


def ops(pictures, rng):
    cases = []
    for name, image in pictures.items():
        for op, (_, between) in OPS.items():
            if between is None:
                arguments = [None]
            elif isinstance(between[0], int) and op != "Rotate":
                arguments = [rng.randint(*between) for _ in range(2)] + EDGES[op]
            else:
                arguments = [round(rng.uniform(*between), 4) for _ in range(5)] + EDGES[op]
            for argument in arguments:
                for filter in FILTERS if op in MOVING else ["bilinear"]:
                    cases.append([name, op, argument, filter, crc(run(image, op, argument, filter))])
    return cases


def levels():
    cases = []
    for op, function in auto_augment.LEVEL_TO_ARG.items():
        if op in auto_augment._RAND_TRANSFORMS + auto_augment._RAND_INCREASING_TRANSFORMS and function:
            for level in [0.0, 0.4, 2.5, 3.7, 5.0, 8.999, 9.0, 9.4, 10.0]:
                arguments = []
                for sign in (1, -1):
                    auto_augment._randomly_negate = lambda value, sign=sign: sign * value
                    arguments.append(function(level, {})[0])
                cases.append([op, level, *arguments])
    return cases


POLICIES = [
    "rand", "rand-m9-mstd0.5-inc1", "rand-m9-mstd0.5", "rand-n3-m15-mmax30", "rand-m5-p0.7-n1", "rand-mstd101-m7",
    "rand-mstd100-m7", "rand-m0-n0", "rand-inc1-mmax0", "rand-inc0", "rand-m9-mstd0-inc1", "rand-p1-mstd1",
]  # fmt: skip


def policies():
    cases = []
    for text in POLICIES:
        policy = auto_augment.rand_augment_transform(text, {})
        op = policy.ops[0]
        noise = {float("inf"): -1}.get(op.magnitude_std, op.magnitude_std)
        increasing = any(op.name == "ColorIncreasing" for op in policy.ops)
        cases.append([text, op.magnitude, policy.num_layers, op.prob, noise, op.magnitude_max or 10, increasing])
    return cases


def training(pictures, rng):
    cases = []
    for number in range(40):
        name = rng.choice(["landscape", "portrait", "strip", "landscape", "portrait", "tiny", "9x1", "1x1"])
        image, filter = pictures[name], rng.choice(list(FILTERS))
        width, height = rng.randint(1, image.width), rng.randint(1, image.height)
        left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
        size, flip, changes = rng.choice([7, 16, 25]), rng.random() < 0.5, []
        result = F.resized_crop(image, top, left, height, width, [size, size], MODES[filter])
        if flip:
            result = F.hflip(result)
        for _ in range(number % 4):
            op = rng.choice(list(OPS))
            between = OPS[op][1]
            whole = op in ("Posterize", "Solarize", "SolarizeAdd")
            argument = between and (rng.randint(*between) if whole else round(rng.uniform(*between), 4))
            changes.append([op, argument])
            result = run(result, op, argument, filter)
        case = {"source": name, "crop": [left, top, width, height], "filter": filter, "flip": flip, "size": size}
        cases.append({**case, "changes": changes, "crc": crc(result)})
    return cases


def batches(rng):
    classes, smoothing, width, height = 5, 0.1, 4, 3
    cases = []
    for mode, batch in [("batch", 4), ("pair", 4), ("elem", 4), ("elem", 2)]:
        for cuts in (False, True) if mode == "batch" else (None,):
            pictures = np.array([rng.uniform(-2, 2) for _ in range(batch * 3 * height * width)], dtype=np.float32)
            labels = [rng.randrange(classes) for _ in range(batch)]
            count = {"batch": 1, "pair": batch // 2, "elem": batch}[mode]
            shares = [round(rng.uniform(0.05, 0.95), 3) for _ in range(count)]
            if count > 1:
                shares[0] = 1.0
            cut = [bool(rng.randrange(2)) if cuts is None else cuts for _ in range(count)]
            boxes = []
            for place in range(count):
                top, left = rng.randrange(height), rng.randrange(width)
                boxes.append([left, top, rng.randint(1, width - left), rng.randint(1, height - top)])

            mix = mixup.Mixup(mode=mode, label_smoothing=smoothing, num_classes=classes)
            mix._params_per_batch = lambda: (shares[0], cut[0])
            mix._params_per_elem = lambda size: (np.array(shares, dtype=np.float32), np.array(cut))
            # One box for each share that is cut, in this order.
            order = iter([place for place in range(count) if cut[place] and shares[place] != 1.0])

            def box(shape, share, **_):
                left, top, w, h = boxes[next(order)]
                return (top, top + h, left, left + w), 1.0 - w * h / float(width * height)

            mixup.cutmix_bbox_and_lam = box
            x = torch.from_numpy(pictures.reshape(batch, 3, height, width).copy())
            x, y = mix(x, torch.tensor(labels))
            cases.append({
                "mode": mode, "batch": batch, "width": width, "height": height, "classes": classes,
                "smoothing": smoothing, "labels": labels, "shares": shares, "cut": cut, "boxes": boxes,
                "pictures": pictures.tolist(), "mixed": x.flatten().tolist(), "targets": y.flatten().tolist(),
            })  # fmt: skip
    return cases


def main():
    # From 13 on, Pillow resizes the height first where it shrinks more than the width; see data.py.
    assert int(importlib.metadata.version("pillow").split(".")[0]) < 13, "needs Pillow before 13"
    rng = random.Random(6)
    pictures = sources()
    packages = ("pillow", "timm", "torch", "torchvision")
    parts = {
        "ops": ops(pictures, rng),
        "levels": levels(),
        "policies": policies(),
        "training": training(pictures, rng),
        "batches": batches(rng),
    }
    lines = ['"versions": ' + json.dumps({name: importlib.metadata.version(name) for name in packages})]
    for name, cases in parts.items():
        lines.append(f'"{name}": [\n' + ",\n".join("  " + json.dumps(case) for case in cases) + "\n]")
    (HERE / "augment.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
