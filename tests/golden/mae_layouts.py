"""Fixtures of the layouts of MAE's checkpoints, in tests/golden/mae_layouts: files of transformers, timm,
Meta's sparse layers, Meta's Hiera and TAO, of tiny models with seeded random weights, and what the
models of transformers and timm compute.

    python tests/golden/mae_layouts.py

`expected.json` holds losses, logits and features of two pictures, and the numbers of the models.
Pictures and noise are functions of names, as in crates/mae/tests/it/fill.rs: `input` in [-1, 1),
`noise` in [0, 1). Weights are larger than the libraries' own, so that a forgotten tensor shows: biases are
0.1 N(0, 1), gains 1 + 0.2 N(0, 1), matrices N(0, 1 / inputs).

transformers 5.23 builds ViTMAE with position tables that depend on how it was made (all zero where
weights are not initialised); the fixed tables are set here.

Made with torch 2.15.0, transformers 5.23.0, timm 1.0.31, safetensors 0.8.0.
"""

import json
import math
import shutil
import tempfile
from pathlib import Path

import numpy as np
import safetensors.torch
import timm.models.convnext
import timm.models.hiera
import timm.models.vision_transformer
import torch
import torch.nn.functional as F
import transformers

FOLDER = Path(__file__).parent / "mae_layouts"
CLASSES = 5

VIT = dict(depth=2, width=16, heads=2, patch=8, image=32, decoder_depth=1, decoder_width=32)
HIERA = dict(depths=[1, 2, 2, 1], width=4, heads=1, image=64, decoder_depth=2, decoder_width=16)
CONVNEXT = dict(depths=[1, 2, 2, 1], widths=[8, 12, 16, 24], patch=4, image=64, decoder_depth=1,
                decoder_width=8)
MASK_RATIO = 0.5


