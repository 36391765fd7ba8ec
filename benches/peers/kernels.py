"""The cases of benches/kernels.json in PyTorch, as JSON lines; the other side is crates/backbones/examples/peers.rs.

    python benches/peers/kernels.py [CASE ..] [--threads 2] [--seconds 1]

A case `x` gives `x.forward` (no gradients) and `x.both` (forward and backward: gradients of the input and of all
weights), the optimizer's only the first. Times are of the layout that suits PyTorch best. What the operations
compute, beyond their names: `window_attention` is partition, qkv, attention with relative bias, projection
and the way back; `convnext_v2_block` is all of it with the residual; `deformable_sampling` has one query for
each place of each level and softmax over nothing: the weights are inputs.
"""

import argparse
import json
import math
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

import measure

CASES = json.loads((Path(__file__).parent.parent / "kernels.json").read_text())


class ConvNextV2Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.gamma, self.beta = nn.Parameter(torch.randn(4 * width)), nn.Parameter(torch.randn(4 * width))

    def forward(self, x):
        hidden = F.gelu(self.widen(self.norm(self.depthwise(x).permute(0, 2, 3, 1))))
        energy = hidden.norm(p=2, dim=(1, 2), keepdim=True)
        response = energy / (energy.mean(dim=-1, keepdim=True) + 1e-6)
        hidden = torch.addcmul(self.beta, self.gamma * response + 1, hidden)
        return x + self.narrow(hidden).permute(0, 3, 1, 2)


