//! Every kind of tower as an ONNX file that ONNX Runtime computes alike.
//!
//! Needs the library (`ORT_DYLIB_PATH`); without it the tests say so and pass, unless `HEARTH_REQUIRE`
//! names `ort`.

use std::path::Path;

use burn::tensor::{Device, TensorData};
use hearth_backbones::{
    layers::Activation,
    radio::{HeadConfig, HeadVersion, RadioConfig},
    text::TextPool,
    vit::VisionPool,
};
use hearth_clip::{
    export::{TowerGraph, Towers},
    model::{Clip, ClipConfig},
    registry,
    vision::{RadioTowerConfig, TowerConfig},
};
use hearth_deploy::{
    DeployError, KernelCall, Lowering, Named, OnnxRuntime, Options, export, first_difference,
    onnx::{self, ModelProto},
    parity::{self, Parity, Sample},
};
use hearth_weights::map_values;

use super::goldens::{classic, nv, siglip};

/// Values from -1 to 1 that look random and follow from `seed`.
fn noise(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(next).collect()
}

/// A model whose embeddings depend on every parameter.
pub(crate) fn drawn(config: &ClipConfig) -> Clip {
    let mut seed = 0;
    map_values(config.init(&Device::flex()), |parameter| {
        seed += 1;
        let values = noise(seed, parameter.len());
        let gain = parameter.name.contains("norm") && parameter.name.ends_with("weight");
        let inputs: usize = parameter.shape.iter().skip(1).product();
        let scale = if inputs > 1 { 1.7 / (inputs as f32).sqrt() } else { 0.3 };
        Some(values.into_iter().map(|v| if gain { 1.0 + 0.1 * v } else { scale * v }).collect())
    })
}

/// Inputs for `batch` samples.
pub(crate) fn inputs(graph: &TowerGraph, config: &ClipConfig, batch: usize) -> Vec<Named> {
    use hearth_deploy::Network;
    let input = |port: hearth_deploy::Port| {
        let shape = port.shape(batch);
        let count = shape.iter().product();
        let values = noise(batch as u64 + 7, count);
        let vocabulary = config.text.vocab_size as f32;
        let data = match port.name.as_str() {
            "image" => TensorData::new(values, shape),
            "input_ids" => {
                let id = |v: f32| ((v.abs() * vocabulary) as i64).min(vocabulary as i64 - 1);
                TensorData::new(values.into_iter().map(id).collect::<Vec<i64>>(), shape)
            }
            _ => TensorData::new(vec![1_i64; count], shape),
        };
        (port.name, data)
    };
    graph.inputs().into_iter().map(input).collect()
}

/// ONNX Runtime, or the reason why the test has nothing to run.
pub(crate) fn runtime() -> Option<OnnxRuntime> {
    match OnnxRuntime::find() {
        Ok(runtime) => Some(runtime),
        Err(error) => {
            let required = std::env::var("HEARTH_REQUIRE").is_ok_and(|list| list.contains("ort"));
            assert!(!required, "HEARTH_REQUIRE asks for ort: {error}");
            println!("skipped: {error}");
            None
        }
    }
}

struct Written {
    model: ModelProto,
    parity: Option<Parity>,
}

/// Exports, runs at batches 1, 2 and 7 and compares.
fn write(config: &ClipConfig, towers: Towers, options: &Options, path: &Path) -> Written {
    let (model, graph) = (drawn(config), TowerGraph::new(config, towers).unwrap());
    let written = export(&graph, &model, options).unwrap();
    onnx::write(&written, path).unwrap();
    let batches = options.batch.map_or(vec![1, 2, 7], |batch| vec![batch]);
    let samples: Vec<Sample> = batches
        .into_iter()
        .map(|batch| parity::sample(&graph, &model, inputs(&graph, config, batch), &Device::flex()))
        .collect();
    let parity = runtime().map(|runtime| {
        let mut session = runtime.open(path).unwrap();
        parity::compare(&mut session, &samples, parity::TOLERANCE).unwrap()
    });
    Written { model: written, parity }
}

fn radio(version: HeadVersion) -> ClipConfig {
    let mut config = siglip();
    let block =
        hearth_backbones::layers::BlockConfig { layer_scale: true, ..config.text.block.clone() };
    let trunk = RadioConfig {
        patch_size: 8,
        depth: 2,
        block,
        class_tokens: 3,
        registers: 2,
        table_side: 6,
    };
    let head = HeadConfig { version, input: 32, hidden: 48, output: 32, inner: 1 };
    config.vision = TowerConfig::Radio(RadioTowerConfig { image_size: 32, trunk, token: 1, head });
    config
}

