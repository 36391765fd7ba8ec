//! Files of other projects, and ours. Fixtures: `tests/golden/mae_layouts.py`.

use std::{collections::BTreeMap, path::Path, sync::LazyLock};

use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};
use hearth_backbones::positions::sin_cos_2d;
use hearth_data::random::Key;
use hearth_mae::{
    arch::{ALL, Arch, Kind},
    autoencoder::{Autoencoder, DecoderConfig},
    classifier::{Classifier, VitGraph},
    fcmae::MaskMode,
    init,
    layouts::{self, Dialect},
    masking,
    weights::{
        Frame, Head, autoencoder, classes_of, classifier, classifier_from, decoder_of, vit_graph_of,
    },
};
use hearth_weights::{
    KeyMap, WeightsError, WeightsFile, map_values, parameters, save, save_pth, save_tensors,
    visit_values,
};
use serde_json::Value;
use tempfile::TempDir;

use super::fill::{signed, uniform};

static DEVICE: LazyLock<Device> = LazyLock::new(Device::flex);
const CLASSES: usize = 5;
const VIT: Arch = Arch { name: "tiny vit", kind: Kind::Vit(2, 16, 2, 8) };
const HIERA: Arch = Arch { name: "tiny hiera", kind: Kind::Hiera([1, 2, 2, 1], 4, 1) };
const CONVNEXT: Arch =
    Arch { name: "tiny convnext", kind: Kind::ConvNext([1, 2, 2, 1], [8, 12, 16, 24], 4) };
const GRAPHS: [VitGraph; 3] = [VitGraph::Bare, VitGraph::FcNorm, VitGraph::ClassToken];

fn size(arch: Arch) -> usize {
    if arch == VIT { 32 } else { 64 }
}

fn frame(arch: Arch, image_size: usize) -> Frame<'static> {
    Frame { arch, image_size, device: &DEVICE }
}

fn golden(name: &str) -> WeightsFile {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/mae_layouts");
    WeightsFile::open(folder.join(name)).unwrap()
}

fn expected(case: &str, what: &str) -> Vec<f32> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/mae_layouts");
    let text = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    match &all[case][what] {
        Value::Array(numbers) => numbers.iter().map(|n| n.as_f64().unwrap() as f32).collect(),
        number => vec![number.as_f64().unwrap() as f32],
    }
}

fn pictures(size: usize) -> Tensor<4> {
    let values: Vec<f32> =
        signed("input", 2 * 3 * size * size).into_iter().map(|v| v as f32).collect();
    Tensor::from_data(TensorData::new(values, [2, 3, size, size]), &Device::flex())
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

#[track_caller]
fn close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= tolerance, "{found} {expected}");
    }
}

#[track_caller]
fn check_loss(arch: Arch, file: &WeightsFile, case: &str) {
    let size = size(arch);
    let (model, _) = autoencoder(frame(arch, size), decoder_of(file).unwrap(), file).unwrap();
    let grid = [size / arch.cell(); 2];
    let noise: Vec<f32> =
        (0..2 * grid[0] * grid[1]).map(|place| uniform("noise", place) as f32).collect();
    let cells = masking::by_noise(grid, 0.5, &noise);
    let seen = model.forward(pictures(size), &cells, MaskMode::Masked, false);
    let loss = numbers(seen.loss(pictures(size), true));
    let expected = expected(case, "loss");
    close(&loss, &expected, 2e-5 * expected[0]);
}

#[test]
fn autoencoders_of_transformers() {
    let folder = tempfile::tempdir().unwrap();
    let saved = golden("vit_transformers_saved.safetensors");
    // As files of version 4 are.
    let before = rewritten(&folder, &saved, |name| {
        Some(name.replace("decoder_encoder.layer", "decoder_layers"))
    });
    for file in [golden("vit_transformers.safetensors"), saved, before] {
        check_loss(VIT, &file, "vit_transformers");
    }
    let hiera = "hiera_transformers_autoencoder";
    check_loss(HIERA, &golden(&format!("{hiera}.safetensors")), hiera);
}

