//! How a picture becomes the input of one vision tower.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::DataError;
use crate::picture::Picture;
use crate::resize::{Filter, Window, resize, resize_window};

/// The largest side of an input; above it is a mistake, not a model.
const LARGEST_SIZE: u32 = 8192;

/// How a picture of any shape becomes a square.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResizeMode {
    /// Both sides to the size; the aspect ratio is lost.
    Squash,
    /// The shorter side to the size, then the centre of the longer one.
    ShortestSideThenCrop,
}

/// Everything that decides the numbers of an evaluation input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureRecipe {
    /// Width and height of the input.
    pub size: u32,
    /// From the picture's shape to the square.
    pub resize: ResizeMode,
    /// The resampling kernel.
    pub filter: Filter,
    /// Subtracted from each channel, which is in 0..1.
    pub mean: [f64; 3],
    /// Divides each channel afterwards.
    pub std: [f64; 3],
}

impl PictureRecipe {
    /// The input for a picture: [3, size, size], channel after channel.
    pub fn apply(&self, picture: &Picture) -> Vec<f32> {
        self.normalise(&self.fit(picture))
    }

    /// The picture as a square of the recipe's size.
    pub fn fit(&self, picture: &Picture) -> Picture {
        match self.resize {
            ResizeMode::Squash => resize(picture, self.size, self.size, self.filter),
            ResizeMode::ShortestSideThenCrop => {
                let (width, height, window) = centre(picture.width, picture.height, self.size);
                resize_window(picture, width, height, window, self.filter)
            }
        }
    }

    /// (v / 255 - mean) / std of a picture of any size, as [3, height, width].
    pub fn normalise(&self, picture: &Picture) -> Vec<f32> {
        let area = picture.pixels.len() / 3;
        let mut input = vec![0.0; 3 * area];
        for (channel, plane) in input.chunks_exact_mut(area).enumerate() {
            let (mean, std) = (self.mean[channel] as f32, self.std[channel] as f32);
            let values: [f32; 256] = std::array::from_fn(|v| (v as f32 / 255.0 - mean) / std);
            for (value, pixel) in plane.iter_mut().zip(picture.pixels.chunks_exact(3)) {
                *value = values[usize::from(pixel[channel])];
            }
        }
        input
    }

    /// For the metadata of checkpoints and embeddings.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).expect("a recipe is plain data")
    }

    /// Reads what [`PictureRecipe::to_json`] wrote.
    pub fn from_json(value: &Value) -> Result<PictureRecipe, DataError> {
        let refuse = |problem| DataError::Recipe { recipe: "picture", problem };
        let recipe = PictureRecipe::deserialize(value).map_err(|e| refuse(e.to_string()))?;
        recipe.check().map_err(refuse)?;
        Ok(recipe)
    }

    fn check(&self) -> Result<(), String> {
        if !(1..=LARGEST_SIZE).contains(&self.size) {
            return Err(format!("`size`: found {}, needed 1 to {LARGEST_SIZE}", self.size));
        }
        match self.std.iter().find(|&&std| !(std.is_finite() && std > 0.0)) {
            Some(std) => Err(format!("`std`: found {std}, needed numbers above 0")),
            None if self.mean.iter().all(|mean| mean.is_finite()) => Ok(()),
            None => Err(format!("`mean`: found {:?}, needed finite numbers", self.mean)),
        }
    }
}

/// The size that torchvision's `Resize(size)` gives and the window that `CenterCrop(size)` keeps of it.
/// Computing no more than the window keeps a 1 x 60,000 picture from growing to gigabytes.
fn centre(width: u32, height: u32, size: u32) -> (u32, u32, Window) {
    // torchvision truncates the long side and rounds half of what it cuts off to even.
    let (short, long) = (width.min(height), width.max(height));
    let long = (f64::from(size) * f64::from(long) / f64::from(short)) as u32;
    let offset = (f64::from(long - size) / 2.0).round_ties_even() as u32;
    if width <= height {
        (size, long, Window { left: 0, top: offset, width: size, height: size })
    } else {
        (long, size, Window { left: offset, top: 0, width: size, height: size })
    }
}
