//! `hearth`: keys that TAO does not have. A new one is one entry here.

use hearth_spec::{block, options};

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

options! {
    /// What becomes of the orientation in a picture's EXIF data.
    pub enum ExifOrientation {
        /// Pictures stay as they are stored, as in TAO and PIL. A TIFF's orientation is applied, as PIL does.
        Ignore = "ignore",
        /// Pictures are turned upright.
        Apply = "apply",
    }
}

block! {
    /// How pictures are read, in every data set and action. These keys describe the data, not the model: checkpoints
    /// do not carry them.
    pub struct HearthDatasetSpec {
        /// Training data.
        train: HearthTrainDataSpec,
        /// Whether pictures are turned as their EXIF data asks: photographs of telephones often lie on their side.
        exif_orientation: ExifOrientation = ExifOrientation::Ignore,
        /// Decodes a JPEG to a half, a quarter or an eighth of its size where that leaves as many pixels as the
        /// model sees, as Pillow's `Image.draft` does: two to three times faster on photographs of several
        /// megapixels, of little use on small ones. Pixels differ a little from those of TAO and PIL.
        jpeg_draft: bool => known_as(&["fast_jpeg", "draft"]),
        /// Part of a data set, 0 to 1, whose pictures or captions may be unreadable. They are named once and left out:
        /// their batch is smaller by them. One more ends the run, and so does a training batch of which nothing is
        /// left. `inference` leaves out whatever it cannot read.
        max_unreadable: f64 = 0.0 => min(0.0), max(1.0),
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
        /// Parts of the processor that each compute a part of a micro-batch, with threads of their own; their gradients
        /// are added up. Not set takes as many as there are cores, from nine cores on as many as leave each the
        /// same number of threads, at most 8: every one holds gradients of its own. A run that is continued keeps
        /// the number of its checkpoint, since another gives other roundings. `trainer clip benchmark --tune` finds
        /// the best one.
        replicas: Option<usize> => min(1), known_as(&["num_replicas", "data_parallel"]),
        /// Computes in `train.precision` on a CPU too, which is slower there than 32 bits: to compare with a device
        /// that does.
        half_on_cpu: bool,
        /// Steps between two points of progress and of the TensorBoard curves.
        log_interval: usize = 10 => min(1), known_as(&["log_every", "log_every_n_steps"]),
        /// Shows a C-RADIO vision tower a random part of its position table for each training picture, as its
        /// authors train it and TAO does. Frozen vision towers see the table as in evaluation.
        position_crops: bool = true,
        /// Probability that a feature of a caption is dropped in front of its projection, while training. With a
        /// few thousand captions from scratch it is what keeps a text tower from learning them by heart.
        text_dropout: f64 = 0.0 => min(0.0), below(1.0),
        /// Format of checkpoints. Both hold the same tensors under the names of the family's public checkpoints;
        /// `torch.load(weights_only=True)` reads the PyTorch file, and so does every key that names weights.
        checkpoint_format: CheckpointFormat = CheckpointFormat::Safetensors => known_as(&["save_format", "format"]),
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
