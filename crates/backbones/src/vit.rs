//! Vision transformer of the CLIP family: SigLIP2, open_clip and OpenAI towers are settings of one model.
//!
//! Sources: arXiv 2010.11929; `google-research/big_vision:models/vit.py` (MAP head);
//! `mlfoundations/open_clip:src/open_clip/transformer.py` (class token, poolings). Field names of timm.
//!
//! Shape letters: B batch, H and V image height and width, P patch side, G = H / P patches per side,
//! N = G * G patches, T = N + 1 with a class token else N, W width, E joint embedding width.

use burn::{
    module::{Module, Param},
    tensor::{Device, FloatDType, Tensor},
};
use hearth_kernels::{attention, linear as project, take_rows};

use crate::{
    BackboneError, Mode,
    cells::Cells,
    error::{check_at_least, check_divisible},
    layers::{
        Block, BlockConfig, Input, LayerNorm, Linear, Mlp, Visible, frozen_zeros, layer_norm,
        linear, run, zeros,
    },
    mode::typed,
};

/// How the tokens become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VisionPool {
    /// The class token, normalised (OpenAI, LAION, DFN).
    ClassToken,
    /// Mean of the patch tokens, normalised after the mean (CLIPA, NV-CLIP; MAE's `fc_norm`).
    Mean,
    /// Mean of the patch tokens as they are (TAO's fine-tuned MAE).
    BareMean,
    /// Attention of one learned query over the normalised tokens, then an MLP (SigLIP).
    Map,
}

/// Where the position embedding comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VisionPositions {
    /// A trained table.
    Learned,
    /// The fixed table of [`crate::positions::sin_cos_2d`]: kept in checkpoints, never trained.
    SinCos2d,
}

/// Numbers of a vision tower.
#[derive(Debug, Clone, PartialEq)]
pub struct VisionConfig {
    /// H = V, pixels. A remainder beyond a multiple of the patch side is cut off, as the stride of a
    /// convolution would do (`siglip2-so400m-patch14-384`).
    pub image_size: usize,
    /// P, pixels.
    pub patch_size: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Every block alike.
    pub block: BlockConfig,
    /// Prepends a class token; its position is row 0 of the table.
    pub class_token: bool,
    /// Origin of the position table.
    pub positions: VisionPositions,
    /// Norm in front of the blocks.
    pub norm_pre: bool,
    /// Bias of the patch projection.
    pub patch_bias: bool,
    /// Reduction of tokens to one vector.
    pub pool: VisionPool,
    /// E: width of a final projection without bias; none where the pooled vector is the embedding.
    pub projection: Option<usize>,
}

/// Vision transformer; its output is not normalised.
#[derive(Module, Debug)]
pub struct VisionTransformer {
    /// Pixels to tokens.
    pub patch_embed: PatchEmbed,
    /// [1, 1, W].
    pub cls_token: Option<Param<Tensor<3>>>,
    /// [1, T, W].
    pub pos_embed: Param<Tensor<3>>,
    /// Norm in front of the blocks.
    pub norm_pre: Option<LayerNorm>,
    /// The blocks.
    pub blocks: Vec<Block>,
    /// Norm behind the blocks (for [`VisionPool::Mean`], behind the mean; none for
    /// [`VisionPool::BareMean`]).
    pub norm: Option<LayerNorm>,
    /// SigLIP's pooling.
    pub attn_pool: Option<AttentionPool>,
    /// Projection to E.
    pub head: Option<Linear>,
    #[module(skip)]
    config: VisionConfig,
}

/// Splits an image into patches and projects each.
#[derive(Module, Debug)]
pub struct PatchEmbed {
    /// The projection, laid out like the convolution of the public checkpoints.
    pub proj: PatchProjection,
}

/// A convolution whose stride is its kernel: one matrix product over flattened patches.
#[derive(Module, Debug)]
pub struct PatchProjection {
    /// [W, 3, P, P].
    pub weight: Param<Tensor<4>>,
    /// [W].
    pub bias: Option<Param<Tensor<1>>>,
}

/// Multi-head attention pooling: a learned query attends to all tokens.
#[derive(Module, Debug)]
pub struct AttentionPool {
    /// [1, 1, W], the learned query.
    pub latent: Param<Tensor<3>>,
    /// [W, 3W]: the first third projects the query, the rest keys and values of the tokens.
    pub qkv: Linear,
    /// [W, W].
    pub proj: Linear,
    /// Norm in front of the MLP.
    pub norm: LayerNorm,
    /// Its residual starts behind the attention.
    pub mlp: Mlp,
    num_heads: usize,
}

