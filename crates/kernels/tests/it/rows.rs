//! Rows and their way back against loops over numbers, and each as the gradient of the other.

use burn::tensor::{FloatDType, Tensor};
use hearth_kernels::{Rows, spread_rows, take_rows};

use super::compare::{assert_close, assert_slope, cpu, pull, scattered, tensor, wide};

/// Rows of a matrix, in no order.
const TAKEN: [usize; 4] = [5, 0, 3, 1];

fn rows() -> Rows {
    Rows::new(7, TAKEN.to_vec())
}

fn by_hand(x: &Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    let row = |row: usize| x.clone().slice_dim(0, row..row + 1);
    let taken = Tensor::cat(TAKEN.map(row).into(), 0);
    let zero = Tensor::zeros([1, x.dims()[1]], &cpu());
    let spread = (0..7).map(|at| match TAKEN.iter().position(|&row| row == at) {
        Some(place) => row(place),
        None => zero.clone(),
    });
    let spread = Tensor::cat(spread.collect(), 0);
    (taken, spread)
}

#[test]
fn values_and_gradients() {
    for width in [1, 5, 16, 20_000] {
        for x in [tensor([7, width], 3.0, 1), scattered(tensor([7, width], 3.0, 1))] {
            let (value, grad) = pull(x.clone(), |x| take_rows(x, &rows()));
            assert_close(&value, &by_hand(&x).0, 0.0);
            let direction = tensor([4, width], 1.0, 77);
            assert_close(&grad, &spread_rows(direction, &rows()), 0.0);

            let few = x.slice_dim(0, 0..4);
            let (value, grad) = pull(few.clone(), |x| spread_rows(x, &rows()));
            assert_close(&value, &by_hand(&few).1, 0.0);
            assert_close(&grad, &take_rows(tensor([7, width], 1.0, 77), &rows()), 0.0);
        }
    }
}

#[test]
fn slopes_are_difference_quotients() {
    assert_slope(tensor([7, 6], 3.0, 5), |x| take_rows(x, &rows()));
    assert_slope(tensor([4, 6], 3.0, 5), |x| spread_rows(x, &rows()));
}

#[test]
fn nothing_taken_and_nothing_wide() {
    let none = Rows::new(3, Vec::new());
    assert!(none.is_empty());
    assert_eq!(take_rows(tensor([3, 4], 1.0, 1), &none).dims(), [0, 4]);
    let zeros = spread_rows(tensor([0, 4], 1.0, 1), &none);
    assert_close(&zeros, &Tensor::zeros([3, 4], &cpu()), 0.0);
    assert_eq!(take_rows(tensor([7, 0], 1.0, 1), &rows()).dims(), [4, 0]);
}

#[test]
fn other_types() {
    for dtype in [FloatDType::F64, FloatDType::F16, FloatDType::BF16] {
        let x = tensor([7, 5], 3.0, 1).cast(dtype);
        let taken = take_rows(x.clone(), &rows());
        assert_eq!(taken.dtype(), x.dtype());
        assert_close(&wide(taken.clone()), &take_rows(wide(x), &rows()), 0.0);
        let spread = spread_rows(taken.clone(), &rows());
        assert_close(&wide(spread), &spread_rows(wide(taken), &rows()), 0.0);
    }
}

#[test]
#[should_panic(expected = "row 2 is taken twice")]
fn a_row_twice() {
    Rows::new(3, vec![2, 0, 2]);
}
