//! `clip gen_trt_engine`: engines of an export, and what is said where they cannot run. A script stands in for `trtexec`; TensorRT-RTX builds real
//! ones where `HEARTH_TRTEXEC_RTX` names a `hearth-trtexec` (and `TENSORRT_LIBS` its libraries), and has to
//! where `HEARTH_REQUIRE` names `rtx`.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Output};

use serde_json::Value;

use super::{
    export::{CHECKPOINT, names},
    refused::fill,
    session::run,
    shapes::workspace,
};

/// A folder with `m.onnx` and the pair `p.onnx`.
fn exported() -> tempfile::TempDir {
    let folder = workspace();
    done(run(folder.path(), &["-e", "spec.yaml", "train.num_epochs=1"]));
    for more in [
        &["export.onnx_file=m.onnx"][..],
        &["export.onnx_file=p.onnx", "export.encoder_type=separate"],
    ] {
        let checkpoint = "export.checkpoint=out/train/clip_latest.safetensors";
        done(run(
            folder.path(),
            &[&["clip", "export", "-e", "spec.yaml", checkpoint][..], more].concat(),
        ));
    }
    folder
}

#[track_caller]
fn done(output: Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    stderr
}

/// A builder of TensorRT-RTX, or why there is none.
pub(crate) fn trtexec() -> Result<String, &'static str> {
    let Some(trtexec) = std::env::var_os("HEARTH_TRTEXEC_RTX") else {
        let required = std::env::var("HEARTH_REQUIRE").is_ok_and(|list| list.contains("rtx"));
        assert!(!required, "HEARTH_REQUIRE asks for rtx: HEARTH_TRTEXEC_RTX is not set");
        return Err("HEARTH_TRTEXEC_RTX does not name a `hearth-trtexec`");
    };
    Ok(trtexec.into_string().unwrap())
}

/// Builds with what `TRTEXEC` names.
fn build(folder: &Path, trtexec: &str, more: &[&str]) -> Output {
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_trainer"));
    let spec = ["clip", "gen_trt_engine", "-e", "spec.yaml", "hearth.model.tokenizer=null"];
    command.current_dir(folder).args(spec).args(more);
    command.env("TRTEXEC", trtexec).env("HEARTH_CACHE", folder.join(".cache"));
    command.output().unwrap()
}

/// A `trtexec` of TensorRT 10.3 that keeps its arguments in `arguments` and the first kilobyte of
/// what it is given in the engine.
fn script(folder: &Path) -> String {
    let path = folder.join("trtexec");
    let text = "#!/bin/sh
if [ \"$1\" = --help ]; then echo '&&&& RUNNING TensorRT.trtexec [TensorRT v100300]'; exit 0; fi
for one in \"$@\"; do
  echo \"$one\" >> arguments
  case \"$one\" in
    --onnx=*) onnx=\"${one#--onnx=}\";;
    --saveEngine=*) engine=\"${one#--saveEngine=}\";;
  esac
done
head -c 1024 \"$onnx\" > \"$engine\"
";
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

