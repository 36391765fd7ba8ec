//! Position tables: the fixed 2-D sine-cosine table, and resizing of learned ones.
//!
//! Tables are host values in row-major order: they are made or resized once, when weights are drawn
//! or loaded. A model that resizes its trained table in every forward pass asks here for the weights of
//! that resize, which depend on the grid only.

/// Fixed position table of a `grid` x `grid` map behind a class token: [1 + grid * grid, width],
/// row 0 zeros.
///
/// The first half of a row encodes the column of the patch, the second half its row, each as sines
/// followed by cosines. Source: `mlfoundations/open_clip:src/open_clip/pos_embed.py`, which names the
/// halves the other way round but builds its mesh with the width first.
pub fn sin_cos_2d(grid: usize, width: usize) -> Vec<f32> {
    let quarter = width / 4;
    let frequency = |k: usize| 10_000f64.powf(-(k as f64) / quarter as f64);
    let mut table = vec![0.0; width];
    for row in 0..grid {
        for column in 0..grid {
            for position in [column as f64, row as f64] {
                table.extend((0..quarter).map(|k| (position * frequency(k)).sin() as f32));
                table.extend((0..quarter).map(|k| (position * frequency(k)).cos() as f32));
            }
        }
    }
    table
}

/// Which of PyTorch's two bicubic interpolations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bicubic {
    /// The kernel covers all that becomes one position: `resize_pos_embed` of open_clip, timm.
    Antialiased,
    /// Four positions become one, however many there are: MAE's `interpolate_pos_embed`.
    Plain,
}

/// Resizes a table of square-grid positions, keeping `prefix` leading rows (a class token) as they
/// are: [prefix + a * a, width] -> [prefix + b * b, width]. `None` where a row count is no square.
///
/// Half-pixel centres.
pub fn resize_grid(
    table: &[f32],
    prefix: usize,
    width: usize,
    rows: usize,
    bicubic: Bicubic,
) -> Option<Vec<f32>> {
    let from = exact_sqrt((table.len() / width).checked_sub(prefix)?)?;
    let to = exact_sqrt(rows.checked_sub(prefix)?)?;
    let (kept, grid) = table.split_at(prefix * width);
    let weights = match bicubic {
        Bicubic::Antialiased => antialiased(from, to, 2.0, |x| cubic(x, -0.5)),
        Bicubic::Plain => plain(from, to),
    };

    // Columns first, then rows; both passes are the same small matrix.
    let mut narrowed = vec![0.0f64; from * to * width];
    for row in 0..from {
        for (column, taps) in weights.iter().enumerate() {
            for (source, weight) in taps {
                for c in 0..width {
                    let value = f64::from(grid[(row * from + source) * width + c]);
                    narrowed[(row * to + column) * width + c] += weight * value;
                }
            }
        }
    }
    let mut resized = vec![0.0f64; to * to * width];
    for (row, taps) in weights.iter().enumerate() {
        for (source, weight) in taps {
            for i in 0..to * width {
                resized[row * to * width + i] += weight * narrowed[source * to * width + i];
            }
        }
    }
    Some(kept.iter().copied().chain(resized.into_iter().map(|v| v as f32)).collect())
}

/// Resizes a table of text positions linearly with half-pixel centres: [a, width] -> [rows, width].
///
/// Source: `resize_text_pos_embed` of open_clip.
pub fn resize_line(table: &[f32], width: usize, rows: usize) -> Vec<f32> {
    let from = table.len() / width;
    let scale = from as f64 / rows as f64;
    let mut resized = Vec::with_capacity(rows * width);
    for row in 0..rows {
        let position = ((row as f64 + 0.5) * scale - 0.5).max(0.0);
        let low = (position.floor() as usize).min(from - 1);
        let high = (low + 1).min(from - 1);
        let share = (position - low as f64) as f32;
        let value = |row: usize, c: usize| table[row * width + c];
        resized.extend((0..width).map(|c| value(low, c) * (1.0 - share) + value(high, c) * share));
    }
    resized
}

/// Rows and columns of a picture's patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Patches from top to bottom.
    pub rows: usize,
    /// Patches from left to right.
    pub columns: usize,
}

