"""Compares `trainer clip inference` with the reference pipelines at full size, files to HDF5.

    python tests/parity/clip.py TRAINER SHARED_DATA WORK [--loud] [siglip2 | naflex | nv_clip | openai]

Random weights are saved by the reference library itself; 20 photographs and 20 captions go through
its own pipeline and through ours; the smallest cosine of each kind is printed, and below 0.9999 the
script fails. With --loud the matrices are larger than the libraries draw them: inputs are told apart
better, and every difference between two JPEG decoders is amplified. Needs torch, transformers, open_clip_torch, h5py. Not part of the tests: the weights
are gigabytes, the photographs are not ours.
"""

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import torch
from PIL import Image

PAIRS = 20
LOUD = "--loud" in sys.argv


def louder(model):
    """With --loud, larger matrices."""
    if not LOUD:
        return model.eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2 and "positional_embedding" not in name.replace("visual.", ""):
                scale = 0.7 / parameter[0].numel() ** 0.5
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return model.eval()


def siglip2(work, shared, pictures, captions):
    from transformers import Siglip2Tokenizer, SiglipConfig, SiglipModel
    import transformers

    towers = dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
    config = SiglipConfig(
        text_config=dict(towers, vocab_size=256000, max_position_embeddings=64, projection_size=768),
        vision_config=dict(towers, image_size=224, patch_size=16),
    )
    model = louder(SiglipModel(config))
    folder = work / "siglip2"
    model.save_pretrained(folder)
    with gzip.open(shared / "tokenizers/gemma/tokenizer.json.gz") as file:
        (folder / "tokenizer.json").write_bytes(file.read())

    processor = getattr(transformers, "SiglipImageProcessorPil", transformers.SiglipImageProcessor)
    processor = processor(size=dict(height=224, width=224), resample=2)
    pixels = processor(images=[Image.open(p).convert("RGB") for p in pictures], return_tensors="pt")
    tokenizer = Siglip2Tokenizer.from_pretrained(folder, padding_side="right")
    # The published files append <eos> and no <bos>; this Gemma file has its own post-processor.
    ids = [tokenizer.backend_tokenizer.encode(c.lower(), add_special_tokens=False).ids[:63] + [1] for c in captions]
    ids = torch.tensor([row + [0] * (64 - len(row)) for row in ids])
    with torch.no_grad():
        images = model.vision_model(pixels["pixel_values"]).pooler_output
        texts = model.text_model(ids).pooler_output
    return "siglip2-base-patch16-224", folder, None, images, texts


def naflex(work, shared, pictures, captions):
    import transformers
    from transformers import Siglip2Config, Siglip2Model, Siglip2Tokenizer

    towers = dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
    config = Siglip2Config(
        text_config=dict(towers, vocab_size=256000, max_position_embeddings=64, projection_size=768),
        vision_config=dict(towers, num_patches=256, patch_size=16),
    )
    model = louder(Siglip2Model(config))
    folder = work / "naflex"
    model.save_pretrained(folder)
    with gzip.open(shared / "tokenizers/gemma/tokenizer.json.gz") as file:
        (folder / "tokenizer.json").write_bytes(file.read())

    processor = getattr(transformers, "Siglip2ImageProcessorPil", transformers.Siglip2ImageProcessor)
    processor = processor(patch_size=16, max_num_patches=256)
    pixels = processor(images=[Image.open(p).convert("RGB") for p in pictures], return_tensors="pt")
    tokenizer = Siglip2Tokenizer.from_pretrained(folder, padding_side="right")
    ids = [tokenizer.backend_tokenizer.encode(c.lower(), add_special_tokens=False).ids[:63] + [1] for c in captions]
    ids = torch.tensor([row + [0] * (64 - len(row)) for row in ids])
    with torch.no_grad():
        images = model.get_image_features(**pixels)
        texts = model.get_text_features(input_ids=ids)
    plain = lambda out: getattr(out, "pooler_output", out)
    return "siglip2-base-patch16-naflex", folder, None, plain(images), plain(texts)


