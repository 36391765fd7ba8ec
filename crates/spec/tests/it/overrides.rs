//! Overrides of the command line.

use super::definition::{document, read, shown};

#[track_caller]
fn check(yaml: &str, overrides: &[&str], expected: &str) {
    assert_eq!(shown(yaml, overrides), expected, "{yaml} with {overrides:?}");
}

#[test]
fn values_are_set_in_the_order_of_the_command_line() {
    check("train: {seed: 3}", &["train.seed=4", "train.seed=5"], "train.seed = 5");
    check("", &["+train.seed=5", "++type=big"], r#"type = "big"; train.seed = 5"#);
    check(
        "",
        &["train.optim={lr: 1, clip: 2}", "train.optim.lr=3"],
        "train.optim.lr = 3.0; train.optim.clip = 2.0",
    );
    check(
        "train: {optim: {clip: 2}}",
        &["train.optim={lr:1}"],
        "train.optim.lr = 1.0; train.optim.clip = 2.0",
    );
    check("", &["type='a, b'"], r#"type = "a, b""#);
    check("", &["train.results_dir=/x/y=z"], r#"train.results_dir = "/x/y=z""#);
}

#[test]
fn lists_are_replaced_and_their_items_reachable() {
    check("", &["train.gpu_ids=[2,3]"], "train.gpu_ids = [2,3]");
    let yaml = "data: {datasets: [{image_dir: /a}]}";
    let folders = |overrides: &[&str]| {
        let datasets = read(yaml, overrides).unwrap().data.datasets;
        datasets.into_iter().map(|folder| folder.image_dir).collect::<Vec<_>>()
    };
    assert_eq!(folders(&["data.datasets[0].image_dir=/b"]), ["/b"]);
    assert_eq!(folders(&["data.datasets.0.image_dir=/b"]), ["/b"]);
    assert_eq!(folders(&["data.datasets=[{image_dir: /c}, {image_dir: /d}]"]), ["/c", "/d"]);
    assert_eq!(folders(&["data.datasets=[]"]), [""; 0]);
}

#[test]
fn null_and_nothing_unset() {
    check("train: {every: 3}", &["train.every=null"], "");
    check("train: {every: 3}", &["train.every="], "");
    check("type: big", &["type="], r#"type = """#);
}

#[test]
fn deleting_brings_the_default_back() {
    check("train: {seed: 3, optim: {lr: 5}}", &["~train.seed"], "train.optim.lr = 5.0");
    check("train: {seed: 3}", &["~train"], "");
    check("train: {seed: 3}", &["~train.seed=3"], "");
    check("", &["~train.optim.lr"], "");
    assert!(!document("train: {seed: 3}", &["~train"]).unwrap().is_written("train.seed"));
}

#[test]
fn overrides_come_before_interpolation() {
    let yaml = "results_dir: /old\ntrain: {results_dir: '${results_dir}/train'}";
    check(yaml, &["results_dir=/new"], r#"results_dir = "/new"; train.results_dir = "/new/train""#);
    check("", &["type=${model_name}-x"], r#"type = "toy-x""#);
}
