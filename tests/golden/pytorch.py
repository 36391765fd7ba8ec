"""Fixtures of crates/weights and crates/clip, in tests/golden/pytorch: files that `torch.save` and
`torch.jit.save` write, and what must be read from them.

    python tests/golden/pytorch.py

Needs torch, transformers, open_clip_torch and safetensors; made with torch 2.15.0, transformers 5.23.0
and open_clip 3.3.0. All numbers are seeded;
only the names of storages in the legacy files are addresses, which differ from run to run.
"""

import argparse
import collections
import json
import pathlib
import sys
import types
import warnings

# torchvision looks for a module of this script's name.
sys.path.pop(0)

import numpy
import open_clip
import safetensors.torch
import torch
import transformers
from torch import nn

FOLDER = pathlib.Path(__file__).parent / "pytorch"
# What the readers must give back, by file.
EXPECTED = {}


class Callback:
    """Of a module that no reader has: such classes stand in every Lightning checkpoint."""

    def __init__(self):
        self.best_score = torch.tensor(0.5)
        self.kth_best_model_path = ""


class AttributeDict(dict):
    """As Lightning keeps hyperparameters."""


def described(tensor):
    values = tensor.detach()
    values = values.double() if values.is_floating_point() else values.long()
    dtype = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "float64": "F64", "int64": "I64",
             "int32": "I32", "uint8": "U8", "bool": "BOOL", "uint16": "U16"}[str(tensor.dtype)[6:]]
    return {"dtype": dtype, "shape": list(tensor.shape), "values": values.flatten().tolist()}


def expect(name, tensors, extra):
    EXPECTED[name] = {"tensors": {key: described(value) for key, value in tensors.items()}, "extra": extra}


def tensors():
    """Every element type, views of every kind, shared storages."""
    torch.manual_seed(3)
    base = torch.randn(4, 6)
    return {
        "f32": base,
        "shared": base,
        "row": base[1],
        "column": base[:, 2],
        "transposed": base.t(),
        "sliced": base[1:4:2, 1:6:3],
        "permuted": torch.randn(2, 3, 4).permute(2, 0, 1),
        "expanded": torch.randn(1, 3).expand(4, 3),
        "f64": torch.randn(3).double(),
        "f16": torch.randn(5).half(),
        "bf16": torch.randn(2, 2).bfloat16(),
        "i64": torch.tensor([[-(2**40), 7]]),
        "i32": torch.tensor([-5, 2**31 - 1], dtype=torch.int32),
        "u8": torch.tensor([0, 255], dtype=torch.uint8),
        "bool": torch.tensor([True, False]),
        "scalar": torch.tensor(-2.5),
        "empty": torch.zeros(0, 4),
        "parameter": nn.Parameter(torch.randn(3)),
    }


