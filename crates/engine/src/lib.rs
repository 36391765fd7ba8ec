//! `engine`: trains any [`Task`], writes checkpoints, curves and the status file.
//!
//! Architecture Invariant: `engine` never knows a model family, a key that not all of them have or a
//! terminal; what it says goes through [`Progress`], what it trains through [`Task`].
//!
//! Start reading at [`fit`](fit()).
#![recursion_limit = "256"]

pub mod atomic_file;
mod average;
mod batches;
pub mod benchmark;
mod best;
mod checkpoint;
pub mod classification;
pub mod confusion;
pub mod contrastive;
mod device;
mod error;
mod events;
pub mod experiment;
mod fit;
mod freeze;
mod gradients;
pub mod hdf5;
mod identity;
mod journal;
mod optimizer;
mod passes;
mod plan;
mod precision;
mod progress;
mod reading;
mod replicas;
mod results;
mod resume;
mod run;
mod scaler;
mod schedule;
mod status;
mod stop;
mod summary;
pub mod table;
mod task;

pub use atomic_file::FileError;
pub use average::Average;
pub use batches::{EvalBatches, Samples, TrainBatches, ignored_orientation};
pub use best::{Best, Better, FileName, FileNameError, Monitored};
pub use checkpoint::{
    Checkpoints, Fingerprint, Restored, SaveBeside, SaveModel, adapters_folder, check_run, latest,
    replicas_of, state_folder,
};
pub use device::{DEVICES, DeviceError, Opened, device_model, devices, is_cpu, open_device};
pub use error::EngineError;
pub use events::EventLog;
pub use fit::{BatchIter, Batches, Mean, Session, TrainState, each, evaluate, fit, gather};
pub use freeze::frozen;
pub use hearth_kernels::keep_memory;
pub use identity::{Identity, hex};
pub use optimizer::{Optimizer, OptimizerConfig, OptimizerStateError, Rule, StateTensor};
pub use plan::{Every, Plan};
pub use precision::Precision;
pub use progress::{Progress, Silent};
pub use reading::{check_pictures, reading, tolerance};
pub use replicas::{Replicas, cores, cut, suitable_replicas};
pub use results::report;
pub use resume::{Beginning, resumed_from, start};
pub use run::{Run, RunNames};
pub use scaler::LossScaler;
pub use schedule::{Decay, Schedule};
pub use status::{EpochTiming, Failure, Moment, Status, StatusLog, Verbosity};
pub use stop::{Signal, StopFlag};
pub use summary::{Summary, grouped};
pub use task::{Losses, Metrics, ParameterGroup, Step, Task, num_trained, trained};
