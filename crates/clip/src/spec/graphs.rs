//! What must hold between the keys of `export` and `gen_trt_engine`.

use hearth_deploy::keys::{EngineKeys, ExportKeys, check_engine, check_export};
use hearth_spec::Checks;

use super::{Action, ClipSpec, check::weights};

pub(super) fn export(checks: &mut Checks<'_>, spec: &ClipSpec) {
    let export = &spec.export;
    check_export(
        checks,
        ExportKeys {
            onnx_file: export.onnx_file.as_deref(),
            batch_size: export.batch_size,
            opset_version: export.opset_version,
        },
    );
    weights(checks, "export.checkpoint", export.checkpoint.as_deref());
    if spec.weights(Action::Export).is_none() {
        checks.error("export.checkpoint", "no value", "a checkpoint to export").hint(format!(
            "name a checkpoint, or pretrained weights of `{}` with `train.pretrained_model_path`",
            spec.model.kind
        ));
    }
}

pub(super) fn gen_trt_engine(checks: &mut Checks<'_>, spec: &ClipSpec) {
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
