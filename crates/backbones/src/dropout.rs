//! Dropout that is a function of the sample: however a batch is split and however often it is
//! computed, the same numbers are dropped.
//!
//! Source: arXiv 1207.0580, with the numbers that stay scaled as in `torch.nn.Dropout`.

use std::sync::Arc;

use burn::tensor::{FloatDType, Tensor, TensorData};

/// Drops nothing until [`seed`](Self::seed) gives seeds.
#[derive(Debug, Clone, Default)]
pub struct Dropout {
    /// Probability of a number to be dropped, below 1.
    pub rate: f64,
    /// Tells this dropout from that of other places in the model.
    stream: u64,
    seeds: Option<Arc<[u64]>>,
}

impl Dropout {
    /// The dropout of one place in a model; places that drop alike have one `stream`.
    pub fn new(rate: f64, stream: u64) -> Self {
        Self { rate, stream: mix(stream), seeds: None }
    }

    /// From now on sample b of a batch drops what `seeds[b]` says.
    pub fn seed(&mut self, seeds: &Arc<[u64]>) {
        self.seeds = (self.rate > 0.0).then(|| seeds.clone());
    }

    /// `x` [B, ..], B as many as there are seeds. Returns the same shape.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let Some(seeds) = &self.seeds else { return x };
        let sides = x.dims();
        assert_eq!(sides[0], seeds.len(), "one seed for each sample");
        let mask = TensorData::new(self.mask(seeds, sides[1..].iter().product()), sides);
        let mask = Tensor::<D>::from_data(mask, &x.device());
        let dtype = FloatDType::from(x.dtype());
        x * mask.cast(dtype)
    }

    /// `x` [B, ..], of which whole samples are dropped (arXiv 1603.09382); `branch` tells branches of a
    /// block from each other. Returns the same shape.
    pub fn forward_path<const D: usize>(&self, x: Tensor<D>, branch: usize) -> Tensor<D> {
        let Some(seeds) = &self.seeds else { return x };
        let mut sides = [1; D];
        sides[0] = x.dims()[0];
        assert_eq!(sides[0], seeds.len(), "one seed for each sample");
        let mask = self.mask(seeds, branch + 1);
        let of_branch = mask.into_iter().skip(branch).step_by(branch + 1).collect::<Vec<f32>>();
        let mask = TensorData::new(of_branch, sides).convert_dtype(x.dtype());
        let mask = Tensor::<D>::from_data(mask, &x.device());
        x * mask
    }

    /// For `len` numbers of every sample: 0 where one is dropped, `1 / (1 - rate)` elsewhere.
    fn mask(&self, seeds: &[u64], len: usize) -> Vec<f32> {
        let keep = (1.0 / (1.0 - self.rate)) as f32;
        let dropped = (self.rate * f64::from(u32::MAX)) as u32;
        let mut mask = vec![keep; seeds.len() * len];
        for (sample, seed) in mask.chunks_mut(len.max(1)).zip(seeds) {
            let start = mix(seed ^ self.stream);
            for (pair, i) in sample.chunks_mut(2).zip(0..) {
                let bits = mix(start.wrapping_add(i));
                for (value, bits) in pair.iter_mut().zip([bits as u32, (bits >> 32) as u32]) {
                    if bits < dropped {
                        *value = 0.0;
                    }
                }
            }
        }
        mask
    }
}

/// 64 bits that depend on all bits of `x`: the output function of SplitMix64
/// (doi 10.1145/2714064.2660195), at position `x` of its sequence.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
