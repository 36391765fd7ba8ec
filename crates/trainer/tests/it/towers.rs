//! C-RADIO and NaFlex from the spec to embeddings: training, resuming, evaluating, embedding.

use std::{fs, path::Path};

use image::{Rgb, RgbImage};
use rust_hdf5::H5File;
use tempfile::TempDir;

use super::{
    session::run,
    shapes::{root, workspace},
};

#[track_caller]
fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    stderr
}

#[track_caller]
fn fail(folder: &Path, code: i32, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    stderr
}

fn loss(folder: &Path) -> String {
    let status = fs::read_to_string(folder.join("train/status.json")).unwrap();
    let line = status.lines().rev().find(|line| line.contains("train_loss")).unwrap();
    line.split("\"train_loss\": ").nth(1).unwrap().split(['}', ',']).next().unwrap().to_owned()
}

/// The workspace with pictures of many shapes.
fn of_many_shapes() -> TempDir {
    let folder = workspace();
    for split in ["train", "val"] {
        let images = folder.path().join(split).join("images");
        let count = fs::read_dir(&images).unwrap().count() as u32;
        for i in 0..count {
            let (width, height) = (20 + 17 * (i % 7), 100 - 11 * (i % 5));
            let picture = RgbImage::from_fn(width, height, |x, y| {
                Rgb([(x * 5 + i * 40) as u8, (y * 3) as u8, (i * 90) as u8])
            });
            picture.save(images.join(format!("{i:04}.png"))).unwrap();
        }
    }
    folder
}

#[test]
fn naflex_trains_on_pictures_of_any_shape() {
    let folder = of_many_shapes();
    let folder = folder.path();
    let naflex = ["-e", "spec.yaml", "model.type=hearth-tiny-naflex", "train.num_epochs=2"];
    let with = |more: &[&'static str]| [&naflex[..], more].concat();
    succeed(folder, &with(&[]));
    succeed(folder, &with(&["results_dir=parts", "hearth.train.micro_batches=2"]));
    let (whole, parts) = (loss(&folder.join("out")), loss(&folder.join("parts")));
    let difference = whole.parse::<f64>().unwrap() - parts.parse::<f64>().unwrap();
    assert!(difference.abs() < 1e-4, "{whole} {parts}");

    // Two epochs at once, and one after the other.
    succeed(
        folder,
        &with(&["results_dir=split", "train.num_epochs=2", "train.optim.scheduler=constant"]),
    );
    succeed(
        folder,
        &with(&["results_dir=again", "train.num_epochs=1", "train.optim.scheduler=constant"]),
    );
    succeed(folder, &with(&["results_dir=again", "train.optim.scheduler=constant"]));
    let last = "train/model_epoch_001_step_00012.safetensors";
    let bytes = |results: &str| fs::read(folder.join(results).join(last)).unwrap();
    assert!(bytes("split") == bytes("again"), "resumed weights differ");

    let checkpoint = "evaluate.checkpoint=out/train/clip_latest.safetensors";
    succeed(
        folder,
        &["clip", "evaluate", "-e", "spec.yaml", "model.type=hearth-tiny-naflex", checkpoint],
    );
    let checkpoint = "inference.checkpoint=out/train/clip_latest.safetensors";
    let inference =
        ["clip", "inference", "-e", "spec.yaml", "model.type=hearth-tiny-naflex", checkpoint];
    succeed(folder, &inference);
    let all = rows(&folder.join("out/inference/image_embeddings.h5"));
    // Padding does not matter: every picture alone gives the same embedding.
    succeed(folder, &[&inference[..], &["inference.batch_size=1", "results_dir=single"]].concat());
    let single = rows(&folder.join("single/inference/image_embeddings.h5"));
    assert_eq!(all.len(), 10 * 128);
    for (a, b) in all.iter().zip(&single) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }

    let found = fail(folder, 2, &[&inference[..], &["hearth.model.max_num_patches=9"]].concat());
    assert!(found.contains("found 9, needed 16, as in the checkpoint"), "{found}");
}

fn rows(path: &Path) -> Vec<f32> {
    let file = H5File::open(path).unwrap();
    let rows = file.dataset("embeddings").unwrap();
    rows.read_slice::<f32>(&[0, 0], &rows.shape()).unwrap()
}

/// The small C-RADIO model of the fixtures as a Hugging Face folder, and its text towers.
fn radio() -> TempDir {
    let folder = workspace();
    let golden = root().join("tests/golden/radio/bl");
    for (name, file) in [("model.safetensors", "hf.safetensors"), ("config.json", "hf_config.json")]
    {
        copy(&golden.join(file), &folder.path().join("radio").join(name));
    }
    for (kind, config) in [
        ("siglip", "{\"text_config\": {\"num_attention_heads\": 4}}"),
        ("clip", "{\"text_config\": {\"num_attention_heads\": 4}}"),
    ] {
        let text = folder.path().join(kind);
        copy(&golden.join(format!("text_{kind}.safetensors")), &text.join("model.safetensors"));
        fs::write(text.join("config.json"), config).unwrap();
    }
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
}

const RADIO: &[&str] = &[
    "-e",
    "spec.yaml",
    "model.type=c-radio_v3-b",
    "model.adaptor_name=siglip",
    "model.image_size=64",
    "train.pretrained_model_path=radio",
    "train.num_epochs=2",
    "train.loss_type=siglip",
];

