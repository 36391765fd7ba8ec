//! Building engines: shapes, arguments, a `trtexec` that is a script, the card of an engine.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use hearth_deploy::{
    DeployError,
    onnx::{DataType, DimensionValue, GraphProto, ModelProto, TensorProto, ValueInfoProto},
    trt::{
        Batches, Blame, EngineCard, LibraryError, Listener, Order, Plan, Product, Profile, Source,
        TensorRtEngine, TensorRtError, Trtexec, Version, arguments,
    },
};

fn side(size: i64) -> DimensionValue {
    match size {
        -1 => DimensionValue::Named("batch_size".to_owned()),
        size => DimensionValue::Fixed(size),
    }
}

fn taking(inputs: &[(&str, &[i64])]) -> ModelProto {
    let input = inputs.iter().map(|(name, sides)| {
        ValueInfoProto::tensor(*name, DataType::Float, sides.iter().map(|&size| side(size)))
    });
    let graph = GraphProto { input: input.collect(), ..GraphProto::default() };
    ModelProto { graph: Some(graph), ..ModelProto::default() }
}

const CLIP: &[(&str, &[i64])] =
    &[("image", &[-1, 3, 32, 32]), ("input_ids", &[-1, 77]), ("attention_mask", &[-1, 77])];

fn order(profile: Profile) -> Order {
    Order {
        onnx: PathBuf::from("/m/x.onnx"),
        profile,
        half: true,
        workspace: 1024,
        timing_cache: Some(PathBuf::from("/m/cache")),
        verbose: true,
        gpu: 1,
        metadata: BTreeMap::new(),
    }
}

#[test]
fn the_batch_is_the_first_side_of_every_input() {
    let batches = Batches { min: 1, opt: 4, max: 16 };
    let profile = Profile::new(&taking(CLIP), batches).unwrap();
    assert!(profile.open);
    assert_eq!(profile.inputs[0].max, [16, 3, 32, 32]);
    assert_eq!((&*profile.inputs[2].min, &*profile.inputs[2].opt), (&[1, 77][..], &[4, 77][..]));
    assert!(profile.takes(&[vec![16, 3, 32, 32], vec![16, 77], vec![16, 77]]).is_ok());
    let error = profile.takes(&[vec![16, 3, 32, 32], vec![16, 64], vec![16, 64]]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "input `input_ids`: found the shape [16, 64], the engine takes [1, 77] to [16, 77]"
    );
    assert!(profile.takes(&[vec![17, 3, 32, 32]]).is_err());

    let fixed = taking(&[("image", &[8, 3, 32, 32])]);
    let profile = Profile::new(&fixed, batches).unwrap();
    assert_eq!((profile.open, profile.fixed_batch()), (false, Some(8)));
    assert_eq!(profile.inputs[0].min, [8, 3, 32, 32]);
}

#[test]
fn inputs_that_no_profile_serves_are_named() {
    let message = |inputs: &[(&str, &[i64])], batches| {
        Profile::new(&taking(inputs), batches).unwrap_err().to_string()
    };
    let one = Batches::fixed(1);
    assert_eq!(
        message(&[("image", &[-1, 3, -1, 32])], one),
        "input `image` is open behind its first side, which alone may be"
    );
    assert_eq!(
        message(&[("image", &[-1, 3]), ("ids", &[4, 77])], one),
        "inputs `image` and `ids` have different batches, needed the same for all"
    );
    assert_eq!(message(&[("scale", &[])], one), "input `scale` is a single number");
    assert_eq!(message(&[], one), "the graph has no inputs");
    for (min, opt, max) in [(2, 1, 4), (1, 8, 4), (0, 1, 1)] {
        let found = message(CLIP, Batches { min, opt, max });
        assert_eq!(found, format!("batches {min}, {opt}, {max}: needed 1 <= min <= opt <= max"));
    }
    // Old files list weights among the inputs.
    let mut old = taking(&[("image", &[-1, 3]), ("w", &[3, 3])]);
    let graph = old.graph.as_mut().unwrap();
    graph.initializer.push(TensorProto::floats("w", &[3, 3], &[0.0; 9]));
    assert_eq!(Profile::new(&old, one).unwrap().inputs.len(), 1);
}

