//! The definition of the spec against TAO's own lists of keys and its templates.

use std::{collections::BTreeMap, path::PathBuf};

use hearth_clip::spec::{Action, ClipSpec};
use hearth_spec::{Block, Document, Json, Key, Kind, common::Precision, to_yaml};

/// A file of the facts gathered from TAO; `None`, with the reason printed, where they are not at hand.
fn shared(name: &str) -> Option<String> {
    let folder = std::env::var_os("HEARTH_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path);
    if let Err(error) = &text {
        println!("skipped: {}: {error}", path.display());
    }
    text.ok()
}

fn read(yaml: &str, overrides: &[&str]) -> ClipSpec {
    let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
    let document = Document::parse("spec.yaml", yaml, &overrides, &|_| None);
    document.and_then(|document| document.read()).unwrap_or_else(|errors| panic!("{errors}"))
}

/// Every value of the definition by its dotted name, items of lists as `datasets[].image_dir`.
fn values<'a>(keys: &'a [Key], parent: &str, out: &mut BTreeMap<String, &'a Key>) {
    for key in keys {
        let path = format!("{parent}{}", key.name);
        match (key.kind.keys(), key.kind.inner()) {
            (Some(keys), Kind::List(_)) => values(keys, &format!("{path}[]."), out),
            (Some(keys), _) => values(keys, &format!("{path}."), out),
            (None, _) => {
                out.insert(path, key);
            }
        }
    }
}

/// The type in the words of TAO's dataclasses.
fn type_of(kind: &Kind) -> String {
    match kind {
        Kind::Int => "int".into(),
        Kind::Float => "float".into(),
        Kind::Bool => "bool".into(),
        Kind::Text | Kind::Options(_) => "str".into(),
        Kind::List(item) => format!("List[{}]", type_of(item)),
        Kind::Optional(inner) => format!("Optional[{}]", type_of(inner)),
        Kind::Block(_) => "block".into(),
    }
}

fn options_of(kind: &Kind) -> Option<String> {
    match kind.inner() {
        Kind::Options(choices) => {
            Some(choices.iter().map(|choice| choice.name).collect::<Vec<_>>().join(","))
        }
        _ => None,
    }
}

#[test]
fn every_key_of_tao_is_there_with_type_default_options_and_range() {
    let Some(text) = shared("tao/keys-7.3.0.json") else { return };
    let theirs: Json = serde_json::from_str(&text).unwrap();
    let mut ours = BTreeMap::new();
    values(ClipSpec::keys(), "", &mut ours);

    let mut compared = 0;
    for (name, tao) in theirs["clip"].as_object().unwrap() {
        if matches!(tao["type"].as_str(), Some("block" | "list")) {
            continue;
        }
        let key = ours.remove(name).unwrap_or_else(|| panic!("`{name}` is missing"));
        compared += 1;
        assert_eq!(type_of(&key.kind), tao["type"], "type of `{name}`");
        assert_eq!(key.default, tao["default"], "default of `{name}`");
        // Ours may know a word more, which it refuses with a reason.
        match (options_of(&key.kind), tao["valid_options"].as_str()) {
            (Some(ours), Some(theirs)) if ours.starts_with(theirs) => {}
            (ours, theirs) => assert_eq!(ours.as_deref(), theirs, "`{name}`"),
        }
        if let Some(min) = tao["valid_min"].as_f64() {
            assert_eq!(key.range.min, Some(min), "smallest `{name}`");
        }
        // Ours may be closer where a number outside makes no sense.
        if let Some(max) = tao["valid_max"].as_f64() {
            assert_eq!(key.range.max, Some(max), "largest `{name}`");
        }
    }
    assert_eq!(compared, 165);
    let more: Vec<&String> = ours.keys().filter(|name| !name.starts_with("hearth.")).collect();
    assert!(more.is_empty(), "TAO has no {more:?}");
}

#[test]
fn keys_stand_in_the_order_of_tao() {
    let Some(text) = shared("tao/keys-7.3.0.json") else { return };
    let theirs: Json = serde_json::from_str(&text).unwrap();
    let theirs: Vec<&String> =
        theirs["clip"].as_object().unwrap().keys().filter(|name| !name.contains('.')).collect();
    let ours: Vec<&str> = ClipSpec::keys().iter().map(|key| key.name).collect();
    assert_eq!(theirs, ours[..ours.len() - 1]);
    assert_eq!(ours[ours.len() - 1], "hearth");
}

const TEMPLATES: [&str; 5] = [
    "spec_template.yaml",
    "spec_template_train.yaml",
    "spec_template_evaluate.yaml",
    "spec_template_export.yaml",
    "spec_template_deploy.yaml",
];

#[test]
fn the_templates_of_tao_are_read() {
    for name in TEMPLATES {
        let Some(text) = shared(&format!("tao/clip/{name}")) else { return };
        let spec = read(&text, &["results_dir=/r"]);
        assert_eq!(spec.results_dir.as_deref(), Some("/r"), "{name}");
    }
}

#[test]
fn results_dir_in_a_template_is_the_root_of_the_user() {
    let Some(text) = shared("tao/clip/spec_template.yaml") else { return };
    let spec = read(&text, &["results_dir=/r", "export.results_dir=/elsewhere"]);
    assert_eq!(spec.export.onnx_file.as_deref(), Some("/r/export/clip_model.onnx"));
    assert_eq!(spec.gen_trt_engine.onnx_file, "/r/export/clip_model.onnx");
    assert_eq!(spec.gen_trt_engine.trt_engine.as_deref(), Some("/r/deploy/clip_model.engine"));
}

