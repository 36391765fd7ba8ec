//! Linear weights that a C-RADIO checkpoint keeps with their largest singular value apart.
//!
//! Training under spectral reparametrisation stores a matrix W with vectors u and v of a power iteration
//! and a scale; what the network multiplies with is W * s / (u^T W v + eps). Released files have folded
//! that already; one that has not is folded here.
//!
//! Source: `NVlabs/RADIO:radio/enable_spectral_reparam.py`.

use std::collections::BTreeSet;

use hearth_weights::WeightsFile;

use super::file::refuse;
use crate::error::ClipError;

const ORIGINAL: &str = ".parametrizations.weight.original";
/// Added to the singular value.
const EPS: f64 = 1e-6;
/// Smallest scale of the second version.
const SMALLEST_SCALE: f64 = 0.05;

/// `file` with plain weights; as it is where all are plain already.
pub fn folded(file: WeightsFile) -> Result<WeightsFile, ClipError> {
    let stems: Vec<String> =
        file.names().filter_map(|name| name.strip_suffix(ORIGINAL)).map(str::to_owned).collect();
    if stems.is_empty() {
        return Ok(file);
    }
    let mut computed = Vec::new();
    for stem in &stems {
        let name = format!("{stem}{ORIGINAL}");
        let shape = file.entry(&name).map(|entry| entry.shape.clone()).unwrap_or_default();
        let [_, columns] = shape[..] else {
            return Err(refuse(file.path(), format!("`{name}` has shape {shape:?}, no matrix")));
        };
        let values = fold(&file, stem, columns)?;
        computed.push((format!("{stem}.weight"), shape, values));
    }
    let absorbed: Vec<String> = file
        .names()
        .filter(|name| name.contains(".parametrizations.weight."))
        .map(str::to_owned)
        .collect();
    Ok(file.with_computed(&absorbed, computed))
}

/// The plain matrix of one layer, part by part.
fn fold(file: &WeightsFile, stem: &str, columns: usize) -> Result<Vec<f32>, ClipError> {
    let whole = format!("{stem}.parametrizations.weight.0");
    // The thirds of `qkv` have a singular value each.
    let listed = format!("{whole}.parts.");
    let indices: BTreeSet<usize> = file
        .names()
        .filter_map(|name| name.strip_prefix(&listed)?.split('.').next()?.parse().ok())
        .collect();
    let parts: Vec<String> = match indices.is_empty() {
        true => vec![whole],
        false => indices.iter().map(|index| format!("{listed}{index}")).collect(),
    };
    let values = file.read_f32(&format!("{stem}{ORIGINAL}"))?;
    let rows = values.len() / columns.max(1);
    if columns == 0 || rows == 0 || !rows.is_multiple_of(parts.len()) {
        let found = format!("`{stem}` has {rows} rows in {} parts", parts.len());
        return Err(refuse(file.path(), found));
    }
    let mut plain = Vec::with_capacity(values.len());
    for (part, values) in parts.iter().zip(values.chunks_exact(values.len() / parts.len())) {
        let factor = factor(file, part, values, columns)?;
        plain.extend(values.iter().map(|value| (f64::from(*value) * factor) as f32));
    }
    Ok(plain)
}

/// What the values of one part are multiplied with.
fn factor(
    file: &WeightsFile,
    part: &str,
    values: &[f32],
    columns: usize,
) -> Result<f64, ClipError> {
    let read = |name: &str| -> Result<Vec<f64>, ClipError> {
        let found = file.read_f32(&format!("{part}.{name}"))?;
        Ok(found.into_iter().map(f64::from).collect())
    };
    let v = read("_v")?;
    let scale = read("scale")?.first().copied().unwrap_or(f64::NAN);
    if v.len() != columns {
        let found = format!("`{part}._v` has {} values, needed {columns}", v.len());
        return Err(refuse(file.path(), found));
    }
    let times = |v: &[f64]| -> Vec<f64> {
        let row = |row: &[f32]| row.iter().zip(v).map(|(w, v)| f64::from(*w) * v).sum();
        values.chunks_exact(columns).map(row).collect()
    };
    // The reference folds while it is still training: one more step of the power iteration comes first.
    let u = unit(times(&v));
    let mut back = vec![0.0; columns];
    for (row, u) in values.chunks_exact(columns).zip(&u) {
        back.iter_mut().zip(row).for_each(|(sum, w)| *sum += f64::from(*w) * u);
    }
    let v = unit(back);
    let singular: f64 = times(&v).iter().zip(&u).map(|(wv, u)| wv * u).sum();
    let second = file.entry(&format!("{part}._sn_version")).is_some();
    let scale = if second { scale.exp().ln_1p() + SMALLEST_SCALE } else { scale };
    Ok(scale / (singular + EPS))
}

fn unit(mut values: Vec<f64>) -> Vec<f64> {
    let length = values.iter().map(|value| value * value).sum::<f64>().sqrt().max(1e-12);
    values.iter_mut().for_each(|value| *value /= length);
    values
}
