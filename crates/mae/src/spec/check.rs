//! What must hold between the keys of a MAE spec before an action begins.

use hearth_data::transform::RandAugment;
use hearth_deploy::keys::{EngineKeys, ExportKeys, check_engine, check_export};
use hearth_spec::{
    Checks, Diagnostic, Diagnostics, Document,
    common::{DistributedStrategy, check_devices},
};

use super::{Action, MaeSpec, ModelSpec, Stage};
use crate::{
    arch::{self, Arch, Kind},
    autoencoder::DecoderConfig,
    masking,
};

/// The warnings, or everything that speaks against running `action`.
pub fn check(
    document: &Document,
    spec: &MaeSpec,
    action: Action,
) -> Result<Vec<Diagnostic>, Diagnostics> {
    let mut checks = document.check();
    checks.blocks(spec, action.blocks());
    results_dir(&mut checks, spec, action);
    mask_ratio(&mut checks);
    match Arch::named(&spec.model.arch) {
        Some(_) if action == Action::GenTrtEngine => {}
        Some(arch) => pictures(&mut checks, spec, action, arch),
        None => {
            let names: Vec<&str> = arch::ALL.iter().map(|arch| arch.name).collect();
            let found = format!("`{}`", spec.model.arch);
            checks
                .error("model.arch", found, "a known architecture")
                .suggest(&spec.model.arch, &names)
                .hint(format!("the architectures are {}", names.join(", ")));
        }
    }
    match action {
        Action::Train | Action::Benchmark => train(&mut checks, spec, action),
        Action::Evaluate => {
            data(&mut checks, "dataset.val_data_sources", &spec.dataset.val_data_sources);
        }
        Action::Inference => {
            let test = spec.dataset.test_data_sources.as_deref();
            data(&mut checks, "dataset.test_data_sources", test.unwrap_or_default());
        }
        Action::Export => export(&mut checks, spec),
        Action::GenTrtEngine => gen_trt_engine(&mut checks, spec),
    }
    checks.into_result()
}

fn results_dir(checks: &mut Checks<'_>, spec: &MaeSpec, action: Action) {
    if action != Action::Benchmark && spec.results_dir(action).is_none() {
        let own = format!("{}.results_dir", action.name());
        let message =
            format!("you need to set at least one of following fields: `results_dir`, `{own}`");
        checks.refuse("results_dir", message).hint("add `results_dir=FOLDER` to the command");
    }
}

/// TAO's own documents name these keys where the network does not have them.
fn mask_ratio(checks: &mut Checks<'_>) {
    for name in ["mask_ratio", "norm_pix_loss"] {
        let key = format!("model.{name}");
        if checks.document().is_written(&key) {
            checks.refuse(&key, "not a key of `model`").hint(format!("it is `train.{name}`"));
        }
    }
}

/// The size of the pictures fits the architecture, and the mask leaves something of them.
fn pictures(checks: &mut Checks<'_>, spec: &MaeSpec, action: Action, arch: Arch) {
    let (size, cell) = (spec.dataset.augmentation.input_size, arch.cell());
    let key = "dataset.augmentation.input_size";
    if !size.is_multiple_of(cell) {
        let below = (size / cell * cell).max(cell);
        checks
            .error(key, size, format!("a multiple of {cell}, the cell of `{}`", arch.name))
            .hint(format!("the nearest are {below} and {}", below + cell));
        return;
    }
    let pretrains = spec.train.stage == Stage::Pretrain;
    let cells = (size / cell).pow(2);
    let kept = masking::kept(cells, spec.train.mask_ratio);
    if pretrains && matches!(action, Action::Train | Action::Benchmark) && kept == 0 {
        let found = format!("{} of {cells} cells of {cell} pixels", spec.train.mask_ratio);
        checks
            .error("train.mask_ratio", found, "one cell that the encoder sees")
            .hint(format!("lower it, or raise `{key}`"));
    }
    if pretrains && kept == cells {
        let found = format!("{} of {cells} cells of {cell} pixels", spec.train.mask_ratio);
        checks.error("train.mask_ratio", found, "one cell that the encoder has to predict");
    }
    if checks.document().is_written("hearth.train.mask_mode")
        && !matches!(arch.kind, Kind::ConvNext(..))
    {
        let message = format!("not used: it belongs to ConvNeXt V2, not to `{}`", arch.name);
        checks.warn("hearth.train.mask_mode", message);
    }
}

