//! ConvNeXt V2: depthwise convolutions between norms and linear layers, over whole pictures or over
//! the visible cells of masked ones.
//!
//! Sources: arXiv 2301.00808; `facebookresearch/ConvNeXt-V2:models/convnextv2.py`, `TRAINING.md` (what
//! masking means). Fields follow timm's `convnext.py`. A depthwise convolution sees zeros where a cell
//! is masked; everything else is computed for visible sites only, so that masked ones cost nothing.
//!
//! Shape letters: B batch, H and V height and width of a map, N sites of a picture that are computed,
//! C channels, K side of a kernel, T tiles.

mod sites;

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor},
};
use hearth_kernels::{activate, depthwise_conv, linear as project, response_norm};

use crate::{
    BackboneError, Mode,
    cells::Cells,
    dropout::Dropout,
    error::check_at_least,
    layers::{Activation, Input, LayerNorm, Linear, layer_norm, linear, zeros},
    mode::typed,
    recompute::recompute,
    vit::PatchProjection,
};

pub use sites::Sites;

/// Added to variances and to the mean response.
const EPSILON: f64 = 1e-6;

/// Numbers of a ConvNeXt V2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvNextConfig {
    /// Pixels along a side of a patch of the stem: 4, or 2 for small pictures.
    pub patch_size: usize,
    /// Blocks of every stage.
    pub depths: [usize; 4],
    /// C of every stage.
    pub widths: [usize; 4],
}

