//! Micro-batches, resuming, stopping and failing.

use std::{fs, path::Path};

use hearth_engine::{EngineError, Rule, Signal, TrainState, contrastive::Contrast, replicas_of};

use super::toy::{Memory, Towers, Toy, fresh, resume, run, scaled, train, train_in, weights};

const SIGLIP: Toy = Toy { contrast: Contrast::SigLip, broken_step: None, half: false };
/// Its gradients are infinite at a scale of 65536, where the scaler begins.
const HALF: Toy = Toy { half: true, ..SIGLIP };
const CLIP: Toy = Toy { contrast: Contrast::Clip, broken_step: None, half: false };

fn names(folder: &Path, ending: &str) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(ending))
        .collect();
    names.sort();
    names
}

/// The values of `name` in the status lines.
fn reported(folder: &Path, name: &str) -> Vec<f64> {
    let status = fs::read_to_string(folder.join("status.json")).unwrap();
    let lines = status.lines().filter(|line| line.contains(&format!("\"{name}\"")));
    lines
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["kpi"][name].as_f64().unwrap()
        })
        .collect()
}

/// Weights, what the optimizer made of the gradients, and losses: the moments scale with the
/// gradients, the steps of AdamW hardly do.
fn outcome(task: &Toy, data: &Memory) -> Vec<f64> {
    let folder = tempfile::tempdir().unwrap();
    let state = train(folder.path(), task, data, 4, fresh(Rule::AdamW)).unwrap();
    let (_, moments) = state.optimizer.state();
    let moments = moments.into_iter().flat_map(|(_, _, values)| values);
    let mut all: Vec<f64> = weights(&state).into_iter().chain(moments).map(f64::from).collect();
    all.extend(reported(folder.path(), "train_loss"));
    all
}

#[test]
fn replicas_and_micro_batches_give_what_the_whole_batch_gives() {
    for task in [SIGLIP, CLIP] {
        let whole = outcome(&task, &Memory::new(1));
        assert!(whole.len() > 2 * 19 + 4, "{}", whole.len());
        for (replicas, micro_batches) in [(1, 2), (1, 4), (2, 1), (3, 1), (2, 2), (3, 2)] {
            let split = outcome(&task, &Memory::on(replicas, micro_batches));
            assert_eq!(whole.len(), split.len());
            for (whole, split) in whole.iter().zip(split) {
                let parts = format!("{replicas} replicas, {micro_batches} micro-batches");
                assert!((whole - split).abs() < 1e-5, "{whole} {split} with {parts}");
            }
        }
    }
}

#[test]
fn the_same_number_of_replicas_gives_the_same_bits() {
    for (replicas, micro_batches) in [(2, 1), (3, 1), (2, 2)] {
        let run = || outcome(&SIGLIP, &Memory::on(replicas, micro_batches));
        let first = run();
        for _ in 0..5 {
            assert_eq!(first, run(), "{replicas} replicas, {micro_batches} micro-batches");
        }
    }
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one_bit_for_bit() {
    for data in [|| Memory::new(2), || Memory::on(2, 1), || Memory::on(2, 2)] {
        resumes_exactly(&SIGLIP, data, || fresh(Rule::AdamW));
    }
    resumes_exactly(&HALF, || Memory::new(1), scaled);
}

#[track_caller]
fn resumes_exactly(task: &Toy, data: impl Fn() -> Memory, first: impl Fn() -> TrainState<Towers>) {
    let folder = tempfile::tempdir().unwrap();
    let straight = train(folder.path(), task, &data(), 4, first()).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path());
    let mut stopped = data();
    let stop = run.stop.clone();
    stopped.on_step = Box::new(move |epoch, step| {
        if (epoch, step) == (1, 1) {
            stop.request(Signal::Terminate);
        }
    });
    let error = train_in(&run, task, &stopped, 4, first()).unwrap_err();
    assert!(
        matches!(error, EngineError::Stopped { signal: Signal::Terminate, step: 5, .. }),
        "{error}"
    );

    let resumed = resume(folder.path()).unwrap();
    let newest = folder.path().join("model_epoch_001_step_00005.safetensors");
    assert_eq!(replicas_of(&newest).unwrap(), data().replicas);
    let resumed = train(folder.path(), task, &data(), 4, resumed).unwrap();
    assert_eq!(weights(&straight), weights(&resumed));
    assert_eq!(straight.scaler, resumed.scaler);
}

/// A power of two in front of the gradients and the same behind them are no rounding.
#[test]
fn the_scale_of_a_loss_changes_no_bit_of_the_weights() {
    for data in [|| Memory::new(1), || Memory::new(2), || Memory::on(2, 1)] {
        let trained = |first| {
            let folder = tempfile::tempdir().unwrap();
            weights(&train(folder.path(), &SIGLIP, &data(), 4, first).unwrap())
        };
        assert_eq!(trained(fresh(Rule::AdamW)), trained(scaled()));
        assert_eq!(trained(fresh(Rule::Lamb)), {
            trained(TrainState { scaler: scaled().scaler, ..fresh(Rule::Lamb) })
        });
    }
}

