//! Adapters against the library peft, and what must not change their numbers: recomputed blocks,
//! micro-batches, merging. Losses that hold a model near its start.
//!
//! Fixtures: `tests/golden/lora.py`.

use std::{collections::BTreeMap, path::Path};

use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::{GradientsAccumulator, GradientsParams},
    tensor::Tensor,
};
use hearth_backbones::{
    layers::Input,
    lora::{LoraConfig, Target},
};
use hearth_clip::{
    extra::{Extra, Preservation, Triplet},
    layouts,
    model::{Clip, ClipConfig},
    peft::{Adaptation, Peft, base, merged},
    pictures::Pictures,
    task::{Batch, ContrastiveTask, Rates},
};
use hearth_data::random::Key;
use hearth_engine::{
    Optimizer, OptimizerConfig, Precision, Rule, Step, Task, contrastive::Contrast,
};
use hearth_weights::{KeyMap, WeightsFile, load, map_values, visit_values};

use super::{
    device::device,
    goldens::{image_size, nv, open, save_in, siglip},
};

/// The settings of `lora.py`.
fn peft(dropout: f64) -> Peft {
    use Target::{Fc1, Fc2, Key, Proj, Query, Value};
    let (vision, text) = (vec![Query, Key, Value, Proj], vec![Query, Value, Fc1, Fc2]);
    let lora = |targets, blocks, rank, alpha, stream| {
        Adaptation::Lora(LoraConfig { targets, blocks, rank, alpha, dropout, stream })
    };
    Peft { vision: lora(vision, 1, 4, 8.0, 0), text: lora(text, 2, 3, 4.0, 1), calibration: true }
}

/// The model of a fixture with adapters as `lora.py` drew them, and its batch.
fn adapted(name: &str, config: &ClipConfig, peft: &Peft) -> (Clip, Batch) {
    let device = device().autodiff();
    let (weights, layouts) = (open(&format!("{name}.weights")), layouts::all());
    let map = KeyMap::recognise(&layouts, &weights).unwrap();
    let (model, _) = load(config.init(&device), &weights, map, &Default::default()).unwrap();
    let expected = expected(name);
    let model = map_values(peft.apply(model, &Key::new(0), &device), |parameter| {
        let name = format!("start.{}", parameter.name);
        expected.entry(&name).map(|_| expected.read_f32(&name).unwrap())
    });
    let inputs = open(&format!("{name}.expected"));
    let ids = inputs.read_i64("ids").unwrap();
    let batch = Batch {
        names: (0..5).map(|i| i.to_string()).collect(),
        pictures: squares(inputs.read_f32("pixels").unwrap()),
        ids: ids.into_iter().map(|id| id as i32).collect(),
    };
    (model, batch)
}

fn squares(pixels: Vec<f32>) -> Pictures {
    Pictures { pixels, ..Pictures::default() }
}

fn expected(name: &str) -> WeightsFile {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/lora");
    WeightsFile::open(folder.join(format!("{name}.safetensors"))).unwrap()
}

fn task(config: &ClipConfig, extra: Extra) -> ContrastiveTask {
    ContrastiveTask {
        contrast: Contrast::SigLip,
        image_size: image_size(config),
        context_length: config.text.context_length,
        precision: Precision::Fp32,
        recompute: false,
        logit_scale_ceiling: 4.605_170_2,
        rates: Rates { vision: 1e-3, text: 5e-4, weight_decay: 0.1 },
        extra,
        device: device(),
    }
}

/// Loss and summed gradients of a step, as the loop of `engine` computes them.
fn step(task: &ContrastiveTask, model: &Clip, batches: &[Batch]) -> (f32, GradientsParams) {
    let mut first = 0;
    let steps: Vec<Step> = batches
        .iter()
        .map(|batch| {
            let step = Step { index: 0, first, key: Key::new(3) };
            first += batch.names.len();
            step
        })
        .collect();
    let plain = model.valid();
    let model_of_share = if batches.len() == 1 { model } else { &plain };
    let pairs = || batches.iter().zip(&steps);
    let shared: Vec<_> = pairs()
        .map(|(batch, step)| task.share(&task.forward(model_of_share, batch, step)))
        .collect();
    let mut loss = 0.0;
    let mut sum = GradientsAccumulator::new();
    for (me, (batch, step)) in pairs().enumerate() {
        let losses = task.losses(task.forward(model, batch, step), &shared, me);
        loss += losses.terms.into_iter().map(|(_, term)| term.into_scalar::<f32>()).sum::<f32>();
        sum.accumulate(model, GradientsParams::from_grads(losses.objective.backward(), model));
    }
    (loss, sum.grads())
}

