//! Keyed random numbers: the same key gives the same numbers on every platform, thread and order.
//!
//! Nothing here is a stream that several parties advance. A [`Key`] is derived from a seed by naming
//! what the numbers are for (`of`) and for which element (`at`); who asks first does not matter.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng};
use sha2::{Digest, Sha256};

/// The name of a sequence of random numbers.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    /// The root of everything that one seed decides.
    pub fn new(seed: u64) -> Key {
        Key(Sha256::new()
            .chain_update(b"hearth")
            .chain_update(seed.to_le_bytes())
            .finalize()
            .into())
    }

    /// The key for one purpose: `key.of("crop")` and `key.of("jitter")` are independent.
    pub fn of(&self, purpose: &str) -> Key {
        self.derive(b"of", purpose.as_bytes())
    }

    /// The key for one element: an epoch, a sample, a layer.
    pub fn at(&self, index: u64) -> Key {
        self.derive(b"at", &index.to_le_bytes())
    }

    /// The numbers that this key names, from the first.
    pub fn rng(&self) -> Numbers {
        Numbers(ChaCha8Rng::from_seed(self.0))
    }

    fn derive(&self, kind: &[u8; 2], what: &[u8]) -> Key {
        let digest = Sha256::new().chain_update(self.0).chain_update(kind).chain_update(what);
        Key(digest.finalize().into())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({:02x}{:02x}{:02x}{:02x}..)", self.0[0], self.0[1], self.0[2], self.0[3])
    }
}

/// Random numbers of one key. The distributions are ours and frozen: a resumed run and a newer
/// release must draw the same values, which distribution crates do not promise.
#[derive(Debug, Clone)]
pub struct Numbers(ChaCha8Rng);

impl Numbers {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in [0, 1), a multiple of 2^-53.
    pub fn f64(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in [0, 1), a multiple of 2^-24.
    pub fn f32(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 * (1.0 / (1u32 << 24) as f32)
    }

    /// Uniform between `low` and `high`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.f64()
    }

    /// True with this probability: never for 0, always for 1.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.f64() < probability
    }

    /// Uniform in 0..`end` without bias; `end` is at least 1.
    pub fn below(&mut self, end: u64) -> u64 {
        assert!(end > 0, "an empty range has no element");
        // The low half of a 128-bit product tells the few draws that would favour small results.
        let unfair = end.wrapping_neg() % end;
        loop {
            let product = u128::from(self.bits()) * u128::from(end);
            if product as u64 >= unfair {
                return (product >> 64) as u64;
            }
        }
    }

    /// Standard normal.
    pub fn normal(&mut self) -> f64 {
        // Box and Muller with `libm`, whose results are the same everywhere; the platform's `ln`
        // and `cos` are not. 1 - u is in (0, 1], so the logarithm is finite.
        let radius = (-2.0 * libm::log(1.0 - self.f64())).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.f64())
    }

    /// Beta with these two shapes, which are above 0.
    pub fn beta(&mut self, a: f64, b: f64) -> f64 {
        // In logarithms, since both of small shapes are often too small for a float.
        let (a, b) = (self.log_gamma_distributed(a), self.log_gamma_distributed(b));
        1.0 / (1.0 + libm::exp(b - a))
    }

    /// The logarithm of a number with the gamma distribution, by the method of Marsaglia and Tsang.
    fn log_gamma_distributed(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            // 1 - u is in (0, 1], so the logarithm is finite.
            let lower = libm::log(1.0 - self.f64()) / shape;
            return lower + self.log_gamma_distributed(shape + 1.0);
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let normal = self.normal();
            let root = 1.0 + c * normal;
            let cube = root * root * root;
            let limit = 0.5 * normal * normal + d - d * cube + d * libm::log(cube);
            if root > 0.0 && libm::log(1.0 - self.f64()) < limit {
                return libm::log(d * cube);
            }
        }
    }

    /// A uniformly random order of `0..len`.
    pub fn permutation(&mut self, len: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..len).collect();
        for last in (1..len).rev() {
            order.swap(last, self.below(last as u64 + 1) as usize);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_frozen() {
        // Computed by a second implementation (SHA-256 and ChaCha8 in Python). Changing any of these
        // changes every training run: only with a note in the changelog.
        let key = Key::new(1234).of("test").at(7);
        assert_eq!(key.rng().bits(), 16_501_018_732_191_890_557);
        assert_eq!(key.rng().f64(), 0.8945220178833225);
        assert_eq!(key.rng().f32(), 0.360_797_64);
        assert_eq!(key.rng().normal(), 0.7918593289114603);
        assert_eq!(key.rng().permutation(8), [4, 3, 5, 0, 2, 6, 1, 7]);
    }

    #[test]
    fn keys_differ_by_seed_purpose_and_index() {
        let key = Key::new(1);
        let keys = [
            key.clone(),
            Key::new(2),
            key.of("a"),
            key.of("b"),
            key.at(0),
            key.at(1),
            key.of("a").at(0),
            key.at(0).of("a"),
            key.of("at"),
        ];
        let mut first: Vec<u64> = keys.iter().map(|key| key.rng().bits()).collect();
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), keys.len());
    }

    #[test]
    fn distributions_have_their_moments() {
        let mut numbers = Key::new(3).rng();
        let count = 100_000;
        let (mut sum, mut squares, mut uniform) = (0.0, 0.0, 0.0);
        for _ in 0..count {
            let normal = numbers.normal();
            sum += normal;
            squares += normal * normal;
            uniform += numbers.uniform(2.0, 4.0);
        }
        let count = f64::from(count);
        assert!((sum / count).abs() < 0.02, "mean {}", sum / count);
        assert!((squares / count - 1.0).abs() < 0.02, "variance {}", squares / count);
        assert!((uniform / count - 3.0).abs() < 0.01, "mean {}", uniform / count);
    }

    #[test]
    fn beta_has_its_moments_for_any_shape() {
        for (a, b) in [(1.0, 1.0), (0.8, 0.8), (0.2, 0.2), (0.01, 0.01), (3.0, 1.5), (200.0, 100.0)]
        {
            let mut numbers = Key::new(6).rng();
            let count = 40_000;
            let (mut sum, mut squares) = (0.0, 0.0);
            for _ in 0..count {
                let value = numbers.beta(a, b);
                assert!((0.0..=1.0).contains(&value), "{value} of {a} and {b}");
                sum += value;
                squares += value * value;
            }
            let mean = sum / f64::from(count);
            let variance = squares / f64::from(count) - mean * mean;
            let expected = a / (a + b);
            assert!((mean - expected).abs() < 0.01, "{a} {b}: mean {mean}, not {expected}");
            let expected = a * b / ((a + b) * (a + b) * (a + b + 1.0));
            assert!(
                (variance - expected).abs() < 0.005,
                "{a} {b}: variance {variance}, not {expected}"
            );
        }
    }

    #[test]
    fn below_reaches_every_value_evenly() {
        let mut numbers = Key::new(4).rng();
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[numbers.below(7) as usize] += 1;
        }
        assert!(counts.iter().all(|&count| (9_500..10_500).contains(&count)), "{counts:?}");
        assert_eq!(numbers.below(1), 0);
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        for len in [0, 1, 2, 1000] {
            let mut order = Key::new(5).rng().permutation(len);
            order.sort_unstable();
            assert_eq!(order, (0..len).collect::<Vec<_>>());
        }
    }
}
