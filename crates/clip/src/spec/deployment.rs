//! `export` and `gen_trt_engine`.

use hearth_spec::{block, common::EnginePrecision, options};

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

block! {
    /// How an engine is built.
    pub struct TensorRtSpec {
        /// Memory for trying algorithms, in MiB; 0 leaves the limit to the builder.
        workspace_size: usize = 1024 => min(0), template(4096),
        /// Smallest batch.
        min_batch_size: usize = 1 => min(1),
        /// Batch that the engine is tuned for.
        opt_batch_size: usize = 1 => min(1),
        /// Largest batch.
        max_batch_size: usize = 16 => min(1),
        /// Arithmetic of single layers with fp16: `layer:fp32` or `layer:fp16`, where `layer` is the beginning of
        /// names in the graph, up to a `.` or `/`; the longest entry decides.
        layers_precision: Option<Vec<String>> = Some(Vec::new()),
        /// Arithmetic of the engine.
        data_type: EnginePrecision = EnginePrecision::Fp32 => template("fp16"),
    }
}

block! {
    /// Action `gen_trt_engine`: TensorRT engines of exported towers. With fp16 the numbers are checked on pairs of
    /// `dataset.val`, if it has some.
    pub struct GenTrtEngineSpec {
        /// Folder of this action's results.
        results_dir: Option<String>,
        /// GPU to build on.
        gpu_id: usize = 0 => min(0),
        /// Graph to build from; of a pair `X_vision.onnx`, `X_text.onnx` the name `X.onnx` stands for both.
        onnx_file: String => mandatory(), template("${results_dir}/export/clip_model.onnx"),
        /// Engine to write; of a pair, `_vision` and `_text` are added to its stem. Configuration and tokenizer come beside it.
        trt_engine: Option<String> => mandatory(), template("${results_dir}/deploy/clip_model.engine"),
        /// File that remembers timings from one build to the next.
        timing_cache: Option<String>,
        /// The number of samples that the engine takes, or -1 for the range below.
        batch_size: i64 = -1 => min(-1),
        /// Prints what the builder does.
        verbose: bool,
        /// How the engine is built.
        tensorrt: TensorRtSpec,
    }
}
