//! Deformable sampling on the CPU: rows of a head's numbers, four of them for every place.

use burn::tensor::Shape;
use burn_flex::{FlexTensor, Layout};
use rayon::prelude::*;

use crate::cpu::{self, reduce};

/// What the loops know of the sizes.
struct Problem<'a> {
    values: &'a [f32],
    places: &'a [f32],
    weights: &'a [f32],
    maps: Vec<Map>,
    batch: usize,
    cells: usize,
    heads: usize,
    width: usize,
    queries: usize,
    points: usize,
}

struct Map {
    height: usize,
    width: usize,
    /// Number of its first cell.
    start: usize,
}

/// The cells around a place: number, bilinear weight along x and along y, and the signs of their
/// derivatives; what lies outside of the map is missing.
struct Around {
    corners: [Option<Corner>; 4],
}

#[derive(Clone, Copy)]
struct Corner {
    cell: usize,
    along: [f32; 2],
    sign: [f32; 2],
}

impl Map {
    /// `x` and `y` from 0 to 1.
    #[inline(always)]
    fn around(&self, x: f32, y: f32) -> Around {
        let (x, y) = (x.mul_add(self.width as f32, -0.5), y.mul_add(self.height as f32, -0.5));
        let mut corners = [None; 4];
        // Also false for what is not a number.
        let near = x > -1.0 && y > -1.0 && x < self.width as f32 && y < self.height as f32;
        if !near {
            return Around { corners };
        }
        let (left, top) = (x.floor(), y.floor());
        let (dx, dy) = (x - left, y - top);
        let (left, top) = (left as isize, top as isize);
        for (i, corner) in corners.iter_mut().enumerate() {
            let (right, below) = (i % 2, i / 2);
            let (column, row) = (left + right as isize, top + below as isize);
            if column >= 0 && row >= 0 && column < self.width as isize && row < self.height as isize
            {
                let side = |upper: usize, part: f32| match upper {
                    0 => (1.0 - part, -1.0),
                    _ => (part, 1.0),
                };
                let ((along_x, sign_x), (along_y, sign_y)) = (side(right, dx), side(below, dy));
                *corner = Some(Corner {
                    cell: self.start + row as usize * self.width + column as usize,
                    along: [along_x, along_y],
                    sign: [sign_x, sign_y],
                });
            }
        }
        Around { corners }
    }
}

impl<'a> Problem<'a> {
    fn new([values, places, weights]: [&'a FlexTensor; 3], maps: &[[usize; 2]]) -> Self {
        let [batch, cells, heads, width]: [usize; 4] = values.layout().shape().dims();
        let [_, queries, _, _, points, _]: [usize; 6] = places.layout().shape().dims();
        let mut start = 0;
        let maps = maps.iter().map(|&[height, width]| {
            let map = Map { height, width, start };
            start += height * width;
            map
        });
        Self {
            maps: maps.collect(),
            values: cpu::floats(values),
            places: cpu::floats(places),
            weights: cpu::floats(weights),
            batch,
            cells,
            heads,
            width,
            queries,
            points,
        }
    }

    /// Numbers of one batch, cell and head.
    #[inline(always)]
    fn row(&self, b: usize, cell: usize, h: usize) -> &'a [f32] {
        &self.values[((b * self.cells + cell) * self.heads + h) * self.width..][..self.width]
    }

    /// Calls `visit` with the number of every place that one query of one head reads, its map and the
    /// cells around it.
    #[inline(always)]
    fn places(&self, [b, q, h]: [usize; 3], mut visit: impl FnMut(usize, &Map, Around)) {
        let first = ((b * self.queries + q) * self.heads + h) * self.maps.len() * self.points;
        for (at, map) in self.maps.iter().enumerate() {
            for place in first + at * self.points..first + (at + 1) * self.points {
                let around = map.around(self.places[2 * place], self.places[2 * place + 1]);
                visit(place, map, around);
            }
        }
    }
}

