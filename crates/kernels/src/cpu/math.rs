//! Functions of f32 without a branch, so that a loop over them becomes vector instructions.
//!
//! The coefficients are our own minimax fits (Lawson's iteration in f64, rounded to f32).

/// Below it the exponential is under the smallest normal number and becomes 0.
const LEAST_EXPONENT: f32 = -87.336_54;
/// Above it the exponential is infinite.
const GREATEST_EXPONENT: f32 = 88.722_84;
/// Adding it rounds to an integer, which then stands in the lowest bits.
const ROUNDING: f32 = 12_582_912.0;
/// ln 2 in two parts, the first exact in products with small integers.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// e^x within 2 units in the last place.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let (power, n) = power(x);
    // Twice half of the exponent: 2^n alone would overflow where e^x does not.
    let value = power * two_to(n >> 1) * two_to(n - (n >> 1));
    let value = if x < LEAST_EXPONENT { 0.0 } else { value };
    if x > GREATEST_EXPONENT { f32::INFINITY } else { value }
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    // Beyond these bounds 1 + e^-x is 1 or the result, as a normal number, 0.
    let bounded = if x > -LEAST_EXPONENT { -LEAST_EXPONENT } else { x };
    let bounded = if bounded < LEAST_EXPONENT { LEAST_EXPONENT } else { bounded };
    let (power, n) = power(-bounded);
    let value = 1.0 / power.mul_add(two_to(n), 1.0);
    if x < LEAST_EXPONENT { 0.0 } else { value }
}

/// p and n with p 2^n = e^x, p between 0.7 and 1.42.
#[inline(always)]
fn power(x: f32) -> (f32, i32) {
    let rounded = x.mul_add(std::f32::consts::LOG2_E, ROUNDING);
    let n = rounded - ROUNDING;
    let r = n.mul_add(-LN_2[1], n.mul_add(-LN_2[0], x));
    // (e^r - 1 - r) / r^2 on |r| <= ln(2) / 2: relative error of e^r 3e-9
    let tail =
        polynomial(r, [0.499_999_94, 0.166_665_2, 0.041_668_404, 0.008_368_899, 0.001_381_422_2]);
    let power = (tail * r).mul_add(r, r) + 1.0;
    (power, rounded.to_bits() as i32 - ROUNDING.to_bits() as i32)
}

/// 2^n for n from -126 to 127.
#[inline(always)]
fn two_to(n: i32) -> f32 {
    f32::from_bits(((n + 127) << 23) as u32)
}

/// The error function within 4e-7.
#[inline(always)]
#[expect(
    clippy::approx_constant,
    reason = "a coefficient of the fit, with which erf ends at exactly 1"
)]
pub(crate) fn erf(x: f32) -> f32 {
    const ONE_FROM: f32 = 3.92;
    let bounded = if x > ONE_FROM { ONE_FROM } else { x };
    let bounded = if bounded < -ONE_FROM { -ONE_FROM } else { bounded };
    let t = bounded * bounded;
    let above = polynomial(
        t,
        [1.128_379, 0.192_765_07, 0.053_060_617, 0.003_868_372_2, 2.874_806_5e-4, 2.034_730_4e-6],
    );
    let below = polynomial(
        t,
        [1.0, 0.504_165_3, 0.115_085_04, 0.015_172_385, 0.001_188_126_5, 3.807_066e-5],
    );
    bounded * above / below
}

/// c0 + c1 x + c2 x^2 + ...
#[inline(always)]
fn polynomial<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = coefficients[N - 1];
    for i in (0..N - 1).rev() {
        sum = sum.mul_add(x, coefficients[i]);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(from: f32, to: f32) -> impl Iterator<Item = f32> {
        (0..=200_000).map(move |i| from + (to - from) * i as f32 / 200_000.0)
    }

    #[test]
    fn exp_is_right_to_two_units() {
        for x in spread(-87.0, 88.7) {
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) / exact - 1.0).abs();
            assert!(error < 2.4e-7, "{x}: {error:e}");
        }
    }

    #[test]
    fn exp_of_extremes() {
        for (x, expected) in [
            (f32::NEG_INFINITY, 0.0),
            (f32::MIN, 0.0),
            (-200.0, 0.0),
            (-0.0, 1.0),
            (89.0, f32::INFINITY),
            (f32::MAX, f32::INFINITY),
            (f32::INFINITY, f32::INFINITY),
        ] {
            assert_eq!(exp(x), expected, "{x}");
        }
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn sigmoid_of_extremes() {
        assert_eq!([-1e30, -100.0, 0.0, 100.0].map(sigmoid), [0.0, 0.0, 0.5, 1.0]);
        assert!(sigmoid(f32::NAN).is_nan());
    }

    #[test]
    fn erf_against_its_series() {
        for x in spread(-6.0, 6.0) {
            let error = (f64::from(erf(x)) - erf_series(f64::from(x))).abs();
            assert!(error < 4e-7, "{x}: {error:e}");
        }
        assert!(erf(f32::NAN).is_nan());
        assert_eq!([erf(f32::NEG_INFINITY), erf(f32::INFINITY)], [-1.0, 1.0]);
    }

    /// 2/sqrt(pi) sum (-1)^k x^(2k+1) / (k! (2k+1)), through its all-positive form.
    fn erf_series(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for k in 1..200 {
            term *= 2.0 * x * x / f64::from(2 * k + 1);
            sum += term;
        }
        sum * (-x * x).exp() * std::f64::consts::FRAC_2_SQRT_PI
    }
}
