//! C-RADIO's vision transformer: eight prefix tokens, a position table for any grid, no final norm.
//!
//! Sources: arXiv 2312.06709, 2412.07679; `NVlabs/RADIO:radio/{vit_patch_generator,cls_token,
//! enable_cpe_support}.py`. Field names of RADIO's checkpoints.
//!
//! Shape letters: B batch, P patch side, H and V image height and width, N = (H / P) * (V / P) patches,
//! C class tokens, R registers, S side of the position table, W width.

mod head;
mod positions;

use burn::{
    module::{Module, Param},
    tensor::{Device, Int, Tensor, TensorData},
};

pub use head::{AttentionHead, HeadConfig, HeadVersion, RadioHead};
pub use positions::PositionCrop;

use crate::{
    BackboneError, Mode,
    error::{check_at_least, check_divisible},
    layers::{Block, BlockConfig, Linear, Visible, linear, run, zeros},
    mode::typed,
    positions::Grid,
};
use positions::{TAPS, Taps};

/// Numbers of a C-RADIO backbone.
#[derive(Debug, Clone, PartialEq)]
pub struct RadioConfig {
    /// P, pixels; both sides of a picture are multiples of it.
    pub patch_size: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Every block alike.
    pub block: BlockConfig,
    /// C: one for each teacher.
    pub class_tokens: usize,
    /// R.
    pub registers: usize,
    /// S.
    pub table_side: usize,
}

/// C-RADIO backbone. Its tokens are not normalised.
#[derive(Module, Debug)]
pub struct RadioTransformer {
    /// Pixels to tokens.
    pub patch_generator: PatchGenerator,
    /// The blocks.
    pub blocks: Vec<Block>,
    #[module(skip)]
    config: RadioConfig,
}

/// Patches with their positions, behind the prefix.
#[derive(Module, Debug)]
pub struct PatchGenerator {
    /// [3 * P * P, W], without bias.
    pub embedder: Linear,
    /// [1, S * S, W].
    pub pos_embed: Param<Tensor<3>>,
    /// Class tokens, then registers.
    pub cls_token: PrefixTokens,
}

/// The learned tokens in front of the patches.
#[derive(Module, Debug)]
pub struct PrefixTokens {
    /// [C + R, W].
    pub token: Param<Tensor<2>>,
}

impl RadioConfig {
    /// Fails on numbers that describe no model.
    pub fn check(&self) -> Result<(), BackboneError> {
        check_divisible("vision width", self.block.width, "vision heads", self.block.num_heads)?;
        check_at_least("patch size", self.patch_size, 1)?;
        check_at_least("vision depth", self.depth, 1)?;
        check_at_least("class tokens", self.class_tokens, 1)?;
        check_at_least("position table side", self.table_side, 1)
    }

    /// C + R, tokens in front of the patches.
    pub fn prefix(&self) -> usize {
        self.class_tokens + self.registers
    }

    /// A backbone whose parameters are still to be filled. The numbers have passed [`Self::check`].
    pub fn init(&self, device: &Device) -> RadioTransformer {
        let width = self.block.width;
        RadioTransformer {
            patch_generator: PatchGenerator {
                embedder: linear(3 * self.patch_size.pow(2), width, false, device),
                pos_embed: zeros([1, self.table_side.pow(2), width], device),
                cls_token: PrefixTokens { token: zeros([self.prefix(), width], device) },
            },
            blocks: (0..self.depth).map(|_| self.block.init(device)).collect(),
            config: self.clone(),
        }
    }
}

impl RadioTransformer {
    /// `images` [B, 3, H, V], normalised; `crops` holds one draw for each picture in training and
    /// nothing otherwise. Returns [B, C + R + N, W]: class tokens, registers, patches row by
    /// row, in the type of `mode`.
    pub fn forward(
        &self,
        images: Tensor<4>,
        crops: &[PositionCrop],
        mode: impl Into<Mode>,
    ) -> Tensor<3> {
        let mode = mode.into();
        let x = self.patch_generator.forward(images.cast(mode.dtype), crops);
        run(&self.blocks, x, &Visible::All, mode.recompute)
    }

    /// The class tokens of `tokens` [B, C + R + N, W] that `indices` pick, side by side:
    /// [B, indices * W].
    pub fn summary(&self, tokens: &Tensor<3>, indices: &[usize]) -> Tensor<2> {
        let picked = indices.iter().map(|&index| self.class_token(tokens, index)).collect();
        Tensor::cat(picked, 1)
    }

    /// One class token of `tokens` [B, C + R + N, W]: [B, W].
    pub fn class_token(&self, tokens: &Tensor<3>, index: usize) -> Tensor<2> {
        tokens.clone().slice_dim(1, index..index + 1).squeeze_dim::<2>(1)
    }

    /// The patches of `tokens` [B, C + R + N, W]: [B, N, W].
    pub fn patches(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [_, count, _] = tokens.dims();
        tokens.slice_dim(1, self.config.prefix()..count)
    }

    /// The numbers it was built from.
    pub fn config(&self) -> &RadioConfig {
        &self.config
    }
}

impl PatchGenerator {
    /// `images` [B, 3, H, V], normalised. Returns [B, C + R + N, W].
    pub fn forward(&self, images: Tensor<4>, crops: &[PositionCrop]) -> Tensor<3> {
        let [b, _, height, width] = images.dims();
        let side = self.patch_size();
        let grid = Grid { rows: height / side, columns: width / side };
        let patches = self.project(images);
        let dtype = patches.dtype();
        let patches = patches + self.positions(grid, crops).cast(dtype);
        let prefix = typed(&self.cls_token.token, dtype).unsqueeze::<3>();
        let [_, count, w] = prefix.dims();
        Tensor::cat(vec![prefix.expand([b, count, w]), patches], 1)
    }

    /// `images` [B, 3, H, V]. Returns the patches without positions, [B, N, W].
    pub fn project(&self, images: Tensor<4>) -> Tensor<3> {
        let [b, channels, height, width] = images.dims();
        let p = self.patch_size();
        let (rows, columns) = (height / p, width / p);
        let patches = images.reshape([b, channels, rows, p, columns, p]);
        let patches = patches.permute([0, 2, 4, 1, 3, 5]);
        self.embedder.forward(patches.reshape([b, rows * columns, channels * p * p]))
    }

    /// The positions of a grid: [1, N, W] without `crops`, [B, N, W] with one for each of B pictures.
    pub fn positions(&self, grid: Grid, crops: &[PositionCrop]) -> Tensor<3> {
        let [_, entries, w] = self.pos_embed.dims();
        let side = entries.isqrt();
        if crops.is_empty() && (grid.rows, grid.columns) == (side, side) {
            return self.pos_embed.val();
        }
        let mut taps = Taps::default();
        match crops {
            [] => taps.add_window(side, grid),
            crops => crops.iter().for_each(|crop| taps.add_crop(side, grid, crop)),
        }
        let device = self.pos_embed.device();
        let count = taps.rows.len();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(taps.rows, [count]), &device);
        let weights = TensorData::new(taps.weights, [count / TAPS, TAPS, 1]);
        let weights = Tensor::<3>::from_data(weights, &device);

        let table = self.pos_embed.val().squeeze_dim::<2>(0);
        let neighbours = table.select(0, rows).reshape([count / TAPS, TAPS, w]);
        let positions = (neighbours * weights).sum_dim(1);
        positions.reshape([crops.len().max(1), grid.len(), w])
    }

    /// P.
    fn patch_size(&self) -> usize {
        (self.embedder.weight.dims()[0] / 3).isqrt()
    }
}
