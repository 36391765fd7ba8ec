//! Deformable sampling as gathers: `GridSample` is computed wrong by several runtimes.
//!
//! Shape letters: B batch, S cells of all maps, A heads, D width of a head, Q queries, L maps, P points.

use super::{
    Lowering, Scalars,
    kernels::KernelCall,
    layout::transposed,
    reduce::{Over, reduced},
};
use crate::onnx::AttributeProto;

/// What all four corners of a cell share.
struct Places {
    /// [B, A, L, Q, P, 2], the corner with the lowest numbers.
    low: String,
    /// [B, A, L, Q, P, 2], how far from it.
    share: String,
    /// [L, 1, 1, 2], the largest numbers of a corner.
    last: String,
    /// [L, 1, 1, 2], what a step costs.
    stride: String,
    /// [L, 1, 1, 1], where a map begins.
    start: String,
}

/// Values [B, S, A, D], places [B, Q, A, L, P, 2] and weights [B, Q, A, L, P] to [B, Q, A * D].
pub(super) fn sampling(to: &mut Lowering<'_>, call: &KernelCall<'_>) -> Result<String, String> {
    let inputs = &call.operation().inputs;
    let [heads, width] = [inputs[0].shape[2], inputs[0].shape[3]].map(|side| side as i64);
    let [queries, maps, points] =
        [inputs[1].shape[1], inputs[1].shape[3], inputs[1].shape[4]].map(|side| side as i64);
    let [values, places, weights] = [0, 1, 2].map(|index| call.input(to, index));
    let values = transposed(to, &values, &[0, 2, 1, 3]);
    let places = transposed(to, &places, &[0, 2, 3, 1, 4, 5]);
    let weights = transposed(to, &weights, &[0, 2, 3, 1, 4]);
    let flat = to.list(&[0, heads, maps * queries * points, 1]);
    let weights = to.node("Reshape", &[&weights, &flat], Vec::new());

    let places = Places::of(to, call, &places);
    let mut sum: Option<String> = None;
    for corner in [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]] {
        let (cell, area) = places.corner(to, corner);
        let cell = to.node("Reshape", &[&cell, &flat], Vec::new());
        let area = to.node("Reshape", &[&area, &flat], Vec::new());
        let factor = to.node("Mul", &[&area, &weights], Vec::new());
        let batch = vec![AttributeProto::int("batch_dims", 2)];
        let read = to.node("GatherND", &[&values, &cell], batch);
        let read = to.node("Mul", &[&read, &factor], Vec::new());
        sum = Some(match sum {
            Some(sum) => to.node("Add", &[&sum, &read], Vec::new()),
            None => read,
        });
    }
    let sum = sum.expect("a cell has corners");
    let apart = to.list(&[0, heads, maps, queries, points * width]);
    let sum = to.node("Reshape", &[&sum, &apart], Vec::new());
    let sum = reduced(to, Over::Sum, &sum, &[2]);
    let apart = to.list(&[0, heads, queries, points, width]);
    let sum = to.node("Reshape", &[&sum, &apart], Vec::new());
    let sum = reduced(to, Over::Sum, &sum, &[3]);
    let joined = to.list(&[0, heads, queries, width]);
    let sum = to.node("Reshape", &[&sum, &joined], Vec::new());
    let sum = transposed(to, &sum, &[0, 2, 1, 3]);
    let joined = to.list(&[0, queries, heads * width]);
    Ok(to.node("Reshape", &[&sum, &joined], Vec::new()))
}

impl Places {
    /// `places` [B, A, L, Q, P, 2] are x and y, 0 to 1 inside a map.
    fn of(to: &mut Lowering<'_>, call: &KernelCall<'_>, places: &str) -> Places {
        let sides = &call.operation().scalars;
        let maps = sides.len() / 2;
        let sides: Vec<[f32; 2]> = (0..maps)
            .map(|map| [sides.count(2 * map) as f32, sides.count(2 * map + 1) as f32])
            .collect();
        let starts = sides.iter().scan(0.0, |next, [height, width]| {
            let start = *next;
            *next += height * width;
            Some(start)
        });
        let start = to.floats(&[maps, 1, 1, 1], &starts.collect::<Vec<f32>>());
        let mut pairs = |pair: fn(&[f32; 2]) -> [f32; 2]| {
            let values: Vec<f32> = sides.iter().flat_map(pair).collect();
            to.floats(&[maps, 1, 1, 2], &values)
        };
        let size = pairs(|&[height, width]| [width, height]);
        let last = pairs(|&[height, width]| [width - 1.0, height - 1.0]);
        let stride = pairs(|&[_, width]| [1.0, width]);
        let cells = to.node("Mul", &[places, &size], Vec::new());
        let half = to.floats(&[], &[0.5]);
        let cells = to.node("Sub", &[&cells, &half], Vec::new());
        let low = to.node("Floor", &[&cells], Vec::new());
        let share = to.node("Sub", &[&cells, &low], Vec::new());
        Places { low, share, last, stride, start }
    }

    /// Number and weight of the cell of a corner, [B, A, L, Q, P, 1] each; outside the weight is 0.
    fn corner(&self, to: &mut Lowering<'_>, [right, down]: [f32; 2]) -> (String, String) {
        let step = to.floats(&[2], &[right, down]);
        let corner = to.node("Add", &[&self.low, &step], Vec::new());
        let zero = to.floats(&[], &[0.0]);
        let inside = to.node("Max", &[&corner, &zero], Vec::new());
        let inside = to.node("Min", &[&inside, &self.last], Vec::new());
        let exists = to.node("Equal", &[&corner, &inside], Vec::new());
        let float = vec![AttributeProto::int("to", 1)];
        let exists = to.node("Cast", &[&exists], float);

        let slope = to.floats(&[2], &[2.0 * right - 1.0, 2.0 * down - 1.0]);
        let along = to.node("Mul", &[&self.share, &slope], Vec::new());
        let base = to.floats(&[2], &[1.0 - right, 1.0 - down]);
        let along = to.node("Add", &[&along, &base], Vec::new());
        let along = to.node("Mul", &[&along, &exists], Vec::new());
        let parts = to.list(&[1, 1]);
        let last_axis = vec![AttributeProto::int("axis", -1)];
        let along = to.nodes("Split", &[&along, &parts], 2, last_axis);
        let area = to.node("Mul", &[&along[0], &along[1]], Vec::new());

        let steps = to.node("Mul", &[&inside, &self.stride], Vec::new());
        let cell = reduced(to, Over::Sum, &steps, &[-1]);
        let cell = to.node("Add", &[&cell, &self.start], Vec::new());
        let whole = vec![AttributeProto::int("to", 7)];
        (to.node("Cast", &[&cell], whole), area)
    }
}
