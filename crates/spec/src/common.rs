//! Blocks that all networks share: TAO's, and our own.

mod hearth;

pub use hearth::{CheckpointFormat, ExifOrientation, HearthTrainCommon, PictureReading};

use crate::{Checks, block, options};

block! {
    /// Weights & Biases. Nothing is uploaded: TensorBoard events and `status.json` hold the same numbers.
    pub struct WandbSpec {
        /// Whether TAO would log to Weights & Biases; `false` silences our notice.
        enable: bool = true,
        /// Project that a run belongs to.
        project: String = "TAO Toolkit".into(),
        /// Team or user that owns the project.
        entity: Option<String> => empty_when_unset(),
        /// Group of runs inside the project.
        group: Option<String> => empty_when_unset(),
        /// Labels of the run.
        tags: Vec<String> = vec!["tao-toolkit".into()],
        /// Whether one process may start several runs.
        reinit: bool,
        /// Whether TensorBoard events are copied.
        sync_tensorboard: bool,
        /// Whether the main script is uploaded.
        save_code: bool,
        /// Name of the run.
        name: String = "TAO Toolkit Training".into(),
        /// Identifier that continues an earlier run.
        run_id: String,
    }
}

block! {
    /// Switches of NVIDIA's convolution library. Our results do not depend on the library's choice of algorithm.
    pub struct CudnnSpec {
        /// Whether the library times its algorithms and takes the fastest.
        benchmark: bool => inert("the engine does not choose cuDNN algorithms"),
        /// Whether only repeatable algorithms may be used.
        deterministic: bool = true => inert("a run is repeatable with either value"),
    }
}

options! {
    /// Which end of a metric is best.
    pub enum MonitorMode {
        /// Small values are good.
        Min = "min",
        /// Large values are good.
        Max = "max",
    }
}

block! {
    /// Checkpoints kept by a metric, besides those of `train.checkpoint_interval`.
    pub struct CheckpointerSpec {
        /// Whether the checkpoints with the best metric are kept in files of their own.
        enable_topk: bool,
        /// With `enable_topk`: whether the periodic checkpoints are dropped and only the single best one stays.
        replace_periodic: bool,
        /// Metric to rank by, as it is named in the logs; not set takes the network's own.
        monitor: Option<String>,
        /// Which end of the metric is best; not set takes the network's own.
        mode: Option<MonitorMode>,
        /// How many of the best checkpoints are kept.
        save_top_k: usize = 1 => min(1),
        /// File name without extension; `{epoch}`, `{step}` and metrics are filled in, with a width as in `{epoch:03d}`.
        filename: String = "model_best_{epoch:03d}".into(),
        /// Folder of the best checkpoints; not set takes that of the other results.
        dirpath: Option<String>,
        /// Whether `{metric}` in the file name becomes `metric=value` instead of the value alone.
        auto_insert_metric_name: bool,
    }
}

options! {
    /// What an interval counts.
    pub enum IntervalUnit {
        /// Passes over the training data.
        Epoch = "epoch",
        /// Updates of the weights.
        Step = "step",
    }
}

block! {
    /// Keys of `train` that all networks have: devices, seed, length, intervals, resuming.
    pub struct TrainCommon {
        /// Number of GPUs of each node. The global batch is `batch_size x num_gpus x num_nodes` on every machine.
        num_gpus: usize = 1 =>
            min(1), known_as(&["gpus", "devices"]),
            differs("where devices are missing TAO fails; ours computes their share in micro-batches, exactly"),
        /// Which GPUs of a node to use, one index for each.
        gpu_ids: Vec<usize> = vec![0] => min(0),
        /// Number of nodes that train together.
        num_nodes: usize = 1 => min(1), known_as(&["nodes"]),
        /// Seed of everything random except the data: fresh weights and layers that drop. Negative draws a new one.
        seed: i64 = 1234 => min(-1),
        /// Switches of NVIDIA's convolution library.
        cudnn: CudnnSpec,
        /// Passes over the training data.
        num_epochs: usize = 10 => min(1), known_as(&["epochs", "max_epochs", "n_epochs"]),
        /// Epochs (or steps, see `checkpoint_interval_unit`) between two checkpoints.
        checkpoint_interval: usize = 1 => min(1),
        /// What `checkpoint_interval` counts.
        checkpoint_interval_unit: IntervalUnit = IntervalUnit::Epoch,
        /// Epochs between two validations.
        validation_interval: usize = 1 => min(1), known_as(&["val_interval"]),
        /// Checkpoint to continue from. Not set continues from the newest one in the results folder, if there is one.
        resume_training_checkpoint_path: Option<String> => known_as(&["resume", "resume_from"]),
        /// Folder of this action's results; not set takes `train` inside the root's `results_dir`.
        results_dir: Option<String> => known_as(&["output_dir"]),
        /// Checkpoints kept by a metric.
        checkpointer: CheckpointerSpec,
    }
}