/// [B, Q, A * D].
pub(super) fn forward(
    values: &FlexTensor,
    places: &FlexTensor,
    weights: &FlexTensor,
    maps: &[[usize; 2]],
) -> FlexTensor {
    let problem = Problem::new([values, places, weights], maps);
    let Problem { batch, heads, width, queries, .. } = problem;
    let row = heads * width;
    let piece = 64 * row.max(1);
    let out = cpu::filled(batch * queries * row, piece, |start, out| {
        let mut sums = vec![0.0; width];
        for (i, out) in out.chunks_exact_mut(width).enumerate() {
            let at = start / width + i;
            let place = [at / heads / queries, at / heads % queries, at % heads];
            cpu::with_vectors(
                #[inline(always)]
                || {
                    sums.fill(0.0);
                    problem.places(place, |number, _, around| {
                        let weight = problem.weights[number];
                        for Corner { cell, along: [x, y], .. } in
                            around.corners.into_iter().flatten()
                        {
                            let factor = weight * x * y;
                            let row = problem.row(place[0], cell, place[2]);
                            for (sum, value) in sums.iter_mut().zip(row) {
                                *sum = value.mul_add(factor, *sum);
                            }
                        }
                    });
                    out.iter_mut().zip(&sums).for_each(|(out, &sum)| {
                        out.write(sum);
                    });
                },
            );
        }
    });
    cpu::tensor(out, Shape::new([batch, queries, row]))
}

/// Gradients of values, places and weights; every head of every batch writes its own.
pub(super) fn backward(
    [values, places, weights, grad]: &[FlexTensor; 4],
    maps: &[[usize; 2]],
) -> [FlexTensor; 3] {
    let problem = Problem::new([values, places, weights], maps);
    let grad = cpu::floats(grad);
    let Problem { batch, cells, heads, width, queries, points, .. } = problem;
    let count = queries * problem.maps.len() * points;
    let (of_head, all) = (cells * width, batch * heads);
    let mut of_values = vec![0.0; all * of_head];
    let (mut of_places, mut of_weights) = (vec![0.0; all * 2 * count], vec![0.0; all * count]);
    let parts = of_values.par_chunks_mut(of_head.max(1));
    let parts = parts.zip(of_places.par_chunks_mut(2 * count.max(1)));
    let parts = parts.zip(of_weights.par_chunks_mut(count.max(1))).enumerate();
    parts.for_each(|(at, ((of_values, of_places), of_weights))| {
        cpu::with_vectors(
            #[inline(always)]
            || {
                head_backward(
                    &problem,
                    [at / heads, at % heads],
                    grad,
                    [of_values, of_places, of_weights],
                )
            },
        );
    });

    // In memory the heads come before cells and queries.
    let levels = problem.maps.len();
    let view = |values: Vec<f32>, sides: &[usize], inner: usize| {
        let rows = sides[1];
        let mut strides = vec![heads * rows * inner, inner, rows * inner];
        strides.extend((3..sides.len()).map(|axis| sides[axis + 1..].iter().product::<usize>()));
        let strides: Vec<isize> = strides.into_iter().map(|stride| stride as isize).collect();
        let layout = Layout::new(Shape::from(sides.to_vec()), strides, 0);
        let len = values.len();
        cpu::tensor(values, Shape::new([len])).with_layout(layout)
    };
    [
        view(of_values, &[batch, cells, heads, width], width),
        view(of_places, &[batch, queries, heads, levels, points, 2], 2 * levels * points),
        view(of_weights, &[batch, queries, heads, levels, points], levels * points),
    ]
}

/// One head of one batch: gradients of values [S, D], places [Q, L, P, 2] and weights [Q, L, P].
#[inline(always)]
fn head_backward(
    problem: &Problem<'_>,
    [b, h]: [usize; 2],
    grad: &[f32],
    [of_values, of_places, of_weights]: [&mut [f32]; 3],
) {
    let &Problem { heads, width, queries, .. } = problem;
    let mut count = 0;
    for q in 0..queries {
        let grad = &grad[((b * queries + q) * heads + h) * width..][..width];
        problem.places(
            [b, q, h],
            #[inline(always)]
            |number, map, around| {
                let weight = problem.weights[number];
                let (mut of_x, mut of_y, mut of_weight) = (0.0, 0.0, 0.0);
                for Corner { cell, along: [x, y], sign } in around.corners.into_iter().flatten() {
                    let row = problem.row(b, cell, h);
                    let dot = reduce::dot(row, grad);
                    of_weight += dot * x * y;
                    of_x += dot * sign[0] * y;
                    of_y += dot * sign[1] * x;
                    let factor = weight * x * y;
                    let out = &mut of_values[cell * width..][..width];
                    for (out, grad) in out.iter_mut().zip(grad) {
                        *out = grad.mul_add(factor, *out);
                    }
                }
                of_weights[count] = of_weight;
                of_places[2 * count] = of_x * weight * map.width as f32;
                of_places[2 * count + 1] = of_y * weight * map.height as f32;
                count += 1;
            },
        );
    }
}
