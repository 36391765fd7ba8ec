//! One case per rule of the format.

use super::*;

fn tensor(name: &str, dtype: &str, shape: &str, begin: u64, end: u64) -> String {
    format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{end}]}}"#)
}

#[track_caller]
fn check(tensors: &[String], data_len: u64, expected: &str) {
    let json = format!("{{{}}}", tensors.join(","));
    let found = match parse(json.as_bytes(), data_len) {
        Ok(header) => header.entries.keys().cloned().collect::<Vec<_>>().join(" "),
        Err(problem) => problem.to_string(),
    };
    assert_eq!(found, expected);
}

#[test]
fn tensors_may_stand_in_any_order_and_be_empty() {
    check(&[], 0, "");
    let (a, b) = (tensor("a", "F32", "[2,3]", 16, 40), tensor("b", "I64", "[2]", 0, 16));
    check(&[a.clone(), b.clone()], 40, "a b");
    check(&[b.clone(), a, tensor("none", "F32", "[0,7]", 16, 16)], 40, "a b none");
    check(&[b, tensor("s", "F16", "[]", 16, 18)], 18, "b s");
}

#[test]
fn the_data_is_covered_exactly_once() {
    let a = tensor("a", "F32", "[2]", 0, 8);
    check(
        &[a.clone(), tensor("b", "F32", "[2]", 4, 12)],
        12,
        "tensor `b` begins at byte 4 of the data, inside `a`",
    );
    check(
        &[a.clone(), tensor("b", "F32", "[2]", 12, 20)],
        20,
        "bytes 8 to 12 of the data belong to no tensor",
    );
    check(std::slice::from_ref(&a), 9, "bytes 8 to 9 of the data belong to no tensor");
    check(std::slice::from_ref(&a), 7, "tensor `a` ends at byte 8 of the data, the file has 7");
    check(&[a.clone(), a], 8, "tensor `a` is listed twice");
}

#[test]
fn shape_and_place_agree() {
    check(
        &[tensor("a", "F16", "[2,2]", 0, 16)],
        16,
        "tensor `a` of shape [2, 2] and type F16 needs 8 bytes, its offsets 0..16 give another number",
    );
    check(
        &[tensor("a", "F16", "[2]", 4, 0)],
        16,
        "tensor `a` of shape [2] and type F16 needs 4 bytes, its offsets 4..0 give another number",
    );
    for shape in ["[4294967296,4294967296]", "[18446744073709551615]", "[0,9223372036854775808,2]"]
    {
        let shown = shape.replace(',', ", ");
        check(
            &[tensor("a", "F32", shape, 0, 0)],
            0,
            &format!("tensor `a` has shape {shown}, its size overflows"),
        );
    }
}

#[test]
fn an_unknown_type_is_named() {
    check(
        &[tensor("a", "F4", "[2]", 0, 1)],
        1,
        "tensor `a` has unknown type `F4`, known are BOOL, U8, I8, F8_E5M2, F8_E4M3, I16, U16, F16, \
         BF16, I32, U32, F32, I64, U64, F64",
    );
}

#[test]
fn the_json_has_the_one_form() {
    #[track_caller]
    fn check(json: &str, expected: &str) {
        let problem = parse(json.as_bytes(), 0).unwrap_err().to_string();
        assert_eq!(problem, format!("its header cannot be read: {expected}"));
    }
    check(" {}", "it does not begin with `{`");
    check("", "it does not begin with `{`");
    check("{}x", "trailing characters at line 1 column 3");
    check(r#"{"a":{"dtype":"F32"}}"#, "missing field `shape` at line 1 column 20");
    check(
        r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]}}"#,
        "invalid value: integer `-1`, expected u64 at line 1 column 31",
    );
    check(
        r#"{"a":{"dtype":"F32","shape":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0],"data_offsets":[0,0]}}"#,
        "invalid length 17, expected at most 16 sizes at line 1 column 63",
    );
    check(
        r#"{"a":{"dtype":"F32","dtype":"F32","shape":[],"data_offsets":[0,0]}}"#,
        "duplicate field `dtype` at line 1 column 27",
    );
    check(
        r#"{"__metadata__":{"step":3}}"#,
        "invalid type: integer `3`, expected a string at line 1 column 25",
    );
}

#[test]
fn the_length_is_checked_before_it_is_believed() {
    #[track_caller]
    fn check(claimed: u64, file_len: u64, expected: &str) {
        let found = match length(&claimed.to_le_bytes(), file_len) {
            Ok(length) => length.to_string(),
            Err(problem) => problem.to_string(),
        };
        assert_eq!(found, expected);
    }
    check(2, 10, "2");
    check(3, 10, "its header claims 3 bytes, the file has 2 bytes after the length");
    check(100_000_001, 1 << 40, "its header claims 100000001 bytes, the limit is 100000000");
    check(
        u64::MAX,
        16,
        "its header claims 18446744073709551615 bytes, the file has 8 bytes after the length",
    );
    let problem = length(&[1, 2, 3], 3).unwrap_err();
    assert_eq!(problem.to_string(), "found 3 bytes, need at least 8 for the length of the header");
    assert!(problem.looks_cut());
}
