//! Hiera: a transformer whose tokens are pooled from stage to stage, without windows that move.
//!
//! Sources: arXiv 2306.00989; `facebookresearch/hiera:hiera/hiera.py`; fields follow timm's `hiera.py`.
//! The tokens of a mask unit of 8x8 lie together, and in it those that pooling joins: a unit is a window
//! of the first stages, and a masked encoder keeps or drops it as a whole.
//!
//! Shape letters: B batch, H and V image height and width, U units of a picture that are computed,
//! N tokens of a unit, W width, A heads, D = W / A.

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor, module::conv2d, ops::ConvOptions},
};
use hearth_kernels::{attention, self_attention, take_rows};

use crate::{
    BackboneError, Mode,
    cells::Cells,
    dropout::Dropout,
    error::{check_at_least, check_divisible},
    layers::{Activation, Input, LayerNorm, Linear, Mlp, Visible, layer_norm, linear, zeros},
    mode::typed,
    recompute::recompute,
};

/// Pixels along a side of a mask unit.
pub const UNIT: usize = 32;
/// Pixels from one token to the next.
const STRIDE: usize = 4;
/// Tokens that pooling makes one.
const POOL: usize = 4;
/// Added to variances.
const EPSILON: f64 = 1e-6;

/// Numbers of a Hiera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HieraConfig {
    /// H = V, pixels; a multiple of [`UNIT`].
    pub image_size: usize,
    /// Blocks of every stage.
    pub depths: [usize; 4],
    /// W of the first stage; it doubles with every stage.
    pub width: usize,
    /// A of the first stage; it doubles with every stage.
    pub num_heads: usize,
    /// Stages behind the first that begin with pooling: 3, or 2 where an autoencoder needs tokens of a unit.
    pub pooled_stages: usize,
}

/// Hiera without a head.
#[derive(Module, Debug)]
pub struct Hiera {
    /// Overlapping patches to tokens.
    pub patch_embed: OverlappingPatches,
    /// [1, H / 4 * V / 4, W], row by row.
    pub pos_embed: Param<Tensor<3>>,
    /// The blocks of all stages.
    pub blocks: Vec<HieraBlock>,
    #[module(skip)]
    config: HieraConfig,
}

/// A convolution of 7x7 with stride 4.
#[derive(Module, Debug)]
pub struct OverlappingPatches {
    /// The convolution.
    pub proj: Convolution,
}

/// Weights of a convolution.
#[derive(Module, Debug)]
pub struct Convolution {
    /// [O, I, K, K].
    pub weight: Param<Tensor<4>>,
    /// [O].
    pub bias: Param<Tensor<1>>,
}

/// `x = pool(proj(norm1(x)))` where the width grows, else `x`; then `x + attn(norm1(x))`, then
/// `x + mlp(norm2(x))`.
#[derive(Module, Debug)]
pub struct HieraBlock {
    /// Norm in front of the attention.
    pub norm1: LayerNorm,
    /// Self-attention, which pools its queries.
    pub attn: PoolingAttention,
    /// Norm in front of the MLP.
    pub norm2: LayerNorm,
    /// Two linear layers.
    pub mlp: Mlp,
    /// To the new width.
    pub proj: Option<Linear>,
    /// Drops the branches of whole pictures.
    #[module(skip)]
    pub drop_path: Dropout,
}

/// Multi-head self-attention within units or over all of them.
#[derive(Module, Debug)]
pub struct PoolingAttention {
    /// [W, 3W'], columns in the order q, k, v.
    pub qkv: Linear,
    /// [W', W'].
    pub proj: Linear,
    num_heads: usize,
    pools: bool,
    global: bool,
}

/// Numbers of one block.
#[derive(Debug, Clone, Copy)]
pub struct HieraBlockConfig {
    /// W and W'.
    pub widths: [usize; 2],
    /// A.
    pub num_heads: usize,
    /// Whether four tokens become one.
    pub pools: bool,
    /// Whether a token attends to other units.
    pub global: bool,
}

impl HieraConfig {
    /// Fails on numbers that describe no model.
    pub fn check(&self) -> Result<(), BackboneError> {
        check_divisible("image size", self.image_size, "side of a mask unit", UNIT)?;
        check_divisible("width", self.width, "heads", self.num_heads)?;
        self.depths.into_iter().try_for_each(|depth| check_at_least("depth of a stage", depth, 1))
    }

