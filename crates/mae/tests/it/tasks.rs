//! The two trainings: parts of a batch add up to the whole, and both learn.

use std::ops::Range;

use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::{Device, Tensor},
};
use hearth_backbones::Mode;
use hearth_data::random::Key;
use hearth_engine::{Optimizer, OptimizerConfig, Rule, Step, Task};
use hearth_mae::{
    arch::{Arch, Kind},
    autoencoder::{Autoencoder, DecoderConfig},
    classifier::{Classifier, VitGraph},
    fcmae::MaskMode,
    groups::Rates,
    init,
    task::{Batch, FinetuneTask, PretrainTask},
};

const SIDE: usize = 64;
const PICTURES: usize = 4;
#[expect(clippy::single_range_in_vec_init, reason = "one part")]
const WHOLE: [Range<usize>; 1] = [0..PICTURES];

fn small() -> [Arch; 3] {
    [
        Arch { name: "convnext", kind: Kind::ConvNext([1, 1, 2, 1], [8, 16, 24, 32], 2) },
        Arch { name: "hiera", kind: Kind::Hiera([1, 1, 2, 1], 16, 1) },
        Arch { name: "vit", kind: Kind::Vit(2, 32, 4, 16) },
    ]
}

/// Waves, slow ones of class 0 and fast ones of class 1.
fn batch(pictures: Range<usize>) -> Batch {
    let mut batch = Batch::default();
    for i in pictures {
        let class = i % 2;
        let pace = [0.05, 0.2][class];
        for channel in 0..3 {
            for at in 0..SIDE * SIDE {
                let (x, y) = ((at % SIDE) as f32, (at / SIDE) as f32);
                batch.pixels.push((pace * (x + 0.5 * y) + (i * 3 + channel) as f32).sin());
            }
        }
        batch.names.push(format!("{i}.png"));
        batch.labels.push(class);
        batch.targets.extend([0.95 - 0.9 * class as f32, 0.05 + 0.9 * class as f32]);
    }
    batch
}

fn rates() -> Rates {
    Rates { rate: 2e-3, weight_decay: 0.05, layer_decay: 0.75, backbone: 1.0 }
}

fn pretraining(arch: Arch) -> (PretrainTask, Autoencoder) {
    let task = PretrainTask {
        arch,
        image_size: SIDE,
        mask_ratio: 0.6,
        mask_mode: MaskMode::Masked,
        normalize: false,
        mode: Mode::default(),
        rates: rates(),
        device: Device::flex(),
    };
    let decoder = DecoderConfig { depth: 1, width: 32, num_heads: 4 };
    let model = Autoencoder::new(&arch.encoder(SIDE), decoder, &Device::flex().autodiff());
    (task, init::autoencoder(model, arch.kind, &Key::new(1)))
}

fn finetuning(arch: Arch) -> (FinetuneTask, Classifier) {
    let task = FinetuneTask {
        arch,
        image_size: SIDE,
        num_classes: 2,
        drop_path: 0.3,
        mode: Mode::default(),
        rates: rates(),
        device: Device::flex(),
    };
    let model =
        Classifier::new(&arch.encoder(SIDE), 2, VitGraph::FcNorm, &Device::flex().autodiff());
    (task, init::classifier(model, arch.kind, &Key::new(1)))
}

/// Loss and gradients of a step in these parts.
fn step<T: Task<Batch = Batch>>(
    task: &T,
    model: &T::Model,
    index: usize,
    parts: &[Range<usize>],
) -> (f64, Vec<GradientsParams>) {
    let of_part = |part: &Range<usize>| {
        let step = Step { index, first: part.start, key: Key::new(9).at(index as u64) };
        task.forward(model, &batch(part.clone()), &step)
    };
    let locals: Vec<T::Local> = parts.iter().map(of_part).collect();
    let shared: Vec<T::Shared> = locals.iter().map(|local| task.share(local)).collect();
    let (mut total, mut grads) = (0.0, Vec::new());
    for (me, local) in locals.into_iter().enumerate() {
        let losses = task.losses(local, &shared, me);
        total += f64::from(losses.objective.clone().into_scalar::<f32>());
        grads.push(GradientsParams::from_grads(losses.objective.backward(), model));
    }
    (total, grads)
}

