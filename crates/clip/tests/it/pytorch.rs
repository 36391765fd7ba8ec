//! Files of PyTorch in every layout, TAO's among them. Made by tests/golden/pytorch.py.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Int, Tensor, TensorData, Tolerance};
use hearth_backbones::{
    layers::{Activation, BlockConfig},
    text::{TextConfig, TextPool},
    vit::{VisionConfig, VisionPool, VisionPositions},
};
use hearth_clip::{
    layouts,
    model::{Clip, ClipConfig},
    vision::TowerConfig,
};
use hearth_weights::{KeyMap, LoadReport, WeightsFile, load, visit_values};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/pytorch").join(name)
}

fn open_clip(activation: Activation, logit_bias: bool) -> ClipConfig {
    let block = BlockConfig {
        width: 16,
        num_heads: 2,
        mlp_width: 64,
        activation,
        norm_eps: 1e-5,
        ..BlockConfig::default()
    };
    let vision = VisionConfig {
        image_size: 16,
        patch_size: 8,
        depth: 1,
        block: block.clone(),
        class_token: true,
        positions: VisionPositions::Learned,
        norm_pre: true,
        patch_bias: false,
        pool: VisionPool::ClassToken,
        projection: Some(8),
    };
    let text = TextConfig {
        vocab_size: 20,
        context_length: 6,
        depth: 1,
        block,
        causal: true,
        pool: TextPool::LargestId,
        projection: 8,
        projection_bias: false,
    };
    ClipConfig { vision: TowerConfig::Vit(vision), text, logit_bias }
}

fn siglip() -> ClipConfig {
    let mut config = open_clip(Activation::GeluTanh, true);
    let TowerConfig::Vit(vision) = &mut config.vision else { panic!("another tower") };
    vision.class_token = false;
    vision.norm_pre = false;
    vision.patch_bias = true;
    vision.pool = VisionPool::Map;
    vision.projection = None;
    config.text.causal = false;
    config.text.pool = TextPool::Last;
    config.text.projection = 16;
    config.text.projection_bias = true;
    config
}

fn read(name: &str, config: &ClipConfig) -> (Clip, LoadReport) {
    let file = WeightsFile::open(fixture(name)).unwrap_or_else(|err| panic!("{err}"));
    let layouts = layouts::all();
    let map = KeyMap::recognise(&layouts, &file).unwrap_or_else(|err| panic!("{err}"));
    load(config.init(&Device::flex()), &file, map, &Default::default())
        .unwrap_or_else(|err| panic!("{name}: {err}"))
}

fn values(model: &Clip) -> Vec<(String, Vec<f32>)> {
    let mut all = Vec::new();
    visit_values(model, |parameter, values| all.push((parameter.name.clone(), values)));
    all
}

/// Whatever wraps a model, its weights are the same.
#[test]
fn every_wrapper_gives_the_same_model() {
    let with_bias = open_clip(Activation::Gelu, true);
    for (plain, wrapped, config) in [
        (
            "clip/open_clip_pytorch_model.bin",
            &[
                "clip/open_clip_epoch_1.pt",
                "clip/tao_open_clip_old.ckpt",
                "clip/tao_open_clip_new.ckpt",
            ][..],
            with_bias,
        ),
        ("clip/siglip.bin", &["clip/tao_siglip_old.pth", "clip/tao_siglip_new.pth"][..], siglip()),
    ] {
        let (expected, _) = read(plain, &config);
        for name in wrapped {
            let (model, report) = read(name, &config);
            assert!(values(&model) == values(&expected), "{name}");
            let mut ignored = report.ignored.clone();
            ignored.sort();
            let adapter = if name.contains("siglip") { "inner" } else { "model" };
            let mut stale: Vec<String> = ["logit_bias", "logit_scale"]
                .iter()
                .filter(|_| name.contains("old"))
                .map(|name| format!("backbone.{adapter}.{name}"))
                .collect();
            stale.extend(name.contains("siglip").then(|| "backbone.mask".to_owned()));
            stale.sort();
            assert_eq!(ignored, stale, "{name}");
        }
    }
}

#[test]
fn clip_of_transformers_is_read_from_a_bin_file() {
    let mut config = open_clip(Activation::QuickGelu, false);
    config.text.pool = TextPool::LargestId;
    let (_, report) = read("clip/clip.bin", &config);
    assert!(report.fresh.is_empty() && report.dropped.is_empty());
}

#[test]
fn an_archive_of_openai_gives_its_numbers() {
    let (model, report) = read("openai.pt", &open_clip(Activation::QuickGelu, false));
    assert_eq!(report.ignored, ["attn_mask", "context_length", "input_resolution", "vocab_size"]);
    let expected = WeightsFile::open(fixture("openai_embeddings.safetensors")).unwrap();
    let tensor = |name: &str| {
        let shape = expected.entry(name).unwrap().shape.clone();
        TensorData::new(expected.read_f32(name).unwrap(), shape)
    };
    let device = Device::flex();
    let images = model.embed_images(Tensor::from_data(tensor("pixels"), &device), false);
    images.into_data().assert_approx_eq::<f32>(&tensor("images"), Tolerance::absolute(1e-5));
    let ids: Vec<i32> = expected.read_i64("ids").unwrap().into_iter().map(|id| id as i32).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, 6]), &device);
    let texts = model.embed_texts(ids, false);
    texts.into_data().assert_approx_eq::<f32>(&tensor("texts"), Tolerance::absolute(1e-5));
}
