//! Zero-shot classification against open_clip: class weights, logits, and what is counted.
//!
//! The fixture and its conventions: `tests/golden/zero_shot/README.md`.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
};

use burn::tensor::{Int, Tensor, TensorData};
use hearth_backbones::layers::Activation;
use hearth_clip::{
    layouts,
    model::Clip,
    registry::model_type,
    zero_shot::{Classifier, Prompts, class_embeddings, templates},
};
use hearth_data::{
    classes::{ByClass, ClassSource, Purpose, read_classes},
    decode::{Limits, read_picture},
    transform::PictureRecipe,
};
use hearth_engine::classification::Tally;
use hearth_weights::{KeyMap, WeightsFile, load};
use serde_json::Value;

use super::{device::device, goldens::classic};

const SIDE: usize = 32;
const CONTEXT: usize = 16;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name)
}

fn model() -> Clip {
    let weights = golden("clip_models/openclip_openai.weights.safetensors");
    let weights = WeightsFile::open(weights).unwrap();
    let layouts = layouts::all();
    let map = KeyMap::recognise(&layouts, &weights).unwrap();
    let config = classic(24, 1e-5, Activation::QuickGelu);
    load(config.init(&device()), &weights, map, &Default::default()).unwrap().0
}

/// The fixture's ids: a number for each word.
fn tokenize(text: &str) -> Vec<i32> {
    let number = |word: &str| {
        let sum: usize =
            word.bytes().enumerate().map(|(i, byte)| (i + 1) * usize::from(byte)).sum();
        (sum % 125 + 1) as i32
    };
    let mut ids = vec![126];
    ids.extend(text.split(' ').map(number).take(CONTEXT - 2));
    ids.push(127);
    ids.resize(CONTEXT, 0);
    ids
}

fn classes_of(model: &Clip, prompts: &Prompts, batch: usize) -> Vec<f32> {
    let embed = |texts: &[String]| {
        let ids: Vec<i32> = texts.iter().flat_map(|text| tokenize(text)).collect();
        let ids = TensorData::new(ids, [texts.len(), CONTEXT]);
        let ids = Tensor::<2, Int>::from_data(ids, &device());
        Ok::<_, Infallible>(model.embed_texts(ids, false).into_data().try_to_vec().unwrap())
    };
    class_embeddings(prompts, batch, embed).unwrap()
}

fn cosines_of(model: &Clip, classifier: &Classifier, data: &ByClass) -> Vec<f32> {
    let recipe = model_type("ViT-B-32").unwrap().picture;
    let recipe = PictureRecipe { size: SIDE as u32, ..recipe };
    let read = |path: &Path| recipe.apply(&read_picture(path, &Limits::default()).unwrap());
    let pixels: Vec<f32> = data.pictures.iter().flat_map(|picture| read(&picture.image)).collect();
    let pixels = TensorData::new(pixels, [data.pictures.len(), 3, SIDE, SIDE]);
    let pixels = Tensor::<4>::from_data(pixels, &device());
    classifier.cosines(model.embed_images(pixels, false))
}

/// Largest difference of two lists of the same length.
fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn equals_open_clip() {
    let text = std::fs::read_to_string(golden("zero_shot/expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    let tensors = WeightsFile::open(golden("zero_shot/expected.safetensors")).unwrap();

    let data = read_classes(&ClassSource {
        image_dir: golden("zero_shot/pictures"),
        image_list_file: None,
        class_names: None,
        purpose: Purpose::Words,
        key: "image_dir",
    })
    .unwrap();
    let prompts = Prompts {
        names: data.classes.iter().map(|class| class.name.clone()).collect(),
        templates: templates(&["simple".to_owned()]).unwrap(),
    };
    assert_eq!(serde_json::to_value(&prompts.names).unwrap(), expected["names"]);
    assert_eq!(serde_json::to_value(&prompts.templates).unwrap(), expected["templates"]);

    let model = model();
    let weights = tensors.read_f32("class_weights").unwrap();
    for batch in [1, 9, 56] {
        let found = difference(&classes_of(&model, &prompts, batch), &weights);
        assert!(found < 1e-5, "class weights in batches of {batch}: {found}");
    }

    let num_classes = prompts.names.len();
    let classes = classes_of(&model, &prompts, 32);
    let classifier = Classifier::new(classes, num_classes, &device());
    let cosines = cosines_of(&model, &classifier, &data);
    let logits: Vec<f32> = cosines.iter().map(|cosine| 100.0 * cosine).collect();
    let found = difference(&logits, &tensors.read_f32("logits").unwrap());
    assert!(found < 1e-3, "logits: {found}");

    let mut tally = Tally::new(num_classes);
    for (picture, cosines) in data.pictures.iter().zip(cosines.chunks_exact(num_classes)) {
        tally.add(picture.class, cosines);
    }
    let (n, confusion) = (data.pictures.len() as f64, tally.confusion());
    assert_eq!(tally.top1() * n, expected["top1"].as_f64().unwrap());
    assert_eq!(tally.top5() * n, expected["top5"].as_f64().unwrap());
    let mean = expected["mean_per_class"].as_f64().unwrap();
    assert!((tally.mean_per_class() - mean).abs() < 1e-6, "{} {mean}", tally.mean_per_class());
    let rows = 0..num_classes;
    let counts = rows.map(|truth| {
        (0..num_classes).map(|class| confusion.count(truth, class)).collect::<Vec<_>>()
    });
    assert_eq!(serde_json::to_value(counts.collect::<Vec<_>>()).unwrap(), expected["confusion"]);
}
