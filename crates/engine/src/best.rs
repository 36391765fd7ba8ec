//! The best checkpoints of a run by a validation metric.

mod asked;

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
};

use hearth_weights::WeightsError;

use crate::{atomic_file::FileError, error::EngineError, run::Run, task::Metrics};

pub use asked::Monitored;

/// Which direction of a metric is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Accuracies.
    Higher,
    /// Losses.
    Lower,
}

/// Keeps the models of the best validations, on top of the periodic checkpoints.
#[derive(Debug, Clone)]
pub struct Best {
    /// Name of the metric as logged: `val/t2i_mAP`.
    pub monitor: String,
    /// Which values win.
    pub better: Better,
    /// How many files stay.
    pub keep: usize,
    /// File name without extension; `{epoch:03d}`, `{step}` and metric names in braces are filled in.
    pub file_name: FileName,
    /// Where the files lie.
    pub folder: PathBuf,
    /// Periodic checkpoints older than the newest are removed.
    pub replaces_periodic: bool,
    /// Extension of the twin that each model file has.
    pub(crate) twin: Option<&'static str>,
    ranking: RefCell<Vec<(f64, PathBuf)>>,
}

impl Best {
    /// Keeps one file of the best by `monitor` in `folder`.
    pub fn new(monitor: &str, better: Better, file_name: FileName, folder: &Path) -> Self {
        Self {
            monitor: monitor.to_owned(),
            better,
            keep: 1,
            file_name,
            folder: folder.to_owned(),
            replaces_periodic: false,
            twin: None,
            ranking: RefCell::default(),
        }
    }

    /// Best first.
    pub fn ranking(&self) -> Vec<(f64, PathBuf)> {
        self.ranking.borrow().clone()
    }

    pub(crate) fn restore(&self, ranking: Vec<(f64, PathBuf)>) {
        // A state may come from elsewhere: it names files of this folder only.
        let plain = |(_, file): &(f64, PathBuf)| file.file_name() == Some(file.as_os_str());
        self.ranking.replace(ranking.into_iter().filter(plain).collect());
    }

    pub(crate) fn offer(
        &self,
        epoch: usize,
        step: usize,
        metrics: &Metrics,
        run: &Run,
        save: impl FnOnce(&Path) -> Result<(), WeightsError>,
    ) -> Result<(), EngineError> {
        let name = self.monitor.strip_prefix("val/").unwrap_or(&self.monitor);
        let Some((_, value)) = metrics.iter().find(|(known, _)| known == name) else {
            return Ok(());
        };
        let mut ranking = self.ranking.borrow_mut();
        let place = ranking.iter().position(|(known, _)| self.beats(*value, *known));
        let place = place.unwrap_or(ranking.len());
        if place >= self.keep || !value.is_finite() {
            return Ok(());
        }

        let file = format!("{}.safetensors", self.file_name.fill(epoch, step, metrics));
        fs::create_dir_all(&self.folder)
            .map_err(FileError::at("create this folder", &self.folder))?;
        save(&self.folder.join(&file))?;
        ranking.retain(|(_, known)| *known != Path::new(&file));
        let place = place.min(ranking.len());
        ranking.insert(place, (*value, PathBuf::from(&file)));
        let kept = self.keep.min(ranking.len());
        for (_, dropped) in ranking.drain(kept..) {
            // A resumed run may have removed it already.
            let dropped = self.folder.join(dropped);
            let _ = fs::remove_file(&dropped);
            if let Some(twin) = self.twin {
                let _ = fs::remove_file(dropped.with_extension(twin));
            }
        }
        run.notice(&format!("best {} so far: {value:.4}, kept as {file}", self.monitor));
        Ok(())
    }

    fn beats(&self, new: f64, old: f64) -> bool {
        match self.better {
            Better::Higher => new > old,
            Better::Lower => new < old,
        }
    }
}

/// A file name with places for numbers, in Lightning's notation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Number { name: String, format: Format, label: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Plain,
    Padded(usize),
    Decimals(usize),
}

/// A file name that cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{template}`: {reason}")]
pub struct FileNameError {
    template: String,
    reason: String,
}

