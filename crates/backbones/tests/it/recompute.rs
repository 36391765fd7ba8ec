//! A recomputed block gives the outputs and gradients of a plain one.

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Device, Gradients, Tensor, TensorData},
};
use hearth_backbones::{
    layers::{Activation, Block, BlockConfig, Visible},
    recompute::recompute,
};

#[test]
fn gradients_of_input_and_parameters_equal_those_of_a_plain_call() {
    let device = Device::flex().autodiff();
    let blocks = [block(1.0, &device), block(2.0, &device)];
    let run = |recomputed: bool| {
        let x = wave([2, 3, 8], 0.3, &device).require_grad();
        let mut y = x.clone() * 1.0;
        for block in &blocks {
            y = if recomputed {
                recompute(block, y, |block, x| block.forward(x, &Visible::Past))
            } else {
                block.forward(y, &Visible::Past)
            };
        }
        let loss = (y.clone() * wave([2, 3, 8], 0.7, &device)).sum();
        let mut grads = loss.backward();
        let mut all = vec![values(y), values(x.grad_remove(&mut grads).expect("x is a leaf"))];
        blocks.iter().for_each(|block| all.extend(gradients(block, &mut grads)));
        all
    };

    let (plain, recomputed) = (run(false), run(true));
    assert_eq!(plain.len(), 2 + 2 * 12, "every parameter has a gradient");
    assert_eq!(plain.len(), recomputed.len());
    for (plain, recomputed) in plain.iter().flatten().zip(recomputed.iter().flatten()) {
        assert!((plain - recomputed).abs() <= 1e-6 * plain.abs().max(1.0), "{plain} {recomputed}");
    }
}

#[test]
fn a_frozen_parameter_gets_no_gradient_and_a_plain_device_just_runs() {
    let device = Device::flex().autodiff();
    let mut block = block(1.0, &device);
    block.mlp = block.mlp.no_grad();
    let x = wave([1, 2, 8], 0.1, &device).require_grad();
    let y = recompute(&block, x, |block, x| block.forward(x, &Visible::All));
    let mut grads = y.clone().sum().backward();
    assert_eq!(gradients(&block, &mut grads).len(), 8);

    let plain = block.valid();
    let x = wave([1, 2, 8], 0.1, &Device::flex());
    let again = recompute(&plain, x, |block, x| block.forward(x, &Visible::All));
    assert_eq!(values(y), values(again));
}

fn block(phase: f32, device: &Device) -> Block {
    let config = BlockConfig {
        width: 8,
        num_heads: 2,
        mlp_width: 16,
        activation: Activation::Gelu,
        norm_eps: 1e-5,
        ..BlockConfig::default()
    };
    config.init(device).map(&mut Fill { phase })
}

fn wave<const D: usize>(shape: [usize; D], phase: f32, device: &Device) -> Tensor<D> {
    let len = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..len).map(|i| (i as f32 * 1.7 + phase).sin() * 0.5).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

struct Fill {
    phase: f32,
}

impl ModuleMapper for Fill {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.phase += 1.0;
        let phase = self.phase;
        param.map(|tensor| wave(tensor.dims(), phase, &tensor.device()).require_grad())
    }
}

fn gradients(block: &Block, grads: &mut Gradients) -> Vec<Vec<f32>> {
    struct Collect<'a>(&'a mut Gradients, Vec<Vec<f32>>);
    impl ModuleVisitor for Collect<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(grad) = param.val().grad_remove(self.0) {
                self.1.push(values(grad));
            }
        }
    }
    let mut collect = Collect(grads, Vec::new());
    block.visit(&mut collect);
    collect.1
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("f32")
}
