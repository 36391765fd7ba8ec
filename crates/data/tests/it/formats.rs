//! Every format and kind against Pillow's pixels, orientations, limits and what is refused by name.

use hearth_data::decode::{
    Decoded, Limits, Orientation, PictureError, Reading, decode, decode_as, read_picture,
};
use hearth_data::picture::Picture;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::fixtures::root;

fn file(name: &str) -> Vec<u8> {
    std::fs::read(root().join("tests/golden/pictures").join(name)).unwrap()
}

/// The rows of `tests/golden/pictures/manifest.json`.
fn rows() -> Vec<Value> {
    let manifest: Value = serde_json::from_slice(&file("manifest.json")).unwrap();
    let rows = manifest["pictures"].as_array().unwrap().clone();
    assert!(rows.len() > 100);
    rows
}

fn described(picture: &Picture) -> Value {
    let digest = Sha256::digest(&picture.pixels);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    json!([picture.width, picture.height, hex])
}

fn decoded(bytes: &[u8], upright: bool) -> Result<Decoded, PictureError> {
    decode_as(bytes, &Reading { upright, ..Reading::default() })
}

#[test]
fn pixels_are_pillows() {
    let mut wrong = Vec::new();
    for row in rows() {
        let name = row["file"].as_str().unwrap();
        match decode(&file(name), &Limits::default()) {
            Ok(picture) if described(&picture) == row["pixels"] => {}
            Ok(picture) => wrong.push(format!("{name}: {}", described(&picture))),
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn upright_is_what_exif_transpose_gives() {
    let mut turned = 0;
    for row in rows() {
        let name = row["file"].as_str().unwrap();
        let [stored, upright] = [false, true].map(|upright| decoded(&file(name), upright).unwrap());
        let expected = if row["upright"].is_null() { &row["pixels"] } else { &row["upright"] };
        assert_eq!(&described(&upright.picture), expected, "{name}");
        assert_eq!(upright.orientation, Orientation::UPRIGHT, "{name}: it was turned");
        // A TIFF is turned in any case, and EXIF's 9 is nonsense.
        let number = row["orientation"].as_u64().filter(|_| !name.ends_with("tiff")).unwrap_or(1);
        let number = if number > 8 { 1 } else { number };
        assert_eq!(u64::from(stored.orientation.to_exif()), number, "{name}");
        turned += u32::from(stored.picture != upright.picture);
    }
    assert_eq!(turned, 7 * 3 + 6, "seven orientations in three formats, and the odd places");
}

#[test]
fn what_is_not_decoded_is_named() {
    let found = |bytes: &[u8]| decode(bytes, &Limits::default()).unwrap_err().to_string();
    for (start, format) in [
        (&b"\0\0\0\x1Cftypavif\0\0\0\0avifmif1"[..], "AVIF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x0CJXL \x0D\x0A\x87\x0A", "JPEG XL"),
        (b"\xFF\x0A\xFA\x1F", "JPEG XL"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", "SVG"),
        (b"\xEF\xBB\xBF<?xml version='1.0'?>\n<!-- drawn -->\n<svg>", "SVG"),
        (b"<!DOCTYPE html><title>404", "an HTML page (a failed download?)"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "a Git LFS pointer instead of the picture",
        ),
        (&[0; 100], "a file that starts with zero bytes (a failed copy?)"),
        (b"name,caption\n", "text"),
        (b"BMW is a maker of cars and motorcycles", "text"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "an unknown format"),
    ] {
        let expected = format!("found {format}, supported are JPEG, PNG, WebP, GIF, BMP and TIFF");
        assert_eq!(found(start), expected);
    }
    assert_eq!(found(b""), "found an empty file, needed a picture");

    let path = root().join("tests/golden/pictures/manifest.json");
    let error = read_picture(&path, &Limits::default()).unwrap_err();
    let expected = format!("{}: found text, supported are", path.display());
    assert!(error.to_string().starts_with(&expected), "{error}");
    let avif = decode(b"\0\0\0\x1Cftypavif", &Limits::default()).unwrap_err().in_file(&path);
    assert_eq!(avif.hints(), ["convert the picture to JPEG or PNG, or take it out of the data"]);
}

/// TIFF with another number in a field of the directory.
fn tiff_with(mut bytes: Vec<u8>, tag: u16, value: u16) -> Vec<u8> {
    let entry = [tag.to_le_bytes(), 3_u16.to_le_bytes()].concat();
    let at = bytes.windows(4).rposition(|window| window == entry).unwrap();
    bytes[at + 8..at + 10].copy_from_slice(&value.to_le_bytes());
    bytes
}

#[test]
fn kinds_without_a_conversion_are_named() {
    let found = |bytes: &[u8]| decode(bytes, &Limits::default()).unwrap_err().to_string();
    let floats = tiff_with(file("rgb_tiles.tiff"), 277, 3);
    assert!(decode(&floats, &Limits::default()).is_ok(), "nothing was changed");
    let (tiff, needed) = (file("rgb_planar.tiff"), "needed grey, RGB, palette or CMYK");
    for (tag, value, kind) in [
        (262, 8, "a TIFF in a Lab colour space"),
        (262, 32803, "a TIFF of colour space 32803"),
        (277, 2, "a TIFF of 2 x 8 bits a pixel"),
        (259, 50000, "a TIFF that needs another decoder"),
    ] {
        let message = found(&tiff_with(tiff.clone(), tag, value));
        assert!(message.contains(kind) && message.contains(needed), "{message}");
    }
}

/// Width and height as a format's header says them, both changed to 65,535 or the format's most.
fn enlarged(name: &str) -> (Vec<u8>, u32) {
    let mut bytes = file(name);
    let most = match name.rsplit_once('.').unwrap().1 {
        "webp" => {
            assert_eq!(&bytes[12..16], b"VP8L");
            bytes[21..25].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0x0F]);
            0x4000
        }
        "gif" => {
            bytes[6..10].fill(0xFF);
            0xFFFF
        }
        "bmp" => {
            bytes[18..26].copy_from_slice(&[0xFF, 0xFF, 0, 0, 0xFF, 0xFF, 0, 0]);
            0xFFFF
        }
        _ => {
            bytes = tiff_with(bytes, 256, 0xFFFF);
            let at = bytes.windows(4).rposition(|w| w == [1, 1, 3, 0]).unwrap();
            bytes[at + 8..at + 10].fill(0xFF);
            0xFFFF
        }
    };
    (bytes, most)
}

#[test]
fn limits_hold_before_memory_is_taken() {
    for name in ["lossless.webp", "palette.gif", "rgb.bmp", "rgb_tiles.tiff", "rgb_planar.tiff"] {
        let (bytes, side) = enlarged(name);
        let error = decode(&bytes, &Limits::default()).unwrap_err().to_string();
        let expected = format!(
            "found {side}x{side} pixels, at most 65535 a side and 178956970 in all are decoded"
        );
        assert_eq!(error, expected, "{name}");
    }
    // What lies inside may not be larger than what was announced outside.
    let mut webp = file("animated_lossless.webp");
    let frame = webp.windows(4).position(|window| window == b"VP8L").unwrap();
    webp[frame + 9..frame + 13].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0x0F]);
    let error = decode(&webp, &Limits::default()).unwrap_err().to_string();
    assert_eq!(error, "damaged WebP: the sizes contradict each other");
    // Offsets by the million, as numbers and as text.
    for kind in [4_u8, 2] {
        let mut tiff = file("rgb_tiles.tiff");
        let at = tiff.windows(4).rposition(|w| w == [0x44, 1, 4, 0]).unwrap();
        tiff[at + 2..at + 8].copy_from_slice(&[kind, 0, 0xFF, 0xFF, 0xFF, 0x0F]);
        let error = decode(&tiff, &Limits::default()).unwrap_err().to_string();
        let expected = "damaged TIFF: its directory announces values that are not in the file";
        assert_eq!(error, expected);
    }
    let tiles = tiff_with(tiff_with(file("rgb_tiles.tiff"), 322, 0xFFF0), 323, 0xFFF0);
    let error = decode(&tiles, &Limits::default()).unwrap_err().to_string();
    assert!(error.starts_with("found 65520x65520 pixels, at most"), "{error}");

    let small = Limits { side: 20, ..Limits::default() };
    for row in rows().iter().filter(|row| row["pixels"][0] == 21) {
        let error = decode(&file(row["file"].as_str().unwrap()), &small).unwrap_err();
        assert!(matches!(error, PictureError::TooLarge { .. }), "{row}: {error}");
    }
}

