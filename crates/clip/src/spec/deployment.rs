//! `export`, and the keys of `gen_trt_engine`, whose action comes in a later release.

use hearth_spec::{block, options};

options! {
    /// How many graphs an export has.
    pub enum EncoderType {
        /// One with both towers.
        Combined = "combined",
        /// One for each tower.
        Separate = "separate",
    }
}

block! {
    /// Action `export`: the towers as ONNX, compared with the model by ONNX Runtime where it is found.
    pub struct ExportSpec {
        /// Weights to export: a checkpoint, a Hugging Face folder or a hub name as in
        /// `train.pretrained_model_path`. Not set takes that key.
        checkpoint: Option<String> => known_as(&["model_path", "weights"]),
        /// File to write; with separate towers `_vision` and `_text` are added to its stem. It must not exist.
        /// Beside it come the configuration, the tokenizer and the result of the comparison.
        onnx_file: Option<String> => template("${results_dir}/export/clip_model.onnx"),
        /// How many graphs are written.
        encoder_type: EncoderType = EncoderType::Combined,
        /// Version of the ONNX operator set.
        /// 17 to 22; an older one is written as 17.
        opset_version: i64 = 17 => min(11),
        /// The number of samples that the graph takes, or -1 for any.
        batch_size: i64 = -1 => min(-1),
        /// Height of the input picture in pixels: that of the model. Not written, it follows the model.
        input_height: usize = 256 => min(32), template(224),
        /// Width of the input picture in pixels: that of the model. Not written, it follows the model.
        input_width: usize = 256 => min(32), template(224),
        /// GPU to export on.
        gpu_id: i64 = 0 => inert("an export records the model and computes on the CPU what it compares"),
        /// Exports on the CPU.
        on_cpu: bool => inert("an export never needs a GPU"),
        /// Channels of the input picture.
        input_channel: usize = 3 => min(1), only_default("the towers take pictures of three channels", "set it to 3"),
        /// Prints the graph.
        verbose: bool,
        /// Folder of this action's results.
        results_dir: Option<String>,
    }
}

options! {
    /// Arithmetic of an engine.
    pub enum EnginePrecision {
        /// 32 bits.
        Fp32 = "fp32",
        /// 16 bits where the range allows it.
        Fp16 = "fp16",
    }
}

block! {
    /// How an engine is built.
    pub struct TensorRtSpec {
        /// Memory for trying algorithms, in MiB.
        workspace_size: usize = 1024 => min(0), template(4096),
        /// Smallest batch.
        min_batch_size: usize = 1 => min(1),
        /// Batch that the engine is tuned for.
        opt_batch_size: usize = 1 => min(1),
        /// Largest batch.
        max_batch_size: usize = 16 => min(1),
        /// Arithmetic of single layers, `layer:precision`.
        layers_precision: Option<Vec<String>> = Some(Vec::new()),
        /// Arithmetic of the engine.
        data_type: EnginePrecision = EnginePrecision::Fp32 => template("fp16"),
    }
}

block! {
    /// Action `gen_trt_engine`: TensorRT. Not in this release.
    pub struct GenTrtEngineSpec {
        /// Folder of this action's results.
        results_dir: Option<String>,
        /// GPU to build on.
        gpu_id: usize = 0 => min(0),
        /// Graph to build from.
        onnx_file: String => mandatory(), template("${results_dir}/export/clip_model.onnx"),
        /// Engine to write.
        trt_engine: Option<String> => mandatory(), template("${results_dir}/deploy/clip_model.engine"),
        /// File that remembers timings from one build to the next.
        timing_cache: Option<String>,
        /// Fixed batch size, or -1 for the range of the profile.
        batch_size: i64 = -1 => min(-1),
        /// Prints what the builder does.
        verbose: bool,
        /// How the engine is built.
        tensorrt: TensorRtSpec,
    }
}
