//! What a file would cost in memory, before it is read as messages.
//!
//! A message of two bytes may take a hundred times as much once it is read. What weighs in an honest
//! model is values of tensors, which cost what they weigh; everything else is small.

use prost::{
    DecodeError,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};

/// Bytes of nodes, names and types that a model may have: a hundred thousand nodes.
const STRUCTURE_AT_MOST: u64 = 64 << 20;

/// A message: which of its fields are looked into, and which cost no more than they weigh.
struct Shape {
    inside: &'static [(u32, &'static Shape)],
    values: &'static [u32],
}

const TENSOR: Shape = Shape { inside: &[], values: &[4, 9, 10] };
const ATTRIBUTE: Shape = Shape { inside: &[(5, &TENSOR)], values: &[] };
const NODE: Shape = Shape { inside: &[(5, &ATTRIBUTE)], values: &[] };
const GRAPH: Shape = Shape { inside: &[(1, &NODE), (5, &TENSOR)], values: &[] };
const MODEL: Shape = Shape { inside: &[(7, &GRAPH)], values: &[] };

/// Says what is wrong with `file` as a model, if its messages are broken or cost too much.
pub(super) fn check(file: &[u8]) -> Result<(), String> {
    let broken = |error: DecodeError| format!("not a whole ONNX file: {error}");
    let structure = structure(file, &MODEL).map_err(broken)?;
    if structure > STRUCTURE_AT_MOST {
        let (found, most) = (structure >> 20, STRUCTURE_AT_MOST >> 20);
        return Err(format!("{found} MB of nodes and names, at most {most} MB are read"));
    }
    Ok(())
}

/// Bytes that are no values of tensors.
fn structure(mut message: &[u8], shape: &Shape) -> Result<u64, DecodeError> {
    let mut total = 0;
    while !message.is_empty() {
        let before = message.len();
        let (tag, wire) = decode_key(&mut message)?;
        if wire != WireType::LengthDelimited {
            skip_field(wire, tag, &mut message, DecodeContext::default())?;
            total += (before - message.len()) as u64;
            continue;
        }
        let length = decode_varint(&mut message)?;
        let length = usize::try_from(length).ok().filter(|&length| length <= message.len());
        let Some(length) = length else {
            #[expect(deprecated, reason = "the one way to make this error")]
            return Err(DecodeError::new("it ends in the middle of a field"));
        };
        let (field, rest) = message.split_at(length);
        total += (before - message.len()) as u64;
        message = rest;
        total += match shape.inside.iter().find(|(inside, _)| *inside == tag) {
            Some((_, inside)) => structure(field, inside)?,
            None if shape.values.contains(&tag) => 0,
            None => length as u64,
        };
    }
    Ok(total)
}
