//! `peft` and `regularization`: keys of TAO that this release accepts switched off.

use hearth_spec::{block, options};

options! {
    /// Kind of added weights.
    pub enum PeftMethod {
        /// Products of two thin matrices.
        Lora = "lora",
    }
}

options! {
    /// What is trained of a tower.
    pub enum TowerAdaptation {
        /// Nothing.
        Frozen = "frozen",
        /// All of it.
        Full = "full",
        /// Added matrices only.
        Lora = "lora",
    }
}

block! {
    /// Added weights of one tower.
    pub struct TowerPeftSpec {
        /// What is trained of the tower.
        mode: TowerAdaptation = TowerAdaptation::Frozen,
        /// Names of the linear layers that get added matrices.
        target_modules: Vec<String> =
            ["q_proj", "k_proj", "v_proj", "out_proj"].map(String::from).into(),
        /// How many blocks, counted from the last; 0 takes all.
        num_last_blocks: usize = 3 => min(0),
        /// Rank of the added product.
        rank: usize = 8 => min(1),
        /// The added product is scaled by `alpha / rank`.
        alpha: usize = 16 => min(1),
        /// Probability of dropping an input of the added product.
        dropout: f64 = 0.05 => min(0.0), max(1.0),
    }
}

block! {
    /// Training of a few added weights instead of whole towers.
    pub struct PeftSpec {
        /// Switches the block on.
        enabled: bool => only_default(
            "training by low-rank adapters is not in this release",
            "set it to false; `model.freeze_vision_encoder` and `model.freeze_text_encoder` keep towers as they are"
        ),
        /// Kind of added weights.
        method: PeftMethod = PeftMethod::Lora,
        /// Whether the logit scale and the logit bias are trained too.
        train_logit_calibration: bool = true,
        /// The vision tower.
        vision: TowerPeftSpec,
        /// The text tower.
        text: TowerPeftSpec,
    }
}

block! {
    /// Losses that hold the model near its start.
    pub struct RegularizationSpec {
        /// Switches the block on.
        enabled: bool =>
            only_default("losses against a frozen copy of the model are not in this release", "set it to false"),
        /// Weight of the squared distance between new and old embeddings.
        embedding_mse_weight: f64 = 0.05 => min(0.0),
        /// Weight of the angle between new and old embeddings.
        cosine_weight: f64 = 0.05 => min(0.0),
        /// Weight of the squared difference between new and old tables of similarities.
        similarity_weight: f64 = 0.10 => min(0.0),
    }
}