    /// Units along a side of a picture.
    pub fn grid(&self) -> usize {
        self.image_size / UNIT
    }

    /// W of a stage.
    pub fn stage_width(&self, stage: usize) -> usize {
        self.width << stage
    }

    /// Number of the last block of every stage.
    pub fn stage_ends(&self) -> [usize; 4] {
        let mut end = 0;
        self.depths.map(|depth| {
            end += depth;
            end - 1
        })
    }

    /// The first block of a stage changes width, heads and number of tokens; its attention still reaches
    /// as far as in the stage before.
    fn blocks(&self) -> Vec<HieraBlockConfig> {
        let mut blocks = Vec::new();
        for (stage, depth) in self.depths.into_iter().enumerate() {
            for i in 0..depth {
                let first = i == 0 && stage > 0;
                let before = if first { stage - 1 } else { stage };
                blocks.push(HieraBlockConfig {
                    widths: [self.stage_width(before), self.stage_width(stage)],
                    num_heads: self.num_heads << stage,
                    pools: first && stage <= self.pooled_stages,
                    global: before >= 2,
                });
            }
        }
        blocks
    }

    /// An encoder whose parameters are still to be filled. The numbers have passed [`Self::check`].
    pub fn init(&self, device: &Device) -> Hiera {
        let tokens = (self.image_size / STRIDE).pow(2);
        Hiera {
            patch_embed: OverlappingPatches {
                proj: Convolution {
                    weight: zeros([self.width, 3, 7, 7], device),
                    bias: zeros([self.width], device),
                },
            },
            pos_embed: zeros([1, tokens, self.width], device),
            blocks: self.blocks().iter().map(|block| block.init(device)).collect(),
            config: self.clone(),
        }
    }
}

impl HieraBlockConfig {
    /// A block whose parameters are still to be filled.
    pub fn init(&self, device: &Device) -> HieraBlock {
        let [before, width] = self.widths;
        HieraBlock {
            norm1: layer_norm(before, EPSILON, device),
            attn: PoolingAttention {
                qkv: linear(before, 3 * width, true, device),
                proj: linear(width, width, true, device),
                num_heads: self.num_heads,
                pools: self.pools,
                global: self.global,
            },
            norm2: layer_norm(width, EPSILON, device),
            mlp: Mlp::new(width, 4 * width, Activation::Gelu, device),
            proj: (before != width).then(|| linear(before, width, true, device)),
            drop_path: Dropout::default(),
        }
    }
}

impl Hiera {
    /// `images` [B, 3, H, V], normalised. Returns what leaves every stage, [B, U, N, W], in which the
    /// tokens of a unit lie as [.., half, quarter] of halves of halves: row and column of each, the
    /// coarsest first.
    ///
    /// With `units`, the others are black in the picture and have no tokens.
    pub fn forward(
        &self,
        images: Tensor<4>,
        units: Option<&Cells>,
        mode: impl Into<Mode>,
    ) -> [Tensor<4>; 4] {
        let Mode { dtype, recompute: recompute_blocks } = mode.into();
        let mut x = self.embed(images.cast(dtype), units);
        let ends = self.config.stage_ends();
        let mut stages = Vec::with_capacity(4);
        for (i, block) in self.blocks.iter().enumerate() {
            x = if recompute_blocks {
                let [batch, units, ..] = x.dims();
                let flat = x.flatten::<3>(0, 1);
                let out = recompute(block, flat, move |block, x| {
                    let [_, tokens, width] = x.dims();
                    let x = x.reshape([batch, units, tokens, width]);
                    block.forward(x).flatten::<3>(0, 1)
                });
                let [_, tokens, width] = out.dims();
                out.reshape([batch, units, tokens, width])
            } else {
                block.forward(x)
            };
            if ends.contains(&i) {
                stages.push(x.clone());
            }
        }
        stages.try_into().expect("four stages end")
    }

    /// The numbers it was built from.
    pub fn config(&self) -> &HieraConfig {
        &self.config
    }

