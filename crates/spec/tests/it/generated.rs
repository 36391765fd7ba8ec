//! What is made from a definition: YAML, JSON Schema, documentation.

use hearth_spec::{Json, json_schema, markdown, to_yaml};

use super::definition::{FolderSpec, RunSpec, read};

#[test]
fn yaml_in_the_order_of_the_definition() {
    let mut spec = RunSpec::default();
    spec.data.datasets =
        vec![FolderSpec { names: Some(vec!["a".into(), "no".into()]), ..FolderSpec::default() }; 2];
    insta::assert_snapshot!(to_yaml(&spec));
}

#[test]
fn the_default_yaml_reads_back_as_the_defaults() {
    let yaml = to_yaml(&RunSpec::default());
    assert_eq!(read(&yaml, &[]), Ok(RunSpec::default()));
}

#[test]
fn json_schema_of_a_definition() {
    let schema = json_schema::<RunSpec>();
    insta::assert_snapshot!(serde_json::to_string_pretty(&schema).unwrap());
}

/// Each bound of the schema is the bound of the reading: the value on it passes, the one past it does not.
#[test]
fn the_schema_and_the_reading_agree_on_bounds() {
    let mut tried = 0;
    let schema = json_schema::<RunSpec>();
    for_each_number(&schema, "", &mut |key, property| {
        let step = if property["type"].to_string().contains("integer") { 1.0 } else { 0.125 };
        for (word, sign, inclusive) in [
            ("minimum", -1.0, true),
            ("maximum", 1.0, true),
            ("exclusiveMinimum", -1.0, false),
            ("exclusiveMaximum", 1.0, false),
        ] {
            let Some(bound) = property[word].as_f64() else { continue };
            tried += 1;
            let reads = |value: f64| read("", &[&format!("{key}={value}")]).is_ok();
            assert_eq!(reads(bound), inclusive, "{key} on its {word}");
            assert!(!reads(bound + sign * step), "{key} past its {word}");
        }
    });
    assert!(tried > 8, "{tried}");
}

fn for_each_number(schema: &Json, key: &str, see: &mut impl FnMut(&str, &Json)) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
        let kind = property["type"].to_string();
        if kind.contains("integer") || kind.contains("number") {
            see(&key, property);
        }
        for_each_number(property, &key, see);
    }
}

#[test]
fn documentation_of_a_definition() {
    insta::assert_snapshot!(markdown::<RunSpec>("A run"));
}
