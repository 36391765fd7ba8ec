//! Attention on the CPU: a block of queries at a time, whose scores stay in the second-level cache.
//!
//! The backward pass computes the scores again (arXiv 2205.14135) and keeps nothing but the inputs.

use std::mem::MaybeUninit;

use burn::{
    backend::{Flex, ops::FloatTensorOps},
    tensor::{DType, Shape},
};
use burn_flex::{FlexTensor, Layout};

use super::{Pass, composed};
use crate::{
    cpu::{
        self, math,
        matrix::{Before, Matrix, Target, multiply},
        reduce,
    },
    graph::Maybe,
};

/// Scores of one block of queries: 256 KiB.
const BLOCK: usize = 1 << 16;
/// Pieces of the batch in a backward pass with a bias: each adds up a gradient of its own.
const PIECES_WITH_BIAS: usize = 16;

/// [B, A, Q, D], in memory as [B, Q, A, D].
pub(super) fn attend(inputs: [FlexTensor; 3], bias: Maybe<Flex>, causal: bool) -> FlexTensor {
    let dtype = inputs[0].dtype();
    if dtype == DType::F64 {
        return composed::forward::<Flex>(inputs, bias, causal);
    }
    let inputs = Inputs::new(inputs, bias, causal);
    let problem = inputs.problem();
    let Problem { batch, heads, queries, width, .. } = problem;
    let out = cpu::tensor(forward(&problem), Shape::new([batch, queries, heads, width]));
    cpu::narrowed(out, dtype).transpose(1, 2)
}

/// Gradients of q, k and v, and of the bias if it is asked for.
pub(super) fn attend_backward(
    inputs: [FlexTensor; 3],
    bias: Maybe<Flex>,
    grad: FlexTensor,
    pass: Pass,
) -> ([FlexTensor; 3], Option<FlexTensor>) {
    let dtype = inputs[0].dtype();
    if dtype == DType::F64 {
        return composed::backward::<Flex>(inputs, bias, grad, pass);
    }
    let inputs = Inputs::new(inputs, bias, pass.causal);
    let problem = inputs.problem();
    let Problem { batch, heads, queries, keys, width, .. } = problem;
    let row = heads * width;
    let places = Places::apart(queries, keys, row);
    let grad = adjacent(cpu::single(grad));
    let (values, of_bias) = backward(&problem, Rows::of(&grad), places, pass.of_bias);

    let all = cpu::narrowed(cpu::tensor(values, Shape::new([batch * places.len])), dtype);
    let mut parts =
        places.rows.into_iter().zip([queries, keys, keys]).map(|([start, step], rows)| {
            let strides = [places.len, width, step, 1].map(|stride| stride as isize);
            let layout =
                Layout::new(Shape::new([batch, heads, rows, width]), strides.into(), start);
            all.clone().with_layout(layout)
        });
    let grads = std::array::from_fn(|_| parts.next().expect("three of them"));
    (grads, of_bias.map(|values| inputs.bias_gradient(values, heads, dtype)))
}

/// Attention of `qkv` [B, N, 3W] over itself. Returns [B, N, W].
pub(super) fn attend_to_itself(
    qkv: FlexTensor,
    bias: Maybe<Flex>,
    heads: usize,
    causal: bool,
) -> FlexTensor {
    composed::join::<Flex>(attend(heads_of(&qkv.to_contiguous(), heads), bias, causal))
}

/// Gradients of `qkv` and of the bias if it is asked for.
pub(super) fn attend_to_itself_backward(
    qkv: FlexTensor,
    bias: Maybe<Flex>,
    grad: FlexTensor,
    heads: usize,
    pass: Pass,
) -> (FlexTensor, Option<FlexTensor>) {
    let dtype = qkv.dtype();
    let [grad] = heads_of(&grad.to_contiguous(), heads);
    let inputs = heads_of(&qkv.to_contiguous(), heads);
    if dtype == DType::F64 {
        let (grads, bias) = composed::backward::<Flex>(inputs, bias, grad, pass);
        return (Flex::float_cat(grads.map(composed::join::<Flex>).into(), 2), bias);
    }
    let inputs = Inputs::new(inputs, bias, pass.causal);
    let problem = inputs.problem();
    let places = Places::packed(problem.queries, heads * problem.width);
    let grad = adjacent(cpu::single(grad));
    let (values, of_bias) = backward(&problem, Rows::of(&grad), places, pass.of_bias);
    let of_qkv = cpu::narrowed(cpu::tensor(values, qkv.layout().shape().clone()), dtype);
    (of_qkv, of_bias.map(|values| inputs.bias_gradient(values, heads, dtype)))
}