impl FileName {
    /// Reads a template such as `model_best_{epoch:03d}`; `metrics` are the names that may stand in
    /// braces, `/` written as `_`. With `labels`, `{epoch:03d}` becomes `epoch=003`.
    pub fn parse(template: &str, metrics: &[String], labels: bool) -> Result<Self, FileNameError> {
        let fail = |reason: String| FileNameError { template: template.to_owned(), reason };
        if template.is_empty() || template.contains(['/', '\\', '\0']) {
            return Err(fail("a file name without folders is needed".to_owned()));
        }
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some((text, behind)) = rest.split_once('{') {
            let (field, behind) =
                behind.split_once('}').ok_or_else(|| fail("`{` is not closed".to_owned()))?;
            let (name, format) = field.split_once(':').unwrap_or((field, ""));
            let known =
                name == "epoch" || name == "step" || metrics.iter().any(|m| plain(m) == name);
            if !known {
                let names = metrics.iter().map(|m| plain(m)).collect::<Vec<_>>().join(", ");
                return Err(fail(format!("`{name}` is not one of epoch, step, {names}")));
            }
            let format = Format::parse(format).ok_or_else(|| {
                fail(format!("format `{format}` is not one of `03d`, `.4f` and alike"))
            })?;
            parts.push(Part::Text(text.to_owned()));
            parts.push(Part::Number { name: name.to_owned(), format, label: labels });
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self { parts })
    }

    fn fill(&self, epoch: usize, step: usize, metrics: &Metrics) -> String {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Number { name, format, label } => {
                    let value = match name.as_str() {
                        "epoch" => epoch as f64,
                        "step" => step as f64,
                        _ => metrics
                            .iter()
                            .find(|(known, _)| plain(&format!("val/{known}")) == *name)
                            .map_or(f64::NAN, |(_, value)| *value),
                    };
                    if *label {
                        filled.push_str(&format!("{name}="));
                    }
                    filled.push_str(&format.write(value));
                }
            }
        }
        filled
    }
}

impl Format {
    fn parse(text: &str) -> Option<Self> {
        const WIDEST: usize = 20;
        if text.is_empty() || text == "d" {
            return Some(Format::Plain);
        }
        let (digits, make): (&str, fn(usize) -> Format) = match text.strip_suffix('d') {
            Some(digits) => (digits, Format::Padded),
            None => (text.strip_prefix('.')?.strip_suffix('f')?, Format::Decimals),
        };
        digits.parse().ok().filter(|width| *width <= WIDEST).map(make)
    }

    fn write(self, value: f64) -> String {
        match self {
            Format::Plain => format!("{value}"),
            Format::Padded(width) => format!("{value:0width$.0}"),
            Format::Decimals(decimals) => format!("{value:.decimals$}"),
        }
    }
}

/// A metric's name where a slash cannot stand.
fn plain(name: &str) -> String {
    name.replace('/', "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn metrics(value: f64) -> Metrics {
        vec![("t2i_mAP".to_owned(), value)]
    }

    #[test]
    fn templates_are_filled_like_lightning_does() {
        let names = ["val/t2i_mAP".to_owned()];
        let fill = |template, labels| {
            FileName::parse(template, &names, labels)
                .map(|name| name.fill(7, 120, &metrics(0.51234)))
        };
        assert_eq!(fill("model_best_{epoch:03d}", false).unwrap(), "model_best_007");
        assert_eq!(fill("a{step}-m{val_t2i_mAP:.4f}", false).unwrap(), "a120-m0.5123");
        assert_eq!(fill("best-{epoch:02d}", true).unwrap(), "best-epoch=07");
        for (template, reason) in [
            ("../{epoch}", "a file name without folders is needed"),
            ("a{epoch", "`{` is not closed"),
            ("{val_loss}", "`val_loss` is not one of epoch, step, val_t2i_mAP"),
            ("{epoch:9x}", "format `9x` is not one of `03d`, `.4f` and alike"),
        ] {
            let error = fill(template, false).unwrap_err().to_string();
            assert!(error.ends_with(reason), "{error}");
        }
    }

    #[test]
    fn the_two_best_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        let run = Run::silent("train", folder.path(), Device::flex()).unwrap();
        let name = FileName::parse("best_{epoch:03d}", &[], false).unwrap();
        let best = Best {
            keep: 2,
            ..Best::new("val/t2i_mAP", Better::Higher, name, &folder.path().join("best"))
        };
        for (epoch, value) in [0.2, 0.5, 0.1, 0.4, f64::NAN].into_iter().enumerate() {
            best.offer(epoch, epoch * 10, &metrics(value), &run, |path| {
                fs::write(path, b"weights").map_err(|source| panic!("{source}"))
            })
            .unwrap();
        }
        let mut files: Vec<_> = fs::read_dir(folder.path().join("best"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        assert_eq!(files, ["best_001.safetensors", "best_003.safetensors"]);
        assert_eq!(best.ranking()[0], (0.5, PathBuf::from("best_001.safetensors")));
    }
}
