"""Fixtures of the CLIP models, in tests/golden/clip_models: outputs, losses, gradients and three
AdamW steps of the reference implementations, from seeded random weights of tiny models.

    python tests/golden/clip_models.py

What each file holds, and every convention, stands in tests/golden/clip_models/README.md.
Made with torch 2.15.0, transformers 5.23.0, open_clip_torch 3.3.0, timm 1.0.31, numpy 2.4.6.
"""

import json
import math
from pathlib import Path

import numpy
import open_clip
import safetensors.torch
import timm
import timm.optim
import torch
import transformers
from open_clip.loss import ClipLoss, SigLipLoss
from timm.models.vision_transformer import _create_vision_transformer, register_model

FOLDER = Path(__file__).parent / "clip_models"

VISION_LR, TEXT_LR = 1e-3, 5e-4
BETAS, EPS, DECAY = (0.9, 0.95), 1e-6, 0.1
STEPS = 3
BATCH = 5
# Of a model without `logit_bias`, in the sigmoid loss.
ABSENT_BIAS = -10.0
POSITIONS = ("position_embedding", "positional_embedding", "pos_embed")


# --- the models -------------------------------------------------------------------------------


def siglip_hf():
    tower = dict(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4
    )
    config = transformers.SiglipConfig(
        text_config=dict(
            tower,
            vocab_size=128,
            max_position_embeddings=16,
            pad_token_id=0,
            bos_token_id=2,
            eos_token_id=1,
        ),
        vision_config=dict(tower, image_size=32, patch_size=8),
    )
    return transformers.SiglipModel(config)


def naflex_hf():
    tower = dict(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4
    )
    config = transformers.Siglip2Config(
        text_config=dict(
            tower,
            vocab_size=128,
            max_position_embeddings=16,
            pad_token_id=0,
            bos_token_id=2,
            eos_token_id=1,
        ),
        vision_config=dict(tower, num_patches=16, patch_size=8),
    )
    return transformers.Siglip2Model(config)


def clip_hf():
    tower = dict(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4
    )
    config = transformers.CLIPConfig(
        text_config=dict(
            tower,
            vocab_size=128,
            max_position_embeddings=16,
            pad_token_id=0,
            bos_token_id=126,
            eos_token_id=127,
            hidden_act="quick_gelu",
            projection_dim=24,
        ),
        vision_config=dict(
            tower, image_size=32, patch_size=8, hidden_act="quick_gelu", projection_dim=24
        ),
        projection_dim=24,
    )
    return transformers.CLIPModel(config)


NV_CONFIG = {
    "embed_dim": 24,
    "init_logit_bias": -10,
    "vision_cfg": {
        "image_size": 28,
        "patch_size": 14,
        "layers": 2,
        "width": 32,
        "head_width": 8,
        "no_ln_pre": True,
        "pool_type": "avg",
        "final_ln_after_pool": True,
        "pos_embed_type": "sin_cos_2d",
    },
    "text_cfg": {
        "context_length": 16,
        "vocab_size": 128,
        "width": 32,
        "heads": 4,
        "layers": 2,
        "pool_type": "last",
        "no_causal_mask": True,
    },
}

OPENAI_CONFIG = {
    "embed_dim": 24,
    "quick_gelu": True,
    "vision_cfg": {
        "image_size": 32,
        "patch_size": 8,
        "layers": 2,
        "width": 32,
        "head_width": 8,
        "mlp_ratio": 2.0,
    },
    "text_cfg": {
        "context_length": 16,
        "vocab_size": 128,
        "width": 32,
        "heads": 4,
        "layers": 2,
        "mlp_ratio": 2.0,
    },
}

SIGLIP_CONFIG = {
    "embed_dim": 32,
    "init_logit_bias": -10,
    "custom_text": True,
    "vision_cfg": {
        "image_size": 32,
        "timm_model_name": "vit_tiny_siglip_fixture",
        "timm_pool": "map",
        "timm_proj": "none",
    },
    "text_cfg": {
        "context_length": 16,
        "vocab_size": 128,
        "width": 32,
        "heads": 4,
        "layers": 2,
        "mlp_ratio": 2.0,
        "no_causal_mask": True,
        "pool_type": "last",
        "proj_bias": True,
        "norm_kwargs": {"eps": 1e-6},
        "act_kwargs": {"approximate": "tanh"},
    },
}


