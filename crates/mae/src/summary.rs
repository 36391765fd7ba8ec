//! What actions tell the user: before the first step, and at the end.

use std::path::Path;

use burn::module::Module;
use hearth_engine::{Metrics, Plan, Replicas, Summary, TrainBatches, grouped, num_trained};
use hearth_spec::Document;

use crate::{
    dataset::Pictures,
    recipe::{Gives, Recipe},
};

/// One line about the work that begins.
pub(crate) fn of_plan<M: Module>(
    recipe: &Recipe,
    model: &M,
    data: &TrainBatches<Pictures>,
    (plan, replicas): (&Plan, &Replicas),
) -> String {
    let trained = match num_trained(model) {
        all if all == model.num_params() => String::new(),
        some => format!(", {} of them trained", grouped(some)),
    };
    format!(
        "{} ({}): {} parameters{trained}; {} pictures, {} per step, {} steps in each of {} epochs; {}",
        recipe.arch,
        recipe.stage(),
        grouped(model.num_params()),
        grouped(data.len()),
        data.global_batch(),
        plan.steps_per_epoch,
        plan.epochs,
        replicas.counted()
    )
}

/// The end of a training: its last metrics, and how to go on.
pub(crate) fn of_training(
    document: &Document,
    recipe: &Recipe,
    checkpoint: &Path,
    metrics: Option<Metrics>,
) -> Summary {
    let mut text = String::new();
    if let Some(metrics) = metrics {
        text.push_str(&format!("{}\n\n", line(&metrics)));
    }
    text.push_str(&format!("checkpoint: {}", checkpoint.display()));
    let (spec, checkpoint) = (document.name(), checkpoint.display());
    let action = |name: &str| format!("mae {name} -e {spec} {name}.checkpoint={checkpoint}");
    let next = match recipe.gives {
        Gives::Reconstructions(_) => vec![
            format!("{} dataset.test_data_sources=FOLDER", action("inference")),
            format!(
                "mae train -e {spec} train.stage=finetune train.pretrained_model_path={checkpoint} \
                 results_dir=DIR"
            ),
        ],
        Gives::Classes(_) => vec![action("evaluate"), action("export")],
    };
    Summary { text, next }
}

/// `val_loss 0.4321, ACC_all 0.9000`
pub(crate) fn line(metrics: &Metrics) -> String {
    let shown: Vec<String> =
        metrics.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
    shown.join(", ")
}
