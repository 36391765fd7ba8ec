"""Fixture of zero-shot classification, in tests/golden/zero_shot: open_clip's class weights, logits,
top-1, top-5 and what was taken for what, for the random weights of clip_models/openclip_openai and
generated pictures.

    python tests/golden/zero_shot.py

Made with torch 2.15.0, open_clip_torch 3.3.0, Pillow 12.3.0, numpy 2.4.6. What the files hold and every
convention stands in tests/golden/zero_shot/README.md.
"""

import json
import shutil
from pathlib import Path

import numpy
import open_clip
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torchvision.datasets import ImageFolder

HERE = Path(__file__).parent
FOLDER = HERE / "zero_shot"
SOURCE = HERE / "clip_models"

CLASSES = ["boat", "cat", "car", "church", "hot_air_balloon", "red_fox", "tree", "zebra"]
TEMPLATES = [template("{}") for template in open_clip.SIMPLE_IMAGENET_TEMPLATES]
PICTURES, SEED = 40, 12
SIDE, CONTEXT = 32, 16
# What the true class of a picture is: the place that it has among the model's answers.
PLACES = [0, 0, 0, 0, 1, 2, 4, 5, 7]


def tokenize(texts):
    """Ids without a vocabulary: 126, one number for each word, 127, zeros."""
    rows = []
    for text in texts:
        words = [sum((i + 1) * b for i, b in enumerate(word.encode())) % 125 + 1 for word in text.split()]
        row = [126] + words[: CONTEXT - 2] + [127]
        rows.append(row + [0] * (CONTEXT - len(row)))
    return torch.tensor(rows)


def picture(random):
    """Flat blocks of 4 x 4 pixels, few colours: varied for the model, small as a file."""
    colours = random.integers(0, 256, (3, 3), dtype=numpy.uint8)
    blocks = colours[random.integers(0, 3, (SIDE // 4, SIDE // 4))]
    return Image.fromarray(blocks.repeat(4, axis=0).repeat(4, axis=1))


def model():
    config = json.loads((SOURCE / "openclip_openai.json").read_text())["config"]
    model = open_clip.model.CLIP(**config)
    model.load_state_dict(load_file(SOURCE / "openclip_openai.weights.safetensors"))
    return model.eval()


def draw(model, transform, classifier):
    """Pictures in folders of the classes that the places of their answers give."""
    random = numpy.random.default_rng(SEED)
    pictures = [picture(random) for _ in range(PICTURES)]
    with torch.no_grad():
        features = model.encode_image(torch.stack([transform(p) for p in pictures]), normalize=True)
    answers = (features @ classifier).argsort(dim=1, descending=True)
    for i, image in enumerate(pictures):
        folder = FOLDER / "pictures" / sorted(CLASSES)[answers[i, PLACES[random.integers(len(PLACES))]]]
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{i:02}.png", optimize=True)


def main():
    torch.manual_seed(0)
    clip = model()
    transform = open_clip.image_transform(SIDE, is_train=False)
    names = [name.replace("_", " ") for name in sorted(CLASSES)]
    classifier = open_clip.build_zero_shot_classifier(
        clip, tokenizer=tokenize, classnames=names, templates=open_clip.SIMPLE_IMAGENET_TEMPLATES
    )
    shutil.rmtree(FOLDER / "pictures", ignore_errors=True)
    draw(clip, transform, classifier)

    data = ImageFolder(FOLDER / "pictures", transform=transform)
    assert data.classes == sorted(CLASSES), data.classes
    loader = torch.utils.data.DataLoader(data, batch_size=len(data))
    images, targets = next(iter(loader))
    with torch.no_grad():
        logits = 100.0 * clip.encode_image(images, normalize=True) @ classifier
    # Neither the first answer nor the place of the true class may hang on rounding.
    first = logits.topk(2, dim=1).values
    others = (logits - logits.gather(1, targets[:, None])).scatter(1, targets[:, None], 1.0)
    gap = min((first[:, 0] - first[:, 1]).min().item(), others.abs().min().item())
    assert gap > 1e-2, gap
    # As open_clip_train.zero_shot.accuracy, which this numpy does not run.
    right = logits.topk(5, dim=1).indices == targets[:, None]
    top1, top5 = right[:, :1].sum().item(), right.sum().item()

    count = len(CLASSES)
    confusion = torch.zeros(count, count, dtype=torch.int64)
    for truth, found in zip(targets, logits.argmax(dim=1)):
        confusion[truth, found] += 1
    recall = confusion.diagonal() / confusion.sum(dim=1)
    numbers = {
        "templates": TEMPLATES,
        "names": names,
        "top1": top1,
        "top5": top5,
        "mean_per_class": recall.mean(dtype=torch.float64).item(),
        "confusion": confusion.tolist(),
    }
    (FOLDER / "expected.json").write_text(json.dumps(numbers, indent=1) + "\n")
    save_file(
        {"class_weights": classifier.T.contiguous(), "logits": logits.contiguous()},
        FOLDER / "expected.safetensors",
    )
    print(f"{len(data)} pictures, top-1 {top1}, top-5 {top5}, smallest gap {gap:.4f}")


if __name__ == "__main__":
    main()
