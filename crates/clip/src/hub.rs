//! Weights by their name on a Hugging Face hub: fetched into the cache, with progress for the run.

use std::{
    error::Error,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use hearth_engine::{EngineError, Run};
use hearth_weights::{
    WeightsError,
    hub::{Event, Hub, HubError, HubName},
};

use crate::error::ClipError;

/// Smaller files come at once.
const SHOWN_BYTES: u64 = 10_000_000;

/// The hub name that a spec's path is: only what is no local file or folder can be one.
pub(crate) fn name(path: &Path) -> Option<HubName> {
    let name = HubName::parse(path.to_str()?)?;
    (!path.exists()).then_some(name)
}

/// The local file with the weights of `name`.
pub(crate) fn fetch(name: &HubName, run: &Run) -> Result<PathBuf, ClipError> {
    let hub = Hub::from_environment().map_err(WeightsError::from)?;
    let mut shown = None;
    let outcome = hub.fetch(name, &mut |event| {
        show(event, &mut shown, (name, &hub.cache), run);
        match run.stop.requested() {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    });
    run.progress.end();
    let stopped = |error: &HubError| matches!(error, HubError::Stopped { .. });
    match (outcome, run.stop.requested()) {
        (Err(WeightsError::Hub(error)), Some(signal)) if stopped(&error) => {
            Err(EngineError::Interrupted { signal }.into())
        }
        (outcome, _) => Ok(outcome?),
    }
}

/// `shown` is the file whose progress is on the screen.
fn show(
    event: &Event<'_>,
    shown: &mut Option<String>,
    (name, cache): (&HubName, &Path),
    run: &Run,
) {
    let megabytes = |bytes: u64| bytes.div_ceil(1_000_000);
    match event {
        Event::Asking { endpoint } => run.notice(&format!(
            "`{name}` is no local path and not complete in {}: asking {endpoint}",
            cache.display()
        )),
        Event::Waiting { file } => {
            run.notice(&format!("waiting for another process that fetches {file} of `{name}`"));
        }
        Event::Received { file, done, size } if *size >= SHOWN_BYTES => {
            if shown.as_deref() != Some(*file) {
                *shown = Some((*file).to_owned());
                let megabytes = megabytes(*size);
                run.notice(&format!("fetching {file} of `{name}`, {megabytes} MB"));
                run.progress.begin(&format!("{file} in MB"), megabytes);
            }
            run.progress.advance(megabytes(*done), "");
        }
        Event::Retrying { error } => run.warn(&format!("{}; trying again", in_full(error))),
        Event::Settling { error } => run.warn(&format!(
            "{}; using the weights of `{name}` that are in the cache, perhaps without their \
             configuration and tokenizer",
            in_full(error)
        )),
        Event::Received { .. } | Event::Idle => {}
    }
}

/// The error with its cause, on one line.
fn in_full(error: &HubError) -> String {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}
