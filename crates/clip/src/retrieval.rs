//! Image-text retrieval over a whole set of pairs, streamed: memory grows with the embeddings only.
//!
//! Row i of the images belongs to row i of the texts and to no other, also where captions repeat.
//! Equal similarities are ranked by index, as open_clip does. Source of the definitions: TAO's
//! `multimodal/clip/model/evaluation/retrieval.py`, whose AUC compares scores in one order with labels
//! in another; here it is the area under the ROC curve.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use hearth_engine::Metrics;
use rayon::prelude::*;

/// Rows and columns of one block of the similarity matrix.
const TILE: usize = 1024;

/// L2-normalised embeddings of pairs, row-major.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pairs {
    /// Width of a row.
    pub width: usize,
    /// [N, width].
    pub images: Vec<f32>,
    /// [N, width].
    pub texts: Vec<f32>,
}

/// Where the right answer stands for every query of one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranks {
    /// Rank of the right answer, from 1; equal similarities count by index.
    pub rank: Vec<u32>,
    /// Wrong answers that are more similar than the right one.
    above: Vec<u32>,
    /// Wrong answers that are exactly as similar.
    equal: Vec<u32>,
}

/// Names of the metrics of one direction in the order of [`metrics`].
pub const METRICS: &[&str] = &["mAP", "R@1", "R@5", "R@10", "MedR", "MeanR", "AUC"];

/// `i2t_mAP`, `i2t_R@1`, ..., `t2i_AUC`: fractions 0 to 1, ranks from 1.
pub fn metrics(pairs: &Pairs, device: &Device) -> Metrics {
    let (i2t, t2i) = ranks(pairs, device);
    let mut metrics = Vec::new();
    for (direction, ranks) in [("i2t", i2t), ("t2i", t2i)] {
        let values = summary(&ranks);
        metrics
            .extend(METRICS.iter().zip(values).map(|(name, v)| (format!("{direction}_{name}"), v)));
    }
    metrics
}

/// Ranks of the texts for every image, and of the images for every text.
pub fn ranks(pairs: &Pairs, device: &Device) -> (Ranks, Ranks) {
    let n = pairs.len();
    let right = right_answers(pairs, device);
    let (mut i2t, mut t2i) = (Ranks::unknown(n), Ranks::unknown(n));
    for rows in tiles(n) {
        let images = block(&pairs.images, pairs.width, rows.clone(), device);
        for columns in tiles(n) {
            let texts = block(&pairs.texts, pairs.width, columns.clone(), device);
            let tile = similarities(images.clone(), texts);
            let tile = Tile { values: &tile, rows: rows.clone(), columns: columns.clone() };
            tile.count(&right, &mut i2t, &mut t2i);
        }
    }
    (i2t, t2i)
}

impl Pairs {
    /// N.
    pub fn len(&self) -> usize {
        self.images.len().checked_div(self.width).unwrap_or(0)
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// The pairs of both, in this order.
    pub fn then(mut self, mut other: Pairs) -> Pairs {
        if self.is_empty() {
            return other;
        }
        self.images.append(&mut other.images);
        self.texts.append(&mut other.texts);
        self
    }
}

/// A block of the similarity matrix on the host.
struct Tile<'a> {
    values: &'a [f32],
    rows: Range<usize>,
    columns: Range<usize>,
}

/// For some queries: how many wrong answers are more similar than the right one, how many equally.
struct Counts {
    above: Vec<u32>,
    equal: Vec<u32>,
}

