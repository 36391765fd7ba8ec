//! `Run`: where an action writes, how it speaks, on which device it computes and when it must stop.
//!
//! Made once by `trainer`, lent to everything below it.

use std::{
    cell::OnceCell,
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use burn::tensor::Device;

use crate::{
    atomic_file::FileError,
    events::EventLog,
    progress::{Progress, Silent},
    status::{Failure, Status, StatusLog, Verbosity, capitalised},
    stop::StopFlag,
};

/// What an action is called and where its files go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunNames {
    /// `train`
    pub action: String,
    /// The network as displayed: `CLIP`.
    pub network: String,
    /// The effective folder of the action.
    pub results: PathBuf,
}

/// The outside world of one action.
pub struct Run {
    /// `train`
    pub action: String,
    /// The network as displayed: `CLIP`.
    pub network: String,
    /// The effective folder of the action; exists, unless the run leaves no files.
    pub results: PathBuf,
    /// Plain: whoever needs gradients takes `device.clone().autodiff()`.
    pub device: Device,
    /// `status.json` of the results folder.
    pub status: StatusLog,
    /// Whoever waits.
    pub progress: Box<dyn Progress>,
    /// Asked after every step.
    pub stop: StopFlag,
    writes_files: bool,
    events: OnceCell<EventLog>,
}

impl Run {
    /// Creates the results folder, says where it is, and writes the first line of `status.json`.
    pub fn start(
        names: RunNames,
        device: Device,
        progress: Box<dyn Progress>,
        stop: StopFlag,
    ) -> Result<Run, FileError> {
        let results = &names.results;
        fs::create_dir_all(results).map_err(FileError::at("create this folder", results))?;
        let status = StatusLog::append_to(&results.join("status.json"))?;
        let run = Run { status, writes_files: true, ..Run::dry(names, device, progress, stop) };
        let action = capitalised(&run.action);
        run.progress
            .message(&format!("{action} results will be saved at: {}", run.results.display()));
        run.status.action_started(&run.network, &run.action);
        Ok(run)
    }

    /// A run that leaves no files behind, not even a folder: `check`.
    pub fn dry(
        names: RunNames,
        device: Device,
        progress: Box<dyn Progress>,
        stop: StopFlag,
    ) -> Run {
        let RunNames { action, network, results } = names;
        Run {
            action,
            network,
            results,
            device,
            status: StatusLog::nowhere(),
            progress,
            stop,
            writes_files: false,
            events: OnceCell::new(),
        }
    }

    /// A silent run of `action` in `results`, with a flag of its own: for tests.
    pub fn silent(action: &str, results: &Path, device: Device) -> Result<Run, FileError> {
        let names = RunNames {
            action: action.to_owned(),
            network: "test".to_owned(),
            results: results.to_owned(),
        };
        Run::start(names, device, Box::new(Silent), StopFlag::new())
    }

    /// False for [`Run::dry`]: then nothing may be written below `results`.
    pub fn writes_files(&self) -> bool {
        self.writes_files
    }

    /// One line that the user should see, also kept in `status.json`.
    pub fn notice(&self, text: &str) {
        self.progress.message(text);
        self.status.write(Status::Running, Verbosity::Info, text);
    }

    /// A notice that asks for attention: what was found, and what would be better.
    pub fn warn(&self, text: &str) {
        self.progress.message(&format!("warning: {text}"));
        self.status.write(Status::Running, Verbosity::Warning, text);
    }

