//! A classifier made of an encoder: what fine-tuning trains.
//!
//! Sources: `facebookresearch/{mae,ConvNeXt-V2,hiera}`; TAO's ViT has no norm behind its blocks, Meta's one
//! behind the mean of the patches.
//!
//! Shape letters: B batch, H and V height and width, W width of the features, K classes.

use std::sync::Arc;

use burn::{
    module::Module,
    tensor::{Device, FloatDType, Tensor},
};
use hearth_backbones::{
    Mode,
    convnext::{ConvNext, Masking},
    dropout::Dropout,
    hiera::{Hiera, HieraConfig},
    layers::{LayerNorm, Linear, layer_norm, linear},
    vit::{VisionConfig, VisionPool, VisionPositions, VisionTransformer},
};

use crate::arch::EncoderConfig;

/// Added to variances.
const EPSILON: f64 = 1e-6;

/// Encoder and head.
#[derive(Module, Debug)]
pub struct Classifier {
    /// The encoder.
    pub encoder: Encoder,
    /// Over the mean of the sites; ViT has its own or none.
    pub norm: Option<LayerNorm>,
    /// [W, K].
    pub head: Linear,
}

/// An encoder that sees whole pictures.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a model holds one encoder")]
pub enum Encoder {
    /// ConvNeXt V2.
    ConvNext(ConvNext),
    /// Hiera, pooled in every stage behind the first.
    Hiera(Hiera),
    /// ViT.
    Vit(VisionTransformer),
}

/// How a ViT makes one vector of its tokens; its checkpoints say so by what they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VitGraph {
    /// No norm: TAO.
    Bare,
    /// A norm behind the mean of the patches, `fc_norm`: Meta.
    FcNorm,
    /// The class token behind the norm of the tokens: Meta and timm without `global_pool`.
    ClassToken,
}

impl Classifier {
    /// A classifier of the encoder of an autoencoder, its parameters still to be filled. `graph` is for ViT.
    pub fn new(encoder: &EncoderConfig, classes: usize, graph: VitGraph, device: &Device) -> Self {
        let norm = |width: usize| Some(layer_norm(width, EPSILON, device));
        let (encoder, norm, width) = match encoder {
            EncoderConfig::ConvNext(config) => {
                let width = config.widths[3];
                (Encoder::ConvNext(config.init(device)), norm(width), width)
            }
            EncoderConfig::Hiera(config) => {
                let config = HieraConfig { pooled_stages: 3, ..config.clone() };
                let width = config.stage_width(3);
                (Encoder::Hiera(config.init(device)), norm(width), width)
            }
            EncoderConfig::Vit(config) => {
                let pool = match graph {
                    VitGraph::Bare => VisionPool::BareMean,
                    VitGraph::FcNorm => VisionPool::Mean,
                    VitGraph::ClassToken => VisionPool::ClassToken,
                };
                let positions = VisionPositions::Learned;
                let config = VisionConfig { pool, positions, ..config.clone() };
                (Encoder::Vit(config.init(device)), None, config.block.width)
            }
        };
        Self { encoder, norm, head: linear(width, classes, true, device) }
    }

    /// Which graph a ViT is; of no meaning for other encoders.
    pub fn graph(&self) -> VitGraph {
        match &self.encoder {
            Encoder::Vit(encoder) => match encoder.config().pool {
                VisionPool::Mean => VitGraph::FcNorm,
                VisionPool::ClassToken => VitGraph::ClassToken,
                VisionPool::BareMean | VisionPool::Map => VitGraph::Bare,
            },
            Encoder::ConvNext(_) | Encoder::Hiera(_) => VitGraph::Bare,
        }
    }

    /// `images` [B, 3, H, V], normalised. Returns logits [B, K].
    pub fn forward(&self, images: Tensor<4>, mode: impl Into<Mode>) -> Tensor<2> {
        self.head.forward(self.features(images, mode))
    }

    /// Leaves out blocks of pictures whose `seeds` say so, with a probability that grows with depth up
    /// to `rate` (arXiv 1603.09382).
    pub fn with_drop_path(mut self, rate: f64, seeds: &Arc<[u64]>) -> Self {
        let paths: Vec<&mut Dropout> = match &mut self.encoder {
            Encoder::ConvNext(encoder) => {
                let blocks = encoder.stages.iter_mut().flat_map(|stage| &mut stage.blocks);
                blocks.map(|block| &mut block.drop_path).collect()
            }
            Encoder::Hiera(encoder) => {
                encoder.blocks.iter_mut().map(|block| &mut block.drop_path).collect()
            }
            Encoder::Vit(encoder) => {
                encoder.blocks.iter_mut().map(|block| &mut block.drop_path).collect()
            }
        };
        let last = paths.len().saturating_sub(1).max(1) as f64;
        for (i, path) in paths.into_iter().enumerate() {
            *path = Dropout::new(rate * i as f64 / last, i as u64);
            path.seed(seeds);
        }
        self
    }

    /// What the head sees of `images`: [B, W], whatever the type of `mode`.
    pub fn features(&self, images: Tensor<4>, mode: impl Into<Mode>) -> Tensor<2> {
        let mean = |x: Tensor<3>| x.mean_dim(1).squeeze_dim::<2>(1);
        let pooled = match &self.encoder {
            Encoder::ConvNext(encoder) => mean(encoder.forward(images, Masking::Nothing, mode)),
            Encoder::Hiera(encoder) => {
                let [.., last] = encoder.forward(images, None, mode);
                mean(last.flatten::<3>(1, 2))
            }
            Encoder::Vit(encoder) => encoder.forward(images, mode),
        };
        let pooled = pooled.cast(FloatDType::F32);
        match &self.norm {
            Some(norm) => norm.forward(pooled),
            None => pooled,
        }
    }
}