fn with_pool(mut config: ClipConfig, pool: TextPool) -> ClipConfig {
    config.text.pool = pool;
    config
}

#[test]
fn every_family_is_computed_alike_in_both_kinds_of_files() {
    let folder = tempfile::tempdir().unwrap();
    let families = [
        ("openai", classic(24, 1e-5, Activation::QuickGelu)),
        ("openai-gelu", classic(24, 1e-5, Activation::Gelu)),
        ("silu", classic(24, 1e-5, Activation::Silu)),
        ("nv", nv()),
        ("siglip", siglip()),
        ("mean", with_pool(classic(24, 1e-5, Activation::Gelu), TextPool::Mean)),
        ("radio-1", radio(HeadVersion::V1)),
        ("radio-2", radio(HeadVersion::V2)),
        ("radio-attention", radio(HeadVersion::Attention)),
    ];
    for (name, config) in families {
        for opset in [17, 18, 20, 22] {
            for towers in [Towers::Both, Towers::Vision, Towers::Text] {
                if opset != 17 && towers != Towers::Both {
                    continue;
                }
                let case = format!("{name}-{opset}-{towers:?}");
                let path = folder.path().join(format!("{case}.onnx"));
                let options = Options { opset, ..Options::default() };
                let Written { model, parity } = write(&config, towers, &options, &path);
                assert_eq!(model.opset(), opset);
                if let Some(parity) = parity {
                    println!("{case}: {} nodes\n{parity}", model.graph.unwrap().node.len());
                    assert!(parity.holds(), "{case}\n{parity}");
                }
            }
        }
    }
}

#[test]
fn a_fixed_batch_needs_no_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { batch: Some(3), ..Options::default() };
    let path = folder.path().join("m.onnx");
    let Written { model, parity } = write(&siglip(), Towers::Both, &options, &path);
    let graph = model.graph.unwrap();
    assert!(graph.node.iter().all(|node| node.op_type != "Shape"));
    let sides = graph.input[0].sides().unwrap();
    assert_eq!(sides[0], Some(onnx::DimensionValue::Fixed(3)));
    if let (Some(parity), Some(runtime)) = (parity, runtime()) {
        assert!(parity.holds(), "{parity}");
        let graph = TowerGraph::new(&siglip(), Towers::Both).unwrap();
        let error = run_with(&runtime, &path, inputs(&graph, &siglip(), 2)).unwrap_err();
        assert!(error.ends_with("input `image` has 2 samples, the model takes 3 to 3"), "{error}");
    }
}

fn run_with(runtime: &OnnxRuntime, path: &Path, inputs: Vec<Named>) -> Result<(), String> {
    use hearth_deploy::EngineRunner;
    let mut session = runtime.open(path).unwrap();
    session.run(&inputs).map(|_| ()).map_err(|error| error.to_string())
}

#[test]
fn inputs_that_do_not_fit_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    write(&siglip(), Towers::Text, &Options::default(), &path);
    let Some(runtime) = runtime() else { return };
    let ids = |length: usize| TensorData::new(vec![1_i64; 2 * length], [2, length]);
    let refused = |inputs: Vec<(&str, TensorData)>| {
        let inputs = inputs.into_iter().map(|(name, data)| (name.to_owned(), data)).collect();
        let error = run_with(&runtime, &path, inputs).unwrap_err();
        error.split("m.onnx: ").nth(1).unwrap().to_owned()
    };
    let mask = || ("attention_mask", ids(16));
    assert_eq!(refused(vec![mask()]), "input `input_ids` is missing");
    assert_eq!(
        refused(vec![("input_ids", ids(77)), mask()]),
        "input `input_ids` has the shape [2, 77], need [samples, 16]"
    );
    let floats = TensorData::new(vec![1_f32; 32], [2, 16]);
    assert_eq!(refused(vec![("input_ids", floats), mask()]), "input `input_ids` is F32, need I64");
    assert_eq!(
        refused(vec![("ids", ids(16)), mask()]),
        "input `ids` is none of the model, which takes input_ids, attention_mask"
    );
}

/// GELU without its last product.
fn wrong_gelu(to: &mut Lowering<'_>, call: &KernelCall<'_>) -> Result<String, String> {
    let x = call.input(to, 0);
    Ok(to.node("Sigmoid", &[&x], Vec::new()))
}