#[test]
fn arguments_follow_the_version() {
    let profile = Profile::new(&taking(CLIP), Batches { min: 1, opt: 4, max: 16 }).unwrap();
    let of = |version, order: &Order| arguments(version, order, Path::new("/m/x.engine"));
    let common = [
        "--onnx=/m/x.onnx",
        "--saveEngine=/m/x.engine",
        "--device=1",
        "--minShapes=image:1x3x32x32,input_ids:1x77,attention_mask:1x77",
        "--optShapes=image:4x3x32x32,input_ids:4x77,attention_mask:4x77",
        "--maxShapes=image:16x3x32x32,input_ids:16x77,attention_mask:16x77",
    ];
    let order = order(profile);
    let rest = |version| of(version, &order)[common.len()..].join(" ");
    assert_eq!(of(Version(11, 4, 0), &order)[..common.len()], common);
    assert_eq!(
        rest(Version(11, 4, 0)),
        "--memPoolSize=workspace:1024 --timingCacheFile=/m/cache --profilingVerbosity=detailed \
         --skipInference --verbose"
    );
    assert_eq!(
        rest(Version(10, 3, 0)),
        "--memPoolSize=workspace:1024 --stronglyTyped --timingCacheFile=/m/cache \
         --profilingVerbosity=detailed --skipInference --verbose"
    );
    assert_eq!(
        rest(Version(8, 6, 1)),
        "--memPoolSize=workspace:1024 --fp16 --timingCacheFile=/m/cache \
         --profilingVerbosity=detailed --skipInference --verbose"
    );
    assert_eq!(
        rest(Version(8, 2, 5)),
        "--workspace=1024 --fp16 --timingCacheFile=/m/cache --buildOnly --verbose"
    );
    let fixed = Profile::new(&taking(&[("x", &[2, 3])]), Batches::fixed(2)).unwrap();
    let plain = Order {
        half: false,
        workspace: 0,
        timing_cache: None,
        verbose: false,
        gpu: 0,
        profile: fixed,
        ..order.clone()
    };
    assert_eq!(
        of(Version(8, 6, 1), &plain).join(" "),
        "--onnx=/m/x.onnx --saveEngine=/m/x.engine --device=0 --profilingVerbosity=detailed \
         --skipInference"
    );
}

#[test]
fn versions_are_read_from_numbers() {
    let standard = |number| Version::of(Product::Standard, number).to_string();
    assert_eq!(standard(8501), "8.5.1");
    assert_eq!(standard(100_001), "10.0.1");
    assert_eq!(standard(110_400), "11.4.0");
    assert_eq!(Version::of(Product::Rtx, 10_701), Version(1, 7, 1));
}