/// Gradients by name, in PyTorch's layout; only of what is trained.
fn named(model: &Clip, grads: &GradientsParams) -> BTreeMap<String, Vec<f32>> {
    struct Found<'a>(&'a GradientsParams, Vec<burn::module::ParamId>);
    impl ModuleVisitor for Found<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if self.0.get::<D>(param.id).is_some() {
                self.1.push(param.id);
            }
        }
    }
    struct Replace<'a>(&'a GradientsParams);
    impl burn::module::ModuleMapper for Replace<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            match self.0.get::<D>(param.id) {
                Some(grad) => param.map(|_| grad),
                None => param,
            }
        }
    }
    let mut found = Found(grads, Vec::new());
    model.visit(&mut found);
    let mut all = BTreeMap::new();
    visit_values(&model.valid().map(&mut Replace(grads)), |parameter, values| {
        if found.1.contains(&parameter.id) {
            all.insert(parameter.name.clone(), values);
        }
    });
    all
}

fn difference(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
}

fn norm(a: &[f32]) -> f64 {
    difference(a, &vec![0.0; a.len()])
}

#[track_caller]
fn assert_close(a: &BTreeMap<String, Vec<f32>>, b: &BTreeMap<String, Vec<f32>>, relative: f64) {
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    let mut norms: Vec<f64> = b.values().map(|values| norm(values)).collect();
    norms.sort_by(f64::total_cmp);
    let least = 1e-3 * norms[norms.len() / 2];
    for (name, values) in a {
        let (off, size) = (difference(values, &b[name]), norm(&b[name]).max(least));
        assert!(off <= relative * size, "{name}: {off} of {size}");
    }
}

#[test]
fn adapters_of_peft_on_a_transformers_model() {
    check("siglip_hf", &siglip(), layouts::transformers_siglip());
}

#[test]
fn adapters_of_thirds_of_open_clips_fused_attention() {
    check("openclip_nv", &nv(), layouts::open_clip());
}

fn check(name: &str, config: &ClipConfig, layout: KeyMap) {
    let expected = expected(name);
    let (mut model, batch) = adapted(name, config, &peft(0.0));
    let task = task(config, Extra::default());
    check_merged(&model, &expected, "merged.", &layout, 1e-6);

    let (loss, grads) = step(&task, &model, std::slice::from_ref(&batch));
    let reference = expected.read_f32("loss").unwrap()[0];
    assert!((loss - reference).abs() < 1e-5 * reference, "{name}: {loss} {reference}");
    let reference: BTreeMap<String, Vec<f32>> = expected
        .names()
        .filter_map(|full| {
            Some((full.strip_prefix("grad.")?.to_owned(), expected.read_f32(full).unwrap()))
        })
        .collect();
    assert_eq!(reference.len(), 2 * 4 + 2 * 8 + 2, "{name}: adapters and calibration, all trained");
    assert_close(&named(&model, &grads), &reference, 1e-4);

    let groups = task.parameter_groups(&model);
    let config = OptimizerConfig { rule: Rule::AdamW, betas: [0.9, 0.95], eps: 1e-6 };
    let mut optimizer = Optimizer::new(config, groups, &model, &device());
    for reference in expected.read_f32("losses_of_steps").unwrap() {
        let (loss, grads) = step(&task, &model, std::slice::from_ref(&batch));
        assert!((loss - reference).abs() < 2e-5 * reference, "{name}: {loss} {reference}");
        model = task.after_step(optimizer.step(model, grads, None, 1.0));
    }
    assert_eq!(optimizer.state().1.len(), 2 * reference.len(), "moments of adapters only");
    visit_values(&model, |parameter, values| {
        if expected.entry(&format!("after.{}", parameter.name)).is_some() {
            let reference = expected.read_f32(&format!("after.{}", parameter.name)).unwrap();
            // The adapter of the keys has a gradient, unlike their bias.
            for (value, reference) in values.iter().zip(reference) {
                assert!((value - reference).abs() < 2e-5, "{name}: {} {value}", parameter.name);
            }
        }
    });
    check_merged(&model, &expected, "merged_after.", &layout, 2e-5);
}

fn check_merged(model: &Clip, file: &WeightsFile, prefix: &str, layout: &KeyMap, tolerance: f32) {
    let found = save_in(&merged(model), layout);
    let mut compared = 0;
    for full in file.names() {
        let Some(name) = full.strip_prefix(prefix) else { continue };
        compared += 1;
        let (found, reference) = (found.read_f32(name).unwrap(), file.read_f32(full).unwrap());
        for (found, reference) in found.iter().zip(&reference) {
            assert!((found - reference).abs() < tolerance, "{full}: {found} {reference}");
        }
    }
    assert!(compared >= 8, "{prefix} {compared}");
}