class WindowAttention(nn.Module):
    def __init__(self, width, window, heads):
        super().__init__()
        self.window, self.heads = window, heads
        self.qkv, self.projection = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.table = nn.Parameter(torch.randn((2 * window - 1) ** 2, heads) * 0.02)
        places = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
        apart = (places[:, :, None] - places[:, None, :]) + window - 1
        self.register_buffer("index", apart[0] * (2 * window - 1) + apart[1])

    def forward(self, x):
        batch, height, width, channels = x.shape
        w, area = self.window, self.window**2
        windows = x.view(batch, height // w, w, width // w, w, channels).transpose(2, 3).reshape(-1, area, channels)
        q, k, v = self.qkv(windows).view(-1, area, 3, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4)
        bias = self.table[self.index.flatten()].view(area, area, self.heads).permute(2, 0, 1)
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.unsqueeze(0))
        found = self.projection(found.transpose(1, 2).reshape(-1, area, channels))
        found = found.view(batch, height // w, width // w, w, w, channels).transpose(2, 3)
        return found.reshape(batch, height, width, channels)


def deformable_sampling(values, locations, weights, levels):
    """values [1, S, H, D], locations [1, Q, H, L, P, 2] in 0..1, weights [1, Q, H, L, P] -> [1, Q, H * D]."""
    batch, _, heads, depth = values.shape
    queries, points = locations.shape[1], locations.shape[4]
    grids, sampled = 2 * locations - 1, []
    for level, part in enumerate(values.split([h * w for h, w in levels], dim=1)):
        height, width = levels[level]
        part = part.flatten(2).transpose(1, 2).reshape(batch * heads, depth, height, width)
        grid = grids[:, :, :, level].transpose(1, 2).flatten(0, 1)
        sampled.append(F.grid_sample(part, grid, mode="bilinear", padding_mode="zeros", align_corners=False))
    weights = weights.transpose(1, 2).reshape(batch * heads, 1, queries, len(levels) * points)
    found = (torch.stack(sampled, dim=-2).flatten(-2) * weights).sum(-1)
    return found.view(batch, heads * depth, queries).transpose(1, 2)


def with_module(module, shape):
    return module, [torch.randn(shape)]


def attention(shape, causal):
    def run(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    return run, [torch.randn(shape) for _ in range(3)]


def deformable(case):
    levels, heads, points = case["levels"], case["heads"], case["points"]
    places = sum(math.prod(level) for level in levels)
    values = torch.randn(1, places, heads, case["channels"] // heads)
    locations = torch.rand(1, places, heads, len(levels), points, 2)
    weights = torch.rand(1, places, heads, len(levels) * points).softmax(-1)
    weights = weights.view(1, places, heads, len(levels), points)
    return lambda v, l, w: deformable_sampling(v, l, w, levels), [values, locations, weights]


def vision(shape):
    import open_clip

    return with_module(open_clip.create_model("ViT-B-16", precision="fp32").visual, shape)


def prepare(case):
    """A function of tensors, and the tensors."""
    shape = case.get("shape")
    match case["op"]:
        case "gelu":
            return F.gelu, [torch.randn(shape)]
        case "gelu_tanh":
            return lambda x: F.gelu(x, approximate="tanh"), [torch.randn(shape)]
        case "quick_gelu":
            return lambda x: x * torch.sigmoid(1.702 * x), [torch.randn(shape)]
        case "silu":
            return F.silu, [torch.randn(shape)]
        case "layer_norm":
            return with_module(nn.LayerNorm(shape[-1]), shape)
        case "softmax":
            return lambda x: F.softmax(x, -1), [torch.randn(shape)]
        case "log_softmax":
            return lambda x: F.log_softmax(x, -1), [torch.randn(shape)]
        case "linear":
            return with_module(nn.Linear(shape[-1], case["features"]), shape)
        case "attention" | "attention_causal":
            return attention(shape, case["op"].endswith("causal"))
        case "depthwise":
            width, kernel = shape[1], case["kernel"]
            return with_module(nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width), shape)
        case "convnext_v2_block":
            return with_module(ConvNextV2Block(shape[1]), shape)
        case "window_attention":
            return with_module(WindowAttention(shape[-1], case["window"], case["heads"]), shape)
        case "deformable_sampling":
            return deformable(case)
        case "vit_b_16":
            return vision(shape)
        case op:
            raise ValueError(f"benches/kernels.json: found the operation {op!r}, which has no peer")


def parameters(case):
    shapes = case["shapes"] * case["repeats"]
    found = [nn.Parameter(torch.randn(shape) * 0.02) for shape in shapes]
    for parameter in found:
        parameter.grad = torch.randn_like(parameter)
    return found


def of_parameters(case, seconds):
    """Operations on gradients: one pass only."""
    weights = parameters(case)
    memory = measure.Memory()
    if case["op"] == "adamw":
        run = torch.optim.AdamW(weights, lr=1e-4, foreach=True).step
    else:
        gradients = [weight.grad for weight in weights]
        def run():
            return torch.nn.utils.get_total_norm(gradients, foreach=True).item()
    return [measure.line(case["case"] + ".forward", measure.times(run, seconds, 5), memory)]


def layouts(run, inputs):
    """The inputs as they are, and channels last where there are pictures before a convolution."""
    yield run, inputs
    is_picture = isinstance(run, nn.Module) and any(isinstance(m, nn.Conv2d) for m in run.modules())
    if is_picture:
        yield run.to(memory_format=torch.channels_last), [
            x.contiguous(memory_format=torch.channels_last) for x in inputs
        ]


def forward(run, inputs, seconds):
    with torch.inference_mode():
        return measure.times(lambda: run(*inputs), seconds, 5)


def both(run, inputs, seconds):
    inputs = [x.detach().requires_grad_() for x in inputs]
    weights = list(run.parameters()) if isinstance(run, nn.Module) else []
    upstream = torch.randn_like(run(*inputs))

    def step():
        for tensor in inputs + weights:
            tensor.grad = None
        run(*inputs).backward(upstream)

    return measure.times(step, seconds, 5)


def measured(case, seconds):
    torch.manual_seed(7)
    if "shapes" in case:
        return of_parameters(case, seconds)
    run, inputs = prepare(case)
    lines = []
    for name, one_pass in [("forward", forward), ("both", both)]:
        memory = measure.Memory()
        found = [one_pass(*layout, seconds) for layout in layouts(run, inputs)]
        lines.append(measure.line(f"{case['case']}.{name}", min(found, key=min), memory))
    return lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for case in CASES:
        if not options.cases or case["case"] in options.cases:
            print("\n".join(measured(case, options.seconds)), flush=True)


if __name__ == "__main__":
    main()
