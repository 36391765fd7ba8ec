//! `evaluate` and `inference`.

use hearth_spec::{block, options};

use super::data::PathBlock;

options! {
    /// Which pictures count as matches of a query.
    pub enum GroundTruth {
        /// The one with the same index.
        PairedCaption = "paired_caption",
        /// Those with the query's attributes.
        ScalarAttributes = "scalar_attributes",
        /// As before, and with its accessories.
        ScalarPlusAccessories = "scalar_plus_accessories",
    }
}

block! {
    /// Action `evaluate`: retrieval metrics in both directions over all of `dataset.val.datasets`.
    pub struct EvaluateSpec {
        /// Folders of pictures and captions.
        datasets: Vec<PathBlock> => inert("as in TAO, evaluation takes `dataset.val.datasets`"),
        /// Pairs that are embedded at a time.
        batch_size: usize = 16 => min(1), inert("as in TAO, evaluation takes `dataset.val.batch_size`"),
        /// Threads that decode.
        num_workers: usize = 8 => min(0), inert("evaluation takes `dataset.val.num_workers`"),
        /// Weights to evaluate: a checkpoint, a Hugging Face folder or a hub name as in
        /// `train.pretrained_model_path`. Not set takes that key, or else random weights.
        checkpoint: Option<String> => known_as(&["model_path", "weights"]),
        /// Number of GPUs. Metrics are those of the whole data whatever the number.
        num_gpus: usize = 1 =>
            min(1), differs("TAO ranks the share of each GPU by itself and averages the metrics"),
        /// Which GPUs to use.
        gpu_ids: Vec<usize> = vec![0] => min(0),
        /// Folder of this action's results; not set takes `evaluate` inside the root's `results_dir`.
        results_dir: Option<String> => known_as(&["output_dir"]),
        /// TensorRT engine to evaluate instead of a checkpoint: a file of `gen_trt_engine`, the base name of a
        /// `_vision` and `_text` pair, or a folder that holds one of these.
        trt_engine: Option<String> => known_as(&["engine"]),
        /// File of prompts.
        text_file: Option<String> => inert("it belongs to `inference`"),
        /// Which pictures count as matches of a query.
        pas_ground_truth_mode: GroundTruth = GroundTruth::PairedCaption => only_default(
            "matching by person attributes needs tables whose format TAO does not document",
            "set it to paired_caption"
        ),
    }
}

block! {
    /// Action `inference`: writes `image_embeddings.h5` and `text_embeddings.h5`.
    pub struct InferenceSpec {
        /// Folders of pictures to embed, with all their sub-folders. Captions are not read.
        datasets: Vec<PathBlock>,
        /// Pictures or prompts that are embedded at a time. Results do not depend on it.
        batch_size: usize = 16 => min(1),
        /// Threads that decode; 0 does it between the batches. Results do not depend on it.
        num_workers: usize = 8 =>
            min(0), known_as(&["workers", "num_threads"]), differs("TAO does not read it here"),
        /// Weights to embed with: a checkpoint, a Hugging Face folder or a hub name as in
        /// `train.pretrained_model_path`. Not set takes that key.
        checkpoint: Option<String> =>
            known_as(&["model_path", "weights"]), differs("without it TAO ends with a `TypeError`"),
        /// Number of GPUs.
        num_gpus: usize = 1 => min(1),
        /// Which GPUs to use.
        gpu_ids: Vec<usize> = vec![0] => min(0),
        /// Folder of this action's results; not set takes `inference` inside the root's `results_dir`.
        results_dir: Option<String> => known_as(&["output_dir"]),
        /// TensorRT engine to use instead of a checkpoint: a file of `gen_trt_engine`, the base name of a
        /// `_vision` and `_text` pair, or a folder that holds one of these.
        trt_engine: Option<String> => known_as(&["engine"]),
        /// File of prompts to embed, one per line.
        text_file: Option<String> => known_as(&["prompts", "prompt_file"]),
    }
}
