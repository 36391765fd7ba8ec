//! Bytes to values and back, a block at a time.

use std::io::{self, Read, Write};

use burn::tensor::{bf16, f16};

use crate::header::Dtype;

/// Bytes converted at once; a multiple of every element size.
const BLOCK: usize = 1 << 18;

/// Appends the values of whole elements.
pub(crate) type Decode<T> = fn(&[u8], &mut Vec<T>);

/// How to read the elements of a float type as f32; nothing for other types.
pub(crate) fn f32_decoder(dtype: Dtype) -> Option<Decode<f32>> {
    Some(match dtype {
        Dtype::F32 => |bytes, out| {
            out.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)));
        },
        Dtype::F16 => |bytes, out| {
            out.extend(bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()));
        },
        Dtype::BF16 => |bytes, out| {
            out.extend(bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()));
        },
        Dtype::F64 => |bytes, out| {
            out.extend(bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32));
        },
        _ => return None,
    })
}

/// How to read the elements of an integer type as i64; nothing for floats and for U64.
pub(crate) fn i64_decoder(dtype: Dtype) -> Option<Decode<i64>> {
    macro_rules! widen {
        ($kind:ty) => {
            |bytes, out| {
                out.extend(
                    bytes.as_chunks().0.iter().map(|b| i64::from(<$kind>::from_le_bytes(*b))),
                );
            }
        };
    }
    Some(match dtype {
        Dtype::Bool | Dtype::U8 => widen!(u8),
        Dtype::I8 => widen!(i8),
        Dtype::I16 => widen!(i16),
        Dtype::U16 => widen!(u16),
        Dtype::I32 => widen!(i32),
        Dtype::U32 => widen!(u32),
        Dtype::I64 => widen!(i64),
        _ => return None,
    })
}

/// Reads `count` values of a type.
pub(crate) fn read<T>(
    from: &mut impl Read,
    dtype: Dtype,
    count: usize,
    decode: Decode<T>,
) -> io::Result<Vec<T>> {
    let mut values = Vec::with_capacity(count);
    let mut left = count * dtype.size();
    let mut block = vec![0; left.min(BLOCK)];
    while left > 0 {
        let block = &mut block[..left.min(BLOCK)];
        from.read_exact(block)?;
        decode(block, &mut values);
        left -= block.len();
    }
    Ok(values)
}

/// The values of a view in its own order, from those between its first and its last.
pub(crate) fn gathered<T: Copy>(values: &[T], shape: &[usize], strides: &[usize]) -> Vec<T> {
    let mut out = Vec::with_capacity(shape.iter().product());
    let (Some((width, rows)), Some((step, row_strides))) =
        (shape.split_last(), strides.split_last())
    else {
        return values.to_vec();
    };
    if shape.contains(&0) {
        return out;
    }
    let mut index = vec![0; rows.len()];
    loop {
        let start: usize = index.iter().zip(row_strides).map(|(i, stride)| i * stride).sum();
        out.extend((0..*width).map(|i| values[start + i * step]));
        let Some(axis) = (0..rows.len()).rev().find(|axis| index[*axis] + 1 < rows[*axis]) else {
            return out;
        };
        index[axis] += 1;
        index[axis + 1..].fill(0);
    }
}

/// Writes values as little-endian f32.
pub(crate) fn write_f32(to: &mut impl Write, values: &[f32]) -> io::Result<()> {
    let mut block = Vec::with_capacity((values.len() * 4).min(BLOCK));
    for part in values.chunks(BLOCK / 4) {
        block.clear();
        block.extend(part.iter().flat_map(|value| value.to_le_bytes()));
        to.write_all(&block)?;
    }
    Ok(())
}

/// `values` of shape [rows, columns], as [columns, rows].
///
/// Goes through a small square in between, so that every cache line of either matrix is touched
/// once: with sizes that are powers of two, the lines of a column evict each other.
pub(crate) fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    debug_assert_eq!(values.len(), rows * columns);
    const SIDE: usize = 16;
    let mut out = vec![0.0; values.len()];
    let mut square = [[0.0; SIDE]; SIDE];
    for top in (0..rows).step_by(SIDE) {
        let height = SIDE.min(rows - top);
        for left in (0..columns).step_by(SIDE) {
            let width = SIDE.min(columns - left);
            for row in 0..height {
                let line = &values[(top + row) * columns + left..][..width];
                for (column, value) in line.iter().enumerate() {
                    square[column][row] = *value;
                }
            }
            for column in 0..width {
                out[(left + column) * rows + top..][..height]
                    .copy_from_slice(&square[column][..height]);
            }
        }
    }
    out
}