fn card(folder: &Path, engine: &str) -> Value {
    let text = fs::read_to_string(folder.join(format!("{engine}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn every_key_reaches_the_builder() {
    let folder = exported();
    let folder = folder.path();
    let trtexec = script(folder);
    let said = done(build(
        folder,
        &trtexec,
        &[
            "gen_trt_engine.onnx_file=m.onnx",
            "gen_trt_engine.trt_engine=engines/m.engine",
            "gen_trt_engine.timing_cache=timings",
            "gen_trt_engine.gpu_id=1",
            "gen_trt_engine.tensorrt.workspace_size=2048",
            "gen_trt_engine.tensorrt.min_batch_size=2",
            "gen_trt_engine.tensorrt.opt_batch_size=4",
            "gen_trt_engine.tensorrt.max_batch_size=8",
            "gen_trt_engine.verbose=true",
        ],
    ));
    let arguments = fs::read_to_string(folder.join("arguments")).unwrap();
    let expected = [
        "--onnx=m.onnx",
        "--saveEngine=engines/.m.engine.tmp",
        "--device=1",
        "--minShapes=image:2x3x64x64,input_ids:2x16,attention_mask:2x16",
        "--optShapes=image:4x3x64x64,input_ids:4x16,attention_mask:4x16",
        "--maxShapes=image:8x3x64x64,input_ids:8x16,attention_mask:8x16",
        "--memPoolSize=workspace:2048",
        "--stronglyTyped",
        "--timingCacheFile=timings",
        "--profilingVerbosity=detailed",
        "--skipInference",
        "--verbose",
    ];
    assert_eq!(arguments.lines().collect::<Vec<_>>(), expected, "{said}");
    for beside in ["m.engine", "m.engine.json", "m_config.yaml", "m_tokenizer/tokenizer.json"] {
        assert!(folder.join("engines").join(beside).is_file(), "{beside}");
    }
    let card = card(folder, "engines/m.engine");
    assert_eq!((&card["product"], &card["version"]), (&"tensorrt".into(), &"10.3.0".into()));
    assert_eq!((&card["precision"], &card["onnx"]["file"]), (&"fp32".into(), &"m.onnx".into()));
    assert_eq!(card["profile"][0]["max"], serde_json::json!([8, 3, 64, 64]));
    assert!(card["metadata"].as_object().is_some_and(|metadata| !metadata.is_empty()));
}

#[test]
fn a_pair_in_fp16_is_checked_and_built_of_f16_graphs() {
    let folder = exported();
    let folder = folder.path();
    let trtexec = script(folder);
    let fp16 = [
        "gen_trt_engine.onnx_file=p.onnx",
        "gen_trt_engine.trt_engine=p.engine",
        "gen_trt_engine.tensorrt.data_type=fp16",
        "gen_trt_engine.batch_size=4",
    ];
    let said = done(build(folder, &trtexec, &fp16));
    match std::env::var_os("ORT_DYLIB_PATH") {
        Some(_) => assert_eq!(said.matches("fp16 is checked: ").count(), 2, "{said}"),
        None => assert!(said.contains("fp16 is not checked"), "{said}"),
    }
    for engine in ["p_vision.engine", "p_text.engine"] {
        assert_eq!(card(folder, engine)["precision"], "fp16");
    }
    assert!(folder.join("p_tokenizer/tokenizer.json").is_file());
    let left: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let left = left.iter().filter(|name| name.to_string_lossy().contains("fp16"));
    assert_eq!(left.count(), 0, "the f16 graphs are gone");
    let arguments = fs::read_to_string(folder.join("arguments")).unwrap();
    assert!(arguments.contains("--minShapes=image:4x3x64x64\n"), "{arguments}");
}

#[test]
fn what_cannot_be_built_is_said() {
    let folder = exported();
    let folder = folder.path();
    let trtexec = script(folder);
    let refused = |trtexec: &str, more: &[&str], code: i32, expected: &str| {
        let start = ["gen_trt_engine.onnx_file=m.onnx", "gen_trt_engine.trt_engine=x.engine"];
        let output = build(folder, trtexec, &[&start[..], more].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(expected), "{said}");
    };
    refused("/none/trtexec", &[], 8, "hint: install TensorRT");
    let refused = |more: &[&str], code, expected| refused(&trtexec, more, code, expected);
    refused(&["gen_trt_engine.onnx_file=none.onnx"], 4, "none.onnx: not found");
    refused(&["gen_trt_engine.onnx_file=m.etlt"], 2, "needed a name that ends in `.onnx`");
    refused(&["gen_trt_engine.batch_size=0"], 2, "needed a number of samples");
    let batch = "gen_trt_engine.tensorrt.opt_batch_size=32";
    refused(&[batch], 2, "found 1, 32 and 16");
    refused(&["gen_trt_engine.tensorrt.data_type=int8"], 2, "scales that are measured");
    let fp16 = "gen_trt_engine.tensorrt.data_type=fp16";
    let layers = |entry: &str| format!("gen_trt_engine.tensorrt.layers_precision=[{entry}]");
    refused(&[fp16, &layers("a:int8")], 2, "found `a:int8`, needed `layer:fp32` or `layer:fp16`");
    refused(
        &[fp16, &layers("nowhere:fp32")],
        2,
        "found `nowhere`, needed the beginning of the name",
    );
    assert!(!folder.join("x.engine").exists());

    let whole = fs::read(folder.join("m.onnx")).unwrap();
    fs::write(folder.join("half.onnx"), &whole[..whole.len() / 2]).unwrap();
    refused(&["gen_trt_engine.onnx_file=half.onnx"], 4, "half.onnx: not a whole ONNX file");
}

#[test]
fn weights_beyond_f16_are_rejected() {
    let folder = workspace();
    let folder = folder.path();
    done(run(folder, &["-e", "spec.yaml", "train.num_epochs=1"]));
    let checkpoint = fs::canonicalize(folder.join("out/train/clip_latest.safetensors")).unwrap();
    fill(&checkpoint, "visual.transformer.resblocks.0.mlp.c_fc.weight", 1e5);
    // What such a model computes is not compared here.
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_trainer"));
    command.current_dir(folder).args(["clip", "export", "-e", "spec.yaml"]);
    command.args([CHECKPOINT, "export.onnx_file=m.onnx"]);
    done(command.env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so").output().unwrap());
    let keys = [
        "gen_trt_engine.onnx_file=m.onnx",
        "gen_trt_engine.trt_engine=engines/m.engine",
        "gen_trt_engine.tensorrt.data_type=fp16",
    ];
    let output = build(folder, &script(folder), &keys);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(7), "{said}");
    assert!(
        said.contains("weight `visual.blocks.0.mlp.fc1.weight` holds 1e5, f16 ends at 65504"),
        "{said}"
    );
    assert!(
        said.contains("hint: keep it in f32: `gen_trt_engine.tensorrt.layers_precision"),
        "{said}"
    );
    assert_eq!(names(&folder.join("engines")), Vec::<String>::new());
}

/// No library of TensorRT is in this program: what can be known of an engine without one is said before.
#[test]
fn engines_that_cannot_run_are_told_apart() {
    let folder = exported();
    let folder = folder.path();
    let trtexec = script(folder);
    for name in ["m", "p"] {
        let keys = [
            format!("gen_trt_engine.onnx_file={name}.onnx"),
            format!("gen_trt_engine.trt_engine=engines/{name}.engine"),
        ];
        done(build(folder, &trtexec, &keys.each_ref().map(String::as_str)));
    }
    let refused = |engine: &str, code: i32, expected: &str| {
        for action in ["evaluate", "inference"] {
            let engine = format!("{action}.trt_engine={engine}");
            let tokenizer = "hearth.model.tokenizer=null";
            let output = run(folder, &["clip", action, "-e", "spec.yaml", &engine, tokenizer]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(code), "{said}");
            assert!(said.contains(expected), "{said}");
            assert_eq!(names(&folder.join("out").join(action)), ["status.json"]);
        }
    };
    let needs = "needs TensorRT 10.3.0, this program was built without TensorRT's libraries";
    refused("engines/m.engine", 8, &format!("engines/m.engine: {needs}"));
    refused(
        "engines/m.engine",
        8,
        "hint: build it with `cargo build --release -p trainer --features",
    );
    refused("engines/p.engine", 8, &format!("engines/p_vision.engine: {needs}"));
    refused("engines/p_text.engine", 8, &format!("engines/p_vision.engine: {needs}"));
    refused("engines", 8, &format!("engines/p_vision.engine: {needs}"));
    let expected =
        "none: no engine is there, looked for none.engine, none_vision.engine, none_text.engine";
    refused("none", 4, expected);
    refused("train", 4, "train: no engine is there, looked for train/*.engine");
    refused("m.onnx", 2, "needed an engine");

    let engine = folder.join("engines/m.engine");
    let plan = fs::read(&engine).unwrap();
    fs::write(&engine, &plan[..100]).unwrap();
    refused("engines/m.engine", 4, "engines/m.engine: 100 bytes, its description says 1024");
    fs::write(&engine, [&plan[..1023], b"\0"].concat()).unwrap();
    refused("engines/m.engine", 4, "not the engine that its description was written for");
    fs::write(folder.join("engines/m.engine.json"), "{}").unwrap();
    refused(
        "engines/m.engine",
        4,
        "m.engine.json: not the description of an engine: missing field",
    );
    fs::remove_file(folder.join("engines/m.engine.json")).unwrap();
    refused("engines/m.engine", 4, "its description `engines/m.engine.json` is not beside it");
    for beside in ["m_tokenizer", "p_tokenizer"] {
        fs::remove_dir_all(folder.join("engines").join(beside)).unwrap();
    }
    // TAO looks above the folder too, where those of the graphs lie.
    refused("engines/p.engine", 8, needs);
    fs::create_dir(folder.join("away")).unwrap();
    fs::rename(folder.join("engines"), folder.join("away/engines")).unwrap();
    refused("away/engines/p.engine", 4, "its tokenizer is not at away/engines/p_tokenizer, ");
    let both = ["evaluate.trt_engine=away/engines/p.engine", "evaluate.checkpoint=m.onnx"];
    let output = run(folder, &[&["clip", "evaluate", "-e", "spec.yaml"], &both[..]].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("needed either this or `evaluate.checkpoint`"), "{said}");
}

#[test]
fn tensorrt_rtx_builds_engines_without_a_gpu() {
    let trtexec = match trtexec() {
        Ok(trtexec) => trtexec,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let folder = exported();
    let folder = folder.path();
    let engine = |onnx: &str, precision: &str, engine: &str| {
        let keys = [
            format!("gen_trt_engine.onnx_file={onnx}"),
            format!("gen_trt_engine.trt_engine={engine}"),
            format!("gen_trt_engine.tensorrt.data_type={precision}"),
        ];
        done(build(folder, &trtexec, &keys.each_ref().map(String::as_str)));
    };
    for precision in ["fp32", "fp16"] {
        for (onnx, engines) in [("m.onnx", &["m"][..]), ("p.onnx", &["p_vision", "p_text"])] {
            let stem = onnx.strip_suffix(".onnx").unwrap();
            for round in ["one", "two"] {
                engine(onnx, precision, &format!("{round}/{precision}/{stem}.engine"));
            }
            for name in engines {
                let [one, two] = ["one", "two"].map(|round| {
                    fs::read(folder.join(format!("{round}/{precision}/{name}.engine"))).unwrap()
                });
                // TensorRT-RTX 1.7.1 writes some of its own entries in another order at times.
                assert!(one.starts_with(b"vtrt") && one.len() == two.len(), "{precision} {name}");
                let card = card(folder, &format!("one/{precision}/{name}.engine"));
                assert_eq!(
                    (&card["product"], &card["precision"]),
                    (&"tensorrt-rtx".into(), &precision.into())
                );
            }
        }
    }
}