impl Tile<'_> {
    fn count(&self, right: &[f32], i2t: &mut Ranks, t2i: &mut Ranks) {
        if self.rows == self.columns {
            return self.count_diagonal(right, i2t, t2i);
        }
        // All columns stand on one side of all rows, which decides how equal ones rank.
        let columns_first = self.columns.start < self.rows.start;
        let by_row = self.count_rows(&right[self.rows.clone()]);
        i2t.add(self.rows.start, &by_row, columns_first);
        let by_column = self.count_columns(&right[self.columns.clone()]);
        t2i.add(self.columns.start, &by_column, !columns_first);
    }

    fn count_rows(&self, right: &[f32]) -> Counts {
        let rows = self.values.par_chunks_exact(self.columns.len()).zip(right);
        let (above, equal) = rows
            .map(|(values, right)| {
                let above: u32 = values.iter().map(|value| u32::from(value > right)).sum();
                let equal: u32 = values.iter().map(|value| u32::from(value == right)).sum();
                (above, equal)
            })
            .unzip();
        Counts { above, equal }
    }

    fn count_columns(&self, right: &[f32]) -> Counts {
        const ROWS: usize = 64;
        let width = self.columns.len();
        (self.values.par_chunks(width * ROWS))
            .map(|rows| {
                let mut counts = Counts::zero(width);
                for values in rows.chunks_exact(width) {
                    for (i, (value, right)) in values.iter().zip(right).enumerate() {
                        counts.above[i] += u32::from(value > right);
                        counts.equal[i] += u32::from(value == right);
                    }
                }
                counts
            })
            .reduce(|| Counts::zero(width), Counts::plus)
    }

    /// The tile that holds the right answers: each query skips its own, and equal ones may stand
    /// before or behind it.
    fn count_diagonal(&self, right: &[f32], i2t: &mut Ranks, t2i: &mut Ranks) {
        let (first, side) = (self.rows.start, self.rows.len());
        for row in 0..side {
            for column in (0..side).filter(|column| *column != row) {
                let value = self.values[row * side + column];
                i2t.see(first + row, value, right[first + row], column < row);
                t2i.see(first + column, value, right[first + column], row < column);
            }
        }
    }
}

impl Counts {
    fn zero(len: usize) -> Self {
        Self { above: vec![0; len], equal: vec![0; len] }
    }

    fn plus(mut self, other: Counts) -> Self {
        self.above.iter_mut().zip(other.above).for_each(|(a, b)| *a += b);
        self.equal.iter_mut().zip(other.equal).for_each(|(a, b)| *a += b);
        self
    }
}

impl Ranks {
    fn unknown(n: usize) -> Self {
        Self { rank: vec![1; n], above: vec![0; n], equal: vec![0; n] }
    }

    /// Adds the counts of the queries from number `first` on; `before` says that the counted
    /// answers have smaller indices than the right ones.
    fn add(&mut self, first: usize, counts: &Counts, before: bool) {
        for (i, (above, equal)) in counts.above.iter().zip(&counts.equal).enumerate() {
            self.rank[first + i] += above + if before { *equal } else { 0 };
            self.above[first + i] += above;
            self.equal[first + i] += equal;
        }
    }

    /// Adds one wrong answer of a query.
    fn see(&mut self, query: usize, value: f32, right: f32, before: bool) {
        let (above, equal) = (u32::from(value > right), u32::from(value == right));
        self.rank[query] += above + if before { equal } else { 0 };
        self.above[query] += above;
        self.equal[query] += equal;
    }
}

/// Values in the order of [`METRICS`].
fn summary(ranks: &Ranks) -> [f64; 7] {
    let n = ranks.rank.len() as f64;
    let mean =
        |value: &dyn Fn(u32) -> f64| ranks.rank.iter().map(|rank| value(*rank)).sum::<f64>() / n;
    let recall = |k: u32| mean(&|rank| f64::from(u8::from(rank <= k)));
    let others = n - 1.0;
    let lost = ranks.above.iter().zip(&ranks.equal);
    let lost: f64 = lost.map(|(above, equal)| f64::from(*above) + 0.5 * f64::from(*equal)).sum();
    // With a single pair there is nothing to be confused with.
    let auc = if others > 0.0 { 1.0 - lost / n / others } else { 1.0 };
    [
        mean(&|rank| 1.0 / f64::from(rank)),
        recall(1),
        recall(5),
        recall(10),
        median(&ranks.rank),
        mean(&f64::from),
        auc,
    ]
}

fn median(values: &[u32]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => f64::NAN,
        (len, middle) if len % 2 == 1 => f64::from(sorted[middle]),
        (_, middle) => (f64::from(sorted[middle - 1]) + f64::from(sorted[middle])) / 2.0,
    }
}

/// Similarity of every pair, from the same products as all other similarities: equal embeddings
/// give equal values.
fn right_answers(pairs: &Pairs, device: &Device) -> Vec<f32> {
    let mut right = Vec::with_capacity(pairs.len());
    for rows in tiles(pairs.len()) {
        let side = rows.len();
        let images = block(&pairs.images, pairs.width, rows.clone(), device);
        let texts = block(&pairs.texts, pairs.width, rows, device);
        let tile = similarities(images, texts);
        right.extend((0..side).map(|i| tile[i * side + i]));
    }
    right
}

