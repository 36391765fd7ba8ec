//! `train`: stage, masks, optimiser, and where to start from.

use hearth_spec::{
    block,
    common::{DistributedStrategy, Precision, TrainCommon},
    options,
};

options! {
    /// What is trained.
    pub enum Stage {
        /// An autoencoder, on pictures without labels.
        Pretrain = "pretrain",
        /// A classifier, from its encoder.
        Finetune = "finetune",
    }
}

options! {
    /// Update rule.
    pub enum OptimizerType {
        /// Adam with decoupled weight decay.
        AdamW = "AdamW" | "adamw",
    }
}

options! {
    /// Metric that a scheduler would watch.
    pub enum Monitor {
        /// Of validation.
        ValLoss = "val_loss",
        /// Of training.
        TrainLoss = "train_loss",
    }
}

options! {
    /// Learning rate over time.
    pub enum Scheduler {
        /// Falls by `gamma` at each of `milestones`.
        MultiStep = "MultiStep" | "multistep",
        /// Climbs over `warmup_epochs`, then falls to 0 along half a cosine.
        Cosine = "cosine",
    }
}

block! {
    /// Optimiser and learning rates.
    pub struct OptimSpec {
        /// Update rule.
        kind as "type": OptimizerType = OptimizerType::AdamW => known_as(&["optimizer", "name"]),
        /// Metric that a scheduler would watch; neither of the two does.
        monitor_name: Monitor = Monitor::TrainLoss => inert("neither schedule watches a metric"),
        /// Peak learning rate, as it is: not multiplied by the batch size.
        lr: f64 = 2e-4 => above(0.0), max(1.0), known_as(&["learning_rate", "blr"]),
        /// Rate of the encoder over that of the head, in fine-tuning with `layer_decay: 1`.
        backbone_multiplier: f64 = 0.1 => above(0.0), max(1.0), differs("TAO ignores it"),
        /// Momentum of SGD.
        momentum: f64 = 0.9 => above(0.0), max(1.0), inert("AdamW keeps means of its own: 0.9 and 0.95"),
        /// Decoupled weight decay. Vectors and biases have none.
        weight_decay: f64 = 0.05 => above(0.0), max(1.0), known_as(&["wd"]),
        /// Rate of each layer over that of the one behind it, in fine-tuning; 1 makes all alike.
        layer_decay: f64 = 0.75 =>
            above(0.0), known_as(&["llrd"]), differs("TAO computes the rates and then leaves them out"),
        /// Rates over time.
        lr_scheduler: Scheduler = Scheduler::MultiStep => known_as(&["scheduler", "schedule"]),
        /// Epochs after which `MultiStep` lowers the rate.
        milestones: Vec<usize> = vec![88, 96] => min(0),
        /// What `MultiStep` multiplies the rate by.
        gamma: f64 = 0.1 => above(0.0),
        /// Epochs over which `cosine` climbs from 0.
        warmup_epochs: f64 = 1.0 => min(0.0), max(100.0), known_as(&["warmup"]),
    }
}

block! {
    /// Action `train`.
    pub struct TrainSpec {
        flatten common: TrainCommon,
        /// What is trained; the other actions read it too.
        stage: Stage = Stage::Pretrain,
        /// Batches whose gradients are summed for one update.
        accum_grad_batches: usize = 1 => min(1), known_as(&["accum_iter", "gradient_accumulation_steps"]),
        /// Weights that fine-tuning starts from: a file of ours, TAO's, Meta's, timm's or transformers'.
        pretrained_model_path: Option<String> => known_as(&["pretrained", "pretrained_path", "checkpoint"]),
        /// Arithmetic of the model. On a CPU it is 32 bits, unless `hearth.train.half_on_cpu` asks otherwise.
        precision: Precision = Precision::Fp32 => known_as(&["dtype", "amp"]),
        /// How several devices share the work.
        distributed_strategy: DistributedStrategy = DistributedStrategy::Ddp => known_as(&["strategy"]),
        /// Optimiser and learning rates.
        optim: OptimSpec => known_as(&["optimizer"]),
        /// Predicts patches at mean 0 and variance 1 instead of pixels. Hiera always does.
        norm_pix_loss: bool = true => known_as(&["norm_pixel_loss"]),
        /// Modules that stay as they are, such as `stages.0` or `blocks.3`.
        freeze: Option<Vec<String>> = Some(Vec::new()),
        /// Share of the cells that the encoder does not see, in pre-training.
        mask_ratio: f64 = 0.75 => min(0.0), below(1.0),
    }
}
