//! Contrastive training of the dual-tower network, as the loop of `engine` sees it.

use std::collections::BTreeSet;

use burn::{
    module::Param,
    tensor::{Device, Int, Tensor, TensorData},
};
use hearth_backbones::Mode;
use hearth_engine::{
    Losses, Metrics, ParameterGroup, Precision, Step, Task,
    contrastive::{self, Contrast, Embeddings, SharedEmbeddings, batch_loss},
    trained,
};
use hearth_weights::parameters;

use crate::{
    extra::Extra,
    model::Clip,
    peft::{dropout_seeds, with_dropout},
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
    /// What the towers compute in.
    pub precision: Precision,
    /// Blocks keep their input only.
    pub recompute: bool,
    /// Largest logit scale: a pretrained value above the usual ceiling stays.
    pub logit_scale_ceiling: f32,
    /// Peak learning rates and weight decay.
    pub rates: Rates,
    /// What training adds to the contrastive loss.
    pub extra: Extra,
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

/// What the forward pass of one micro-batch computed.
pub struct Local {
    /// In the graph of the model.
    pub embeddings: Embeddings,
    /// Pictures and ids, where a teacher has to see them too.
    inputs: Option<(Images, Tensor<2, Int>)>,
}

/// What the other micro-batches need of one.
pub struct Shared {
    student: SharedEmbeddings,
    teacher: Option<SharedEmbeddings>,
}

impl Task for ContrastiveTask {
    type Model = Clip;
    type Batch = Batch;
    type Local = Local;
    type Shared = Shared;
    type Stats = Pairs;

    fn forward(&self, model: &Clip, batch: &Batch, step: &Step) -> Local {
        let (images, ids) = (self.images(batch), self.ids(batch));
        let [samples, _] = ids.dims();
        let Extra { dropout, text_dropout, .. } = self.extra;
        let drops = dropout || text_dropout > 0.0;
        let seeds = || dropout_seeds(&step.key, step.first, samples);
        let dropping = drops.then(|| with_dropout(model, text_dropout, &seeds()));
        let model = dropping.as_ref().unwrap_or(model);
        let mode = self.mode();
        let embeddings = Embeddings {
            images: model.embed_images(images.clone(), mode),
            texts: model.embed_texts(ids.clone(), mode),
            logit_scale: model.logit_scale.val(),
            logit_bias: model.logit_bias.as_ref().map(Param::val),
        };
        Local { embeddings, inputs: self.extra.preservation.is_some().then_some((images, ids)) }
    }

    /// Called once for each micro-batch of a step, so the teacher runs here.
    fn share(&self, local: &Local) -> Shared {
        let teacher = self.extra.preservation.as_ref().zip(local.inputs.clone());
        Shared {
            student: contrastive::share(&local.embeddings),
            teacher: teacher.map(|(preservation, (images, ids))| {
                let (teacher, mode) = (&preservation.teacher, self.mode());
                let images = teacher.embed_images(images.uncropped(), mode);
                SharedEmbeddings::of(&images, &teacher.embed_texts(ids, mode))
            }),
        }
    }

    fn losses(&self, local: Local, all: &[Shared], me: usize) -> Losses {
        let students = all.iter().map(|shared| &shared.student);
        let batch = contrastive::global(local.embeddings, students, me);
        let mut added = Vec::new();
        if let Some(triplet) = self.extra.triplet {
            added.push(("triplet", triplet.loss(&batch)));
        }
        if let Some(preservation) = &self.extra.preservation {
            let teachers = all.iter().filter_map(|shared| shared.teacher.as_ref());
            added.extend(preservation.losses(&batch, teachers));
        }
        let Embeddings { images, texts, logit_scale, logit_bias } = batch;
        let contrast = batch_loss(self.contrast, images, texts, logit_scale, logit_bias);

        // Every micro-batch sees the loss of the whole batch; its share of the report is one part.
        let reported = |part: &Tensor<1>| part.clone().detach() / all.len() as f64;
        let name = if added.is_empty() { "loss" } else { "contrastive" };
        let mut terms = vec![(name, reported(&contrast))];
        terms.extend(added.iter().map(|(name, part)| (*name, reported(part))));
        let objective = added.into_iter().fold(contrast, |sum, (_, part)| sum + part);
        Losses { objective, terms }
    }

    fn after_step(&self, mut model: Clip) -> Clip {
        if model.logit_scale.is_require_grad() {
            model.logit_scale = model.logit_scale.map(|scale| {
                let clamped = scale.without_autodiff().clamp(0.0, self.logit_scale_ceiling);
                clamped.autodiff().set_require_grad(true)
            });
        }
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
        let images = model.embed_images(self.images(batch), self.mode());
        let [_, width] = images.dims();
        let texts = model.embed_texts(self.ids(batch), self.mode());
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
    fn mode(&self) -> Mode {
        Mode { dtype: self.precision.dtype(), recompute: self.recompute }
    }

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
    let trained = trained(model);
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
    let excluded = ["pos_embed", "positional_embedding", "cls_token", "cls_token.token"];
    rank >= 2 && !excluded.iter().any(|part| name.ends_with(part))
}

fn values(rows: Tensor<2>) -> Vec<f32> {
    rows.into_data().try_to_vec().expect("embeddings are f32")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_and_tokens_do_not_decay() {
        for (name, rank, expected) in [
            ("visual.blocks.0.mlp.fc1.weight", 2, true),
            ("visual.attn_pool.latent", 3, true),
            ("visual.pos_embed", 3, false),
            ("visual.cls_token", 3, false),
            ("visual.trunk.patch_generator.pos_embed", 3, false),
            ("visual.trunk.patch_generator.cls_token.token", 2, false),
            ("text.positional_embedding", 2, false),
            ("visual.norm.weight", 1, false),
        ] {
            assert_eq!(decays(name, rank), expected, "{name}");
        }
    }
}
