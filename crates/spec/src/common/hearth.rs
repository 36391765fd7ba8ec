//! Keys of our own that all networks have: how pictures are read, and how training runs.

use crate::{block, options};

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
    pub struct PictureReading {
        /// Whether pictures are turned as their EXIF data asks: photographs of telephones often lie on their side.
        exif_orientation: ExifOrientation = ExifOrientation::Ignore,
        /// Decodes a JPEG to a half, a quarter or an eighth of its size where that leaves as many pixels as the
        /// model sees, as Pillow's `Image.draft` does: two to three times faster on photographs of several
        /// megapixels, of little use on small ones. Pixels differ a little from those of TAO and PIL.
        jpeg_draft: bool => known_as(&["fast_jpeg", "draft"]),
        /// Part of a data set, 0 to 1, whose samples may be unreadable. They are named once and left out: their batch
        /// is smaller by them. One more ends the run, and so does a training batch of which nothing is left.
        /// `inference` leaves out whatever it cannot read.
        max_unreadable: f64 = 0.0 => min(0.0), max(1.0),
    }
}

options! {
    /// Format of checkpoints.
    pub enum CheckpointFormat {
        /// The model as safetensors.
        Safetensors = "safetensors",
        /// Beside it the same for PyTorch, with a link of its own to the newest; the best checkpoints too.
        Pth = "pth",
    }
}

block! {
    /// How training runs.
    pub struct HearthTrainCommon {
        /// Parts in which each device's batch is processed: less memory, more time, exactly the same result.
        micro_batches: usize = 1 => min(1), known_as(&["accum_grad_batches", "accum_freq", "grad_accum"]),
        /// Parts of the processor that each compute a part of a micro-batch, with threads of their own; their gradients
        /// are added up. Not set takes as many as there are cores, from nine cores on as many as leave each the
        /// same number of threads, at most 8: every one holds gradients of its own. A run that is continued keeps
        /// the number of its checkpoint, since another gives other roundings. The action `benchmark` finds the best
        /// one with `--tune`.
        replicas: Option<usize> => min(1), known_as(&["num_replicas", "data_parallel"]),
        /// Computes in `train.precision` on a CPU too, which is slower there than 32 bits: to compare with a device
        /// that does.
        half_on_cpu: bool,
        /// Steps between two points of progress and of the TensorBoard curves.
        log_interval: usize = 10 => min(1), known_as(&["log_every", "log_every_n_steps"]),
        /// Format of checkpoints. Both hold the same tensors under the names of the family's public checkpoints;
        /// `torch.load(weights_only=True)` reads the PyTorch file, and so does every key that names weights.
        checkpoint_format: CheckpointFormat = CheckpointFormat::Safetensors => known_as(&["save_format", "format"]),
    }
}
