//! From keys of a spec to the plan of the loop: intervals, schedule, best checkpoints.

use hearth_data::random::Key;
use hearth_engine::{Batches, Best, Decay, Every, Fingerprint, Monitored, Plan, Run, Schedule};
use hearth_spec::{Document, common::ExifOrientation};

use crate::{
    dataset::TrainBatches,
    error::ClipError,
    peft::Peft,
    retrieval::METRICS,
    spec::{AugmentationSpec, ClipSpec, RegularizationSpec, Scheduler, TrainSpec},
    task::Rates,
};

/// The metric that TAO's users pick checkpoints by.
const MONITOR: &str = "val/t2i_mAP";

/// How long, how often, how fast.
pub(crate) fn plan(
    document: &Document,
    spec: &ClipSpec,
    data: &TrainBatches,
    key: Key,
) -> Result<Plan, ClipError> {
    let common = &spec.train.common;
    let steps_per_epoch = data.steps();
    if let Some(interval) = spec.train.val_check_interval
        && interval > steps_per_epoch
    {
        let mut checks = document.check();
        let needed = format!("at most {steps_per_epoch}, the steps of an epoch");
        checks.error("train.val_check_interval", interval, needed);
        checks.into_result()?;
    }
    Ok(Plan {
        epochs: common.num_epochs,
        steps_per_epoch,
        schedule: Schedule {
            decay: match spec.train.optim.scheduler {
                Scheduler::Cosine => Decay::Cosine,
                Scheduler::Linear => Decay::Linear,
                Scheduler::Constant => Decay::Constant,
            },
            warmup_steps: spec.train.optim.warmup_steps,
            rises_from: 1,
            total_steps: common.num_epochs * steps_per_epoch,
        },
        clip_grad_norm: spec.train.max_grad_norm(),
        checkpoint: Every::checkpoint(common),
        validate: match spec.train.val_check_interval {
            Some(interval) => Every::StepsOfEpoch(interval),
            None => Every::Epochs(common.validation_interval),
        },
        log_interval: spec.hearth.train.common.log_interval,
        key,
    })
}

/// Peak learning rates.
pub(crate) fn rates(spec: &ClipSpec) -> Rates {
    let optim = &spec.train.optim;
    Rates { vision: optim.vision_lr, text: optim.text_lr, weight_decay: optim.weight_decay }
}

/// The ranking that `train.checkpointer` asks for.
pub(crate) fn best(
    document: &Document,
    spec: &ClipSpec,
    run: &Run,
) -> Result<Option<Best>, ClipError> {
    let names: Vec<String> = ["i2t", "t2i"]
        .iter()
        .flat_map(|direction| METRICS.iter().map(move |name| format!("val/{direction}_{name}")))
        .collect();
    let monitored = Monitored {
        names: &names,
        usual: MONITOR,
        lower_is_better: |name| name.ends_with("MedR") || name.ends_with("MeanR"),
    };
    Ok(Best::asked(document, &spec.train.common.checkpointer, monitored, &run.results)?)
}

/// What has to be equal for a checkpoint to be continued exactly.
pub(crate) fn fingerprint(
    spec: &ClipSpec,
    data: &TrainBatches,
    peft: &Peft,
    seed: u64,
) -> Fingerprint {
    let text = |value: &dyn ToString| value.to_string();
    let mut fingerprint: Fingerprint = [
        ("the training data", data.dataset().digest()),
        ("the global batch size", text(&data.global_batch())),
        ("`dataset.seed`", text(&spec.dataset.seed)),
        ("`train.loss_type`", text(&spec.train.loss_type)),
        ("`train.optim.optimizer_type`", text(&spec.train.optim.optimizer_type)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let mut add = |name: &str, value: String| drop(fingerprint.insert(name.to_owned(), value));
    // What has its default is not there, so that checkpoints from before a key can be continued.
    for (name, value) in of_data(spec, data) {
        value.into_iter().for_each(|value| add(name, value));
    }
    let defaults = AugmentationSpec::default();
    let augments = data.dataset().augmentation.is_some();
    if augments && spec.dataset.augmentation != defaults {
        add("`dataset.augmentation`", format!("{:?}", spec.dataset.augmentation));
    }
    if augments && spec.hearth.dataset.train.flip > 0.0 {
        add("`hearth.dataset.train.flip`", text(&spec.hearth.dataset.train.flip));
    }
    let text_dropout = spec.hearth.train.text_dropout;
    if text_dropout > 0.0 {
        add("`hearth.train.text_dropout`", text(&text_dropout));
    }
    if *peft != Peft::whole() {
        add("what is trained", peft.to_string());
    }
    if peft.drops() || text_dropout > 0.0 {
        add("`train.seed`", text(&seed));
    }
    if spec.train.triplet_loss_weight > 0.0 {
        let TrainSpec { triplet_loss_weight: weight, triplet_margin: margin, .. } = &spec.train;
        add("the triplet loss", format!("weight {weight}, margin {margin}"));
    }
    if spec.regularization.enabled {
        let RegularizationSpec { embedding_mse_weight, cosine_weight, similarity_weight, .. } =
            &spec.regularization;
        let value = format!(
            "embedding_mse {embedding_mse_weight}, cosine {cosine_weight}, similarity {similarity_weight}"
        );
        add("`regularization`", value);
    }
    fingerprint
}

/// What the data sets add, where it is not the default.
fn of_data(spec: &ClipSpec, data: &TrainBatches) -> [(&'static str, Option<String>); 5] {
    let text = |value: &dyn ToString| value.to_string();
    let (reading, dataset) = (&spec.hearth.dataset, data.dataset());
    let (train, reading) = (&reading.train, &reading.reading);
    let turns = reading.exif_orientation != ExifOrientation::Ignore;
    [
        ("`hearth.dataset.exif_orientation`", turns.then(|| text(&reading.exif_orientation))),
        ("`hearth.dataset.jpeg_draft`", reading.jpeg_draft.then(|| text(&true))),
        ("`hearth.dataset.train.captions`", train.captions.map(|kind| text(&kind))),
        ("`hearth.model.max_num_patches`", dataset.patch_budget().map(|budget| text(&budget))),
        ("`hearth.train.position_crops`", dataset.position_crops.then(|| text(&true))),
    ]
}
