//! The spec of a run: read with everything it says, and kept beside the results.

use hearth_spec::{Block, Diagnostic, Diagnostics, Document, to_yaml};

use crate::{
    atomic_file::{self, FileError},
    run::Run,
};

/// The spec of an action. `check` knows the rules between its keys; its warnings go to the run.
pub fn read<S: Block>(
    document: &Document,
    run: &Run,
    check: impl FnOnce(&S) -> Result<Vec<Diagnostic>, Diagnostics>,
) -> Result<S, Diagnostics> {
    let spec: S = document.read()?;
    for warning in check(&spec)? {
        let hints: String = warning.hints.iter().map(|hint| format!("; {hint}")).collect();
        run.warn(&format!("{}{hints}", warning.headline()));
    }
    Ok(spec)
}

/// Writes `experiment.yaml`: every key with the value in force.
pub fn write<S: Block>(spec: &S, run: &Run) -> Result<(), FileError> {
    atomic_file::write(&run.results.join("experiment.yaml"), to_yaml(spec).as_bytes())
}
