//! `hearth`: keys that TAO does not have. A new one is one entry here.

use hearth_spec::block;

use super::ZeroShotSpec;

block! {
    /// Keys that TAO does not have.
    pub struct HearthSpec {
        /// Files of the model.
        model: HearthModelSpec,
        /// How training runs.
        train: HearthTrainSpec,
        /// What `evaluate` does besides retrieval.
        evaluate: HearthEvaluateSpec,
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

block! {
    /// How training runs.
    pub struct HearthTrainSpec {
        /// Parts in which each device's batch is processed: less memory, more time, exactly the same result.
        micro_batches: usize = 1 => min(1), known_as(&["accum_grad_batches", "accum_freq", "grad_accum"]),
        /// Steps between two points of progress and of the TensorBoard curves.
        log_interval: usize = 10 => min(1), known_as(&["log_every", "log_every_n_steps"]),
        /// Whether the summary compares with the untrained model and with shuffled captions.
        baselines: bool,
    }
}

block! {
    /// What `evaluate` does besides retrieval.
    pub struct HearthEvaluateSpec {
        /// Classification by the names of classes.
        zero_shot: ZeroShotSpec,
    }
}