impl VisionConfig {
    /// G, patches per side.
    pub fn grid(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// T, tokens that the blocks see.
    pub fn num_tokens(&self) -> usize {
        self.grid().pow(2) + usize::from(self.class_token)
    }

    /// Width of the output.
    pub fn embed_dim(&self) -> usize {
        self.projection.unwrap_or(self.block.width)
    }

    /// Fails on numbers that describe no model.
    pub fn check(&self) -> Result<(), BackboneError> {
        check_divisible("vision width", self.block.width, "vision heads", self.block.num_heads)?;
        check_at_least("patch size", self.patch_size, 1)?;
        check_at_least("image size", self.image_size, self.patch_size)?;
        check_at_least("vision depth", self.depth, 1)?;
        if self.positions == VisionPositions::SinCos2d {
            check_divisible("vision width", self.block.width, "parts of a sin-cos position", 4)?;
        }
        Ok(())
    }

    /// A tower whose parameters are still to be filled. The numbers have passed [`Self::check`].
    pub fn init(&self, device: &Device) -> VisionTransformer {
        let width = self.block.width;
        let positions = [1, self.num_tokens(), width];
        VisionTransformer {
            patch_embed: PatchEmbed {
                proj: PatchProjection {
                    weight: zeros([width, 3, self.patch_size, self.patch_size], device),
                    bias: self.patch_bias.then(|| zeros([width], device)),
                },
            },
            cls_token: self.class_token.then(|| zeros([1, 1, width], device)),
            pos_embed: match self.positions {
                VisionPositions::Learned => zeros(positions, device),
                VisionPositions::SinCos2d => frozen_zeros(positions, device),
            },
            norm_pre: self.norm_pre.then(|| layer_norm(width, self.block.norm_eps, device)),
            blocks: (0..self.depth).map(|_| self.block.init(device)).collect(),
            norm: (self.pool != VisionPool::BareMean)
                .then(|| layer_norm(width, self.block.norm_eps, device)),
            attn_pool: (self.pool == VisionPool::Map)
                .then(|| AttentionPool::new(&self.block, device)),
            head: self.projection.map(|embed_dim| linear(width, embed_dim, false, device)),
            config: self.clone(),
        }
    }
}

impl VisionTransformer {
    /// `images` [B, 3, H, V], normalised. Returns [B, E], in the type of `mode`.
    pub fn forward(&self, images: Tensor<4>, mode: impl Into<Mode>) -> Tensor<2> {
        let mode = mode.into();
        let x = self.embed(images.cast(mode.dtype));
        let x = run(&self.blocks, x, &Visible::All, mode.recompute);
        let pooled = self.pool(x);
        match &self.head {
            Some(head) => head.forward(pooled),
            None => pooled,
        }
    }

    /// The tokens behind the blocks and the norm, [B, T, W]; with `patches`, of the class token and of
    /// these K patches of every picture in their order only, [B, 1 + K, W].
    ///
    /// A patch is one of the cells.
    pub fn tokens(
        &self,
        images: Tensor<4>,
        patches: Option<&Cells>,
        mode: impl Into<Mode>,
    ) -> Tensor<3> {
        let mode = mode.into();
        let mut x = self.embed(images.cast(mode.dtype));
        if let Some(cells) = patches {
            let [batch, tokens, width] = x.dims();
            let first = tokens - cells.grid[0] * cells.grid[1];
            let prefix = x.clone().slice_dim(1, 0..first);
            let all = x.slice_dim(1, first..tokens).reshape([batch * (tokens - first), width]);
            let taken = take_rows(all, &cells.rows()).reshape([batch, cells.count(), width]);
            x = if first == 0 { taken } else { Tensor::cat(vec![prefix, taken], 1) };
        }
        self.normalized(run(&self.blocks, x, &Visible::All, mode.recompute))
    }

    /// The numbers it was built from.
    pub fn config(&self) -> &VisionConfig {
        &self.config
    }

    /// [B, 3, H, V] -> [B, T, W].
    fn embed(&self, images: Tensor<4>) -> Tensor<3> {
        let [b, ..] = images.dims();
        let patches = self.patch_embed.forward(images, self.config.grid());
        let tokens = match &self.cls_token {
            Some(token) => {
                let token = typed(token, patches.dtype());
                let token = token.expand([b, 1, self.config.block.width]);
                Tensor::cat(vec![token, patches], 1)
            }
            None => patches,
        };
        let positions = typed(&self.pos_embed, tokens.dtype());
        let x = tokens + positions;
        match &self.norm_pre {
            Some(norm) => norm.forward(x),
            None => x,
        }
    }

