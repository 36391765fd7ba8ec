//! What the numbers of a run say about f16.

use super::{Run, Twin};
use crate::trt::TensorRtError;

/// The largest magnitude that is let through: half of what f16 holds, since other pictures differ.
pub const LARGEST: f32 = 32768.0;

/// The smallest cosine between an output and the original's.
const ALIKE: f32 = 0.999;

/// What is measured of every result that becomes f16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    Largest,
    /// Of magnitudes: not finite as soon as one is not, which a largest value does not promise.
    Sum,
    Product,
    Square,
    OriginalSquare,
}

impl Measure {
    pub(super) const ALL: [Measure; 5] = [
        Measure::Largest,
        Measure::Sum,
        Measure::Product,
        Measure::Square,
        Measure::OriginalSquare,
    ];

    pub(super) fn output(self) -> &'static str {
        match self {
            Measure::Largest => "twin/largest",
            Measure::Sum => "twin/sum",
            Measure::Product => "twin/product",
            Measure::Square => "twin/square",
            Measure::OriginalSquare => "twin/original_square",
        }
    }
}

/// How well f16 serves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judgement {
    /// How many results were measured.
    pub measured: usize,
    /// The largest magnitude, and the node that it comes from.
    pub largest: Option<(String, f32)>,
    /// The smallest cosine of every output to the original's.
    pub outputs: Vec<(String, f32)>,
}

impl Judgement {
    /// What holds for both runs.
    pub(super) fn and(mut self, other: Judgement) -> Judgement {
        let most = |of: &Judgement| of.largest.as_ref().map_or(0.0, |(_, value)| *value);
        if most(&other) > most(&self) {
            self.largest = other.largest;
        }
        for ((_, least), (_, cosine)) in self.outputs.iter_mut().zip(other.outputs) {
            *least = least.min(cosine);
        }
        self
    }
}

pub(super) fn judge(twin: &Twin, run: &Run) -> Result<Judgement, TensorRtError> {
    let mut largest: Option<(String, f32)> = None;
    for (at, watched) in twin.watched.iter().enumerate() {
        let number = |measure: Measure| number(run, measure, at);
        let (node, operator) = (watched.node.clone(), watched.operator.clone());
        if !number(Measure::Sum)?.is_finite() {
            return Err(TensorRtError::NotFinite { node, operator });
        }
        let value = number(Measure::Largest)?;
        if value > LARGEST {
            return Err(TensorRtError::OutOfRange { node, operator, value });
        }
        if largest.as_ref().is_none_or(|(_, most)| value > *most) {
            largest = Some((node, value));
        }
    }
    let mut outputs = Vec::new();
    for (name, original) in &twin.outputs {
        let cosine = alike(given(run, name)?, given(run, original)?);
        if !cosine.is_some_and(|cosine| cosine >= ALIKE) {
            return Err(TensorRtError::Apart {
                output: name.clone(),
                cosine: cosine.unwrap_or(f32::NAN),
                node: first_apart(twin, run)?,
            });
        }
        outputs.push((name.clone(), cosine.expect("compared above")));
    }
    Ok(Judgement { measured: twin.watched.len(), largest, outputs })
}

fn given<'a>(run: &'a Run, name: &str) -> Result<&'a (Vec<usize>, Vec<f32>), TensorRtError> {
    run.get(name).ok_or_else(|| TensorRtError::NoOutput { output: name.to_owned() })
}

fn number(run: &Run, measure: Measure, at: usize) -> Result<f32, TensorRtError> {
    let (_, values) = given(run, measure.output())?;
    let missing = || TensorRtError::NoOutput { output: format!("{} {at}", measure.output()) };
    values.get(at).copied().ok_or_else(missing)
}

/// The first node whose results have left those of the original, and their cosine.
fn first_apart(twin: &Twin, run: &Run) -> Result<Option<(String, f32)>, TensorRtError> {
    for (at, watched) in twin.watched.iter().enumerate() {
        let of = |measure| number(run, measure, at).map(f64::from);
        let (product, one, other) =
            (of(Measure::Product)?, of(Measure::Square)?, of(Measure::OriginalSquare)?);
        let cosine = cosine(product, one, other);
        if cosine < ALIKE {
            return Ok(Some((watched.node.clone(), cosine)));
        }
    }
    Ok(None)
}

/// The smallest cosine of two rows that belong together; of a single number, how alike they are.
fn alike(one: &(Vec<usize>, Vec<f32>), other: &(Vec<usize>, Vec<f32>)) -> Option<f32> {
    let ((shape, one), (other_shape, other)) = (one, other);
    if shape != other_shape || one.len() != other.len() || one.is_empty() {
        return None;
    }
    if shape.len() < 2 {
        let apart =
            one.iter().zip(other).map(|(one, other)| (one - other).abs() / other.abs().max(1.0));
        let most = apart
            .fold(0.0, |most: f32, next| if next > most || next.is_nan() { next } else { most });
        return Some(1.0 - most).filter(|alike| alike.is_finite());
    }
    let width = one.len() / shape[0];
    let rows = one.chunks(width).zip(other.chunks(width)).map(|(one, other)| {
        let sum = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
        };
        cosine(sum(one, other), sum(one, one), sum(other, other))
    });
    let least =
        rows.fold(1.0, |least: f32, next| if next < least || next.is_nan() { next } else { least });
    Some(least).filter(|least| least.is_finite())
}

/// Two rows of zeros are alike.
fn cosine(product: f64, one: f64, other: f64) -> f32 {
    match (one == 0.0, other == 0.0) {
        (true, true) => 1.0,
        (true, false) | (false, true) => 0.0,
        (false, false) => (product / (one.sqrt() * other.sqrt())) as f32,
    }
}
