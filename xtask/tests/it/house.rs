//! The floors and the generated files.

use serde_json::json;
use xtask::generate::{self, Mode};
use xtask::{floors, root};

#[test]
fn no_crate_reaches_above_its_floor() {
    let problems = floors::check(&floors::metadata().unwrap());
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn a_forbidden_edge_is_named_with_the_invariant() {
    let package = |name: &str, uses: &[&str]| {
        let uses: Vec<_> = uses.iter().map(|used| json!({ "name": used })).collect();
        json!({ "name": name, "manifest_path": format!("{name}/Cargo.toml"), "dependencies": uses })
    };
    let check = |name, uses: &[&str]| {
        let packages = [package(name, uses), package("hearth-clip", &[]), package("xtask", &[])];
        floors::check(&json!({ "packages": packages }))
    };
    let burn = check("hearth-spec", &["burn"]);
    assert_eq!(
        burn,
        [
            "hearth-spec/Cargo.toml: `hearth-spec` uses `burn`, which its floor forbids: `spec` never \
          knows burn, a network, a device, or a file other than the spec"
        ]
    );
    assert_eq!(check("hearth-data", &["burn-tensor", "serde"]).len(), 1);
    assert_eq!(check("hearth-engine", &["hearth-clip", "burn"]).len(), 1);
    assert_eq!(check("trainer", &["hearth-clip", "xtask"]).len(), 1);
    assert_eq!(check("hearth-new", &[]).len(), 1, "a crate without a floor");
    assert!(check("trainer", &["hearth-clip", "clap"]).is_empty());
}

#[test]
fn generated_files_are_up_to_date() {
    generate::run(root(), Mode::Check).unwrap();
}

#[test]
fn an_outdated_file_is_shown_with_the_command_that_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    generate::run(folder.path(), Mode::Write).unwrap();
    generate::run(folder.path(), Mode::Check).unwrap();
    let path = folder.path().join("docs/specs/clip.md");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("old first line\n{text}")).unwrap();
    let error = generate::run(folder.path(), Mode::Check).unwrap_err().to_string();
    assert_eq!(
        error,
        "generated files are out of date: run `cargo xtask generate`\n\n\
         docs/specs/clip.md:\n@@ line 1 @@\n-old first line\n"
    );
}
