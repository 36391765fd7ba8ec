//! Pictures and captions for a benchmark without data.

use std::fs;

use hearth_data::random::Key;
use hearth_engine::{FileError, benchmark::Generated};

use crate::spec::PathBlock;

const WORDS: &[&str] = &[
    "a", "photo", "of", "two", "dogs", "running", "over", "green", "grass", "with", "red", "ball",
    "near", "water", "people", "street", "city", "night", "small", "child", "blue", "table", "on",
    "top", "bicycle", "the", "and", "white", "in", "front",
];

/// `count` pairs, and how a spec names them.
pub(super) fn pairs(count: usize) -> Result<(Generated, PathBlock), FileError> {
    let generated = Generated::write(count, |number| format!("images/{number:06}.jpg"))?;
    let [images, captions] = ["images", "captions"].map(|name| generated.folder().join(name));
    fs::create_dir_all(&captions).map_err(FileError::at("create this folder", &captions))?;
    for number in 0..count {
        let path = captions.join(format!("{number:06}.txt"));
        fs::write(&path, caption(number)).map_err(FileError::at("write this file", &path))?;
    }
    let source = PathBlock {
        image_dir: images.display().to_string(),
        caption_dir: Some(captions.display().to_string()),
        ..PathBlock::default()
    };
    Ok((generated, source))
}

/// Eight to sixteen words.
fn caption(number: usize) -> String {
    let mut numbers = Key::new(0).of("benchmark caption").at(number as u64).rng();
    let length = 8 + numbers.below(9);
    let words: Vec<&str> =
        (0..length).map(|_| WORDS[numbers.below(WORDS.len() as u64) as usize]).collect();
    words.join(" ")
}
