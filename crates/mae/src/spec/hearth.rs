//! `hearth`: keys that TAO does not have.

use hearth_spec::{block, options};

options! {
    /// How an encoder of ConvNeXt V2 is kept from seeing masked cells.
    pub enum MaskModeName {
        /// It computes on visible cells only.
        Masked = "masked",
        /// As `masked`, with channels that compete over the whole batch, as MinkowskiEngine's layers do.
        Batch = "batch",
        /// Masked cells are zero behind the stem, and the convolutions bring them back, as in TAO.
        Dense = "dense",
    }
}

block! {
    /// Keys that TAO does not have.
    pub struct HearthSpec {
        /// Of `train`.
        train: HearthTrainSpec,
    }
}

block! {
    /// Keys of `train` that TAO does not have.
    pub struct HearthTrainSpec {
        /// How an encoder of ConvNeXt V2 is kept from seeing masked cells.
        mask_mode: MaskModeName = MaskModeName::Masked,
        /// Parts that a global batch is computed in, one after the other: less memory, more time, same result.
        micro_batches: usize = 1 => min(1),
        /// Parts of a micro-batch that are computed at a time, on some cores each. Not set takes what suits the
        /// machine.
        replicas: Option<usize> => min(1),
        /// Steps between two lines of the logs.
        log_interval: usize = 50 => min(1),
    }
}
