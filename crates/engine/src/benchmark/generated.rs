//! Pictures for a benchmark without data, in a folder that goes when it ends.

use std::{
    env, f64, fs,
    path::{Path, PathBuf},
    process,
};

use hearth_data::{encode::jpeg, picture::Picture, random::Key};

use crate::atomic_file::FileError;

/// Size of a picture, as cameras and COCO have it.
const SIZE: [u32; 2] = [640, 480];
/// Pictures that differ; further ones are links to them.
const DIFFERENT: usize = 32;
const QUALITY: u8 = 85;

/// A folder of pictures; dropping it removes it.
#[derive(Debug)]
pub struct Generated {
    folder: PathBuf,
    count: usize,
}

impl Generated {
    /// `count` JPEGs, each at the `place` of its number in the folder.
    pub fn write(count: usize, place: impl Fn(usize) -> String) -> Result<Self, FileError> {
        let folder = env::temp_dir().join(format!("hearth-benchmark-{}", process::id()));
        let generated = Self { folder, count };
        for number in 0..count {
            let picture = generated.folder.join(place(number));
            if let Some(folder) = picture.parent() {
                fs::create_dir_all(folder).map_err(FileError::at("create this folder", folder))?;
            }
            let first = generated.folder.join(place(number % DIFFERENT));
            if number < DIFFERENT || fs::hard_link(&first, &picture).is_err() {
                write(&picture, &jpeg(&photograph(number), QUALITY))?;
            }
        }
        Ok(generated)
    }

    /// Where they are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl std::fmt::Display for Generated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [width, height] = SIZE;
        write!(f, "{} generated JPEGs of {width}x{height}", self.count)
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