#[test]
fn radio_trains_from_its_backbone_and_its_teachers_text_tower() {
    let folder = radio();
    let folder = folder.path();
    let train =
        |more: &[&'static str]| [RADIO, &["hearth.model.text_weights=siglip"], more].concat();
    let said = succeed(folder, &train(&[]));
    assert!(said.contains("C-RADIO"), "{said}");
    // Position crops belong to the sample: parts of a batch draw the same.
    succeed(folder, &train(&["results_dir=parts", "hearth.train.micro_batches=2"]));
    succeed(folder, &train(&["results_dir=whole_table", "hearth.train.position_crops=false"]));
    let number = |results: &str| loss(&folder.join(results)).parse::<f64>().unwrap();
    assert!((number("out") - number("parts")).abs() < 1e-4);
    assert!((number("out") - number("whole_table")).abs() > 1e-6);

    // The checkpoint is whole: towers, tokenizer, recipe.
    let checkpoint = "evaluate.checkpoint=out/train/clip_latest.safetensors";
    let evaluate = [
        "clip",
        "evaluate",
        "-e",
        "spec.yaml",
        "model.type=c-radio_v3-b",
        "model.adaptor_name=siglip",
    ];
    succeed(folder, &[&evaluate[..], &[checkpoint]].concat());
    let results = fs::read_to_string(folder.join("out/evaluate/results.json")).unwrap();
    assert!(results.contains("\"num_images\": 10"), "{results}");

    let other = [
        "clip",
        "evaluate",
        "-e",
        "spec.yaml",
        "model.type=c-radio_v3-b",
        "model.adaptor_name=clip",
        checkpoint,
    ];
    let found = fail(folder, 2, &other);
    assert!(found.contains("the teacher `siglip2`, as in the checkpoint"), "{found}");
}

#[test]
fn radio_files_that_do_not_fit_are_named() {
    let folder = radio();
    let folder = folder.path();
    let found = fail(folder, 2, RADIO);
    assert!(found.contains("`hearth.model.text_weights`"), "{found}");
    assert!(found.contains("google/siglip2-so400m-patch16-naflex"), "{found}");

    let with = |more: &[&'static str]| [RADIO, more].concat();
    let found = fail(folder, 4, &with(&["hearth.model.text_weights=clip"]));
    assert!(found.contains("transformers text tower"), "{found}");

    let found = fail(
        folder,
        4,
        &with(&["train.pretrained_model_path=siglip", "hearth.model.text_weights=siglip"]),
    );
    assert!(found.contains("no C-RADIO backbone"), "{found}");

    fs::write(folder.join("radio/config.json"), "{}").unwrap();
    let found = fail(folder, 4, &with(&["hearth.model.text_weights=siglip"]));
    assert!(found.contains("how many attention heads"), "{found}");
}

/// The words of the repository's tokenizer with the marks that CLIP puts around a text.
fn with_clips_marks() -> String {
    let path = root().join("assets/tokenizer/tokenizer.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let words = json["model"]["vocab"].as_object_mut().unwrap();
    for (mark, id) in [("<|startoftext|>", 126), ("<|endoftext|>", 127)] {
        words.insert(mark.to_owned(), id.into());
    }
    json.to_string()
}

/// The hub's own files: pickled arguments, several teachers, half precision, an average to prefer.
#[test]
fn radio_trains_from_the_hubs_files_in_either_space() {
    let folder = radio();
    let folder = folder.path();
    let golden = root().join("tests/golden/radio");
    for (variant, model, adaptor) in [
        ("bl", "c-radio_v3-l", "clip"),
        ("hg", "c-radio_v3-h", "siglip"),
        ("hg", "c-radio_v3-g", "clip"),
    ] {
        let weights = golden.join(variant).join("radio.pth.tar").display().to_string();
        let text = golden.join(variant).join(format!("text_{adaptor}.safetensors"));
        let beside = folder.join(format!("{variant}-{adaptor}"));
        copy(&text, &beside.join("model.safetensors"));
        let heads = "{\"text_config\": {\"num_attention_heads\": 4}}";
        fs::write(beside.join("config.json"), heads).unwrap();
        let results = format!("results_dir={model}-{adaptor}");
        let tokenizer = folder.join("clip_tokenizer.json");
        fs::write(&tokenizer, with_clips_marks()).unwrap();
        let keys = [
            format!("model.type={model}"),
            format!("model.adaptor_name={adaptor}"),
            format!("train.pretrained_model_path={weights}"),
            format!("hearth.model.text_weights={}", beside.display()),
            format!("hearth.model.tokenizer={}", tokenizer.display()),
            results,
        ];
        let fixed = ["-e", "spec.yaml", "model.image_size=64", "train.num_epochs=1"];
        let arguments: Vec<&str> =
            fixed.into_iter().chain(keys.iter().map(String::as_str)).collect();
        let said = succeed(folder, &arguments);
        assert!(said.contains("text tower"), "{model} {adaptor}: {said}");
        let checkpoint = folder.join(format!("{model}-{adaptor}/train/clip_latest.safetensors"));
        assert!(checkpoint.exists(), "{model} {adaptor}");
    }
}
