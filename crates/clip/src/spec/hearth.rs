//! `hearth`: keys that TAO does not have. A new one is one entry here.

use hearth_spec::{block, options};

block! {
    /// Keys that TAO does not have.
    pub struct HearthSpec {
        /// Files of the model.
        model: HearthModelSpec,
        /// How training runs.
        train: HearthTrainSpec,
    }
}

block! {
    /// Files of the model.
    pub struct HearthModelSpec {
        /// `tokenizer.json`, `bpe_simple_vocab_16e6.txt.gz`, or a folder with one of them. Not set looks beside
        /// the weights; checkpoints of ours contain their tokenizer.
        tokenizer: Option<String>,
    }
}

options! {
    /// Format of checkpoints.
    pub enum CheckpointFormat {
        /// The model as safetensors.
        Safetensors = "safetensors",
        /// Beside it the same for PyTorch, with the link `clip_latest.pth`; the best checkpoints too.
        Pth = "pth",
    }
}

block! {
    /// How training runs.
    pub struct HearthTrainSpec {
        /// Parts in which each device's batch is processed: less memory, more time, exactly the same result.
        micro_batches: usize = 1 => min(1), known_as(&["accum_grad_batches", "accum_freq", "grad_accum"]),
        /// Steps between two points of progress and of the TensorBoard curves.
        log_interval: usize = 10 => min(1), known_as(&["log_every", "log_every_n_steps"]),
        /// Format of checkpoints. Both hold the same tensors under the names of the family's public checkpoints;
        /// `torch.load(weights_only=True)` reads the PyTorch file, and so does every key that names weights.
        checkpoint_format: CheckpointFormat = CheckpointFormat::Safetensors => known_as(&["save_format", "format"]),
        /// Whether the summary compares with the untrained model and with shuffled captions.
        baselines: bool,
    }
}
