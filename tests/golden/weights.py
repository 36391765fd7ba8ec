"""Fixtures of crates/weights, in tests/golden/weights: what Python's safetensors writes and Rust
reads, and what Rust must write, byte for byte, so that Python reads it.

    python tests/golden/weights.py

Needs torch and safetensors; made with torch 2.15.0 and safetensors 0.8.0.
"""

import json
import struct
from pathlib import Path

import numpy
import safetensors.numpy
import safetensors.torch
import torch
from torch import nn

FOLDER = Path(__file__).parent / "weights"


class Block(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps=1e-5)
        self.fc = nn.Linear(dim, dim)

    def forward(self, x):
        return x + self.fc(self.norm(x))


class Tiny(nn.Module):
    """The twin of `Tiny` in crates/weights/tests/it/model.rs."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5, 6)
        self.patch = nn.Conv2d(3, 4, 2, stride=2)
        self.pos = nn.Parameter(torch.randn(1, 4, 6))
        self.blocks = nn.ModuleList([Block(6), Block(6)])
        self.head = nn.Linear(6, 3, bias=False)
        self.logit_scale = nn.Parameter(torch.randn(1))


def written_by_rust(tensors, metadata):
    """The rules of crates/weights/src/write.rs, spelled out again: names sorted, f32, no blanks in
    the JSON, padded with blanks so that the data begins at a multiple of 8."""
    header, offset = {"__metadata__": metadata}, 0
    for name in sorted(tensors):
        size = tensors[name].nbytes
        header[name] = {
            "dtype": "F32",
            "shape": list(tensors[name].shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    data = b"".join(tensors[name].astype("<f4").tobytes() for name in sorted(tensors))
    return struct.pack("<Q", len(text)) + text + data


def tiny():
    torch.manual_seed(7)
    model = Tiny()
    for norm in [block.norm for block in model.blocks]:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    state = model.state_dict()
    safetensors.torch.save_file(state, FOLDER / "tiny.safetensors", metadata={"format": "pt"})

    x, image, ids = torch.randn(2, 6), torch.randn(1, 3, 4, 4), torch.tensor([[4, 0, 3]])
    with torch.no_grad():
        y = x
        for block in model.blocks:
            y = block(y)
        io = {
            "x": x,
            "y": model.head(y),
            "image": image,
            "patches": model.patch(image),
            "ids": ids,
            "embedded": model.embed(ids),
        }
    safetensors.torch.save_file(io, FOLDER / "tiny_io.safetensors")

    metadata = {"format": "pt", "note": "größe \"1\"\n", "step": "3"}
    tensors = {name: tensor.numpy() for name, tensor in state.items()}
    expected = written_by_rust(tensors, metadata)
    (FOLDER / "tiny_written.safetensors").write_bytes(expected)
    # Python reads it, and a model takes it.
    with safetensors.safe_open(FOLDER / "tiny_written.safetensors", "np") as file:
        assert file.metadata() == metadata
        for name in file.keys():
            numpy.testing.assert_array_equal(file.get_tensor(name), tensors[name])
    model.load_state_dict(safetensors.torch.load_file(FOLDER / "tiny_written.safetensors"))
    # With one entry of metadata, Python's own writer gives the same bytes.
    assert safetensors.numpy.save(tensors, {"format": "pt"}) == written_by_rust(
        tensors, {"format": "pt"}
    )


def mixed():
    """Every type that is read, with values that show a wrong conversion."""
    torch.manual_seed(11)
    floats = torch.cat(
        [
            torch.randn(13),
            torch.tensor([0.0, -0.0, 1.0, 65504.0, 6e-8, -6.1e-5, 1.0009765625, 3e38 / 1e34]),
        ]
    ).reshape(3, 7)
    tensors = {
        "f64": floats.double() * 1.0000000001,
        "f32": floats,
        "f16": floats.half(),
        "bf16": floats.bfloat16(),
        "scalar": torch.tensor(-2.5).half(),
        "empty": torch.zeros(0, 4),
        "i64": torch.tensor([[-(2**40), 7]]),
        "i32": torch.tensor([-5, 2**31 - 1], dtype=torch.int32),
        "u8": torch.tensor([0, 255], dtype=torch.uint8),
        "bool": torch.tensor([True, False, True]),
        "f8": floats.to(torch.float8_e4m3fn),
    }
    metadata = {"note": "größe"}  # two entries would come in any order
    safetensors.torch.save_file(tensors, FOLDER / "mixed.safetensors", metadata=metadata)
    expected = {}
    for name, tensor in tensors.items():
        if name == "f8":
            continue
        tensor = tensor.float() if tensor.is_floating_point() else tensor.long()
        expected[name] = {"shape": list(tensor.shape), "values": tensor.flatten().tolist()}
    (FOLDER / "mixed.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    tiny()
    mixed()
    for path in FOLDER.iterdir():
        path.chmod(0o644)  # safetensors writes files for their owner only
    print(sum(path.stat().st_size for path in FOLDER.iterdir()), "bytes in", FOLDER)
