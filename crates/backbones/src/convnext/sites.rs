//! Which sites of the maps of a batch are computed: all, or those of visible cells.

use burn::tensor::Tensor;
use hearth_kernels::{Rows, spread_rows, take_rows};

use crate::cells::Cells;

/// The sites of maps [B, H, V, C], in the order in which features [B, N, C] hold them.
#[derive(Debug, Clone)]
pub struct Sites {
    batch: usize,
    /// H and V.
    map: [usize; 2],
    visible: Option<Visible>,
}

/// N are the sites of the visible cells, cell by cell.
#[derive(Debug, Clone)]
struct Visible {
    /// K.
    cells: usize,
    /// Sites along a side of a cell.
    side: usize,
    /// Of all rows of all cells, those that are visible.
    rows: Rows,
}

impl Sites {
    /// All sites of maps [B, H, V, C].
    pub fn all(batch: usize, map: [usize; 2]) -> Self {
        Self { batch, map, visible: None }
    }

    /// The sites of visible cells, `side` along each of their sides.
    pub fn of_cells(cells: &Cells, side: usize) -> Self {
        let (batch, count, [rows, columns]) = (cells.batch(), cells.count(), cells.grid);
        let mut taken = Vec::with_capacity(batch * count * side);
        for (b, visible) in cells.visible.iter().enumerate() {
            assert_eq!(visible.len(), count, "every picture shows as many cells");
            for cell in visible {
                let (row, column) = (cell / columns, cell % columns);
                let first = (b * rows + row) * side;
                taken.extend((first..first + side).map(|row| row * columns + column));
            }
        }
        let rows_of_cells = Rows::new(batch * rows * side * columns, taken);
        let visible = Visible { cells: count, side, rows: rows_of_cells };
        Self { batch, map: [rows * side, columns * side], visible: Some(visible) }
    }

    /// Features [B, N, C] of maps [B, H, V, C].
    pub fn of_map(&self, map: Tensor<4>) -> Tensor<3> {
        let [batch, height, width, channels] = map.dims();
        match &self.visible {
            None => map.reshape([batch, height * width, channels]),
            Some(Visible { cells, side, rows }) => {
                let row = side * channels;
                let taken = take_rows(map.reshape([batch * height * width / side, row]), rows);
                taken.reshape([batch, cells * side * side, channels])
            }
        }
    }

    /// Maps [B, H, V, C] of features [B, N, C], with zeros where a site is not visible.
    pub fn on_map(&self, x: Tensor<3>) -> Tensor<4> {
        let ([batch, _, channels], [height, width]) = (x.dims(), self.map);
        match &self.visible {
            None => x.reshape([batch, height, width, channels]),
            Some(Visible { cells, side, rows }) => {
                let taken = x.reshape([batch * cells * side, side * channels]);
                spread_rows(taken, rows).reshape([batch, height, width, channels])
            }
        }
    }

    /// Tiles without a gap [T, H, V, C] of features [B, N, C]: the maps, or the cells.
    pub(super) fn tiles(&self, x: Tensor<3>) -> Tensor<4> {
        let channels = x.dims()[2];
        match &self.visible {
            None => x.reshape([self.batch, self.map[0], self.map[1], channels]),
            Some(Visible { cells, side, .. }) => {
                x.reshape([self.batch * cells, *side, *side, channels])
            }
        }
    }
}