#[test]
fn a_merged_model_embeds_like_its_parts_and_the_base_like_the_start() {
    let (model, batch) = adapted("siglip_hf", &siglip(), &peft(0.5));
    let task = task(&siglip(), Extra::default());
    let embed = |model: &Clip| {
        let pairs = task.evaluate(model, &batch);
        [pairs.images, pairs.texts].concat()
    };
    let apart = embed(&model.valid());
    assert!(difference(&apart, &embed(&merged(&model))) < 1e-5);
    assert!(difference(&apart, &embed(&base(&model))) > 0.1, "adapters do something");

    let start = open("siglip_hf.expected");
    let start =
        [start.read_f32("image_embedding").unwrap(), start.read_f32("text_embedding").unwrap()];
    assert!(difference(&start.concat(), &embed(&base(&model))) < 1e-5);
    let fresh = Peft { calibration: false, ..peft(0.0) };
    let fresh = fresh.apply(base(&model), &Key::new(7), &device());
    assert_eq!(embed(&fresh), embed(&base(&model)), "B is zero at the start");
}

/// The batch in `parts` parts.
fn split(batch: &Batch, sizes: &[usize]) -> Vec<Batch> {
    let rows = batch.names.len();
    let (pixels, ids) = (batch.pictures.pixels.len() / rows, batch.ids.len() / rows);
    let mut first = 0;
    sizes
        .iter()
        .map(|size| {
            let range = first..first + size;
            first += size;
            Batch {
                names: batch.names[range.clone()].to_vec(),
                pictures: squares(
                    batch.pictures.pixels[range.start * pixels..range.end * pixels].to_vec(),
                ),
                ids: batch.ids[range.start * ids..range.end * ids].to_vec(),
            }
        })
        .collect()
}

fn everything(teacher: Clip) -> Extra {
    Extra {
        dropout: true,
        text_dropout: 0.0,
        triplet: Some(Triplet { weight: 0.5, margin: 0.2 }),
        preservation: Some(Preservation {
            teacher,
            embedding_mse: 2.0,
            cosine: 0.3,
            similarity: 0.7,
        }),
    }
}

#[test]
fn micro_batches_and_recomputed_blocks_change_nothing_with_dropout_and_every_loss() {
    let (model, batch) = adapted("siglip_hf", &siglip(), &peft(0.3));
    let mut task = task(&siglip(), everything(base(&model)));
    task.extra.text_dropout = 0.4;
    let (loss, grads) = step(&task, &model, std::slice::from_ref(&batch));
    let whole = named(&model, &grads);
    for sizes in [&[2, 3][..], &[1, 1, 1, 2]] {
        let (split_loss, grads) = step(&task, &model, &split(&batch, sizes));
        assert!((loss - split_loss).abs() < 1e-5 * loss, "{sizes:?}: {loss} {split_loss}");
        assert_close(&named(&model, &grads), &whole, 1e-5);
    }

    task.recompute = true;
    let (again, grads) = step(&task, &model, &split(&batch, &[2, 3]));
    assert!((loss - again).abs() < 1e-5 * loss, "{loss} {again}");
    assert_close(&named(&model, &grads), &whole, 1e-5);

    task.extra.text_dropout = 0.0;
    let (adapters, _) = step(&task, &model, std::slice::from_ref(&batch));
    assert!((loss - adapters).abs() > 1e-3, "that of texts does something: {loss} {adapters}");
    task.extra.dropout = false;
    let (neither, _) = step(&task, &model, std::slice::from_ref(&batch));
    assert!((adapters - neither).abs() > 1e-3, "so does that of adapters: {adapters} {neither}");
}