/// `values` of this shape, with its dimensions in the opposite order.
pub(crate) fn reversed(values: &[f32], shape: &[usize]) -> Vec<f32> {
    if let [rows, columns] = *shape {
        return transposed(values, rows, columns);
    }
    let sizes: Vec<usize> = shape.iter().rev().copied().collect();
    let strides: Vec<usize> = (0..sizes.len()).map(|i| sizes[..i].iter().product()).collect();
    gathered(values, &sizes, &strides)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_readable_type_gives_its_value() {
        #[track_caller]
        fn float(dtype: Dtype, bytes: &[u8], expected: f32) {
            let values = read(&mut &bytes[..], dtype, 1, f32_decoder(dtype).unwrap()).unwrap();
            assert_eq!(values, [expected], "{dtype:?}");
        }
        float(Dtype::F64, &(-2.5f64).to_le_bytes(), -2.5);
        float(Dtype::F32, &1.0e-40f32.to_le_bytes(), 1.0e-40);
        float(Dtype::F16, &0x3555u16.to_le_bytes(), 0.333_251_95);
        float(Dtype::F16, &0x0001u16.to_le_bytes(), 5.960_464_5e-8);
        float(Dtype::BF16, &0xc2f7u16.to_le_bytes(), -123.5);

        #[track_caller]
        fn int(dtype: Dtype, bytes: &[u8], expected: i64) {
            let values = read(&mut &bytes[..], dtype, 1, i64_decoder(dtype).unwrap()).unwrap();
            assert_eq!(values, [expected], "{dtype:?}");
        }
        int(Dtype::I64, &i64::MIN.to_le_bytes(), i64::MIN);
        int(Dtype::U32, &u32::MAX.to_le_bytes(), 4_294_967_295);
        int(Dtype::I8, &[0xff], -1);
        int(Dtype::Bool, &[1], 1);
    }

    #[test]
    fn other_types_are_not_reinterpreted() {
        for dtype in [Dtype::I64, Dtype::U8, Dtype::F8E4M3, Dtype::F8E5M2] {
            assert!(f32_decoder(dtype).is_none());
        }
        for dtype in [Dtype::F32, Dtype::BF16, Dtype::U64] {
            assert!(i64_decoder(dtype).is_none());
        }
    }

    #[test]
    fn blocks_meet_without_a_seam() {
        let values: Vec<f32> = (0..BLOCK / 4 * 2 + 7).map(|i| i as f32).collect();
        let mut bytes = Vec::new();
        write_f32(&mut bytes, &values).unwrap();
        let decode = f32_decoder(Dtype::F32).unwrap();
        assert_eq!(read(&mut &bytes[..], Dtype::F32, values.len(), decode).unwrap(), values);
        assert!(read(&mut &bytes[1..], Dtype::F32, values.len(), decode).is_err());
    }

    #[test]
    fn a_view_is_put_in_order() {
        let values = [0, 1, 2, 3, 4, 5];
        assert_eq!(gathered(&values, &[3, 2], &[1, 3]), [0, 3, 1, 4, 2, 5]);
        assert_eq!(gathered(&values, &[2, 1, 2], &[2, 9, 0]), [0, 0, 2, 2]);
        assert_eq!(gathered(&values, &[2], &[5]), [0, 5]);
        assert_eq!(gathered(&values[..1], &[], &[]), [0]);
        assert_eq!(gathered(&values, &[2, 0], &[1, 1]), [0; 0]);
    }

    #[test]
    fn transposing_twice_is_nothing() {
        let values: Vec<f32> = (0..33 * 70).map(|i| i as f32).collect();
        let turned = transposed(&values, 33, 70);
        assert_eq!(turned[..3], [0.0, 70.0, 140.0]);
        assert_eq!(transposed(&turned, 70, 33), values);
    }
    #[test]
    fn the_order_of_dimensions_is_turned_around() {
        let values = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
        let turned = reversed(&values, &[2, 2, 2]);
        assert_eq!(turned, [0.0, 4.0, 2.0, 6.0, 1.0, 5.0, 3.0, 7.0]);
        assert_eq!(reversed(&turned, &[2, 2, 2]), values);
        assert_eq!(reversed(&values, &[2, 1, 4]), reversed(&values, &[2, 4]));
        assert_eq!(reversed(&values, &[8]), values);
    }
}
