"""Pictures per second of torchvision's loader, as JSON lines; the other side is the loader of Hearth.

    python benches/peers/loader.py FOLDER [--transform train|finetune|evaluate] [--workers 2] [--batch 16] [--windows 5]

Pillow decodes and resizes, torchvision crops, mirrors and normalises, a `DataLoader` with worker processes
makes the batches: the input of open_clip's training. `finetune` is timm's `create_transform` with the values of
TAO's MAE; it needs Pillow before 13, which refuses to posterize to no bits. A window is 16 batches; the first one
fills the queues and is not counted.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
from PIL import Image
from timm.data import create_transform
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
BICUBIC = transforms.InterpolationMode.BICUBIC
WINDOW = 16


def transform(name: str):
    """The pictures of CLIP's training, of MAE's fine-tuning and of CLIP's evaluation."""
    if name == "finetune":
        return create_transform(
            224, is_training=True, scale=(0.1, 2.0), ratio=(0.75, 1.33), hflip=0.5, interpolation="bilinear",
            auto_augment="rand-m9-mstd0.5-inc1", color_jitter=0.0, re_prob=0.0,
        )  # fmt: skip
    last = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    if name == "train":
        crop = transforms.RandomResizedCrop(224, scale=(0.4, 1.0), interpolation=BICUBIC)
        return transforms.Compose([crop, transforms.RandomHorizontalFlip(), *last])
    resize = transforms.Resize(224, interpolation=BICUBIC)
    return transforms.Compose([resize, transforms.CenterCrop(224), *last])


class Pictures(Dataset):
    """The files of a folder, over and over."""

    def __init__(self, folder: Path, name: str, samples: int):
        self.paths = sorted(folder.glob("*.jpg"))
        self.samples, self.transform = samples, transform(name)

    def __len__(self):
        return self.samples

    def __getitem__(self, index):
        return self.transform(Image.open(self.paths[index % len(self.paths)]).convert("RGB"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--transform", choices=["train", "finetune", "evaluate"], default="train")
    for name, default in [("workers", 2), ("batch", 16), ("windows", 5)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(1)
    pictures = Pictures(options.folder, options.transform, (options.windows + 1) * WINDOW * options.batch)
    batches = iter(DataLoader(pictures, options.batch, shuffle=True, num_workers=options.workers))
    seconds = []
    for window in range(options.windows + 1):
        start = time.perf_counter()
        for _ in range(WINDOW):
            next(batches)
        if window > 0:
            seconds.append((time.perf_counter() - start) / WINDOW)
    print(json.dumps({
        "case": f"loader_{options.transform}",
        "median_ms": round(1e3 * statistics.median(seconds), 3),
        "min_ms": round(1e3 * min(seconds), 3),
        "items_per_s": round(options.batch / min(seconds)),
    }))


if __name__ == "__main__":
    main()
