//! What must hold between the keys of a CLIP spec before an action begins.

use hearth_spec::{
    Checks, Diagnostic, Diagnostics, Document,
    common::{DistributedStrategy, check_devices},
};
use hearth_weights::hub::HubName;

use super::{Action, ClipSpec, LossType, SiglipExchange, TrainSource, graphs, partial, zero_shot};

/// Names of the text heads of C-RADIO that TAO takes, its own aliases included.
const ADAPTORS: &[&str] = &["siglip", "clip", "siglip2", "siglip2-g", "dfn_clip", "dfn"];

/// The warnings, or everything that speaks against running `action`. `models` are the types that can be built.
pub fn check(
    document: &Document,
    spec: &ClipSpec,
    action: Action,
    models: &[&str],
) -> Result<Vec<Diagnostic>, Diagnostics> {
    let mut checks = document.check();
    checks.blocks(spec, action.blocks());
    results_dir(&mut checks, spec, action);
    let name = spec.model.kind.as_str();
    if models.contains(&name) {
        model(&mut checks, spec, action);
    } else {
        unknown_model_type(&mut checks, name, models);
    }
    adaptor(&mut checks, spec, action);
    weights(&mut checks, "hearth.model.text_weights", spec.hearth.model.text_weights.as_deref());
    match action {
        Action::Train => {
            training_data(&mut checks, spec);
            validation(&mut checks, spec);
            train(&mut checks, spec);
        }
        Action::Benchmark => {
            if spec.names_training_data() {
                training_data(&mut checks, spec);
            }
            train(&mut checks, spec);
        }
        Action::Evaluate => evaluate(&mut checks, spec),
        Action::Inference => inference(&mut checks, spec),
        Action::Export => graphs::export(&mut checks, spec),
        Action::GenTrtEngine => graphs::gen_trt_engine(&mut checks, spec),
    }
    checks.into_result()
}

/// The error for a `model.type` that is not among `models`.
pub fn unknown_model_type(checks: &mut Checks<'_>, name: &str, models: &[&str]) {
    checks.error("model.type", format!("`{name}`"), "a known type").suggest(name, models);
    if !models.is_empty() {
        checks.hint(format!("the types are {}", models.join(", ")));
    }
}

fn results_dir(checks: &mut Checks<'_>, spec: &ClipSpec, action: Action) {
    if action != Action::Benchmark && spec.results_dir(action).is_none() {
        let own = format!("{}.results_dir", action.name());
        let message =
            format!("you need to set at least one of following fields: `results_dir`, `{own}`");
        checks.refuse("results_dir", message).hint("add `results_dir=FOLDER` to the command");
    }
}

fn model(checks: &mut Checks<'_>, spec: &ClipSpec, action: Action) {
    let name = spec.model.kind.as_str();
    if !from_checkpoint(spec, action) && !checks.document().is_written("model.type") {
        checks
            .warn("model.type", format!("not set, TAO's default `{name}` is used"))
            .hint("TAO's packaged template means `ViT-L-14-SigLIP-CLIPA-224`");
    }
    if action == Action::Train && name.starts_with("siglip2") && !spec.model.canonicalize_text {
        checks
            .warn(
                "model.canonicalize_text",
                format!("`false` with `{name}`, which learned from canonicalised text"),
            )
            .hint("set it to true for zero-shot classification; false keeps punctuation for retrieval");
    }
}

/// Whether a checkpoint may say what the model is.
fn from_checkpoint(spec: &ClipSpec, action: Action) -> bool {
    match action {
        Action::Train | Action::Benchmark => false,
        Action::Evaluate => spec.evaluate.checkpoint.is_some() || spec.engine(action).is_some(),
        Action::Inference => spec.inference.checkpoint.is_some() || spec.engine(action).is_some(),
        Action::Export => spec.export.checkpoint.is_some(),
        Action::GenTrtEngine => true,
    }
}