    /// [B, 3, H, V] -> [B, U, 64, W].
    fn embed(&self, images: Tensor<4>, units: Option<&Cells>) -> Tensor<4> {
        let images = match units {
            Some(cells) => {
                let mask = cells.mask(UNIT, &images.device(), images.dtype());
                images * mask.permute([0, 3, 1, 2])
            }
            None => images,
        };
        let Convolution { weight, bias } = &self.patch_embed.proj;
        let options = ConvOptions::new([STRIDE, STRIDE], [3, 3], [1, 1], 1);
        let dtype = images.dtype();
        let map = conv2d(images, typed(weight, dtype), Some(typed(bias, dtype)), options);
        let [batch, width, rows, columns] = map.dims();
        let tokens = map.reshape([batch, width, rows * columns]).swap_dims(1, 2);
        let tokens = tokens + typed(&self.pos_embed, dtype);

        // Units, then halves of units, then halves of those.
        let side = UNIT / STRIDE;
        let parts = tokens.reshape([batch, rows, columns, width]);
        let parts = [[rows / side, columns / side], [2, 2], [2, 2]].into_iter().fold(parts, split);
        let count = rows * columns / (side * side);
        let x = parts.reshape([batch, count, side * side, width]);
        let Some(cells) = units else { return x };
        let taken = take_rows(x.reshape([batch * count, side * side * width]), &cells.rows());
        taken.reshape([batch, cells.count(), side * side, width])
    }
}

/// `x` [T, H, V, W] as parts of `grid`: [T * rows * columns, H / rows, V / columns, W].
fn split(x: Tensor<4>, grid: [usize; 2]) -> Tensor<4> {
    let ([tiles, height, width, channels], [rows, columns]) = (x.dims(), grid);
    let sides = [height / rows, width / columns];
    let x = x.reshape([tiles, rows, sides[0], columns, sides[1], channels]).swap_dims(2, 3);
    x.reshape([tiles * rows * columns, sides[0], sides[1], channels])
}

impl HieraBlock {
    /// `x` [B, U, N, W]. Returns [B, U, N', W'].
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, units, tokens, width] = x.dims();
        let x = x.reshape([batch, units * tokens, width]);
        let (x, attended) = match &self.proj {
            Some(proj) => {
                let normal = self.norm1.forward(x);
                let changed = proj.forward(normal.clone());
                let changed = if self.attn.pools { pool(changed) } else { changed };
                (changed, self.attn.forward(Input::Plain(normal), units))
            }
            None => (x.clone(), self.attn.forward(Input::Normalized(&self.norm1, x), units)),
        };
        let x = x + self.drop_path.forward_path(attended, 0);
        let changed = self.mlp.forward(Input::Normalized(&self.norm2, x.clone()));
        let x = x + self.drop_path.forward_path(changed, 1);
        let [_, all, width] = x.dims();
        x.reshape([batch, units, all / units.max(1), width])
    }
}

impl PoolingAttention {
    /// `x` [B, U * N, W]. Returns [B, U * N', W'].
    fn forward(&self, x: Input<'_>, units: usize) -> Tensor<3> {
        let qkv = self.qkv.forward_of(x);
        let [batch, all, wide] = qkv.dims();
        let windows = if self.global { 1 } else { units };
        let (tokens, width) = (all / windows.max(1), wide / 3);
        let qkv = qkv.reshape([batch * windows, tokens, wide]);
        let heads = if self.pools {
            self.attend_pooled(qkv)
        } else {
            self_attention(qkv, self.num_heads, Visible::All.view())
        };
        let tokens = heads.dims()[1];
        self.proj.forward(heads.reshape([batch, windows * tokens, width]))
    }

    /// `qkv` [T, N, 3W]; every query is the greatest of four. Returns [T, N / 4, W].
    fn attend_pooled(&self, qkv: Tensor<3>) -> Tensor<3> {
        let [count, tokens, wide] = qkv.dims();
        let (width, heads) = (wide / 3, self.num_heads);
        let part = |i: usize| qkv.clone().slice_dim(2, i * width..(i + 1) * width);
        let split = |x: Tensor<3>| {
            let tokens = x.dims()[1];
            x.reshape([count, tokens, heads, width / heads]).swap_dims(1, 2)
        };
        let (q, k, v) = (split(pool(part(0))), split(part(1)), split(part(2)));
        let seen = attention(q, k, v, Visible::All.view());
        seen.swap_dims(1, 2).reshape([count, tokens / POOL, width])
    }
}

/// The greatest of every four tokens of `x` [B, N, W]. Returns [B, N / 4, W].
fn pool(x: Tensor<3>) -> Tensor<3> {
    let [batch, tokens, width] = x.dims();
    x.reshape([batch, tokens / POOL, POOL, width]).max_dim(2).reshape([batch, tokens / POOL, width])
}
