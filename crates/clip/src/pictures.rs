//! Pictures on their way from the loader to the vision tower.

use burn::tensor::{Device, Tensor, TensorData};
use hearth_backbones::{positions::Grid, radio::PositionCrop};
use hearth_data::{decode::Part, picture::Picture, random::Key, transform::PictureRecipe};

use crate::vision::Images;

/// One picture, prepared but for its numbers: these are four times as large, and are written into the
/// batch at once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Prepared {
    /// In the size of the input.
    pub(crate) picture: Picture,
    /// Its patches, where inputs have no common size (NaFlex).
    pub(crate) grid: Option<Grid>,
    /// The part of the position table that it sees (C-RADIO in training).
    pub(crate) crop: Option<PositionCrop>,
}

/// Pictures of a batch on the host.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pictures {
    /// [B, 3, S, S], normalised; with `grids` [B, T, P * P * 3], zeros behind the last patch.
    pub pixels: Vec<f32>,
    /// Patches of each picture (NaFlex), else nothing.
    pub grids: Vec<Grid>,
    /// Crop of the position table for each picture (C-RADIO in training), else nothing.
    pub crops: Vec<PositionCrop>,
}

impl Prepared {
    /// A picture as the tower takes it in evaluation.
    pub(crate) fn new(recipe: &PictureRecipe, part: &Part) -> Self {
        let grid = recipe.grid(part.width, part.height);
        let grid =
            grid.map(|[rows, columns]| Grid { rows: rows as usize, columns: columns as usize });
        Self { picture: part.view(), grid, crop: None }
    }
}

impl Pictures {
    /// One batch of all of them.
    pub(crate) fn collate<'a>(
        recipe: &PictureRecipe,
        pictures: impl Iterator<Item = &'a Prepared> + Clone,
    ) -> Self {
        let grids: Vec<Grid> = pictures.clone().filter_map(|picture| picture.grid).collect();
        let crops = pictures.clone().filter_map(|picture| picture.crop).collect();
        let values = |prepared: &Prepared| prepared.picture.pixels.len();
        let longest = pictures.clone().map(values).max().unwrap_or(1);
        let mut pixels = vec![0.0; longest * pictures.clone().count()];
        for (prepared, input) in pictures.zip(pixels.chunks_exact_mut(longest)) {
            recipe.write(&prepared.picture, &mut input[..values(prepared)]);
        }
        Self { pixels, grids, crops }
    }

    /// On the device; `size` is S, of no effect where there are grids.
    pub fn images(&self, size: usize, device: &Device) -> Images {
        let data = |shape: &[usize]| TensorData::new(self.pixels.clone(), shape.to_vec());
        let Some(tokens) = self.grids.iter().map(|grid| grid.len()).max() else {
            let shape = [self.pixels.len() / (3 * size * size), 3, size, size];
            return Images::Square(Tensor::from_data(data(&shape), device), self.crops.clone());
        };
        let patch = self.pixels.len() / (tokens * self.grids.len());
        let shape = [self.grids.len(), tokens, patch];
        Images::Patches(Tensor::from_data(data(&shape), device), self.grids.clone())
    }
}

/// The draws of C-RADIO's training for one picture.
pub(crate) fn position_crop(key: &Key) -> PositionCrop {
    let mut numbers = key.of("position crop").rng();
    let mut draw = || numbers.uniform(0.0, 1.0);
    PositionCrop { scale: draw(), aspect: draw(), offset: [draw(), draw()], keep: draw() }
}
