//! Captions in the content of a file: a whole text, the lines of one, or JSON.

use serde_json::Value;

use crate::text::{self, strip};

/// Which of the captions of a picture make samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Captions {
    /// TAO's rule: a whole text is one caption. Where there is only JSON, its first.
    #[default]
    Whole,
    /// The first caption.
    First,
    /// Every caption, each with the picture.
    All,
    /// One caption, drawn anew for each epoch.
    Random,
}

/// What is wrong with the content of a caption file, in the words that follow its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unusable(pub(crate) String);

/// UTF-8 text without a byte order mark.
pub(crate) fn text(content: &[u8]) -> Result<String, Unusable> {
    let not_utf8 = |line| Unusable(format!("found bytes that are not UTF-8 on line {line}"));
    text::decoded(content.to_vec()).map_err(not_utf8)
}

/// The lines with something on them.
pub(crate) fn lines(text: &str) -> Vec<String> {
    text::lines(text).map(strip).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// The captions of `{"captions": [..]}`, `{"caption": ".."}` or a list of texts; empty ones are none.
/// JSON of another shape, such as notes about the picture, holds no caption.
pub(crate) fn in_json(content: &[u8]) -> Result<Vec<String>, Unusable> {
    let value: Value = serde_json::from_slice(content)
        .map_err(|error| Unusable(format!("found broken JSON: {error}")))?;
    let found = match &value {
        Value::Object(map) => map.get("captions").or_else(|| map.get("caption")),
        other => Some(other),
    };
    let texts: Vec<&Value> = match found {
        Some(Value::Array(items)) => items.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    };
    let texts = texts.into_iter().filter_map(Value::as_str).map(strip);
    Ok(texts.filter(|text| !text.is_empty()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_in_its_shapes() {
        for (json, expected) in [
            (r#"{"captions": ["a dog", " two dogs\n"]}"#, &["a dog", "two dogs"][..]),
            (r#"{"url": "x", "caption": "a dog"}"#, &["a dog"]),
            (r#"{"caption": ["a", "b"]}"#, &["a", "b"]),
            (r#"{"captions": "one", "caption": "other"}"#, &["one"]),
            (r#"["a", "", 3, null, "b"]"#, &["a", "b"]),
            (r#""a dog""#, &["a dog"]),
            (r#"{"width": 3}"#, &[]),
            (r#"{"captions": null}"#, &[]),
            ("7", &[]),
        ] {
            assert_eq!(in_json(json.as_bytes()).unwrap(), expected, "{json}");
        }
        assert!(in_json(b"{").unwrap_err().0.starts_with("found broken JSON: "));
        assert!(in_json(b"\xFF").is_err());
        assert!(in_json(&[b'['; 100_000]).is_err(), "deep nesting is an error, not an overflow");
    }

    #[test]
    fn lines_of_a_text() {
        assert_eq!(lines(" a dog\r\n\n  \rtwo dogs "), ["a dog", "two dogs"]);
    }
}
