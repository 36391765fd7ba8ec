//! C-RADIO against NVlabs/RADIO: every stage of the backbone, every head, text towers, gradients, the
//! position crops of training.
//!
//! Fixtures and their conventions: `tests/golden/radio/README.md`.

use std::path::PathBuf;

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Device, Int, Tensor, TensorData},
};
use hearth_backbones::{
    layers::{Activation, BlockConfig, Input, Visible},
    positions::Grid,
    radio::{HeadConfig, HeadVersion, PositionCrop, RadioConfig, RadioHead, RadioTransformer},
    text::{TextConfig, TextPool, TextTransformer},
};
use hearth_clip::radio::{Adaptor, folded};
use hearth_weights::{KeyMap, LoadOptions, Rule, WeightsFile, load, parameters};
use serde_json::Value;

use super::device::device;

const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/radio"))
}

fn open(name: &str) -> WeightsFile {
    WeightsFile::open(folder().join(name)).unwrap()
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder().join(name)).unwrap()).unwrap()
}

fn number(value: &Value, path: &str) -> usize {
    value.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path}")) as usize
}

/// One of the two models with its files.
struct Case {
    name: &'static str,
    config: Value,
    args: Value,
    weights: WeightsFile,
    inputs: WeightsFile,
    expected: WeightsFile,
    backbone: RadioTransformer,
    device: Device,
}

impl Case {
    fn new(name: &'static str, device: Device) -> Self {
        let config = json("config.json")["variants"][name].clone();
        let weights = open(&format!("{name}/weights.safetensors"));
        let width = number(&config, "/embed_dim");
        let numbers = RadioConfig {
            patch_size: 16,
            depth: number(&config, "/depth"),
            block: BlockConfig {
                width,
                num_heads: number(&config, "/num_heads"),
                mlp_width: 4 * width,
                layer_scale: config["layer_scale"] == true,
                ..BlockConfig::default()
            },
            class_tokens: 4,
            registers: 4,
            table_side: number(&config, "/position_table_side"),
        };
        numbers.check().unwrap();
        let dropped = ["_heads.{..}", "_feature_projections.{..}", "input_conditioner.{..}"];
        let dropped = dropped.map(str::to_owned).into();
        let options = LoadOptions { dropped, ..LoadOptions::default() };
        let (backbone, _) =
            load(numbers.init(&device), &weights, &backbone_map(), &options).unwrap();
        Self {
            name,
            args: json(&format!("{name}/args.json")),
            inputs: open(&format!("{name}/inputs.safetensors")),
            expected: open(&format!("{name}/expected.safetensors")),
            config,
            weights,
            backbone,
            device,
        }
    }

    /// [B, 3, H, V], 0 to 1 and normalised.
    fn image(&self, name: &str) -> Tensor<4> {
        let key = format!("{name}.u8_hwc");
        let shape = self.inputs.entry(&key).unwrap().shape.clone();
        let [b, h, v, _] = shape[..] else { panic!("{key}: {shape:?}") };
        let bytes = self.inputs.read_i64(&key).unwrap();
        let mut pixels = vec![0.0f32; bytes.len()];
        for (i, value) in bytes.into_iter().enumerate() {
            let (channel, place) = (i % 3, i / 3);
            let (picture, place) = (place / (h * v), place % (h * v));
            let value = value as f32 / 255.0;
            pixels[(picture * 3 + channel) * h * v + place] =
                (value - MEAN[channel]) / STD[channel];
        }
        Tensor::from_data(TensorData::new(pixels, [b, 3, h, v]), &self.device)
    }

    fn check<const D: usize>(&self, key: &str, found: Tensor<D>) {
        let shape = &self.expected.entry(key).unwrap_or_else(|| panic!("no `{key}`")).shape;
        assert_eq!(found.dims().to_vec(), *shape, "{} {key}", self.name);
        close(&format!("{} {key}", self.name), found, &self.expected.read_f32(key).unwrap(), 1e-5);
    }

