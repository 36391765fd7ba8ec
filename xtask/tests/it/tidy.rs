//! The limits on sizes and names.

use xtask::{root, tidy};

#[test]
fn the_repository_is_tidy() {
    let problems = tidy::check(root()).unwrap();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn broken_rules_are_named() {
    let check = |text: &str| {
        let problems = tidy::check_file("crates/spec/src/x.rs", text);
        problems.into_iter().map(|(rule, _)| rule).collect::<Vec<_>>()
    };
    let long =
        |lines: usize| format!("//! Fine.\nfn long() {{\n{}}}\n", "    f();\n".repeat(lines));
    assert_eq!(check("//! Fine.\nfn short() {}\n"), [""; 0]);
    assert_eq!(check("fn short() {}\n"), ["first_line"]);
    assert_eq!(check(&long(58)), [""; 0]);
    assert_eq!(check(&long(59)), ["function_lines"]);
    assert_eq!(check(&long(399)), ["file_lines", "function_lines"]);
    assert_eq!(check("//! Fine.\nstruct TreeManager;\nfn utilise() {}\n"), ["words"]);
    assert_eq!(check("//! Fine.\nmod load_utils;\nconst HELPER: u8 = 0;\n"), ["words", "words"]);
    let in_words = "//! Fine.\n// fn helper() {}\nconst A: &str = \"fn util() {\";\n";
    assert_eq!(check(in_words), [""; 0], "comments and texts declare nothing");
    let tests = format!("//! Fine.\n\n#[cfg(test)]\nmod tests {{\n{}}}\n", long(500));
    assert_eq!(check(&tests), [""; 0], "tests may be long");
    let file = tidy::check_file("crates/spec/src/helpers.rs", "//! Fine.\n");
    assert_eq!(file.len(), 1, "file names count");
}

#[test]
fn text_in_braces_ends_no_function() {
    let odd =
        "//! Fine.\nfn odd<'a>(x: &'a [u8; 2]) -> char {\n    let _ = r#\"}\"}\"#; /* } */ // }\n";
    let text = format!("{odd}    let _ = \"\\\"}}\";\n{}    '}}'\n}}\n", "    f();\n".repeat(58));
    let problems = tidy::check_file("crates/spec/src/x.rs", &text);
    let expected = "`odd` has 63 lines of code, needed at most 60";
    assert_eq!(problems, [("function_lines", expected.to_owned())]);
}
