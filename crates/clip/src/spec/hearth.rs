//! `hearth`: keys that TAO does not have. A new one is one entry here.

use hearth_spec::{block, options};

block! {
    /// Keys that TAO does not have.
    pub struct HearthSpec {
        /// What is read of the data.
        dataset: HearthDatasetSpec,
        /// Files of the model.
        model: HearthModelSpec,
        /// How training runs.
        train: HearthTrainSpec,
    }
}

block! {
    /// What is read of the data.
    pub struct HearthDatasetSpec {
        /// Training data.
        train: HearthTrainDataSpec,
    }
}

options! {
    /// Which of the captions of a picture make pairs.
    pub enum CaptionChoice {
        /// The first.
        First = "first",
        /// Every one, each as a pair with the picture.
        All = "all",
        /// One, drawn anew for each epoch.
        Random = "random",
    }
}

block! {
    /// Training data.
    pub struct HearthTrainDataSpec {
        /// Which captions are taken where a picture has several: lines of its text, or the list in a JSON file
        /// (`{"captions": [..]}`, `{"caption": ".."}` or a plain list), which counts first. Validation takes the
        /// first one then. Not set is TAO's rule: the whole text is one caption.
        captions: Option<CaptionChoice>,
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