    fn teachers(&self) -> Vec<&Value> {
        self.args["teachers"].as_array().unwrap().iter().collect()
    }

    /// A teacher's head under its name or its place.
    fn head(&self, list: &str, teacher: &str, device: &Device) -> RadioHead {
        let place = self.teachers().iter().position(|known| known["name"] == teacher).unwrap();
        let holds = |prefix: &String| self.weights.names().any(|name| name.starts_with(prefix));
        let candidates = [format!("{list}.{teacher}."), format!("{list}.{place}.")];
        let prefix = candidates.into_iter().find(holds).unwrap();
        let kind = if list == "_heads" { "summary" } else { "feature" };
        let numbers = &self.config["heads"][teacher][kind];
        let version = match numbers["version"].as_str().unwrap() {
            "v1" => HeadVersion::V1,
            "v2" => HeadVersion::V2,
            _ => HeadVersion::Attention,
        };
        let config = HeadConfig {
            version,
            input: number(&self.config, "/embed_dim"),
            hidden: number(numbers, "/hidden_dim"),
            output: number(numbers, "/output_dim"),
            inner: number(numbers, "/num_inner"),
        };
        config.check().unwrap();
        let head = config.init(device);
        let options = LoadOptions { dropped: vec!["{..}".to_owned()], ..LoadOptions::default() };
        load(head, &self.weights, &head_map(&prefix, version), &options).unwrap().0
    }
}

/// |found - expected| <= tolerance + tolerance * |expected|, everywhere.
fn close<const D: usize>(what: &str, found: Tensor<D>, expected: &[f32], tolerance: f32) {
    let found: Vec<f32> = found.into_data().try_into_vec().unwrap();
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let allowed = tolerance + tolerance * expected.abs();
        assert!((found - expected).abs() <= allowed, "{what}[{i}]: {found}, expected {expected}");
    }
}

fn same(ours: &str, theirs: &str) -> Rule {
    Rule::same(ours, theirs)
}

fn backbone_map() -> KeyMap {
    let mut rules = vec![same("patch_generator.{..}", "base_model.patch_generator.{..}")];
    for layer in ["norm1", "attn", "norm2", "mlp"] {
        rules.push(same(
            &format!("blocks.{{}}.{layer}.{{..}}"),
            &format!("base_model.blocks.{{}}.{layer}.{{..}}"),
        ));
    }
    for layer in ["ls1", "ls2"] {
        let theirs = format!("base_model.blocks.{{}}.{layer}.grandma");
        rules.push(same(&format!("blocks.{{}}.{layer}.gamma"), &theirs));
    }
    KeyMap {
        name: "backbone".to_owned(),
        rules,
        ignored: vec!["base_model.reg_token".to_owned()],
        recognised_by: Vec::new(),
    }
}

fn head_map(prefix: &str, version: HeadVersion) -> KeyMap {
    let (ours, theirs) = match version {
        HeadVersion::Attention => ("mlp.", format!("{prefix}mlp.")),
        HeadVersion::V1 | HeadVersion::V2 => ("", prefix.to_owned()),
    };
    let rule = |own: &str, their: &str| same(&format!("{ours}{own}"), &format!("{theirs}{their}"));
    let mut rules = vec![
        rule("fc1.{..}", "fc1.{..}"),
        rule("out.norm.{..}", "final.0.{..}"),
        rule("out.linear.{..}", "final.2.{..}"),
        rule("norm.{..}", "norm.{..}"),
        rule("fc2.{..}", "fc2.{..}"),
    ];
    rules.extend(match version {
        HeadVersion::Attention => vec![same("blocks.{..}", &format!("{prefix}blocks.{{..}}"))],
        HeadVersion::V1 | HeadVersion::V2 => vec![
            rule("blocks.{}.norm.{..}", "blocks.{}.0.{..}"),
            rule("blocks.{}.linear.{..}", "blocks.{}.2.{..}"),
        ],
    });
    KeyMap { name: prefix.to_owned(), rules, ignored: Vec::new(), recognised_by: Vec::new() }
}

