//! `evaluate`, `inference`, `export` and `gen_trt_engine`.

use hearth_spec::{block, common::EnginePrecision, options};

block! {
    /// Action `evaluate`.
    pub struct EvaluateSpec {
        /// Number of GPUs. Metrics are those of the whole data whatever the number.
        num_gpus: usize = 1 => min(1), differs("TAO reports the share of the first GPU"),
        /// Which GPUs to use.
        gpu_ids: Vec<usize> = vec![0] => min(0),
        /// Number of nodes.
        num_nodes: usize = 1 => min(1),
        /// Checkpoint to evaluate.
        checkpoint: String => mandatory(), known_as(&["model_path", "weights"]),
        /// TensorRT engine to evaluate instead.
        trt_engine: Option<String> =>
            only_default("TAO has no evaluation of MAE engines", "leave it out and set `evaluate.checkpoint`"),
        /// Folder of this action's results; not set takes `evaluate` inside the root's `results_dir`.
        results_dir: Option<String> => known_as(&["output_dir"]),
        /// Pictures at a time; -1 takes `dataset.batch_size`.
        batch_size: i64 = -1 => min(-1), differs("TAO ignores it"),
    }
}

block! {
    /// Action `inference`.
    pub struct InferenceSpec {
        /// Number of GPUs.
        num_gpus: usize = 1 => min(1),
        /// Which GPUs to use.
        gpu_ids: Vec<usize> = vec![0] => min(0),
        /// Number of nodes.
        num_nodes: usize = 1 => min(1),
        /// Checkpoint to use.
        checkpoint: String => mandatory(), known_as(&["model_path", "weights"]),
        /// TensorRT engine to use instead.
        trt_engine: Option<String> =>
            only_default("TAO has no inference of MAE engines", "leave it out and set `inference.checkpoint`"),
        /// Folder of this action's results; not set takes `inference` inside the root's `results_dir`.
        results_dir: Option<String> => known_as(&["output_dir"]),
        /// Pictures at a time; -1 takes `dataset.batch_size`.
        batch_size: i64 = -1 => min(-1), differs("TAO ignores it"),
    }
}

options! {
    /// File that an export writes.
    pub enum ExportFormat {
        /// ONNX.
        Onnx = "onnx",
        /// NVIDIA's delegate format.
        Xdl = "xdl",
    }
}

block! {
    /// Action `export`: ONNX.
    pub struct ExportSpec {
        /// Folder of this action's results.
        results_dir: Option<String> => known_as(&["output_dir"]),
        /// GPU to export on.
        gpu_id: usize = 0 => min(0), inert("an export computes nothing on a device"),
        /// Checkpoint to export.
        checkpoint: String => mandatory(),
        /// File to write.
        onnx_file: String => mandatory(),
        /// Exports on the CPU.
        on_cpu: bool => inert("an export computes nothing on a device"),
        /// Channels of the input picture.
        input_channel: usize = 3 => min(1), only_default("the models take colour pictures", "leave it out"),
        /// Width of the input picture in pixels. Not written, it is that of the checkpoint.
        input_width: usize = 960 => min(32),
        /// Height of the input picture in pixels. Not written, it is that of the checkpoint.
        input_height: usize = 544 => min(32),
        /// Version of the ONNX operator set, 17 to 22. 11 to 16 write 17.
        opset_version: i64 = 17 => min(1),
        /// Fixed batch size, or -1 for any.
        batch_size: i64 = -1 => min(-1),
        /// Prints the graph.
        verbose: bool,
        /// File to write.
        format: ExportFormat = ExportFormat::Onnx => only_default("XDL is not in this release", "leave it out"),
    }
}

block! {
    /// How an engine is built.
    pub struct TensorRtSpec {
        /// Memory for trying algorithms, in MiB; 0 leaves the limit to the builder.
        workspace_size: usize = 1024 =>
            min(0), differs("documented in MB as here, but TAO's builder counts GiB"),
        /// Smallest batch.
        min_batch_size: usize = 1 => min(1),
        /// Batch that the engine is tuned for.
        opt_batch_size: usize = 1 => min(1),
        /// Largest batch.
        max_batch_size: usize = 1 => min(1),
        /// Arithmetic of single layers with fp16: `layer:fp32` or `layer:fp16`, where `layer` is the beginning of
        /// names in the graph, up to a `.` or `/`; the longest entry decides.
        layers_precision: Option<Vec<String>> = Some(Vec::new()),
        /// Arithmetic of the engine.
        data_type: EnginePrecision = EnginePrecision::Fp32 => template("fp32,fp16"),
    }
}

block! {
    /// Action `gen_trt_engine`: TensorRT.
    pub struct GenTrtEngineSpec {
        /// Folder of this action's results.
        results_dir: Option<String> => known_as(&["output_dir"]),
        /// GPU to build on.
        gpu_id: usize = 0 => min(0),
        /// Graph to build from.
        onnx_file: String => mandatory(),
        /// Engine to write.
        trt_engine: Option<String> => mandatory(),
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
