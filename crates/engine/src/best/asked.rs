//! The ranking that `train.checkpointer` asks for.

use std::path::{Path, PathBuf};

use hearth_spec::{
    Diagnostics, Document,
    common::{CheckpointerSpec, MonitorMode},
};

use super::{Best, Better, FileName};

/// The metrics of a family.
#[derive(Debug, Clone, Copy)]
pub struct Monitored<'a> {
    /// Names as they are logged.
    pub names: &'a [String],
    /// The one that checkpoints are picked by unasked.
    pub usual: &'a str,
    /// Whether small values of a metric are good.
    pub lower_is_better: fn(&str) -> bool,
}

impl Best {
    /// What `train.checkpointer` asks for, in `results` unless it names a folder; nothing where it is off.
    pub fn asked(
        document: &Document,
        checkpointer: &CheckpointerSpec,
        metrics: Monitored<'_>,
        results: &Path,
    ) -> Result<Option<Best>, Diagnostics> {
        if !checkpointer.enable_topk {
            return Ok(None);
        }
        let mut checks = document.check();
        let monitor = checkpointer.monitor.as_deref().unwrap_or(metrics.usual);
        // TAO's templates name metrics as they would stand in a file name.
        let is_meant = |name: &&String| *name == monitor || name.replace('/', "_") == monitor;
        let monitor = metrics.names.iter().find(is_meant);
        if monitor.is_none() {
            let found = checkpointer.monitor.as_deref().unwrap_or_default();
            checks.error(
                "train.checkpointer.monitor",
                format!("`{found}`"),
                format!("one of {}", metrics.names.join(", ")),
            );
        }
        let labels = checkpointer.auto_insert_metric_name;
        let file_name = FileName::parse(&checkpointer.filename, metrics.names, labels);
        if let Err(error) = &file_name {
            checks.refuse("train.checkpointer.filename", error.to_string());
        }
        checks.into_result()?;
        let (Some(monitor), Ok(file_name)) = (monitor, file_name) else { return Ok(None) };

        let better = match checkpointer.mode {
            Some(MonitorMode::Min) => Better::Lower,
            Some(MonitorMode::Max) => Better::Higher,
            None if (metrics.lower_is_better)(monitor) => Better::Lower,
            None => Better::Higher,
        };
        let folder = checkpointer.dirpath.as_ref().map_or_else(|| results.into(), PathBuf::from);
        let mut best = Best::new(monitor, better, file_name, &folder);
        best.keep = if checkpointer.replace_periodic { 1 } else { checkpointer.save_top_k };
        best.replaces_periodic = checkpointer.replace_periodic;
        Ok(Some(best))
    }
}