fn unit<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.clone() / x.square().sum_dim(D - 1).sqrt().clamp_min(1e-12)
}

/// [B, N, E] -> [B, E, h, w].
fn nchw(x: Tensor<3>, grid: Grid) -> Tensor<4> {
    let [b, _, e] = x.dims();
    x.swap_dims(1, 2).reshape([b, e, grid.rows, grid.columns])
}

#[test]
fn backbone_and_heads_like_b_and_l() {
    check_variant("bl");
}

#[test]
fn backbone_and_heads_like_h_and_g() {
    check_variant("hg");
}

fn check_variant(name: &'static str) {
    let case = Case::new(name, device());
    let texts = ["siglip", "clip"].map(|kind| {
        let text = text_embedding(&case, kind);
        case.check(&format!("text.{kind}"), text.clone());
        case.check(&format!("text.{kind}_norm"), unit(text.clone()));
        (kind, unit(text))
    });
    let images: Vec<String> = case.config["images"].as_object().unwrap().keys().cloned().collect();
    let mut compared = 4;
    for image in &images {
        compared += check_stages(&case, image);
        let tokens = case.backbone.forward(case.image(image), &[], false);
        let embedded = check_heads(&case, image, &tokens);
        for (kind, text) in &texts {
            let teacher = if *kind == "clip" { "clip" } else { siglip_teacher(&case) };
            let embedding = embedded.iter().find(|(name, _)| name == teacher).unwrap();
            let cosine = embedding.1.clone().matmul(text.clone().transpose());
            case.check(&format!("{image}.cosine.{kind}"), cosine);
            compared += 1;
        }
    }
    compared += compared_by_heads(&case);
    assert_eq!(compared, case.expected.names().len(), "{name}: numbers that were not compared");
}

fn siglip_teacher(case: &Case) -> &'static str {
    if case.name == "bl" { "siglip2" } else { "siglip2-g" }
}

fn grid(case: &Case, image: &str) -> Grid {
    let grid = &case.config["grids"][image];
    Grid { rows: number(grid, "/0"), columns: number(grid, "/1") }
}

