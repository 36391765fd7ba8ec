//! How many replicas an action has.

use std::{fmt, path::Path};

use burn::tensor::Device;
use hearth_spec::Document;

use super::{Replicas, cores, suitable_replicas};
use crate::{checkpoint::replicas_of, device::is_cpu, error::EngineError, run::Run};

/// Most that are taken unasked: each holds gradients of its own.
const MOST: usize = 8;

/// Where a spec sets their number.
const KEY: &str = "hearth.train.replicas";

impl Replicas {
    /// Those of a training in parts of `micro_batch` samples: what the spec says, else what the checkpoint
    /// says that is continued, else what suits this machine.
    pub fn of_training(
        document: &Document,
        written: Option<usize>,
        micro_batch: usize,
        resumed: Option<&Path>,
        run: &Run,
    ) -> Result<Replicas, EngineError> {
        let cores = cores();
        let suitable = suitable_replicas(cores, MOST).min(micro_batch);
        let before = resumed.map(replicas_of).transpose()?;
        if !is_cpu(&run.device) {
            if let Some(count) = written.or(before).filter(|count| *count > 1) {
                run.notice(&format!(
                    "1 replica instead of {count}: they share the cores of a CPU, and another device \
                     computes a batch in one piece"
                ));
            }
            return Ok(Replicas::one());
        }
        let replicas = match (written, before) {
            (Some(written), _) if written > cores => {
                let mut checks = document.check();
                checks
                    .error(KEY, written, format!("at most {cores}, the cores of this machine"))
                    .hint("RAYON_NUM_THREADS, where it is set, counts as their number");
                checks.into_result()?;
                unreachable!("an error was noted")
            }
            (Some(written), Some(before)) if written != before => {
                run.notice(&format!(
                    "`{KEY}` is {written}, the checkpoint comes from {before}: the run goes on from \
                     where it was, but not to the same bits"
                ));
                written
            }
            (Some(written), _) => written,
            (None, Some(before)) => {
                if before != suitable {
                    run.notice(&format!(
                        "{} as in the checkpoint, so that it goes on to the same bits; \
                         `{KEY}={suitable}` suits this machine better",
                        counted(before)
                    ));
                }
                before
            }
            (None, None) => suitable,
        };
        Replicas::new(replicas.min(micro_batch))
    }

    /// Those of an action without gradients, for batches of `batch`.
    pub fn of_machine(batch: usize, device: &Device) -> Result<Replicas, EngineError> {
        if !is_cpu(device) {
            return Ok(Replicas::one());
        }
        Replicas::new(suitable_replicas(cores(), MOST).min(batch))
    }

    /// `2 replicas`
    pub fn counted(&self) -> String {
        counted(self.count())
    }
}

/// `2, 1 thread each`
impl fmt::Display for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threads = self.threads();
        let plural = if threads == 1 { "" } else { "s" };
        write!(f, "{}, {threads} thread{plural} each", self.count())
    }
}

fn counted(replicas: usize) -> String {
    format!("{replicas} replica{}", if replicas == 1 { "" } else { "s" })
}
