//! `dataset`: pictures and their random changes.

use hearth_spec::{block, options};

options! {
    /// How pictures are resized in training.
    pub enum Interpolation {
        /// Two pixels on each side.
        Bilinear = "bilinear",
        /// Four pixels on each side.
        Bicubic = "bicubic",
        /// One of the two for each picture.
        Random = "random",
    }
}

options! {
    /// What shares a mixture.
    pub enum MixupMode {
        /// The batch.
        Batch = "batch",
        /// A pair of pictures.
        Pair = "pair",
        /// Nobody: each picture has its own.
        Elem = "elem",
    }
}

block! {
    /// Pictures.
    pub struct DatasetSpec {
        /// Pictures of a step on each device, in every action.
        batch_size: usize = 3 => min(1), template(1),
        /// Pictures to train on: pre-training takes a folder with all its sub-folders, fine-tuning a folder of
        /// class folders.
        train_data_sources: String => known_as(&["train_dir", "root"]),
        /// Pictures to validate and evaluate on, laid out in the same way.
        val_data_sources: String =>
            known_as(&["val_dir"]), differs("without it TAO searches the whole file system; ours trains without validation"),
        /// Pictures of `inference`, a folder with all its sub-folders.
        test_data_sources: Option<String> => empty_when_unset(), known_as(&["test_dir"]),
        /// Threads that decode. Results do not depend on it.
        num_workers_per_gpu: usize = 2 => min(0), known_as(&["num_workers", "workers"]),
        /// Random changes of training pictures, and their size.
        augmentation: AugmentationSpec,
    }
}

block! {
    /// Random changes of training pictures, and their size. Pre-training crops and mirrors only.
    pub struct AugmentationSpec {
        /// Side of the pictures that the model sees, pixels; a multiple of its cells.
        input_size: usize = 224 => min(16), known_as(&["image_size", "img_size"]),
        /// Mean of the channels, which normalisation takes away.
        mean: Vec<f64> = vec![0.485, 0.456, 0.406] => lengths(&[3]),
        /// Deviation of the channels, which normalisation divides by.
        std: Vec<f64> = vec![0.229, 0.224, 0.225] => above(0.0), lengths(&[3]),
        /// Smallest part of a picture that a crop covers.
        min_scale: f64 = 0.1 => above(0.0),
        /// Largest part of a picture that a crop covers; above 1 more crops are whole pictures.
        max_scale: f64 = 2.0 => above(0.0),
        /// Smallest width over height of a crop.
        min_ratio: f64 = 0.75 => above(0.0), differs("in pre-training TAO takes 3/4 whatever it says"),
        /// Largest width over height of a crop.
        max_ratio: f64 = 1.33 => above(0.0), differs("in pre-training TAO takes 4/3 whatever it says"),
        /// Probability that a picture is mirrored.
        hflip: f64 = 0.5 => min(0.0), max(1.0), differs("in pre-training TAO takes 0.5 whatever it says"),
        /// Probability that a box of a picture becomes noise, in fine-tuning.
        re_prob: f64 = 0.0 => min(0.0), max(1.0), known_as(&["reprob", "random_erase_prob"]),
        /// How pictures are resized in fine-tuning; pre-training is bicubic.
        interpolation: Interpolation = Interpolation::Bilinear,
        /// What the label of a picture gives to all other classes, in fine-tuning.
        smoothing: f64 = 0.1 => min(0.0), below(1.0), known_as(&["label_smoothing"]),
        /// Largest change of brightness, contrast and saturation, in fine-tuning without `auto_aug`.
        color_jitter: f64 = 0.0 => min(0.0),
        /// Policy of random changes in fine-tuning, as timm names it; null for none.
        auto_aug: Option<String> = Some("rand-m9-mstd0.5-inc1".into()) => known_as(&["aa", "randaugment"]),
        /// Strength of mixing whole pictures, in fine-tuning; 0 for none.
        mixup: f64 = 0.8 => min(0.0),
        /// Strength of pasting a box of another picture, in fine-tuning; 0 for none.
        cutmix: f64 = 1.0 => min(0.0),
        /// Smallest and largest side of the box as a share of the picture's, instead of `cutmix`.
        cutmix_minmax: Option<f64> => only_default("TAO reads one number where two are needed", "leave it null"),
        /// Probability that a batch is mixed at all.
        mixup_prob: f64 = 1.0 => min(0.0), max(1.0),
        /// Probability of a box where both kinds are on.
        mixup_switch_prob: f64 = 0.5 => min(0.0), max(1.0),
        /// What shares a mixture.
        mixup_mode: MixupMode = MixupMode::Batch,
    }
}
