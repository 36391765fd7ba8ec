//! `hearth`: keys that TAO does not have. A new one is one entry here.

use hearth_spec::block;

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
        /// Weights of a C-RADIO model's text tower: those of its teacher, `google/siglip2-so400m-patch16-naflex`
        /// for `siglip` (`google/siglip2-giant-opt-patch16-384` for `c-radio_v3-h`), DFN5B-CLIP-ViT-H-14 for
        /// `clip`. A whole model will do. Not set, the tower is in `train.pretrained_model_path` too.
        text_weights: Option<String>,
        /// The most patches of a picture, for types that end in `naflex`. Not written, it is that of the type or
        /// of the checkpoint.
        max_num_patches: usize = 256 => min(1), max(16384),
    }
}

block! {
    /// How training runs.
    pub struct HearthTrainSpec {
        /// Parts in which each device's batch is processed: less memory, more time, exactly the same result.
        micro_batches: usize = 1 => min(1), known_as(&["accum_grad_batches", "accum_freq", "grad_accum"]),
        /// Steps between two points of progress and of the TensorBoard curves.
        log_interval: usize = 10 => min(1), known_as(&["log_every", "log_every_n_steps"]),
        /// Shows a C-RADIO vision tower a random part of its position table for each training picture, as its
        /// authors train it and TAO does. Frozen vision towers see the table as in evaluation.
        position_crops: bool = true,
        /// Whether the summary compares with the untrained model and with shuffled captions.
        baselines: bool,
    }
}
