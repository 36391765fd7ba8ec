//! `${...}`.

use super::definition::{document, shown};

#[track_caller]
fn check(yaml: &str, expected: &str) {
    assert_eq!(shown(yaml, &[]), expected, "{yaml}");
}

#[test]
fn keys_are_found_in_the_file_and_among_the_defaults() {
    check("results_dir: /r\ntype: ${results_dir}/x", r#"results_dir = "/r"; type = "/r/x""#);
    check("train: {seed: '${data.batch_size}'}", "train.seed = 16");
    check(
        "data: {batch_size: 4}\ntrain: {seed: '${data.batch_size}'}",
        "data.batch_size = 4; train.seed = 4",
    );
    check("type: ${model_name}", r#"type = "toy""#);
    check(
        "type: ${data.datasets[0].image_dir}\ndata: {datasets: [{image_dir: /a}]}",
        r#"type = "/a"; data.datasets[0].image_dir = "/a""#,
    );
    check(
        "type: ${data.datasets.0.image_dir}\ndata: {datasets: [{image_dir: /a}]}",
        r#"type = "/a"; data.datasets[0].image_dir = "/a""#,
    );
}

#[test]
fn a_whole_value_keeps_its_type() {
    check(
        "train: {optim: {betas: [0, 0.5]}}\ndata: {scale: '${train.optim.betas}'}",
        "data.scale = [0.0,0.5]; train.optim.betas = [0.0,0.5]",
    );
    check("train: {every: '${train.optim.clip}'}", "");
    let folders = "data:\n  datasets:\n  - {image_dir: /a}\n  - ${data.datasets[0]}\n";
    check(folders, r#"data.datasets[0].image_dir = "/a"; data.datasets[1].image_dir = "/a""#);
}

#[test]
fn points_climb_from_the_key() {
    check("train:\n  seed: 3\n  every: ${.seed}", "train.seed = 3; train.every = 3");
    check(
        "train:\n  seed: 3\n  optim:\n    clip: ${..seed}",
        "train.seed = 3; train.optim.clip = 3.0",
    );
    check(
        "data:\n  datasets:\n  - image_dir: /a\n    caption_dir: ${.image_dir}/c",
        r#"data.datasets[0].image_dir = "/a"; data.datasets[0].caption_dir = "/a/c""#,
    );
}

#[test]
fn interpolations_may_lead_to_each_other() {
    check(
        "type: ${results_dir}\nresults_dir: ${model_name}\nmodel_name: x",
        r#"model_name = "x"; results_dir = "x"; type = "x""#,
    );
    check(
        "data: {scale: '${train.optim.betas}'}\ntrain: {optim: '${.other}', seed: 1}",
        concat!(
            "error: run.yaml:2:16: `train.optim`: `${.other}` names no key\n",
            "  |\n2 | train: {optim: '${.other}', seed: 1}\n  |                ^^^^^^^^^^^",
        ),
    );
}

#[test]
fn variables_of_the_environment_are_texts() {
    check("type: ${oc.env:HOME}/x", r#"type = "/home/me/x""#);
    check("train: {seed: '${oc.env:STEPS}'}", "train.seed = 7");
    check("train: {seed: '${oc.env:NONE,5}'}", "train.seed = 5");
    check("train: {every: '${oc.env:NONE,null}'}", "");
    check("type: ${oc.env:NONE,'a b'}", r#"type = "a b""#);
    check("type: ${oc.env:NONE,${model_name}-y}", r#"type = "toy-y""#);
    check("type: ${oc.env:EMPTY,x}", r#"type = """#);
    check("type: \\${model_name}", r#"type = "${model_name}""#);
    check("type: \\\\${model_name}", r#"type = "\\toy""#);
    check("type: \\\\\\${model_name}", r#"type = "\\${model_name}""#);
    check("type: $${model_name}$", r#"type = "$toy$""#);
}

#[test]
fn the_text_of_a_key_is_interpolated_without_a_definition() {
    let document = document("model_name: ${oc.env:NONE,clip}", &[]).unwrap();
    assert_eq!(document.text("model_name").as_deref(), Some("clip"));
}
