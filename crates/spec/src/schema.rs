//! A spec's definition as JSON Schema, draft 2020-12.

use serde_json::{Map as JsonMap, Value as Json, json};

use crate::{
    block::Block,
    key::{Key, Kind, State},
};

/// The schema of a whole spec. It describes values as this project writes them; reading is more generous
/// (numbers in quotes, `yes` and `no`, `${...}`).
pub fn json_schema<B: Block>() -> Json {
    let mut schema = JsonMap::new();
    schema.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    schema.insert("description".into(), B::about().into());
    describe_block(&mut schema, B::keys(), false);
    Json::Object(schema)
}

fn describe_block(schema: &mut JsonMap<String, Json>, keys: &[Key], in_list: bool) {
    schema.insert("type".into(), "object".into());
    let properties = keys.iter().map(|key| (key.name.to_owned(), property(key)));
    schema.insert("properties".into(), Json::Object(properties.collect()));
    schema.insert("additionalProperties".into(), false.into());
    // Elsewhere a mandatory key is needed only once its action runs.
    let required: Vec<&str> =
        keys.iter().filter(|key| in_list && key.is_mandatory()).map(|key| key.name).collect();
    if !required.is_empty() {
        schema.insert("required".into(), json!(required));
    }
}

fn property(key: &Key) -> Json {
    let mut schema = JsonMap::new();
    schema.insert("description".into(), key.meaning().into());
    describe_kind(&mut schema, &key.kind, key);
    if key.is_mandatory() {
        schema.insert("x-mandatory".into(), true.into());
    } else if !matches!(key.kind, Kind::Block(_)) {
        schema.insert("default".into(), key.default.clone());
    }
    if let Some(template) = &key.template {
        schema.insert("x-tao-template-default".into(), template.clone());
    }
    let state = match &key.state {
        State::Live => None,
        State::Inert(why) => Some(format!("no effect: {why}")),
        State::Notice { text, .. } => Some(format!("accepted with a notice: {text}")),
        State::Refused { why, .. } => Some(format!("only the default: {why}")),
    };
    schema.extend(state.map(|state| ("x-state".to_owned(), Json::from(state))));
    Json::Object(schema)
}

fn describe_kind(schema: &mut JsonMap<String, Json>, kind: &Kind, key: &Key) {
    match kind {
        Kind::Int => number(schema, "integer", key),
        Kind::Float => number(schema, "number", key),
        Kind::Bool => insert(schema, "type", "boolean"),
        Kind::Text => insert(schema, "type", "string"),
        Kind::Options(choices) => {
            let words = choices
                .iter()
                .flat_map(|choice| std::iter::once(&choice.name).chain(choice.aliases))
                .flat_map(|word| {
                    let number = word.parse::<i64>().ok().map(Json::from);
                    std::iter::once(Json::from(*word)).chain(number)
                });
            insert(schema, "enum", Json::Array(words.collect()));
        }
        Kind::List(item) => {
            insert(schema, "type", "array");
            let mut items = JsonMap::new();
            match item.as_ref() {
                Kind::Block(keys) => describe_block(&mut items, keys, true),
                item => describe_kind(&mut items, item, key),
            }
            insert(schema, "items", Json::Object(items));
            list_lengths(schema, key.lengths);
        }
        Kind::Block(keys) => describe_block(schema, keys, false),
        Kind::Optional(inner) => {
            describe_kind(schema, inner, key);
            if let Some(Json::String(name)) = schema.get("type").cloned() {
                insert(schema, "type", json!([name, "null"]));
            }
            if let Some(Json::Array(words)) = schema.get_mut("enum") {
                words.push(Json::Null);
            }
        }
    }
}

fn number(schema: &mut JsonMap<String, Json>, name: &str, key: &Key) {
    insert(schema, "type", name);
    let range = &key.range;
    for (word, bound) in [
        ("minimum", range.min),
        ("maximum", range.max),
        ("exclusiveMinimum", range.above),
        ("exclusiveMaximum", range.below),
    ] {
        if let Some(bound) = bound {
            let whole = bound.fract() == 0.0;
            let value = if whole { Json::from(bound as i64) } else { Json::from(bound) };
            insert(schema, word, value);
        }
    }
}

fn list_lengths(schema: &mut JsonMap<String, Json>, lengths: &[usize]) {
    match lengths {
        [] => {}
        [only] => {
            insert(schema, "minItems", *only);
            insert(schema, "maxItems", *only);
        }
        several => {
            let exact =
                several.iter().map(|length| json!({"minItems": length, "maxItems": length}));
            insert(schema, "anyOf", Json::Array(exact.collect()));
        }
    }
}

fn insert(schema: &mut JsonMap<String, Json>, word: &str, value: impl Into<Json>) {
    schema.insert(word.to_owned(), value.into());
}