#[track_caller]
fn check_logits(arch: Arch, file: &str, case: &str) {
    let file = golden(file);
    assert_eq!(classes_of(&file), Some(CLASSES));
    let (model, report) = classifier(frame(arch, size(arch)), CLASSES, &file).unwrap();
    assert_eq!(report.loaded(), report.parameters);
    let logits = model.forward(pictures(size(arch)), false);
    close(&numbers(logits), &expected(case, "logits"), 1e-4);
}

#[test]
fn classifiers_of_transformers_timm_and_meta() {
    let case = "convnext_transformers";
    check_logits(CONVNEXT, &format!("{case}.safetensors"), case);
    check_logits(CONVNEXT, "convnext_timm.safetensors", "convnext_timm");
    let case = "hiera_transformers_classifier";
    check_logits(HIERA, &format!("{case}.safetensors"), case);
    check_logits(HIERA, "hiera_timm.safetensors", "hiera_timm");
    check_logits(HIERA, "hiera_meta.pth", "hiera_timm");
    for (case, graph) in
        [("vit_timm_mean", VitGraph::FcNorm), ("vit_timm_token", VitGraph::ClassToken)]
    {
        let file = format!("{case}.safetensors");
        check_logits(VIT, &file, case);
        assert_eq!(vit_graph_of(&golden(&file)), graph);
    }
}

#[test]
fn learned_tables_follow_the_pictures() {
    for (arch, case) in [(VIT, "vit_timm_mean"), (VIT, "vit_timm_token"), (HIERA, "hiera_timm")] {
        let (file, size) = (golden(&format!("{case}.safetensors")), size(arch) * 3 / 2);
        let (model, report) = classifier(frame(arch, size), CLASSES, &file).unwrap();
        assert_eq!(report.resized.len(), 1);
        close(
            &numbers(model.forward(pictures(size), false)),
            &expected(case, "logits_larger"),
            1e-4,
        );
    }
}

#[test]
fn fixed_tables_are_computed() {
    let file = golden("vit_transformers.safetensors");
    let decoder = decoder_of(&file).unwrap();
    let (model, report) = autoencoder(frame(VIT, 64), decoder, &file).unwrap();
    assert_eq!(
        report.resized.iter().map(|table| table.method).collect::<Vec<_>>(),
        ["computed"; 2]
    );
    let values = values(&model);
    assert_eq!(values["encoder.pos_embed"], sin_cos_2d(8, 16));
    assert_eq!(values["decoder_pos_embed"], sin_cos_2d(8, 32));
    let Autoencoder::Vit(model) = model else { panic!("a ViT") };
    assert!(!model.decoder_pos_embed.val().is_require_grad());

    // Hiera's decoder has a learned one.
    let file = golden("hiera_transformers_autoencoder.safetensors");
    let decoder = decoder_of(&file).unwrap();
    let (_, report) = autoencoder(frame(HIERA, 96), decoder, &file).unwrap();
    let resized: Vec<&str> = report.resized.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(resized, ["encoder.pos_embed", "decoder_pos_embed"]);
}

/// Files of TAO and of Meta's training code, by one script from one model.
#[test]
fn sparse_layers_are_the_dense_ones() {
    let [tao, sparse] = ["fcmae_tao.pth", "fcmae_sparse.pth"].map(golden);
    let decoder = decoder_of(&tao).unwrap();
    assert_eq!(decoder, DecoderConfig { depth: 1, width: 8, num_heads: 8 });
    assert_eq!(decoder_of(&sparse), Some(decoder));
    let frame = frame(CONVNEXT, 64);
    let (of_tao, _) = autoencoder(frame, decoder, &tao).unwrap();
    let (of_sparse, report) = autoencoder(frame, decoder, &sparse).unwrap();
    assert_eq!(report.layout, "FCMAE of sparse layers");
    assert_eq!(values(&of_tao), values(&of_sparse));

    let head = Head { classes: 3, graph: None };
    for file in [&tao, &sparse] {
        let (model, _) = classifier_from(frame, head, file, &Key::new(1)).unwrap();
        let features = model.features(pictures(64), false);
        close(&numbers(features), &expected("fcmae", "features"), 1e-4);
    }
}

fn values<M: Module>(model: &M) -> BTreeMap<String, Vec<f32>> {
    let mut all = BTreeMap::new();
    visit_values(model, |parameter, values| drop(all.insert(parameter.name.clone(), values)));
    all
}

