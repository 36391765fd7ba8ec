//! The definition of the spec against TAO's own list of keys, and the rules between keys.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use hearth_mae::{
    arch,
    spec::{self, Action, MaeSpec},
};
use hearth_spec::{Block, Document, Json, Key, Kind};

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

fn document(yaml: &str) -> Document {
    Document::parse("spec.yaml", yaml, &[], &|_| None).unwrap_or_else(|errors| panic!("{errors}"))
}

/// What is said about a spec: warnings, or errors.
fn said(yaml: &str, action: Action) -> String {
    let document = document(yaml);
    let spec: MaeSpec = match document.read() {
        Ok(spec) => spec,
        Err(errors) => return errors.to_string(),
    };
    match spec::check(&document, &spec, action) {
        Ok(warnings) => warnings.iter().map(|warning| warning.headline()).collect(),
        Err(errors) => errors.to_string(),
    }
}

/// Every value of the definition by its dotted name.
fn values<'a>(keys: &'a [Key], parent: &str, out: &mut BTreeMap<String, &'a Key>) {
    for key in keys {
        let path = format!("{parent}{}", key.name);
        match key.kind.keys() {
            Some(keys) => values(keys, &format!("{path}."), out),
            None => drop(out.insert(path, key)),
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

#[test]
fn every_key_of_tao_is_there_with_type_default_options_and_range() {
    let Some(text) = shared("tao/keys-7.3.0.json") else { return };
    let theirs: Json = serde_json::from_str(&text).unwrap();
    let mut ours = BTreeMap::new();
    values(MaeSpec::keys(), "", &mut ours);
    let mut compared = 0;
    for (name, tao) in theirs["mae"].as_object().unwrap() {
        if tao["type"] == "block" {
            continue;
        }
        let key = ours.remove(name).unwrap_or_else(|| panic!("`{name}` is missing"));
        compared += 1;
        assert_eq!(type_of(&key.kind), tao["type"], "type of `{name}`");
        let same = match (key.default.as_f64(), tao["default"].as_f64()) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => key.default == tao["default"],
        };
        assert!(same, "default of `{name}`: {} {}", key.default, tao["default"]);
        if let (Kind::Options(choices), Some(theirs)) =
            (key.kind.inner(), tao["valid_options"].as_str())
        {
            let ours: BTreeSet<&str> = choices.iter().map(|choice| choice.name).collect();
            assert_eq!(ours, theirs.split(',').collect(), "`{name}`");
        }
        if let Some(min) = tao["valid_min"].as_f64() {
            assert_eq!(key.range.min.or(key.range.above), Some(min), "smallest `{name}`");
        }
        if let Some(max) = tao["valid_max"].as_f64() {
            assert_eq!(key.range.max, Some(max), "largest `{name}`");
        }
    }
    assert_eq!(compared, 121);
    let more: Vec<&String> = ours.keys().filter(|name| !name.starts_with("hearth.")).collect();
    assert!(more.is_empty(), "TAO has no {more:?}");
    let theirs = theirs["mae"]["model.arch"]["valid_options"].as_str().unwrap();
    let ours = arch::ALL.iter().map(|arch| arch.name).filter(|name| !name.starts_with("hearth-"));
    assert_eq!(ours.collect::<Vec<_>>().join(","), theirs);
}

const DATA: &str = "results_dir: /r\ndataset:\n  train_data_sources: /d\n  val_data_sources: /v\n";

#[test]
fn what_does_not_fit_together_is_said() {
    for (more, expected) in [
        ("model: {arch: convnextv2_tinny}", "did you mean `convnextv2_tiny`"),
        ("  augmentation: {input_size: 100}", "a multiple of 32"),
        (
            "model: {arch: vit_huge_patch14}\ntrain: {mask_ratio: 0.999}",
            "one cell that the encoder sees",
        ),
        (
            "  augmentation: {input_size: 64}\ntrain: {mask_ratio: 0.0}",
            "one cell that the encoder has",
        ),
        ("train: {stage: finetune}\nmodel: {num_classes: 1}", "at least two classes"),
        ("train: {num_epochs: 2, checkpoint_interval: 3}", "at most `train.num_epochs`"),
        ("train: {optim: {layer_decay: 0.5}}", "not used: it belongs to `train.stage: finetune`"),
        ("model: {arch: vit_base_patch16}\nhearth: {train: {mask_mode: dense}}", "not used"),
        ("  augmentation: {min_scale: 0.5, max_scale: 0.2}", "at most `max_scale`"),
        ("model: {mask_ratio: 0.5}", "train.mask_ratio"),
    ] {
        let said = said(&format!("{DATA}{more}\n"), Action::Train);
        assert!(said.contains(expected), "{more}\n{said}");
    }
    let said = said("train: {stage: pretrain}\n", Action::Train);
    assert!(said.contains("results_dir") && said.contains("train_data_sources"), "{said}");
}

#[test]
fn a_good_spec_is_taken_in_silence() {
    for more in ["", "  batch_size: 3\ntrain: {stage: finetune}\nmodel: {arch: hiera_tiny_224}\n"] {
        assert_eq!(said(&format!("{DATA}{more}"), Action::Train), "", "{more}");
    }
}