/// The keys that belong to some types only.
fn adaptor(checks: &mut Checks<'_>, spec: &ClipSpec, action: Action) {
    let name = spec.model.kind.as_str();
    let told = from_checkpoint(spec, action);
    let needed = "`siglip` or `clip` with C-RADIO";
    match spec.model.adaptor_name.as_deref() {
        None if name.starts_with("c-radio") && !told => {
            checks.error("model.adaptor_name", "no value", needed);
        }
        Some(adaptor) if name.starts_with("c-radio") && !ADAPTORS.contains(&adaptor) => {
            checks.error("model.adaptor_name", format!("`{adaptor}`"), needed);
        }
        Some(adaptor) if !ADAPTORS.contains(&adaptor) => {
            checks
                .warn("model.adaptor_name", format!("unknown adaptor `{adaptor}`"))
                .hint("C-RADIO knows `siglip` and `clip`; other models ignore the key");
        }
        _ => {}
    }
    for (key, belongs, types) in [
        ("hearth.model.text_weights", name.starts_with("c-radio"), "C-RADIO types"),
        ("hearth.train.position_crops", name.starts_with("c-radio"), "C-RADIO types"),
        ("hearth.model.max_num_patches", name.ends_with("naflex"), "types that end in `naflex`"),
        ("model.image_size", name != "hearth-tiny-naflex", "types of one picture size"),
    ] {
        if !belongs && !told && checks.document().is_written(key) {
            checks.warn(key, format!("not used: it belongs to {types}, not to `{name}`"));
        }
    }
}

fn train(checks: &mut Checks<'_>, spec: &ClipSpec) {
    let common = &spec.train.common;
    check_devices(checks, "train", common.num_gpus, &common.gpu_ids);
    intervals(checks, spec);
    several_devices(checks, spec, spec.train.common.num_devices());
    augmentation(checks, spec);
    partial::check(checks, spec);
    let (parts, batch_size) =
        (spec.hearth.train.common.micro_batches, spec.dataset.train.batch_size);
    if parts > batch_size {
        let needed = format!("at most `dataset.train.batch_size`, which is {batch_size}");
        checks.error("hearth.train.micro_batches", parts, needed);
    } else if let Some(replicas) = spec.hearth.train.common.replicas
        && replicas > spec.micro_batch()
    {
        let needed = format!("at most {}, the pairs that are computed at once", spec.micro_batch());
        checks.error("hearth.train.replicas", replicas, needed);
    }
    for (key, path) in [
        ("train.pretrained_model_path", &spec.train.pretrained_model_path),
        ("train.resume_training_checkpoint_path", &common.resume_training_checkpoint_path),
    ] {
        weights(checks, key, path.as_deref());
    }
}

fn validation(checks: &mut Checks<'_>, spec: &ClipSpec) {
    if spec.dataset.val.datasets.is_empty() {
        checks
            .warn(
                "dataset.val.datasets",
                "validation not configured, there is no retrieval evaluation during training",
            )
            .hint(example("dataset.val.datasets"));
    }
}

/// Folders or shards are named, as `dataset.train.type` says.
fn training_data(checks: &mut Checks<'_>, spec: &ClipSpec) {
    let (train, wds) = (&spec.dataset.train, &spec.dataset.train.wds);
    let is_remote = |root: &str| root.contains("://");
    match train.kind {
        TrainSource::Custom if train.datasets.is_empty() => {
            checks.refuse("dataset.train.datasets", "no training data configured");
            if wds.root_dir.is_some() || wds.shard_list_file.is_some() {
                checks.hint(
                    "to train on the shards of `dataset.train.wds`, set `dataset.train.type: wds`",
                );
            } else {
                checks.hint(example("dataset.train.datasets"));
            }
        }
        TrainSource::Custom => {}
        TrainSource::Wds => {
            if !train.datasets.is_empty() {
                checks.warn(
                    "dataset.train.datasets",
                    "not read: `dataset.train.type` is `wds`, which takes `dataset.train.wds`",
                );
            }
            match (&wds.shard_list_file, &wds.root_dir) {
                (None, None) => {
                    let message = "no training data configured: `root_dir` or `shard_list_file` must be given";
                    checks.refuse("dataset.train.wds", message).hint(
                        "add `dataset.train.wds.root_dir=FOLDER`, which is searched for `*.tar`",
                    );
                }
                (None, Some(root)) if is_remote(root) => {
                    let key = "dataset.train.wds.root_dir";
                    checks
                        .error(key, "an address", "a folder: an address cannot be searched for shards")
                        .hint("name the shards in `dataset.train.wds.shard_list_file`; the address may stay");
                }
                _ => {}
            }
        }
    }
}