impl Grid {
    /// How many patches.
    pub fn len(self) -> usize {
        self.rows * self.columns
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// Weights that resize a square table to `grid`: [tokens, side * side], for tokens row by row. Tokens
/// behind the last patch are padding and have the weights of the first.
///
/// Bilinear with antialiasing and half-pixel centres, as `Siglip2VisionEmbeddings` of transformers.
pub fn resize_weights(side: usize, grid: Grid, tokens: usize) -> Vec<f32> {
    let rows = antialiased(side, grid.rows, 1.0, triangle);
    let columns = antialiased(side, grid.columns, 1.0, triangle);
    let mut weights = vec![0.0; tokens * side * side];
    for (token, weights) in weights.chunks_exact_mut(side * side).enumerate() {
        let patch = if token < grid.len() { token } else { 0 };
        for (row, vertical) in &rows[patch / grid.columns] {
            for (column, horizontal) in &columns[patch % grid.columns] {
                weights[row * side + column] += (vertical * horizontal) as f32;
            }
        }
    }
    weights
}

/// For each of `to` positions, the source positions and their weights, which sum to 1; `support` is the
/// reach of the kernel.
fn antialiased(
    from: usize,
    to: usize,
    support: f64,
    kernel: fn(f64) -> f64,
) -> Vec<Vec<(usize, f64)>> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let support = support * stretch;
    (0..to)
        .map(|i| {
            let centre = (i as f64 + 0.5) * scale;
            let first = ((centre - support + 0.5).floor().max(0.0)) as usize;
            let last = (((centre + support + 0.5).floor()) as usize).min(from);
            let taps: Vec<_> =
                (first..last).map(|j| (j, kernel((j as f64 + 0.5 - centre) / stretch))).collect();
            let sum: f64 = taps.iter().map(|(_, weight)| weight).sum();
            taps.into_iter().map(|(j, weight)| (j, weight / sum)).collect()
        })
        .collect()
}

/// For each of `to` positions, the four nearest source positions, those at an edge again and again, and
/// their weights.
fn plain(from: usize, to: usize) -> Vec<Vec<(usize, f64)>> {
    let scale = from as f64 / to as f64;
    (0..to)
        .map(|i| {
            let centre = (i as f64 + 0.5) * scale - 0.5;
            let nearest = centre.floor();
            let place = |place: f64| place.clamp(0.0, (from - 1) as f64) as usize;
            (-1..=2)
                .map(|k| nearest + f64::from(k))
                .map(|at| (place(at), cubic(at - centre, -0.75)))
                .collect()
        })
        .collect()
}

/// The kernel of linear interpolation.
fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

/// Keys' cubic kernel; PyTorch has a = -0.5 when antialiasing, else a = -0.75.
fn cubic(x: f64, a: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * a
    } else {
        0.0
    }
}

fn exact_sqrt(n: usize) -> Option<usize> {
    let root = n.isqrt();
    (root * root == n && root > 0).then_some(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_half_of_the_fixed_table_is_the_column() {
        let table = sin_cos_2d(2, 4);
        let expected: [[f64; 4]; 5] = [
            [0.0, 0.0, 0.0, 0.0],
            [0.0, 1.0, 0.0, 1.0],
            [1f64.sin(), 1f64.cos(), 0.0, 1.0],
            [0.0, 1.0, 1f64.sin(), 1f64.cos()],
            [1f64.sin(), 1f64.cos(), 1f64.sin(), 1f64.cos()],
        ];
        for (found, expected) in table.iter().zip(expected.iter().flatten()) {
            assert!((f64::from(*found) - expected).abs() < 1e-7, "{table:?}");
        }
    }

    #[test]
    fn resizing_to_the_same_grid_changes_nothing() {
        let table: Vec<f32> = (0..(1 + 9) * 2).map(|i| i as f32).collect();
        for bicubic in [Bicubic::Antialiased, Bicubic::Plain] {
            let resized = resize_grid(&table, 1, 2, 10, bicubic).expect("both grids are squares");
            for (found, expected) in resized.iter().zip(&table) {
                assert!((found - expected).abs() < 1e-5);
            }
        }
    }

    /// Numbers of PyTorch 2.15.
    #[test]
    fn both_interpolations_are_those_of_pytorch() {
        let table: Vec<f32> = (0..16).map(|i| (i as f32).sin()).collect();
        let check = |side: usize, bicubic: Bicubic, expected: &[f32]| {
            let found = resize_grid(&table, 0, 1, side * side, bicubic).expect("two squares");
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 2e-6, "{found} {expected}");
            }
        };
        let plain = [-0.0152134, 0.5303442, 1.0966827, 1.1060786, 0.555793, 0.0168137];
        check(6, Bicubic::Plain, &plain);
        let wide = [-0.0100872, 0.4764626, 1.0260967, 1.0456599, 0.5230726, 0.0492656];
        check(6, Bicubic::Antialiased, &wide);
        check(3, Bicubic::Antialiased, &[-0.1552884, 0.505077, 0.4473342]);
    }

    #[test]
    fn a_row_count_that_is_no_square_is_refused() {
        assert_eq!(resize_grid(&[0.0; 20], 1, 2, 12, Bicubic::Plain), None);
        assert_eq!(resize_grid(&[0.0; 18], 0, 3, 4, Bicubic::Plain), None);
    }
}
