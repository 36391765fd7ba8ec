//! What a plain YAML scalar means: the YAML 1.1 rules of PyYAML as OmegaConf widens them, and Python's `int()` and `float()` for texts.
//!
//! Kept equal to OmegaConf by `tests/golden/omegaconf_scalars.py`.

/// A plain scalar after resolution. Quoted scalars are always [`Scalar::Text`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text,
}

/// Resolves an unquoted scalar.
pub(crate) fn resolve_plain(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Scalar::Bool(true);
        }
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        _ => {}
    }
    if !text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) {
        return Scalar::Text;
    }
    yaml_float(text).map(Scalar::Float).or_else(|| yaml_int(text)).unwrap_or(Scalar::Text)
}

/// Python's `int(text)`: surrounding white space, a sign, decimal digits with single underscores.
pub(crate) fn python_int(text: &str) -> Option<i128> {
    let (negative, digits) = split_sign(text.trim());
    let value: i128 = grouped_digits(digits)?.parse().ok()?;
    Some(if negative { -value } else { value })
}

/// Python's `float(text)`: like [`python_int`], with fraction, exponent, `inf` and `nan`.
pub(crate) fn python_float(text: &str) -> Option<f64> {
    let (negative, body) = split_sign(text.trim());
    let lower = body.to_ascii_lowercase();
    let magnitude = match lower.as_str() {
        "inf" | "infinity" => f64::INFINITY,
        "nan" => f64::NAN,
        _ => decimal(&lower)?,
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// `digits[.digits][e[+-]digits]` where underscores may stand between digits.
fn decimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let (_, digits) = split_sign(exponent);
            grouped_digits(digits)?;
            (mantissa, Some(exponent))
        }
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    for part in [whole, fraction] {
        if !part.is_empty() {
            grouped_digits(part)?;
        }
    }
    let plain = match exponent {
        Some(exponent) => format!("{mantissa}e{exponent}"),
        None => mantissa.to_owned(),
    };
    plain.replace('_', "").parse().ok()
}

