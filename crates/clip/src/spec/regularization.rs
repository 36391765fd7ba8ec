//! `peft` and `regularization`: training a part of the model, and holding it near its start.

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
        /// What is trained of the tower. The keys below belong to `lora`.
        mode: TowerAdaptation = TowerAdaptation::Frozen =>
            differs("TAO refuses `lora` for OpenCLIP types; ours takes it for every type"),
        /// Linear layers of a block that get added matrices: `q_proj`, `k_proj`, `v_proj` (or `qkv`, the three with
        /// one first matrix), `out_proj` (or `proj`, the same layer), `fc1`, `fc2`.
        target_modules: Vec<String> =
            ["q_proj", "k_proj", "v_proj", "out_proj"].map(String::from).into() =>
            differs("every name is good for every type; TAO's fit those of one family"),
        /// How many blocks, counted from the last; 0 takes all.
        num_last_blocks: usize = 3 => min(0), known_as(&["num_blocks", "last_blocks"]),
        /// Rank of the added product `x A B`, at most the width of the tower. A starts from random numbers (uniform,
        /// within `1 / sqrt(inputs)`), B from 0, so that training begins with the model as it is.
        rank: usize = 8 => min(1), known_as(&["r", "lora_rank"]),
        /// The added product is scaled by `alpha / rank`.
        alpha: usize = 16 => min(1), known_as(&["lora_alpha"]),
        /// Probability of dropping an input of the added product while training; below 1. Each sample has its own
        /// random numbers, whatever the number of micro-batches.
        dropout: f64 = 0.05 => min(0.0), max(1.0), known_as(&["lora_dropout"]),
    }
}

block! {
    /// Training of a few added weights instead of whole towers.
    pub struct PeftSpec {
        /// Switches the block on: `mode` of each tower then says what is trained. Checkpoints hold the sum of the
        /// weights and what was added, so that every action and every other program reads them as usual; the `.state`
        /// folder holds the parts, so that training continues exactly.
        enabled: bool => differs("TAO keeps both parts in its checkpoints and adds them up in `export`"),
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
        /// Switches the block on: embeddings are compared with those of the model as the run found it, over the
        /// global batch of N pairs. I and T are the normalised embeddings, [N, E], of pictures and texts; I' and T'
        /// those of the start. A run that goes on takes the start from `train.pretrained_model_path` again, or draws
        /// it again, and refuses another file.
        enabled: bool => differs("TAO compares over the batch of each device"),
        /// Weight of `(mean((I - I')^2) + mean((T - T')^2)) / 2`, means over pairs and components.
        embedding_mse_weight: f64 = 0.05 => min(0.0),
        /// Weight of `1 - (mean(cos(I, I')) + mean(cos(T, T'))) / 2`, means over pairs.
        cosine_weight: f64 = 0.05 => min(0.0),
        /// Weight of `mean((I T^t - I' T'^t)^2)`, the mean over all N x N cosines of a picture with a text.
        similarity_weight: f64 = 0.10 => min(0.0),
    }
}