/// What of a picture an encoder sees.
#[derive(Debug, Clone, Copy)]
pub enum Masking<'a> {
    /// All of it.
    Nothing,
    /// The visible cells, and nothing of the others anywhere.
    Cells(&'a Cells),
    /// As [`Masking::Cells`], but channels compete over the whole batch, as in MinkowskiEngine's layers.
    CellsOfBatch(&'a Cells),
    /// All of it, with the other cells at zero behind the stem only: the convolutions bring them back.
    BehindStem(&'a Cells),
}

/// ConvNeXt V2 without a head.
#[derive(Module, Debug)]
pub struct ConvNext {
    /// Pixels to the first map.
    pub stem: Stem,
    /// The four stages.
    pub stages: Vec<Stage>,
    #[module(skip)]
    config: ConvNextConfig,
}

/// Projection of patches, and a norm.
#[derive(Module, Debug)]
pub struct Stem {
    /// [C, 3, P, P].
    pub proj: PatchProjection,
    /// Over the channels.
    pub norm: LayerNorm,
}

/// Blocks of one width.
#[derive(Module, Debug)]
pub struct Stage {
    /// Halves the sides of the map; none in the first stage.
    pub downsample: Option<Downsample>,
    /// The blocks.
    pub blocks: Vec<ConvNextBlock>,
}

/// A norm, and a projection of 2x2 patches.
#[derive(Module, Debug)]
pub struct Downsample {
    /// Over the channels.
    pub norm: LayerNorm,
    /// [C', C, 2, 2].
    pub proj: PatchProjection,
}

/// `x + drop_path(mlp(norm(conv_dw(x))))`.
#[derive(Module, Debug)]
pub struct ConvNextBlock {
    /// 7x7.
    pub conv_dw: DepthwiseConv,
    /// Over the channels.
    pub norm: LayerNorm,
    /// With a response norm in the middle.
    pub mlp: ResponseMlp,
    /// Drops the branch of whole pictures.
    #[module(skip)]
    pub drop_path: Dropout,
}

/// One kernel for every channel.
#[derive(Module, Debug)]
pub struct DepthwiseConv {
    /// [C, 1, K, K].
    pub weight: Param<Tensor<4>>,
    /// [C].
    pub bias: Param<Tensor<1>>,
}

/// `fc2(grn(gelu(fc1(x))))`.
#[derive(Module, Debug)]
pub struct ResponseMlp {
    /// [C, 4C].
    pub fc1: Linear,
    /// Competition between channels.
    pub grn: ResponseNorm,
    /// [4C, C].
    pub fc2: Linear,
}

/// Global response normalisation.
#[derive(Module, Debug)]
pub struct ResponseNorm {
    /// [4C].
    pub gamma: Param<Tensor<1>>,
    /// [4C].
    pub beta: Param<Tensor<1>>,
}

impl ConvNextConfig {
    /// Pixels along a side of a cell, which becomes one site of the last map.
    pub fn cell(&self) -> usize {
        8 * self.patch_size
    }

    /// Fails on numbers that describe no model.
    pub fn check(&self) -> Result<(), BackboneError> {
        check_at_least("patch size", self.patch_size, 1)?;
        for (depth, width) in self.depths.into_iter().zip(self.widths) {
            check_at_least("depth of a stage", depth, 1)?;
            check_at_least("width of a stage", width, 1)?;
        }
        Ok(())
    }

    /// An encoder whose parameters are still to be filled. The numbers have passed [`Self::check`].
    pub fn init(&self, device: &Device) -> ConvNext {
        let stage = |i: usize| Stage {
            downsample: i.checked_sub(1).map(|before| Downsample {
                norm: layer_norm(self.widths[before], EPSILON, device),
                proj: PatchProjection::new([self.widths[before], self.widths[i]], 2, device),
            }),
            blocks: (0..self.depths[i])
                .map(|_| ConvNextBlock::new(self.widths[i], device))
                .collect(),
        };
        ConvNext {
            stem: Stem {
                proj: PatchProjection::new([3, self.widths[0]], self.patch_size, device),
                norm: layer_norm(self.widths[0], EPSILON, device),
            },
            stages: (0..4).map(stage).collect(),
            config: self.clone(),
        }
    }
}

impl ConvNext {
    /// `images` [B, 3, H, V], normalised; with cells, H and V are their grid times
    /// [`ConvNextConfig::cell`]. Returns the sites of the last map, [B, N, C]: all of them row by row, or the visible cells in their order.
    pub fn forward(
        &self,
        images: Tensor<4>,
        masking: Masking<'_>,
        mode: impl Into<Mode>,
    ) -> Tensor<3> {
        let Mode { dtype, recompute: recompute_blocks } = mode.into();
        let [batch, _, height, width] = images.dims();
        let sites = |stride: usize| match masking {
            Masking::Cells(cells) | Masking::CellsOfBatch(cells) => {
                Sites::of_cells(cells, self.config.cell() / stride)
            }
            Masking::Nothing | Masking::BehindStem(_) => {
                Sites::all(batch, [height / stride, width / stride])
            }
        };
        let (together, patch) =
            (matches!(masking, Masking::CellsOfBatch(_)), self.config.patch_size);
        let pixels = sites(1);
        let x = pixels.of_map(images.cast(dtype).permute([0, 2, 3, 1]));
        let mut x = self.stem.norm.forward(self.stem.proj.forward_sites(x, &pixels));
        if let Masking::BehindStem(cells) = masking {
            let mask = cells.mask(self.config.cell() / patch, &x.device(), x.dtype());
            x = x * sites(patch).of_map(mask);
        }
        let mut stride = patch;
        for stage in &self.stages {
            if let Some(downsample) = &stage.downsample {
                let before = sites(stride);
                x = downsample.proj.forward_sites(downsample.norm.forward(x), &before);
                stride *= 2;
            }
            let sites = sites(stride);
            for block in &stage.blocks {
                x = if recompute_blocks {
                    let sites = sites.clone();
                    recompute(block, x, move |block, x| block.forward(x, &sites, together))
                } else {
                    block.forward(x, &sites, together)
                };
            }
        }
        x
    }

    /// The numbers it was built from.
    pub fn config(&self) -> &ConvNextConfig {
        &self.config
    }
}

impl ConvNextBlock {
    /// A block of this width whose parameters are still to be filled.
    pub fn new(width: usize, device: &Device) -> Self {
        Self {
            conv_dw: DepthwiseConv {
                weight: zeros([width, 1, 7, 7], device),
                bias: zeros([width], device),
            },
            norm: layer_norm(width, EPSILON, device),
            mlp: ResponseMlp {
                fc1: linear(width, 4 * width, true, device),
                grn: ResponseNorm {
                    gamma: zeros([4 * width], device),
                    beta: zeros([4 * width], device),
                },
                fc2: linear(4 * width, width, true, device),
            },
            drop_path: Dropout::default(),
        }
    }

    /// `x` [B, N, C] at its `sites`. Returns [B, N, C]. With `together`, channels compete over the
    /// whole batch, otherwise over each picture.
    pub fn forward(&self, x: Tensor<3>, sites: &Sites, together: bool) -> Tensor<3> {
        let map = sites.on_map(x.clone());
        let map = self.conv_dw.forward(map);
        let hidden = self.mlp.fc1.forward_of(Input::Normalized(&self.norm, sites.of_map(map)));
        let hidden = activate(hidden, Activation::Gelu);
        let branch = self.mlp.fc2.forward(self.mlp.grn.forward(hidden, together));
        x + self.drop_path.forward_path(branch, 0)
    }
}

impl DepthwiseConv {
    /// `map` [B, H, V, C]. Returns the same shape.
    fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        let dtype = map.dtype();
        depthwise_conv(map, typed(&self.weight, dtype), typed(&self.bias, dtype))
    }
}

impl ResponseNorm {
    /// `x` [B, N, C]. Returns [B, N, C].
    fn forward(&self, x: Tensor<3>, together: bool) -> Tensor<3> {
        let [batch, sites, channels] = x.dims();
        let groups = if together { 1 } else { batch };
        let x = x.reshape([groups, 1, batch / groups * sites, channels]);
        let (gamma, beta) = (typed(&self.gamma, x.dtype()), typed(&self.beta, x.dtype()));
        let x = response_norm(x, gamma, beta, EPSILON);
        x.reshape([batch, sites, channels])
    }
}

impl PatchProjection {
    /// `x` [B, N, I] at its `sites`. Returns [B, N / K^2, O]; what is left of a map beyond whole patches
    /// is cut off.
    pub fn forward_sites(&self, x: Tensor<3>, sites: &Sites) -> Tensor<3> {
        let dtype = x.dtype();
        let weight = typed(&self.weight, dtype);
        let ([outputs, inputs, side, _], batch) = (weight.dims(), x.dims()[0]);
        let tiles = sites.tiles(x);
        let [count, height, width, _] = tiles.dims();
        let (rows, columns) = (height / side, width / side);
        let covered = tiles.slice_dim(1, 0..rows * side).slice_dim(2, 0..columns * side);
        // [T, H, V, I] -> [T, H / K, V / K, K, K, I]
        let patches = covered.reshape([count, rows, side, columns, side, inputs]).swap_dims(2, 3);
        let patches =
            patches.reshape([batch, count / batch.max(1) * rows * columns, side * side * inputs]);
        let weight = weight.permute([2, 3, 1, 0]).reshape([side * side * inputs, outputs]);
        project(patches, weight, self.bias.as_ref().map(|bias| typed(bias, dtype)))
    }
}
