//! What actions tell the user: before the first step, and at the end.

use std::path::Path;

use burn::module::Module;
use hearth_engine::{EngineError, Metrics, Plan, Run, Signal, Summary};
use hearth_spec::Document;

use crate::{
    dataset::TrainBatches, error::ClipError, model::Clip, replicas::counted, retrieval::METRICS,
    setup::Setup, task::num_trained,
};

/// One line about the work that begins.
pub(crate) fn of_plan(setup: &Setup, model: &Clip, data: &TrainBatches, plan: &Plan) -> String {
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
        counted(data.replicas())
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

/// The error of an action that a signal ended.
pub(crate) fn interrupted(run: &Run) -> ClipError {
    let signal = run.stop.requested().unwrap_or(Signal::Interrupt);
    ClipError::Engine(EngineError::Interrupted { signal })
}

/// `1135670962` as `1,135,670,962`.
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_in_groups_of_three() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (1_135_670_962, "1,135,670,962")]
        {
            assert_eq!(grouped(number), text);
        }
    }
}
