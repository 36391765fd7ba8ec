//! `hearth`: keys that TAO does not have. A new one is one entry here.

use hearth_spec::{
    block,
    common::{HearthTrainCommon, PictureReading},
    options,
};

use super::ZeroShotSpec;

block! {
    /// Keys that TAO does not have.
    pub struct HearthSpec {
        /// How pictures and captions are read, in every data set and action.
        dataset: HearthDatasetSpec,
        /// Files of the model.
        model: HearthModelSpec,
        /// How training runs.
        train: HearthTrainSpec,
        /// What `evaluate` does besides retrieval.
        evaluate: HearthEvaluateSpec,
    }
}

block! {
    /// How pictures and captions are read, in every data set and action.
    pub struct HearthDatasetSpec {
        flatten reading: PictureReading,
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
        /// Probability that a training picture is mirrored, left to right. Not for captions that tell the sides
        /// apart. SigLIP2 types train on unchanged pictures and ignore it.
        flip: f64 = 0.0 => min(0.0), max(1.0), known_as(&["hflip", "horizontal_flip", "random_flip"]),
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
        flatten common: HearthTrainCommon,
        /// Shows a C-RADIO vision tower a random part of its position table for each training picture, as its
        /// authors train it and TAO does. Frozen vision towers see the table as in evaluation.
        position_crops: bool = true,
        /// Probability that a feature of a caption is dropped in front of its projection, while training. With a
        /// few thousand captions from scratch it is what keeps a text tower from learning them by heart.
        text_dropout: f64 = 0.0 => min(0.0), below(1.0),
        /// Writes, beside every checkpoint of a training with `peft`, a folder with the added matrices alone, as the
        /// library `peft` reads them on top of a model of transformers. SigLIP2 and OpenAI types only.
        save_adapters: bool,
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
