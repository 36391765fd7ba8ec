//! Pictures and captions for a benchmark without data, in a folder that goes when it ends.

use std::{
    env, f64, fs,
    path::{Path, PathBuf},
    process,
};

use hearth_data::{encode::jpeg, picture::Picture, random::Key};
use hearth_engine::FileError;

use crate::spec::PathBlock;

/// Size of a picture, as cameras and COCO have it.
const SIZE: [u32; 2] = [640, 480];
/// Pictures that differ; further ones are links to them.
const DIFFERENT: usize = 32;
const QUALITY: u8 = 85;
const WORDS: &[&str] = &[
    "a", "photo", "of", "two", "dogs", "running", "over", "green", "grass", "with", "red", "ball",
    "near", "water", "people", "street", "city", "night", "small", "child", "blue", "table", "on",
    "top", "bicycle", "the", "and", "white", "in", "front",
];

/// `count` pairs, for the user.
pub(crate) fn described(count: usize) -> String {
    let [width, height] = SIZE;
    format!("{count} generated JPEGs of {width}x{height} with captions")
}

/// The folder; dropping it removes it.
pub(crate) struct Generated {
    folder: PathBuf,
}

impl Generated {
    /// `count` pairs.
    pub(crate) fn write(count: usize) -> Result<Self, FileError> {
        let folder = env::temp_dir().join(format!("hearth-benchmark-{}", process::id()));
        let generated = Self { folder };
        let [images, captions] = ["images", "captions"].map(|name| generated.folder.join(name));
        for folder in [&images, &captions] {
            fs::create_dir_all(folder).map_err(FileError::at("create this folder", folder))?;
        }
        for number in 0..count {
            let picture = images.join(format!("{number:06}.jpg"));
            let first = images.join(format!("{:06}.jpg", number % DIFFERENT));
            if number < DIFFERENT || fs::hard_link(&first, &picture).is_err() {
                write(&picture, &jpeg(&photograph(number), QUALITY))?;
            }
            write(&captions.join(format!("{number:06}.txt")), caption(number).as_bytes())?;
        }
        Ok(generated)
    }

    /// As a spec names it.
    pub(crate) fn source(&self) -> PathBlock {
        let named = |name| self.folder.join(name).display().to_string();
        PathBlock {
            image_dir: named("images"),
            caption_dir: Some(named("captions")),
            ..PathBlock::default()
        }
    }
}

impl Drop for Generated {
    fn drop(&mut self) {
        // Nothing to add where the system wants to keep it.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    fs::write(path, bytes).map_err(FileError::at("write this file", path))
}

/// Waves of a few directions and lengths under a little noise: about as many bytes as a photograph.
fn photograph(number: usize) -> Picture {
    let mut numbers = Key::new(0).of("benchmark picture").at(number as u64).rng();
    let waves: Vec<[f64; 4]> = (0..4)
        .map(|wave| {
            let length = 160.0 / 3f64.powi(wave);
            let turn = numbers.uniform(0.0, f64::consts::TAU);
            let phase = numbers.uniform(0.0, f64::consts::TAU);
            [turn.cos() / length, turn.sin() / length, phase, 60.0 / f64::from(wave + 1)]
        })
        .collect();
    let [width, height] = SIZE;
    let mut pixels = Vec::with_capacity((3 * width * height) as usize);
    for y in 0..height {
        for x in 0..width {
            let noise = numbers.uniform(-12.0, 12.0);
            for channel in 0..3 {
                let at = |[a, b, phase, strength]: &[f64; 4]| {
                    let shift = f64::from(channel) * 0.8 + phase;
                    strength * (f64::from(x) * a + f64::from(y) * b + shift).sin()
                };
                pixels.push((128.0 + noise + waves.iter().map(at).sum::<f64>()) as u8);
            }
        }
    }
    Picture::new(width, height, pixels).expect("three bytes for each pixel")
}

/// Eight to sixteen words.
fn caption(number: usize) -> String {
    let mut numbers = Key::new(0).of("benchmark caption").at(number as u64).rng();
    let length = 8 + numbers.below(9);
    let words: Vec<&str> =
        (0..length).map(|_| WORDS[numbers.below(WORDS.len() as u64) as usize]).collect();
    words.join(" ")
}
