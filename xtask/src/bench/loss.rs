//! Whether both sides compute the same: the loss of the first training step.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{contests::CLIP_SPEC, results::Sides};
use crate::process;

/// The largest difference.
const TOLERANCE: f64 = 1e-4;

/// Where `CLIP_SPEC` puts its results.
const RESULTS: &str = "target/bench/clip/results";

/// Trains one step and compares with what the other side said; nothing where there is none.
pub(super) fn check(trainer: &str, sides: &Sides) -> Result<()> {
    let mut lines = sides.peer.values().flatten();
    let Some(theirs) = lines.find_map(|line| line.first_loss) else { return Ok(()) };
    let ours = first_loss(trainer)?;
    println!("\nloss of the first step: hearth {ours}, pytorch {theirs}");
    agree(ours, theirs)
}

fn agree(ours: f64, theirs: f64) -> Result<()> {
    ensure!(
        (ours - theirs).abs() <= TOLERANCE,
        "loss of the first step: found {ours}, needed PyTorch's {theirs} within {TOLERANCE}"
    );
    Ok(())
}

fn first_loss(trainer: &str) -> Result<f64> {
    let results = crate::root().join(RESULTS);
    // What an earlier run left would be continued.
    let clear = || if results.exists() { fs::remove_dir_all(&results) } else { Ok(()) };
    clear().with_context(|| results.display().to_string())?;
    let command = [trainer, "clip", "train", "-e", CLIP_SPEC].map(str::to_owned);
    process::output(&command, &BTreeMap::new())?;
    let path = results.join("train/status.json");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    clear().with_context(|| results.display().to_string())?;
    loss_in(&text).with_context(|| format!("{}: found no loss", path.display()))
}

/// The loss of the first line that has one.
fn loss_in(status: &str) -> Option<f64> {
    let lines = status.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut losses = lines.filter_map(|line| line["kpi"]["train_loss"].as_f64());
    losses.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_loss_is_read() {
        let status = "{\"status\": \"STARTED\"}\n{\"kpi\": {\"train_loss\": 2.5}}\n{\"kpi\": {\"train_loss\": 2.0}}\n";
        assert_eq!(loss_in(status), Some(2.5));
        assert_eq!(loss_in("{}\n"), None);
    }

    #[test]
    fn another_loss_is_another_computation() {
        assert!(agree(2.5, 2.500_05).is_ok());
        let error = agree(2.5, 2.6).unwrap_err().to_string();
        assert!(error.contains("found 2.5, needed PyTorch's 2.6 within 0.0001"), "{error}");
        assert!(agree(f64::NAN, 2.6).is_err());
    }
}