fn tiles(n: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n).step_by(TILE).map(move |start| start..(start + TILE).min(n))
}

fn block(rows: &[f32], width: usize, range: Range<usize>, device: &Device) -> Tensor<2> {
    let values = rows[range.start * width..range.end * width].to_vec();
    Tensor::from_data(TensorData::new(values, [range.len(), width]), device)
}

fn similarities(images: Tensor<2>, texts: Tensor<2>) -> Vec<f32> {
    images.matmul(texts.transpose()).into_data().try_to_vec().expect("similarities are f32")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(images: &[[f32; 2]], texts: &[[f32; 2]]) -> Pairs {
        Pairs { width: 2, images: images.concat(), texts: texts.concat() }
    }

    fn value(metrics: &Metrics, name: &str) -> f64 {
        metrics.iter().find(|(known, _)| known == name).expect("a known metric").1
    }

    #[test]
    fn a_perfect_retrieval() {
        let rows = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]];
        let metrics = metrics(&pairs(&rows, &rows), &Device::flex());
        for (name, expected) in [
            ("i2t_mAP", 1.0),
            ("t2i_R@1", 1.0),
            ("i2t_MedR", 1.0),
            ("t2i_MeanR", 1.0),
            ("i2t_AUC", 1.0),
        ] {
            assert_eq!(value(&metrics, name), expected, "{name}");
        }
    }

    #[test]
    fn ranks_by_hand() {
        // Similarities: rows are images, columns texts.
        //   0.0  1.0        image 0 prefers text 1; image 1 prefers text 1, its own
        //  -0.6  0.8
        let metrics =
            metrics(&pairs(&[[1.0, 0.0], [0.8, -0.6]], &[[0.0, 1.0], [1.0, 0.0]]), &Device::flex());
        assert_eq!(value(&metrics, "i2t_R@1"), 0.5);
        assert_eq!(value(&metrics, "i2t_mAP"), 0.75);
        assert_eq!(value(&metrics, "i2t_MedR"), 1.5);
        assert_eq!(value(&metrics, "i2t_AUC"), 0.5);
        // text 0 prefers image 0, its own; text 1 prefers image 0
        assert_eq!(value(&metrics, "t2i_R@1"), 0.5);
    }

    #[test]
    fn equal_similarities_rank_by_index_and_count_half_in_the_auc() {
        let (i2t, _) = ranks(&pairs(&[[1.0, 0.0]; 3], &[[1.0, 0.0]; 3]), &Device::flex());
        assert_eq!(i2t.rank, [1, 2, 3]);
        let metrics = metrics(&pairs(&[[1.0, 0.0]; 3], &[[1.0, 0.0]; 3]), &Device::flex());
        assert_eq!(value(&metrics, "i2t_AUC"), 0.5);
    }

    #[test]
    fn tiles_agree_with_one_matrix() {
        let n = 2 * TILE + 100;
        let row = |i: usize, phase: f32| {
            let angle = (i as f32 * 0.7 + phase).sin() * 3.0;
            [angle.cos(), angle.sin()]
        };
        let images: Vec<_> = (0..n).map(|i| row(i, 0.0)).collect();
        let texts: Vec<_> = (0..n).map(|i| row(i, 0.02)).collect();
        let (i2t, t2i) = ranks(&pairs(&images, &texts), &Device::flex());
        let similarity =
            |i: usize, j: usize| images[i][0] * texts[j][0] + images[i][1] * texts[j][1];
        for query in (0..n).step_by(97) {
            let right = similarity(query, query);
            // A margin around the right answer: rounding differs between the two computations.
            let at_least = |margin: f32, s: &dyn Fn(usize) -> f32| {
                (0..n).filter(|j| *j != query && s(*j) > right + margin).count() as u32 + 1
            };
            for (rank, s) in [
                (i2t.rank[query], &(|j| similarity(query, j)) as &dyn Fn(usize) -> f32),
                (t2i.rank[query], &|j| similarity(j, query)),
            ] {
                assert!(
                    (at_least(1e-6, s)..=at_least(-1e-6, s)).contains(&rank),
                    "{query}: {rank}"
                );
            }
        }
    }
}