/// Every parameter has values of its own.
fn numbered<M: Module>(model: M) -> M {
    map_values(model, |parameter| {
        let values = signed(&parameter.name, parameter.len());
        Some(values.into_iter().map(|value| value as f32).collect())
    })
}

fn new_autoencoder(arch: Arch) -> (Autoencoder, DecoderConfig) {
    let decoder = DecoderConfig::sized(2, 16);
    let encoder = arch.encoder(size(arch));
    (numbered(Autoencoder::new(&encoder, decoder, &Device::flex())), decoder)
}

fn new_classifier(arch: Arch, graph: VitGraph) -> Classifier {
    numbered(Classifier::new(&arch.encoder(size(arch)), CLASSES, graph, &Device::flex()))
}

fn saved<M: Module>(folder: &TempDir, model: &M, map: &KeyMap) -> [WeightsFile; 2] {
    let paths = ["a.safetensors", "a.pth"].map(|name| folder.path().join(name));
    save(model, &paths[0], map, &BTreeMap::new()).unwrap();
    save_pth(model, &paths[1], map, &BTreeMap::new()).unwrap();
    paths.map(|path| WeightsFile::open(path).unwrap())
}

#[test]
fn what_is_saved_loads_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    for arch in [VIT, HIERA, CONVNEXT] {
        let frame = frame(arch, size(arch));
        let (model, decoder) = new_autoencoder(arch);
        for file in saved(&folder, &model, &layouts::autoencoder(arch.kind)) {
            assert_eq!(decoder_of(&file), Some(decoder));
            let (loaded, report) = autoencoder(frame, decoder, &file).unwrap();
            assert_eq!(values(&loaded), values(&model), "{report}");
        }
        for graph in GRAPHS {
            let model = new_classifier(arch, graph);
            for file in saved(&folder, &model, &layouts::classifier(arch.kind, graph)) {
                let (loaded, report) = classifier(frame, CLASSES, &file).unwrap();
                assert_eq!(values(&loaded), values(&model), "{report}");
            }
        }
    }
}

#[test]
fn every_dialect_is_recognised_and_loads_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    for arch in [VIT, HIERA, CONVNEXT] {
        let frame = frame(arch, size(arch));
        let (with_decoder, decoder) = new_autoencoder(arch);
        for dialect in layouts::published(arch.kind) {
            if let Some(map) = dialect.autoencoder() {
                for file in saved(&folder, &with_decoder, &map) {
                    let (loaded, report) = autoencoder(frame, decoder, &file).unwrap();
                    assert_eq!(values(&loaded), values(&with_decoder), "{report}");
                    check_recognised(&report.layout, &dialect, false);
                }
            }
            for graph in GRAPHS {
                let model = new_classifier(arch, graph);
                for file in saved(&folder, &model, &dialect.classifier(graph)) {
                    let (loaded, report) = classifier(frame, CLASSES, &file).unwrap();
                    assert_eq!(values(&loaded), values(&model), "{report}");
                    check_recognised(&report.layout, &dialect, true);
                }
            }
        }
    }
}

/// Names that two projects share are those of the first.
#[track_caller]
fn check_recognised(found: &str, dialect: &Dialect, classifier: bool) {
    let expected = match dialect.name.as_str() {
        "Hiera of timm" if !classifier => "Hiera of Meta",
        "transformers ViTMAE, saved by 5" if classifier => "transformers ViTMAE before 5",
        name => name,
    };
    assert_eq!(found, expected);
}

/// Names only: no value of a large model is drawn.
#[test]
fn every_map_is_two_way_for_every_architecture() {
    let device = Device::flex();
    for arch in ALL {
        let encoder = arch.encoder(224);
        let model = Autoencoder::new(&encoder, DecoderConfig::of(&encoder), &device);
        let with_decoder = parameters(&model);
        for dialect in layouts::published(arch.kind) {
            if let Some(map) = dialect.autoencoder() {
                map.check(&with_decoder).unwrap();
            }
            for graph in GRAPHS {
                let model = Classifier::new(&encoder, 1000, graph, &device);
                dialect.classifier(graph).check(&parameters(&model)).unwrap();
            }
        }
    }
}

