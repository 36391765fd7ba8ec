//! Deformable sampling from the operations that every backend has: gathers, without a grid sampler.

use burn::{
    backend::{
        Backend, TensorMetadata, get_or_init_device_settings,
        tensor::{FloatTensor, IntTensor},
    },
    tensor::{IndexingUpdateOp, Shape, Slice},
};

/// A corner of the cell around a place.
struct Corner<B: Backend> {
    /// Number of its cell among those of all maps, [B, A, Q * P].
    cell: IntTensor<B>,
    /// Bilinear weight along x and along y, zero outside of the map; [B, A, Q * P].
    along: [FloatTensor<B>; 2],
    /// Derivatives of the two by x and by y, in cells.
    slope: [FloatTensor<B>; 2],
}

/// [B, Q, A * D].
pub(super) fn forward<B: Backend>(
    values: FloatTensor<B>,
    places: FloatTensor<B>,
    weights: FloatTensor<B>,
    maps: &[[usize; 2]],
) -> FloatTensor<B> {
    let [batch, _, heads, width]: [usize; 4] = values.shape().dims();
    let queries = places.shape()[1];
    let values = B::float_swap_dims(values, 1, 2);
    let mut sum: Option<FloatTensor<B>> = None;
    for map in 0..maps.len() {
        let weight = of_map::<B, 5>(weights.clone(), map);
        for corner in corners::<B>(places.clone(), maps, map) {
            let [x, y] = corner.along;
            let factor = B::float_mul(weight.clone(), B::float_mul(x, y));
            let read = read::<B>(values.clone(), corner.cell);
            let read = B::float_mul(read, with_last::<B>(factor));
            sum = Some(match sum {
                Some(sum) => B::float_add(sum, read),
                None => read,
            });
        }
    }
    let sum = sum.expect("there is a map");
    // [B, A, Q * P, D] -> [B, Q, A * D]
    let points = sum.shape()[2] / queries.max(1);
    let sum = B::float_reshape(sum, Shape::new([batch, heads, queries, points, width]));
    let sum =
        B::float_reshape(B::float_sum_dim(sum, 3), Shape::new([batch, heads, queries, width]));
    B::float_reshape(B::float_swap_dims(sum, 1, 2), Shape::new([batch, queries, heads * width]))
}

/// Gradients of values, places and weights.
pub(super) fn backward<B: Backend>(
    [values, places, weights]: [FloatTensor<B>; 3],
    grad: FloatTensor<B>,
    maps: &[[usize; 2]],
) -> [FloatTensor<B>; 3] {
    let [batch, cells, heads, width]: [usize; 4] = values.shape().dims();
    let [_, queries, _, _, points, _]: [usize; 6] = places.shape().dims();
    let (device, dtype) = (values.device(), values.dtype());
    let values = B::float_swap_dims(values, 1, 2);
    // [B, Q, A * D] -> [B, A, Q * P, D]
    let grad = B::float_reshape(grad, Shape::new([batch, queries, heads, 1, width]));
    let grad = B::float_permute(grad, &[0, 2, 1, 3, 4]);
    let grad = B::float_expand(grad, Shape::new([batch, heads, queries, points, width]));
    let grad = B::float_reshape(grad, Shape::new([batch, heads, queries * points, width]));

    let shape = Shape::new([batch, heads, cells, width]);
    let mut of_values = B::float_zeros(shape, &device, dtype.into());
    let (mut of_places, mut of_weights) = (Vec::new(), Vec::new());
    for (map, &[height, breadth]) in maps.iter().enumerate() {
        let weight = of_map::<B, 5>(weights.clone(), map);
        let flat = weight.shape();
        let zeros = || B::float_zeros(flat.clone(), &device, dtype.into());
        let (mut of_x, mut of_y, mut of_weight) = (zeros(), zeros(), zeros());
        for corner in corners::<B>(places.clone(), maps, map) {
            let ([x, y], [by_x, by_y]) = (corner.along, corner.slope);
            let area = B::float_mul(x.clone(), y.clone());
            let read = read::<B>(values.clone(), corner.cell.clone());
            let dot = B::float_sum_dim(B::float_mul(read, grad.clone()), 3);
            let dot = B::float_reshape(dot, flat.clone());
            of_weight = B::float_add(of_weight, B::float_mul(dot.clone(), area.clone()));
            let weighted = B::float_mul(dot, weight.clone());
            let toward_x = B::float_mul(weighted.clone(), B::float_mul(by_x, y));
            of_x = B::float_add(of_x, toward_x);
            of_y = B::float_add(of_y, B::float_mul(weighted, B::float_mul(by_y, x)));

            let factor = with_last::<B>(B::float_mul(weight.clone(), area));
            let written = B::float_mul(grad.clone(), factor);
            let cell = with_width::<B>(corner.cell, width);
            of_values = B::float_scatter(2, of_values, cell, written, IndexingUpdateOp::Add);
        }
        // [B, A, Q * P] -> [B, Q, A, 1, P, ..]
        let unflat = |x: FloatTensor<B>, last: &[usize]| {
            let x = B::float_reshape(x, Shape::new([batch, heads, queries, points]));
            let sides = [&[batch, queries, heads, 1, points][..], last].concat();
            B::float_reshape(B::float_swap_dims(x, 1, 2), Shape::from(sides))
        };
        let in_map = |x: FloatTensor<B>, side: usize| B::float_mul_scalar(x, (side as f64).into());
        let both = vec![unflat(in_map(of_x, breadth), &[1]), unflat(in_map(of_y, height), &[1])];
        of_places.push(B::float_cat(both, 5));
        of_weights.push(unflat(of_weight, &[]));
    }
    [B::float_swap_dims(of_values, 1, 2), B::float_cat(of_places, 3), B::float_cat(of_weights, 3)]
}

