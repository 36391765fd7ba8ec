"""Makes tests/golden/pictures/: a small picture of every kind that crates/data decodes, and Pillow's pixels of it.

    python tests/golden/pictures.py

With the packages of requirements.txt; `cargo xtask goldens pictures` installs them. All pictures are generated.
`manifest.json` names for each file its size and the SHA-256 of `Image.open(file).convert("RGB")`, and in `upright`
of `ImageOps.exif_transpose` of it. Where ours differs on purpose, `reference` says from what it was computed.
"""

import hashlib
import importlib.metadata
import io
import json
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin

OUT = Path(__file__).parent / "pictures"
ORIENTATION = 0x0112


def scene(width, height, seed):
    """Smooth colour, hard edges and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([np.sin(x / (2 + c) + c) * np.cos(y / (3 + c) - seed) for c in range(3)], axis=-1) * 90 + 128
    pixels[height // 3 : height // 2, width // 4 : width // 2] = rng.integers(0, 256, 3)
    return (pixels + rng.normal(0, 9, pixels.shape)).clip(0, 255).astype(np.uint8)


RGB = Image.fromarray(scene(21, 13, 1))
OTHER = Image.fromarray(scene(21, 13, 2))
GREY = RGB.convert("L")
ALPHA = OTHER.convert("L").point(lambda value: 0 if value < 90 else min(255, 2 * (value - 90)))
RGBA = Image.merge("RGBA", (*RGB.split(), ALPHA))
WIDE = scene(21, 13, 3).astype(np.uint16) * 251 + 1777


def save(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


# ---- JPEG and PNG: what data.py does not have ------------------------------------------------------


def jpegs():
    cmyk = save(RGB.convert("CMYK"), "JPEG", quality=95)
    adobe = cmyk.index(b"\xff\xee")
    length = struct.unpack(">H", cmyk[adobe + 2 : adobe + 4])[0]
    return {
        "rgb_components.jpg": save(RGB, "JPEG", quality=95, keep_rgb=True),
        "cmyk_without_adobe.jpg": cmyk[:adobe] + cmyk[adobe + 2 + length :],
        "thumbnail_in_exif.jpg": with_thumbnail(),
    }


def with_thumbnail():
    """EXIF with a JPEG of its own inside: its size and its markers are not those of the picture."""
    exif = Image.Exif()
    exif[0x010E] = save(RGB.resize((5, 4)), "JPEG").decode("latin-1")
    return save(RGB, "JPEG", quality=90, exif=exif)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, depth, kind, rows, extra=b""):
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def packed(values, depth):
    """Rows of samples below a byte, padded at the end of each."""
    bits = np.unpackbits(values.astype(np.uint8)[..., None], axis=-1)[..., 8 - depth :]
    return [row.tobytes() for row in np.packbits(bits.reshape(len(values), -1), axis=1)]


def pngs():
    grey = np.asarray(GREY)
    width, height = GREY.size
    animated = save(RGB, "PNG", save_all=True, append_images=[OTHER])
    return {
        "grey_1bit.png": png(width, height, 1, 0, packed(grey >> 7, 1)),
        "grey_2bit.png": png(width, height, 2, 0, packed(grey >> 6, 2)),
        "grey_4bit.png": png(width, height, 4, 0, packed(grey >> 4, 4)),
        "grey_16bit.png": png(width, height, 16, 0, [row.astype(">u2").tobytes() for row in WIDE[..., 0]]),
        "rgb_transparent_colour.png": png(width, height, 8, 2, [row.tobytes() for row in np.asarray(RGB)], chunk(b"tRNS", struct.pack(">HHH", *RGB.getpixel((3, 4))))),
        "animated.png": animated,
    }


# ---- WebP ------------------------------------------------------------------------------------------


def webps():
    partial = Image.new("RGBA", RGB.size, (0, 0, 0, 0))
    partial.paste(RGBA.crop((4, 2, 15, 9)), (4, 2))
    lossless = {"lossless": True, "exact": True}
    return {
        "lossless.webp": save(RGB, "WEBP", **lossless),
        "lossless_alpha.webp": save(RGBA, "WEBP", **lossless),
        "lossless_palette.webp": save(RGB.quantize(9).convert("RGB"), "WEBP", **lossless),
        "lossless_grey.webp": save(GREY, "WEBP", **lossless),
        "lossy.webp": save(RGB, "WEBP", quality=80),
        "lossy_low.webp": save(Image.fromarray(scene(64, 48, 5)), "WEBP", quality=10, method=6),
        "lossy_odd.webp": save(Image.fromarray(scene(17, 1, 6)), "WEBP", quality=60),
        "lossy_alpha.webp": save(RGBA, "WEBP", quality=70, exact=True),
        "lossy_grey.webp": save(GREY, "WEBP", quality=60),
        "animated_lossless.webp": save(RGB, "WEBP", save_all=True, append_images=[OTHER], **lossless),
        "animated_lossy.webp": save(RGB, "WEBP", save_all=True, append_images=[OTHER], quality=70),
        "animated_alpha.webp": save(RGBA, "WEBP", save_all=True, append_images=[OTHER], background=(250, 10, 20, 255), **lossless),
        "animated_partial.webp": save(partial, "WEBP", save_all=True, append_images=[RGBA], background=(250, 10, 20, 255), **lossless),
    }


# ---- GIF -------------------------------------------------------------------------------------------


def lzw(indices, bits):
    """GIF's codes without compression: a clear code often enough that their width never grows."""
    clear, codes = 1 << bits, []
    for number, index in enumerate(indices):
        if number % ((1 << bits) - 2) == 0:
            codes.append(clear)
        codes.append(index)
    codes.append(clear + 1)
    value = length = 0
    data = bytearray()
    for code in codes:
        value |= code << length
        length += bits + 1
        while length >= 8:
            data.append(value & 255)
            value, length = value >> 8, length - 8
    data.append(value & 255)
    blocks = [bytes(data[i : i + 255]) for i in range(0, len(data), 255)]
    return bytes([bits]) + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"


