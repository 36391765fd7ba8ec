//! Position tables of a checkpoint fitted to another image size or context length.

use hearth_backbones::positions::{Bicubic, resize_grid, resize_line};
use hearth_weights::Resize;

/// What open_clip does with tables of another size.
pub(crate) fn position_tables() -> Vec<Resize> {
    vec![
        Resize { name: "visual.pos_embed".to_owned(), method: "bicubic, antialiased", apply: grid },
        Resize { name: "text.positional_embedding".to_owned(), method: "linear", apply: line },
    ]
}

/// [T, W] -> [T', W]; a class token's row stays.
fn grid(values: &[f32], from: &[usize], to: &[usize]) -> Option<Vec<f32>> {
    let (&[from_rows, width], &[to_rows, to_width]) = (from, to) else { return None };
    if width != to_width {
        return None;
    }
    // A table with a class token has one row more than a square.
    let prefix = [0, 1].into_iter().find(|prefix| {
        let square =
            |rows: usize| rows.checked_sub(*prefix).is_some_and(|n| n.isqrt().pow(2) == n && n > 0);
        square(from_rows) && square(to_rows)
    })?;
    resize_grid(values, prefix, width, to_rows, Bicubic::Antialiased)
}

/// [C, W] -> [C', W].
fn line(values: &[f32], from: &[usize], to: &[usize]) -> Option<Vec<f32>> {
    let (&[_, width], &[rows, to_width]) = (from, to) else { return None };
    (width == to_width).then(|| resize_line(values, width, rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_with_and_without_a_class_token() {
        assert_eq!(grid(&[1.0; 5 * 2], &[5, 2], &[10, 2]).map(|v| v.len()), Some(20));
        assert_eq!(grid(&[1.0; 4 * 2], &[4, 2], &[9, 2]).map(|v| v.len()), Some(18));
        assert_eq!(grid(&[1.0; 5 * 2], &[5, 2], &[9, 2]), None);
        assert_eq!(grid(&[1.0; 4 * 2], &[4, 2], &[9, 3]), None);
        assert_eq!(line(&[1.0, 3.0], &[2, 1], &[4, 1]), Some(vec![1.0, 1.5, 2.5, 3.0]));
    }
}