@register_model
def vit_tiny_siglip_fixture(pretrained=False, **kwargs):
    """`vit_so400m_patch16_siglip_256` of timm, in small: open_clip builds its tower by name."""
    return _create_vision_transformer(
        "vit_tiny_siglip_fixture",
        pretrained=False,
        **dict(
            dict(
                img_size=32,
                patch_size=8,
                embed_dim=32,
                depth=2,
                num_heads=4,
                mlp_ratio=2.0,
                class_token=False,
                global_pool="map",
                act_layer="gelu_tanh",
            ),
            **kwargs,
        ),
    )


def open_clip_model(config):
    config = json.loads(json.dumps(config))
    custom = config.pop("custom_text", False)
    kind = open_clip.model.CustomTextCLIP if custom else open_clip.model.CLIP
    return kind(**config)


# --- weights ----------------------------------------------------------------------------------


def randomise(model, seed, logits):
    """Values with which no mistake hides: the libraries begin with biases of 0 and norms of 1,
    which a loader could swap or leave out unnoticed."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            last = name.rsplit(".", 1)[-1]
            if not parameter.requires_grad:
                continue  # the sin-cos table of NV-CLIP
            noise = torch.randn(parameter.shape, generator=generator)
            if last in logits:
                parameter.fill_(logits[last])
            elif last in ("logit_scale", "logit_bias"):
                continue
            elif any(kind in name for kind in POSITIONS) or "class_embedding" in name:
                parameter.copy_(0.3 * noise)
            elif "token_embedding" in name or last in ("probe", "latent"):
                parameter.copy_(noise)
            elif parameter.ndim >= 2:
                # The projections of open_clip are [in, out], which is the same but for this.
                fan_in = parameter[0].numel()
                if last in ("proj", "text_projection"):
                    fan_in = parameter.shape[0]
                parameter.copy_(noise / math.sqrt(fan_in))
            elif last.endswith("weight"):
                parameter.copy_(1 + 0.2 * noise)
            else:
                parameter.copy_(0.1 * noise)


def to_open_clip(state):
    """Weights of `SiglipModel` under the names of open_clip's CustomTextCLIP with a timm tower."""
    out = {}

    def blocks(theirs, ours, names):
        for i in range(2):
            a, b = f"{theirs}.{i}", f"{ours}.{i}"
            for kind in ("weight", "bias"):
                qkv = [state[f"{a}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
                out[f"{b}.{names['qkv'].format(kind)}"] = torch.cat(qkv)
                for old, new in names["rest"].items():
                    out[f"{b}.{new}.{kind}"] = state[f"{a}.{old}.{kind}"]

    vision = "visual.trunk"
    blocks(
        "vision_model.encoder.layers",
        f"{vision}.blocks",
        {
            "qkv": "attn.qkv.{}",
            "rest": {
                "self_attn.out_proj": "attn.proj",
                "layer_norm1": "norm1",
                "layer_norm2": "norm2",
                "mlp.fc1": "mlp.fc1",
                "mlp.fc2": "mlp.fc2",
            },
        },
    )
    blocks(
        "text_model.encoder.layers",
        "text.transformer.resblocks",
        {
            "qkv": "attn.in_proj_{}",
            "rest": {
                "self_attn.out_proj": "attn.out_proj",
                "layer_norm1": "ln_1",
                "layer_norm2": "ln_2",
                "mlp.fc1": "mlp.c_fc",
                "mlp.fc2": "mlp.c_proj",
            },
        },
    )
    head, pool = "vision_model.head", f"{vision}.attn_pool"
    out[f"{pool}.latent"] = state[f"{head}.probe"]
    for kind in ("weight", "bias"):
        q, kv = state[f"{head}.attention.in_proj_{kind}"].split([32, 64])
        out[f"{pool}.q.{kind}"], out[f"{pool}.kv.{kind}"] = q.clone(), kv.clone()
        out[f"{pool}.proj.{kind}"] = state[f"{head}.attention.out_proj.{kind}"]
        out[f"{pool}.norm.{kind}"] = state[f"{head}.layernorm.{kind}"]
        for layer in ("fc1", "fc2"):
            out[f"{pool}.mlp.{layer}.{kind}"] = state[f"{head}.mlp.{layer}.{kind}"]
        out[f"{vision}.patch_embed.proj.{kind}"] = state[
            f"vision_model.embeddings.patch_embedding.{kind}"
        ]
        out[f"{vision}.norm.{kind}"] = state[f"vision_model.post_layernorm.{kind}"]
        out[f"text.ln_final.{kind}"] = state[f"text_model.final_layer_norm.{kind}"]
        out[f"text.text_projection.{kind}"] = state[f"text_model.head.{kind}"]
    out[f"{vision}.pos_embed"] = state["vision_model.embeddings.position_embedding.weight"][None]
    out["text.token_embedding.weight"] = state["text_model.embeddings.token_embedding.weight"]
    out["text.positional_embedding"] = state["text_model.embeddings.position_embedding.weight"]
    out["logit_scale"] = state["logit_scale"].reshape(())
    out["logit_bias"] = state["logit_bias"].reshape(())
    return out


# --- inputs -----------------------------------------------------------------------------------


def batch(size, kind, seed):
    """Pictures [5, 3, size, size] and token ids [5, 16]."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randn(BATCH, 3, size, size, generator=generator)
    words = torch.randint(3, 126, (BATCH, 16), generator=generator)
    lengths = [3, 9, 16, 6, 12]
    ids = torch.zeros(BATCH, 16, dtype=torch.int64)
    for row, length in enumerate(lengths):
        if kind == "clip":  # bos, words, eos (the largest id), padding
            ids[row, :length] = words[row, :length]
            ids[row, 0], ids[row, length - 1] = 126, 127
        else:  # words, eos, padding
            ids[row, :length] = words[row, :length]
            ids[row, length - 1] = 1
    return pixels, ids


# Rows and columns of patches: smaller and larger than the table of 4 x 4, and of any shape.
GRIDS = [[3, 4], [4, 5], [5, 4], [1, 20], [2, 2]]


def naflex_batch(patch, seed):
    """Patches [5, 20, patch * patch * 3] with noise for padding, which must not matter, and ids."""
    generator = torch.Generator().manual_seed(seed)
    patches = torch.randn(BATCH, 20, 3 * patch * patch, generator=generator)
    shapes = torch.tensor(GRIDS)
    mask = (torch.arange(20)[None] < shapes.prod(1, keepdim=True)).to(torch.int32)
    _, ids = batch(8, "siglip", seed)
    return dict(pixel_values=patches, pixel_attention_mask=mask, spatial_shapes=shapes), ids


# --- outputs ----------------------------------------------------------------------------------


def embed(model, pixels, ids):
    if isinstance(pixels, dict):
        outputs = model(**pixels, input_ids=ids)
        return outputs.image_embeds, outputs.text_embeds
    if isinstance(model, transformers.PreTrainedModel):
        outputs = model(pixel_values=pixels, input_ids=ids)
        return outputs.image_embeds, outputs.text_embeds
    return model.encode_image(pixels, normalize=True), model.encode_text(ids, normalize=True)


def losses(model, images, texts):
    scale, bias = model.logit_scale.exp(), getattr(model, "logit_bias", None)
    absent = torch.tensor(ABSENT_BIAS)
    return {
        "clip": ClipLoss()(images, texts, scale, bias),
        "siglip": SigLipLoss()(images, texts, scale, absent if bias is None else bias),
    }


def gradients(model, pixels, ids, kind):
    model.zero_grad()
    losses(model, *embed(model, pixels, ids))[kind].sum().backward()
    return {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def tower(name):
    if name in ("logit_scale", "logit_bias"):
        return "logit"
    vision = name.startswith(("visual.", "vision_model.", "visual_projection."))
    return "vision" if vision else "text"


def decays(name, parameter):
    return (
        tower(name) != "logit"
        and parameter.ndim >= 2
        and not any(kind in name for kind in POSITIONS)
    )


def train(model, pixels, ids, kind):
    """Three steps of AdamW on the same batch; the losses before each of them."""
    lr = {"vision": VISION_LR, "text": TEXT_LR, "logit": TEXT_LR}
    groups = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            key = (tower(name), decays(name, parameter))
            groups.setdefault(key, []).append(parameter)
    optimizer = torch.optim.AdamW(
        [
            {"params": parameters, "lr": lr[part], "weight_decay": DECAY if decay else 0.0}
            for (part, decay), parameters in groups.items()
        ],
        betas=BETAS,
        eps=EPS,
        foreach=False,
    )
    history = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = losses(model, *embed(model, pixels, ids))[kind].sum()
        history.append(loss.item())
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
    return history


# --- cases ------------------------------------------------------------------------------------


def state_of(model):
    """As the library saves it."""
    state = model.state_dict()
    return {name: tensor.detach().clone().contiguous() for name, tensor in state.items()}


def write(name, tensors, metadata=None):
    path = FOLDER / f"{name}.safetensors"
    tensors = {key: tensor.detach().contiguous() for key, tensor in tensors.items()}
    safetensors.torch.save_file(tensors, path, metadata)
    path.chmod(0o644)  # safetensors writes files for their owner only


def outputs(model, pixels, ids):
    """Embeddings, logits and losses, without gradients."""
    with torch.no_grad():
        images, texts = embed(model, pixels, ids)
        both = losses(model, images, texts)
        bias = getattr(model, "logit_bias", None)
        logits = model.logit_scale.exp() * images @ texts.T + (0 if bias is None else bias)
    return {
        "image_embedding": images,
        "text_embedding": texts,
        "logits": logits,
        "loss.clip": both["clip"].reshape(()),
        "loss.siglip": both["siglip"].reshape(()),
    }


def case(name, model, kind, size, *, seed, natural, config, gradients_of=(), steps=True):
    model.eval()
    pixels, ids = naflex_batch(8, seed) if kind == "naflex" else batch(size, kind, seed)
    write(f"{name}.weights", state_of(model), {"format": "pt"})
    expected = {"ids": ids, **outputs(model, pixels, ids)}
    if isinstance(pixels, dict):
        expected.update(pixels=pixels["pixel_values"], grids=pixels["spatial_shapes"])
    else:
        expected["pixels"] = pixels
    zero_gradients = {}
    for loss in gradients_of:
        grads = gradients(model, pixels, ids, loss)
        expected.update({f"grad.{loss}.{key}": gradient for key, gradient in grads.items()})
        norms = {key: gradient.norm().item() for key, gradient in grads.items()}
        median = sorted(norms.values())[len(norms) // 2]
        zero_gradients[loss] = sorted(key for key in norms if norms[key] < 1e-6 * median)
    named = {key: p for key, p in model.named_parameters() if p.requires_grad}
    description = {
        "model": type(model).__name__,
        "config": config,
        "natural_loss": natural,
        "zero_gradients": zero_gradients,
        "image_size": size,
        "parameters": sum(p.numel() for p in model.parameters()),
        "tensors": len(state_of(model)),
        "losses": {kind: expected[f"loss.{kind}"].item() for kind in ("clip", "siglip")},
        "not_trained": sorted(
            key for key, p in model.named_parameters() if not p.requires_grad
        ),
        "without_decay": sorted(
            key for key, p in named.items() if p.ndim >= 2 and not decays(key, p)
        ),
    }
    if steps:
        description["losses_of_steps"] = train(model, pixels, ids, natural)
        for key in named:
            expected[f"after.{key}"] = model.state_dict()[key]
    write(f"{name}.expected", expected)
    (FOLDER / f"{name}.json").write_text(json.dumps(description, indent=1) + "\n")
    return expected


def models():
    siglip = siglip_hf()
    randomise(siglip, 1, {"logit_scale": 2.3026, "logit_bias": -10.0})
    open_clip_siglip = open_clip_model(SIGLIP_CONFIG).eval()
    open_clip_siglip.load_state_dict(to_open_clip(state_of(siglip)), strict=True)
    first = case(
        "siglip_hf",
        siglip,
        "siglip",
        32,
        seed=101,
        natural="siglip",
        config=siglip.config.to_diff_dict(),
        gradients_of=("siglip", "clip"),
    )

    # The sigmoid loss of transformers itself is the same.
    siglip.load_state_dict(safetensors.torch.load_file(FOLDER / "siglip_hf.weights.safetensors"))
    own = siglip(pixel_values=first["pixels"], input_ids=first["ids"], return_loss=True).loss
    torch.testing.assert_close(own.detach(), first["loss.siglip"])

    # The same weights and inputs in the other layout: open_clip must agree with transformers.
    second = case(
        "siglip_openclip",
        open_clip_siglip,
        "siglip",
        32,
        seed=101,
        natural="siglip",
        config=SIGLIP_CONFIG,
        steps=False,
    )
    for key in ("pixels", "ids"):
        assert torch.equal(first[key], second[key])
    for key in ("image_embedding", "text_embedding", "logits", "loss.clip", "loss.siglip"):
        torch.testing.assert_close(first[key], second[key], atol=2e-6, rtol=2e-6)

    naflex = naflex_hf()
    randomise(naflex, 5, {"logit_scale": 2.3026, "logit_bias": -10.0})
    case(
        "naflex_hf",
        naflex,
        "naflex",
        None,
        seed=105,
        natural="siglip",
        config=naflex.config.to_diff_dict(),
        gradients_of=("siglip", "clip"),
    )

    clip = clip_hf()
    randomise(clip, 2, {"logit_scale": 2.6592})
    with torch.no_grad():
        pixels, ids = batch(32, "clip", 102)
        own = clip(pixel_values=pixels, input_ids=ids, return_loss=True).loss
        torch.testing.assert_close(own, losses(clip, *embed(clip, pixels, ids))["clip"])
    case(
        "clip_hf",
        clip,
        "clip",
        32,
        seed=102,
        natural="clip",
        config=clip.config.to_diff_dict(),
        gradients_of=("clip",),
    )

    nv = open_clip_model(NV_CONFIG)
    randomise(nv, 3, {})
    case(
        "openclip_nv",
        nv,
        "siglip",
        28,
        seed=103,
        natural="siglip",
        config=NV_CONFIG,
        gradients_of=("siglip",),
    )

    openai = open_clip_model(OPENAI_CONFIG)
    randomise(openai, 4, {})
    state = state_of(openai)
    case(
        "openclip_openai",
        openai,
        "clip",
        32,
        seed=104,
        natural="clip",
        config=OPENAI_CONFIG,
        gradients_of=("clip",),
    )
    # The twin: the same weights and inputs with exact GELU, outputs only.
    config = {**OPENAI_CONFIG, "quick_gelu": False}
    twin = open_clip_model(config).eval()
    twin.load_state_dict(state, strict=True)
    write("openclip_openai_gelu.expected", outputs(twin, *batch(32, "clip", 104)))
    description = {
        "model": "CLIP",
        "config": config,
        "weights": "openclip_openai.weights.safetensors",
        "inputs": "openclip_openai.expected.safetensors",
    }
    (FOLDER / "openclip_openai_gelu.json").write_text(json.dumps(description, indent=1) + "\n")


def positions():
    """Position tables fitted to another size, by the functions of the libraries themselves."""
    generator = torch.Generator().manual_seed(7)
    grid, text = torch.randn(16, 6, generator=generator), torch.randn(16, 6, generator=generator)
    cls = torch.randn(1, 6, generator=generator)
    tensors = {"grid": grid, "cls": cls, "text": text}

    class Sized:
        pass

    for side in (3, 7):
        model, model.visual = Sized(), Sized()
        model.visual.grid_size = (side, side)
        state = {"visual.positional_embedding": torch.cat([cls, grid])}
        open_clip.model.resize_pos_embed(state, model)
        tensors[f"open_clip.bicubic_antialias.{side}"] = state["visual.positional_embedding"]

        embeddings = Sized()
        embeddings.patch_size = 1
        embeddings.position_embedding = torch.nn.Embedding(16, 6, _weight=grid)
        resize = transformers.models.siglip.modeling_siglip.SiglipVisionEmbeddings
        resized = resize.interpolate_pos_encoding(
            embeddings, torch.empty(1, side * side, 6), side, side
        )
        tensors[f"transformers.bicubic.{side}"] = resized[0]

        table = timm.layers.resample_abs_pos_embed(
            grid[None], new_size=[side, side], num_prefix_tokens=0
        )
        tensors[f"timm.bicubic_antialias.{side}"] = table[0]
    for length in (9, 20):
        model, model.positional_embedding = Sized(), torch.empty(length, 6)
        state = {"positional_embedding": text}
        open_clip.model.resize_text_pos_embed(state, model)
        tensors[f"open_clip.linear.{length}"] = state["positional_embedding"]
    write("positions", tensors)


# --- LAMB -------------------------------------------------------------------------------------


def lamb():
    """Apex FusedLAMB, in numpy at double precision; README.md says what it does."""
    rng = numpy.random.default_rng(13)
    tensors = {
        "matrix": {"shape": [4, 3], "decay": 0.1, "lr": 1e-2},
        "bias": {"shape": [5], "decay": 0.0, "lr": 1e-2},
        "text_matrix": {"shape": [2, 6], "decay": 0.1, "lr": 5e-3},
        "zero": {"shape": [3, 2], "decay": 0.1, "lr": 1e-2},
    }
    beta1, beta2, eps, max_norm = 0.9, 0.95, 1e-6, 1.0
    weights = {}
    for name, tensor in tensors.items():
        start = rng.standard_normal(tensor["shape"]).astype("f4").astype("f8")
        weights[name] = start * (0 if name == "zero" else 1)
        tensor["start"] = weights[name].flatten().tolist()
    first = {name: numpy.zeros_like(value) for name, value in weights.items()}
    second = {name: numpy.zeros_like(value) for name, value in weights.items()}
    # Above the limit, below it, above it.
    steps = []
    for step, size in enumerate([3.0, 0.05, 1.0], start=1):
        grads = {
            name: (size * rng.standard_normal(tensor["shape"])).astype("f4").astype("f8")
            for name, tensor in tensors.items()
        }
        norm = math.sqrt(sum(float((grad**2).sum()) for grad in grads.values()))
        clip = norm / max_norm if norm > max_norm else 1.0
        ratios = {}
        for name, tensor in tensors.items():
            grad = grads[name] / clip
            first[name] = beta1 * first[name] + (1 - beta1) * grad
            second[name] = beta2 * second[name] + (1 - beta2) * grad**2
            update = (first[name] / (1 - beta1**step)) / (
                numpy.sqrt(second[name] / (1 - beta2**step)) + eps
            )
            update = update + tensor["decay"] * weights[name]
            ratio = 1.0
            if tensor["decay"] != 0:
                weight_norm, update_norm = (
                    float(numpy.linalg.norm(value)) for value in (weights[name], update)
                )
                if weight_norm != 0 and update_norm != 0:
                    ratio = weight_norm / update_norm
            ratios[name] = ratio
            weights[name] = weights[name] - tensor["lr"] * ratio * update
        steps.append(
            {
                "grads": {name: grad.flatten().tolist() for name, grad in grads.items()},
                "global_grad_norm": norm,
                "trust_ratios": ratios,
                "weights": {name: value.flatten().tolist() for name, value in weights.items()},
            }
        )
    check_lamb(tensors, steps, (beta1, beta2), eps, max_norm)
    fixture = {
        "betas": [beta1, beta2],
        "eps": eps,
        "max_grad_norm": max_norm,
        "bias_correction": True,
        "grad_averaging": True,
        "adam_w_mode": True,
        "use_nvlamb": False,
        "tensors": tensors,
        "steps": steps,
    }
    (FOLDER / "lamb.json").write_text(json.dumps(fixture, indent=1) + "\n")


def check_lamb(tensors, steps, betas, eps, max_norm):
    """timm's port of FusedLAMB must go the same way."""
    weights = {
        name: torch.nn.Parameter(
            torch.tensor(tensor["start"], dtype=torch.float64).reshape(tensor["shape"])
        )
        for name, tensor in tensors.items()
    }
    optimizer = timm.optim.Lamb(
        [
            {"params": [weights[name]], "lr": tensor["lr"], "weight_decay": tensor["decay"]}
            for name, tensor in tensors.items()
        ],
        betas=betas,
        eps=eps,
        max_grad_norm=max_norm,
    )
    for step in steps:
        for name, weight in weights.items():
            weight.grad = torch.tensor(step["grads"][name], dtype=torch.float64).view_as(weight)
        optimizer.step()
        for name, weight in weights.items():
            expected = torch.tensor(step["weights"][name], dtype=torch.float64)
            torch.testing.assert_close(weight.flatten(), expected, atol=1e-12, rtol=1e-12)


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(0)
    FOLDER.mkdir(exist_ok=True)
    models()
    positions()
    lamb()
    print(sum(path.stat().st_size for path in FOLDER.iterdir()), "bytes in", FOLDER)
