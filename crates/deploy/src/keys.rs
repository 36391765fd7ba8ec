//! What must hold between the keys of `export` and `gen_trt_engine`, which all networks have.

use std::ops::RangeInclusive;

use hearth_spec::{Checks, common::EnginePrecision};

use crate::half::LayerPrecision;

/// Versions of the operators that are written.
pub const OPSETS: RangeInclusive<i64> = 17..=22;

/// Versions that users ask for and older programs wrote; they are raised to the first of [`OPSETS`].
const RAISED: RangeInclusive<i64> = 11..=16;

/// Keys of `export`.
#[derive(Debug, Clone, Copy)]
pub struct ExportKeys<'a> {
    /// `onnx_file`.
    pub onnx_file: Option<&'a str>,
    /// `batch_size`.
    pub batch_size: i64,
    /// `opset_version`.
    pub opset_version: i64,
}

/// Keys of `gen_trt_engine`.
#[derive(Debug, Clone, Copy)]
pub struct EngineKeys<'a> {
    /// `onnx_file`.
    pub onnx_file: &'a str,
    /// `batch_size`.
    pub batch_size: i64,
    /// `tensorrt.min_batch_size`, `opt_batch_size` and `max_batch_size`.
    pub batches: [usize; 3],
    /// `tensorrt.data_type`.
    pub data_type: EnginePrecision,
    /// `tensorrt.layers_precision`.
    pub layers: &'a [String],
}

/// The operator version that `export.opset_version` comes to.
pub fn opset(written: i64) -> i64 {
    written.max(*OPSETS.start())
}

/// The rules of `export`.
pub fn check_export(checks: &mut Checks<'_>, keys: ExportKeys<'_>) {
    let ExportKeys { onnx_file, batch_size, opset_version } = keys;
    if batch_size == 0 {
        checks.error("export.batch_size", 0, "a number of samples, or -1 for any");
    }
    let (oldest, newest) = (RAISED.start(), OPSETS.end());
    if RAISED.contains(&opset_version) {
        let message = format!("{opset_version} is written as 17, the first with norms");
        checks.warn("export.opset_version", message);
    } else if !OPSETS.contains(&opset_version) {
        let needed = format!("{oldest} to {newest}");
        checks.error("export.opset_version", opset_version, needed);
    }
    if let Some(path) = onnx_file.filter(|path| !path.ends_with(".onnx")) {
        checks.error("export.onnx_file", format!("`{path}`"), "a name that ends in `.onnx`");
        if path.ends_with(".etlt") {
            checks.hint("encrypted exports are not written");
        }
    }
}

/// The rules of `gen_trt_engine`.
pub fn check_engine(checks: &mut Checks<'_>, keys: EngineKeys<'_>) {
    let EngineKeys { onnx_file, batch_size, batches: [min, opt, max], data_type, layers } = keys;
    if !onnx_file.ends_with(".onnx") {
        let found = format!("`{onnx_file}`");
        checks.error("gen_trt_engine.onnx_file", found, "a name that ends in `.onnx`");
    }
    if batch_size == 0 {
        checks.error("gen_trt_engine.batch_size", 0, "a number of samples, or -1 for the range");
    }
    if min > opt || opt > max {
        let found = format!("{min}, {opt} and {max}");
        let needed = "the smallest batch, one in between and the largest, in this order";
        checks.error("gen_trt_engine.tensorrt.opt_batch_size", found, needed);
    }
    if data_type == EnginePrecision::Int8 {
        let needed = "fp32 or fp16: int8 needs scales that are measured on pictures, and engines that \
                      measure them themselves ended with TensorRT 10";
        checks.error("gen_trt_engine.tensorrt.data_type", "int8", needed);
    }
    let key = "gen_trt_engine.tensorrt.layers_precision";
    for entry in layers {
        if entry.parse::<LayerPrecision>().is_err() {
            checks.error(key, format!("`{entry}`"), "`layer:fp32` or `layer:fp16`");
        }
    }
    if !layers.is_empty() && data_type == EnginePrecision::Fp32 {
        checks.warn(key, "has no effect: `data_type` is fp32, and so is every layer");
    }
}
