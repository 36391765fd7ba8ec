//! Some rows of a matrix, and their way back: what a masked encoder computes on.
//!
//! Each of the two operations is the backward pass of the other.
//!
//! Shape letters: R rows of the matrix, N rows that are taken, W width of a row.

use std::{mem::MaybeUninit, sync::Arc};

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension,
        get_or_init_device_settings,
        tensor::{FloatTensor, IntTensor},
    },
    tensor::{DType, IndexingUpdateOp, Shape, Tensor, TensorData},
};
use burn_autodiff::{
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, unary},
};
use burn_flex::FlexTensor;

use crate::{cpu, graph::tracked};

/// Which rows of a matrix are taken, in which order; none of them twice.
#[derive(Debug, Clone)]
pub struct Rows {
    of: usize,
    /// For each row that is taken, its number in the matrix.
    taken: Arc<[usize]>,
    /// For each row of the matrix, where it is among those that are taken.
    places: Arc<[Option<usize>]>,
}

impl Rows {
    /// The rows `taken` of a matrix of `of` rows. Panics where one is not there or taken twice.
    pub fn new(of: usize, taken: Vec<usize>) -> Self {
        let mut places = vec![None; of];
        for (place, &row) in taken.iter().enumerate() {
            let before = places[row].replace(place);
            assert!(before.is_none(), "row {row} is taken twice");
        }
        Self { of, taken: taken.into(), places: places.into() }
    }

    /// N, the number of rows that are taken.
    pub fn len(&self) -> usize {
        self.taken.len()
    }

    /// Whether none is taken.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }
}

/// The `rows` of `x` [R, W]. Returns [N, W].
pub fn take_rows(x: Tensor<2>, rows: &Rows) -> Tensor<2> {
    assert_eq!(x.dims()[0], rows.of, "rows of the matrix");
    Tensor::from_dispatch(Dispatch::take_rows(x.into_dispatch(), rows.clone()))
}

/// `x` [N, W] at its `rows` of a matrix of zeros. Returns [R, W].
pub fn spread_rows(x: Tensor<2>, rows: &Rows) -> Tensor<2> {
    assert_eq!(x.dims()[0], rows.len(), "rows that were taken");
    Tensor::from_dispatch(Dispatch::spread_rows(x.into_dispatch(), rows.clone()))
}

/// What a backend contributes. A captured graph has neither: nothing is masked where a model is used.
#[backend_extension(Flex, Cube: cfg(feature = "gpu"), Autodiff)]
pub(crate) trait RowChoice: Backend {
    /// See [`take_rows`].
    fn take_rows(x: FloatTensor<Self>, rows: Rows) -> FloatTensor<Self> {
        composed_take::<Self>(x, &rows)
    }

    /// See [`spread_rows`].
    fn spread_rows(x: FloatTensor<Self>, rows: Rows) -> FloatTensor<Self> {
        composed_spread::<Self>(x, &rows)
    }
}

// The composed form

fn composed_take<B: Backend>(x: FloatTensor<B>, rows: &Rows) -> FloatTensor<B> {
    let index = index::<B>(&x, rows);
    B::float_select(x, 0, index)
}

fn composed_spread<B: Backend>(x: FloatTensor<B>, rows: &Rows) -> FloatTensor<B> {
    let index = index::<B>(&x, rows);
    let all = Shape::new([rows.of, x.shape()[1]]);
    let zeros = B::float_zeros(all, &x.device(), x.dtype().into());
    B::float_select_assign(zeros, 0, index, x, IndexingUpdateOp::Add)
}

fn index<B: Backend>(x: &FloatTensor<B>, rows: &Rows) -> IntTensor<B> {
    let device = x.device();
    let numbers: Vec<i64> = rows.taken.iter().map(|&row| row as i64).collect();
    // Devices count in types of their own.
    let counted = get_or_init_device_settings::<B>(&device).int_dtype;
    let data = TensorData::new(numbers, [rows.len()]).convert_dtype(counted.into());
    B::int_from_data(data, &device)
}

// The CPU

impl RowChoice for Flex {
    fn take_rows(x: FloatTensor<Self>, rows: Rows) -> FloatTensor<Self> {
        if x.dtype() != DType::F32 {
            return composed_take::<Self>(x, &rows);
        }
        copied(&x.to_contiguous(), rows.len(), |row| Some(rows.taken[row]))
    }

    fn spread_rows(x: FloatTensor<Self>, rows: Rows) -> FloatTensor<Self> {
        if x.dtype() != DType::F32 {
            return composed_spread::<Self>(x, &rows);
        }
        copied(&x.to_contiguous(), rows.of, |row| rows.places[row])
    }
}

/// `count` rows, each a copy of the row of `x` [.., W] that `source` names, or zeros.
fn copied(
    x: &FlexTensor,
    count: usize,
    source: impl Fn(usize) -> Option<usize> + Sync,
) -> FlexTensor {
    let (values, width) = (cpu::floats(x), cpu::last_side(x));
    let out = cpu::filled(count * width, cpu::rows_of_a_piece(width), |start, out| {
        for (row, out) in (start / width..).zip(out.chunks_exact_mut(width)) {
            match source(row) {
                Some(from) => {
                    let row = &values[from * width..][..width];
                    out.iter_mut().zip(row).for_each(|(out, &value)| {
                        out.write(value);
                    });
                }
                None => out.fill(MaybeUninit::new(0.0)),
            }
        }
    });
    cpu::tensor(out, Shape::new([count, width]))
}

// The graph of derivatives

impl<B: RowChoice, C: CheckpointStrategy> RowChoice for Autodiff<B, C> {
    fn take_rows(x: FloatTensor<Self>, rows: Rows) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let out = B::take_rows(x.into_primitive(), rows.clone());
        tracked::<C, B, _, _>(Take, nodes, rows, out)
    }

    fn spread_rows(x: FloatTensor<Self>, rows: Rows) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let out = B::spread_rows(x.into_primitive(), rows.clone());
        tracked::<C, B, _, _>(Spread, nodes, rows, out)
    }
}

#[derive(Debug)]
struct Take;

impl<B: RowChoice> Backward<B, 1> for Take {
    type State = Rows;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let rows = ops.state;
        unary::<B, _>(ops.parents, ops.node, grads, |grad| B::spread_rows(grad, rows));
    }
}

#[derive(Debug)]
struct Spread;

impl<B: RowChoice> Backward<B, 1> for Spread {
    type State = Rows;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let rows = ops.state;
        unary::<B, _>(ops.parents, ops.node, grads, |grad| B::take_rows(grad, rows));
    }
}
