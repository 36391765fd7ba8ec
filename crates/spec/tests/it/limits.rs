//! Nothing in a file makes the reader panic, hang or fill the memory.

use std::time::{Duration, Instant};

use hearth_spec::Document;
use proptest::prelude::*;

use super::definition::{RunSpec, document, read};

#[track_caller]
fn refused(yaml: &str, part: &str) {
    let start = Instant::now();
    let error = read(yaml, &[]).unwrap_err();
    assert!(error.contains(part), "{}", &error[..error.len().min(2000)]);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn a_billion_laughs() {
    let mut yaml = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for level in 1..20 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        yaml += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    refused(&yaml, "anchors and aliases that expand past 1048576 bytes");
}

#[test]
fn one_large_text_a_thousand_times() {
    let yaml = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), vec!["*a"; 1000].join(", "));
    refused(&yaml, "anchors and aliases that expand past 1048576 bytes");
}

#[test]
fn merges_are_bounded_too() {
    let yaml = format!(
        "a: &a {{x: {}}}\nb: {{<<: [{}]}}\n",
        "x".repeat(500_000),
        vec!["*a"; 1000].join(", ")
    );
    refused(&yaml, "anchors and aliases that expand past 1048576 bytes");
}

#[test]
fn interpolations_that_double() {
    let mut yaml = String::from("a0: xxxxxxxxxxxxxxxx\n");
    for level in 1..40 {
        yaml += &format!("a{level}: ${{a{0}}}${{a{0}}}\n", level - 1);
    }
    refused(&yaml, "`${}` that expand past 1048576 bytes");
    // The same without a byte to count.
    refused(&yaml.replacen("xxxxxxxxxxxxxxxx", "''", 1), "`${}` that expand past 1048576 bytes");
}

#[test]
fn interpolations_of_large_blocks() {
    let yaml = format!("a: [{}]\nb: [{}]\n", "1,".repeat(100_000), "'${a}',".repeat(1000));
    refused(&yaml, "`${}` that expand past 1048576 bytes");
}

#[test]
fn a_long_chain_of_interpolations() {
    let mut yaml = String::from("a100: 1\n");
    for level in 0..100 {
        yaml += &format!("a{level}: ${{a{}}}\n", level + 1);
    }
    refused(&yaml, "found more than 64 `${}` that lead to each other");
}

#[test]
fn deep_nesting() {
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", "")] {
        for depth in [65, 1000, 200_000] {
            let yaml = format!("a:\n  {}1{}", open.repeat(depth), close.repeat(depth));
            let error = read(&yaml, &[]).unwrap_err();
            let told = error.contains("more than 64 levels") || error.contains("not YAML");
            assert!(told, "{}", &error[..error.len().min(300)]);
        }
    }
    assert!(document(&format!("a: {}1{}", "[".repeat(60), "]".repeat(60)), &[]).is_ok());
    let deep = vec!["a"; 100].join(".");
    assert!(read("", &[&format!("{deep}=1")]).unwrap_err().contains("more than 64 levels"));
}

#[test]
fn a_file_of_more_than_a_mebibyte() {
    refused(
        &"# comment\n".repeat(110_000),
        "found a file of 1100000 bytes, a spec has at most 1048576",
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big.yaml");
    std::fs::write(&path, " ".repeat(2 << 20)).unwrap();
    let error = Document::load(&path, &[]).unwrap_err().to_string();
    assert!(error.contains("found more than 1048576 bytes"), "{error}");
}

#[test]
fn a_hundred_thousand_mistakes() {
    let keys: String = (0..90_000).map(|at| format!("k{at}: 1\n")).collect();
    refused(&keys, "error: 89900 more problems are not shown");
    let twice = "seed: 1\n".repeat(100_000);
    refused(&twice, "more problems are not shown");
    let one_line = format!("data: {{datasets: [{}]}}", "{image: x}, ".repeat(80_000));
    refused(&one_line, "more problems are not shown");
}

#[test]
fn messages_stay_short_and_harmless() {
    let long = "k".repeat(500_000);
    let error = read(&format!("{long}: {{{long}: 1}}\ntype: ${{{long}}}\n"), &[]).unwrap_err();
    assert!(error.len() < 3000, "{}", error.len());
    let error = read("\"a\\e[31m\": 1\n\"b\\r\": {c: '${x\u{7f}'}\n", &["\u{1b}=1"]).unwrap_err();
    assert!(!error.contains(|c: char| c.is_control() && c != '\n'), "{error:?}");
}

#[test]
fn files_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Document::load(&folder.path().join("missing.yaml"), &[]).unwrap_err();
    assert!(missing.to_string().ends_with("missing.yaml: file not found"), "{missing}");
    let latin = folder.path().join("latin.yaml");
    std::fs::write(&latin, b"a: 1\nb: caf\xe9\n").unwrap();
    let error = Document::load(&latin, &[]).unwrap_err().to_string();
    assert!(
        error.ends_with("not a text in UTF-8, line 2 has a byte that does not belong there"),
        "{error}"
    );
    assert!(Document::load(folder.path(), &[]).unwrap_err().to_string().contains("not readable"));
}

/// Pieces that meet the syntax more often than random characters do.
fn yamlish() -> impl Strategy<Value = String> {
    let words = [
        "train",
        "optim",
        "lr",
        "seed",
        "data",
        "datasets",
        "image_dir",
        ": ",
        ":",
        "\n",
        "  ",
        "    ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "${",
        "}",
        ".",
        "oc.env:HOME,",
        "&a ",
        "*a",
        "<<: ",
        "'",
        "\"",
        "|\n",
        ">-\n",
        "? ",
        "!!int ",
        "!x ",
        "???",
        "null",
        "1e-4",
        "-1",
        "yes",
        "#",
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "\t",
        "\r",
        "\u{feff}",
        "ä",
        "\u{0}",
        "~",
        "=",
        "\\",
        "\u{2028}",
        "💥",
        "type",
        "gpu_ids",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..60)
        .prop_map(|parts| parts.concat())
}

fn try_everything(yaml: &str, overrides: &[String]) {
    if let Ok(document) = Document::parse("p.yaml", yaml, overrides, &|_| Some("v".into())) {
        let _ = document.text("train.seed");
        match document.read::<RunSpec>() {
            Ok(spec) => {
                let mut checks = document.check();
                checks.blocks(&spec, &["train", "data", "log"]);
                let _ = checks.into_result().map_err(|errors| errors.to_string());
            }
            Err(errors) => assert!(!errors.to_string().is_empty()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*", more in any::<String>()) {
        try_everything(&text, &[]);
        try_everything(&more, std::slice::from_ref(&more));
    }

    #[test]
    fn anything_like_yaml_is_read_or_refused(text in yamlish(), one in yamlish(), two in yamlish()) {
        try_everything(&text, &[one.clone(), format!("train.optim={two}"), format!("~{one}")]);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("any.yaml");
        std::fs::write(&path, &bytes).unwrap();
        if let Err(errors) = Document::load(&path, &[]) {
            prop_assert!(!errors.to_string().is_empty());
        }
    }

    #[test]
    fn any_text_survives_writing_and_reading(text in any::<String>(), words in r##"[-+0-9a-zA-Z_.:~ '"#,${}\\]{0,8}"##) {
        for text in [text, words] {
            let spec = RunSpec { kind: text.clone(), ..RunSpec::default() };
            let yaml = hearth_spec::to_yaml(&spec);
            let back = read(&yaml, &[]);
            prop_assert_eq!(back.map(|spec| spec.kind), Ok(text), "{}", yaml);
        }
    }
}