def checkpoint():
    """As a training script writes it: a Namespace, element types, tuples, a wrapped model."""
    found = tensors()
    state = collections.OrderedDict((f"module.{name}", value) for name, value in found.items())
    state._metadata = collections.OrderedDict({"": {"version": 1}})
    args = argparse.Namespace(
        model="vit_tiny", dtype=torch.bfloat16, opt_betas=(0.9, 0.95), input_size=None, amp=True,
        data_dir=[["a", "b"], ["c"]], lr=1e-4, seed=-42, large=2**40, wide=2**70,
        teachers=[{"name": "clip", "use_summary": False}], limit=float("inf"), size=torch.Size([2, 3]),
        device=torch.device("cpu"), path=pathlib.PurePosixPath("/tmp/x"), names={"one"},
        score=numpy.float64(0.5),
    )
    setattr(args, "enable-cudnn", 1)
    whole = {
        "arch": "vit_tiny", "epoch": 2, "state_dict": state, "args": args,
        "optimizer": {"state": {0: {"exp_avg": torch.randn(3), "step": 5}}, "param_groups": [{"lr": 0.1}]},
        "empty": {}, "model": {"note": "not the weights"},
    }
    extra = {
        "arch": "vit_tiny", "epoch": 2,
        "args": {
            "model": "vit_tiny", "dtype": "bfloat16", "opt_betas": [0.9, 0.95], "input_size": None,
            "amp": True, "data_dir": [["a", "b"], ["c"]], "lr": 1e-4, "seed": -42, "large": 2**40,
            "wide": None, "teachers": [{"name": "clip", "use_summary": False}], "limit": "inf",
            "size": [2, 3], "device": "cpu", "path": "<pathlib.PurePosixPath>", "names": ["one"],
            "score": "<numpy._core.multiarray.scalar>", "enable-cudnn": 1,
        },
        "optimizer": {"state": {"0": {"step": 5}}, "param_groups": [{"lr": 0.1}]},
        "empty": {}, "model": {"note": "not the weights"},
    }
    torch.save(whole, FOLDER / "checkpoint.pth")
    expect("checkpoint.pth", found, extra)
    for name, options in [("legacy.pth.tar", {}), ("legacy_protocol_4.pt", {"pickle_protocol": 4})]:
        torch.save(whole, FOLDER / name, _use_new_zipfile_serialization=False, **options)
        expect(name, found, extra)
    torch.save(whole, FOLDER / "protocol_5.bin", pickle_protocol=5)
    expect("protocol_5.bin", found, extra)
    # Element types without a storage class of their own.
    late = {"u16": torch.tensor([1, 65535], dtype=torch.uint16)}
    torch.save(late, FOLDER / "untyped.pt")
    expect("untyped.pt", late, None)


def lightning():
    Callback.__module__, Callback.__qualname__ = "absent.callbacks", "Callback"
    AttributeDict.__module__ = "absent.hparams"
    for name, value in [("absent.callbacks", Callback), ("absent.hparams", AttributeDict)]:
        module = types.ModuleType(name)
        setattr(module, value.__name__, value)
        sys.modules[name] = module
    sys.modules["absent"] = types.ModuleType("absent")
    found = {"backbone.model.visual.proj": torch.randn(2, 2), "logit_scale": torch.tensor(2.5)}
    whole = {
        "epoch": 1, "global_step": 20, "pytorch-lightning_version": "2.5.0",
        "state_dict": collections.OrderedDict((f"model.{name}", value) for name, value in found.items()),
        "callbacks": {"Checkpoint{}": Callback()},
        "hyper_parameters": AttributeDict(lr=0.1, betas=(0.9, 0.98)),
    }
    torch.save(whole, FOLDER / "lightning.ckpt")
    expect("lightning.ckpt", found, {
        "epoch": 1, "global_step": 20, "pytorch-lightning_version": "2.5.0",
        "callbacks": {"Checkpoint{}": "<absent.callbacks.Callback>"},
        "hyper_parameters": {"lr": 0.1, "betas": [0.9, 0.98]},
    })


class OpenAi(open_clip.model.CLIP):
    """With the sizes as buffers, as OpenAI's archives carry them."""

    def forward(self, image, text):
        image, text = self.encode_image(image, normalize=True), self.encode_text(text, normalize=True)
        return self.logit_scale.exp() * image @ text.t()


VISION = dict(layers=1, width=16, head_width=8, image_size=16, patch_size=8)
TEXT = dict(context_length=6, vocab_size=20, width=16, heads=2, layers=1)
SIZES = {"input_resolution": 16, "context_length": 6, "vocab_size": 20}


def open_clip_model(kind=open_clip.model.CLIP, **options):
    torch.manual_seed(5)
    model = kind(8, open_clip.CLIPVisionCfg(**VISION), open_clip.CLIPTextCfg(**TEXT), **options)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    return model.eval()


