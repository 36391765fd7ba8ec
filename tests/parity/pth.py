"""Gives checkpoints of `hearth.train.checkpoint_format: pth` to the libraries, and theirs to us.

    python tests/parity/pth.py TRAINER SHARED_DATA WORK [tiny | openai | siglip2]

Each model is trained for a step or more on the shapes of this repository; every `.pth` must be read by
`torch.load(weights_only=True)`, mapped or not, hold the tensors of its `.safetensors` to the last bit, and
load into the model of its library, strictly. Then the same weights go back: wrapped as training programs,
TAO and PyTorch before 1.6 do, they must evaluate to the same numbers. Needs torch, transformers,
open_clip_torch, safetensors. Not part of the tests: two of the models are gigabytes.
"""

import gzip
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import open_clip
import torch
import transformers
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[2]
FORMAT = ["hearth.train.checkpoint_format=pth"]
# Frozen towers, so that a step of a large model is cheap.
FROZEN = ["model.freeze_vision_encoder=true", "model.freeze_text_encoder=true"]


def train(trainer, folder, model_type, tokenizer, extra):
    """Trains and returns the folder of the checkpoints."""
    shapes = ROOT / "assets/shapes/train"
    pairs = folder / "pairs"
    for kind, ending in (("images", "png"), ("captions", "txt")):
        (pairs / kind).mkdir(parents=True)
        for index in range(8):
            shutil.copy(shapes / kind / f"{index:04}.{ending}", pairs / kind)
    data = f"{{datasets: [{{image_dir: {pairs}/images, caption_dir: {pairs}/captions}}], batch_size: 4, num_workers: 0}}"
    (folder / "spec.yaml").write_text(f"""
model: {{type: {model_type}}}
results_dir: {folder / 'out'}
dataset: {{train: {data}, val: {data}}}
train: {{num_epochs: 1, precision: fp32}}
hearth: {{model: {{tokenizer: {tokenizer}}}}}
""")
    command = [trainer, "clip", "train", "-e", folder / "spec.yaml", "--quiet", *FORMAT, *extra]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "out/train"


def evaluate(trainer, folder, checkpoint):
    """The metrics of a checkpoint that carries no recipe, so that the spec decides."""
    results = folder / "evaluated"
    shutil.rmtree(results, ignore_errors=True)
    subprocess.run([trainer, "clip", "evaluate", "-e", folder / "spec.yaml", "--quiet",
                    f"evaluate.checkpoint={checkpoint}", f"results_dir={results}"], check=True, stdout=subprocess.DEVNULL)
    return json.loads((results / "evaluate/results.json").read_text())


def same(pth, twin):
    assert zipfile.ZipFile(pth).testzip() is None, "checksums"
    expected = load_file(twin)
    for mmap in (False, True):
        found = torch.load(pth, weights_only=True, mmap=mmap)
        assert list(found) == sorted(expected), "names"
        for name, tensor in found.items():
            assert tensor.dtype == expected[name].dtype and tensor.shape == expected[name].shape, name
            assert torch.equal(tensor.view(torch.int32), expected[name].view(torch.int32)), name
            assert tensor.is_contiguous() and (not mmap or tensor.data_ptr() % 64 == 0), name
    return found


def equal(model, state):
    """Every weight of the model is the one of the file."""
    for name, tensor in model.state_dict().items():
        if name in state:
            assert torch.equal(tensor.flatten(), state[name].flatten()), name
    assert set(state) <= set(model.state_dict()), set(state) - set(model.state_dict())


def into_open_clip(pth, state, folder):
    vision = dict(image_size=224, layers=12, width=768, patch_size=32)
    text = dict(context_length=77, vocab_size=49408, width=512, heads=8, layers=12)
    model = open_clip.model.CLIP(512, vision, text)
    print("  open_clip:", open_clip.factory.load_checkpoint(model, str(pth)))
    equal(model, state)


def into_transformers(pth, state, folder):
    towers = dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
    config = transformers.SiglipConfig(
        text_config=dict(towers, vocab_size=256000, max_position_embeddings=64, projection_size=768),
        vision_config=dict(towers, image_size=224, patch_size=16),
    )
    hub = folder / "hub"
    hub.mkdir()
    config.save_pretrained(hub)
    os.symlink(pth.resolve(), hub / "pytorch_model.bin")
    model, report = transformers.SiglipModel.from_pretrained(hub, use_safetensors=False, output_loading_info=True)
    print("  transformers:", {name: list(found) for name, found in report.items()})
    assert not any(len(found) for found in report.values())
    equal(model, state)


def wrapped(state, adapter, folder):
    """The state as other programs keep it."""
    state = dict(state)
    yield "plain.bin", state, {}
    yield "legacy.pth.tar", {"state_dict": state, "epoch": 3}, {"_use_new_zipfile_serialization": False}
    yield "distributed.pt", {"model": {f"module.{name}": value for name, value in state.items()}}, {}
    if adapter:
        tao = {f"model.backbone.{adapter}.{name}": value for name, value in state.items()}
        yield "tao_new.pth", {"state_dict": tao}, {}
        for name in ("logit_scale", "logit_bias"):
            if name in state:
                tao[f"model.{name}"] = state[name]
                tao[f"model.backbone.{adapter}.{name}"] = torch.full_like(state[name], 3.0)
        yield "tao_old.ckpt", {"state_dict": tao, "hyper_parameters": {"betas": (0.9, 0.95)}}, {}


def main(trainer, shared, work, names):
    cases = {
        "tiny": ("hearth-tiny", ROOT / "assets/tokenizer/tokenizer.json", [], None, None),
        "openai": ("ViT-B-32", shared / "tokenizers/clip", FROZEN, into_open_clip, "model"),
        "siglip2": ("siglip2-base-patch16-224", work / "tokenizer.json", FROZEN, into_transformers, "inner"),
    }
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    with gzip.open(shared / "tokenizers/gemma/tokenizer.json.gz") as file:
        (work / "tokenizer.json").write_bytes(file.read())
    for name in names or cases:
        model_type, tokenizer, extra, into, adapter = cases[name]
        folder = work / name
        folder.mkdir()
        checkpoints = train(trainer, folder, model_type, tokenizer, extra)
        for pth in sorted(checkpoints.glob("*.pth")):
            state = same(pth, pth.with_suffix(".safetensors"))
            print(f"{name}: {pth.name}: {len(state)} tensors, {pth.stat().st_size} bytes, equal")
        pth = checkpoints / "clip_latest.pth"
        if into:
            into(pth, state, folder)
        expected = evaluate(trainer, folder, pth)
        for file, content, options in wrapped(torch.load(pth, weights_only=True), adapter, folder):
            torch.save(content, folder / file, **options)
            found = evaluate(trainer, folder, folder / file)
            print(f"  {file}: t2i_mAP {found['t2i_mAP']:.4f}")
            assert found == expected, (found, expected)
            (folder / file).unlink()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