/// A program in `folder` that says its version, and otherwise does what `body` says.
fn script(folder: &Path, version: &str, body: &str) -> PathBuf {
    let path = folder.join("trtexec");
    let text = format!(
        "#!/bin/sh\nif [ \"$1\" = --help ]; then echo '&&&& RUNNING TensorRT.trtexec {version} # t'; exit 1; fi\n\
         for one in \"$@\"; do case \"$one\" in --saveEngine=*) engine=\"${{one#--saveEngine=}}\";; esac; done\n{body}\n"
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn build(program: &Trtexec, engine: &Path) -> (Result<(), TensorRtError>, Vec<String>) {
    let profile = Profile::new(&taking(CLIP), Batches::fixed(1)).unwrap();
    let mut lines = Vec::new();
    let mut say = |line: &str| lines.push(line.to_owned());
    let mut listener = Listener { say: &mut say, stopped: &|| false };
    let built = program.build(&order(profile), engine, &mut listener);
    (built, lines)
}

#[test]
fn a_program_is_found_asked_and_run() {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("record");
    let body = format!(
        "for one in \"$@\"; do echo \"$one\" >> {}; done\necho '[I] building'\necho '[W] slow' >&2\nprintf plan > \"$engine\"",
        record.display()
    );
    let path = script(folder.path(), "[TensorRT v100300] [b26]", &body);
    let by_variable = Trtexec::find_in(Some(path.as_os_str()), OsStr::new("")).unwrap();
    let by_path = Trtexec::find_in(None, folder.path().as_os_str()).unwrap();
    assert_eq!(by_variable, by_path);
    assert_eq!(
        by_path,
        Trtexec { program: path, product: Product::Standard, version: Version(10, 3, 0) }
    );

    let engine = folder.path().join("x.engine");
    let (built, lines) = build(&by_path, &engine);
    built.unwrap();
    assert_eq!(lines, ["[I] building", "[W] slow"]);
    assert_eq!(fs::read(&engine).unwrap(), b"plan");
    let recorded = fs::read_to_string(record).unwrap();
    assert!(recorded.contains("--stronglyTyped\n"), "{recorded}");
    assert!(
        recorded.contains(&format!("--saveEngine={}/.x.engine.tmp\n", folder.path().display()))
    );
    assert!(!folder.path().join(".x.engine.tmp").exists());
}

#[test]
fn a_failed_build_leaves_nothing_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let body = "printf half > \"$engine\"\necho '[I] fine so far'\necho '[E] Error[4]: no kernel' >&2\nexit 3";
    let path = script(folder.path(), "[TensorRT v110400]", body);
    let program = Trtexec::find_in(Some(path.as_os_str()), OsStr::new("")).unwrap();
    let engine = folder.path().join("x.engine");
    fs::write(&engine, "former").unwrap();
    let (built, _) = build(&program, &engine);
    assert_eq!(
        built.unwrap_err().to_string(),
        format!("{}: no engine (exit status: 3)\n  [E] Error[4]: no kernel", path.display())
    );
    assert_eq!(fs::read(&engine).unwrap(), b"former");
    assert!(!folder.path().join(".x.engine.tmp").exists());

    script(folder.path(), "[TensorRT v110400]", ": > \"$engine\"");
    let (built, _) = build(&program, &engine);
    assert!(matches!(built, Err(TensorRtError::File(_))), "an empty engine is none");
}

#[test]
fn a_build_ends_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = script(folder.path(), "[TensorRT v110400]", "echo started\nexec sleep 600");
    let program = Trtexec::find_in(Some(path.as_os_str()), OsStr::new("")).unwrap();
    let profile = Profile::new(&taking(CLIP), Batches::fixed(1)).unwrap();
    let mut listener = Listener { say: &mut |_| {}, stopped: &|| true };
    let built = program.build(&order(profile), &folder.path().join("x.engine"), &mut listener);
    assert!(matches!(built, Err(TensorRtError::Stopped)));
}

