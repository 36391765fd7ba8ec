//! Matrices inside slices, and their product on one thread.

use std::mem::MaybeUninit;

use burn_flex::FlexTensor;
use gemm::Parallelism;

/// Element (i, j) lies at `i * strides[0] + j * strides[1]`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    sides: [usize; 2],
    strides: [usize; 2],
}

/// As [`Matrix`], to be written.
pub(crate) struct Target<'a> {
    data: &'a mut [MaybeUninit<f32>],
    sides: [usize; 2],
    strides: [usize; 2],
}

/// What becomes of the numbers that a product meets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// They are overwritten, and may be uninitialised.
    Forget,
    /// The product is added to them: all of them have been written.
    Keep,
}

impl<'a> Matrix<'a> {
    /// Panics where an element lies outside of `data`.
    pub(crate) fn new(data: &'a [f32], sides: [usize; 2], strides: [usize; 2]) -> Self {
        assert!(extent(sides, strides) <= data.len(), "a matrix lies inside its slice");
        Self { data, sides, strides }
    }

    /// `x` [rows, columns] in f32, with strides that are not negative.
    pub(crate) fn of(x: &'a FlexTensor) -> Self {
        let layout = x.layout();
        let data: &[f32] = x.storage();
        let stride = |axis: usize| usize::try_from(layout.strides()[axis]);
        let strides = [0, 1].map(|axis| stride(axis).expect("the caller copied what is flipped"));
        Self::new(&data[layout.start_offset().min(data.len())..], layout.shape().dims(), strides)
    }

    /// Row by row without gaps.
    pub(crate) fn dense(data: &'a [f32], sides: [usize; 2]) -> Self {
        Self::new(data, sides, [sides[1], 1])
    }

    pub(crate) fn transposed(self) -> Self {
        let ([rows, columns], [row, column]) = (self.sides, self.strides);
        Self { sides: [columns, rows], strides: [column, row], ..self }
    }
}

impl<'a> Target<'a> {
    /// Panics where an element lies outside of `data`.
    pub(crate) fn new(
        data: &'a mut [MaybeUninit<f32>],
        sides: [usize; 2],
        strides: [usize; 2],
    ) -> Self {
        assert!(extent(sides, strides) <= data.len(), "a matrix lies inside its slice");
        Self { data, sides, strides }
    }

    /// Row by row without gaps, over numbers that have been written.
    pub(crate) fn dense(data: &'a mut [f32], sides: [usize; 2]) -> Self {
        // SAFETY: the layouts are equal, and `multiply` writes numbers only.
        #[expect(unsafe_code, reason = "a slice of numbers is a slice of perhaps-numbers")]
        let data = unsafe { &mut *(std::ptr::from_mut(data) as *mut [MaybeUninit<f32>]) };
        Self::new(data, sides, [sides[1], 1])
    }

    /// Writes zeros.
    fn clear(self) {
        let ([rows, columns], [row, column]) = (self.sides, self.strides);
        for (i, j) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))) {
            self.data[i * row + j * column].write(0.0);
        }
    }
}

/// One more than the largest place of an element.
fn extent(sides: [usize; 2], strides: [usize; 2]) -> usize {
    match sides {
        [0, _] | [_, 0] => 0,
        [rows, columns] => (rows - 1) * strides[0] + (columns - 1) * strides[1] + 1,
    }
}

/// Writes or adds `factor` times the product of `left` [m, k] and `right` [k, n] to `out` [m, n].
pub(crate) fn multiply(
    out: Target<'_>,
    left: Matrix<'_>,
    right: Matrix<'_>,
    factor: f32,
    before: Before,
) {
    let ([m, k], [inner, n]) = (left.sides, right.sides);
    assert!(
        inner == k && out.sides == [m, n],
        "{:?} of {:?} x {:?}",
        out.sides,
        left.sides,
        right.sides
    );
    if k == 0 {
        return if before == Before::Forget {
            out.clear()
        };
    }
    let step = |stride: usize| stride as isize;
    // SAFETY: the constructors checked that every element of the three matrices lies inside its
    // slice, `out` is borrowed exclusively, and old numbers are read with `Keep` only, where the
    // caller has written them.
    #[expect(unsafe_code, reason = "the interface of the matrix multiplication")]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.data.as_mut_ptr().cast::<f32>(),
            step(out.strides[1]),
            step(out.strides[0]),
            before == Before::Keep,
            left.data.as_ptr(),
            step(left.strides[1]),
            step(left.strides[0]),
            right.data.as_ptr(),
            step(right.strides[1]),
            step(right.strides[0]),
            1.0,
            factor,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
