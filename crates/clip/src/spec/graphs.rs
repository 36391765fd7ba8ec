//! What must hold between the keys of `export` and `gen_trt_engine`.

use hearth_deploy::half::LayerPrecision;
use hearth_spec::Checks;

use super::{Action, ClipSpec, EnginePrecision, check::weights};
use crate::export::OPSETS;

pub(super) fn export(checks: &mut Checks<'_>, spec: &ClipSpec) {
    let export = &spec.export;
    if export.batch_size == 0 {
        checks.error("export.batch_size", 0, "a number of samples, or -1 for any");
    }
    let newest = *OPSETS.end();
    if export.opset_version > newest {
        checks.error("export.opset_version", export.opset_version, format!("at most {newest}"));
    }
    if export.opset_version < *OPSETS.start() {
        let message = format!("{} is written as 17, the first with norms", export.opset_version);
        checks.warn("export.opset_version", message);
    }
    let named = export.onnx_file.as_deref().filter(|path| !path.ends_with(".onnx"));
    if let Some(path) = named {
        checks.error("export.onnx_file", format!("`{path}`"), "a name that ends in `.onnx`");
        if path.ends_with(".etlt") {
            checks.hint("encrypted exports are not written");
        }
    }
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
    if !block.onnx_file.ends_with(".onnx") {
        let found = format!("`{}`", block.onnx_file);
        checks.error("gen_trt_engine.onnx_file", found, "a name that ends in `.onnx`");
    }
    if block.batch_size == 0 {
        checks.error("gen_trt_engine.batch_size", 0, "a number of samples, or -1 for the range");
    }
    let (min, opt, max) = (own.min_batch_size, own.opt_batch_size, own.max_batch_size);
    if min > opt || opt > max {
        let found = format!("{min}, {opt} and {max}");
        let needed = "the smallest batch, one in between and the largest, in this order";
        checks.error("gen_trt_engine.tensorrt.opt_batch_size", found, needed);
    }
    if own.data_type == EnginePrecision::Int8 {
        let needed = "fp32 or fp16: int8 needs scales that are measured on pictures, and engines that \
                      measure them themselves ended with TensorRT 10";
        checks.error("gen_trt_engine.tensorrt.data_type", "int8", needed);
    }
    let key = "gen_trt_engine.tensorrt.layers_precision";
    let entries: Vec<&String> = own.layers_precision.iter().flatten().collect();
    for entry in &entries {
        if entry.parse::<LayerPrecision>().is_err() {
            checks.error(key, format!("`{entry}`"), "`layer:fp32` or `layer:fp16`");
        }
    }
    if !entries.is_empty() && own.data_type == EnginePrecision::Fp32 {
        checks.warn(key, "has no effect: `data_type` is fp32, and so is every layer");
    }
}