def gif(screen, frame, indices, palette=None, local=None, transparent=None):
    """A GIF of 8 colours at most. `palette` and `local`: lists of (r, g, b), a power of two of them."""

    def table(colours):
        return bytes(value for colour in colours for value in colour)

    def flag(colours):
        return 0 if colours is None else 0x80 | (len(colours).bit_length() - 2)

    data = b"GIF89a" + struct.pack("<HHBBB", *screen, flag(palette), 1, 0) + table(palette or [])
    if transparent is not None:
        data += b"\x21\xf9\x04\x01\0\0" + bytes([transparent]) + b"\0"
    data += b"," + struct.pack("<HHHHB", *frame, flag(local)) + table(local or [])
    return data + lzw(indices, 3) + b";"


def gifs():
    colours = [(250, 20, 30), (10, 200, 40), (60, 70, 220), (240, 240, 10), (9, 8, 7), (200, 201, 202), (90, 0, 90), (0, 90, 90)]
    frame, count = (2, 1, 5, 4), 20
    pattern = [i % 8 for i in range(count)]
    return {
        "palette.gif": save(RGB.quantize(64), "GIF"),
        "grey.gif": save(GREY, "GIF"),
        "interlaced.gif": save(RGB.quantize(32), "GIF", interlace=1),
        "transparent.gif": save(RGBA, "GIF"),
        "animated.gif": save(RGB.quantize(16), "GIF", save_all=True, append_images=[OTHER.quantize(16)]),
        "partial.gif": gif((9, 7), frame, pattern, palette=colours),
        "partial_transparent.gif": gif((9, 7), frame, pattern, palette=colours, transparent=3),
        "local_palette.gif": gif((5, 4), (0, 0, 5, 4), pattern, palette=colours, local=colours[::-1]),
        "short_palette.gif": gif((9, 7), frame, pattern, palette=colours[:2]),
        "beyond_the_screen.gif": gif((3, 2), frame, pattern, palette=colours),
    }


# ---- BMP -------------------------------------------------------------------------------------------