fn yaml_float(text: &str) -> Option<f64> {
    let (negative, body) = split_sign(text);
    let signed = body.len() != text.len();
    let magnitude = match body {
        ".inf" | ".Inf" | ".INF" => f64::INFINITY,
        ".nan" | ".NaN" | ".NAN" if !signed => f64::NAN,
        // A sign before a bare fraction is a text in both originals.
        _ if body.starts_with('.') && signed => return None,
        _ => sexagesimal_float(body).or_else(|| point_or_exponent(body))?,
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// `1.5`, `1_0.`, `.5e+3` (PyYAML: an exponent needs its sign) and `1e5`, `1.5e5` (OmegaConf: it does not).
fn point_or_exponent(body: &str) -> Option<f64> {
    let (mantissa, exponent) = match body.find(['e', 'E']) {
        Some(at) => (&body[..at], Some(&body[at + 1..])),
        None => (body, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    if !digits_and_underscores(fraction.unwrap_or("")) || (exponent, fraction) == (None, None) {
        return None;
    }
    let whole_ok = match whole {
        "" => fraction.is_some_and(|f| f.starts_with(|c: char| c.is_ascii_digit())),
        _ => whole.starts_with(|c: char| c.is_ascii_digit()) && digits_and_underscores(whole),
    };
    let exponent_ok = exponent.is_none_or(|exponent| {
        let (_, digits) = split_sign(exponent);
        let has_sign = digits.len() != exponent.len();
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        // Without a sign, or without a point, only OmegaConf's stricter grouping applies.
        plain && ((has_sign && fraction.is_some()) || grouped_digits(whole).is_some())
    });
    (whole_ok && exponent_ok).then(|| body.replace('_', "").parse().ok()).flatten()
}

/// `12:30.5`: base 60, as in YAML 1.1.
fn sexagesimal_float(body: &str) -> Option<f64> {
    let (front, fraction) = body.split_once('.')?;
    let parts = sexagesimal_parts(front)?;
    if !digits_and_underscores(fraction) {
        return None;
    }
    let last: f64 =
        format!("{}.{fraction}", parts[parts.len() - 1]).replace('_', "").parse().ok()?;
    let mut value = 0.0;
    for part in &parts[..parts.len() - 1] {
        value = (value + part.replace('_', "").parse::<f64>().ok()?) * 60.0;
    }
    Some(value + last)
}

/// The parts of `digits(:[0-5]?digit)+`.
fn sexagesimal_parts(text: &str) -> Option<Vec<&str>> {
    let parts: Vec<&str> = text.split(':').collect();
    let (first, rest) = parts.split_first()?;
    let minutes = |part: &&str| {
        let bytes = part.as_bytes();
        matches!(bytes.len(), 1 | 2)
            && bytes.iter().all(u8::is_ascii_digit)
            && (bytes.len() == 1 || bytes[0] <= b'5')
    };
    let leads = first.starts_with(|c: char| c.is_ascii_digit()) && digits_and_underscores(first);
    (leads && !rest.is_empty() && rest.iter().all(minutes)).then_some(parts)
}

fn yaml_int(text: &str) -> Option<Scalar> {
    let (negative, body) = split_sign(text);
    let digits = body.replace('_', "");
    let magnitude = if let Some(binary) = body.strip_prefix("0b") {
        radix(&binary.replace('_', ""), 2)?
    } else if let Some(hexadecimal) = body.strip_prefix("0x") {
        radix(&hexadecimal.replace('_', ""), 16)?
    } else if body.contains(':') {
        return sexagesimal_int(body).map(|value| signed(negative, value));
    } else if !body.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    } else if body.len() > 1 && body.starts_with('0') {
        if digits == "0" { 0 } else { radix(&digits[1..], 8)? }
    } else if digits.bytes().all(|b| b.is_ascii_digit()) {
        match digits.parse() {
            Ok(value) => value,
            // Python has no largest integer; past 128 bits only its size matters.
            Err(_) => return digits.parse().ok().map(Scalar::Float),
        }
    } else {
        return None;
    };
    Some(signed(negative, magnitude))
}

fn sexagesimal_int(body: &str) -> Option<i128> {
    if body.starts_with('0') {
        return None;
    }
    let parts = sexagesimal_parts(body)?;
    parts.iter().try_fold(0i128, |value, part| {
        value.checked_mul(60)?.checked_add(part.replace('_', "").parse().ok()?)
    })
}

fn signed(negative: bool, magnitude: i128) -> Scalar {
    Scalar::Int(if negative { -magnitude } else { magnitude })
}

fn radix(digits: &str, base: u32) -> Option<i128> {
    // `from_str_radix` would take a second sign.
    digits.bytes().all(|b| b.is_ascii_alphanumeric()).then_some(())?;
    i128::from_str_radix(digits, base).ok()
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

fn digits_and_underscores(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || b == b'_')
}

/// Digits with at most one underscore between two of them; returned without the underscores.
fn grouped_digits(text: &str) -> Option<String> {
    let groups_ok =
        text.split('_').all(|group| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit()));
    groups_ok.then(|| text.replace('_', ""))
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;

    fn table() -> Json {
        let text = include_str!("../../../tests/golden/omegaconf_scalars/table.json");
        serde_json::from_str(text).expect("the table is JSON")
    }

    fn rows(table: &Json, name: &str) -> Vec<Vec<Json>> {
        table[name].as_array().unwrap().iter().map(|row| row.as_array().unwrap().clone()).collect()
    }

    /// Python's `repr` of a float, or `inf`, `-inf`, `nan`.
    fn float(text: &Json) -> f64 {
        text.as_str().unwrap().parse().unwrap()
    }

    fn same(a: f64, b: f64) -> bool {
        a == b || (a.is_nan() && b.is_nan())
    }

    #[track_caller]
    fn check_plain(row: &[Json]) {
        let (text, kind) = (row[0].as_str().unwrap(), row[1].as_str().unwrap());
        let found = resolve_plain(text);
        let equal = match (kind, found) {
            ("null", Scalar::Null) | ("text", Scalar::Text) => true,
            ("bool", Scalar::Bool(value)) => row[2] == value,
            ("int", Scalar::Int(value)) => row[2] == value.to_string(),
            ("float", Scalar::Float(value)) => same(value, float(&row[2])),
            // OmegaConf stumbles over such texts; ours only must not.
            ("error", _) => true,
            _ => false,
        };
        assert!(equal, "`{text}` is {found:?}, OmegaConf says {row:?}");
    }

    #[test]
    fn plain_scalars_are_what_omegaconf_makes_of_them() {
        let rows = rows(&table(), "plain");
        assert!(rows.len() > 150);
        rows.iter().for_each(|row| check_plain(row));
    }

    #[test]
    fn short_scalars_are_what_omegaconf_makes_of_them() {
        let rows = rows(&table(), "short");
        let other: std::collections::HashMap<&str, &Vec<Json>> =
            rows.iter().map(|row| (row[0].as_str().unwrap(), row)).collect();
        let mut texts = vec![String::new()];
        for _ in 0..3 {
            let longer = texts.iter().flat_map(|text| {
                "0189_.eE+-:xb".chars().map(move |character| format!("{text}{character}"))
            });
            texts = longer.collect();
            for text in &texts {
                match other.get(text.as_str()) {
                    Some(row) => check_plain(row),
                    None => check_plain(&[text.as_str().into(), "text".into()]),
                }
            }
        }
    }

    #[test]
    fn texts_become_numbers_as_in_python() {
        let table = table();
        for row in rows(&table, "int") {
            let expected = row[1].as_str().map(str::to_owned);
            let found = python_int(row[0].as_str().unwrap()).map(|value| value.to_string());
            assert_eq!(found, expected, "{:?}", row[0]);
        }
        for row in rows(&table, "float") {
            let found = python_float(row[0].as_str().unwrap());
            let equal = match (found, &row[1]) {
                (None, Json::Null) => true,
                (Some(value), expected) => expected.is_string() && same(value, float(expected)),
                _ => false,
            };
            assert!(equal, "{:?} is {found:?}, Python says {:?}", row[0], row[1]);
        }
    }
}
