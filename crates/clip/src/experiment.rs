//! The spec of a run: read with everything it says, and kept beside the results.

use hearth_engine::{Run, atomic_file};
use hearth_spec::{Document, to_yaml};

use crate::{
    error::ClipError,
    registry,
    spec::{self, Action, ClipSpec},
};

/// The spec for `action`; its warnings go to the run.
pub(crate) fn read(document: &Document, action: Action, run: &Run) -> Result<ClipSpec, ClipError> {
    let spec: ClipSpec = document.read()?;
    for warning in spec::check(document, &spec, action, registry::NAMES)? {
        let hints: String = warning.hints.iter().map(|hint| format!("; {hint}")).collect();
        run.warn(&format!("{}{hints}", warning.headline()));
    }
    Ok(spec)
}

/// Writes `experiment.yaml`: every key with the value in force.
pub(crate) fn write(spec: &ClipSpec, run: &Run) -> Result<(), ClipError> {
    atomic_file::write(&run.results.join("experiment.yaml"), to_yaml(spec).as_bytes())?;
    Ok(())
}
