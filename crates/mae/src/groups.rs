//! Which parameters decay, and how fast each layer of an encoder is trained.
//!
//! Sources: `facebookresearch/{mae,ConvNeXt-V2}:util/lr_decay.py, optim_factory.py`; TAO's groups, with
//! the layer-wise decay that TAO computes and then leaves out.

use std::collections::BTreeSet;

use burn::module::Module;
use hearth_engine::{ParameterGroup, trained};
use hearth_weights::{Parameter, parameters};

use crate::{arch::Kind, autoencoder::Autoencoder, classifier::Classifier};

/// Peak rates of a training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Learning rate of the last layer, or of all.
    pub rate: f64,
    /// Decoupled weight decay of matrices.
    pub weight_decay: f64,
    /// What every layer's rate is of that of the layer behind it; 1 makes all alike.
    pub layer_decay: f64,
    /// Rate of the encoder over that of the head; 1 where layers have their own.
    pub backbone: f64,
}

impl Rates {
    /// Of a model that is not trained.
    pub fn none() -> Self {
        Self { rate: 0.0, weight_decay: 0.0, layer_decay: 1.0, backbone: 1.0 }
    }
}

/// The groups of an autoencoder: vectors and biases do not decay. All layers have one rate.
pub fn of_autoencoder(model: &Autoencoder, rates: Rates) -> Vec<ParameterGroup> {
    grouped(model, |parameter| {
        let vector = parameter.shape.len() == 1 && !of_response_norm(&parameter.name);
        (1.0, !vector && !parameter.name.ends_with(".bias"))
    })
    .into_iter()
    .map(|group| group.with(rates))
    .collect()
}

/// The groups of a classifier by layer: vectors, biases and, in a ViT, positions do not decay.
pub fn of_classifier(model: &Classifier, kind: Kind, rates: Rates) -> Vec<ParameterGroup> {
    let layers = Layers::of(kind);
    let fixed = |name: &str| {
        let tokens = name.ends_with("pos_embed") || name.ends_with("cls_token");
        matches!(kind, Kind::Vit(..)) && tokens
    };
    grouped(model, |parameter| {
        let distance = layers.count - layers.number(&parameter.name);
        let decays = parameter.shape.len() > 1 && !fixed(&parameter.name);
        let backbone = if distance > 0 { rates.backbone } else { 1.0 };
        (backbone * rates.layer_decay.powi(distance as i32), decays)
    })
    .into_iter()
    .map(|group| group.with(rates))
    .collect()
}

fn of_response_norm(name: &str) -> bool {
    name.ends_with(".grn.gamma") || name.ends_with(".grn.beta")
}

/// Layers of an encoder, the first 0, that of the head last.
struct Layers {
    kind: Kind,
    count: usize,
}

impl Layers {
    fn of(kind: Kind) -> Self {
        let count = match kind {
            // Groups of three blocks of the third stage are layers, whatever its depth.
            Kind::ConvNext(..) => 13,
            Kind::Hiera(depths, ..) => depths.iter().sum::<usize>() + 1,
            Kind::Vit(depth, ..) => depth + 1,
        };
        Self { kind, count }
    }

    /// The layer of a parameter of a classifier.
    fn number(&self, name: &str) -> usize {
        let Some(name) = name.strip_prefix("encoder.") else { return self.count };
        let mut parts = name.split('.');
        let (first, mut numbers) = (parts.next(), parts.filter_map(|part| part.parse().ok()));
        match (self.kind, first) {
            (Kind::ConvNext(..), Some("stem")) => 0,
            (Kind::ConvNext(..), Some("stages")) => {
                let stage: usize = numbers.next().expect("stages are numbered");
                match (stage, numbers.next()) {
                    (2, Some(block)) => 3 + block / 3,
                    (3, _) => 12,
                    (stage, _) => stage + 1,
                }
            }
            (_, Some("blocks")) => numbers.next().map_or(self.count, |block: usize| block + 1),
            (_, Some("norm")) => self.count,
            _ => 0,
        }
    }
}

/// Parameters that are trained alike.
struct Alike {
    scale: f64,
    decays: bool,
    parameters: BTreeSet<String>,
}

impl Alike {
    fn with(self, rates: Rates) -> ParameterGroup {
        ParameterGroup {
            name: "lr",
            rate: rates.rate * self.scale,
            weight_decay: if self.decays { rates.weight_decay } else { 0.0 },
            parameters: self.parameters,
        }
    }
}

/// The trained parameters of `model` by what `of` says: scale of the rate, and whether they decay.
fn grouped<M: Module>(model: &M, of: impl Fn(&Parameter) -> (f64, bool)) -> Vec<Alike> {
    let trained = trained(model);
    let mut groups: Vec<Alike> = Vec::new();
    for parameter in parameters(model) {
        if !trained.contains(&parameter.id) {
            continue;
        }
        let (scale, decays) = of(&parameter);
        let known = groups.iter_mut().find(|group| group.scale == scale && group.decays == decays);
        match known {
            Some(group) => drop(group.parameters.insert(parameter.name)),
            None => {
                let parameters = BTreeSet::from([parameter.name]);
                groups.push(Alike { scale, decays, parameters });
            }
        }
    }
    groups
}
