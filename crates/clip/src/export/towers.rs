//! The graphs of an export: what they take, what they give, and under which names.
//!
//! Names, order and types are those of TAO: other programs rely on them.

use burn::tensor::{Int, Tensor};
use hearth_deploy::{Inputs, Network, Outputs, Port, Side};

use crate::{
    model::{Clip, ClipConfig},
    vision::TowerConfig,
};

/// Which towers a graph has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Towers {
    /// Both.
    Both,
    /// Pictures only.
    Vision,
    /// Texts only.
    Text,
}

/// A graph of a CLIP model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TowerGraph {
    towers: Towers,
    image_size: usize,
    context_length: usize,
}

/// Names of inputs and outputs.
pub(crate) mod names {
    pub(crate) const IMAGE: &str = "image";
    pub(crate) const INPUT_IDS: &str = "input_ids";
    pub(crate) const ATTENTION_MASK: &str = "attention_mask";
    pub(crate) const IMAGE_EMBEDDING: &str = "image_embedding";
    pub(crate) const TEXT_EMBEDDING: &str = "text_embedding";
    pub(crate) const LOGIT_SCALE: &str = "logit_scale";
    pub(crate) const LOGIT_BIAS: &str = "logit_bias";
}

impl TowerGraph {
    /// The graph of `towers` of a model with `config`; `None` where the pictures have no one size, which
    /// a graph needs.
    pub fn new(config: &ClipConfig, towers: Towers) -> Option<TowerGraph> {
        let image_size = match &config.vision {
            TowerConfig::Vit(vision) => vision.image_size,
            TowerConfig::Radio(vision) => vision.image_size,
            TowerConfig::Naflex(_) if towers == Towers::Text => 0,
            TowerConfig::Naflex(_) => return None,
        };
        Some(TowerGraph { towers, image_size, context_length: config.text.context_length })
    }

    /// Which towers it has.
    pub fn towers(&self) -> Towers {
        self.towers
    }

    fn has_vision(&self) -> bool {
        self.towers != Towers::Text
    }

    fn has_text(&self) -> bool {
        self.towers != Towers::Vision
    }
}

impl Network for TowerGraph {
    type Model = Clip;

    fn inputs(&self) -> Vec<Port> {
        let (size, length) = (Side::Fixed(self.image_size), Side::Fixed(self.context_length));
        let mut ports = Vec::new();
        if self.has_vision() {
            ports.push(Port::floats(names::IMAGE, [Side::Batch, Side::Fixed(3), size, size]));
        }
        if self.has_text() {
            ports.push(Port::ints(names::INPUT_IDS, [Side::Batch, length]));
            ports.push(Port::ints(names::ATTENTION_MASK, [Side::Batch, length]));
        }
        ports
    }

    fn forward(&self, model: &Clip, inputs: &Inputs<'_>, outputs: &mut Outputs) {
        if self.has_vision() {
            let images: Tensor<4> = inputs.floats(names::IMAGE);
            outputs.name(names::IMAGE_EMBEDDING, model.embed_images(images, false));
        }
        if self.has_text() {
            // The mask has no effect, but a graph without it would not be that of TAO.
            let mask: Tensor<2, Int> = inputs.ints(names::ATTENTION_MASK);
            let ids = inputs.ints(names::INPUT_IDS) + mask.mul_scalar(0);
            outputs.name(names::TEXT_EMBEDDING, model.embed_texts(ids, false));
        }
        let bias = match &model.logit_bias {
            Some(bias) => bias.val(),
            None => Tensor::zeros([1], inputs.device()),
        };
        outputs.name_scalar(names::LOGIT_SCALE, model.logit_scale.val().exp());
        outputs.name_scalar(names::LOGIT_BIAS, bias);
    }
}
