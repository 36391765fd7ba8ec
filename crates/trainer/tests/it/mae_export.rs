//! `mae export` and `gen_trt_engine`: a model of each family as ONNX, compared by ONNX Runtime where it
//! is found, and as a TensorRT-RTX engine where its builder is.

use std::{fs, path::Path};

use super::{
    engine::trtexec,
    export::no_runtime,
    mae::{SMALL, checkpoint, finetune, newest, workspace},
    training::{fail, succeed},
};

#[test]
fn classifiers_and_encoders_are_verified() {
    if let Some(reason) = no_runtime() {
        println!("skipped: {reason}");
        return;
    }
    for arch in SMALL {
        let folder = workspace(arch);
        let folder = folder.path();
        succeed(folder, &["-e", "spec.yaml", "train.num_epochs=1"]);
        let pretrained = checkpoint("export", &newest(folder, "out", arch));
        let tuned = checkpoint("export", &finetune(folder, arch, &["train.num_epochs=1"]));
        for (name, model, more) in [
            ("encoder", &pretrained, &[][..]),
            ("tao", &pretrained, &["hearth.export.untrained_classifier=true"]),
            ("classifier", &tuned, &["export.batch_size=2", "export.opset_version=20"]),
        ] {
            let file = format!("export.onnx_file={name}.onnx");
            let command = [&["export", "-e", "spec.yaml", model, &file][..], more].concat();
            let stdout = succeed(folder, &command);
            assert!(stdout.contains("verified"), "{arch} {name}: {stdout}");
            let parity = fs::read_to_string(folder.join(format!("{name}_parity.json"))).unwrap();
            let output = if name == "encoder" { "patch_features" } else { "output" };
            assert!(parity.contains(&format!("\"{output}\"")), "{arch} {name}: {parity}");
        }
        let stderr = fail(
            folder,
            1,
            &["export", "-e", "spec.yaml", &tuned, "export.onnx_file=classifier.onnx"],
        );
        assert!(stderr.contains("exists already"), "{stderr}");
    }
}

#[test]
fn engines_are_built_of_each_family() {
    let trtexec = match trtexec() {
        Ok(trtexec) => trtexec,
        Err(reason) => return println!("skipped: {reason}"),
    };
    for arch in SMALL {
        let folder = workspace(arch);
        let folder = folder.path();
        succeed(folder, &["-e", "spec.yaml", "train.num_epochs=1"]);
        let tuned = checkpoint("export", &finetune(folder, arch, &["train.num_epochs=1"]));
        succeed(folder, &["export", "-e", "spec.yaml", &tuned, "export.onnx_file=model.onnx"]);
        for data_type in ["fp32", "fp16"] {
            let engine = format!("{data_type}.engine");
            let more = [
                "mae",
                "gen_trt_engine",
                "-e",
                "spec.yaml",
                "gen_trt_engine.onnx_file=model.onnx",
                &format!("gen_trt_engine.trt_engine={engine}"),
                &format!("gen_trt_engine.tensorrt.data_type={data_type}"),
                "gen_trt_engine.tensorrt.max_batch_size=4",
            ];
            let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_trainer"));
            command.current_dir(folder).args(more).env("TRTEXEC", &trtexec).assert().success();
            assert!(size(&folder.join(&engine)) > 10_000, "{arch} {data_type}");
        }
    }
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}