options! {
    /// Arithmetic of the model. Weights, norms, softmax and losses stay in 32 bits.
    pub enum Precision {
        /// 16 bits with a loss scale.
        Fp16 = "fp16" | "16" | "16-mixed" | "float16",
        /// 32 bits throughout.
        Fp32 = "fp32" | "32" | "32-true" | "float32",
        /// 16 bits with the exponent of 32.
        Bf16 = "bf16" | "bf16-mixed" | "bfloat16",
    }
}

options! {
    /// Arithmetic of an engine.
    pub enum EnginePrecision {
        /// 32 bits. TAO builds this also for what its template says, `fp32,fp16`.
        Fp32 = "fp32" | "fp32,fp16",
        /// 16 bits where the range allows it. The numbers are checked before an engine is built.
        Fp16 = "fp16",
        /// 8 bits. Refused: it needs scales that are measured on pictures.
        Int8 = "int8",
    }
}

options! {
    /// How several devices share the work.
    pub enum DistributedStrategy {
        /// Each holds the whole model.
        Ddp = "ddp",
        /// Each holds a part of it.
        Fsdp = "fsdp",
    }
}

impl TrainCommon {
    /// Devices of all nodes together: the parts of a global batch.
    pub fn num_devices(&self) -> usize {
        device_ids(self.num_gpus, &self.gpu_ids).len() * self.num_nodes
    }

    /// Checkpoints that are counted in epochs come before the last one ends.
    pub fn check_checkpoint_interval(&self, checks: &mut Checks<'_>) {
        let counts_epochs = self.checkpoint_interval_unit == IntervalUnit::Epoch;
        if counts_epochs && self.checkpoint_interval > self.num_epochs {
            let needed = format!("at most `train.num_epochs`, which is {}", self.num_epochs);
            checks
                .error("train.checkpoint_interval", self.checkpoint_interval, needed)
                .hint("lower it, or count with `train.checkpoint_interval_unit: step`");
        }
    }
}

/// `num_gpus` and `gpu_ids` of `block` should agree, and no GPU come twice.
pub fn check_devices(checks: &mut Checks<'_>, block: &str, num_gpus: usize, gpu_ids: &[usize]) {
    let key = format!("{block}.gpu_ids");
    let ids = device_ids(num_gpus, gpu_ids);
    if num_gpus != gpu_ids.len() {
        let length = gpu_ids.len();
        let message = format!(
            "length {length}, but `{block}.num_gpus` is {num_gpus}: the devices {ids:?} are used"
        );
        checks.warn(&key, message);
    }
    if let Some(twice) = ids.iter().enumerate().find(|(at, id)| ids[..*at].contains(id)) {
        checks.error(&key, format!("GPU {} twice", twice.1), "each once");
    }
}

/// The GPUs that `num_gpus` and `gpu_ids` mean together, by TAO's rule: the larger count wins, and unless
/// the list has that many entries it becomes 0, 1, 2 and so on.
pub fn device_ids(num_gpus: usize, gpu_ids: &[usize]) -> Vec<usize> {
    let count = num_gpus.max(gpu_ids.len());
    if gpu_ids.len() == count { gpu_ids.to_vec() } else { (0..count).collect() }
}

#[cfg(test)]
mod tests {
    use super::device_ids;

    #[test]
    fn the_larger_count_of_devices_wins() {
        assert_eq!(device_ids(1, &[0]), [0]);
        assert_eq!(device_ids(1, &[2, 3]), [2, 3]);
        assert_eq!(device_ids(2, &[5, 7]), [5, 7]);
        assert_eq!(device_ids(3, &[5, 7]), [0, 1, 2]);
        assert_eq!(device_ids(1, &[]), [0]);
    }
}