def bmp(width, height, bits, rows, compression=0, palette=b"", masks=b"", core=False):
    """`rows`: the data as it stands in the file. A negative height is from top to bottom."""
    if core:
        header = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        colours = len(palette) // 4 if bits <= 8 else 0
        header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(rows), 2835, 2835, colours, 0)
    offset = 14 + len(header) + len(masks) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + header + masks + palette + rows


def bmp_rows(rows):
    return b"".join(bytes(row) + b"\0" * (-len(row) % 4) for row in rows)


def bmps():
    rgb = np.asarray(RGB)
    width, height = RGB.size
    indices = np.asarray(RGB.quantize(16))
    palette = RGB.quantize(16).getpalette()[: 3 * 16]
    quads = b"".join(bytes(palette[i : i + 3][::-1]) + b"\0" for i in range(0, 48, 3))
    triples = b"".join(bytes(palette[i : i + 3][::-1]) for i in range(0, 48, 3))
    r, g, b = (rgb[..., i].astype(np.uint16) for i in range(3))
    rgb555 = (r >> 3 << 10) | (g >> 3 << 5) | b >> 3
    rgb565 = (r >> 3 << 11) | (g >> 2 << 5) | b >> 3
    rle8 = b"".join(b"".join(bytes([1, v]) for v in row) + b"\0\0" for row in indices[::-1]) + b"\0\1"
    # An absolute run and a pair that is repeated to the end of the line. (Pillow loses the last of an odd run.)
    rle4_row = lambda row: bytes([0, 4]) + bytes([row[0] << 4 | row[1], row[2] << 4 | row[3]]) + bytes([17, row[5] << 4 | row[6]]) + b"\0\0"
    rle4 = b"".join(rle4_row([int(v) for v in row]) for row in indices[::-1]) + b"\0\1"
    bgrx = [np.concatenate([row[:, ::-1], row[:, :1]], axis=1).tobytes() for row in rgb[::-1]]
    return {
        "bilevel.bmp": save(RGB.convert("1"), "BMP"),
        "palette_1bit.bmp": bmp(width, height, 1, bmp_rows(packed(indices[::-1] & 1, 1)), palette=bytes([9, 200, 30, 0, 120, 10, 250, 0])),
        "palette_4bit.bmp": bmp(width, height, 4, bmp_rows(packed(indices[::-1], 4)), palette=quads),
        "palette_8bit.bmp": save(RGB.quantize(200), "BMP"),
        "palette_os2.bmp": bmp(width, height, 4, bmp_rows(packed(indices[::-1], 4)), palette=triples, core=True),
        "grey.bmp": save(GREY, "BMP"),
        "rgb.bmp": save(RGB, "BMP"),
        "top_down.bmp": bmp(width, -height, 24, bmp_rows(row[:, ::-1].tobytes() for row in rgb)),
        "rgba.bmp": save(RGBA, "BMP"),
        "rgbx.bmp": bmp(width, height, 32, b"".join(bgrx)),
        "rgb_555.bmp": bmp(width, height, 16, bmp_rows(row.astype("<u2").tobytes() for row in rgb555[::-1])),
        "rgb_565.bmp": bmp(width, height, 16, bmp_rows(row.astype("<u2").tobytes() for row in rgb565[::-1]), 3, masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F)),
        "rle8.bmp": bmp(width, height, 8, rle8, 1, palette=quads),
        "rle4.bmp": bmp(width, height, 4, rle4, 2, palette=quads),
    }


# ---- TIFF ------------------------------------------------------------------------------------------