/// Compares the stages of the backbone that the fixture has; returns how many.
fn check_stages(case: &Case, image: &str) -> usize {
    let mut compared = 0;
    let mut check3 = |stage: &str, found: Tensor<3>| {
        let key = format!("{image}.{stage}");
        if case.expected.entry(&key).is_some() {
            case.check(&key, found);
            compared += 1;
        }
    };
    let images = case.image(image);
    let generator = &case.backbone.patch_generator;
    let grid = grid(case, image);
    check3("patches_no_pos", generator.project(images.clone()));
    check3("pos_enc", generator.positions(grid, &[]));
    let mut x = generator.forward(images.clone(), &[]);
    check3("after_patch_generator", x.clone());
    for (i, block) in case.backbone.blocks.iter().enumerate() {
        let input = x.clone();
        x = block.forward(x, &Visible::All);
        check3(&format!("after_block{i}"), x.clone());
        if i > 0 {
            continue;
        }
        let scaled =
            |branch: Tensor<3>, scale: &Option<hearth_backbones::layers::LayerScale>| match scale {
                Some(scale) => branch * scale.gamma.val().unsqueeze::<3>(),
                None => branch,
            };
        let norm1 = block.norm1.forward(input.clone());
        let attn = block.attn.forward(Input::Plain(norm1.clone()), &Visible::All);
        let middle = input + scaled(attn.clone(), &block.ls1);
        let norm2 = block.norm2.forward(middle);
        let mlp = block.mlp.forward(Input::Plain(norm2.clone()));
        check3("block0.qkv", block.attn.qkv.forward(norm1.clone()));
        check3("block0.norm1", norm1);
        check3("block0.ls1", scaled(attn.clone(), &block.ls1));
        check3("block0.attn", attn);
        check3("block0.fc1", block.mlp.fc1.forward(norm2.clone()));
        check3("block0.norm2", norm2);
        check3("block0.ls2", scaled(mlp.clone(), &block.ls2));
        check3("block0.mlp", mlp);
    }
    let tokens = case.backbone.forward(images.clone(), &[], false);
    check3("final", tokens.clone());
    check3("class_tokens", tokens.clone().slice_dim(1, 0..4));
    check3("features", case.backbone.patches(tokens.clone()));
    for (stage, found) in [
        ("conditioned", images),
        ("features_nchw", nchw(case.backbone.patches(tokens.clone()), grid)),
    ] {
        let key = format!("{image}.{stage}");
        if case.expected.entry(&key).is_some() {
            case.check(&key, found);
            compared += 1;
        }
    }
    let picked: Vec<usize> = case.config["summary_idxs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|index| index.as_u64().unwrap() as usize)
        .collect();
    case.check(&format!("{image}.summary"), case.backbone.summary(&tokens, &picked));
    compared + 1
}

/// Compares every head; returns the normalised summaries by teacher.
fn check_heads(case: &Case, image: &str, tokens: &Tensor<3>) -> Vec<(String, Tensor<2>)> {
    let grid = grid(case, image);
    let mut embedded = Vec::new();
    for (teacher, numbers) in case.config["heads"].as_object().unwrap() {
        let token = number(&case.config["head_idx"], &format!("/{teacher}"));
        let head = case.head("_heads", teacher, &case.device);
        let summary = head.summary(case.backbone.class_token(tokens, token));
        let key = format!("{image}.adaptor.{teacher}");
        case.check(&format!("{key}.summary"), summary.clone());
        case.check(&format!("{key}.summary_norm"), unit(summary.clone()));

        let projection = case.head("_feature_projections", teacher, &case.device);
        let upsample = numbers["feature"]["upsample_factor"].as_u64().unwrap_or(1) as usize;
        let features = projection.features(case.backbone.patches(tokens.clone()), grid, upsample);
        if case.expected.entry(&format!("{key}.features")).is_some() {
            case.check(&format!("{key}.features"), features.clone());
            case.check(&format!("{key}.features_norm"), unit(features.clone()));
        }
        if case.expected.entry(&format!("{key}.features_nchw")).is_some() {
            case.check(&format!("{key}.features_nchw"), nchw(features, grid));
        }
        embedded.push((teacher.clone(), unit(summary)));
    }
    embedded
}

/// How many numbers [`check_heads`] compares over all pictures.
fn compared_by_heads(case: &Case) -> usize {
    case.expected.names().filter(|name| name.contains(".adaptor.")).count()
}

/// The raw output of a text tower.
fn text_embedding(case: &Case, kind: &str) -> Tensor<2> {
    let numbers = &case.config[format!("text_{kind}")];
    let file = open(&format!("{}/text_{kind}.safetensors", case.name));
    let clip = kind == "clip";
    let width = number(numbers, if clip { "/width" } else { "/hidden" });
    let config = TextConfig {
        vocab_size: number(numbers, "/vocab"),
        context_length: number(numbers, "/context"),
        depth: number(numbers, "/layers"),
        block: BlockConfig {
            width,
            num_heads: number(numbers, "/heads"),
            mlp_width: number(numbers, "/intermediate"),
            activation: if clip { Activation::QuickGelu } else { Activation::GeluTanh },
            norm_eps: if clip { 1e-5 } else { 1e-6 },
            ..BlockConfig::default()
        },
        causal: clip,
        pool: if clip { TextPool::LargestId } else { TextPool::Last },
        projection: number(numbers, if clip { "/embed_dim" } else { "/projection" }),
        projection_bias: !clip,
    };
    #[derive(Module, Debug)]
    struct Part {
        text: TextTransformer,
    }
    let maps =
        hearth_clip::layouts::text_towers(if clip { Adaptor::Clip } else { Adaptor::SigLip });
    let map = KeyMap::recognise(&maps, &file).unwrap();
    let options = LoadOptions { dropped: vec!["logit_scale".to_owned()], ..LoadOptions::default() };
    let part = Part { text: config.init(&case.device) };
    let (part, _) = load(part, &file, map, &options).unwrap();
    let key = format!("{kind}.input_ids");
    let shape = case.inputs.entry(&key).unwrap().shape.clone();
    let ids: Vec<i32> =
        case.inputs.read_i64(&key).unwrap().into_iter().map(|id| id as i32).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, shape), &case.device);
    part.text.forward(ids, false)
}