#[test]
fn what_is_saved_has_the_names_and_shapes_of_the_files() {
    let cases = [
        (VIT, "transformers ViTMAE", "vit_transformers.safetensors"),
        (VIT, "transformers ViTMAE, saved by 5", "vit_transformers_saved.safetensors"),
        (VIT, "ViT of MAE", "vit_timm_mean.safetensors"),
        (VIT, "ViT of MAE", "vit_timm_token.safetensors"),
        (HIERA, "transformers Hiera", "hiera_transformers_autoencoder.safetensors"),
        (HIERA, "transformers Hiera", "hiera_transformers_classifier.safetensors"),
        (HIERA, "Hiera of timm", "hiera_timm.safetensors"),
        (HIERA, "Hiera of Meta", "hiera_meta.pth"),
        (CONVNEXT, "transformers ConvNextV2", "convnext_transformers.safetensors"),
        (CONVNEXT, "ConvNeXt V2 of timm", "convnext_timm.safetensors"),
        (CONVNEXT, "FCMAE of sparse layers", "fcmae_sparse.pth"),
        (CONVNEXT, "FCMAE", "fcmae_tao.pth"),
    ];
    for (arch, name, file) in cases {
        let (file, encoder) = (golden(file), arch.encoder(size(arch)));
        let dialects = layouts::published(arch.kind);
        let dialect = dialects.iter().find(|dialect| dialect.name == name).unwrap();
        let layout = match decoder_of(&file) {
            Some(decoder) => {
                let model = Autoencoder::new(&encoder, decoder, &DEVICE);
                dialect.autoencoder().unwrap().layout(&parameters(&model))
            }
            None => {
                let graph = vit_graph_of(&file);
                let model = Classifier::new(&encoder, CLASSES, graph, &DEVICE);
                dialect.classifier(graph).layout(&parameters(&model))
            }
        };
        let held =
            file.names().map(|name| (name.to_owned(), file.entry(name).unwrap().shape.clone()));
        assert_eq!(layout.unwrap(), held.collect::<BTreeMap<_, _>>(), "{name}");
    }
}

/// Tensors of TAO's files.
#[test]
fn our_files_have_as_many_tensors_as_those_of_tao() {
    let cases = [
        ("convnextv2_atto", 151, 140),
        ("hiera_tiny_224", 263, 157),
        ("vit_base_patch16", 254, 150),
    ];
    for (name, in_autoencoder, in_classifier) in cases {
        let arch = Arch::named(name).unwrap();
        let encoder = arch.encoder(224);
        let model = Autoencoder::new(&encoder, DecoderConfig::of(&encoder), &DEVICE);
        let layout = layouts::autoencoder(arch.kind).layout(&parameters(&model)).unwrap();
        assert_eq!(layout.len(), in_autoencoder, "{name}");
        let model = Classifier::new(&encoder, 1000, VitGraph::Bare, &DEVICE);
        let map = layouts::classifier(arch.kind, VitGraph::Bare);
        assert_eq!(map.layout(&parameters(&model)).unwrap().len(), in_classifier, "{name}");
    }
}

/// The tensors of `file` under other names; those without one are left out.
fn rewritten(
    folder: &TempDir,
    file: &WeightsFile,
    rename: impl Fn(&str) -> Option<String>,
) -> WeightsFile {
    let tensors = file.names().filter_map(|name| {
        let values = file.read_f32(name).unwrap();
        Some((rename(name)?, file.entry(name).unwrap().shape.clone(), values))
    });
    let path = folder.path().join("rewritten.safetensors");
    save_tensors(&path, &BTreeMap::new(), tensors.collect()).unwrap();
    WeightsFile::open(path).unwrap()
}

