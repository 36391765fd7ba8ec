"""Compares zero-shot classification of `trainer clip evaluate` with open_clip at full size.

    python tests/parity/zero_shot.py TRAINER SHARED_DATA WORK [--loud]

open_clip's ViT-B-32 with random weights of a fixed seed classifies the 400 validation photographs of
tiny_imagenet_20, with open_clip's seven templates and with OpenAI's eighty; the same file of weights goes
through ours, from the same class folders. Fails unless top-1, top-5 and the confusion matrix are equal and
every picture's logits have a cosine of at least 0.99999 with open_clip's. With --loud the matrices are
larger than open_clip draws them, so that pictures and classes are told apart better. Needs torch,
torchvision, open_clip_torch. Not part of the tests: weights and photographs are too large.
"""

import csv
import json
import shutil
import subprocess
import sys
import tarfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import open_clip
import torch
from safetensors.torch import save_file
from torchvision.datasets import ImageFolder

SEED = 20
LOUD = "--loud" in sys.argv
TEMPLATES = {"simple": open_clip.SIMPLE_IMAGENET_TEMPLATES, "openai": open_clip.OPENAI_IMAGENET_TEMPLATES}


def build(work):
    """A model, and its weights in open_clip's layout."""
    torch.manual_seed(SEED)
    model = open_clip.create_model("ViT-B-32", pretrained=None).eval()
    if LOUD:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.ndim >= 2 and name != "positional_embedding":
                    parameter.copy_(torch.randn(parameter.shape) * 0.7 / parameter[0].numel() ** 0.5)
    path = work / "vit-b-32.safetensors"
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path)
    return model, path


def reference(model, pictures, names, templates):
    """Logits [N, C] and true classes [N]."""
    transform = open_clip.image_transform(224, is_train=False)
    data = ImageFolder(pictures, transform=transform)
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    classnames = [names[folder] for folder in data.classes]
    logits, targets = [], []
    with torch.no_grad():
        classifier = open_clip.build_zero_shot_classifier(model, tokenizer, classnames, templates)
        for images, target in torch.utils.data.DataLoader(data, batch_size=50):
            features = model.encode_image(images, normalize=True)
            logits.append(model.logit_scale.exp() * features @ classifier)
            targets.append(target)
    return torch.cat(logits), torch.cat(targets)


def ours(trainer, shared, work, weights, pictures, templates):
    """Results, logits [N, C] and confusion [C, C], from the files that are written."""
    results = work / f"results-{templates}"
    shutil.rmtree(results, ignore_errors=True)
    spec = work / f"{templates}.yaml"
    spec.write_text(f"""\
model: {{type: ViT-B-32}}
results_dir: {results}
evaluate: {{checkpoint: {weights}}}
hearth:
  model: {{tokenizer: {shared / "tokenizers/clip"}}}
  evaluate:
    zero_shot:
      image_dir: {pictures}
      class_names: {shared / "tiny_imagenet_20/class_names.tsv"}
      templates: [{templates}]
      scores: true
""")
    subprocess.run([trainer, "clip", "evaluate", "-e", spec, "--quiet"], check=True)
    folder = results / "evaluate"
    ElementTree.parse(folder / "zero_shot_confusion.svg")
    rows = list(csv.reader((folder / "zero_shot_scores.csv").open()))[1:]
    logits = torch.tensor([[float(score) for score in row[2:]] for row in rows])
    rows = list(csv.reader((folder / "zero_shot_confusion.csv").open()))[1:]
    confusion = torch.tensor([[int(count) for count in row[1:]] for row in rows])
    return json.loads((folder / "results.json").read_text()), logits, confusion


def main(trainer, shared, work):
    work.mkdir(parents=True, exist_ok=True)
    source = shared / "tiny_imagenet_20"
    with tarfile.open(source / "tiny_imagenet_20.tar") as file:
        file.extractall(work / "pictures", filter="data")
    pictures = work / "pictures/val"
    names = dict(line.split("\t") for line in (source / "class_names.tsv").read_text().splitlines())
    model, weights = build(work)

    failed = False
    for word, templates in TEMPLATES.items():
        start = time.time()
        logits, targets = reference(model, pictures, names, templates)
        middle = time.time()
        results, found, confusion = ours(trainer, shared, work, weights, pictures, word)
        end = time.time()

        right = logits.topk(5, dim=1).indices == targets[:, None]
        top1, top5 = right[:, 0].double().mean().item(), right.any(dim=1).double().mean().item()
        expected = torch.zeros(len(names), len(names), dtype=torch.int64)
        for truth, answer in zip(targets, logits.argmax(dim=1)):
            expected[truth, answer] += 1
        cosine = torch.nn.functional.cosine_similarity(found, logits).min().item()
        error = (found - logits).abs().max().item()
        spread = logits.std(dim=0).mean().item()
        same = (
            abs(results["zero_shot_top1"] - top1) < 1e-9
            and abs(results["zero_shot_top5"] - top5) < 1e-9
            and torch.equal(confusion, expected)
        )
        print(
            f"{word:6} {len(targets)} pictures: top-1 {results['zero_shot_top1']:.4f} (open_clip {top1:.4f}), "
            f"top-5 {results['zero_shot_top5']:.4f} ({top5:.4f}), confusion {'equal' if same else 'DIFFERENT'}; "
            f"logits: smallest cosine {cosine:.7f}, largest difference {error:.2e} (spread {spread:.2e}); "
            f"ours {end - middle:.1f} s, open_clip {middle - start:.1f} s"
        )
        failed |= not same or cosine < 0.99999
    sys.exit(failed)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
