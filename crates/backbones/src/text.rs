//! Text transformer of the CLIP family: SigLIP2, open_clip and OpenAI towers are settings of one model.
//!
//! Sources: arXiv 2103.00020; `mlfoundations/open_clip:src/open_clip/transformer.py`;
//! `huggingface/transformers:models/siglip/modeling_siglip.py`.
//!
//! Shape letters: B batch, C context length, V vocabulary, W width, E joint embedding width.

use burn::{
    module::{Module, Param},
    nn::Embedding,
    tensor::{Device, FloatDType, Int, Tensor},
};

use crate::{
    BackboneError, Mode,
    dropout::Dropout,
    error::{check_at_least, check_divisible},
    layers::{Block, BlockConfig, LayerNorm, Linear, Visible, layer_norm, linear, run, zeros},
};

/// Which token stands for the caption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextPool {
    /// The last position, also where it holds padding (SigLIP, CLIPA).
    Last,
    /// The first position of the largest id: the end of text in CLIP's vocabulary.
    LargestId,
    /// The mean of all positions but padding, which has the id 0.
    Mean,
}

/// Numbers of a text tower.
#[derive(Debug, Clone, PartialEq)]
pub struct TextConfig {
    /// V.
    pub vocab_size: usize,
    /// C; every caption has exactly this many ids. Padding is attended to, as in all public weights.
    pub context_length: usize,
    /// Number of blocks; none leaves a bag of words.
    pub depth: usize,
    /// Every block alike.
    pub block: BlockConfig,
    /// Token i sees tokens 0..=i only.
    pub causal: bool,
    /// Reduction of tokens to one vector.
    pub pool: TextPool,
    /// E.
    pub projection: usize,
    /// Bias of the projection.
    pub projection_bias: bool,
}

/// Text transformer; its output is not normalised.
#[derive(Module, Debug)]
pub struct TextTransformer {
    /// [V, W].
    pub token_embedding: Embedding,
    /// [C, W].
    pub positional_embedding: Param<Tensor<2>>,
    /// The blocks.
    pub blocks: Vec<Block>,
    /// Norm behind the blocks.
    pub norm: LayerNorm,
    /// Projection to E.
    pub head: Linear,
    /// In front of the projection, while training.
    #[module(skip)]
    pub dropout: Dropout,
    #[module(skip)]
    config: TextConfig,
}

impl TextConfig {
    /// Fails on numbers that describe no model.
    pub fn check(&self) -> Result<(), BackboneError> {
        check_divisible("text width", self.block.width, "text heads", self.block.num_heads)?;
        check_at_least("vocabulary", self.vocab_size, 2)?;
        check_at_least("context length", self.context_length, 1)?;
        check_at_least("embedding width", self.projection, 1)
    }

    /// A tower whose parameters are still to be filled. The numbers have passed [`Self::check`].
    pub fn init(&self, device: &Device) -> TextTransformer {
        let width = self.block.width;
        TextTransformer {
            token_embedding: Embedding { weight: zeros([self.vocab_size, width], device) },
            positional_embedding: zeros([self.context_length, width], device),
            blocks: (0..self.depth).map(|_| self.block.init(device)).collect(),
            norm: layer_norm(width, self.block.norm_eps, device),
            head: linear(width, self.projection, self.projection_bias, device),
            dropout: Dropout::default(),
            config: self.clone(),
        }
    }
}

impl TextTransformer {
    /// `ids` [B, C], each below V. Returns [B, E], in the type of `mode`.
    pub fn forward(&self, ids: Tensor<2, Int>, mode: impl Into<Mode>) -> Tensor<2> {
        let mode = mode.into();
        let visible = if self.config.causal { Visible::Past } else { Visible::All };
        let tokens = self.token_embedding.forward(ids.clone());
        // The table stays f32: the gradient of a word is a sum over all its places.
        let x = tokens + self.positional_embedding.val().unsqueeze::<3>();
        let x = run(&self.blocks, x.cast(mode.dtype), &visible, mode.recompute);
        let pooled = self.norm.forward(self.pool(x, ids));
        self.head.forward(self.dropout.forward(pooled))
    }

    /// The numbers it was built from.
    pub fn config(&self) -> &TextConfig {
        &self.config
    }

    /// [B, C, W] -> [B, W]. The norm is per token, so it may follow the choice of the token.
    fn pool(&self, x: Tensor<3>, ids: Tensor<2, Int>) -> Tensor<2> {
        let [b, c, w] = x.dims();
        match self.config.pool {
            TextPool::Last => x.slice_dim(1, c - 1..c).squeeze_dim::<2>(1),
            TextPool::Mean => {
                let words = ids.not_equal_elem(0).float().reshape([b, c, 1]);
                let count = words.clone().sum_dim(1).clamp_min(1.0);
                let dtype = x.dtype();
                let sum = (x.cast(FloatDType::F32) * words).sum_dim(1);
                (sum / count).squeeze_dim::<2>(1).cast(dtype)
            }
            TextPool::LargestId => {
                let index = ids.argmax(1).reshape([b, 1, 1]).expand([b, 1, w]);
                x.gather(1, index).squeeze_dim::<2>(1)
            }
        }
    }
}