#[test]
fn wrappers_are_looked_through() {
    let folder = tempfile::tempdir().unwrap();
    let tao = golden("fcmae_tao.pth");
    let decoder = decoder_of(&tao).unwrap();
    let frame = frame(CONVNEXT, 64);
    let (plain, _) = autoencoder(frame, decoder, &tao).unwrap();
    for prefix in ["model.", "module."] {
        let file = rewritten(&folder, &tao, |name| Some(format!("{prefix}{name}")));
        assert_eq!(decoder_of(&file), Some(decoder));
        let (wrapped, report) = autoencoder(frame, decoder, &file).unwrap();
        assert_eq!(values(&wrapped), values(&plain));
        assert_eq!(report.layout, format!("FCMAE, behind `{prefix}`"));
        let head = Head { classes: 3, graph: None };
        classifier_from(frame, head, &file, &Key::new(1)).unwrap();
    }
    // A fine-tuned model of TAO, which TAO itself skips in silence.
    let model = new_classifier(CONVNEXT, VitGraph::Bare);
    let [file, _] = saved(&folder, &model, &layouts::classifier(CONVNEXT.kind, VitGraph::Bare));
    let file = rewritten(&folder, &file, |name| Some(format!("model.{name}")));
    assert!(file.names().any(|name| name.starts_with("model.stages.")));
    let head = Head { classes: CLASSES, graph: None };
    let (loaded, report) = classifier_from(frame, head, &file, &Key::new(1)).unwrap();
    assert_eq!(values(&loaded), values(&model));
    assert_eq!(report.fresh, [""; 0]);
}

#[test]
fn fine_tuning_starts_from_any_file() {
    let folder = tempfile::tempdir().unwrap();
    for (arch, norm) in [(VIT, "encoder.norm"), (HIERA, "norm"), (CONVNEXT, "norm")] {
        let frame = frame(arch, size(arch));
        let (model, _) = new_autoencoder(arch);
        let of_autoencoder = values(&model);
        let head = Head { classes: 3, graph: Some(VitGraph::FcNorm) };
        let fresh = ["weight", "bias"].map(|kind| format!("{norm}.{kind}"));
        let fresh: Vec<String> =
            fresh.into_iter().chain(["head.weight", "head.bias"].map(str::to_owned)).collect();
        for dialect in layouts::published(arch.kind) {
            let Some(map) = dialect.autoencoder() else { continue };
            let [file, _] = saved(&folder, &model, &map);
            assert_eq!((classes_of(&file), vit_graph_of(&file)), (None, VitGraph::Bare));
            let encoder_only = rewritten(&folder, &file, |name| {
                let behind = ["mask_token", "decoder", "proj.", "pred.", "multi", "encoder_norm"];
                (!behind.iter().any(|start| name.starts_with(start))).then(|| name.to_owned())
            });
            assert_eq!(decoder_of(&encoder_only), None);
            for file in [&file, &encoder_only] {
                let key = Key::new(7);
                let (loaded, report) = classifier_from(frame, head, file, &key).unwrap();
                assert_eq!(report.fresh, fresh, "{report}");
                let drawn =
                    Classifier::new(&arch.encoder(size(arch)), 3, VitGraph::FcNorm, frame.device);
                let drawn = values(&init::classifier(drawn, arch.kind, &key));
                for (name, values) in values(&loaded) {
                    let source =
                        if report.fresh.contains(&name) { &drawn } else { &of_autoencoder };
                    assert!(values == source[&name], "{name}");
                }
            }
        }
    }
}

#[test]
fn a_head_is_kept_where_it_has_as_many_classes() {
    let file = golden("vit_timm_token.safetensors");
    let frame = frame(VIT, 32);
    let load = |classes, graph| {
        classifier_from(frame, Head { classes, graph }, &file, &Key::new(1)).unwrap()
    };
    let (kept, report) = load(CLASSES, None);
    assert!(report.fresh.is_empty() && report.dropped.is_empty(), "{report}");
    close(&numbers(kept.forward(pictures(32), false)), &expected("vit_timm_token", "logits"), 1e-4);
    let (other, report) = load(2, None);
    assert_eq!(report.fresh, ["head.weight", "head.bias"]);
    assert_eq!(report.dropped, ["head.weight", "head.bias"]);
    assert!(values(&other)["head.weight"].iter().all(|value| value.abs() < 1e-3));
    // TAO's graph has no norm.
    let (_, report) = load(CLASSES, Some(VitGraph::Bare));
    assert_eq!(report.dropped, ["norm.bias", "norm.weight"]);
    assert!(report.fresh.is_empty());
}

