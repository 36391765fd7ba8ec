//! How a picture becomes the input of one vision tower.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::DataError;
use crate::picture::Picture;
use crate::resize::{Filter, View, Window};

/// The largest side of an input; above it is a mistake, not a model.
const LARGEST_SIZE: u32 = 8192;

/// The most patches that an input may have; above it is a mistake, not a model.
const MOST_PATCHES: u32 = 16_384;

/// How a picture of any shape gets the shape of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResizeMode {
    /// A square: both sides to the size; the aspect ratio is lost.
    Squash,
    /// A square: the shorter side to the size, then the centre of the longer one.
    ShortestSideThenCrop,
    /// A square with a margin: the shorter side to `side`, then the centre of the size.
    LargerThenCrop {
        /// At least the size.
        side: u32,
    },
    /// As many whole patches as the budget allows, the aspect ratio nearly kept (NaFlex). The size is
    /// the side of a square picture's input.
    PatchBudget {
        /// Side of a patch.
        patch: u32,
        /// The most patches.
        budget: u32,
    },
}

/// Which inputs are cut out of a picture that is an eighth larger, as [`ResizeMode::LargerThenCrop`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Margin {
    /// Those below 224.
    Below224,
    /// Those up to 224.
    UpTo224,
}

impl Margin {
    /// How a picture gets an input of this size.
    pub fn resize(self, size: u32) -> ResizeMode {
        let has_margin = match self {
            Margin::Below224 => size < 224,
            Margin::UpTo224 => size <= 224,
        };
        match has_margin {
            true => ResizeMode::LargerThenCrop { side: (f64::from(size) / 0.875) as u32 },
            false => ResizeMode::ShortestSideThenCrop,
        }
    }
}

/// Everything that decides the numbers of an evaluation input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureRecipe {
    /// Width and height of the input.
    pub size: u32,
    /// From the picture's shape to that of the input.
    pub resize: ResizeMode,
    /// The resampling kernel.
    pub filter: Filter,
    /// Subtracted from each channel, which is in 0..1.
    pub mean: [f64; 3],
    /// Divides each channel afterwards.
    pub std: [f64; 3],
}

impl PictureRecipe {
    /// The input for a picture: [3, size, size], channel after channel; with a patch budget
    /// [rows * columns, patch * patch * 3] of its [`Self::grid`], the channels of a pixel together.
    pub fn apply(&self, picture: &Picture) -> Vec<f32> {
        let picture = self.view(picture.width, picture.height).of(picture);
        let mut input = vec![0.0; picture.pixels.len()];
        self.write(&picture, &mut input);
        input
    }

    /// Rows and columns of patches of a picture of this size; nothing where inputs are squares.
    pub fn grid(&self, width: u32, height: u32) -> Option<[u32; 2]> {
        match self.resize {
            ResizeMode::PatchBudget { patch, budget } => {
                Some(patch_grid(width, height, patch, budget))
            }
            _ => None,
        }
    }

    /// What the model sees of a picture of this size.
    pub fn view(&self, width: u32, height: u32) -> View {
        match self.resize {
            ResizeMode::PatchBudget { patch, budget } => {
                let [rows, columns] = patch_grid(width, height, patch, budget);
                View::whole(width, height, columns * patch, rows * patch, self.filter)
            }
            ResizeMode::Squash => View::whole(width, height, self.size, self.size, self.filter),
            ResizeMode::ShortestSideThenCrop => self.centre(width, height, self.size),
            ResizeMode::LargerThenCrop { side } => self.centre(width, height, side),
        }
    }

    /// The numbers of a picture that has its size, (v / 255 - mean) / std in the order of
    /// [`Self::apply`], into memory for three numbers a pixel.
    pub fn write(&self, picture: &Picture, input: &mut [f32]) {
        assert_eq!(input.len(), picture.pixels.len(), "numbers for the values of a picture");
        let tables: [[f32; 256]; 3] = std::array::from_fn(|channel| self.values(channel));
        match self.resize {
            ResizeMode::PatchBudget { patch, .. } => cut(picture, patch as usize, &tables, input),
            _ => planes(picture, &tables, input),
        }
    }