/// Views of contiguous `x` [B, N, C * W] as C tensors [B, A, N, D].
fn heads_of<const C: usize>(x: &FlexTensor, heads: usize) -> [FlexTensor; C] {
    let [batch, tokens, width]: [usize; 3] = x.layout().shape().dims();
    let row = width / C;
    std::array::from_fn(|i| {
        let strides = [tokens * width, row / heads, width, 1].map(|stride| stride as isize);
        let shape = Shape::new([batch, heads, tokens, row / heads]);
        let start = x.layout().start_offset() + i * row;
        x.clone().with_layout(Layout::new(shape, strides.into(), start))
    })
}

/// `x` [.., D], copied unless the numbers of its rows are adjacent.
fn adjacent(x: FlexTensor) -> FlexTensor {
    let layout = x.layout();
    match layout.inner_stride() == 1 && layout.has_positive_strides() {
        true => x,
        false => x.to_contiguous(),
    }
}

/// Tensors in f32 whose rows are adjacent, owned for as long as the kernel looks at them.
struct Inputs {
    heads: [FlexTensor; 3],
    bias: Option<FlexTensor>,
    causal: bool,
}

impl Inputs {
    fn new(inputs: [FlexTensor; 3], bias: Maybe<Flex>, causal: bool) -> Self {
        Self {
            heads: inputs.map(|input| adjacent(cpu::single(input))),
            bias: bias.tensor().map(|bias| cpu::single(bias).to_contiguous()),
            causal,
        }
    }

    fn problem(&self) -> Problem<'_> {
        let [q, k, v] = &self.heads;
        let [batch, heads, queries, width]: [usize; 4] = q.layout().shape().dims();
        Problem {
            batch,
            heads,
            queries,
            keys: k.layout().shape()[2],
            width,
            q: Rows::of(q),
            k: Rows::of(k),
            v: Rows::of(v),
            scale: 1.0 / (width as f32).sqrt(),
            causal: self.causal,
            bias: self.bias.as_ref().map(Grid::of),
        }
    }

    /// The gradient of the bias from sums for every head.
    fn bias_gradient(&self, values: Vec<f32>, heads: usize, dtype: DType) -> FlexTensor {
        let bias = self.bias.as_ref().expect("its gradient is asked for");
        let [groups, of_heads, queries, keys]: [usize; 4] = bias.layout().shape().dims();
        let all = cpu::tensor(values, Shape::new([groups, heads, queries, keys]));
        let sum = if of_heads == 1 { Flex::float_sum_dim(all, 1) } else { all };
        cpu::narrowed(sum, dtype)
    }
}

/// What the kernel computes. B batch, A heads, Q queries, K keys, D width of a head.
struct Problem<'a> {
    batch: usize,
    heads: usize,
    queries: usize,
    keys: usize,
    width: usize,
    q: Rows<'a>,
    k: Rows<'a>,
    v: Rows<'a>,
    scale: f32,
    causal: bool,
    bias: Option<Grid<'a>>,
}

/// Rows of adjacent numbers of every batch and head.
#[derive(Clone, Copy)]
struct Rows<'a> {
    data: &'a [f32],
    /// Distance from one batch, head and row to the next.
    steps: [usize; 3],
}

/// A row of K numbers for every query: [G, A or 1, Q or 1, K], where batch b looks at b modulo G.
#[derive(Clone, Copy)]
struct Grid<'a> {
    data: &'a [f32],
    sides: [usize; 4],
}

impl<'a> Rows<'a> {
    /// `x` [B, A, N, D].
    fn of(x: &'a FlexTensor) -> Self {
        let layout = x.layout();
        let steps = [0, 1, 2].map(|axis| layout.strides()[axis] as usize);
        let data: &[f32] = x.storage();
        Self { data: &data[layout.start_offset().min(data.len())..], steps }
    }

    /// `rows` rows of D numbers from `first` on of one batch and head.
    fn block(&self, [b, h]: [usize; 2], first: usize, rows: usize, width: usize) -> Matrix<'a> {
        let [batch, head, row] = self.steps;
        Matrix::new(&self.data[b * batch + h * head + first * row..], [rows, width], [row, 1])
    }
}

impl<'a> Grid<'a> {
    /// `x` [G, A or 1, Q or 1, K], contiguous.
    fn of(x: &'a FlexTensor) -> Self {
        Self { data: cpu::floats(x), sides: x.layout().shape().dims() }
    }

    #[inline(always)]
    fn row(&self, [b, h, q]: [usize; 3]) -> &'a [f32] {
        let [groups, heads, queries, keys] = self.sides;
        let row = ((b % groups) * heads + h % heads) * queries + q % queries;
        &self.data[row * keys..][..keys]
    }
}

