//! How many replicas an action has.

use std::path::Path;

use burn::tensor::Device;
use hearth_engine::{Replicas, Run, cores, is_cpu, replicas_of, suitable_replicas};
use hearth_spec::Document;

use crate::{error::ClipError, spec::ClipSpec};

/// Most that are taken unasked: each holds gradients of its own.
const MOST: usize = 8;

/// Those of a training: what the spec says, else what the checkpoint says that is continued, else what
/// suits this machine.
pub(crate) fn of_training(
    document: &Document,
    spec: &ClipSpec,
    resumed: Option<&Path>,
    run: &Run,
) -> Result<Replicas, ClipError> {
    let (cores, key) = (cores(), "hearth.train.replicas");
    let suitable = suitable_replicas(cores, MOST).min(spec.micro_batch());
    let before = resumed.map(replicas_of).transpose()?;
    if !is_cpu(&run.device) {
        if let Some(count) = spec.hearth.train.replicas.or(before).filter(|count| *count > 1) {
            run.notice(&format!(
                "1 replica instead of {count}: they share the cores of a CPU, and another device computes \
                 a batch in one piece"
            ));
        }
        return Ok(Replicas::one());
    }
    let replicas = match (spec.hearth.train.replicas, before) {
        (Some(written), _) if written > cores => {
            let mut checks = document.check();
            checks
                .error(key, written, format!("at most {cores}, the cores of this machine"))
                .hint("RAYON_NUM_THREADS, where it is set, counts as their number");
            checks.into_result()?;
            unreachable!("an error was noted")
        }
        (Some(written), Some(before)) if written != before => {
            run.notice(&format!(
                "`{key}` is {written}, the checkpoint comes from {before}: the run goes on from where it \
                 was, but not to the same bits"
            ));
            written
        }
        (Some(written), _) => written,
        (None, Some(before)) => {
            if before != suitable {
                run.notice(&format!(
                    "{} as in the checkpoint, so that it goes on to the same bits; `{key}={suitable}` suits \
                     this machine better",
                    counted(before)
                ));
            }
            before
        }
        (None, None) => suitable,
    };
    Ok(Replicas::new(replicas.min(spec.micro_batch()))?)
}

/// Those of an action without gradients, for batches of `batch`.
pub(crate) fn of_machine(batch: usize, device: &Device) -> Result<Replicas, ClipError> {
    if !is_cpu(device) {
        return Ok(Replicas::one());
    }
    Ok(Replicas::new(suitable_replicas(cores(), MOST).min(batch))?)
}

/// `2 replicas`
pub(crate) fn counted(replicas: usize) -> String {
    format!("{replicas} replica{}", if replicas == 1 { "" } else { "s" })
}
