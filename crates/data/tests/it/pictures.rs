//! Decoding, resizing, recipes and colours against Pillow and torchvision.

use hearth_data::decode::{Limits, PictureError, decode, read_bytes};
use hearth_data::picture::Picture;
use hearth_data::resize::{Filter, Region, Window, resize, resize_region};
use hearth_data::transform::{Augmentation, ColourOp, Drawn, PictureRecipe};
use serde_json::{Value, json};

use super::fixtures::{cases, difference, golden, json, picture};

fn manifest() -> Value {
    json("pictures/manifest.json")
}

fn expected(case: &Value) -> Picture {
    picture(&format!("pictures/expected/{}", case["expected"].as_str().unwrap()))
}

fn source(case: &Value) -> Picture {
    picture(&format!("pictures/source/{}.png", case["source"].as_str().unwrap()))
}

fn filter(case: &Value) -> Filter {
    serde_json::from_value(case["filter"].clone()).unwrap()
}

fn size(case: &Value, key: &str) -> u32 {
    case[key].as_u64().unwrap() as u32
}

/// Every case equal to the reference in every value.
fn check(name: &str, run: impl Fn(&Value) -> Picture) {
    let manifest = manifest();
    for case in cases(&manifest, name) {
        let (largest, different) = difference(&run(case), &expected(case));
        assert_eq!(largest, 0, "{case}: {:.1} % of the values differ", 100.0 * different);
    }
}

#[test]
fn decoded_as_pillow_does() {
    let manifest = manifest();
    for case in cases(&manifest, "decode") {
        let file = case["file"].as_str().unwrap();
        let found = picture(&format!("pictures/decode/{file}"));
        let (largest, different) = difference(&found, &expected(case));
        assert_eq!(largest, 0, "{file}: {:.1} % of the values differ", 100.0 * different);
    }
}

#[test]
fn what_pillow_calls_truncated_is_an_error() {
    let manifest = manifest();
    for case in cases(&manifest, "cuts") {
        let file = format!("pictures/decode/{}", case["file"].as_str().unwrap());
        let bytes = std::fs::read(golden(&file)).unwrap();
        for cut in case["cuts"].as_array().unwrap() {
            let (length, readable) = (cut[0].as_u64().unwrap() as usize, cut[1].as_bool().unwrap());
            let result = decode(&bytes[..length], &Limits::default());
            assert!(readable || result.is_err(), "{file} cut at {length} was decoded");
            if length > 60 && !readable {
                let error = result.unwrap_err();
                assert!(
                    matches!(error, PictureError::Truncated { .. }),
                    "{file} {length}: {error}"
                );
            }
        }
    }
}

#[test]
fn limits_hold_before_memory_is_taken() {
    // A PNG header that promises 4 billion pixels, and a JPEG that promises 65,535 x 65,535.
    let mut png = std::fs::read(golden("pictures/decode/rgb.png")).unwrap();
    png[16..24].copy_from_slice(&[0, 0, 0xFF, 0xFF, 0, 0, 0xFF, 0xFF]);
    let mut jpeg = std::fs::read(golden("pictures/decode/420.jpg")).unwrap();
    let frame = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].fill(0xFF);
    for bytes in [png, jpeg] {
        let error = decode(&bytes, &Limits::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "found 65535x65535 pixels, at most 65535 a side and 178956970 in all are decoded"
        );
    }
    let small = Limits { side: 44, ..Limits::default() };
    let bytes = std::fs::read(golden("pictures/decode/420.jpg")).unwrap();
    assert!(matches!(decode(&bytes, &small), Err(PictureError::TooLarge { width: 45, .. })));

    let path = golden("pictures/decode/420.jpg");
    let error = read_bytes(&path, 100).unwrap_err().to_string();
    assert!(
        error.ends_with(&format!("found {} bytes, at most 100 are read", bytes.len())),
        "{error}"
    );
    let error = read_bytes(&golden("pictures"), 100).unwrap_err().to_string();
    assert!(error.contains("cannot be read: is a directory"), "{error}");
    let error = read_bytes(&golden("absent.jpg"), 100).unwrap_err().to_string();
    assert!(error.contains("absent.jpg: cannot be read: No such file"), "{error}");
}

#[test]
fn resized_as_pillow_does() {
    check("resize", |case| {
        let (source, width, height) = (source(case), size(case, "width"), size(case, "height"));
        let Some(corners) = case["box"].as_array() else {
            return resize(&source, width, height, filter(case));
        };
        let [left, top, right, bottom] = [0, 1, 2, 3].map(|i| corners[i].as_f64().unwrap() as f32);
        let region = Region { left, top, right, bottom };
        resize_region(&source, region, width, height, filter(case))
    });
}