#[test]
fn a_wrong_lowering_is_rejected_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    let kernels: Vec<(&str, hearth_deploy::KernelLowering)> =
        vec![("hearth::activate", wrong_gelu)];
    let options = Options { kernels, ..Options::default() };
    let Some(parity) = write(&nv(), Towers::Both, &options, &path).parity else { return };
    assert!(!parity.holds(), "{parity}");

    let (config, runtime) = (nv(), runtime().unwrap());
    let (model, graph) = (drawn(&config), TowerGraph::new(&config, Towers::Both).unwrap());
    let inputs = inputs(&graph, &config, 2);
    let first =
        first_difference(&graph, &model, (&path, &options), &inputs, &runtime, parity::TOLERANCE);
    let first = first.unwrap().unwrap();
    assert_eq!(first, "visual.blocks.0.mlp (hearth::activate)");

    let error = parity::settle(&path, &parity, "ONNX Runtime", Some(&first)).unwrap_err();
    assert!(matches!(error, DeployError::Rejected { .. }));
    assert!(
        error
            .to_string()
            .ends_with("the first module that differs is `visual.blocks.0.mlp (hearth::activate)`")
    );
    let mut names: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["m.onnx.rejected", "m_parity.json"]);
}

#[test]
fn graphs_are_clean_and_parameters_keep_their_names() {
    let folder = tempfile::tempdir().unwrap();
    for (config, opset) in [(nv(), 17), (siglip(), 20), (radio(HeadVersion::V2), 18)] {
        let path = folder.path().join("m.onnx");
        let options = Options { opset, ..Options::default() };
        let Written { model: written, .. } = write(&config, Towers::Both, &options, &path);
        onnx::check(&written, &path).unwrap();
        let graph = written.graph.unwrap();
        let operators: Vec<&str> = graph.node.iter().map(|node| node.op_type.as_str()).collect();
        assert!(!operators.contains(&"Identity") && operators.contains(&"LayerNormalization"));
        assert_eq!(operators.contains(&"Gelu"), opset >= 20);
        let names: Vec<&str> =
            graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
        for name in [
            "visual.blocks.1.attn.qkv.weight",
            "text.blocks.0.norm1.bias",
            "text.token_embedding.weight",
        ] {
            let name = name.replace(
                "visual.blocks",
                match config.vision {
                    TowerConfig::Radio(_) => "visual.trunk.blocks",
                    _ => "visual.blocks",
                },
            );
            assert!(names.contains(&name.as_str()), "{name} in {names:?}");
        }
        let nodes = graph.node.iter().map(|node| node.name.as_str());
        let of_module = nodes.filter(|name| name.contains("blocks.1.mlp.fc2/")).count();
        assert!(of_module > 0);

        let values: usize =
            graph.initializer.iter().map(|tensor| tensor.raw_data.as_ref().unwrap().len()).sum();
        let size = std::fs::metadata(&path).unwrap().len() as usize;
        assert!(size < values + values / 100 + (64 << 10), "{size} bytes for {values} of values");
    }
}

/// A configuration drawn from `seed`: sizes, pools, tokens, activations, biases.
fn random(seed: u64) -> ClipConfig {
    let mut draws = noise(seed, 64).into_iter().map(|value| value.abs());
    let mut below = |end: usize| ((draws.next().unwrap() * end as f32) as usize).min(end - 1);
    let activations =
        [Activation::Gelu, Activation::GeluTanh, Activation::QuickGelu, Activation::Silu];
    let mut config = match below(3) {
        0 => classic(8 * (1 + below(3)), 1e-5, activations[below(4)]),
        1 => siglip(),
        _ => radio([HeadVersion::V1, HeadVersion::V2, HeadVersion::Attention][below(3)]),
    };
    for block in [config.vision.block_mut(), &mut config.text.block] {
        block.activation = activations[below(4)];
        block.mlp_width = 16 + below(40);
        block.layer_scale = below(2) == 0;
        block.qkv_bias = below(2) == 0;
    }
    match &mut config.vision {
        TowerConfig::Vit(vision) => {
            vision.patch_size = 3 + below(6);
            vision.image_size = vision.patch_size * (1 + below(4)) + below(3);
            vision.depth = 1 + below(2);
            vision.class_token = below(2) == 0;
            vision.norm_pre = below(2) == 0;
            vision.patch_bias = below(2) == 0;
            vision.pool = match below(3) {
                0 if vision.class_token => VisionPool::ClassToken,
                1 => VisionPool::Map,
                _ => VisionPool::Mean,
            };
        }
        TowerConfig::Radio(vision) => {
            vision.image_size = vision.trunk.patch_size * (1 + below(6));
            vision.trunk.registers = below(3);
            vision.token = below(vision.trunk.class_tokens);
        }
        TowerConfig::Naflex(_) => unreachable!("it has no graph"),
    }
    config.text.depth = below(3);
    config.text.context_length = 2 + below(20);
    config.text.causal = below(2) == 0;
    config.text.pool = [TextPool::Last, TextPool::LargestId, TextPool::Mean][below(3)];
    config.text.projection_bias = below(2) == 0;
    config.logit_bias = below(2) == 0;
    config
}

