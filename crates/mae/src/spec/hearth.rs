//! `hearth`: keys that TAO does not have.

use hearth_spec::{
    block,
    common::{HearthTrainCommon, PictureReading},
    options,
};

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
        /// How pictures are read, in every data set and action.
        dataset: PictureReading,
        /// How training runs.
        train: HearthTrainSpec,
        /// What `inference` writes.
        inference: HearthInferenceSpec,
        /// What `export` writes.
        export: HearthExportSpec,
    }
}

block! {
    /// How training runs.
    pub struct HearthTrainSpec {
        flatten common: HearthTrainCommon,
        /// How an encoder of ConvNeXt V2 is kept from seeing masked cells.
        mask_mode: MaskModeName = MaskModeName::Masked,
        /// Blocks of the encoder keep their input only and run again in the backward pass: less memory, more time,
        /// same result.
        grad_checkpointing: bool => known_as(&["activation_checkpoint", "gradient_checkpointing"]),
        /// Decay of a running mean of the weights, such as 0.9999. With it, checkpoints and validation have the mean,
        /// and the state folder has the weights themselves.
        ema_decay: Option<f64> => min(0.0), below(1.0), known_as(&["ema", "model_ema_decay"]),
    }
}

block! {
    /// What `inference` writes.
    pub struct HearthInferenceSpec {
        /// Writes what the head of a classifier sees, or the mean of the encoder's patches, to `features.h5`: a row
        /// for each picture.
        features: bool,
        /// Pictures that are shown with their reconstruction, the first of the folder, 8 on each sheet. Pre-trained
        /// models only.
        sheet_pictures: usize = 64 => min(1), max(10_000),
        /// Writes what the sheets show as numbers, to `reconstructions.h5`: pictures, masks and reconstructions.
        arrays: bool,
    }
}

block! {
    /// What `export` writes.
    pub struct HearthExportSpec {
        /// Exports a pre-trained checkpoint as TAO does: as a classifier whose head was never trained. Otherwise its
        /// encoder is exported, with pooled features and those of all patches.
        untrained_classifier: bool,
    }
}