fn recipe(case: &Value) -> PictureRecipe {
    let recipe = json!({
        "size": case["size"], "resize": case["resize"], "filter": case["filter"],
        "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
    });
    PictureRecipe::from_json(&recipe).unwrap()
}

#[test]
fn evaluation_is_torchvisions() {
    check("evaluate", |case| {
        let source = source(case);
        recipe(case).view(source.width, source.height).of(&source)
    });
}

#[test]
fn the_input_is_torchvisions() {
    let recipe = PictureRecipe::from_json(&json!({
        "size": 12, "resize": "squash", "filter": "bicubic",
        "mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711],
    }))
    .unwrap();
    let input = recipe.apply(&picture("pictures/source/landscape.png"));
    let bytes = std::fs::read(golden("pictures/input.f32")).unwrap();
    let expected: Vec<f32> =
        bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    assert_eq!(input.len(), expected.len());
    let largest = input.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(largest < 1e-6, "{largest}");
}

#[test]
fn a_recipe_survives_json_and_refuses_nonsense() {
    let case = json!({ "size": 224, "resize": "squash", "filter": "bilinear" });
    let written = recipe(&case).to_json();
    assert_eq!(PictureRecipe::from_json(&written).unwrap(), recipe(&case));
    assert_eq!(
        written.to_string(),
        r#"{"size":224,"resize":"squash","filter":"bilinear","mean":[0.5,0.5,0.5],"std":[0.5,0.5,0.5]}"#
    );
    let refused = |key: &str, value: Value| {
        let mut recipe = written.clone();
        recipe[key] = value;
        PictureRecipe::from_json(&recipe).unwrap_err().to_string()
    };
    assert_eq!(refused("size", json!(0)), "picture recipe: `size`: found 0, needed 1 to 8192");
    assert!(
        refused("std", json!([1.0, 0.0, 1.0])).contains("`std`: found 0, needed numbers above 0")
    );
    assert!(refused("filter", json!("lanczos")).contains("lanczos"));
    assert!(refused("padding", json!(3)).contains("padding"));
}

fn colour_op(op: &Value) -> Option<ColourOp> {
    let factor = op[1].as_f64().unwrap();
    match op[0].as_str().unwrap() {
        "brightness" => Some(ColourOp::Brightness(factor)),
        "contrast" => Some(ColourOp::Contrast(factor)),
        "saturation" => Some(ColourOp::Saturation(factor)),
        "hue" => Some(ColourOp::Hue(factor)),
        _ => None,
    }
}

#[test]
fn colours_change_as_in_torchvision() {
    let portrait = picture("pictures/source/portrait.png");
    check("colour", |case| {
        let ops: Vec<_> = case["ops"].as_array().unwrap().iter().map(colour_op).collect();
        apply(&portrait, ops.iter().flatten().copied().collect(), ops.contains(&None))
    });
}

/// A bicubic crop.
fn drawn(crop: Window, grayscale: bool) -> Drawn {
    let (colour, changes) = (Vec::new(), Vec::new());
    Drawn { crop, filter: Filter::Bicubic, flip: false, colour, grayscale, changes }
}

/// Colour alone: a crop of everything, resized to the size it has.
fn apply(picture: &Picture, colour: Vec<ColourOp>, grayscale: bool) -> Picture {
    let side = picture.width.max(picture.height);
    let mut square = Picture::new(side, side, vec![0; 3 * (side * side) as usize]).unwrap();
    let mut result = picture.clone();
    if grayscale {
        let row = 3 * side as usize;
        for (y, pixels) in picture.pixels.chunks_exact(3 * picture.width as usize).enumerate() {
            square.pixels[y * row..y * row + pixels.len()].copy_from_slice(pixels);
        }
        let crop = Window { left: 0, top: 0, width: side, height: side };
        let drawn = drawn(crop, grayscale);
        let grey = Augmentation::default().apply(&square, &drawn, side);
        return grey.crop(0, 0, picture.width, picture.height);
    }
    colour.into_iter().for_each(|op| op.apply(&mut result));
    result
}

#[test]
fn crops_are_torchvisions() {
    check("crops", |case| {
        let [left, top, width, height] =
            [0, 1, 2, 3].map(|i| case["crop"][i].as_u64().unwrap() as u32);
        let crop = Window { left, top, width, height };
        Augmentation::default().apply(&source(case), &drawn(crop, false), size(case, "size"))
    });
}