    fn normalized<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match &self.norm {
            Some(norm) => norm.forward(x),
            None => x,
        }
    }

    /// [B, T, W] -> [B, W].
    fn pool(&self, x: Tensor<3>) -> Tensor<2> {
        let first_patch = usize::from(self.config.class_token);
        match (self.config.pool, &self.attn_pool) {
            (VisionPool::ClassToken, _) => {
                let token = x.slice_dim(1, 0..1).squeeze_dim::<2>(1);
                self.normalized(token)
            }
            (VisionPool::Mean | VisionPool::BareMean, _) => {
                let patches = x.slice_dim(1, first_patch..self.config.num_tokens());
                let dtype = patches.dtype();
                let mean = patches.cast(FloatDType::F32).mean_dim(1).squeeze_dim::<2>(1);
                self.normalized(mean.cast(dtype))
            }
            (VisionPool::Map, Some(pool)) => pool.forward(self.normalized(x), &Visible::All),
            (VisionPool::Map, None) => unreachable!("`init` makes the pool that the config names"),
        }
    }
}

impl PatchEmbed {
    /// `images` [B, 3, H, V]. Returns [B, N, W], patches row by row.
    fn forward(&self, images: Tensor<4>, grid: usize) -> Tensor<3> {
        let dtype = images.dtype();
        let weight = typed(&self.proj.weight, dtype);
        let [w, channels, p, _] = weight.dims();
        let [b, ..] = images.dims();
        let g = grid;

        // [B, 3, G*P, G*P] -> [B, N, 3*P*P]
        let covered = images.slice_dim(2, 0..g * p).slice_dim(3, 0..g * p);
        let patches = covered.reshape([b, channels, g, p, g, p]).permute([0, 2, 4, 1, 3, 5]);
        let patches = patches.reshape([b, g * g, channels * p * p]);

        let weight = weight.reshape([w, channels * p * p]).transpose();
        project(patches, weight, self.proj.bias.as_ref().map(|bias| typed(bias, dtype)))
    }
}

impl PatchProjection {
    /// A projection whose parameters are still to be filled: `inputs` to `outputs` channels, of patches
    /// with `side`.
    pub fn new([inputs, outputs]: [usize; 2], side: usize, device: &Device) -> Self {
        Self {
            weight: zeros([outputs, inputs, side, side], device),
            bias: Some(zeros([outputs], device)),
        }
    }
}

impl AttentionPool {
    /// A pool whose parameters are still to be filled, as wide as `block`.
    pub(crate) fn new(block: &BlockConfig, device: &Device) -> Self {
        let &BlockConfig { width, num_heads, mlp_width, activation, norm_eps, .. } = block;
        Self {
            latent: zeros([1, 1, width], device),
            qkv: linear(width, 3 * width, true, device),
            proj: linear(width, width, true, device),
            norm: layer_norm(width, norm_eps, device),
            mlp: Mlp::new(width, mlp_width, activation, device),
            num_heads,
        }
    }

    /// `x` [B, T, W]. Returns [B, W].
    pub(crate) fn forward(&self, x: Tensor<3>, visible: &Visible) -> Tensor<2> {
        let [b, t, w] = x.dims();
        let a = self.num_heads;
        let (weight, bias) = self.qkv.typed(x.dtype());
        let part = |range: std::ops::Range<usize>| {
            let bias = bias.clone().map(|bias| bias.slice_dim(0, range.clone()));
            (weight.clone().slice_dim(1, range), bias)
        };
        let (query_weight, query_bias) = part(0..w);
        let (token_weight, token_bias) = part(w..3 * w);

        let latent = typed(&self.latent, x.dtype());
        let query = project(latent, query_weight, query_bias).expand([b, 1, w]);
        let query = query.reshape([b, 1, a, w / a]).swap_dims(1, 2);
        // [B, T, 2W] -> [2, B, A, T, D]
        let tokens = project(x, token_weight, token_bias);
        let tokens = tokens.reshape([b, t, 2, a, w / a]).permute([2, 0, 3, 1, 4]);
        let [k, v] = [0, 1].map(|i| tokens.clone().slice_dim(0, i..i + 1).squeeze_dim::<4>(0));

        let heads = attention(query, k, v, visible.view());
        let pooled = self.proj.forward(heads.swap_dims(1, 2).reshape([b, 1, w]));
        let pooled = pooled.clone() + self.mlp.forward(Input::Normalized(&self.norm, pooled));
        pooled.squeeze_dim::<2>(1)
    }
}