#[test]
fn a_step_whose_gradients_overflow_is_skipped_said_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let state = train(folder.path(), &HALF, &Memory::new(1), 4, scaled()).unwrap();
    let scaler = state.scaler.unwrap();
    assert_eq!((scaler.skipped(), scaler.scale()), (1, 32768.0));
    // The step counts for data and schedule, not for the optimizer.
    assert_eq!((state.step, state.optimizer.state().0), (12, 11));
    assert!(reported(folder.path(), "train_loss").iter().all(|loss| loss.is_finite()));
    let log = fs::read_to_string(folder.path().join("status.json")).unwrap();
    let said = "step 1 is skipped: its gradients overflow fp16; loss scale 32768";
    assert_eq!(log.matches(said).count(), 1, "{log}");
}

/// A smaller scale does not cure it.
#[test]
fn a_loss_that_is_not_a_number_ends_a_scaled_run_too() {
    let folder = tempfile::tempdir().unwrap();
    let task = Toy { broken_step: Some(5), ..HALF };
    let error = train(folder.path(), &task, &Memory::new(1), 4, scaled()).unwrap_err();
    assert!(matches!(error, EngineError::NotFinite { step: 5, .. }), "{error}");
}

#[test]
fn an_error_in_the_data_stops_before_the_next_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let mut data = Memory::new(1);
    data.unreadable = Some((2, 1));
    let error = train(folder.path(), &SIGLIP, &data, 4, fresh(Rule::AdamW)).unwrap_err();
    assert!(matches!(error, EngineError::Data(_)), "{error}");
    assert_eq!(
        names(folder.path(), ".safetensors"),
        [
            "model_epoch_000_step_00003.safetensors",
            "model_epoch_001_step_00006.safetensors",
            "toy_latest.safetensors",
        ]
    );
}

#[test]
fn a_loss_that_is_not_a_number_names_step_and_samples_and_keeps_the_last_good_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let task = Toy { broken_step: Some(5), ..SIGLIP };
    let error = train(folder.path(), &task, &Memory::new(1), 4, fresh(Rule::AdamW)).unwrap_err();
    let EngineError::NotFinite { step, samples, last_good, .. } = &error else { panic!("{error}") };
    assert_eq!((*step, samples.len()), (5, 4));
    assert!(
        error.to_string().starts_with("step 5: `loss` is NaN; samples of this batch: pair-"),
        "{error}"
    );
    let last_good = last_good.as_ref().unwrap();
    assert!(last_good.ends_with("model_epoch_000_step_00003.safetensors"));
    assert_eq!(names(folder.path(), ".safetensors").len(), 2);
}

#[test]
fn a_checkpoint_of_other_data_is_not_continued() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &SIGLIP, &Memory::new(1), 1, fresh(Rule::AdamW)).unwrap();
    let progress = folder.path().join("model_epoch_000_step_00003.state/progress.json");
    let text = fs::read_to_string(&progress).unwrap();
    fs::write(&progress, text.replace("\"samples\": \"12\"", "\"samples\": \"13\"")).unwrap();
    let error = resume(folder.path()).unwrap_err().to_string();
    assert!(
        error.ends_with("samples was 13 when this checkpoint was written, this run has 12"),
        "{error}"
    );
}

#[test]
fn a_damaged_state_is_an_error_and_not_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &SIGLIP, &Memory::new(1), 1, fresh(Rule::AdamW)).unwrap();
    let state = folder.path().join("model_epoch_000_step_00003.state");
    let optimizer = state.join("optimizer.safetensors");
    let bytes = fs::read(&optimizer).unwrap();
    fs::write(&optimizer, &bytes[..bytes.len() - 7]).unwrap();
    assert!(matches!(resume(folder.path()), Err(EngineError::Weights(_))));
    let progress = state.join("progress.json");
    let text = fs::read_to_string(&progress).unwrap();
    let scaler = "\"loss_scaler\": {\"scale\": -2.0, \"good_steps\": 0, \"skipped\": 1}, \"run\"";
    fs::write(&progress, text.replace("\"run\"", scaler)).unwrap();
    let error = resume(folder.path()).unwrap_err().to_string();
    assert!(error.ends_with("found a loss scale of -2, needed at least 1 and what f32 can hold"));
    fs::write(progress, "{\"step\": 3").unwrap();
    assert!(matches!(resume(folder.path()), Err(EngineError::State { .. })));
}

#[test]
fn status_lines_follow_the_epochs() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &SIGLIP, &Memory::new(1), 2, fresh(Rule::AdamW)).unwrap();
    let status = fs::read_to_string(folder.path().join("status.json")).unwrap();
    let messages: Vec<String> = status
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["message"].to_string())
        .collect();
    let epoch = [
        "\"Train metrics generated.\"",
        "\"Training loop in progress\"",
        "\"Eval metrics generated.\"",
    ];
    let expected = [
        &["\"Starting test train.\"", "\"Starting Training Loop.\""][..],
        &epoch,
        &epoch,
        &["\"Training loop complete.\""],
    ];
    assert_eq!(messages, expected.concat());
}