fn message(error: &WeightsError, folder: &Path) -> String {
    let hints = error.hints().into_iter().map(|hint| format!("\nhint: {hint}"));
    let text = std::iter::once(error.to_string()).chain(hints).collect::<String>();
    text.replace(&format!("{}/", folder.display()), "")
}

#[test]
fn another_model_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let check = |file: &WeightsFile, frame, expected: &str| {
        let head = Head { classes: CLASSES, graph: None };
        let error = classifier_from(frame, head, file, &Key::new(1)).unwrap_err();
        assert_eq!(message(&error, folder.path()), expected);
    };
    let small = Arch::named("hearth-vit-small-patch8").unwrap();
    let model = Classifier::new(&small.encoder(16), CLASSES, VitGraph::Bare, &Device::flex());
    let [file, _] = saved(&folder, &model, &layouts::classifier(small.kind, VitGraph::Bare));
    check(
        &file,
        frame(Arch::named("vit_base_patch16").unwrap(), 224),
        "a.safetensors: found `hearth-vit-small-patch8`: ViT, 6 blocks 192 wide, patches of 8 pixels, \
         need `vit_base_patch16`: ViT, 12 blocks 768 wide, patches of 16 pixels\n\
         hint: set `model.arch: hearth-vit-small-patch8`",
    );
    let (model, _) = new_autoencoder(CONVNEXT);
    let [file, _] = saved(&folder, &model, &layouts::autoencoder(CONVNEXT.kind));
    check(
        &file,
        frame(Arch::named("hiera_tiny_224").unwrap(), 224),
        "a.safetensors: found ConvNeXt V2, 1, 2, 2, 1 blocks 8, 12, 16, 24 wide, patches of 4 pixels, \
         need `hiera_tiny_224`: Hiera, 1, 2, 7, 2 blocks, the first 96 wide",
    );
    let nothing = rewritten(&folder, &file, |name| Some(format!("backbone.{name}")));
    let head = Head { classes: CLASSES, graph: None };
    let error = classifier_from(frame(VIT, 32), head, &nothing, &Key::new(1)).unwrap_err();
    let text = message(&error, folder.path());
    let start = "rewritten.safetensors: found no known layout among its 101 tensors, looked for \
                 ViT of MAE (`cls_token`, `blocks.{}.attn.qkv.weight`), transformers ViTMAE";
    assert!(text.starts_with(start), "{text}");
    assert!(text.contains("\nhint: the file holds `backbone.decoder.0.dwconv.bias`"), "{text}");
}

#[test]
fn another_role_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let frame = frame(VIT, 32);
    let (model, decoder) = new_autoencoder(VIT);
    let [file, _] = saved(&folder, &model, &layouts::autoencoder(VIT.kind));
    let error = classifier(frame, CLASSES, &file).unwrap_err();
    assert_eq!(
        message(&error, folder.path()),
        "a.safetensors: found an autoencoder, need a classifier of 5 classes\n\
         hint: fine-tune it first: `train.pretrained_model_path` with `train.stage: finetune`"
    );
    let error = autoencoder(frame, DecoderConfig { depth: 8, ..decoder }, &file).unwrap_err();
    assert_eq!(
        message(&error, folder.path()),
        "a.safetensors: found a decoder of 2 blocks 16 wide, need a decoder of 8 blocks 16 wide"
    );
    let file = golden("vit_timm_mean.safetensors");
    let error = autoencoder(frame, decoder, &file).unwrap_err().to_string();
    assert!(error.ends_with("found a classifier of 5 classes, need an autoencoder"), "{error}");
    let error = classifier(frame, 7, &file).unwrap_err();
    assert_eq!(error.hints(), ["set `model.num_classes: 5`"]);
}

#[test]
fn a_part_that_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = golden("vit_transformers.safetensors");
    let lacking = "vit.layers.1.attention.k_proj.weight";
    let file = rewritten(&folder, &file, |name| (name != lacking).then(|| name.to_owned()));
    let head = Head { classes: CLASSES, graph: None };
    let error = classifier_from(frame(VIT, 32), head, &file, &Key::new(1)).unwrap_err();
    let text = message(&error, folder.path());
    assert!(text.contains("1 of 30 parameters is missing"), "{text}");
    assert!(text.contains(&format!("looked for `{lacking}`")), "{text}");
}