/// Sums over gradients of parts, parameter by parameter.
fn summed<M: Module>(model: &M, grads: &[GradientsParams]) -> Vec<f32> {
    struct Collect<'a>(&'a [GradientsParams], Vec<f32>);
    impl ModuleVisitor for Collect<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let parts = self.0.iter().filter_map(|grads| grads.get::<D>(param.id));
            if let Some(sum) = parts.reduce(|a, b| a + b) {
                self.1.extend(sum.into_data().try_to_vec::<f32>().unwrap());
            }
        }
    }
    let mut collect = Collect(grads, Vec::new());
    model.visit(&mut collect);
    collect.1
}

fn check_parts<T: Task<Batch = Batch>>(name: &str, task: &T, model: &T::Model) {
    let (whole, grads) = step(task, model, 0, &WHOLE);
    let (parts, of_parts) = step(task, model, 0, &[0..1, 1..PICTURES]);
    assert!((whole - parts).abs() < 1e-5 * whole, "{name}: {whole} {parts}");
    let norm = |values: &[f32]| values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    let (grads, of_parts) = (summed(model, &grads), summed(model, &of_parts));
    let difference: Vec<f32> = grads.iter().zip(&of_parts).map(|(a, b)| a - b).collect();
    assert!(norm(&difference) < 1e-5 * norm(&grads), "{name}: {}", norm(&difference));
}

fn learned<T: Task<Batch = Batch>>(task: &T, mut model: T::Model, steps: usize) -> [f64; 2] {
    let config = OptimizerConfig { rule: Rule::AdamW, betas: [0.9, 0.95], eps: 1e-8 };
    let groups = task.parameter_groups(&model);
    let mut optimizer = Optimizer::new(config, groups, &model, &Device::flex());
    let mut losses = Vec::new();
    for index in 0..steps {
        let (loss, mut grads) = step(task, &model, index, &WHOLE);
        losses.push(loss);
        model = optimizer.step(model, grads.remove(0), None, 1.0);
    }
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    [mean(&losses[..3]), mean(&losses[steps - 3..])]
}

#[test]
fn parts_of_a_batch_add_up() {
    for arch in small() {
        let (task, model) = pretraining(arch);
        check_parts(arch.name, &task, &model);
        let (task, model) = finetuning(arch);
        check_parts(arch.name, &task, &model);
    }
}

#[test]
fn both_trainings_learn() {
    for arch in small() {
        let (task, model) = pretraining(arch);
        let [first, last] = learned(&task, model, 40);
        assert!(last < 0.7 * first, "{}, pre-training: {first} to {last}", arch.name);
        let (task, model) = finetuning(arch);
        let [first, last] = learned(&task, model, 40);
        assert!(last < 0.7 * first, "{}, fine-tuning: {first} to {last}", arch.name);
    }
}

#[test]
fn a_validation_counts_every_picture_once() {
    for arch in small() {
        let (task, model) = finetuning(arch);
        let stats = task.merge(
            task.evaluate(&model.valid(), &batch(0..1)),
            task.evaluate(&model.valid(), &batch(1..PICTURES)),
        );
        let parts = task.metrics(stats);
        let whole = task.metrics(task.evaluate(&model.valid(), &batch(0..PICTURES)));
        for ((name, a), (_, b)) in parts.iter().zip(&whole) {
            assert!((a - b).abs() < 1e-6, "{} {name}: {a} {b}", arch.name);
        }
        let (task, model) = pretraining(arch);
        let stats = task.merge(
            task.evaluate(&model.valid(), &batch(0..1)),
            task.evaluate(&model.valid(), &batch(1..PICTURES)),
        );
        let parts = task.metrics(stats);
        let whole = task.metrics(task.evaluate(&model.valid(), &batch(0..PICTURES)));
        for ((name, a), (_, b)) in parts.iter().zip(&whole) {
            assert!((a - b).abs() < 1e-5 * a, "{} {name}: {a} {b}", arch.name);
        }
    }
}
