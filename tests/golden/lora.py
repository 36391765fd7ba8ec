"""Fixtures of low-rank adapters, in tests/golden/lora: loss, gradients, three AdamW steps and merged
weights of the library peft on the tiny models of clip_models.py.

    python tests/golden/lora.py

Two cases: `siglip_hf` (peft itself on transformers' SiglipModel) and `openclip_nv` (open_clip's
fused attention, which peft and TAO leave out: the same arithmetic in torch on the thirds of
`in_proj_weight`). Weights, pictures and ids are those of tests/golden/clip_models.

Every file holds, under our names: `start.NAME` (A is `down`, B is `up`; B is not zero, or A would
have no gradient), `grad.NAME`, `after.NAME` (adapters, and the calibration) and `merged.NAME` under
the library's names (the adapted matrices, with `start` merged, and with `after`: `merged_after.`),
`loss` and `losses_of_steps`. Learning rates, betas, eps and decay as in clip_models.py; adapters
decay.

Made with torch 2.15.0, transformers 5.23.0, open_clip_torch 3.3.0, peft 0.21.2.
"""

import math
from pathlib import Path

import peft
import safetensors.torch
import torch

import clip_models
from clip_models import BETAS, DECAY, EPS, STEPS, TEXT_LR, VISION_LR

FOLDER = Path(__file__).parent / "lora"
MODELS = Path(__file__).parent / "clip_models"

# Both towers differ in everything: which layers, how many blocks, rank and alpha.
VISION = {"targets": ["q", "k", "v", "proj"], "blocks": 1, "rank": 4, "alpha": 8}
TEXT = {"targets": ["q", "v", "fc1", "fc2"], "blocks": 2, "rank": 3, "alpha": 4}
DEPTH = 2

HF = {
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "proj": "self_attn.out_proj",
    "fc1": "mlp.fc1",
    "fc2": "mlp.fc2",
}
OPEN_CLIP = {
    "q": "attn.in_proj",
    "k": "attn.in_proj",
    "v": "attn.in_proj",
    "proj": "attn.out_proj.",
    "fc1": "mlp.c_fc.",
    "fc2": "mlp.c_proj.",
}


def places(modules):
    """(our name, tower, block, layer, settings) of every adapter."""
    for tower, settings in (("visual", VISION), ("text", TEXT)):
        for block in range(DEPTH - settings["blocks"], DEPTH):
            for layer in settings["targets"]:
                part = "mlp" if layer.startswith("fc") else "attn"
                yield f"{tower}.blocks.{block}.{part}.lora.{layer}", tower, block, layer, settings


def drawn(shape, generator):
    return torch.randn(shape, generator=generator) / math.sqrt(shape[-1])


def run(name, model, pixels, ids, adapters, embed, merge):
    """`adapters`: our name -> (A, B), leaves in the graph of `embed`."""
    logits = [model.logit_scale, model.logit_bias]
    out = {}
    trained = {f"{key}.{side}.weight": value for key, pair in adapters.items()
               for side, value in zip(("down", "up"), pair)}
    trained |= {"logit_scale": logits[0], "logit_bias": logits[1]}
    for key, value in trained.items():
        out[f"start.{key}"] = value.detach().clone()
    out |= {f"merged.{key}": value for key, value in merge().items()}

    def loss():
        return clip_models.losses(model, *embed())["siglip"].sum()

    value = loss()
    value.backward()
    out["loss"] = value.detach().reshape(())
    for key, parameter in trained.items():
        out[f"grad.{key}"] = parameter.grad.clone()

    def select(prefix):
        return [value for key, value in trained.items() if key.startswith(prefix)]

    optimizer = torch.optim.AdamW(
        [
            {"params": select("visual"), "lr": VISION_LR, "weight_decay": DECAY},
            {"params": select("text"), "lr": TEXT_LR, "weight_decay": DECAY},
            {"params": logits, "lr": TEXT_LR, "weight_decay": 0.0},
        ],
        betas=BETAS,
        eps=EPS,
        foreach=False,
    )
    history = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        value = loss()
        history.append(value.item())
        value.backward()
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
    out["losses_of_steps"] = torch.tensor(history)
    for key, value in trained.items():
        out[f"after.{key}"] = value
    out |= {f"merged_after.{key}": value for key, value in merge().items()}
    path = FOLDER / f"{name}.safetensors"
    tensors = {key: value.detach().contiguous() for key, value in out.items()}
    safetensors.torch.save_file(tensors, path)
    path.chmod(0o644)