impl Problem<'_> {
    /// Queries whose scores make one block.
    fn block(&self) -> usize {
        (BLOCK / self.keys.max(1)).clamp(1, self.queries.max(1))
    }

    /// The probabilities of `rows` queries of one batch and head from `first` on, into `scores` [rows, K].
    fn probabilities(&self, [b, h]: [usize; 2], first: usize, rows: usize, scores: &mut [f32]) {
        let q = self.q.block([b, h], first, rows, self.width);
        let k = self.k.block([b, h], 0, self.keys, self.width);
        let out = Target::dense(scores, [rows, self.keys]);
        multiply(out, q, k.transposed(), self.scale, Before::Forget);
        cpu::with_vectors(
            #[inline(always)]
            || {
                for (i, row) in scores.chunks_exact_mut(self.keys).enumerate() {
                    self.softmax([b, h, first + i], row);
                }
            },
        );
    }

    /// Scores of one query become probabilities; zeros where it sees no key.
    #[inline(always)]
    fn softmax(&self, place: [usize; 3], row: &mut [f32]) {
        if let Some(bias) = &self.bias {
            row.iter_mut().zip(bias.row(place)).for_each(|(score, &bias)| *score += bias);
        }
        let seen = if self.causal { (place[2] + 1).min(row.len()) } else { row.len() };
        let (row, future) = row.split_at_mut(seen);
        future.fill(0.0);
        let greatest = reduce::greatest(row);
        if greatest == f32::NEG_INFINITY && row.iter().all(|&score| score == greatest) {
            return row.fill(0.0);
        }
        row.iter_mut().for_each(|score| *score = math::exp(*score - greatest));
        let factor = 1.0 / reduce::sum(row);
        row.iter_mut().for_each(|value| *value *= factor);
    }
}

/// [B, Q, A * D].
fn forward(problem: &Problem<'_>) -> Vec<f32> {
    let &Problem { batch, heads, queries, keys, width, .. } = problem;
    let row = heads * width;
    if batch * queries * row == 0 || keys == 0 {
        return vec![0.0; batch * queries * row];
    }
    // A piece is a block of queries of one batch, so that one picture occupies all threads too.
    let block = problem.block();
    let sizes = [batch * queries * row, queries * row, block * row];
    let (out, _) = cpu::filled_in_groups(sizes, |b, start, out| {
        let rows = out.len() / row;
        let mut scores = vec![0.0; rows * keys];
        for h in 0..heads {
            problem.probabilities([b, h], start / row, rows, &mut scores);
            let scores = Matrix::dense(&scores, [rows, keys]);
            let v = problem.v.block([b, h], 0, keys, width);
            let out = Target::new(&mut out[h * width..], [rows, width], [row, 1]);
            multiply(out, scores, v, 1.0, Before::Forget);
        }
    });
    out
}

/// Where the gradients of one batch lie in its part of the buffer: queries, keys, values.
#[derive(Clone, Copy)]
struct Places {
    /// Numbers of one batch.
    len: usize,
    /// Start and distance of the rows.
    rows: [[usize; 2]; 3],
}

impl Places {
    /// Rows of queries, keys and values side by side, as one projection makes them: [N, 3, A * D].
    fn packed(tokens: usize, row: usize) -> Self {
        Self { len: 3 * tokens * row, rows: [0, 1, 2].map(|i| [i * row, 3 * row]) }
    }

    /// First all queries, then all keys, then all values.
    fn apart(queries: usize, keys: usize, row: usize) -> Self {
        let rows = [[0, row], [queries * row, row], [(queries + keys) * row, row]];
        Self { len: (queries + 2 * keys) * row, rows }
    }
}

/// Gradients of queries, keys and values at their `places` for every batch, and that of the bias
/// [G, A, Q or 1, K] if `of_bias`, for the gradient `grad` [B, A, Q, D] of the result.
fn backward(
    problem: &Problem<'_>,
    grad: Rows<'_>,
    places: Places,
    of_bias: bool,
) -> (Vec<f32>, Option<Vec<f32>>) {
    let &Problem { batch, heads, queries, keys, width, .. } = problem;
    let bias = problem.bias.filter(|_| of_bias);
    // The sides of the gradient of the bias: every head has its own.
    let sides = bias.map(|Grid { sides: [g, _, q, k], .. }| [g, heads, q, k]);
    let bias_len = sides.map_or(0, |sides| sides.iter().product());
    if queries * keys * width == 0 {
        return (vec![0.0; batch * places.len], sides.map(|_| vec![0.0; bias_len]));
    }
    let together = if bias.is_some() { batch.div_ceil(PIECES_WITH_BIAS) } else { 1 };
    let (values, parts) =
        cpu::filled_and(batch * places.len, together * places.len, |start, out| {
            let mut scratch = Scratch::of(problem, bias_len);
            for (i, out) in out.chunks_exact_mut(places.len).enumerate() {
                for h in 0..heads {
                    let place = [start / places.len + i, h];
                    head_backward(problem, place, grad, (out, places), &mut scratch);
                }
            }
            scratch.bias
        });
    (values, sides.map(|_| cpu::added(parts, bias_len)))
}

