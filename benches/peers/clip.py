"""CLIP ViT-B/16 of open_clip on the CPU, as JSON lines; the other side is `trainer clip benchmark`.

    python benches/peers/clip.py make FOLDER
    python benches/peers/clip.py run FOLDER [--case training_step|forward|vision] [--threads 2] [--steps 5]

`make` writes what both sides read: `weights.safetensors` (open_clip's names, seeded), 16 pictures of 224x224 as PNG
with their captions, and the vocabulary. `run` measures one case, for a process has one peak of
its memory: `training_step` (16 pairs: both towers, loss, backward, AdamW), `forward` (16 pairs, no gradients)
and `vision` (8 pictures). The first step's loss stands beside its time.
"""

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np
import open_clip
import torch
from open_clip.loss import ClipLoss
from PIL import Image
from safetensors.torch import load_file, save_file

import measure
import pictures

MODEL = "ViT-B-16"
PAIRS, VISION_PICTURES = 16, 8
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
# Those of benches/peers/clip.yaml.
OPTIMIZER = {"lr": 1e-5, "betas": (0.9, 0.95), "eps": 1e-6, "weight_decay": 1e-4}


def make(folder: Path):
    data = folder / "pairs"
    data.mkdir(parents=True, exist_ok=True)
    words = "red green blue small large old new bright dark wet dry round".split()
    for number in range(PAIRS):
        pictures.picture(number).resize((224, 224), Image.BICUBIC).save(data / f"{number:02}.png")
        first, second = words[number % len(words)], words[(5 * number + 3) % len(words)]
        (data / f"{number:02}.txt").write_text(f"a {first} {second} picture, number {number}\n")
    torch.manual_seed(7)
    model = open_clip.create_model(MODEL, precision="fp32")
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "weights.safetensors", {"format": "pt"})
    vocabulary = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    shutil.copy(vocabulary, folder / vocabulary.name)


def inputs(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels [16, 3, 224, 224] and ids [16, 77]."""
    paths = sorted((folder / "pairs").glob("*.png"))
    values = np.stack([np.asarray(Image.open(path)) for path in paths]).astype(np.float32) / 255
    values = (values - np.float32(MEAN)) / np.float32(STD)
    captions = [path.with_suffix(".txt").read_text().strip() for path in paths]
    return torch.from_numpy(values).permute(0, 3, 1, 2).contiguous(), open_clip.get_tokenizer(MODEL)(captions)


def load(folder: Path) -> torch.nn.Module:
    model = open_clip.create_model(MODEL, precision="fp32")
    model.load_state_dict(load_file(folder / "weights.safetensors"))
    return model


def optimizer(model: torch.nn.Module) -> torch.optim.Optimizer:
    """No decay for vectors, scalars and tables of positions, as Hearth has it."""
    def is_plain(name, p):
        return p.ndim < 2 or "positional_embedding" in name
    parameters = list(model.named_parameters())
    groups = [
        {"params": [p for name, p in parameters if is_plain(name, p)], "weight_decay": 0.0},
        {"params": [p for name, p in parameters if not is_plain(name, p)]},
    ]
    return torch.optim.AdamW(groups, **OPTIMIZER, foreach=True)


def training_step(folder: Path, steps: int) -> str:
    pixels, ids = inputs(folder)
    memory = measure.Memory()
    model = load(folder).train()
    step, loss, losses = optimizer(model), ClipLoss(), []

    def run():
        step.zero_grad(set_to_none=True)
        value = loss(*model(pixels, ids))
        value.backward()
        step.step()
        losses.append(value.item())

    milliseconds = measure.times(run, 0, steps)
    return measure.line("training_step", milliseconds, memory, first_loss=losses[0])


def forward(folder: Path, steps: int, only_vision: bool) -> str:
    pixels, ids = inputs(folder)
    memory = measure.Memory()
    model = load(folder).eval()
    if only_vision:
        model, arguments = model.visual, [pixels[:VISION_PICTURES]]
    else:
        arguments = [pixels, ids]

    def milliseconds(form):
        model.to(memory_format=form)
        with torch.inference_mode():
            return measure.times(lambda: model(*arguments), 0, steps)

    # The patches are the only convolution; whichever layout suits the machine.
    both = [milliseconds(form) for form in (torch.contiguous_format, torch.channels_last)]
    return measure.line("vision" if only_vision else "forward", min(both, key=min), memory)


CASES = {
    "training_step": training_step,
    "forward": lambda folder, steps: forward(folder, steps, False),
    "vision": lambda folder, steps: forward(folder, steps, True),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=["make", "run"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--case", choices=list(CASES), default="training_step")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.action == "make":
        return make(options.folder)
    print(CASES[options.case](options.folder, options.steps))


if __name__ == "__main__":
    sys.exit(main())