def nv_clip(work, shared, pictures, captions):
    vision = dict(image_size=224, layers=24, width=1024, patch_size=14, no_ln_pre=True, pool_type="avg",
                  final_ln_after_pool=True, pos_embed_type="sin_cos_2d", patch_dropout=0.0)
    text = dict(context_length=77, vocab_size=32000, width=768, heads=12, layers=12, pool_type="last",
                no_causal_mask=True, hf_tokenizer_name=str(shared / "tokenizers/bert"),
                tokenizer_kwargs=dict(strip_sep_token=True))
    return open_clip_case("nv_clip", "ViT-L-14-SigLIP-CLIPA-224", vision, text, 768, dict(init_logit_bias=-10),
                          work, shared / "tokenizers/bert", pictures, captions)


def openai(work, shared, pictures, captions):
    vision = dict(image_size=224, layers=12, width=768, patch_size=32)
    text = dict(context_length=77, vocab_size=49408, width=512, heads=8, layers=12)
    return open_clip_case("openai", "ViT-B-32", vision, text, 512, {},
                          work, shared / "tokenizers/clip", pictures, captions)


def open_clip_case(name, model_type, vision, text, embed_dim, extra, work, tokenizer_path, pictures, captions):
    import open_clip
    from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
    from safetensors.torch import save_file

    keys = {k: v for k, v in text.items() if k not in ("hf_tokenizer_name", "tokenizer_kwargs")}
    model = louder(open_clip.model.CLIP(embed_dim, vision, keys, **extra))
    path = work / f"{name}.safetensors"
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path)

    if "hf_tokenizer_name" in text:
        tokenizer = HFTokenizer(text["hf_tokenizer_name"], context_length=77, strip_sep_token=True)
    else:
        tokenizer = SimpleTokenizer(context_length=77)
    transform = open_clip.image_transform(224, is_train=False)
    with torch.no_grad():
        images = model.encode_image(torch.stack([transform(Image.open(p)) for p in pictures]))
        texts = model.encode_text(tokenizer(captions))
    return model_type, path, tokenizer_path, images, texts


def main(trainer, shared, work, names):
    work.mkdir(parents=True, exist_ok=True)
    pictures = sorted((shared / "coco_mini/val").glob("*.jpg"))[:PAIRS]
    annotations = json.loads((shared / "coco_mini/annotations/captions_val.json").read_text())
    captions = [a["caption"].strip() for a in annotations["annotations"][:PAIRS]]
    inputs = work / "inputs"
    shutil.rmtree(inputs, ignore_errors=True)
    inputs.mkdir()
    for picture in pictures:
        shutil.copy(picture, inputs / picture.name)
    pictures = sorted(inputs.glob("*.jpg"))
    (work / "prompts.txt").write_text("\n".join(captions) + "\n")

    failed = False
    for name in names:
        case = {"siglip2": siglip2, "naflex": naflex, "nv_clip": nv_clip, "openai": openai}[name]
        model_type, weights, tokenizer, images, texts = case(work, shared, pictures, captions)
        results = work / f"{name}-results"
        shutil.rmtree(results, ignore_errors=True)
        spec = work / f"{name}.yaml"
        lines = [f"model: {{type: {model_type}}}", f"results_dir: {results}", "inference:",
                 f"  checkpoint: {weights}", f"  datasets: [{{image_dir: {inputs}}}]",
                 f"  text_file: {work / 'prompts.txt'}", "  batch_size: 8", "  num_workers: 0"]
        if tokenizer:
            lines += [f"hearth: {{model: {{tokenizer: {tokenizer}}}}}"]
        spec.write_text("\n".join(lines) + "\n")
        subprocess.run([trainer, "clip", "inference", "-e", spec, "--quiet"], check=True)
        for kind, reference in (("image", images), ("text", texts)):
            with h5py.File(results / f"inference/{kind}_embeddings.h5") as file:
                ours = file["embeddings"][:]
            reference = torch.nn.functional.normalize(reference, dim=-1).numpy()
            assert ours.shape == reference.shape, (ours.shape, reference.shape)
            cosine = (ours * reference).sum(1)
            others = reference @ reference.T - 2 * np.eye(len(reference))
            print(f"{name:8} {kind:5} smallest cosine {cosine.min():.7f}, closest other {others.max():.4f}")
            failed |= cosine.min() < 0.9999
    sys.exit(failed)


if __name__ == "__main__":
    torch.manual_seed(0)
    names = [name for name in sys.argv[4:] if name != "--loud"] or ["siglip2", "naflex", "nv_clip", "openai"]
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), names)