/// Memory that the heads of one piece use one after the other.
struct Scratch {
    probabilities: Vec<f32>,
    slopes: Vec<f32>,
    /// Sum of the gradients of the bias; empty where nobody asks for it.
    bias: Vec<f32>,
}

impl Scratch {
    fn of(problem: &Problem<'_>, bias_len: usize) -> Self {
        let scores = problem.block() * problem.keys;
        Self {
            probabilities: vec![0.0; scores],
            slopes: vec![0.0; scores],
            bias: vec![0.0; bias_len],
        }
    }
}

fn head_backward(
    problem: &Problem<'_>,
    [b, h]: [usize; 2],
    grad: Rows<'_>,
    (out, places): (&mut [MaybeUninit<f32>], Places),
    scratch: &mut Scratch,
) {
    let &Problem { queries, keys, width, scale, .. } = problem;
    let k = problem.k.block([b, h], 0, keys, width);
    let v = problem.v.block([b, h], 0, keys, width);
    let [of_q, of_k, of_v] = places.rows;
    let at = |[start, step]: [usize; 2], first: usize| start + first * step + h * width;
    for first in (0..queries).step_by(problem.block()) {
        let rows = problem.block().min(queries - first);
        let before = if first == 0 { Before::Forget } else { Before::Keep };
        let q = problem.q.block([b, h], first, rows, width);
        let grad = grad.block([b, h], first, rows, width);
        let probabilities = &mut scratch.probabilities[..rows * keys];
        let slopes = &mut scratch.slopes[..rows * keys];

        problem.probabilities([b, h], first, rows, probabilities);
        let sides = [rows, keys];
        let p = Matrix::dense(probabilities, sides);
        let out_v = Target::new(&mut out[at(of_v, 0)..], [keys, width], [of_v[1], 1]);
        multiply(out_v, p.transposed(), grad, 1.0, before);

        // The gradient of the probabilities, then of the scores.
        multiply(Target::dense(slopes, sides), grad, v.transposed(), 1.0, Before::Forget);
        let bias = (!scratch.bias.is_empty()).then_some(&mut scratch.bias[..]);
        cpu::with_vectors(
            #[inline(always)]
            || softmax_backward(probabilities, slopes, keys),
        );
        if let Some(bias) = bias {
            problem.add_to_bias(bias, [b, h, first], slopes);
        }

        let s = Matrix::dense(slopes, sides);
        let out_q = Target::new(&mut out[at(of_q, first)..], [rows, width], [of_q[1], 1]);
        multiply(out_q, s, k, scale, Before::Forget);
        let out_k = Target::new(&mut out[at(of_k, 0)..], [keys, width], [of_k[1], 1]);
        multiply(out_k, s.transposed(), q, scale, before);
    }
}

/// From the gradients of probabilities to those of scores: p (g - sum p g), row by row.
#[inline(always)]
fn softmax_backward(probabilities: &[f32], slopes: &mut [f32], keys: usize) {
    for (p, slope) in probabilities.chunks_exact(keys).zip(slopes.chunks_exact_mut(keys)) {
        let along = reduce::dot(p, slope);
        slope.iter_mut().zip(p).for_each(|(slope, &p)| *slope = p * (*slope - along));
    }
}

impl Problem<'_> {
    /// Adds the gradients of the scores of some queries to that of the bias [G, A, Q or 1, K].
    fn add_to_bias(&self, bias: &mut [f32], [b, h, first]: [usize; 3], slopes: &[f32]) {
        let [groups, _, queries, keys] = self.bias.expect("its gradient is asked for").sides;
        let start = ((b % groups) * self.heads + h) * queries;
        for (i, slopes) in slopes.chunks_exact(keys).enumerate() {
            let row = start + (first + i) % queries;
            let sums = bias[row * keys..][..keys].iter_mut();
            sums.zip(slopes).for_each(|(sum, slope)| *sum += slope);
        }
    }
}