fn intervals(checks: &mut Checks<'_>, spec: &ClipSpec) {
    let common = &spec.train.common;
    let epochs = common.num_epochs;
    let needed = format!("at most `train.num_epochs`, which is {epochs}");
    common.check_checkpoint_interval(checks);
    match spec.train.val_check_interval {
        None if common.validation_interval > epochs => {
            checks.error("train.validation_interval", common.validation_interval, &needed);
        }
        Some(steps) if checks.document().is_written("train.validation_interval") => {
            let message = format!(
                "not used: `train.val_check_interval` takes precedence and validates every {steps} steps"
            );
            checks.warn("train.validation_interval", message).hint("leave one of the two out");
        }
        _ => {}
    }
}

fn several_devices(checks: &mut Checks<'_>, spec: &ClipSpec, devices: usize) {
    let train = &spec.train;
    if devices < 2 {
        return;
    }
    if train.distributed_strategy == DistributedStrategy::Fsdp {
        checks
            .error(
                "train.distributed_strategy",
                format!("`fsdp` with {devices} devices"),
                "`ddp`: sharded training is not in this release",
            )
            .hint("set it to ddp");
    }
    if train.loss_type == LossType::Siglip && train.siglip_loss_dist_impl == SiglipExchange::Local {
        checks
            .error(
                "train.siglip_loss_dist_impl",
                format!("`local` with {devices} devices"),
                "one of the ways that compute the loss of the whole batch",
            )
            .hint("set it to gather");
    }
}

fn augmentation(checks: &mut Checks<'_>, spec: &ClipSpec) {
    let augmentation = &spec.dataset.augmentation;
    if let [low, high] = augmentation.scale[..]
        && low > high
    {
        let found = format!("[{low}, {high}]");
        checks.error("dataset.augmentation.scale", found, "the smaller number first");
    }
    let key = "dataset.augmentation.color_jitter";
    let jitter = &augmentation.color_jitter;
    if let [probability, _, _, _, _] = jitter[..]
        && probability > 1.0
    {
        let key = format!("{key}[0]");
        checks.error(&key, probability, "a probability from 0 to 1");
    }
    if let Some(&hue) = jitter.last()
        && hue > 0.5
    {
        let key = format!("{key}[{}]", jitter.len() - 1);
        checks.error(&key, hue, "a change of hue from 0 to 0.5");
    }
}

fn evaluate(checks: &mut Checks<'_>, spec: &ClipSpec) {
    let evaluate = &spec.evaluate;
    let elsewhere = !evaluate.datasets.is_empty();
    let classifies = spec.hearth.evaluate.zero_shot.image_dir.is_some();
    if spec.dataset.val.datasets.is_empty() && !classifies {
        checks.refuse("dataset.val.datasets", "no evaluation data configured");
        if elsewhere {
            checks.hint("evaluation does not read `evaluate.datasets`: move its entries here");
        } else {
            checks.hint(example("dataset.val.datasets"));
            checks.hint(
                "to classify pictures without captions, set \
                 `hearth.evaluate.zero_shot.image_dir=CLASS_FOLDERS`",
            );
        }
    } else if elsewhere {
        checks.warn("evaluate.datasets", "not read: evaluation takes `dataset.val.datasets`");
    }
    zero_shot::check(checks, &spec.hearth.evaluate.zero_shot);
    check_devices(checks, "evaluate", evaluate.num_gpus, &evaluate.gpu_ids);
    model_file(checks, "evaluate.checkpoint", evaluate.checkpoint.as_deref());
    engine(checks, spec, Action::Evaluate);
    if spec.model_path(Action::Evaluate).is_none() {
        checks
            .warn("evaluate.checkpoint", "not set: random weights are evaluated")
            .hint("name a checkpoint, or pretrained weights with `train.pretrained_model_path`");
    }
}

