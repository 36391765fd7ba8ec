//! YAML as OmegaConf reads it: scalars in typed keys, quotes, anchors, `<<`.

use super::definition::{document, read, shown};

#[track_caller]
fn check(yaml: &str, expected: &str) {
    assert_eq!(shown(yaml, &[]), expected, "{yaml}");
}

#[test]
fn typed_keys_take_what_omegaconf_converts() {
    check("train: {num_epochs: '5'}", "train.num_epochs = 5");
    check("train: {num_epochs: ' 1_0 '}", "train.num_epochs = 10");
    check("train: {seed: 010}", "train.seed = 8");
    check("train: {seed: 0x1F}", "train.seed = 31");
    check("train: {seed: 1:30}", "train.seed = 90");
    check("train: {optim: {lr: 1}}", "train.optim.lr = 1.0");
    check("train: {optim: {lr: 1e-5}}", "train.optim.lr = 0.00001");
    check("train: {optim: {lr: '1e-5'}}", "train.optim.lr = 0.00001");
    check("train: {optim: {clip: .5}}", "train.optim.clip = 0.5");
    check("data: {pin: no}", "data.pin = false");
    check("data: {pin: 'Off'}", "data.pin = false");
    check("data: {pin: n}", "data.pin = false");
    check("data: {pin: 0}", "data.pin = false");
    check("type: 5", r#"type = "5""#);
    check("type: true", r#"type = "true""#);
}

#[test]
fn null_and_an_empty_text_mean_not_set() {
    let set = "train: {results_dir: /x, every: 5}";
    assert!(read(set, &[]).unwrap().train.results_dir.is_some());
    for unset in ["null", "~", "''", "\"\"", ""] {
        let spec = read(&format!("train: {{results_dir: {unset}, every: {unset}}}"), &[]).unwrap();
        assert_eq!((spec.train.results_dir, spec.train.every), (None, None), "{unset}");
    }
}

#[test]
fn options_know_their_other_spellings() {
    check("train: {precision: 32}", r#"train.precision = "fp32""#);
    check("train: {precision: '32'}", r#"train.precision = "fp32""#);
    check("train: {precision: 32-true}", r#"train.precision = "fp32""#);
    check("train: {optim: {optimizer_type: adam_w}}", "");
    check("train: {optim: {optimizer_type: lamb}}", r#"train.optim.optimizer_type = "lamb""#);
}

#[test]
fn a_block_may_be_empty() {
    check("", "");
    check("train:\n", "");
    check("# nothing\n", "");
    check("train:\n  optim:\n    # lr: 1\n", "");
}

#[test]
fn anchors_aliases_and_merges() {
    let spec = read(
        "data:\n  datasets:\n    - &first {image_dir: /a, caption_dir: /b}\n    - *first\n    - <<: *first\n      caption_dir: /c\n",
        &[],
    )
    .unwrap();
    let folders: Vec<_> = spec
        .data
        .datasets
        .iter()
        .map(|folder| (folder.image_dir.as_str(), folder.caption_dir.as_deref()))
        .collect();
    assert_eq!(folders, [("/a", Some("/b")), ("/a", Some("/b")), ("/a", Some("/c"))]);
    // The first of a list wins, own keys win over all.
    check(
        "train:\n  optim:\n    <<: [{lr: 3, clip: 3}, {lr: 4, betas: [0, 0]}]\n    clip: 2\n",
        "train.optim.lr = 3.0; train.optim.betas = [0.0,0.0]; train.optim.clip = 2.0",
    );
}

#[test]
fn tags_of_yaml_are_obeyed() {
    check("type: !!str 5", r#"type = "5""#);
    check("train: {seed: !!int '7'}", "train.seed = 7");
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_fine() {
    check("\u{feff}type: big\r\ntrain:\r\n  seed: 3\r\n", r#"type = "big"; train.seed = 3"#);
}

#[test]
fn written_and_defaulted_stay_apart() {
    let yaml = "data:\n  batch_size: 16\n  datasets: [{image_dir: /a}]\nlog:\n";
    let document = document(yaml, &["train.seed=1234"]).unwrap();
    for key in ["data", "data.batch_size", "data.datasets[0].image_dir", "train.seed", "log"] {
        assert!(document.is_written(key), "{key}");
    }
    for key in ["train.num_epochs", "data.datasets[0].caption_dir", "data.datasets[1]", "type", ""]
    {
        assert!(!document.is_written(key), "{key}");
    }
    assert_eq!(document.top_level_keys(), ["data", "log", "train"]);
    assert_eq!(document.text("train.seed").as_deref(), Some("1234"));
    assert_eq!(document.text("model_name"), None);
    assert_eq!(document.name(), "run.yaml");
}

#[test]
fn parents_may_choose_other_defaults_for_shared_keys() {
    let spec = read("train: {optim: {clip: 1}}", &[]).unwrap();
    assert_eq!((spec.train.shared.num_epochs, spec.train.optim.lr), (50, 2e-4));
}
