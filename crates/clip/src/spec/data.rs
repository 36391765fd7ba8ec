//! `dataset`: pictures, captions, batches, augmentation.

use hearth_spec::{block, options};

/// Why the keys of person attribute search are closed, and what to do.
const NO_METADATA: &str =
    "matching by person attributes needs tables whose format TAO does not document";

block! {
    /// One folder of pictures with captions beside them or in a folder of their own.
    pub struct PathBlock {
        /// Folder of the pictures: JPEG, PNG, WebP, GIF, BMP or TIFF. A `.tar`, `.tar.gz` or `.tar.zst` archive of one
        /// is unpacked into the cache; with `caption_dir`, `image_list_file` and `caption_file_suffix` left out it is
        /// read as a shard of samples.
        image_dir: String => mandatory(), known_as(&["images_dir", "image_root", "root"]),
        /// Text file with one picture per line, relative to `image_dir`; not set takes every picture of the folder.
        image_list_file: Option<String> => known_as(&["image_list"]),
        /// Folder of the captions, or an archive of one; not set looks beside the pictures.
        caption_dir: Option<String> => known_as(&["captions_dir", "caption_root", "text_dir"]),
        /// What replaces the extension of the picture in the name of its caption: `a/1.png` has `a/1.txt`. Of a
        /// `.json` the entry `captions` or `caption` is read.
        caption_file_suffix: String = ".txt".into(),
        /// Table of query types for balanced batches.
        train_pairs_file: Option<String> => only_default(NO_METADATA, "leave the key out"),
        /// Table of attributes of pictures and captions.
        attribute_pairs_file: Option<String> => only_default(NO_METADATA, "leave the key out"),
    }
}

options! {
    /// How training data is stored.
    pub enum TrainSource {
        /// Tar shards of samples.
        Wds = "wds",
        /// Folders of pictures and captions.
        Custom = "custom",
    }
}

block! {
    /// Tar shards of samples, `.tar`, `.tar.gz` or `.tar.zst`. Members of one sample follow each other and have the same
    /// name up to the first dot: the picture is the first of `jpg`, `jpeg`, `png`, `webp`, the caption the first of
    /// `txt`, `text`, `json`.
    pub struct WdsSpec {
        /// Folder that is searched for shards, with its sub-folders; with a list, what stands in front of its names.
        root_dir: Option<String>,
        /// Text file that names the shards, one per line: names relative to `root_dir` or to the list's own folder,
        /// with braces as in a shell (`train-{0000..0031}.tar`), paths or addresses.
        shard_list_file: Option<String>,
        /// Samples that each shard should hold. Shards are counted before training, an epoch is what they hold; a
        /// warning tells where a number that is written differs.
        samples_per_shard: usize = 10000 => min(1),
            differs("in TAO this number decides the length of an epoch and where a resumed run goes on"),
    }
}

block! {
    /// Training data.
    pub struct TrainDataSpec {
        /// Folders to train on, taken together; read with `type: custom`.
        datasets: Vec<PathBlock>,
        /// Pairs of one device in one step. The contrastive loss compares all pairs of the global batch,
        /// `batch_size x num_gpus x num_nodes`.
        batch_size: usize = 16 => min(1), known_as(&["train_batch_size"]),
        /// Threads that decode and augment; 0 does it between the steps. Results do not depend on it.
        num_workers: usize = 8 => min(0), known_as(&["workers", "num_threads"]),
        /// How the data is stored.
        kind as "type": TrainSource = TrainSource::Custom,
        /// Composes batches of equal parts of each query type.
        balance_query_types: bool => only_default(NO_METADATA, "set it to false"),
        /// Keeps equal captions out of one batch.
        unique_caption_per_batch: bool = true =>
            inert("it belongs to `balance_query_types`; other batches are a random permutation"),
        /// Loads attribute tables with the pairs.
        include_attribute_metadata: bool => only_default(NO_METADATA, "set it to false"),
        /// Where the shards are; read with `type: wds`.
        wds: WdsSpec,
    }
}

options! {
    /// Which attributes must agree for a picture to match a query.
    pub enum MetadataMatch {
        /// Single-valued attributes.
        ScalarAttributes = "scalar_attributes",
        /// Also every accessory that the query names.
        ScalarPlusAccessories = "scalar_plus_accessories",
    }
}

block! {
    /// Data for validation during training and for `evaluate`.
    pub struct ValidationDataSpec {
        /// Folders to evaluate on, taken together; the i-th picture matches the i-th caption.
        datasets: Vec<PathBlock>,
        /// Pairs that are embedded at a time, in validation and in `evaluate`. Metrics do not depend on it.
        batch_size: usize = 16 => min(1), known_as(&["val_batch_size"]),
        /// Threads that decode; 0 does it between the batches. Results do not depend on it.
        num_workers: usize = 8 => min(0), known_as(&["workers", "num_threads"]),
        /// Counts every picture with fitting attributes as a match.
        metadata_match_eval: bool => only_default(NO_METADATA, "set it to false"),
        /// Which attributes must agree.
        metadata_match_mode: MetadataMatch = MetadataMatch::ScalarAttributes =>
            inert("it belongs to `metadata_match_eval`"),
    }
}

block! {
    /// Random changes of training pictures. SigLIP2 types train on unchanged pictures and ignore this block.
    pub struct AugmentationSpec {
        /// Smallest and largest part of the picture's area that a crop keeps; `[1.0, 1.0]` keeps all.
        scale: Vec<f64> = vec![0.4, 1.0] => above(0.0), max(1.0), lengths(&[2]),
        /// Probability, brightness, contrast, saturation, hue. Four numbers leave out the probability, which is then
        /// 0.8; an empty list switches it off.
        color_jitter: Vec<f64> = vec![0.8, 0.32, 0.32, 0.32, 0.08] => min(0.0), lengths(&[0, 4, 5]),
            differs("at another length TAO warns and switches the jitter off; ours is an error"),
        /// Probability that a picture loses its colours.
        grayscale: f64 = 0.2 => min(0.0), max(1.0),
    }
}

block! {
    /// Pictures and captions.
    pub struct DatasetSpec {
        /// Training data.
        train: TrainDataSpec,
        /// Data for validation and `evaluate`.
        val: ValidationDataSpec => known_as(&["validation", "eval", "test"]),
        /// Random changes of training pictures.
        augmentation: AugmentationSpec => known_as(&["augmentations", "augment"]),
        /// Page-locked memory for copies to a GPU.
        pin_memory: bool = true => inert("batches are copied from ordinary memory"),
        /// Seed of the order of the training data and of its augmentation.
        seed: i64 = 42,
    }
}
