//! The memory that `check` predicts against the peak of the run.

use std::{
    fs,
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use super::{session::run, shapes::workspace};

/// Megabytes of the `memory` line of `check`.
fn predicted(arguments: &[&str], folder: &std::path::Path) -> f64 {
    let output = run(folder, &[&["clip", "check"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.starts_with("memory")).unwrap();
    let digits: String = line.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

/// Megabytes of the highest VmHWM seen while the run lasts; the kernel's mark never falls, so only
/// the last milliseconds can be missed.
fn measured(arguments: &[&str], folder: &std::path::Path) -> f64 {
    let mut child = Command::new(env!("CARGO_BIN_EXE_trainer"))
        .current_dir(folder)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0f64;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
        peak = peak.max(kilobytes.unwrap_or(0.0) * 1024.0 / 1e6);
        sleep(Duration::from_millis(5));
    }
    assert!(child.wait().unwrap().success());
    peak
}

#[cfg(target_os = "linux")]
#[test]
fn the_estimate_is_within_a_quarter_of_the_peak() {
    let folder = workspace();
    for overrides in [
        &["dataset.train.batch_size=24"][..],
        &["dataset.train.batch_size=24", "train.grad_checkpointing=true"],
        &["dataset.train.batch_size=24", "hearth.train.micro_batches=3"],
        &[
            "dataset.train.batch_size=24",
            "peft.enabled=true",
            "peft.vision.mode=lora",
            "peft.vision.num_last_blocks=0",
            "peft.text.mode=lora",
            "peft.text.num_last_blocks=0",
        ],
        &["dataset.train.batch_size=24", "regularization.enabled=true"],
    ] {
        let arguments = [&["-e", "spec.yaml", "train.num_epochs=2"], overrides].concat();
        let (predicted, measured) =
            (predicted(&arguments, folder.path()), measured(&arguments, folder.path()));
        fs::remove_dir_all(folder.path().join("out")).unwrap();
        println!("{overrides:?}: predicted {predicted} MB, measured {measured:.0} MB");
        let quotient = predicted / measured;
        assert!((0.75..=1.25).contains(&quotient), "{overrides:?}: {predicted} {measured}");
    }
}