#[test]
fn a_missing_program_says_what_to_install() {
    let folder = tempfile::tempdir().unwrap();
    let error = Trtexec::find_in(None, folder.path().as_os_str()).unwrap_err();
    assert_eq!(error.blame(), Blame::Installation);
    assert!(error.hints()[0].contains("TRTEXEC"), "{:?}", error.hints());
    let error = Trtexec::find_in(Some(OsStr::new("/none/trtexec")), OsStr::new("")).unwrap_err();
    assert_eq!(error.to_string(), "TRTEXEC: /none/trtexec: not a program");
    assert_eq!(error.blame(), Blame::Installation);

    let path = script(folder.path(), "[something else]", "");
    let error = Trtexec::find_in(Some(path.as_os_str()), OsStr::new("")).unwrap_err();
    assert!(error.to_string().contains("does not say which TensorRT"), "{error}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let error = Trtexec::find_in(Some(path.as_os_str()), OsStr::new("")).unwrap_err();
    assert!(matches!(error, TensorRtError::NotStarted { .. }));
}

#[test]
fn an_engine_has_a_card() {
    let folder = tempfile::tempdir().unwrap();
    let engine = folder.path().join("x.engine");
    assert_eq!(EngineCard::read(&engine).unwrap(), None);
    let onnx = folder.path().join("x.onnx");
    fs::write(&onnx, "abc").unwrap();
    fs::write(&engine, "plan").unwrap();
    let card = EngineCard {
        product: Product::Standard,
        version: "11.4.0".to_owned(),
        compute_capability: Some("9.0".to_owned()),
        precision: "fp16".to_owned(),
        profile: Profile::new(&taking(CLIP), Batches::fixed(1)).unwrap().inputs,
        plan: Plan::of(&engine).unwrap(),
        onnx: Source::of(&onnx).unwrap(),
        metadata: BTreeMap::from([("recipe".to_owned(), "{}".to_owned())]),
    };
    assert_eq!(
        card.onnx.sha256,
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    card.write(&engine).unwrap();
    assert!(folder.path().join("x.engine.json").is_file());
    assert_eq!(EngineCard::read(&engine).unwrap().unwrap(), card);

    let check = |product, version, capability| {
        let checked = card.check(Path::new("x.engine"), product, version, capability);
        checked.err().map(|error| error.to_string())
    };
    let standard = Product::Standard;
    assert_eq!(check(standard, Version(11, 4, 0), Some("9.0")), None);
    assert_eq!(check(standard, Version(11, 4, 0), None), None);
    assert_eq!(
        check(standard, Version(11, 3, 0), Some("9.0")).unwrap(),
        "x.engine: built by TensorRT 11.4.0, found TensorRT 11.3.0"
    );
    assert_eq!(
        check(Product::Rtx, Version(1, 7, 1), Some("9.0")).unwrap(),
        "x.engine: built by TensorRT 11.4.0, found TensorRT-RTX 1.7.1"
    );
    assert_eq!(
        check(standard, Version(11, 4, 0), Some("8.9")).unwrap(),
        "x.engine: built for compute capability 9.0, found a GPU of compute capability 8.9"
    );
    fs::write(EngineCard::path(&engine), "{\"product\": \"tensorrt\"").unwrap();
    let error = EngineCard::read(&engine).unwrap_err();
    assert!(
        error.to_string().contains("x.engine.json: not the description of an engine"),
        "{error}"
    );
}

#[test]
fn an_engine_is_compared_with_its_card_before_anything_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let engine = folder.path().join("x.engine");
    let refused = || {
        let DeployError::TensorRt(error) = TensorRtEngine::open(&engine, 0).unwrap_err() else {
            panic!("another kind of error");
        };
        let shown = error.to_string().replace(&format!("{}/", folder.path().display()), "");
        (shown, error.blame())
    };
    let is = |text: &str, blame| (text.to_owned(), blame);
    fs::write(&engine, "plan").unwrap();
    let expected = "x.engine: its description `x.engine.json` is not beside it";
    assert_eq!(refused(), is(expected, Blame::Model));

    let mut card = EngineCard {
        product: Product::Rtx,
        version: "1.7.1".to_owned(),
        compute_capability: None,
        precision: "fp32".to_owned(),
        profile: Profile::new(&taking(CLIP), Batches::fixed(1)).unwrap().inputs,
        plan: Plan::of(&engine).unwrap(),
        onnx: Source { file: "x.onnx".to_owned(), sha256: String::new() },
        metadata: BTreeMap::new(),
    };
    card.write(&engine).unwrap();
    fs::write(&engine, "pla").unwrap();
    let expected = "x.engine: 3 bytes, its description says 4";
    assert_eq!(refused(), is(expected, Blame::Model));
    fs::write(&engine, "pLan").unwrap();
    let expected = "x.engine: not the engine that its description was written for";
    assert_eq!(refused(), is(expected, Blame::Model));
    fs::write(&engine, "plan").unwrap();
    let expected =
        "x.engine: needs TensorRT-RTX 1.7.1, this program was built without TensorRT's libraries";
    assert_eq!(refused(), is(expected, Blame::Installation));
    let hints = TensorRtEngine::open(&engine, 0).unwrap_err().hints();
    assert!(hints[0].contains("--features tensorrt-rtx"), "{hints:?}");
    assert!(hints[1].contains("pip download tensorrt_rtx_cu13_libs"), "{hints:?}");

    card.check_product(&engine, Some(Product::Rtx)).unwrap();
    let error = card.check_product(Path::new("x.engine"), Some(Product::Standard)).unwrap_err();
    assert_eq!(
        (error.to_string(), error.blame()),
        is("x.engine: built by TensorRT-RTX 1.7.1, found a program for TensorRT", Blame::Model)
    );
    card.profile[1].max[1] = 0;
    card.write(&engine).unwrap();
    let (shown, blame) = refused();
    assert!(shown.ends_with("the shapes of `input_ids` are not in order"), "{shown}");
    assert_eq!(blame, Blame::Model);
}

#[test]
fn a_machine_without_a_gpu_is_to_blame() {
    let error = TensorRtError::from(LibraryError::NoGpu { said: "no driver".to_owned() });
    assert_eq!(
        (error.to_string().as_str(), error.blame()),
        ("no NVIDIA GPU: no driver", Blame::Machine)
    );
}
