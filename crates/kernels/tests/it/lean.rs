//! Linear layers that compute their input again, against the two operations apart.

use burn::tensor::Tensor;
use hearth_kernels::{
    Activation, activate, layer_norm, linear, linear_of_activated, linear_of_normalized,
};

use super::compare::{assert_close, captured, pull, tensor};

fn weight() -> Tensor<2> {
    tensor([9, 7], 1.0, 2)
}

fn vector(len: usize, seed: u32) -> Tensor<1> {
    tensor([len], 1.0, seed)
}

fn on<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.autodiff()
}

/// Value and gradient of both at one input.
fn same<const D: usize>(
    x: Tensor<D>,
    ours: impl Fn(Tensor<D>) -> Tensor<3>,
    apart: impl Fn(Tensor<D>) -> Tensor<3>,
) {
    let ((value, grad), (expected, expected_grad)) = (pull(x.clone(), ours), pull(x, apart));
    assert_close(&value, &expected, 0.0);
    assert_close(&grad, &expected_grad, 0.0);
}

#[test]
fn behind_an_activation() {
    for function in [Activation::Gelu, Activation::QuickGelu] {
        for with_bias in [false, true] {
            let bias = || with_bias.then(|| on(vector(7, 3)));
            let x = || tensor([2, 5, 9], 2.0, 1);
            let ours = |x, w, b| linear_of_activated(x, function, w, b);
            let apart = |x, w, b| linear(activate(x, function), w, b);
            same(x(), |x| ours(x, on(weight()), bias()), |x| apart(x, on(weight()), bias()));
            same(weight(), |w| ours(on(x()), w, bias()), |w| apart(on(x()), w, bias()));
            let weight = || on(weight());
            same(
                vector(7, 3),
                |b| ours(on(x()), weight(), Some(b)),
                |b| apart(on(x()), weight(), Some(b)),
            );
        }
    }
}

#[test]
fn behind_a_norm() {
    const EPSILON: f64 = 1e-5;
    for with_bias in [false, true] {
        let bias = || with_bias.then(|| on(vector(7, 3)));
        let x = || tensor([2, 5, 9], 2.0, 1);
        let (gamma, beta) = (|| vector(9, 4), || vector(9, 5));
        let ours = |x, g, b, w, bias| linear_of_normalized(x, (g, b, EPSILON), w, bias);
        let apart = |x, g, b, w, bias| linear(layer_norm(x, g, b, EPSILON), w, bias);
        let (g, b, w) = (|| on(gamma()), || on(beta()), || on(weight()));
        same(x(), |x| ours(x, g(), b(), w(), bias()), |x| apart(x, g(), b(), w(), bias()));
        let x = || on(x());
        same(gamma(), |g| ours(x(), g, b(), w(), bias()), |g| apart(x(), g, b(), w(), bias()));
        same(beta(), |b| ours(x(), g(), b, w(), bias()), |b| apart(x(), g(), b, w(), bias()));
        same(weight(), |w| ours(x(), g(), b(), w, bias()), |w| apart(x(), g(), b(), w, bias()));
        same(
            vector(7, 3),
            |bias| ours(x(), g(), b(), w(), Some(bias)),
            |bias| apart(x(), g(), b(), w(), Some(bias)),
        );
    }
}

#[test]
fn are_two_nodes() {
    let ours = |nodes: Vec<String>| -> Vec<String> {
        nodes.into_iter().filter(|node| node.starts_with("hearth::")).collect()
    };
    let nodes = captured([2, 3, 9], |x| {
        let weight = Tensor::ones([9, 4], &x.device());
        linear_of_activated(x, Activation::Gelu, weight, None)
    });
    assert_eq!(ours(nodes), ["hearth::activate", "hearth::linear"]);
    let nodes = captured([2, 3, 9], |x| {
        let device = x.device();
        let norm = (Tensor::ones([9], &device), Tensor::zeros([9], &device), 1e-5);
        linear_of_normalized(x, norm, Tensor::ones([9, 4], &device), None)
    });
    assert_eq!(ours(nodes), ["hearth::layer_norm", "hearth::linear"]);
}