def tiff(samples, photometric, bits=8, order="<", planar=False, tile=None, **tags):
    """A baseline TIFF without compression. `samples` [height, width, channels]; further tags by number as `t338=(2,)`."""
    height, width, channels = samples.shape
    kind = f"{order}u{bits // 8}"
    planes = [samples[..., i : i + 1] for i in range(channels)] if planar else [samples]
    if tile:
        pad = np.pad(samples, ((0, -height % tile), (0, -width % tile), (0, 0)))
        parts = [pad[y : y + tile, x : x + tile] for y in range(0, height, tile) for x in range(0, width, tile)]
    else:
        parts = planes
    parts = [part.astype(kind).tobytes() for part in parts]
    entries = {256: width, 257: height, 258: (bits,) * channels, 259: 1, 262: photometric, 277: channels, 284: 2 if planar else 1}
    offset, offsets = 8, []
    for part in parts:
        offsets.append(offset)
        offset += len(part)
    counts = [len(part) for part in parts]
    if tile:
        entries |= {322: tile, 323: tile, 324: offsets, 325: counts}
    else:
        entries |= {273: offsets, 278: height, 279: counts}
    entries |= {int(name[1:]): value for name, value in tags.items()}
    directory, outside = struct.pack(order + "H", len(entries)), b""
    place = offset + 2 + 12 * len(entries) + 4
    for tag, value in sorted(entries.items()):
        values = list(value) if isinstance(value, (tuple, list)) else [value]
        letter, number = ("I", 4) if tag in (273, 279, 324, 325) else ("H", 3)
        data = struct.pack(order + letter * len(values), *values)
        directory += struct.pack(order + "HHI", tag, number, len(values))
        if len(data) <= 4:
            directory += data.ljust(4, b"\0")
        else:
            directory += struct.pack(order + "I", place + len(outside))
            outside += data
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "I", offset) + b"".join(parts) + directory + b"\0" * 4 + outside