    /// All of the picture in the size that torchvision's `Resize(side)` gives, and the window that
    /// `CenterCrop(size)` keeps of it. Computing no more than the window keeps a 1 x 60,000 picture from
    /// growing to gigabytes.
    fn centre(&self, width: u32, height: u32, side: u32) -> View {
        // torchvision truncates the long side and rounds half of what it cuts off to even.
        let (short, long) = (width.min(height), width.max(height));
        let long = (f64::from(side) * f64::from(long) / f64::from(short)) as u32;
        let offset = |length: u32| (f64::from(length - self.size) / 2.0).round_ties_even() as u32;
        let (columns, rows) = if width <= height { (side, long) } else { (long, side) };
        let (left, top) = (offset(columns), offset(rows));
        let window = Window { left, top, width: self.size, height: self.size };
        View { window, ..View::whole(width, height, columns, rows, self.filter) }
    }

    /// What each 8-bit value of a channel becomes.
    fn values(&self, channel: usize) -> [f32; 256] {
        let (mean, std) = (self.mean[channel] as f32, self.std[channel] as f32);
        std::array::from_fn(|v| (v as f32 / 255.0 - mean) / std)
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

    /// Fails on values that make no sense.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=LARGEST_SIZE).contains(&self.size) {
            return Err(format!("`size`: found {}, needed 1 to {LARGEST_SIZE}", self.size));
        }
        if let ResizeMode::PatchBudget { patch, budget } = self.resize {
            if !(1..=MOST_PATCHES).contains(&budget) {
                return Err(format!("`budget`: found {budget}, needed 1 to {MOST_PATCHES}"));
            }
            if !(1..=LARGEST_SIZE).contains(&patch) {
                return Err(format!("`patch`: found {patch}, needed 1 to {LARGEST_SIZE}"));
            }
        }
        if let ResizeMode::LargerThenCrop { side } = self.resize
            && !(self.size..=LARGEST_SIZE).contains(&side)
        {
            return Err(format!("`side`: found {side}, needed {} to {LARGEST_SIZE}", self.size));
        }
        match self.std.iter().find(|&&std| !(std.is_finite() && std > 0.0)) {
            Some(std) => Err(format!("`std`: found {std}, needed numbers above 0")),
            None if self.mean.iter().all(|mean| mean.is_finite()) => Ok(()),
            None => Err(format!("`mean`: found {:?}, needed finite numbers", self.mean)),
        }
    }
}

/// Rows and columns of the largest input of at most `budget` patches: both sides are scaled alike and
/// rounded up to whole patches.
///
/// The bisection of `get_image_size_for_max_num_patches` in
/// `huggingface/transformers:models/siglip2/image_processing_siglip2.py`.
fn patch_grid(width: u32, height: u32, patch: u32, budget: u32) -> [u32; 2] {
    const PRECISION: f64 = 1e-5;
    let patches = |side: u32, scale: f64| -> u32 {
        ((f64::from(side) * scale / f64::from(patch)).ceil() as u32).max(1)
    };
    let (mut fits, mut too_large) = (PRECISION / 10.0, 100.0);
    while too_large - fits >= PRECISION {
        let scale = (fits + too_large) / 2.0;
        let count = u64::from(patches(height, scale)) * u64::from(patches(width, scale));
        if count <= u64::from(budget) { fits = scale } else { too_large = scale }
    }
    [patches(height, fits), patches(width, fits)]
}

/// As [3, height, width].
fn planes(picture: &Picture, tables: &[[f32; 256]; 3], input: &mut [f32]) {
    let pixels = picture.pixels.as_chunks::<3>().0;
    for (channel, plane) in input.chunks_exact_mut(pixels.len()).enumerate() {
        for (value, pixel) in plane.iter_mut().zip(pixels) {
            *value = tables[channel][usize::from(pixel[channel])];
        }
    }
}

/// Patch after patch, row by row of patches and then of pixels.
fn cut(picture: &Picture, patch: usize, tables: &[[f32; 256]; 3], input: &mut [f32]) {
    let width = picture.width as usize;
    let mut lines = input.chunks_exact_mut(3 * patch);
    for rows in picture.pixels.chunks_exact(3 * patch * width) {
        for left in (0..width).step_by(patch) {
            for (row, line) in rows.chunks_exact(3 * width).zip(&mut lines) {
                let pixels = &row[3 * left..3 * (left + patch)];
                for (i, (value, &pixel)) in line.iter_mut().zip(pixels).enumerate() {
                    *value = tables[i % 3][usize::from(pixel)];
                }
            }
        }
    }
}
