//! The graphs of an export: what they take, what they give, and under which names.
//!
//! Those of the classifier are TAO's; TAO has no graph of an encoder.

use hearth_backbones::Mode;
use hearth_deploy::{Inputs, Network, Outputs, Port, Side};

use crate::{autoencoder::Autoencoder, classifier::Classifier};

/// The pictures of every graph, [B, 3, S, S], normalised.
pub const INPUT: &str = "input";
const LOGITS: &str = "output";
const POOLED: &str = "features";
const PATCHES: &str = "patch_features";

/// Pictures to logits [B, K].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassifierGraph {
    image_size: usize,
}

/// Pictures to features of their patches [B, L, W] and the mean of those [B, W].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncoderGraph {
    image_size: usize,
}

impl ClassifierGraph {
    /// For pictures of `image_size`.
    pub fn new(image_size: usize) -> Self {
        Self { image_size }
    }
}

impl EncoderGraph {
    /// For pictures of `image_size`.
    pub fn new(image_size: usize) -> Self {
        Self { image_size }
    }
}

fn pictures(size: usize) -> Vec<Port> {
    let side = Side::Fixed(size);
    vec![Port::floats(INPUT, [Side::Batch, Side::Fixed(3), side, side])]
}

impl Network for ClassifierGraph {
    type Model = Classifier;

    fn inputs(&self) -> Vec<Port> {
        pictures(self.image_size)
    }

    fn forward(&self, model: &Classifier, inputs: &Inputs<'_>, outputs: &mut Outputs) {
        outputs.name(LOGITS, model.forward(inputs.floats(INPUT), Mode::default()));
    }
}

impl Network for EncoderGraph {
    type Model = Autoencoder;

    fn inputs(&self) -> Vec<Port> {
        pictures(self.image_size)
    }

    fn forward(&self, model: &Autoencoder, inputs: &Inputs<'_>, outputs: &mut Outputs) {
        let patches = model.features(inputs.floats(INPUT), Mode::default());
        outputs.name(POOLED, patches.clone().mean_dim(1).squeeze_dim::<2>(1));
        outputs.name(PATCHES, patches);
    }
}