/// The four corners of the cell around every place in one map.
fn corners<B: Backend>(places: FloatTensor<B>, maps: &[[usize; 2]], map: usize) -> Vec<Corner<B>> {
    let [height, width] = maps[map];
    let start: usize = maps[..map].iter().map(|[height, width]| height * width).sum();
    let places = of_map::<B, 6>(places, map);
    let coordinate = |axis: usize, side: usize| {
        let shape = places.shape();
        let mut slices = vec![Slice::full(); 4];
        slices[3] = Slice::new(axis as isize, Some(axis as isize + 1), 1);
        let shape = Shape::new([shape[0], shape[1], shape[2]]);
        let one = B::float_reshape(B::float_slice(places.clone(), &slices), shape);
        let cell = B::float_mul_scalar(one, (side as f64).into());
        B::float_sub_scalar(cell, 0.5.into())
    };
    let (x, y) = (side::<B>(coordinate(0, width), width), side::<B>(coordinate(1, height), height));
    let mut corners = Vec::with_capacity(4);
    for (x, y) in [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(i, j)| (&x[i], &y[j])) {
        let row = B::float_mul_scalar(y.cell.clone(), (width as f64).into());
        let cell = B::float_add_scalar(B::float_add(row, x.cell.clone()), (start as f64).into());
        let int_type = get_or_init_device_settings::<B>(&cell.device()).int_dtype;
        corners.push(Corner {
            cell: B::float_into_int(cell, int_type),
            along: [x.weight.clone(), y.weight.clone()],
            slope: [x.slope.clone(), y.slope.clone()],
        });
    }
    corners
}

/// One neighbour of a coordinate on one axis.
struct Neighbour<B: Backend> {
    cell: FloatTensor<B>,
    weight: FloatTensor<B>,
    slope: FloatTensor<B>,
}

/// The cells below and above `at`, which counts in cells from the centre of the first one.
fn side<B: Backend>(at: FloatTensor<B>, cells: usize) -> [Neighbour<B>; 2] {
    let floor = B::float_floor(at.clone());
    let part = B::float_sub(at, floor.clone());
    let rest = B::float_add_scalar(B::float_neg(part.clone()), 1.0.into());
    let neighbour = |cell: FloatTensor<B>, weight: FloatTensor<B>, slope: f64| {
        let inside = B::float_clamp(cell.clone(), 0.0.into(), (cells as f64 - 1.0).into());
        // 1 inside, 0 outside.
        let off = B::float_abs(B::float_sub(cell, inside.clone()));
        let visible =
            B::float_clamp_min(B::float_add_scalar(B::float_neg(off), 1.0.into()), 0.0.into());
        Neighbour {
            cell: inside,
            weight: B::float_mul(weight, visible.clone()),
            slope: B::float_mul_scalar(visible, slope.into()),
        }
    };
    let above = B::float_add_scalar(floor.clone(), 1.0.into());
    [neighbour(floor, rest, -1.0), neighbour(above, part, 1.0)]
}

/// What belongs to one map: [B, Q, A, L, P, ..] -> [B, A, Q * P, ..], of `R` axes before.
fn of_map<B: Backend, const R: usize>(x: FloatTensor<B>, map: usize) -> FloatTensor<B> {
    let sides: [usize; R] = x.shape().dims();
    let [batch, queries, heads, _, points] = [0, 1, 2, 3, 4].map(|axis| sides[axis]);
    let mut slices = vec![Slice::full(); R];
    slices[3] = Slice::new(map as isize, Some(map as isize + 1), 1);
    let order: Vec<usize> = [0, 2, 1, 3, 4].into_iter().chain(5..R).collect();
    let x = B::float_permute(B::float_slice(x, &slices), &order);
    let flat = [&[batch, heads, queries * points][..], &sides[5..]].concat();
    B::float_reshape(x, Shape::from(flat))
}

/// Rows `cell` [B, A, N] of `values` [B, A, S, D]: [B, A, N, D].
fn read<B: Backend>(values: FloatTensor<B>, cell: IntTensor<B>) -> FloatTensor<B> {
    let width = values.shape()[3];
    B::float_gather(2, values, with_width::<B>(cell, width))
}

/// [B, A, N] -> [B, A, N, D].
fn with_width<B: Backend>(cell: IntTensor<B>, width: usize) -> IntTensor<B> {
    let [batch, heads, count]: [usize; 3] = cell.shape().dims();
    let cell = B::int_reshape(cell, Shape::new([batch, heads, count, 1]));
    B::int_expand(cell, Shape::new([batch, heads, count, width]))
}

/// [B, A, N] -> [B, A, N, 1].
fn with_last<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let [batch, heads, count]: [usize; 3] = x.shape().dims();
    B::float_reshape(x, Shape::new([batch, heads, count, 1]))
}
