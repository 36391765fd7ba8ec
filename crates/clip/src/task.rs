//! Contrastive training of the dual-tower network, as the loop of `engine` sees it.

use std::collections::BTreeSet;

use burn::{
    module::{Module, Param},
    tensor::{Device, Int, Tensor, TensorData},
};
use hearth_engine::{
    Losses, Metrics, ParameterGroup, Step, Task,
    contrastive::{self, Contrast, Embeddings, SharedEmbeddings},
};
use hearth_weights::parameters;

use crate::{
    model::Clip,
    pictures::Pictures,
    retrieval::{self, Pairs},
    vision::Images,
};

/// The largest logit scale that training reaches by itself: a multiplier of 100.
pub const LOGIT_SCALE_CEILING: f32 = 4.605_170_2;

/// Pairs of one micro-batch on the host.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Pictures as the user knows them.
    pub names: Vec<String>,
    /// B pictures.
    pub pictures: Pictures,
    /// [B, C].
    pub ids: Vec<i32>,
}

/// Everything that the loss, the groups and the metrics depend on.
#[derive(Debug, Clone)]
pub struct ContrastiveTask {
    /// Which loss.
    pub contrast: Contrast,
    /// S; of no effect for NaFlex.
    pub image_size: usize,
    /// C.
    pub context_length: usize,
    /// Blocks keep their input only.
    pub recompute: bool,
    /// Largest logit scale: a pretrained value above the usual ceiling stays.
    pub logit_scale_ceiling: f32,
    /// Peak learning rates and weight decay.
    pub rates: Rates,
    /// Where batches are put and metrics computed.
    pub device: Device,
}

/// Learning rates of the towers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Vision tower.
    pub vision: f64,
    /// Text tower and calibration.
    pub text: f64,
    /// Of matrices; see [`decays`].
    pub weight_decay: f64,
}

impl Task for ContrastiveTask {
    type Model = Clip;
    type Batch = Batch;
    type Local = Embeddings;
    type Shared = SharedEmbeddings;
    type Stats = Pairs;

    fn forward(&self, model: &Clip, batch: &Batch, _step: &Step) -> Embeddings {
        Embeddings {
            images: model.embed_images(self.images(batch), self.recompute),
            texts: model.embed_texts(self.ids(batch), self.recompute),
            logit_scale: model.logit_scale.val(),
            logit_bias: model.logit_bias.as_ref().map(Param::val),
        }
    }

    fn share(&self, local: &Embeddings) -> SharedEmbeddings {
        contrastive::share(local)
    }

    fn losses(&self, local: Embeddings, all: &[SharedEmbeddings], me: usize) -> Losses {
        let objective = contrastive::loss(self.contrast, local, all, me);
        // Every micro-batch sees the loss of the whole batch; its share of the report is one part.
        let reported = objective.clone().detach() / all.len() as f64;
        Losses { objective, terms: vec![("loss", reported)] }
    }

    fn after_step(&self, mut model: Clip) -> Clip {
        model.logit_scale = model.logit_scale.map(|scale| {
            let trained = scale.is_require_grad();
            let clamped = scale.without_autodiff().clamp(0.0, self.logit_scale_ceiling);
            clamped.autodiff().set_require_grad(trained)
        });
        model
    }

    fn parameter_groups(&self, model: &Clip) -> Vec<ParameterGroup> {
        parameter_groups(model, self.rates)
    }

    fn samples(&self, batch: &Batch) -> Vec<String> {
        batch.names.clone()
    }

    fn gauges(&self, model: &Clip) -> Metrics {
        let value = |param: &Param<Tensor<1>>| f64::from(param.val().into_scalar::<f32>());
        let mut gauges = vec![("logit_scale".to_owned(), value(&model.logit_scale).exp())];
        gauges.extend(model.logit_bias.as_ref().map(|bias| ("logit_bias".to_owned(), value(bias))));
        gauges
    }

    fn evaluate(&self, model: &Clip, batch: &Batch) -> Pairs {
        let images = model.embed_images(self.images(batch), false);
        let [_, width] = images.dims();
        let texts = model.embed_texts(self.ids(batch), false);
        Pairs { width, images: values(images), texts: values(texts) }
    }

    fn merge(&self, a: Pairs, b: Pairs) -> Pairs {
        a.then(b)
    }

    fn metrics(&self, pairs: Pairs) -> Metrics {
        retrieval::metrics(&pairs, &self.device)
    }
}

impl ContrastiveTask {
    /// The pictures on the device.
    pub fn images(&self, batch: &Batch) -> Images {
        batch.pictures.images(self.image_size, &self.device)
    }

    /// [B, C] on the device.
    pub fn ids(&self, batch: &Batch) -> Tensor<2, Int> {
        let shape = [batch.ids.len() / self.context_length, self.context_length];
        Tensor::from_data(TensorData::new(batch.ids.clone(), shape), &self.device)
    }
}

/// The ceiling of a training that starts from `model`: the usual one, or its own value where a
/// pretrained model lies above (several SigLIP checkpoints do).
pub fn logit_scale_ceiling(model: &Clip) -> f32 {
    model.logit_scale.val().into_scalar::<f32>().max(LOGIT_SCALE_CEILING)
}

/// The trained parameters by tower and by whether they decay.
fn parameter_groups(model: &Clip, rates: Rates) -> Vec<ParameterGroup> {
    let trained = TrainedIds::of(model);
    let mut groups: Vec<ParameterGroup> = Vec::new();
    for parameter in parameters(model) {
        if !trained.contains(&parameter.id) {
            continue;
        }
        let (name, rate) = match parameter.name.split_once('.') {
            Some(("visual", _)) => ("vision", rates.vision),
            Some(_) => ("text", rates.text),
            None => ("logit", rates.text),
        };
        let weight_decay =
            if decays(&parameter.name, parameter.shape.len()) { rates.weight_decay } else { 0.0 };
        let known = groups
            .iter_mut()
            .find(|group| group.name == name && group.weight_decay == weight_decay);
        match known {
            Some(group) => drop(group.parameters.insert(parameter.name)),
            None => groups.push(ParameterGroup {
                name,
                rate,
                weight_decay,
                parameters: BTreeSet::from([parameter.name]),
            }),
        }
    }
    groups
}

/// Whether weight decay applies: to matrices, the pooling query included, but not to biases, norms,
/// positions, the class token or the calibration.
///
/// Differs from TAO, which lets position tables decay: a decayed position is noise, and open_clip,
/// timm and big_vision exclude them.
fn decays(name: &str, rank: usize) -> bool {
    let excluded = ["pos_embed", "positional_embedding", "cls_token"];
    rank >= 2 && !excluded.iter().any(|part| name.ends_with(part))
}

/// Ids of the parameters that are trained.
struct TrainedIds(BTreeSet<burn::module::ParamId>);

impl TrainedIds {
    fn of(model: &Clip) -> BTreeSet<burn::module::ParamId> {
        let mut ids = TrainedIds(BTreeSet::new());
        model.visit(&mut ids);
        ids.0
    }
}

impl burn::module::ModuleVisitor for TrainedIds {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.val().is_require_grad() {
            self.0.insert(param.id);
        }
    }
}

fn values(rows: Tensor<2>) -> Vec<f32> {
    rows.into_data().try_to_vec().expect("embeddings are f32")
}
