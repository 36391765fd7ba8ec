//! `train`: optimiser, losses, precision, and where to start from.

use hearth_spec::{
    block,
    common::{DistributedStrategy, Precision, TrainCommon},
    options,
};

/// Why the keys of metadata masks are closed.
const NO_MASKS: &str = "masks by person attributes need tables whose format TAO does not document";

options! {
    /// Update rule.
    pub enum OptimizerType {
        /// Adam with decoupled weight decay.
        AdamW = "adamw",
        /// Adam with the step of each tensor scaled to its norm, for large batches.
        Lamb = "lamb",
    }
}

options! {
    /// Learning rate after the warm-up.
    pub enum Scheduler {
        /// Falls to 0 at the last step along half a cosine.
        Cosine = "cosine",
        /// Stays.
        Constant = "constant",
        /// Falls to 0 at the last step on a line.
        Linear = "linear",
    }
}

block! {
    /// Optimiser and learning rates.
    pub struct OptimSpec {
        /// Update rule.
        optimizer_type: OptimizerType = OptimizerType::AdamW => known_as(&["type", "optimizer", "name"]),
        /// Rate of the vision tower once the warm-up is over.
        vision_lr: f64 = 1e-4 => min(0.0), known_as(&["lr", "learning_rate", "image_lr"]),
        /// Rate of the text tower, the logit scale and the logit bias once the warm-up is over.
        text_lr: f64 = 1e-4 => min(0.0), known_as(&["lr", "learning_rate"]),
        /// Decoupled weight decay. Tensors of one dimension, position embeddings, the logit scale and the logit bias
        /// have none.
        weight_decay: f64 = 1e-4 =>
            min(0.0), known_as(&["wd"]), differs("TAO decays position embeddings too"),
        /// How much of the running means of gradient and squared gradient each step keeps.
        betas: Vec<f64> = vec![0.9, 0.95] => min(0.0), below(1.0), lengths(&[2]), known_as(&["momentum"]),
        /// Number that keeps the division by the root of the squared mean finite.
        eps: f64 = 1e-6 => min(0.0),
        /// Steps over which the rates climb from near 0.
        warmup_steps: usize = 100 => min(0), known_as(&["warmup", "warmup_iters", "warmup_epochs"]),
        /// Rates after the warm-up.
        scheduler: Scheduler = Scheduler::Cosine => known_as(&["lr_scheduler", "lr_policy", "schedule"]),
    }
}

options! {
    /// Contrastive loss.
    pub enum LossType {
        /// Each pair of picture and text is a yes-or-no question.
        Siglip = "siglip",
        /// Each picture chooses among all texts, and each text among all pictures.
        Clip = "clip",
    }
}

options! {
    /// How devices exchange the negatives of the SigLIP loss.
    pub enum SiglipExchange {
        /// Around a ring in both directions.
        Bidir = "bidir",
        /// Around a ring in one direction.
        Shift = "shift",
        /// One device after the other sends to all.
        Reduce = "reduce",
        /// All at once.
        Gather = "gather",
        /// Not at all: each device sees its own negatives only, which is another loss.
        Local = "local",
    }
}

options! {
    /// What attributes do to pairs of the SigLIP loss that are not matches by position.
    pub enum SiglipMask {
        /// Nothing.
        None = "none",
        /// Pairs with equal attributes are left out.
        AttributeMatchIgnore = "attribute_match_ignore",
        /// As before, and the query's accessories must be there.
        AttributePlusAccessoryMatchIgnore = "attribute_plus_accessory_match_ignore",
        /// Pairs with equal attributes become matches.
        AttributeMatchPositive = "attribute_match_positive",
        /// As before, and the query's accessories must be there.
        AttributePlusAccessoryMatchPositive = "attribute_plus_accessory_match_positive",
    }
}

options! {
    /// What the weight of promoted pairs counts for.
    pub enum PositiveNormalization {
        /// Each pair.
        PerPair = "per_pair",
        /// All pairs of a query together.
        PerQuery = "per_query",
    }
}

block! {
    /// Action `train`.
    pub struct TrainSpec {
        flatten common: TrainCommon,
        /// Optimiser and learning rates.
        optim: OptimSpec => known_as(&["optimizer", "optimization"]),
        /// Contrastive loss.
        loss_type: LossType = LossType::Siglip => known_as(&["loss"]),
        /// How devices exchange the negatives of the SigLIP loss. All ways but `local` compute the same numbers and
        /// are done as one; `local` is possible on a single device only, where it is the same too.
        siglip_loss_dist_impl: SiglipExchange = SiglipExchange::Gather =>
            known_as(&["loss_dist_impl"]),
            differs("TAO computes `local` on several devices; ours refuses a loss that depends on their number"),
        /// What attributes do to pairs that are not matches by position.
        siglip_loss_mask_mode: SiglipMask = SiglipMask::None => only_default(NO_MASKS, "set it to none"),
        /// Weight of pairs that a mask promotes to matches.
        compatible_positive_weight: f64 = 1.0 =>
            min(0.0), inert("it belongs to the positive modes of `siglip_loss_mask_mode`"),
        /// What that weight counts for.
        compatible_positive_normalization: PositiveNormalization = PositiveNormalization::PerQuery =>
            inert("it belongs to the positive modes of `siglip_loss_mask_mode`"),
        /// Weight of an additional triplet loss on the hardest negatives of the global batch: the mean over pictures
        /// of `max(0, triplet_margin - own cosine + largest cosine with another text)`, and the same over texts,
        /// halved. Equal captions count as negatives of each other.
        triplet_loss_weight: f64 = 0.0 =>
            min(0.0), known_as(&["triplet_weight"]),
            differs("TAO looks for the hardest negatives in the batch of each device"),
        /// Margin of the triplet loss.
        triplet_margin: f64 = 0.2 => min(0.0),
        /// Arithmetic of the towers in training and its validation. A CPU computes in 32 bits, and so does a device
        /// without the type: the log says so.
        precision: Precision = Precision::Fp16 => known_as(&["dtype", "amp"]),
        /// Largest norm of all gradients together; larger ones are scaled down to it. Null or 0 leaves them.
        grad_clip_norm: Option<f64> => min(0.0), known_as(&["clip_grad_norm", "grad_clip", "max_grad_norm"]),
        /// Computes activations again in the backward pass instead of keeping them: less memory, more time, same result.
        grad_checkpointing: bool => known_as(&["activation_checkpoint", "gradient_checkpointing"]),
        /// How several devices share the work.
        distributed_strategy: DistributedStrategy = DistributedStrategy::Ddp => known_as(&["strategy"]),
        /// Weights to start from: a file, a Hugging Face folder, or the name of a repository on a hub: `ORG/NAME`,
        /// `ORG/NAME@REVISION` or `hf://ORG/NAME[@REVISION][/FILE]`. A local path of that name wins; else the Hugging
        /// Face cache is used, and `HF_ENDPOINT` is asked for what it lacks. Not set starts from random weights.
        pretrained_model_path: Option<String> => known_as(&["pretrained", "pretrained_path", "checkpoint"]),
        /// Steps between validations, counted anew in each epoch. When set, `validation_interval` is not used.
        val_check_interval: Option<usize> => min(1),
    }
}

impl TrainSpec {
    /// The largest gradient norm; `None` where gradients are left as they are.
    pub fn max_grad_norm(&self) -> Option<f64> {
        self.grad_clip_norm.filter(|&norm| norm > 0.0)
    }
}