def inputs(name):
    file = safetensors.torch.load_file(MODELS / f"{name}.expected.safetensors")
    return file["pixels"], file["ids"]


def siglip():
    model = clip_models.siglip_hf().eval()
    weights = safetensors.torch.load_file(MODELS / "siglip_hf.weights.safetensors")
    model.load_state_dict(weights)
    pixels, ids = inputs("siglip_hf")
    tower = {"visual": "vision_model", "text": "text_model"}
    modules = {
        ours: f"{tower[part]}.encoder.layers.{block}.{HF[layer]}"
        for ours, part, block, layer, _ in places(HF)
    }
    text = [module for module in modules.values() if module.startswith("text_model")]
    config = peft.LoraConfig(
        r=VISION["rank"],
        lora_alpha=VISION["alpha"],
        lora_dropout=0.0,
        target_modules=list(modules.values()),
        rank_pattern={module: TEXT["rank"] for module in text},
        alpha_pattern={module: TEXT["alpha"] for module in text},
    )
    wrapped = peft.get_peft_model(model, config)
    model.logit_scale.requires_grad_(True)
    model.logit_bias.requires_grad_(True)
    generator = torch.Generator().manual_seed(11)
    adapters = {}
    for ours, module in modules.items():
        layer = model.get_submodule(module)
        a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        with torch.no_grad():
            a.copy_(drawn(a.shape, generator))
            b.copy_(0.3 * drawn(b.shape, generator))
        adapters[ours] = (a, b)
    trained = sum(p.requires_grad for p in wrapped.parameters())
    assert trained == 2 * len(adapters) + 2

    def merge():
        out = {}
        for module in modules.values():
            layer = model.get_submodule(module)
            delta = layer.get_delta_weight("default")
            out[f"{module}.weight"] = layer.base_layer.weight + delta
        return out

    def embed():
        outputs = wrapped(pixel_values=pixels, input_ids=ids)
        return outputs.image_embeds, outputs.text_embeds

    run("siglip_hf", model, pixels, ids, adapters, embed, merge)


def openclip_nv():
    model = clip_models.open_clip_model(clip_models.NV_CONFIG).eval()
    weights = safetensors.torch.load_file(MODELS / "openclip_nv.weights.safetensors")
    model.load_state_dict(weights)
    model.requires_grad_(False)
    model.logit_scale.requires_grad_(True)
    model.logit_bias.requires_grad_(True)
    pixels, ids = inputs("openclip_nv")
    prefix = {"visual": "visual.transformer.resblocks", "text": "transformer.resblocks"}
    generator = torch.Generator().manual_seed(12)
    adapters, names, scales = {}, {}, {}
    for ours, tower, block, layer, settings in places(OPEN_CLIP):
        separator = "_" if layer in "qkv" else ""
        name = f"{prefix[tower]}.{block}.{OPEN_CLIP[layer]}{separator}weight"
        out, inner = model.get_parameter(name).shape
        out = out // 3 if layer in "qkv" else out
        rank = settings["rank"]
        adapters[ours] = (
            drawn((rank, inner), generator).requires_grad_(True),
            (0.3 * drawn((out, rank), generator)).requires_grad_(True),
        )
        names[ours], scales[ours] = (name, layer), settings["alpha"] / rank

    def merge():
        out = {}
        for ours, (a, b) in adapters.items():
            name, layer = names[ours]
            weight = out.get(name, model.get_parameter(name))
            delta = scales[ours] * (b @ a)
            if layer in "qkv":
                thirds = [torch.zeros_like(delta)] * 3
                thirds["qkv".index(layer)] = delta
                delta = torch.cat(thirds)
            out[name] = weight + delta
        return out

    class Both(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self):
            return clip_models.embed(self.inner, pixels, ids)

    both = Both()

    def embed():
        state = {f"inner.{name}": value for name, value in merge().items()}
        return torch.func.functional_call(both, state, ())

    run("openclip_nv", model, pixels, ids, adapters, embed, merge)


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(0)
    FOLDER.mkdir(exist_ok=True)
    siglip()
    openclip_nv()
    print(sum(path.stat().st_size for path in FOLDER.iterdir()), "bytes in", FOLDER)
