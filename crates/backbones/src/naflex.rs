//! SigLIP2's NaFlex vision transformer: pictures of any aspect ratio in one batch, each with the grid
//! of its own patches.
//!
//! Sources: arXiv 2502.14786; `huggingface/transformers:models/siglip2/modeling_siglip2.py`. Field names
//! of timm.
//!
//! Shape letters: B batch, T tokens of the longest picture, P patch side, S table side, W width.

use burn::{
    module::{Module, Param},
    tensor::{Bool, Device, Tensor, TensorData},
};

use crate::{
    BackboneError, Mode,
    error::{check_at_least, check_divisible},
    layers::{Block, BlockConfig, LayerNorm, Linear, Visible, layer_norm, linear, run, zeros},
    positions::{Grid, resize_weights},
    vit::AttentionPool,
};

/// Numbers of a NaFlex tower.
#[derive(Debug, Clone, PartialEq)]
pub struct NaflexConfig {
    /// P, pixels.
    pub patch_size: usize,
    /// S: the trained table holds S x S positions and is resized to each picture's grid.
    pub table_side: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Every block alike.
    pub block: BlockConfig,
}

/// NaFlex vision transformer; its output is not normalised.
#[derive(Module, Debug)]
pub struct NaflexTransformer {
    /// Flat patches to tokens.
    pub patch_embed: FlatPatchEmbed,
    /// [1, S * S, W].
    pub pos_embed: Param<Tensor<3>>,
    /// The blocks.
    pub blocks: Vec<Block>,
    /// Norm behind the blocks.
    pub norm: LayerNorm,
    /// SigLIP's pooling.
    pub attn_pool: AttentionPool,
    #[module(skip)]
    config: NaflexConfig,
}

/// Projection of patches that are already cut out.
#[derive(Module, Debug)]
pub struct FlatPatchEmbed {
    /// [P * P * 3, W]; the channels of a pixel lie together.
    pub proj: Linear,
}

impl NaflexConfig {
    /// Fails on numbers that describe no model.
    pub fn check(&self) -> Result<(), BackboneError> {
        check_divisible("vision width", self.block.width, "vision heads", self.block.num_heads)?;
        check_at_least("patch size", self.patch_size, 1)?;
        check_at_least("position table side", self.table_side, 1)?;
        check_at_least("vision depth", self.depth, 1)
    }

    /// Values of one patch.
    pub fn patch_len(&self) -> usize {
        3 * self.patch_size.pow(2)
    }

    /// A tower whose parameters are still to be filled. The numbers have passed [`Self::check`].
    pub fn init(&self, device: &Device) -> NaflexTransformer {
        let width = self.block.width;
        NaflexTransformer {
            patch_embed: FlatPatchEmbed { proj: linear(self.patch_len(), width, true, device) },
            pos_embed: zeros([1, self.table_side.pow(2), width], device),
            blocks: (0..self.depth).map(|_| self.block.init(device)).collect(),
            norm: layer_norm(width, self.block.norm_eps, device),
            attn_pool: AttentionPool::new(&self.block, device),
            config: self.clone(),
        }
    }
}

impl NaflexTransformer {
    /// `patches` [B, T, P * P * 3]: the patches of each picture row by row, then padding, whose content
    /// does not matter; `grids` has B entries. Returns [B, W], in the type of `mode`.
    pub fn forward(&self, patches: Tensor<3>, grids: &[Grid], mode: impl Into<Mode>) -> Tensor<2> {
        let mode = mode.into();
        let [_, tokens, _] = patches.dims();
        let device = patches.device();
        let visible = match padding(grids, tokens, &device) {
            Some(padding) => Visible::Unpadded(padding),
            None => Visible::All,
        };
        let positions = self.positions(grids, tokens, &device).cast(mode.dtype);
        let x = self.patch_embed.proj.forward(patches.cast(mode.dtype)) + positions;
        let x = run(&self.blocks, x, &visible, mode.recompute);
        self.attn_pool.forward(self.norm.forward(x), &visible)
    }

    /// The numbers it was built from.
    pub fn config(&self) -> &NaflexConfig {
        &self.config
    }

    /// The table, resized for every picture: [B, T, W].
    fn positions(&self, grids: &[Grid], tokens: usize, device: &Device) -> Tensor<3> {
        let side = self.config.table_side;
        let weights: Vec<f32> =
            grids.iter().flat_map(|grid| resize_weights(side, *grid, tokens)).collect();
        let shape = [grids.len() * tokens, side.pow(2)];
        let weights = Tensor::<2>::from_data(TensorData::new(weights, shape), device);
        let table = self.pos_embed.val().squeeze_dim::<2>(0);
        weights.matmul(table).reshape([grids.len(), tokens, self.config.block.width])
    }
}

/// [B, T], true behind the last patch of each picture; nothing where no picture has padding.
fn padding(grids: &[Grid], tokens: usize, device: &Device) -> Option<Tensor<2, Bool>> {
    if grids.iter().all(|grid| grid.len() == tokens) {
        return None;
    }
    let flags: Vec<bool> =
        grids.iter().flat_map(|grid| (0..tokens).map(|token| token >= grid.len())).collect();
    Some(Tensor::from_data(TensorData::new(flags, [grids.len(), tokens]), device))
}