/// An entry of a TIFF directory.
fn entry(tag: u16, kind: u16, count: u32, value: u32) -> Vec<u8> {
    let words = [tag.to_le_bytes(), kind.to_le_bytes()].concat();
    [&words[..], &count.to_le_bytes(), &value.to_le_bytes()].concat()
}

/// The 13 rows of `rgb_jpeg.tiff`, with its directory written anew behind `more` bytes.
fn jpeg_tiff(tables: u32, strips: u32, lengths: u32, more: Vec<u8>) -> Vec<u8> {
    let mut bytes = file("rgb_jpeg.tiff");
    let old = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
    let entries: Vec<Vec<u8>> = bytes[old + 2..].chunks(12).take(11).map(<[u8]>::to_vec).collect();
    let start = bytes.len() as u32;
    bytes.extend((0..2 * strips).flat_map(|i| if i < strips { 8 } else { lengths }.to_le_bytes()));
    bytes.extend(more);
    let directory = bytes.len() as u32;
    bytes[4..8].copy_from_slice(&directory.to_le_bytes());
    bytes.extend(11_u16.to_le_bytes());
    for old in entries {
        bytes.extend(match u16::from_le_bytes(old[..2].try_into().unwrap()) {
            257 => entry(257, 3, 1, 13 * strips),
            273 if strips > 1 => entry(273, 4, strips, start),
            279 if strips > 1 => entry(279, 4, strips, start + 4 * strips),
            347 if tables > 0 => entry(347, 7, tables, start + 8 * strips),
            _ => old,
        });
    }
    bytes.extend(0_u32.to_le_bytes());
    bytes
}

