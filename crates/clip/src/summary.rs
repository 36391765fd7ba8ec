//! What actions tell the user: before the first step, and at the end.

use std::path::Path;

use burn::module::Module;
use hearth_engine::{Metrics, Plan, Replicas, Summary, grouped, num_trained};
use hearth_spec::Document;

use crate::{dataset::TrainBatches, model::Clip, retrieval::METRICS, setup::Setup};

/// One line about the work that begins.
pub(crate) fn of_plan(
    setup: &Setup,
    model: &Clip,
    data: &TrainBatches,
    (plan, replicas): (&Plan, &Replicas),
) -> String {
    let trained = match num_trained(model) {
        all if all == model.num_params() => String::new(),
        some => format!(", {} of them trained", grouped(some)),
    };
    format!(
        "{}: {} parameters{trained}; {} pairs, {} per step, {} steps in each of {} epochs; {}",
        setup.recipe.model_type,
        grouped(model.num_params()),
        grouped(data.len()),
        data.global_batch(),
        plan.steps_per_epoch,
        plan.epochs,
        replicas.counted()
    )
}

/// The end of a training: metrics beside what chance reaches, and how to go on.
pub(crate) fn of_training(
    document: &Document,
    checkpoint: &Path,
    rows: &[(&str, Metrics)],
) -> Summary {
    const SHOWN: [&str; 4] = ["t2i_mAP", "t2i_R@1", "i2t_mAP", "i2t_R@1"];
    let mut text = String::new();
    if !rows.is_empty() {
        text.push_str(&format!("{:20}", "validation"));
        SHOWN.iter().for_each(|name| text.push_str(&format!("{name:>9}")));
        for (title, metrics) in rows {
            text.push_str(&format!("\n{title:20}"));
            SHOWN.iter().for_each(|name| text.push_str(&format!("{:9.4}", value(metrics, name))));
        }
        text.push_str("\n\n");
    }
    let (spec, checkpoint) = (document.name(), checkpoint.display());
    text.push_str(&format!("checkpoint: {checkpoint}"));
    let next = ["evaluate", "inference"]
        .map(|action| format!("clip {action} -e {spec} {action}.checkpoint={checkpoint}"));
    Summary { text, next: next.into() }
}

fn value(metrics: &Metrics, name: &str) -> f64 {
    metrics.iter().find(|(known, _)| known == name).map_or(f64::NAN, |(_, value)| *value)
}

/// TAO's table of retrieval metrics.
pub(crate) fn table(metrics: &Metrics) -> String {
    let mut text = format!("{:14}", "Direction");
    METRICS.iter().for_each(|name| text.push_str(&format!("{name:>8}")));
    for (direction, title) in [("i2t", "image to text"), ("t2i", "text to image")] {
        text.push_str(&format!("\n{title:14}"));
        for name in METRICS {
            let full = format!("{direction}_{name}");
            let value = value(metrics, &full);
            match *name {
                "MedR" | "MeanR" => text.push_str(&format!("{value:8.1}")),
                _ => text.push_str(&format!("{value:8.4}")),
            }
        }
    }
    text
}
