//! The dual-tower network of the CLIP family.
//!
//! Sources: arXiv 2103.00020 (CLIP), 2502.14786 (SigLIP 2), 2306.15658 (CLIPA).
//!
//! Shape letters: B pairs, H image side, C context length, E joint embedding width.

use burn::{
    module::{Module, Param},
    tensor::{Device, FloatDType, Int, Tensor},
};
use hearth_backbones::{
    BackboneError, Mode,
    layers::{Activation, zeros},
    text::{TextConfig, TextTransformer},
};

use crate::vision::{Images, TowerConfig, VisionTower};

/// Numbers of both towers.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipConfig {
    /// Vision tower.
    pub vision: TowerConfig,
    /// Text tower; its projection is as wide as the vision tower's embedding.
    pub text: TextConfig,
    /// A trained offset of the logits (SigLIP).
    pub logit_bias: bool,
}

/// Two towers and the calibration of their cosines.
#[derive(Module, Debug)]
pub struct Clip {
    /// Pictures to embeddings.
    pub visual: VisionTower,
    /// Captions to embeddings.
    pub text: TextTransformer,
    /// [1], logarithm of the multiplier of the cosines.
    pub logit_scale: Param<Tensor<1>>,
    /// [1], added to every logit.
    pub logit_bias: Option<Param<Tensor<1>>>,
}

impl ClipConfig {
    /// Fails on numbers that describe no model.
    pub fn check(&self) -> Result<(), BackboneError> {
        self.vision.check()?;
        self.text.check()
    }

    /// A model whose parameters are still to be filled and take no memory yet.
    pub fn init(&self, device: &Device) -> Clip {
        Clip {
            visual: self.vision.init(device),
            text: self.text.init(device),
            logit_scale: zeros([1], device),
            logit_bias: self.logit_bias.then(|| zeros([1], device)),
        }
    }

    /// The same towers with another non-linearity in every block.
    pub fn with_activation(mut self, activation: Activation) -> Self {
        self.vision.block_mut().activation = activation;
        self.text.block.activation = activation;
        self
    }
}

impl Clip {
    /// `images` [B, 3, H, H], normalised, or what else the tower takes. Returns [B, E], L2-normalised.
    pub fn embed_images(&self, images: impl Into<Images>, mode: impl Into<Mode>) -> Tensor<2> {
        normalise(self.visual.forward(images.into(), mode))
    }

    /// `ids` [B, C]. Returns [B, E], L2-normalised.
    pub fn embed_texts(&self, ids: Tensor<2, Int>, mode: impl Into<Mode>) -> Tensor<2> {
        normalise(self.text.forward(ids, mode))
    }

    /// The numbers it was built from.
    pub fn config(&self) -> ClipConfig {
        ClipConfig {
            vision: self.visual.config(),
            text: self.text.config().clone(),
            logit_bias: self.logit_bias.is_some(),
        }
    }
}

/// Rows of `x` [B, E] divided by their length, which is at least 1e-12; in f32.
fn normalise(x: Tensor<2>) -> Tensor<2> {
    let x = x.cast(FloatDType::F32);
    let length = x.clone().square().sum_dim(1).sqrt().clamp_min(1e-12);
    x / length
}
