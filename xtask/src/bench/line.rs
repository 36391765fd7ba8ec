//! What a side says of a case.

use std::fmt;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Entries of `trainer clip benchmark --json` that are cases here.
const OF_BENCHMARK: [&str; 2] = ["training_step", "forward"];

/// Times of a case in one turn.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) case: String,
    pub(super) median_ms: f64,
    pub(super) min_ms: f64,
    /// Growth of the process, where it was measured.
    pub(super) peak_bytes: Option<f64>,
    /// Loss before the first update, where there is one.
    pub(super) first_loss: Option<f64>,
}

/// The lines of a program's output: an object for each case, or one object of `benchmark`.
pub(super) fn read(text: &str) -> Result<Vec<Line>> {
    if let Ok(Value::Object(whole)) = serde_json::from_str(text)
        && !whole.contains_key("case")
    {
        let cases = OF_BENCHMARK.iter().filter_map(|name| Some((*name, whole.get(*name)?)));
        return cases.map(|(name, value)| line(name, value)).collect();
    }
    let is_object = |line: &&str| line.trim_start().starts_with('{');
    let objects = text.lines().filter(is_object).map(|text| {
        let value: Value = serde_json::from_str(text).with_context(|| text.to_owned())?;
        let Some(case) = value["case"].as_str() else { bail!("found no `case` in {value}") };
        line(case, &value)
    });
    objects.collect()
}

fn line(case: &str, value: &Value) -> Result<Line> {
    let number = |name: &str| value.get(name).and_then(Value::as_f64);
    let time = |name: &str| {
        let found = number(name).filter(|time| time.is_finite() && *time > 0.0);
        found.with_context(|| format!("`{case}`: found {value}, needed `{name}` above 0"))
    };
    Ok(Line {
        case: case.to_owned(),
        median_ms: time("median_ms")?,
        min_ms: time("min_ms")?,
        peak_bytes: number("peak_bytes"),
        first_loss: number("first_loss"),
    })
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: median {:.3} ms, least {:.3} ms", self.case, self.median_ms, self.min_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let lines = read(
            "warming up\n{\"case\": \"a\", \"median_ms\": 2.0, \"min_ms\": 1.5}\n{\"case\": \"b\", \"median_ms\": 3, \"min_ms\": 2, \"peak_bytes\": 7}\n",
        );
        let lines = lines.unwrap();
        assert_eq!((lines[0].case.as_str(), lines[0].min_ms), ("a", 1.5));
        assert_eq!(lines[1].peak_bytes, Some(7.0));

        let one = r#"{"threads": 2, "training_step": {"median_ms": 9, "min_ms": 8, "first_loss": 2.5},
            "loader": {"median_ms": 1, "min_ms": 1}}"#;
        let lines = read(one).unwrap();
        assert_eq!((lines.len(), lines[0].first_loss), (1, Some(2.5)));
    }

    #[test]
    fn what_is_no_measurement_is_refused() {
        for text in [
            r#"{"case": "a", "median_ms": 2.0}"#,
            r#"{"case": "a", "median_ms": 2.0, "min_ms": 0}"#,
            "{\"median_ms\": 2.0, \"min_ms\": 1}\n{}",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
