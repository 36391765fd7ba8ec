//! ONNX files: their messages, reading and writing.
//!
//! Source: `onnx/onnx:onnx/onnx.proto` (field numbers), `docs/IR.md`, `docs/ExternalData.md`. The
//! messages are plain data: a pass is a function that changes a [`GraphProto`].

mod check;
mod construct;
mod external;
mod infer;
mod listing;
mod messages;
mod read;
mod size;
mod write;

pub use check::check;
pub use listing::listing;
pub use messages::{
    AttributeKind, AttributeProto, DataLocation, DataType, Dimension, DimensionValue, GraphProto,
    ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, TypeValue, ValueInfoProto,
};
pub use read::{read, read_structure};
pub(crate) use write::write_widened;
pub use write::{EMBEDDED_AT_MOST, external_file, try_place, write, write_embedding};
