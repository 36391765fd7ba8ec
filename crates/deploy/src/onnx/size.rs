//! What a file would cost in memory, before it is read as messages.
//!
//! A message of two bytes may take a hundred times as much once it is read. What weighs in an honest
//! model is values of tensors, which cost what they weigh; everything else is small.

use prost::{
    DecodeError,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};

use super::messages::{
    AttributeProto, Dimension, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, ValueInfoProto,
};

/// Memory for nodes, names and types that a model may take: a hundred thousand nodes.
const STRUCTURE_AT_MOST: u64 = 512 << 20;

/// Graphs stand in attributes of nodes of graphs; nobody's stand deeper.
const DEEPEST: u32 = 24;

/// A message: what it takes itself, and what its fields are.
struct Shape {
    size: usize,
    fields: &'static [(u32, Field)],
}

/// What a field costs beside its message.
enum Field {
    /// A message.
    Inside(&'static Shape),
    /// Text or bytes.
    Text,
    /// Numbers that take up to so many bytes where they weigh one.
    Numbers(u64),
    /// Values: they share the memory of the file, or take what they weigh.
    Values,
}

use Field::{Inside, Numbers, Text, Values};

static MODEL: Shape = Shape {
    size: size_of::<ModelProto>(),
    fields: &[
        (2, Text),
        (3, Text),
        (6, Text),
        (7, Inside(&GRAPH)),
        (8, Inside(&OPERATORS)),
        (14, Inside(&PAIR)),
    ],
};
static OPERATORS: Shape = Shape { size: size_of::<OperatorSetIdProto>(), fields: &[(1, Text)] };
static PAIR: Shape =
    Shape { size: size_of::<StringStringEntryProto>(), fields: &[(1, Text), (2, Text)] };
static GRAPH: Shape = Shape {
    size: size_of::<GraphProto>(),
    fields: &[
        (1, Inside(&NODE)),
        (2, Text),
        (5, Inside(&TENSOR)),
        (11, Inside(&VALUE)),
        (12, Inside(&VALUE)),
        (13, Inside(&VALUE)),
    ],
};
static NODE: Shape = Shape {
    size: size_of::<NodeProto>(),
    fields: &[(1, Text), (2, Text), (3, Text), (4, Text), (5, Inside(&ATTRIBUTE)), (7, Text)],
};
static ATTRIBUTE: Shape = Shape {
    size: size_of::<AttributeProto>(),
    fields: &[
        (1, Text),
        (4, Text),
        (5, Inside(&TENSOR)),
        (6, Inside(&GRAPH)),
        (7, Values),
        (8, Numbers(8)),
        (9, Text),
    ],
};
static TENSOR: Shape = Shape {
    size: size_of::<TensorProto>(),
    fields: &[
        (1, Numbers(8)),
        (4, Values),
        (5, Numbers(4)),
        (7, Numbers(8)),
        (8, Text),
        (9, Values),
        (10, Values),
        (11, Numbers(8)),
        (13, Inside(&PAIR)),
    ],
};
static VALUE: Shape =
    Shape { size: size_of::<ValueInfoProto>(), fields: &[(1, Text), (2, Inside(&TYPE))] };
static TYPE: Shape = Shape { size: 0, fields: &[(1, Inside(&TENSOR_TYPE))] };
static TENSOR_TYPE: Shape = Shape { size: 0, fields: &[(2, Inside(&SIDES))] };
static SIDES: Shape = Shape { size: 0, fields: &[(1, Inside(&SIDE))] };
static SIDE: Shape = Shape { size: size_of::<Dimension>(), fields: &[(2, Text)] };

/// Says what is wrong with `file` as a model, if its messages are broken or cost too much.
pub(super) fn check(file: &[u8]) -> Result<(), String> {
    let cost = cost(file, &MODEL, DEEPEST);
    let cost = cost.map_err(|error| format!("not a whole ONNX file: {error}"))?;
    if cost > STRUCTURE_AT_MOST {
        let (found, most) = (cost >> 20, STRUCTURE_AT_MOST >> 20);
        return Err(format!("{found} MB for nodes and names, at most {most} MB are taken"));
    }
    Ok(())
}

/// Bytes of memory beside values of tensors.
fn cost(mut message: &[u8], shape: &Shape, depth: u32) -> Result<u64, DecodeError> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(broken("its messages stand in each other too often"));
    };
    let mut total = shape.size as u64;
    while !message.is_empty() {
        let (tag, wire) = decode_key(&mut message)?;
        let kind = shape.fields.iter().find(|(known, _)| *known == tag).map(|(_, kind)| kind);
        if wire != WireType::LengthDelimited {
            skip_field(wire, tag, &mut message, DecodeContext::default())?;
            // Numbers that are not packed come one by one.
            total += if let Some(Numbers(width)) = kind { *width } else { 0 };
            continue;
        }
        let length = decode_varint(&mut message)?;
        let length = usize::try_from(length).ok().filter(|&length| length <= message.len());
        let Some(length) = length else { return Err(broken("it ends in the middle of a field")) };
        let (field, rest) = message.split_at(length);
        message = rest;
        total += match kind {
            Some(Inside(inside)) => cost(field, inside, depth)?,
            Some(Text) => (length + size_of::<String>()) as u64,
            Some(Numbers(width)) => length as u64 * width,
            Some(Values) | None => 0,
        };
    }
    Ok(total)
}

fn broken(problem: &'static str) -> DecodeError {
    #[expect(deprecated, reason = "the one way to make this error")]
    DecodeError::new(problem)
}
