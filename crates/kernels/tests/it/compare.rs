//! What the tests of all operations share: inputs of every kind, and comparison.

use burn::{
    backend::{Capture, ir::OperationIr},
    tensor::{Device, FloatDType, Tensor, TensorData},
};
use hearth_kernels::backward_with;

/// The CPU, with and without autodiff.
pub(super) fn cpu() -> Device {
    Device::flex()
}

/// The graphics processor that this build is for.
#[cfg(feature = "gpu")]
pub(super) fn gpu() -> Device {
    #[cfg(feature = "cuda")]
    return Device::cuda(0);
    #[cfg(not(feature = "cuda"))]
    Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)
}

/// Numbers without pattern in (-`width`, `width`), the same on every machine.
pub(super) fn numbers(count: usize, width: f32, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state as f32 / u32::MAX as f32 - 0.5) * 2.0 * width
    };
    (0..count).map(|_| next()).collect()
}

/// A tensor of [`numbers`].
pub(super) fn tensor<const D: usize>(shape: [usize; D], width: f32, seed: u32) -> Tensor<D> {
    let data = TensorData::new(numbers(shape.iter().product(), width, seed), shape);
    Tensor::from_data(data, &cpu())
}

/// `x` as a view whose elements do not lie in order.
pub(super) fn scattered<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let flipped = x.swap_dims(0, D - 1);
    let data = flipped.to_data();
    let flipped: Tensor<D> = Tensor::from_data(data, &cpu());
    flipped.swap_dims(0, D - 1)
}

/// Value of `f` at `x`, and the gradient there for a gradient of the value without pattern.
pub(super) fn pull<const D: usize, const E: usize>(
    x: Tensor<D>,
    f: impl Fn(Tensor<D>) -> Tensor<E>,
) -> (Tensor<E>, Tensor<D>) {
    let x = x.autodiff().require_grad();
    let y = f(x.clone());
    let direction = tensor(y.dims(), 1.0, 77).cast(FloatDType::from(y.dtype()));
    let mut grads = backward_with(y.clone(), direction);
    let grad = x.grad_remove(&mut grads).expect("x takes part");
    (y.without_autodiff(), grad)
}

/// `x` in f64, where the composed forms are exact enough to judge a kernel.
pub(super) fn wide<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.cast(FloatDType::F64)
}

/// Fails where two tensors differ by more than `tolerance` of the larger number, or of 1.
#[track_caller]
pub(super) fn assert_close<const D: usize>(ours: &Tensor<D>, other: &Tensor<D>, tolerance: f64) {
    assert_eq!(ours.dims(), other.dims());
    let values = |tensor: &Tensor<D>| -> Vec<f64> { tensor.to_data().iter().collect() };
    for (i, (a, b)) in values(ours).into_iter().zip(values(other)).enumerate() {
        let same = a == b || a.is_nan() && b.is_nan();
        let scale = a.abs().max(b.abs()).max(1.0);
        assert!(same || (a - b).abs() <= tolerance * scale, "element {i}: {a} against {b}");
    }
}

/// Fails where the gradient of `f` in a few directions is not its difference quotient in f64.
#[track_caller]
pub(super) fn assert_slope<const D: usize, const E: usize>(
    x: Tensor<D>,
    f: impl Fn(Tensor<D>) -> Tensor<E>,
) {
    const STEP: f64 = 1e-3;
    let (_, grad) = pull(x.clone(), &f);
    for seed in 1..4 {
        let way = tensor(x.dims(), 1.0, seed);
        let value = |x: Tensor<D>| -> f64 {
            let y = f(x);
            let direction: Tensor<E> = tensor(y.dims(), 1.0, 77);
            let terms: Vec<f64> = (y * direction).to_data().iter().collect();
            terms.iter().sum()
        };
        let slope = (value(x.clone() + way.clone() * STEP) - value(x.clone() - way.clone() * STEP))
            / (2.0 * STEP);
        let expected: f64 = (grad.clone() * way).sum().into_scalar();
        let scale = slope.abs().max(1.0);
        assert!((slope - expected).abs() < 1e-2 * scale, "{expected} against {slope}");
    }
}

/// The operations of `f` in a captured graph: the name of our own, the kind of others.
pub(super) fn captured<const D: usize, const E: usize>(
    shape: [usize; D],
    f: impl Fn(Tensor<D>) -> Tensor<E>,
) -> Vec<String> {
    let device = Device::capture();
    let x = tensor(shape, 1.0, 1);
    let captured = device.capture_scope(|scope| {
        let y = f(x.to_device(&device));
        scope.complete([], [y.try_into_primitive::<Capture>().expect("a captured tensor").id()])
    });
    let graph = captured.expect("nothing is read back").graph;
    let name = |operation: &OperationIr| match operation {
        OperationIr::Custom(node) => node.id.clone(),
        other => format!("{other:?}").split(['{', '(']).next().unwrap_or_default().to_owned(),
    };
    graph.operations.iter().map(name).collect()
}