#[test]
fn random_towers_are_computed_alike() {
    let folder = tempfile::tempdir().unwrap();
    for seed in 0..40 {
        let config = random(seed);
        config.check().unwrap();
        let opset = 17 + (seed % 6) as i64;
        let options = Options { opset, ..Options::default() };
        let path = folder.path().join(format!("{seed}.onnx"));
        let Written { model, parity } = write(&config, Towers::Both, &options, &path);
        onnx::check(&model, &path).unwrap_or_else(|error| panic!("{error}\n{config:?}"));
        if let Some(parity) = parity {
            assert!(parity.holds(), "{parity}\n{config:?}");
        }
    }
}

/// The files are for `tests/parity/onnx_check.py`.
#[test]
#[ignore = "writes gigabytes to the folder HEARTH_ONNX_FOLDER, with random weights"]
fn published_shapes_are_computed_alike() {
    let folder = std::env::var("HEARTH_ONNX_FOLDER").expect("HEARTH_ONNX_FOLDER names a folder");
    let types =
        ["ViT-B-32", "siglip2-base-patch16-224", "c-radio_v3-b", "ViT-L-14-SigLIP-CLIPA-224"];
    let named = std::env::var("HEARTH_ONNX_TYPE").ok();
    for name in types.into_iter().filter(|name| named.as_deref().is_none_or(|named| named == *name))
    {
        let config = registry::model_type(name).unwrap().config;
        let path = Path::new(&folder).join(format!("{name}.onnx"));
        let start = std::time::Instant::now();
        let (model, graph) = (drawn(&config), TowerGraph::new(&config, Towers::Both).unwrap());
        let drawn = start.elapsed();
        let samples = [1, 2, 7]
            .map(|b| parity::sample(&graph, &model, inputs(&graph, &config, b), &Device::flex()));
        let start = std::time::Instant::now();
        let written = export(&graph, &model, &Options::default()).unwrap();
        let nodes = written.graph.as_ref().unwrap().node.len();
        let exported = start.elapsed();
        drop(model);
        onnx::check(&written, &path).unwrap();
        onnx::write(&written, &path).unwrap();
        drop(written);
        println!(
            "{name}: {nodes} nodes, drawn in {drawn:.1?}, exported in {exported:.1?}, written after {:.1?}",
            start.elapsed()
        );
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
        println!("{peak}, the file has {} MB", std::fs::metadata(&path).unwrap().len() >> 20);
        if let Some(runtime) = runtime() {
            let mut session = runtime.open(&path).unwrap();
            let parity = parity::compare(&mut session, &samples, parity::TOLERANCE).unwrap();
            let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
            let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
            println!("{peak} with ONNX Runtime\n{parity}");
            assert!(parity.holds(), "{parity}");
        }
    }
}

/// Runs on one file of the test above, in a process of its own.
#[test]
#[ignore = "needs a file of `published_shapes_are_computed_alike` in HEARTH_ONNX_FOLDER"]
fn the_twin_of_a_published_shape_fits_into_memory() {
    let folder = std::env::var("HEARTH_ONNX_FOLDER").expect("HEARTH_ONNX_FOLDER names a folder");
    let name = std::env::var("HEARTH_ONNX_TYPE").unwrap_or_else(|_| "ViT-B-32".to_owned());
    let path = Path::new(&folder).join(format!("{name}.onnx"));
    let config = registry::model_type(&name).unwrap().config;
    let runtime = runtime().expect("ONNX Runtime runs the twin");
    let start = std::time::Instant::now();
    let model = onnx::read(&path).unwrap();
    let half = hearth_deploy::half::to_half(&model, &[]).unwrap();
    let samples = [inputs(&TowerGraph::new(&config, Towers::Both).unwrap(), &config, 8)];
    let before = start.elapsed();
    let folder = (&runtime, Path::new(&folder));
    let judged = hearth_deploy::twin::check(&model, &half, folder, &samples).unwrap();
    println!("{name}: f16 after {before:.1?}, judged after {:.1?}: {judged:?}", start.elapsed());
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    let megabytes = std::fs::metadata(&path).unwrap().len() / 1_000_000;
    println!("{peak}, the file has {megabytes} MB");
    let kilobytes: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kilobytes * 1024 <= (megabytes * 5 / 2 + 1000) * 1_000_000, "{peak}");
}