#[test]
fn jpeg_in_a_tiff_takes_no_more_than_the_file_holds() {
    let decoded = |bytes: &[u8]| decode(bytes, &Limits::default()).map_err(|e| e.to_string());
    assert!(decoded(&jpeg_tiff(0, 1, 0, Vec::new())).is_ok(), "only written anew");
    assert_eq!(
        decoded(&jpeg_tiff(0, 1000, 542, Vec::new())).unwrap_err(),
        "damaged TIFF: its parts are larger than the file"
    );
    let tables = (64 << 10) + 1;
    assert_eq!(
        decoded(&jpeg_tiff(tables, 1, 0, vec![0; tables as usize])).unwrap_err(),
        "damaged TIFF: found 65537 bytes of JPEG tables, at most 65536 are read"
    );
}

#[test]
fn a_file_that_ends_early_is_an_error() {
    for name in [
        "lossless.webp",
        "lossy.webp",
        "lossy_alpha.webp",
        "animated_lossy.webp",
        "palette.gif",
        "rgb.bmp",
        "palette_8bit.bmp",
        "rgb.tiff",
        "rgb_lzw.tiff",
        "rgb_jpeg.tiff",
    ] {
        let bytes = file(name);
        // The last bytes of a GIF and of a TIFF, of a padded row of a BMP too, are not pixels.
        for length in (0..bytes.len() * 9 / 10).step_by(7) {
            let result = decode(&bytes[..length], &Limits::default());
            assert!(result.is_err(), "{name} cut at {length} was decoded");
        }
    }
}