fn inference(checks: &mut Checks<'_>, spec: &ClipSpec) {
    let inference = &spec.inference;
    if inference.datasets.is_empty() && inference.text_file.is_none() {
        checks
            .refuse(
                "inference.datasets",
                "at least one of `inference.datasets` or `inference.text_file` must be specified",
            )
            .hint("add `'inference.datasets=[{image_dir: IMAGES}]'`, or the same in the file");
    }
    check_devices(checks, "inference", inference.num_gpus, &inference.gpu_ids);
    model_file(checks, "inference.checkpoint", inference.checkpoint.as_deref());
    engine(checks, spec, Action::Inference);
    if spec.model_path(Action::Inference).is_none() {
        let needed = "a checkpoint to embed with";
        checks.error("inference.checkpoint", "no value", needed).hint(format!(
            "name a checkpoint, or pretrained weights of `{}` with `train.pretrained_model_path`",
            spec.model.kind
        ));
    }
}

/// An engine is named alone, and runs on one GPU.
fn engine(checks: &mut Checks<'_>, spec: &ClipSpec, action: Action) {
    let Some((path, gpu)) = spec.engine(action) else { return };
    let (block, found) = (action.name(), format!("`{}`", path.display()));
    let key = format!("{block}.trt_engine");
    let (checkpoint, gpus) = match action {
        Action::Inference => (&spec.inference.checkpoint, spec.inference.num_gpus),
        _ => (&spec.evaluate.checkpoint, spec.evaluate.num_gpus),
    };
    if path.extension().is_some_and(|end| end == "onnx") {
        checks
            .error(&key, &found, "an engine")
            .hint(format!("`{block}.checkpoint` takes ONNX, `gen_trt_engine` makes engines of it"));
    }
    if checkpoint.is_some() {
        let needed = format!("either this or `{block}.checkpoint`");
        checks.error(&key, found, needed).hint("leave out the one that you do not mean");
    }
    if gpus > 1 {
        checks.warn(&key, format!("engines run on one GPU: that of number {gpu}"));
    }
}

/// Weights, or a graph of ONNX.
fn model_file(checks: &mut Checks<'_>, key: &str, path: Option<&str>) {
    weights(checks, key, path.filter(|path| !path.ends_with(".onnx")));
    if path.is_some_and(|path| path.ends_with(".engine")) {
        checks.hint(format!("engines belong to `{}`", key.replace("checkpoint", "trt_engine")));
    }
}

/// Formats that hold a graph and no weights to load, and hub names that are none.
pub(super) fn weights(checks: &mut Checks<'_>, key: &str, path: Option<&str>) {
    let misspelt = path.filter(|path| HubName::is_meant_by(path) && HubName::parse(path).is_none());
    if let Some(path) = misspelt {
        let needed = "`hf://ORG/NAME`, with `@REVISION` and `/FILE` behind it where they are meant";
        checks.error(key, format!("`{path}`"), needed);
    }
    let graph = path.filter(|path| {
        [".engine", ".onnx", ".etlt", ".plan"].iter().any(|extension| path.ends_with(extension))
    });
    if let Some(path) = graph {
        checks.error(
            key,
            format!("`{path}`"),
            "weights: a checkpoint, a Hugging Face folder or a hub name",
        );
    }
}

/// What to add to the command, or to write in the same words in the file.
fn example(key: &str) -> String {
    format!("add `'{key}=[{{image_dir: IMAGES, caption_dir: CAPTIONS}}]'`, or the same in the file")
}
