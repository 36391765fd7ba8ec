"""Makes the fixtures of crates/data: tests/golden/data/.

    python tests/golden/data.py [--shared ../shared] [pictures] [texts] [tables]

With the packages of requirements.txt; `cargo xtask goldens data` installs them and runs all parts.
References: Pillow and torchvision for pictures; open_clip, transformers and tokenizers for texts. All
pictures and vocabularies committed here are generated below. The large public vocabularies stay in
`--shared`; of them only ids are committed. Versions used are written into each manifest.
"""

import argparse
import gzip
import hashlib
import html
import html.entities
import importlib.metadata
import io
import json
import shutil
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
OUT = HERE / "data"
ENTITIES = HERE.parent.parent / "crates/data/src/text/html_entities.txt"


def versions(*packages):
    return {package: importlib.metadata.version(package) for package in packages}


def write_json(path, value):
    """One line per element of the outer lists: small diffs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for key, item in value.items():
        if isinstance(item, list):
            rows = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in item)
            lines.append(f"{json.dumps(key)}: [\n{rows}\n]")
        else:
            lines.append(f"{json.dumps(key)}: {json.dumps(item, ensure_ascii=False)}")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


# ---- pictures ------------------------------------------------------------------------------------


def scene(width, height, seed):
    """A picture with smooth colour, hard edges and noise: what resampling and rounding react to."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / (3 + 2 * c) + c) * np.cos(y / (5 + c) - seed) for c in range(3)]
    pixels = np.stack(waves, axis=-1) * 90 + 128
    for _ in range(4):
        left, top = rng.integers(0, width), rng.integers(0, height)
        w, h = rng.integers(1, width // 2 + 2), rng.integers(1, height // 2 + 2)
        pixels[top : top + h, left : left + w] = rng.integers(0, 256, 3)
    pixels += rng.normal(0, 6, pixels.shape)
    return pixels.clip(0, 255).astype(np.uint8)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def raw_png(pixels, kind, depth, interlaced=False, extra=b""):
    """PNG kinds that Pillow cannot write. `pixels` [height, width, channels] of uint8 or uint16."""
    height, width = pixels.shape[:2]

    def rows(part):
        big_endian = part.astype(">u2" if depth == 16 else "u1")
        return b"".join(b"\0" + row.tobytes() for row in big_endian if row.size)

    if interlaced:
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
        data = b"".join(rows(pixels[y::dy, x::dx]) for y, x, dy, dx in passes)
    else:
        data = rows(pixels)
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, int(interlaced))
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def save(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()


def decode_cases():
    """Name -> bytes of JPEG and PNG of every kind; pictures.py has more kinds and formats."""
    from PIL import Image

    rgb = Image.fromarray(scene(45, 31, 1))
    alpha = Image.fromarray(scene(45, 31, 2)).convert("L")
    rgba = rgb.copy()
    rgba.putalpha(alpha)
    grey_alpha = Image.merge("LA", (rgb.convert("L"), alpha))
    palette = rgb.quantize(32)
    wide = scene(21, 13, 3).astype(np.uint16) * 257 + 77

    read = {
        "rgb.png": save(rgb, format="PNG"),
        "grey.png": save(rgb.convert("L"), format="PNG"),
        "grey_alpha.png": save(grey_alpha, format="PNG"),
        "rgba.png": save(rgba, format="PNG"),
        "palette.png": save(palette, format="PNG"),
        "palette_transparent.png": save(palette, format="PNG", transparency=3),
        "bilevel.png": save(rgb.convert("1"), format="PNG"),
        "palette_4bit.png": save(rgb.quantize(11), format="PNG", bits=4),
        "grey_transparent.png": save(rgb.convert("L"), format="PNG", transparency=100),
        "rgb_16bit.png": raw_png(wide, 2, 16),
        "rgba_16bit.png": raw_png(np.concatenate([wide, wide[..., :1]], -1), 6, 16),
        "grey_alpha_16bit.png": raw_png(wide[..., :2], 4, 16),
        "interlaced.png": raw_png(scene(45, 31, 1), 2, 8, interlaced=True),
        "interlaced_1x1.png": raw_png(scene(1, 1, 1), 2, 8, interlaced=True),
        "gamma.png": raw_png(scene(20, 10, 4), 2, 8, extra=chunk(b"gAMA", struct.pack(">I", 100000))),
        "420.jpg": save(rgb, format="JPEG", quality=90, subsampling=2),
        "422.jpg": save(rgb, format="JPEG", quality=90, subsampling=1),
        "444.jpg": save(rgb, format="JPEG", quality=95, subsampling=0),
        "progressive.jpg": save(rgb, format="JPEG", quality=85, progressive=True),
        "restart.jpg": save(rgb, format="JPEG", quality=85, restart_marker_blocks=1),
        "grey.jpg": save(rgb.convert("L"), format="JPEG", quality=90),
        "narrow.jpg": save(rgb.resize((3, 40)), format="JPEG", quality=90, subsampling=0),
        "pixel.jpg": save(rgb.resize((1, 1)), format="JPEG", quality=90),
        "cmyk.jpg": save(rgb.convert("CMYK"), format="JPEG", quality=95, subsampling=0),
        "exif_rotated.jpg": save(rgb, format="JPEG", quality=90, exif=rotated_exif()),
    }
    # The same samples, read as YCCK: the transform byte of the Adobe segment decides.
    cmyk = read["cmyk.jpg"]
    transform = cmyk.index(b"Adobe") + 11
    read["ycck.jpg"] = cmyk[:transform] + b"\x02" + cmyk[transform + 1 :]
    read["trailing_bytes.jpg"] = read["420.jpg"] + b"\0" * 40

    return read


def rotated_exif():
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: a quarter turn; neither Pillow's convert nor TAO applies it
    return exif.tobytes()


def truncations(data):
    """[length, whether Pillow reads it] for cuts all over the file."""
    from PIL import Image

    verdicts = []
    for length in sorted({*range(0, len(data), max(1, len(data) // 40)), len(data) - 3, len(data) - 2, len(data) - 1}):
        try:
            Image.open(io.BytesIO(data[:length])).convert("RGB")
            verdicts.append([length, True])
        except Exception:
            verdicts.append([length, False])
    return verdicts


def pictures():
    import torchvision.transforms.functional as F
    from PIL import Image
    from torchvision.transforms import InterpolationMode as Mode

    # From 13 on, Pillow resizes the height first where it shrinks much more than the width. Published
    # models and TAO's containers were made with earlier versions.
    assert int(importlib.metadata.version("pillow").split(".")[0]) < 13, "needs Pillow before 13"
    folder = OUT / "pictures"
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("decode", "source", "expected"):
        (folder / part).mkdir(parents=True)

    def expect(name, image):
        image.save(folder / "expected" / f"{name}.png", optimize=True)
        return f"{name}.png"

    read = decode_cases()
    decode = []
    for name, data in read.items():
        (folder / "decode" / name).write_bytes(data)
        expected = expect("decode_" + name.replace(".", "_"), Image.open(io.BytesIO(data)).convert("RGB"))
        decode.append({"file": name, "expected": expected})
    cuts = [{"file": name, "cuts": truncations(read[name])} for name in ("420.jpg", "progressive.jpg", "restart.jpg", "rgb.png")]

    sources = {"landscape": scene(64, 47, 5), "portrait": scene(33, 70, 6), "strip": scene(90, 7, 7), "tiny": scene(5, 3, 8)}
    for name, pixels in sources.items():
        Image.fromarray(pixels).save(folder / "source" / f"{name}.png", optimize=True)
    sources = {name: Image.fromarray(pixels) for name, pixels in sources.items()}
    filters = {"bilinear": (Image.BILINEAR, Mode.BILINEAR), "bicubic": (Image.BICUBIC, Mode.BICUBIC)}

    resize = []
    for source, image in sources.items():
        for filter, (pil, _) in filters.items():
            for width, height in [(24, 24), (31, 17), (100, 90), (64, 20), (1, 1)]:
                name = expect(f"resize_{source}_{filter}_{width}x{height}", image.resize((width, height), pil))
                resize.append({"source": source, "filter": filter, "width": width, "height": height, "expected": name})
    boxes = [(3.25, 2.5, 40.75, 30.125), (0, 0, 33.3, 21.9), (20.6, 10.1, 64, 47), (7, 5, 12, 10), (0.4, 0.2, 63.9, 46.7)]
    for number, box in enumerate(boxes):
        for filter, (pil, _) in filters.items():
            for width, height in [(24, 24), (90, 61)]:
                image = sources["landscape"].resize((width, height), pil, box=box)
                name = expect(f"box_{number}_{filter}_{width}x{height}", image)
                resize.append({"source": "landscape", "filter": filter, "width": width, "height": height, "box": box, "expected": name})

    evaluate = []
    for source, image in sources.items():
        for size in (16, 33, 56):
            for filter, (_, mode) in filters.items():
                crop = F.center_crop(F.resize(image, size, mode), size)
                squash = F.resize(image, [size, size], mode)
                for resize_mode, result in [("shortest_side_then_crop", crop), ("squash", squash)]:
                    name = expect(f"evaluate_{source}_{resize_mode}_{filter}_{size}", result)
                    evaluate.append({"source": source, "resize": resize_mode, "filter": filter, "size": size, "expected": name})

    # One input in full, as the model sees it.
    mean, std = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    tensor = F.normalize(F.to_tensor(sources["landscape"].resize((12, 12), Image.BICUBIC)), mean, std)
    (folder / "input.f32").write_bytes(tensor.numpy().astype("<f4").tobytes())

    colour = []
    jitter = [("brightness", F.adjust_brightness), ("contrast", F.adjust_contrast), ("saturation", F.adjust_saturation)]
    for name, function in jitter:
        for factor in (0.0, 0.2, 0.68, 0.999, 1.0, 1.32, 1.8):
            result = expect(f"colour_{name}_{factor}", function(sources["portrait"], factor))
            colour.append({"ops": [[name, factor]], "expected": result})
    for turn in (-0.5, -0.08, -0.003, 0.0, 0.05, 0.08, 0.31, 0.5):
        colour.append({"ops": [["hue", turn]], "expected": expect(f"colour_hue_{turn}", F.adjust_hue(sources["portrait"], turn))})
    image = sources["portrait"]
    for name, function, factor in [("hue", F.adjust_hue, 0.06), ("contrast", F.adjust_contrast, 1.3), ("brightness", F.adjust_brightness, 0.7), ("saturation", F.adjust_saturation, 1.3)]:
        image = function(image, factor)
    ops = [["hue", 0.06], ["contrast", 1.3], ["brightness", 0.7], ["saturation", 1.3]]
    colour.append({"ops": ops, "expected": expect("colour_all", image)})
    colour.append({"ops": [["grayscale", 0]], "expected": expect("colour_grayscale", F.rgb_to_grayscale(sources["portrait"], 3))})

    crops = []
    for source, (left, top, width, height) in [("landscape", (5, 3, 40, 33)), ("portrait", (0, 11, 33, 40)), ("strip", (80, 1, 10, 6)), ("tiny", (1, 1, 3, 2))]:
        result = F.resized_crop(sources[source], top, left, height, width, [28, 28], Mode.BICUBIC)
        crops.append({"source": source, "crop": [left, top, width, height], "size": 28, "expected": expect(f"crop_{source}", result)})

    write_json(folder / "manifest.json", {
        "versions": versions("pillow", "torchvision"),
        "all_colours": all_colours(),
        "decode": decode, "cuts": cuts, "resize": resize, "evaluate": evaluate, "colour": colour, "crops": crops,
    })


def all_colours():
    """SHA-256 over the conversions of all 2^24 colours, in the order (r, g, b)."""
    from PIL import Image

    values = np.arange(256, dtype=np.uint8)
    cube = np.stack(np.meshgrid(values, values, values, indexing="ij"), axis=-1).reshape(4096, 4096, 3)
    image = Image.fromarray(cube)
    return {
        "grey": hashlib.sha256(np.asarray(image.convert("L")).tobytes()).hexdigest(),
        "to_hsv": hashlib.sha256(np.asarray(image.convert("HSV")).tobytes()).hexdigest(),
        "from_hsv": hashlib.sha256(np.asarray(Image.fromarray(cube, "HSV").convert("RGB")).tobytes()).hexdigest(),
    }


# ---- tables ---------------------------------------------------------------------------------------


def tables():
    """The names of the HTML standard for crates/data/src/text/entities.rs."""
    names = sorted(html.entities.html5.items())
    lines = ["{}\t{}\n".format(name, text.replace("\n", " ")) for name, text in names]
    ENTITIES.parent.mkdir(parents=True, exist_ok=True)
    ENTITIES.write_text("".join(lines), encoding="utf-8")


# ---- texts ---------------------------------------------------------------------------------------

CAPTIONS = [
    "",
    " ",
    "a",
    "A photo of a dog.",
    "  Two   dogs\tplay\nin the snow  ",
    "a red circle left of a small BLUE square",
    "It's the dog's ball, isn't it? We're sure they'll say I'd've known",
    "don\u2019t \u201cquote\u201d me \u2018here\u2019 \u2014 or there\u2026",
    "caf\u00e9 na\u00efve r\u00e9sum\u00e9 \u00c5ngstr\u00f6m \u0141\u00f3d\u017a",
    "cafe\u0301 with a combining accent",
    "\u4e00\u53ea\u5728\u96ea\u5730\u91cc\u7684\u72d7",
    "\u72ac\u304c\u516c\u5712\u3067\u904a\u3093\u3067\u3044\u308b",
    "\u0441\u043e\u0431\u0430\u043a\u0430 \u0431\u0435\u0436\u0438\u0442 \u043f\u043e \u0441\u043d\u0435\u0433\u0443",
    "\u0643\u0644\u0628 \u064a\u0644\u0639\u0628",
    "\u0e2a\u0e38\u0e19\u0e31\u0e02",
    "\u039f \u03a3\u039a\u03a5\u039b\u039f\u03a3 runs",
    "\u0130stanbul\u2019da bir k\u00f6pek",
    "stra\u00dfe STRASSE \u1e9e",
    "\U0001f415 runs \U0001f389\U0001f389 \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea",
    "\U0001d4d0 fancy \U0001d4ed\U0001d4f8\U0001d4f0",
    "black &amp; white &lt;b&gt; &quot;dogs&quot; &#39;n&#39; cats",
    "&amp;amp; twice &eacute; &EACUTE; &notit; &copy 2024 &#x1F415; &#128021 &nbsp;end",
    "<b>bold &amp; literal</b> &eacute;",
    "first line &lt; 3\n<i>html</i> &amp; second",
    "&#0; &#x80; &#150; &#xD800; &#99999999; &unknown; & &;",
    "5 x 7.5 = 37,5 in 1984, 100% of 12,345",
    "!!! ??? ... --- ((( ))) [x] {y} #hash @user $5 ^_^ ~tilde `tick`",
    "snake_case_name and kebab-case-name",
    "http://example.com/a/b?c=d&e=f#g",
    "\uff26\uff35\uff2c\uff2c\uff37\uff29\uff24\uff34\uff28 \uff76\uff80\uff76\uff85 \ufb01ne \ufb02uff \u01c6",
    "zero\u200bwidth soft\u00adhyphen nb\u00a0space line\u2028sep",
    "control \x07\x1b[31mred\x1b[0m \x1f chars \x7f\ufeff",
    "caf\u00c3\u00a9 it\u00e2\u20ac\u2122s \u00f0\u0178\u02dc\u20ac \u00c2\u00a9 2020 \u00e2\u20ac\u0153ok\u00e2\u20ac\x9d",
    "NESTL\u00c9\u00ae caf\u00e9\u2122 \u00c0 la carte \u00c5 \u00c2ngela",
    "a \u00bd cup, 10\u00b0C, x\u00b2, \u00b5m, \u20ac5",
    "<start_of_text> a dog <end_of_text>",
    "<|startoftext|> a dog <|endoftext|>",
    "<eos> <bos> <pad> [CLS] a [SEP] dog [MASK] [PAD] [UNK]",
    "<EOS> [cls] [sep]",
    "pneumonoultramicroscopicsilicovolcanoconiosis " * 3,
    "x" * 150,
    "the quick brown fox jumps over the lazy dog " * 12,
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen",
    "\u044f " * 90,
    "tab\tand\u3000ideographic\u2003em space",
    "A man , in a hat , stands . (left)",
]

# What ftfy repairs and we leave alone, or the other way round; see crates/data/src/text/clean.rs.
NOT_REPAIRED = [
    "\u0421\u0403\u0420\u0455\u0420\u00b1\u0420\u00b0\u0420\u0454\u0420\u00b0",  # UTF-8 read as Windows-1251
    "voil\u00c3 le travail",  # the second byte became a space
]


def words():
    """Text to train the small vocabularies on: enough for merges of several lengths."""
    colours, shapes = "red green blue yellow purple orange white black".split(), "circle square triangle star dog cat".split()
    sizes, places = "small large tiny huge".split(), "left right top bottom middle".split()
    lines = [f"a {size} {colour} {shape} on the {place}" for size in sizes for colour in colours for shape in shapes for place in places]
    return lines + ["don't we're it's i'll they've he'd the quick brown fox jumps over the lazy dog 0 1 2 3 4 5 6 7 8 9"] * 20


def small_vocabularies(folder):
    """A vocabulary of every kind, generated. Their own rules are wrong on purpose: we must not use them."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import CLIPTokenizer

    lines = words()
    # Like Gemma: BPE with byte fallback over whole sentences, `<bos>` in front, wrong padding and truncation.
    specials = ["<pad>", "<eos>", "<bos>", "<unk>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    gemma = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    gemma.normalizer = normalizers.Replace(" ", "\u2581")
    gemma.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    gemma.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=480, special_tokens=specials, show_progress=False))
    gemma.add_special_tokens(specials[:4])
    gemma.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    document = json.loads(gemma.to_str())
    document["added_tokens"] = [token for token in document["added_tokens"] if token["id"] < 4]
    gemma = Tokenizer.from_str(json.dumps(document))
    gemma.enable_truncation(7)
    gemma.enable_padding(length=9, direction="left", pad_id=3, pad_token="<unk>")
    gemma.save(str(folder / "gemma_like.json"), pretty=False)

    level = Tokenizer(models.WordLevel(unk_token="<unk>"))
    level.pre_tokenizer = pre_tokenizers.Whitespace()
    level.train_from_iterator(lines, trainers.WordLevelTrainer(special_tokens=["<pad>", "<eos>", "<unk>"], show_progress=False))
    level.save(str(folder / "words.json"), pretty=False)

    # CLIP's merges: the vocabulary follows from them.
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    bpe.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=320, end_of_word_suffix="</w>", show_progress=False))
    merges = [" ".join(pair) for pair in json.loads(bpe.to_str())["model"]["merges"]]
    text = "\n".join(['"bpe_small.txt#version: 0.2', *merges])
    (folder / "bpe_simple_vocab_16e6.txt.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    from open_clip.tokenizer import SimpleTokenizer

    encoder = SimpleTokenizer(bpe_path=str(folder / "bpe_simple_vocab_16e6.txt.gz")).encoder
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {names.get(token, token): id for token, id in encoder.items()}
    pair = folder / "clip_pair"
    pair.mkdir()
    (pair / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (pair / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")
    hugging_face = CLIPTokenizer(vocab=vocabulary, merges=[tuple(merge.split()) for merge in merges])
    hugging_face.backend_tokenizer.save(str(folder / "clip.json"), pretty=False)

    # WordPiece with BERT's normaliser.
    piece = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    piece.normalizer = normalizers.BertNormalizer()
    piece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    bert_specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    alphabet = list("abcdefghijklmnopqrstuvwxyz0123456789.,!?'-")
    piece.train_from_iterator(lines, trainers.WordPieceTrainer(vocab_size=260, special_tokens=bert_specials, initial_alphabet=alphabet, show_progress=False))
    bert = folder / "bert"
    bert.mkdir()
    tokens = sorted(piece.get_vocab().items(), key=lambda item: item[1])
    (bert / "vocab.txt").write_text("".join(token + "\n" for token, _ in tokens), encoding="utf-8")


def siglip2(path, length):
    """transformers' Siglip2Tokenizer: the file with `Lowercase` in front, no marks but `<eos>`, padded on the right."""
    from tokenizers import Tokenizer, normalizers

    data = path.read_bytes()
    tokenizer = Tokenizer.from_str((gzip.decompress(data) if path.suffix == ".gz" else data).decode())
    own = [tokenizer.normalizer] if tokenizer.normalizer else []
    tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])
    tokenizer.no_truncation()
    tokenizer.no_padding()
    eos = tokenizer.token_to_id("<eos>")
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids[: length - 1] + [eos]


def check_siglip2(path):
    """The reading above equals transformers' own class."""
    from transformers import Siglip2Tokenizer

    document = json.loads(gzip.decompress(path.read_bytes()))
    model = document["model"]
    theirs = Siglip2Tokenizer(vocab=model["vocab"], merges=[tuple(m if isinstance(m, list) else m.split(" ")) for m in model["merges"]])
    ours = siglip2(path, 10_000)
    for text in CAPTIONS:
        assert theirs(text, add_special_tokens=False).input_ids == ours(text)[:-1], text


def clip_bpe(path, length):
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer(bpe_path=str(path), context_length=length)
    return lambda text: tokenizer(text)[0].tolist()


def bert_strip_sep(folder, length):
    from open_clip.tokenizer import HFTokenizer

    # From the word list alone, so that the padding of 128 in the published tokenizer.json plays no part.
    copy = tempfile.mkdtemp()
    shutil.copy(folder / "vocab.txt", copy)
    (Path(copy) / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "do_lower_case": true}')
    tokenizer = HFTokenizer(copy, context_length=length, strip_sep_token=True)
    return lambda text: tokenizer(text)[0].tolist()


def texts(shared):
    from open_clip.tokenizer import _clean_lower, _clean_whitespace, canonicalize_text

    folder = OUT / "texts"
    shutil.rmtree(folder / "ids", ignore_errors=True)
    small = folder / "small"
    if not small.exists():  # the trainers break ties by chance: made once, and again only when deleted
        small.mkdir(parents=True)
        small_vocabularies(small)

    cleaned = [[text, _clean_whitespace(text), _clean_lower(text), canonicalize_text(text)] for text in CAPTIONS]
    differing = [[text, _clean_whitespace(text)] for text in NOT_REPAIRED]
    repairs = [[text, _clean_whitespace(text)] for text in mojibake()]
    write_json(folder / "clean.json", {"versions": versions("ftfy", "open_clip_torch"), "cleaned": cleaned, "repairs": repairs, "differing": differing})

    check_siglip2(shared / "gemma/tokenizer.json.gz")
    makers = {"siglip2": siglip2, "clip_bpe": clip_bpe, "bert_strip_sep": bert_strip_sep}
    cases = [
        ("small/gemma_like.json", "siglip2", 16), ("small/gemma_like.json", "siglip2", 64), ("small/words.json", "siglip2", 16),
        ("small/bpe_simple_vocab_16e6.txt.gz", "clip_bpe", 77), ("small/bpe_simple_vocab_16e6.txt.gz", "clip_bpe", 16),
        ("small/bert", "bert_strip_sep", 77), ("small/bert", "bert_strip_sep", 16),
        ("shared/gemma/tokenizer.json.gz", "siglip2", 64), ("shared/clip/bpe_simple_vocab_16e6.txt.gz", "clip_bpe", 77),
        ("shared/bert", "bert_strip_sep", 77), ("shared/bert", "bert_strip_sep", 16),
    ]
    used = versions("tokenizers", "transformers", "open_clip_torch", "ftfy")
    for number, (path, rules, length) in enumerate(cases):
        root, _, rest = path.partition("/")
        place = shared / rest if root == "shared" else small / rest
        encode = makers[rules](place, length)
        for canonicalize in (False, True):
            ids = [encode(canonicalize_text(text) if canonicalize else text) for text in CAPTIONS]
            # The padding of all of them is 0 and left out here.
            ids = [row[: max((i + 1 for i, id in enumerate(row) if id), default=0)] for row in ids]
            name = f"{path.split('/')[0]}_{Path(path).name.split('.')[0]}_{length}{'_canonical' if canonicalize else ''}.json"
            write_json(folder / "ids" / name, {"versions": used, "path": path, "rules": rules, "context_length": length, "canonicalize": canonicalize, "ids": ids})


def mojibake():
    """Every character that text/clean.rs repairs, read as Windows-1252 in the middle of a caption."""
    kept = {0x81, 0x8D, 0x8F, 0x90, 0x9D}
    show = lambda data: "".join(chr(byte) if byte in kept else bytes([byte]).decode("cp1252") for byte in data)
    # Without U+00C2 and U+00C3, which ftfy takes for a further mistake before a space, and U+00CC, which
    # it repairs only there.
    latin = [code for code in range(0xA1, 0x100) if code not in (0xC2, 0xC3, 0xCC)]
    characters = [chr(code) for code in [*latin, 0x2013, 0x2014, 0x2018, 0x2019, 0x201C, 0x201D, 0x2020, 0x2022, 0x2026, 0x2030, 0x20AC, 0x1F600, 0x1F415, 0x1F389]]
    return [f"a dog {show(character.encode())} runs" for character in characters]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=HERE.parent.parent.parent / "shared")
    parser.add_argument("parts", nargs="*", default=["pictures", "texts", "tables"])
    arguments = parser.parse_args()
    if "pictures" in arguments.parts:
        pictures()
    if "tables" in arguments.parts:
        tables()
    if "texts" in arguments.parts:
        texts(arguments.shared / "data/tokenizers")


if __name__ == "__main__":
    main()
