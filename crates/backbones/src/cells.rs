//! Square cells of pictures, of which a masked encoder sees some.

use burn::tensor::{DType, Device, Tensor, TensorData};
use hearth_kernels::Rows;

/// The visible cells of every picture of a batch, as many of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cells {
    /// Rows and columns of cells of a picture.
    pub grid: [usize; 2],
    /// For every picture the numbers of its visible cells, counted row by row.
    pub visible: Vec<Vec<usize>>,
}

impl Cells {
    /// Pictures of the batch, B.
    pub fn batch(&self) -> usize {
        self.visible.len()
    }

    /// Visible cells of a picture, K.
    pub fn count(&self) -> usize {
        self.visible.first().map_or(0, Vec::len)
    }

    /// The rows of the visible cells in a matrix that has a row for every cell of the batch.
    pub fn rows(&self) -> Rows {
        let cells = self.grid[0] * self.grid[1];
        let taken = self.visible.iter().zip(0..);
        let taken = taken.flat_map(|(visible, b)| visible.iter().map(move |cell| b * cells + cell));
        Rows::new(self.batch() * cells, taken.collect())
    }

    /// [B, H, V, 1]: ones in visible cells, zeros in the others, where a cell has `side` sites along
    /// each of its sides.
    pub fn mask(&self, side: usize, device: &Device, dtype: DType) -> Tensor<4> {
        let [rows, columns] = self.grid;
        let sides = [self.batch(), rows * side, columns * side, 1];
        let mut values = vec![0.0f32; sides.iter().product()];
        let pictures = values.chunks_exact_mut((rows * columns * side * side).max(1));
        for (values, visible) in pictures.zip(&self.visible) {
            for cell in visible {
                for y in cell / columns * side..(cell / columns + 1) * side {
                    let first = (y * columns + cell % columns) * side;
                    values[first..first + side].fill(1.0);
                }
            }
        }
        Tensor::from_data(TensorData::new(values, sides).convert_dtype(dtype), device)
    }
}