def scripted():
    """OpenAI's own files: TorchScript, half precision, the sizes as tensors, QuickGELU."""
    model = open_clip_model(OpenAi, quick_gelu=True)
    for name, value in SIZES.items():
        if hasattr(model, name):
            delattr(model, name)
        model.register_buffer(name, torch.tensor(value))
    inputs = torch.randn(1, 3, 16, 16), torch.tensor([[1, 2, 3, 4, 5, 19]])
    for parameter in model.parameters():
        parameter.data = parameter.data.half().float()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        archive = torch.jit.trace(model, inputs, check_trace=False)
        expected = {
            "pixels": inputs[0], "ids": inputs[1], "images": model.encode_image(inputs[0], normalize=True),
            "texts": model.encode_text(inputs[1], normalize=True),
        }
    for parameter in archive.parameters():
        parameter.data = parameter.data.half()
    path = FOLDER / "openai.pt"
    torch.jit.save(archive, str(path))
    found = torch.jit.load(str(path)).state_dict()
    assert set(SIZES) < set(found) and found["visual.conv1.weight"].dtype == torch.float16
    # Too many numbers for JSON.
    safetensors.torch.save_file(found, FOLDER / "openai.safetensors")
    safetensors.torch.save_file(expected, FOLDER / "openai_embeddings.safetensors")


def lightning_of_tao(state, adapter, outer):
    """`model.` of Lightning, the adapter's name, and of old files the live calibration outside."""
    found = collections.OrderedDict((f"model.backbone.{adapter}.{name}", value) for name, value in state.items())
    if outer:
        for name in ("logit_scale", "logit_bias"):
            found[f"model.{name}"] = state[name]
            found[f"model.backbone.{adapter}.{name}"] = torch.full_like(state[name], 7.0)
    if adapter == "inner":
        found["model.backbone.mask"] = torch.ones(3)
    return {"epoch": 0, "state_dict": found, "loops": {"fit_loop": {"state_dict": {}}}}


def family():
    """One small model of each layout, as its library saves it and as TAO does."""
    folder = FOLDER / "clip"
    folder.mkdir(exist_ok=True)
    state = open_clip_model(init_logit_bias=-10.0).state_dict()
    torch.save(state, folder / "open_clip_pytorch_model.bin")
    training = {"epoch": 1, "name": "x", "state_dict": {f"module.{k}": v for k, v in state.items()}, "optimizer": {}}
    torch.save(training, folder / "open_clip_epoch_1.pt")
    for outer in (True, False):
        name = "old" if outer else "new"
        torch.save(lightning_of_tao(state, "model", outer), folder / f"tao_open_clip_{name}.ckpt")

    torch.manual_seed(6)
    tower = dict(hidden_size=16, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2)
    vision = dict(tower, image_size=16, patch_size=8)
    text = dict(tower, vocab_size=20, max_position_embeddings=6, projection_size=16)
    model = transformers.SiglipModel(transformers.SiglipConfig(text_config=text, vision_config=vision))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    state = model.state_dict()
    torch.save(state, folder / "siglip.bin")
    for outer in (True, False):
        name = "old" if outer else "new"
        torch.save(lightning_of_tao(state, "inner", outer), folder / f"tao_siglip_{name}.pth")
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    torch.save(transformers.CLIPModel(config).state_dict(), folder / "clip.bin")


def shards():
    folder = FOLDER / "sharded"
    folder.mkdir(exist_ok=True)
    torch.manual_seed(9)
    found = {"model.a": torch.randn(2), "model.b": torch.randn(3), "head": torch.randn(1)}
    index = {}
    for number, names in [(1, ["model.a"]), (2, ["model.b", "head"])]:
        name = f"pytorch_model-{number:05}-of-00002.bin"
        torch.save({key: found[key] for key in names}, folder / name)
        index |= {key: name for key in names}
    text = json.dumps({"metadata": {}, "weight_map": index}, indent=1)
    (folder / "pytorch_model.bin.index.json").write_text(text + "\n")
    expect("sharded", found, None)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    checkpoint()
    lightning()
    scripted()
    shards()
    family()
    (FOLDER / "expected.json").write_text(json.dumps(EXPECTED) + "\n")
    for path in FOLDER.rglob("*.*"):
        path.chmod(0o644)
        print(path.stat().st_size, path.relative_to(FOLDER))