fn train(checks: &mut Checks<'_>, spec: &MaeSpec, action: Action) {
    if action == Action::Train {
        data(checks, "dataset.train_data_sources", &spec.dataset.train_data_sources);
        if spec.dataset.val_data_sources.is_empty() {
            checks.warn("dataset.val_data_sources", "not set: this training is not validated");
        }
    }
    stage(checks, spec);
    augmentation(checks, spec);
    intervals(checks, spec);
    let common = &spec.train.common;
    check_devices(checks, "train", common.num_gpus, &common.gpu_ids);
    if common.num_devices() > 1 && spec.train.distributed_strategy == DistributedStrategy::Fsdp {
        checks
            .error(
                "train.distributed_strategy",
                format!("`fsdp` with {} devices", common.num_devices()),
                "`ddp`: sharded training is not in this release",
            )
            .hint("set it to ddp");
    }
    let (parts, batch_size) = (spec.hearth.train.common.micro_batches, spec.dataset.batch_size);
    if parts > batch_size {
        let needed = format!("at most `dataset.batch_size`, which is {batch_size}");
        checks.error("hearth.train.micro_batches", parts, needed);
    }
}

/// A written decoder has a width for its heads.
fn decoder(checks: &mut Checks<'_>, spec: &MaeSpec) {
    let key = "model.decoder_embed_dim";
    let ModelSpec { decoder_depth, decoder_embed_dim, .. } = spec.model;
    if let Err(reason) = DecoderConfig::sized(decoder_depth, decoder_embed_dim).check() {
        let key = if reason.contains("width") { key } else { "model.decoder_depth" };
        checks.refuse(key, reason);
    }
}

fn export(checks: &mut Checks<'_>, spec: &MaeSpec) {
    let export = &spec.export;
    check_export(
        checks,
        ExportKeys {
            onnx_file: Some(&export.onnx_file),
            batch_size: export.batch_size,
            opset_version: export.opset_version,
        },
    );
    if export.input_width != export.input_height
        && checks.document().is_written("export.input_width")
        && checks.document().is_written("export.input_height")
    {
        let needed = format!("{}, as `input_height`: pictures are squares", export.input_height);
        checks.error("export.input_width", export.input_width, needed);
    }
}

fn gen_trt_engine(checks: &mut Checks<'_>, spec: &MaeSpec) {
    let block = &spec.gen_trt_engine;
    let own = &block.tensorrt;
    check_engine(
        checks,
        EngineKeys {
            onnx_file: &block.onnx_file,
            batch_size: block.batch_size,
            batches: [own.min_batch_size, own.opt_batch_size, own.max_batch_size],
            data_type: own.data_type,
            layers: own.layers_precision.as_deref().unwrap_or_default(),
        },
    );
}

/// Keys that act in one of the two stages.
fn stage(checks: &mut Checks<'_>, spec: &MaeSpec) {
    let of_finetuning = [
        "train.optim.layer_decay",
        "train.optim.backbone_multiplier",
        "model.drop_path_rate",
        "train.pretrained_model_path",
    ];
    let document = checks.document();
    match spec.train.stage {
        Stage::Pretrain => {
            decoder(checks, spec);
            for key in of_finetuning.into_iter().filter(|key| document.is_written(key)) {
                checks.warn(key, "not used: it belongs to `train.stage: finetune`");
            }
        }
        Stage::Finetune => {
            if spec.model.num_classes < 2 {
                let found = spec.model.num_classes;
                checks.error("model.num_classes", found, "at least two classes to choose from");
            }
            let both = ["train.optim.layer_decay", "train.optim.backbone_multiplier"];
            if both.into_iter().all(|key| document.is_written(key))
                && spec.train.optim.layer_decay != 1.0
            {
                checks
                    .warn(both[1], "not used: `train.optim.layer_decay` takes its place")
                    .hint("leave one of the two out");
            }
        }
    }
}

fn augmentation(checks: &mut Checks<'_>, spec: &MaeSpec) {
    let augmentation = &spec.dataset.augmentation;
    let policy = augmentation.auto_aug.as_deref().filter(|policy| !policy.is_empty());
    if let Some(Err(reason)) = policy.map(RandAugment::parse) {
        checks.refuse("dataset.augmentation.auto_aug", reason);
    }
    for (name, low, high) in [
        ("scale", augmentation.min_scale, augmentation.max_scale),
        ("ratio", augmentation.min_ratio, augmentation.max_ratio),
    ] {
        if low > high {
            let key = format!("dataset.augmentation.min_{name}");
            checks.error(&key, low, format!("at most `max_{name}`, which is {high}"));
        }
    }
}

fn intervals(checks: &mut Checks<'_>, spec: &MaeSpec) {
    let common = &spec.train.common;
    let needed = format!("at most `train.num_epochs`, which is {}", common.num_epochs);
    common.check_checkpoint_interval(checks);
    if common.validation_interval > common.num_epochs {
        checks.error("train.validation_interval", common.validation_interval, &needed);
    }
}

fn data(checks: &mut Checks<'_>, key: &str, folder: &str) {
    if folder.is_empty() {
        checks.refuse(key, "no pictures named").hint(format!("add `{key}=FOLDER` to the command"));
    }
}
