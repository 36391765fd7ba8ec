//! `cargo xtask assets`: writes `assets/shapes` and `assets/tokenizer`, the same bytes every time.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, RgbImage};
use serde_json::{Map, Value, json};

use crate::draw::draw;
use crate::shapes::{self, COLOURS, SHAPES, Scene};

/// Words that no caption holds: padding is 0, the end of a text 1, an unknown word 2, as in SigLIP2's vocabulary.
const SPECIAL_TOKENS: [&str; 3] = ["<pad>", "<eos>", "<unk>"];

/// Writes the data set and its tokenizer under `folder`, replacing what was generated before.
pub fn write(folder: &Path) -> Result<()> {
    for (split, scenes) in [("train", shapes::training()), ("val", shapes::validation())] {
        write_pairs(&folder.join("shapes"), split, &scenes)?;
    }
    let tokenizer = empty(folder.join("tokenizer"))?.join("tokenizer.json");
    put(&tokenizer, format!("{:#}\n", tokenizer_json(&shapes::vocabulary())).as_bytes())
}

fn write_pairs(folder: &Path, split: &str, scenes: &[Scene]) -> Result<()> {
    let images = empty(folder.join(split).join("images"))?;
    let captions = empty(folder.join(split).join("captions"))?;
    let key = shapes::key().of("jitter").of(split);
    let (mut by_shape, mut by_colour) = (String::new(), String::new());
    for (index, scene) in scenes.iter().enumerate() {
        let picture = draw(scene, &mut key.at(index as u64).rng());
        put(&images.join(format!("{index:04}.png")), &encode_png(&picture)?)?;
        let caption = scene.caption() + "\n";
        put(&captions.join(format!("{index:04}.txt")), caption.as_bytes())?;
        by_shape += &format!("images/{index:04}.png\t{}\n", SHAPES[scene.shape]);
        by_colour += &format!("images/{index:04}.png\t{}\n", COLOURS[scene.colour].0);
    }
    put(&folder.join(split).join("shapes.tsv"), by_shape.as_bytes())?;
    put(&folder.join(split).join("colours.tsv"), by_colour.as_bytes())
}

fn encode_png(picture: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let (width, height) = picture.dimensions();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, FilterType::Adaptive)
        .write_image(picture.as_raw(), width, height, ExtendedColorType::Rgb8)?;
    Ok(bytes)
}

/// A word is a token: lower case, split at white space and around punctuation.
fn tokenizer_json(vocabulary: &[String]) -> Value {
    let words = SPECIAL_TOKENS.into_iter().chain(vocabulary.iter().map(String::as_str));
    let ids: Map<String, Value> =
        words.enumerate().map(|(id, word)| (word.to_owned(), Value::from(id))).collect();
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        "normalizer": { "type": "Lowercase" },
        "pre_tokenizer": { "type": "Whitespace" },
        "post_processor": null,
        "decoder": null,
        "model": { "type": "WordLevel", "vocab": ids, "unk_token": SPECIAL_TOKENS[2] },
    })
}

/// The folder, without what it held.
fn empty(folder: PathBuf) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