#[test]
fn gradients_of_backbone_and_head() {
    let case = Case::new("bl", device().autodiff());
    let grads = open("bl/grads.safetensors");
    let constant = |name: &str| -> Tensor<3> {
        let shape = grads.entry(name).unwrap().shape.clone();
        let shape = [vec![1; 3 - shape.len()], shape].concat();
        let data = TensorData::new(grads.read_f32(name).unwrap(), shape);
        Tensor::from_data(data, &device())
    };
    for recompute in [false, true] {
        let head = case.head("_heads", "siglip2", &case.device);
        let tokens = case.backbone.forward(case.image("wide").detach(), &[], recompute);
        let embedding = unit(head.summary(case.backbone.class_token(&tokens, 1)));
        let summary = case.backbone.summary(&tokens, &[0, 1, 2]);
        let features = case.backbone.patches(tokens);
        let loss = (embedding * constant("r.e").squeeze_dim::<2>(0)).sum()
            + (summary * constant("r.s").squeeze_dim::<2>(0)).mean() * 0.1
            + (features * constant("r.f")).mean();
        let value = loss.clone().into_scalar::<f32>();
        let expected = grads.read_f32("loss").unwrap()[0];
        assert!((value - expected).abs() <= 1e-5 + 1e-5 * expected.abs(), "{value}, {expected}");

        let found = loss.backward();
        let mut seen = Collect { grads: &found, values: Vec::new() };
        case.backbone.visit(&mut seen);
        let names = parameters(&case.backbone).into_iter().map(|parameter| {
            let name = parameter.name.replace(".gamma", ".grandma");
            (format!("grad.base_model.{name}"), parameter.shape)
        });
        let mut compared = check_gradients(names.zip(seen.values), &grads);

        let mut seen = Collect { grads: &found, values: Vec::new() };
        head.visit(&mut seen);
        let names = parameters(&head).into_iter().map(|parameter| {
            let name =
                parameter.name.replace("out.norm", "final.0").replace("out.linear", "final.2");
            let name = name.replace(".norm.", ".0.").replace(".linear.", ".2.");
            (format!("grad._heads.1.{name}"), parameter.shape)
        });
        compared += check_gradients(names.zip(seen.values), &grads);
        let expected = grads.names().filter(|name| name.starts_with("grad.")).count();
        assert_eq!(compared, expected, "gradients of the fixture");
    }
}

/// Gradients in the order of the parameters, as they lie in memory.
struct Collect<'a> {
    grads: &'a burn::tensor::Gradients,
    values: Vec<Option<Vec<f32>>>,
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let grad = param.val().grad(self.grads);
        self.values.push(grad.map(|grad| grad.into_data().try_into_vec().unwrap()));
    }
}

fn check_gradients(
    found: impl Iterator<Item = ((String, Vec<usize>), Option<Vec<f32>>)>,
    expected: &WeightsFile,
) -> usize {
    let mut compared = 0;
    for ((name, shape), found) in found {
        let found = found.unwrap_or_else(|| panic!("no gradient of `{name}`"));
        let expected = expected.read_f32(&name).unwrap();
        // Relative to the largest value: one tensor reaches 240, where f32 itself is coarser than 1e-5.
        let top = expected.iter().fold(1.0f32, |top, value| top.max(value.abs()));
        let linear = shape.len() == 2 && name.ends_with("weight");
        for (i, expected) in expected.iter().enumerate() {
            // Burn keeps a linear layer as [in, out].
            let place = if linear { (i % shape[1]) * shape[0] + i / shape[1] } else { i };
            let allowed = 1e-5 * top + 1e-4 * expected.abs();
            let found = found[place];
            assert!((found - expected).abs() <= allowed, "{name}[{i}]: {found}, {expected}");
        }
        compared += 1;
    }
    compared
}

