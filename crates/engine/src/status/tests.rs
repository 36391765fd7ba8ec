//! The whole sequence of a run as text, and what happens around the file.

use std::fs;

use super::*;

/// 6 July 2026, four minutes and nine seconds past one in the afternoon.
fn one_oclock() -> Moment {
    Moment { year: 2026, month: 7, day: 6, hour: 13, minute: 4, second: 9 }
}

fn log_in(folder: &tempfile::TempDir) -> StatusLog {
    StatusLog::append_to(&folder.path().join("status.json")).unwrap().with_clock(one_oclock)
}

fn lines_in(folder: &tempfile::TempDir) -> String {
    fs::read_to_string(folder.path().join("status.json")).unwrap()
}

#[test]
fn a_training_run_writes_the_lines_of_tao() {
    let folder = tempfile::tempdir().unwrap();
    let status = log_in(&folder);
    status.action_started("CLIP", "train");
    status.resuming(Path::new("/r/train/model_epoch_000_step_00040.safetensors"));
    status.training_started();
    status.train_metrics(&[("train_loss", 0.25)]);
    status.training_progress(&EpochTiming {
        epoch: 1,
        step: 80,
        epochs: 3,
        steps: 120,
        time_per_epoch: Duration::from_millis(83_500),
        time_per_step: Duration::from_micros(2_087_500),
        eta: Duration::from_secs(84),
    });
    status.eval_metrics(&[("val/t2i_mAP".to_owned(), 0.5), ("val/t2i_MedR".to_owned(), 1.0)]);
    status.training_complete();
    status.action_finished("train");
    assert_eq!(lines_in(&folder), include_str!("golden/train.jsonl"));
}

#[test]
fn an_evaluation_writes_its_lines() {
    let folder = tempfile::tempdir().unwrap();
    let status = log_in(&folder);
    status.action_started("CLIP", "evaluate");
    status.loading(Path::new("/r/model.safetensors"));
    status.test_metrics(&[("test/i2t_R@1".to_owned(), 0.875)]);
    status.action_finished("evaluate");
    assert_eq!(lines_in(&folder), include_str!("golden/evaluate.jsonl"));
}

#[test]
fn every_class_of_failure_has_its_words() {
    let cases = [
        (Failure::Configuration, "Configuration error: why"),
        (Failure::NotImplemented, "Feature not implemented: why"),
        (Failure::Validation, "Parameter validation error: why"),
        (Failure::FileSystem, "File system error: why"),
        (Failure::Interrupted, "User/System interruption: Train was interrupted"),
        (Failure::Other, "Runtime error: why"),
    ];
    for (failure, message) in cases {
        let folder = tempfile::tempdir().unwrap();
        log_in(&folder).action_failed("train", failure, "why");
        let line: Value = serde_json::from_str(&lines_in(&folder)).unwrap();
        assert_eq!(line["status"], "FAILURE");
        assert_eq!(line["verbosity"], "ERROR");
        assert_eq!(line["message"], message);
    }
}

#[test]
fn sticky_objects_stay_until_they_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let status = log_in(&folder);
    status.set_categorical([("classes".to_owned(), Value::from(3))]);
    status.set_graphical([("loss".to_owned(), Value::from(0.5))]);
    status.write(Status::Running, Verbosity::Info, "one");
    status.train_metrics(&[("train_loss", 1.5)]);
    status.set_graphical([]);
    status.write(Status::Skipped, Verbosity::Warning, "two");
    let read: Vec<Value> =
        lines_in(&folder).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let keys = |line: &Value| -> Vec<String> {
        line.as_object().unwrap().keys().skip(5).cloned().collect()
    };
    assert_eq!(keys(&read[0]), ["categorical", "graphical"]);
    assert_eq!(keys(&read[1]), ["categorical", "graphical", "kpi"]);
    assert_eq!(keys(&read[2]), ["categorical", "kpi"]);
    assert_eq!(read[2]["kpi"]["train_loss"], 1.5);
    assert_eq!(read[2]["status"], "SKIPPED");
}

#[test]
fn an_existing_file_is_continued_on_a_new_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("status.json");
    fs::write(&path, "{\"status\": \"RUNNING\"}\n{\"status\": \"RUN").unwrap();
    log_in(&folder).action_started("CLIP", "train");
    let lines = lines_in(&folder);
    let last = lines.lines().last().unwrap();
    assert_eq!(lines.lines().count(), 3);
    assert_eq!(serde_json::from_str::<Value>(last).unwrap()["message"], "Starting CLIP train.");
}

#[test]
fn a_number_that_json_lacks_becomes_text() {
    let folder = tempfile::tempdir().unwrap();
    log_in(&folder).train_metrics(&[("train_loss", f64::NAN)]);
    let line: Value = serde_json::from_str(&lines_in(&folder)).unwrap();
    assert_eq!(line["kpi"]["train_loss"], "NaN");
}

/// Left: what Python prints for `str(timedelta(...))`.
#[test]
fn durations_read_as_in_python() {
    let cases = [
        ("0:00:00", Duration::ZERO),
        ("0:00:00.250000", Duration::from_millis(250)),
        ("0:00:01", Duration::from_nanos(999_999_700)),
        ("0:01:23.500000", Duration::from_millis(83_500)),
        ("23:59:59", Duration::from_secs(86_399)),
        ("1 day, 0:00:00", Duration::from_secs(86_400)),
        ("3 days, 1:01:01.000001", Duration::from_micros(262_861_000_001)),
    ];
    for (text, duration) in cases {
        assert_eq!(python_duration(duration), text);
    }
}