def uniform(name, shape):
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(math.prod(shape), dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return torch.tensor((z >> np.uint64(40)).astype(np.float64) / 2**24).reshape(shape)


def pictures(size):
    return (2 * uniform("input", (2, 3, size, size)) - 1).float()


def noise(cells):
    return uniform("noise", (2, cells)).float()


def sin_cos(grid, width):
    """Row 0 zeros; the first half of a row encodes the column."""
    omega = 1 / 10000 ** (torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    rows, columns = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    parts = [f(place.flatten().double()[:, None] * omega) for place in (columns, rows) for f in (torch.sin, torch.cos)]
    return torch.cat([torch.zeros(1, width), torch.cat(parts, 1)]).float()[None]


@torch.no_grad()
def fill(model, seed):
    generator = torch.Generator().manual_seed(seed)
    for name, value in sorted(model.named_parameters()):
        drawn = torch.randn(value.shape, generator=generator)
        if "norm" in name and name.endswith("weight") and "grn" not in name:
            drawn = 1 + 0.2 * drawn
        elif "grn" in name or "token" in name or "pos" in name:
            drawn = 0.5 * drawn
        elif name.endswith("bias"):
            drawn = 0.1 * drawn
        elif value.ndim > 1:
            drawn = drawn / math.sqrt(math.prod(value.shape[1:]))
        else:
            # The norms of sequences have no name: stem.1, downsample.0.
            assert name.endswith("weight"), name
            drawn = 1 + 0.2 * drawn
        value.copy_(drawn)
    return model.eval()


def save(name, state):
    state = {key: value.detach().contiguous().clone() for key, value in state.items()}
    safetensors.torch.save_file(state, FOLDER / f"{name}.safetensors", metadata={"format": "pt"})


def save_pth(name, content):
    torch.save(content, FOLDER / f"{name}.pth")


def rounded(tensor):
    return [float(f"{value:.9g}") for value in tensor.detach().flatten().tolist()]


@torch.no_grad()
def vit_of_transformers(expected):
    config = transformers.ViTMAEConfig(
        hidden_size=VIT["width"], num_hidden_layers=VIT["depth"], num_attention_heads=VIT["heads"],
        intermediate_size=4 * VIT["width"], image_size=VIT["image"], patch_size=VIT["patch"],
        decoder_num_attention_heads=16, decoder_hidden_size=VIT["decoder_width"],
        decoder_num_hidden_layers=VIT["decoder_depth"], decoder_intermediate_size=4 * VIT["decoder_width"],
        mask_ratio=MASK_RATIO, norm_pix_loss=True, layer_norm_eps=1e-6)
    model = fill(transformers.ViTMAEForPreTraining(config), 1)
    grid = VIT["image"] // VIT["patch"]
    model.vit.embeddings.position_embeddings.copy_(sin_cos(grid, VIT["width"]))
    model.decoder.decoder_pos_embed.copy_(sin_cos(grid, VIT["decoder_width"]))
    save("vit_transformers", model.state_dict())
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        held = safetensors.torch.load_file(Path(folder) / "model.safetensors")
    # Files of version 4 have `decoder_layers` here, and all other names.
    assert "decoder.decoder_encoder.layer.0.attention.attention.query.weight" in held, sorted(held)
    save("vit_transformers_saved", held)
    loss = model(pictures(VIT["image"]), noise=noise(grid * grid)).loss
    expected["vit_transformers"] = dict(loss=float(f"{loss.item():.9g}"))


@torch.no_grad()
def vit_of_timm(expected):
    """Both poolings; and the table resized as facebookresearch/mae does."""
    for name, pool in [("vit_timm_mean", "avg"), ("vit_timm_token", "token")]:
        def build(size):
            return timm.models.vision_transformer.VisionTransformer(
                img_size=size, patch_size=VIT["patch"], embed_dim=VIT["width"], depth=VIT["depth"],
                num_heads=VIT["heads"], num_classes=CLASSES, global_pool=pool)

        model = fill(build(VIT["image"]), 2)
        save(name, model.state_dict())
        state, grid = model.state_dict(), VIT["image"] // VIT["patch"]
        larger = fill(build(VIT["image"] * 3 // 2), 2)
        table = state["pos_embed"]
        state["pos_embed"] = torch.cat([table[:, :1], resized(table[:, 1:], grid * 3 // 2)], 1)
        larger.load_state_dict(state)
        expected[name] = dict(
            logits=rounded(model(pictures(VIT["image"]))),
            logits_larger=rounded(larger(pictures(VIT["image"] * 3 // 2))))


def resized(table, grid):
    old = math.isqrt(table.shape[1])
    picture = table.reshape(1, old, old, -1).permute(0, 3, 1, 2)
    picture = F.interpolate(picture, size=(grid, grid), mode="bicubic", align_corners=False)
    return picture.permute(0, 2, 3, 1).reshape(1, grid * grid, -1)


def hiera_config(**more):
    heads = [HIERA["heads"] * 2**i for i in range(4)]
    return transformers.HieraConfig(
        embed_dim=HIERA["width"], image_size=[HIERA["image"]] * 2, depths=HIERA["depths"], num_heads=heads,
        mask_ratio=MASK_RATIO, decoder_hidden_size=HIERA["decoder_width"],
        decoder_depth=HIERA["decoder_depth"], decoder_num_heads=16, **more)


@torch.no_grad()
def hiera_of_transformers(expected):
    model = fill(transformers.HieraForPreTraining(hiera_config(num_query_pool=2)), 3)
    save("hiera_transformers_autoencoder", model.state_dict())
    units = (HIERA["image"] // 32) ** 2
    loss = model(pictures(HIERA["image"]), noise=noise(units)).loss
    expected["hiera_transformers_autoencoder"] = dict(loss=float(f"{loss.item():.9g}"))
    model = fill(transformers.HieraForImageClassification(hiera_config(num_labels=CLASSES)), 4)
    save("hiera_transformers_classifier", model.state_dict())
    logits = model(pictures(HIERA["image"])).logits
    expected["hiera_transformers_classifier"] = dict(logits=rounded(logits))


@torch.no_grad()
def hiera_of_timm(expected):
    """The file of Meta holds the same weights under Meta's names."""
    def build(size):
        return timm.models.hiera.Hiera(
            img_size=(size, size), embed_dim=HIERA["width"], num_heads=HIERA["heads"],
            stages=tuple(HIERA["depths"]), num_classes=CLASSES)

    model = fill(build(HIERA["image"]), 5)
    state = model.state_dict()
    save("hiera_timm", state)
    names = {name: name.replace("head.norm.", "norm.").replace("head.fc.", "head.projection.") for name in state}
    save_pth("hiera_meta", {"model_state": {names[name]: value for name, value in state.items()}})
    larger = fill(build(HIERA["image"] * 3 // 2), 5)
    larger.load_state_dict(state | {"pos_embed": resized(state["pos_embed"], HIERA["image"] // 4 * 3 // 2)})
    expected["hiera_timm"] = dict(
        logits=rounded(model(pictures(HIERA["image"]))),
        logits_larger=rounded(larger(pictures(HIERA["image"] * 3 // 2))))


@torch.no_grad()
def convnext_of_transformers(expected):
    config = transformers.ConvNextV2Config(
        hidden_sizes=CONVNEXT["widths"], depths=CONVNEXT["depths"], patch_size=CONVNEXT["patch"],
        image_size=CONVNEXT["image"], num_labels=CLASSES, layer_norm_eps=1e-6)
    model = fill(transformers.ConvNextV2ForImageClassification(config), 6)
    save("convnext_transformers", model.state_dict())
    expected["convnext_transformers"] = dict(logits=rounded(model(pictures(CONVNEXT["image"])).logits))


@torch.no_grad()
def convnext_of_timm(expected):
    model = fill(timm.models.convnext.ConvNeXt(
        depths=tuple(CONVNEXT["depths"]), dims=tuple(CONVNEXT["widths"]), patch_size=CONVNEXT["patch"],
        use_grn=True, ls_init_value=None, num_classes=CLASSES), 7)
    save("convnext_timm", model.state_dict())
    images = pictures(CONVNEXT["image"])
    expected["convnext_timm"] = dict(logits=rounded(model(images)))
    mean = model.forward_features(images).mean((2, 3))
    expected["fcmae"] = dict(features=rounded(F.layer_norm(mean, mean.shape[1:], eps=1e-6)))
    fcmae(model.state_dict())


def fcmae(state):
    """TAO's file and one of Meta's training code, of the encoder of timm's model and one decoder."""
    dense = {}
    for name, value in state.items():
        if name.startswith("head."):
            continue
        parts = name.split(".")
        if parts[0] == "stem":
            parts[:1] = ["downsample_layers", "0"]
        elif parts[2] == "downsample":
            parts[:3] = ["downsample_layers", parts[1]]
        else:
            del parts[2]
            if parts[3] == "mlp":
                del parts[3]
            parts[3] = {"conv_dw": "dwconv", "fc1": "pwconv1", "fc2": "pwconv2"}.get(parts[3], parts[3])
            if parts[3] == "grn":
                parts[4] = {"weight": "gamma", "bias": "beta"}[parts[4]]
                value = value.reshape(1, 1, 1, -1)
        dense["encoder." + ".".join(parts)] = value
    generator = torch.Generator().manual_seed(8)
    width, pixels = CONVNEXT["decoder_width"], 3 * (8 * CONVNEXT["patch"]) ** 2
    behind = dict(
        mask_token=(1, width, 1, 1),
        **{"proj.weight": (width, CONVNEXT["widths"][3], 1, 1), "proj.bias": (width,)},
        **{"decoder.0.dwconv.weight": (width, 1, 7, 7), "decoder.0.dwconv.bias": (width,)},
        **{"decoder.0.norm.weight": (width,), "decoder.0.norm.bias": (width,)},
        **{"decoder.0.pwconv1.weight": (4 * width, width), "decoder.0.pwconv1.bias": (4 * width,)},
        **{"decoder.0.grn.gamma": (1, 1, 1, 4 * width), "decoder.0.grn.beta": (1, 1, 1, 4 * width)},
        **{"decoder.0.pwconv2.weight": (width, 4 * width), "decoder.0.pwconv2.bias": (width,)},
        **{"pred.weight": (pixels, width, 1, 1), "pred.bias": (pixels,)})
    decoder = {name: torch.randn(shape, generator=generator) for name, shape in behind.items()}
    lightning = {f"model.{name}": value for name, value in (dense | decoder).items()}
    save_pth("fcmae_tao", {"epoch": 1, "global_step": 2, "state_dict": lightning})
    sparse = dict(sparse_of(name, value) for name, value in dense.items())
    for name, value in remapped(sparse).items():
        assert torch.equal(value, dense["encoder." + name]), name
    save_pth("fcmae_sparse", {"model": sparse | decoder, "epoch": 1})


def sparse_of(name, value):
    """A tensor as the layers of MinkowskiEngine hold it; the stem is a plain convolution."""
    layer, kind = name.rsplit(".", 1)
    if "downsample_layers.0." in name:
        return name, value
    if value.ndim == 4 and kind == "weight":
        outputs, inputs, side, _ = value.shape
        rows = value.transpose(3, 2).reshape(outputs, inputs, side * side).permute(2, 1, 0)
        return f"{layer}.kernel", (rows.squeeze(1) if layer.endswith("dwconv") else rows).contiguous()
    if layer.endswith("grn"):
        return name, value.reshape(1, -1)
    if layer.endswith("norm") or layer.endswith(".0"):
        return f"{layer}.ln.{kind}", value
    if "pwconv" in layer:
        return f"{layer}.linear.{kind}", value
    return name, value.reshape(1, -1)


def remapped(sparse):
    """Back, by the rule of `utils.py:remap_checkpoint_keys` of facebookresearch/ConvNeXt-V2."""
    dense = {}
    for name, value in sparse.items():
        parts = name.split(".")[1:]
        if parts[-1] == "kernel":
            side = math.isqrt(value.shape[0])
            value = value[:, None] if value.ndim == 2 else value
            _, inputs, outputs = value.shape
            value = value.permute(2, 1, 0).reshape(outputs, inputs, side, side).transpose(3, 2)
            parts[-1] = "weight"
        elif parts[-2] in ("ln", "linear"):
            del parts[-2]
        if parts[-1] == "bias":
            value = value.reshape(-1)
        if parts[-2] == "grn":
            value = value.reshape(1, 1, 1, -1)
        dense[".".join(parts)] = value
    return dense


def main():
    torch.set_num_threads(1)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    expected = dict(vit=VIT, hiera=HIERA, convnext=CONVNEXT, classes=CLASSES, mask_ratio=MASK_RATIO)
    for make in (vit_of_transformers, vit_of_timm, hiera_of_transformers, hiera_of_timm,
                 convnext_of_transformers, convnext_of_timm):
        make(expected)
    (FOLDER / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    print(sum(path.stat().st_size for path in FOLDER.iterdir()), "bytes")


if __name__ == "__main__":
    main()