#[test]
fn dropout_is_a_function_of_the_step_and_zeroes_its_share() {
    let (model, batch) = adapted("siglip_hf", &siglip(), &peft(0.3));
    let task = task(&siglip(), Extra { dropout: true, ..Extra::default() });
    let images = |key: Key| {
        let local = task.forward(&model.valid(), &batch, &Step { index: 0, first: 0, key });
        local.embeddings.images.into_data().try_to_vec::<f32>().unwrap()
    };
    assert_eq!(images(Key::new(1)), images(Key::new(1)));
    assert!(difference(&images(Key::new(1)), &images(Key::new(2))) > 1e-3);

    // With A and B of ones the adapter adds its inputs up: what is missing was dropped.
    let config = LoraConfig {
        targets: vec![Target::Fc2],
        blocks: 1,
        rank: 1,
        alpha: 1.0,
        dropout: 0.25,
        stream: 0,
    };
    let mut blocks = [siglip().vision.block().init(&device())];
    hearth_backbones::lora::adapt(&mut blocks, &config, &device());
    let adapter = blocks[0].mlp.lora.fc2.take().unwrap();
    let adapter = map_values(adapter, |parameter| Some(vec![1.0; parameter.len()]));
    blocks[0].mlp.lora.fc2 = Some(adapter);
    hearth_backbones::lora::seed(&mut blocks, &(0..100u64).collect());
    let zero = hearth_backbones::layers::linear(64, 32, false, &device());
    let out = hearth_backbones::lora::forward(
        &zero,
        &blocks[0].mlp.lora.fc2,
        Input::Plain(Tensor::ones([100, 10, 64], &device())),
    );
    let sums: Vec<f32> = out.slice_dim(2, 0..1).into_data().try_to_vec().unwrap();
    let mean = sums.iter().map(|sum| f64::from(*sum)).sum::<f64>() / sums.len() as f64;
    // 64 inputs, 3 of 4 kept and scaled by 4/3: mean 64, deviation 4.6 of one row.
    assert!((mean - 64.0).abs() < 0.8, "{mean}");
    let spread = sums.iter().map(|sum| (f64::from(*sum) - mean).powi(2)).sum::<f64>();
    let deviation = (spread / sums.len() as f64).sqrt();
    assert!((deviation - 4.62).abs() < 0.4, "{deviation}");
}

/// The definitions, in f64 and by hand, on what the towers gave.
#[test]
fn the_added_losses_are_their_formulas() {
    let (model, batch) = adapted("siglip_hf", &siglip(), &peft(0.0));
    let mut task = task(&siglip(), everything(base(&model)));
    task.extra.dropout = false;
    let rows = |model: &Clip| {
        let pairs = task.evaluate(model, &batch);
        [pairs.images, pairs.texts].map(|all| {
            let rows = all.chunks(pairs.width);
            rows.map(|row| row.iter().map(|v| f64::from(*v)).collect::<Vec<_>>())
                .collect::<Vec<_>>()
        })
    };
    let ([images, texts], [old_images, old_texts]) = (rows(&model.valid()), rows(&base(&model)));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let n = images.len();
    let (mut mse, mut cosine, mut similarity, mut triplet) = (0.0, 0.0, 0.0, 0.0);
    for i in 0..n {
        for (new, old) in [(&images[i], &old_images[i]), (&texts[i], &old_texts[i])] {
            let squares = new.iter().zip(old).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
            mse += squares / new.len() as f64 / n as f64 / 2.0;
            cosine += (1.0 - dot(new, old)) / n as f64 / 2.0;
        }
        let own = dot(&images[i], &texts[i]);
        let (mut text, mut image) = (f64::MIN, f64::MIN);
        for j in 0..n {
            let (new, old) = (dot(&images[i], &texts[j]), dot(&old_images[i], &old_texts[j]));
            similarity += (new - old).powi(2) / (n * n) as f64;
            if i != j {
                text = text.max(new);
                image = image.max(dot(&images[j], &texts[i]));
            }
        }
        for hardest in [text, image] {
            triplet += (0.2 - own + hardest).max(0.0) / n as f64 / 2.0;
        }
    }
    let expected = [
        ("triplet", 0.5 * triplet),
        ("embedding_mse", 2.0 * mse),
        ("cosine", 0.3 * cosine),
        ("similarity", 0.7 * similarity),
    ];
    let local = task.forward(&model, &batch, &Step { index: 0, first: 0, key: Key::new(0) });
    let shared = [task.share(&local)];
    let losses = task.losses(local, &shared, 0);
    let objective = f64::from(losses.objective.into_scalar::<f32>());
    let terms: Vec<(&str, f64)> = losses
        .terms
        .into_iter()
        .map(|(name, value)| (name, f64::from(value.into_scalar::<f32>())))
        .collect();
    assert_eq!(terms[0].0, "contrastive");
    for ((name, found), (expected_name, value)) in terms[1..].iter().zip(expected) {
        assert_eq!(*name, expected_name);
        assert!(
            value > 1e-3 && (found - value).abs() < 1e-5 * value.max(1.0),
            "{name} {found} {value}"
        );
    }
    let sum: f64 = terms.iter().map(|(_, value)| value).sum();
    assert!((objective - sum).abs() < 1e-5 * sum, "{objective} {sum}");
}

#[test]
fn a_single_pair_has_no_hardest_negative() {
    let (model, batch) = adapted("siglip_hf", &siglip(), &peft(0.0));
    let task = task(&siglip(), everything(base(&model)));
    let (loss, grads) = step(&task, &model, &split(&batch, &[1]));
    assert!(loss.is_finite());
    assert!(named(&model, &grads).values().flatten().all(|value| value.is_finite()));
}