    /// The seed that a spec asks for; a negative one asks for a new one each time.
    pub fn seed(&self, written: i64) -> u64 {
        u64::try_from(written).unwrap_or_else(|_| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let drawn = now.map_or(0, |time| time.as_nanos() as u64);
            self.notice(&format!("`train.seed` is negative: this run has seed {drawn}"));
            drawn
        })
    }

    /// The event file of this run, made at the first call.
    pub fn events(&self) -> &EventLog {
        self.events.get_or_init(|| {
            if !self.writes_files {
                return EventLog::nowhere();
            }
            let folder = self.results.join("lightning_logs").join("version_1");
            EventLog::create_in(&folder).unwrap_or_else(|err| {
                self.warn(&format!("{err}, so TensorBoard gets no points: {}", err.source));
                EventLog::nowhere()
            })
        })
    }

    /// The last line of `status.json` after a good end.
    pub fn finished(&self) {
        self.status.action_finished(&self.action);
    }

    /// The last line of `status.json` after a bad one.
    pub fn failed(&self, failure: Failure, reason: &str) {
        self.status.action_failed(&self.action, failure, reason);
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use super::*;

    #[derive(Default, Clone)]
    struct Heard(Rc<RefCell<Vec<String>>>);

    impl Progress for Heard {
        fn message(&self, text: &str) {
            self.0.borrow_mut().push(text.to_owned());
        }
        fn begin(&self, _what: &str, _total: u64) {}
        fn advance(&self, _done: u64, _detail: &str) {}
        fn end(&self) {}
    }

    fn names(results: &Path) -> RunNames {
        RunNames { action: "train".into(), network: "CLIP".into(), results: results.to_owned() }
    }

    fn messages(results: &Path) -> Vec<String> {
        let status = fs::read_to_string(results.join("status.json")).unwrap();
        status
            .lines()
            .map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                format!("{} {} {}", line["status"], line["verbosity"], line["message"])
                    .replace('"', "")
            })
            .collect()
    }

    #[test]
    fn a_run_says_where_it_writes_and_keeps_what_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let results = folder.path().join("out/train");
        let heard = Heard::default();
        let run =
            Run::start(names(&results), Device::flex(), Box::new(heard.clone()), StopFlag::new())
                .unwrap();
        run.notice("wandb: nothing is uploaded");
        run.warn("precision `fp16`: f32 on this device");
        run.finished();
        assert_eq!(
            *heard.0.borrow(),
            [
                format!("Train results will be saved at: {}", results.display()),
                "wandb: nothing is uploaded".to_owned(),
                "warning: precision `fp16`: f32 on this device".to_owned(),
            ]
        );
        assert_eq!(
            messages(&results),
            [
                "STARTED INFO Starting CLIP train.",
                "RUNNING INFO wandb: nothing is uploaded",
                "RUNNING WARNING precision `fp16`: f32 on this device",
                "RUNNING INFO Train finished successfully.",
            ]
        );
    }

    #[test]
    fn the_event_file_appears_with_the_first_point() {
        let folder = tempfile::tempdir().unwrap();
        let run = Run::silent("train", folder.path(), Device::flex()).unwrap();
        let events = folder.path().join("lightning_logs/version_1");
        assert!(!events.exists());
        run.events().scalars(1, &[("train_loss", 0.5)]);
        run.events().scalars(2, &[("train_loss", 0.4)]);
        assert_eq!(fs::read_dir(&events).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_cannot_hold_events_is_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("lightning_logs"), "in the way").unwrap();
        let run = Run::silent("train", folder.path(), Device::flex()).unwrap();
        run.events().scalars(1, &[("train_loss", 0.5)]);
        let messages = messages(folder.path());
        assert_eq!(messages.len(), 2);
        assert!(messages[1].starts_with("RUNNING WARNING "), "{messages:?}");
        assert!(messages[1].contains("TensorBoard gets no points"), "{messages:?}");
    }

    #[test]
    fn a_dry_run_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let results = folder.path().join("out");
        let run = Run::dry(names(&results), Device::flex(), Box::new(Silent), StopFlag::new());
        run.notice("64 parameters");
        run.events().scalars(1, &[("train_loss", 0.5)]);
        run.finished();
        assert!(!results.exists());
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let results = folder.path().join("out");
        fs::write(&results, "in the way").unwrap();
        let err = Run::silent("train", &results, Device::flex()).err().unwrap();
        assert!(err.to_string().ends_with("out: cannot create this folder"), "{err}");
    }
}