def tiffs():
    rgb, rgba = np.asarray(RGB), np.asarray(RGBA)
    grey = np.asarray(GREY)[..., None]
    premultiplied = np.concatenate([rgba[..., :3].astype(np.uint16) * rgba[..., 3:] // 255, rgba[..., 3:]], axis=-1)
    predictor = {317: 2}
    return {
        "grey.tiff": save(GREY, "TIFF"),
        "grey_white_is_zero.tiff": tiff(grey, 0),
        "grey_alpha.tiff": save(Image.merge("LA", (GREY, ALPHA)), "TIFF"),
        "grey_16bit.tiff": tiff(WIDE[..., :1], 1, 16),
        "grey_16bit_big_endian.tiff": tiff(WIDE[..., :1], 1, 16, order=">"),
        "bilevel.tiff": save(RGB.convert("1"), "TIFF"),
        "bilevel_fax4.tiff": save(RGB.convert("1"), "TIFF", compression="group4"),
        "rgb.tiff": save(RGB, "TIFF"),
        "rgb_big_endian.tiff": tiff(rgb, 2, order=">"),
        "rgb_lzw.tiff": save(RGB, "TIFF", compression="tiff_lzw"),
        "rgb_lzw_predictor.tiff": save(RGB, "TIFF", compression="tiff_lzw", tiffinfo=predictor),
        "rgb_deflate.tiff": save(RGB, "TIFF", compression="tiff_adobe_deflate", tiffinfo=predictor),
        "rgb_packbits.tiff": save(RGB, "TIFF", compression="packbits"),
        "rgb_jpeg.tiff": save(RGB, "TIFF", compression="jpeg", quality=90),
        "rgb_jpeg_strips.tiff": save(Image.fromarray(scene(40, 70, 7)), "TIFF", compression="jpeg", quality=80, tiffinfo={278: 16}),
        "grey_jpeg.tiff": save(GREY, "TIFF", compression="jpeg"),
        "ycbcr_jpeg.tiff": save(RGB.convert("YCbCr"), "TIFF", compression="jpeg", quality=90),
        "rgb_planar.tiff": tiff(rgb, 2, planar=True),
        "rgb_tiles.tiff": tiff(rgb, 2, tile=16),
        "rgb_16bit.tiff": tiff(WIDE, 2, 16),
        "rgba.tiff": save(RGBA, "TIFF"),
        "rgba_associated.tiff": tiff(premultiplied, 2, t338=1),
        "rgbx.tiff": tiff(rgba, 2, t338=0),
        "rgba_16bit.tiff": tiff(np.concatenate([WIDE, WIDE[..., :1]], -1), 2, 16, t338=2),
        "palette.tiff": save(RGB.quantize(50), "TIFF"),
        "palette_lzw.tiff": save(RGB.quantize(50), "TIFF", compression="tiff_lzw"),
        "palette_big.tiff": save(RGB.quantize(50), "TIFF", big_tiff=True),
        "cmyk.tiff": save(RGB.convert("CMYK"), "TIFF"),
        "cmyk_lzw.tiff": save(OTHER.convert("CMYK"), "TIFF", compression="tiff_lzw"),
        "cmyk_inks.tiff": tiff(rgba[:, ::-1], 5),
        "big.tiff": save(RGB, "TIFF", big_tiff=True),
        "pages.tiff": save(RGB, "TIFF", save_all=True, append_images=[OTHER.resize((90, 70))]),
    }


# ---- orientation -----------------------------------------------------------------------------------


def oriented():
    """All eight orientations in every format that has them, and the odd places where they may stand."""
    small = Image.fromarray(scene(7, 4, 9))
    files = {}
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        files[f"exif_{orientation}.jpg"] = save(small, "JPEG", quality=95, exif=exif)
        files[f"exif_{orientation}.png"] = save(small, "PNG", exif=exif)
        files[f"exif_{orientation}.webp"] = save(small, "WEBP", lossless=True, exif=exif)
        files[f"exif_{orientation}.tiff"] = save(small, "TIFF", tiffinfo={ORIENTATION: orientation})
    block = exif_block(6, ">")
    plain = save(small, "PNG")
    files["exif_big_endian.png"] = plain[:-12] + chunk(b"eXIf", block) + plain[-12:]
    files["exif_after_data.png"] = plain[:-12] + chunk(b"eXIf", exif_block(8, "<")) + plain[-12:]
    files["exif_long.png"] = plain[:-12] + chunk(b"eXIf", exif_block(3, "<", kind=4)) + plain[-12:]
    files["exif_nonsense.png"] = plain[:-12] + chunk(b"eXIf", exif_block(9, "<")) + plain[-12:]
    packet = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    files["xmp.jpg"] = save(small, "JPEG", quality=95, xmp=packet)
    files["xmp.webp"] = save(small, "WEBP", lossless=True, xmp=packet)
    files["xmp_beside_exif.webp"] = save(small, "WEBP", lossless=True, xmp=packet, exif=exif_block(3, "<"))
    return files


def exif_block(orientation, order, kind=3):
    value = struct.pack(order + ("HH" if kind == 3 else "I"), *([orientation, 0] if kind == 3 else [orientation]))
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "IHHHI", 8, 1, ORIENTATION, kind, 1) + value + b"\0" * 4


# ---- the manifest ----------------------------------------------------------------------------------


def described(image):
    rgb = image.convert("RGB")
    return [rgb.width, rgb.height, hashlib.sha256(rgb.tobytes()).hexdigest()]


def high_bytes(data):
    """16-bit grey, which Pillow clips at 255: the high byte, as Pillow takes it of 16-bit colour."""
    values = np.asarray(Image.open(io.BytesIO(data)))
    return Image.fromarray((values.astype(np.uint16) >> 8).astype(np.uint8))


def row(name, data):
    image = Image.open(io.BytesIO(data))
    row = {"file": name, "mode": image.mode}
    if image.mode.startswith("I;16"):
        return row | {"pixels": described(high_bytes(data)), "reference": "high bytes"}
    row["pixels"] = described(image)
    if "." in name and name.startswith(("exif_", "xmp")):
        row["upright"] = described(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
        row["orientation"] = Image.open(io.BytesIO(data)).getexif().get(ORIENTATION, 1)
    return row


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    TiffImagePlugin.WRITE_LIBTIFF = False
    files = jpegs() | pngs() | webps() | gifs() | bmps() | tiffs() | oriented()
    rows = []
    for name, data in files.items():
        (OUT / name).write_bytes(data)
        rows.append(json.dumps(row(name, data)))
    version = json.dumps({"pillow": importlib.metadata.version("pillow")})
    text = '{\n"versions": ' + version + ',\n"pictures": [\n  ' + ",\n  ".join(rows) + "\n]\n}\n"
    (OUT / "manifest.json").write_text(text)


if __name__ == "__main__":
    main()
