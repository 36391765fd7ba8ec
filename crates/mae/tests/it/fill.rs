//! Weights and inputs without files: every number is a function of a name and a place.

use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};
use hearth_backbones::positions::sin_cos_2d;
use hearth_weights::{KeyMap, WeightsFile, load, parameters, save_tensors};

/// Uniform in [0, 1): number `place` of the tensor `name`.
pub(super) fn uniform(name: &str, place: usize) -> f64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let z = hash.wrapping_add(place as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 24)
}

/// `len` numbers in [-1, 1).
pub(super) fn signed(name: &str, len: usize) -> Vec<f64> {
    (0..len).map(|place| 2.0 * uniform(name, place) - 1.0).collect()
}

/// Two pictures, [2, 3, 224, 224].
pub(super) fn images(device: &Device) -> Tensor<4> {
    let values: Vec<f32> =
        signed("input", 2 * 3 * 224 * 224).into_iter().map(|v| v as f32).collect();
    Tensor::from_data(TensorData::new(values, [2, 3, 224, 224]), device)
}

/// Noise of two pictures with `cells` cells.
pub(super) fn noise(cells: usize) -> Vec<f32> {
    (0..2 * cells).map(|place| uniform("noise", place) as f32).collect()
}

/// `model` with the values that the names of its file stand for. Fixed tables of positions are those
/// of the reference.
pub(super) fn filled<M: Module>(model: M, map: &KeyMap, fixed_positions: bool) -> M {
    let layout = map.layout(&parameters(&model)).unwrap();
    let tensors = layout.into_iter().map(|(name, shape)| {
        let values = match (fixed_positions && name.ends_with("pos_embed"), &shape[..]) {
            (true, [.., tokens, width]) => sin_cos_2d((tokens - 1).isqrt(), *width),
            _ => values(&name, &shape),
        };
        (name, shape, values)
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("filled.safetensors");
    save_tensors(&path, &Default::default(), tensors.collect()).unwrap();
    let file = WeightsFile::open(&path).unwrap();
    load(model, &file, map, &Default::default()).unwrap().0
}

fn values(name: &str, shape: &[usize]) -> Vec<f32> {
    let numbers = signed(name, shape.iter().product()).into_iter();
    match (name.ends_with(".weight"), shape) {
        (true, [_]) => numbers.map(|v| (1.0 + 0.1 * v) as f32).collect(),
        (true, [_, fan_in @ ..]) => {
            let scale = (3.0 / fan_in.iter().product::<usize>() as f64).sqrt();
            numbers.map(|v| (v * scale) as f32).collect()
        }
        _ => numbers.map(|v| (0.1 * v) as f32).collect(),
    }
}