#[test]
fn position_crops_of_training() {
    let case = Case::new("bl", device());
    let fixture = open("bl/train_cpe.safetensors");
    for image in ["square", "wide"] {
        let read = |name: &str| fixture.read_f32(&format!("{image}.{name}")).unwrap();
        let (scale, aspect) = (read("u_scale"), read("u_aspect"));
        let (offset, keep) = (read("u_offset_xy"), read("u_keep"));
        let crop = |i: usize, keep: f32| PositionCrop {
            scale: f64::from(scale[i]),
            aspect: f64::from(aspect[i]),
            offset: [f64::from(offset[2 * i]), f64::from(offset[2 * i + 1])],
            keep: f64::from(keep),
        };
        let generator = &case.backbone.patch_generator;
        let all: Vec<PositionCrop> = (0..6).map(|i| crop(i, 1.0)).collect();
        let positions = generator.positions(grid(&case, image), &all);
        close(&format!("{image}.pos_enc"), positions, &read("pos_enc"), 1e-5);

        let crops: Vec<PositionCrop> = (0..6).map(|i| crop(i, keep[i])).collect();
        let Grid { rows, columns } = grid(&case, image);
        // A picture that is zero behind its normalisation has patches of zeros.
        let blank = Tensor::zeros([6, 3, 16 * rows, 16 * columns], &device());
        let tokens = generator.forward(blank, &crops);
        close(&format!("{image}.after"), tokens, &read("after_patch_generator"), 1e-5);
    }
}

#[test]
fn spectral_weights_are_folded() {
    let file = folded(open("spectral/radio.pth.tar")).unwrap();
    let expected = open("spectral/expected.safetensors");
    assert!(file.names().all(|name| !name.contains("parametrizations")));
    let mut compared = 0;
    for name in expected.names().filter(|name| name.starts_with("base_model.")) {
        let tolerance = 1e-5;
        for (found, expected) in
            file.read_f32(name).unwrap().iter().zip(expected.read_f32(name).unwrap())
        {
            let allowed = tolerance + tolerance * expected.abs();
            assert!((found - expected).abs() <= allowed, "{name}: {found}, {expected}");
        }
        compared += 1;
    }
    assert!(compared > 10);

    let config = RadioConfig {
        patch_size: 16,
        depth: 1,
        block: BlockConfig {
            width: 32,
            num_heads: 4,
            mlp_width: 128,
            layer_scale: true,
            ..BlockConfig::default()
        },
        class_tokens: 4,
        registers: 4,
        table_side: 4,
    };
    let options = LoadOptions { dropped: vec!["{..}".to_owned()], ..LoadOptions::default() };
    let device = device();
    let (backbone, _) = load(config.init(&device), &file, &backbone_map(), &options).unwrap();
    let mut pixels = expected.read_f32("image").unwrap();
    for (i, value) in pixels.iter_mut().enumerate() {
        let channel = i / (64 * 64);
        *value = (*value - MEAN[channel]) / STD[channel];
    }
    let image = Tensor::<4>::from_data(TensorData::new(pixels, [1, 3, 64, 64]), &device);
    let tokens = backbone.forward(image, &[], false);
    let summary = backbone.summary(&tokens, &[0, 1, 2]);
    close("summary", summary, &expected.read_f32("summary").unwrap(), 1e-5);
    let features = backbone.patches(tokens);
    close("features", features, &expected.read_f32("features").unwrap(), 1e-5);
}