/// What the full template changes is what the definition says that it changes.
#[test]
fn template_values_are_those_of_the_template() {
    let Some(text) = shared("tao/clip/spec_template.yaml") else { return };
    let written = Json::Object(read(&text, &["results_dir=R"]).to_map());
    let mut keys = BTreeMap::new();
    values(ClipSpec::keys(), "", &mut keys);
    for (name, key) in keys.into_iter().filter(|(name, _)| !name.contains("[]")) {
        let value = name.split('.').fold(&written, |value, part| &value[part]);
        let expected = match &key.template {
            Some(Json::String(text)) => Json::from(text.replace("${results_dir}", "R")),
            Some(other) => other.clone(),
            None if name == "results_dir" => Json::from("R"),
            None => key.default.clone(),
        };
        assert_eq!(*value, expected, "{name}");
    }
}

#[test]
fn the_default_spec_reads_back_as_the_defaults() {
    let yaml = to_yaml(&ClipSpec::default());
    assert_eq!(read(&yaml, &[]), ClipSpec::default());
}

#[test]
fn every_key_can_be_set_on_the_command_line() {
    let mut keys = BTreeMap::new();
    values(ClipSpec::keys(), "", &mut keys);
    for (name, key) in keys.into_iter().filter(|(name, _)| !name.contains("[]")) {
        let default = if key.is_mandatory() { Json::from("x") } else { key.default.clone() };
        let text = match &default {
            Json::String(text) => text.clone(),
            other => other.to_string().replace('"', ""),
        };
        let yaml = format!("{name}={text}");
        let read = Json::Object(read("", &[&yaml]).to_map());
        let value = name.split('.').fold(&read, |value, part| &value[part]);
        assert_eq!(*value, default, "{yaml}");
    }
}

#[test]
fn every_key_has_a_meaning_of_its_own() {
    fn walk(keys: &[Key]) {
        for key in keys {
            let meaning = key.meaning();
            assert!(meaning.len() > 8 && meaning.ends_with(['.', ')']), "{}: {meaning}", key.name);
            walk(key.kind.keys().unwrap_or_default());
        }
    }
    walk(ClipSpec::keys());
}

#[test]
fn precision_has_many_spellings() {
    for (text, precision) in [
        ("fp32", Precision::Fp32),
        ("32", Precision::Fp32),
        ("'32'", Precision::Fp32),
        ("32-true", Precision::Fp32),
        ("16", Precision::Fp16),
        ("16-mixed", Precision::Fp16),
        ("bf16", Precision::Bf16),
        ("bf16-mixed", Precision::Bf16),
    ] {
        assert_eq!(read(&format!("train: {{precision: {text}}}"), &[]).train.precision, precision);
    }
}

#[test]
fn an_action_writes_to_its_own_folder_or_to_one_in_the_root() {
    let folder = |yaml: &str, action: Action| {
        read(yaml, &[]).results_dir(action).map(|path| path.display().to_string())
    };
    assert_eq!(folder("results_dir: /r", Action::Train).as_deref(), Some("/r/train"));
    assert_eq!(folder("results_dir: /r", Action::Evaluate).as_deref(), Some("/r/evaluate"));
    let own = "results_dir: /r\ninference: {results_dir: /x}";
    assert_eq!(folder(own, Action::Inference).as_deref(), Some("/x"));
    assert_eq!(folder("results_dir: ''", Action::Train), None);
}

#[test]
fn the_portable_spec_names_no_path_and_no_secret() {
    let yaml = "
results_dir: /secret
encryption_key: /secret
dataset:
  train: {num_workers: 3, datasets: [{image_dir: /secret}], wds: {root_dir: /secret}}
  val: {num_workers: 3, datasets: [{image_dir: /secret}], batch_size: 7}
train:
  results_dir: /secret
  resume_training_checkpoint_path: /secret
  pretrained_model_path: /secret
  checkpointer: {dirpath: /secret}
  num_epochs: 3
evaluate: {checkpoint: /secret, text_file: /secret}
inference: {checkpoint: /secret}
export: {onnx_file: /secret}
gen_trt_engine: {onnx_file: /secret, timing_cache: /secret}
hearth: {model: {tokenizer: /secret}, evaluate: {zero_shot: {image_dir: /secret, class_names: /secret}}}
";
    let portable = read(yaml, &[]).portable();
    assert!(!portable.contains("/secret"), "{portable}");
    let expected = read("{train: {num_epochs: 3}, dataset: {val: {batch_size: 7}}}", &[]);
    assert_eq!(portable, expected.portable());
    assert_eq!(read(&portable, &[]), expected);
}

#[test]
fn the_specs_of_the_repository_are_sound() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../configs/clip");
    let mut read = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let document = Document::load(&path, &[]).unwrap_or_else(|err| panic!("{err}"));
            document.read::<ClipSpec>().unwrap_or_else(|err| panic!("{err}"));
            read += 1;
        }
    }
    assert!(read >= 4, "{read} specs");
}

#[test]
fn the_way_of_reading_is_that_of_the_spec() {
    let reading = |overrides: &[&str]| {
        let spec = read("model_name: clip", overrides);
        let reading = hearth_engine::reading(&spec.hearth.dataset.reading);
        (reading.upright, reading.draft)
    };
    assert_eq!(reading(&[]), (false, false));
    assert_eq!(reading(&["hearth.dataset.exif_orientation=apply"]), (true, false));
    assert_eq!(reading(&["hearth.dataset.jpeg_draft=true"]), (false, true));
}
