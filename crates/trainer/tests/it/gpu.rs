//! The program on the graphics processor of this build: the same numbers as on the CPU, but for rounding.

use std::{fs, path::Path};

use tempfile::TempDir;

use super::{
    embedding::read,
    replicas::{STATE, norm, tensors, train_loss},
    shapes,
    training::{fail, succeed},
};

#[cfg(feature = "cuda")]
const DEVICE: &str = "cuda";
#[cfg(not(feature = "cuda"))]
const DEVICE: &str = "wgpu";

/// Every program tries the kernels that could serve and keeps nothing of it: here one sample of each
/// has to do, since Mesa's Vulkan takes its time.
const TUNING: &str = "\
[autotune]
level = \"minimal\"
bench = { min_samples = 1, max_samples = 1, short_circuit_samples = 1 }
";

fn workspace() -> TempDir {
    let folder = shapes::workspace();
    fs::write(folder.path().join("cubecl.toml"), TUNING).unwrap();
    folder
}

/// One step in `results` on `device`.
fn step(folder: &Path, results: &str, device: &str, more: &[&str]) {
    let results = format!("results_dir={results}");
    let one = ["-e", "spec.yaml", "dataset.train.batch_size=20", "train.num_epochs=1"];
    succeed(folder, &[&one[..], &["--device", device, &results], more].concat());
}

/// The first moments of the optimizer after one step are its gradients times a constant.
#[test]
fn a_training_step_has_the_loss_and_the_gradients_of_the_cpu() {
    let folder = workspace();
    let folder = folder.path();
    for more in [
        &["train.loss_type=clip", "hearth.train.micro_batches=2"][..],
        &["model.type=hearth-tiny-naflex", "train.grad_checkpointing=true"],
    ] {
        step(folder, "cpu", "cpu", more);
        step(folder, "gpu", DEVICE, more);
        let (cpu, gpu) = (folder.join("cpu"), folder.join("gpu"));
        let (a, b) = (train_loss(&cpu.join("train")), train_loss(&gpu.join("train")));
        assert!((a - b).abs() < 1e-4 * a, "{more:?}: loss {a} {b}");
        let file = |results: &Path| tensors(&results.join(STATE).join("optimizer.safetensors"));
        let (on_cpu, on_gpu) = (file(&cpu), file(&gpu));
        let size = norm(on_cpu.iter().flat_map(|(_, values)| values.iter().copied()));
        for ((name, a), (_, b)) in on_cpu.iter().zip(&on_gpu) {
            let difference = norm(a.iter().zip(b).map(|(a, b)| a - b));
            assert!(difference < 1e-4 * size, "{more:?}: {name} by {difference}");
        }
        fs::remove_dir_all(cpu).unwrap();
        fs::remove_dir_all(gpu).unwrap();
    }
}

#[test]
fn a_checkpoint_of_one_device_serves_on_the_other() {
    let folder = workspace();
    let folder = folder.path();
    succeed(folder, &["-e", "spec.yaml", "--device", DEVICE, "train.num_epochs=1"]);
    succeed(folder, &["-e", "spec.yaml", "--device", "cpu", "train.num_epochs=2"]);
    succeed(folder, &["-e", "spec.yaml", "--device", DEVICE, "train.num_epochs=3"]);

    let checkpoint = "checkpoint=out/train/clip_latest.safetensors";
    let rows = |device: &str| {
        for action in ["evaluate", "inference"] {
            let (checkpoint, results) =
                (format!("{action}.{checkpoint}"), format!("results_dir={device}"));
            let command = ["clip", action, "-e", "spec.yaml", "--device", device];
            succeed(folder, &[&command[..], &[&checkpoint, &results]].concat());
        }
        read(&folder.join(device).join("inference"), "image_embeddings.h5", "image_paths")
    };
    let (on_cpu, on_gpu) = (rows("cpu"), rows(DEVICE));
    assert_eq!((on_cpu.0, on_cpu.2), (on_gpu.0, on_gpu.2));
    for (a, b) in on_cpu.1.iter().zip(&on_gpu.1) {
        assert!((a - b).abs() < 1e-4, "{a} {b}");
    }
}

#[test]
fn a_device_that_is_not_there_is_named_with_those_that_are() {
    let folder = workspace();
    let absent = format!("{DEVICE}:99");
    let said = fail(folder.path(), 5, &["-e", "spec.yaml", "--device", &absent]);
    let expected = format!("device `{absent}`: not on this machine, which has `cpu`, `{DEVICE}:0`");
    assert!(said.contains(&expected), "{said}");
    assert!(said.contains("hint: `trainer doctor` lists"), "{said}");
    let shown = succeed(folder.path(), &["doctor"]);
    assert!(shown.contains(&format!("{DEVICE}:0")), "{shown}");
}
