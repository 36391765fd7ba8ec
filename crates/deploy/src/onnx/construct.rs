//! Making messages, and asking them.

use burn::tensor::f16;
use bytes::Bytes;

use super::messages::{
    AttributeKind, AttributeProto, DataLocation, DataType, Dimension, DimensionValue, ModelProto,
    NodeProto, StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    TypeValue, ValueInfoProto,
};

impl ModelProto {
    /// What the metadata says under `key`.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        let mut entries = self.metadata_props.iter();
        entries.find(|entry| entry.key == key).map(|entry| entry.value.as_str())
    }

    /// The version of ONNX's own operators, 0 if it is not said.
    pub fn opset(&self) -> i64 {
        let own = |domain: &str| domain.is_empty() || domain == "ai.onnx";
        let mut sets = self.opset_import.iter();
        sets.find(|set| own(&set.domain)).map_or(0, |set| set.version)
    }
}

impl StringStringEntryProto {
    /// An entry.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> StringStringEntryProto {
        StringStringEntryProto { key: key.into(), value: value.into() }
    }
}

impl NodeProto {
    /// A node of ONNX's own operators.
    pub fn new<I: Into<String>, O: Into<String>>(
        op_type: &str,
        inputs: impl IntoIterator<Item = I>,
        outputs: impl IntoIterator<Item = O>,
    ) -> NodeProto {
        NodeProto {
            input: inputs.into_iter().map(Into::into).collect(),
            output: outputs.into_iter().map(Into::into).collect(),
            op_type: op_type.to_owned(),
            ..NodeProto::default()
        }
    }

    /// The same with an attribute.
    pub fn with(mut self, attribute: AttributeProto) -> NodeProto {
        self.attribute.push(attribute);
        self
    }

    /// The attribute of that name.
    pub fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.attribute.iter().find(|attribute| attribute.name == name)
    }
}

impl AttributeProto {
    fn of(name: &str, kind: AttributeKind) -> AttributeProto {
        AttributeProto { name: name.to_owned(), kind: kind.into(), ..AttributeProto::default() }
    }

    /// A number.
    pub fn float(name: &str, value: f32) -> AttributeProto {
        AttributeProto { f: Some(value), ..AttributeProto::of(name, AttributeKind::Float) }
    }

    /// A whole number.
    pub fn int(name: &str, value: i64) -> AttributeProto {
        AttributeProto { i: Some(value), ..AttributeProto::of(name, AttributeKind::Int) }
    }

    /// Whole numbers.
    pub fn ints(name: &str, values: impl IntoIterator<Item = i64>) -> AttributeProto {
        let ints = values.into_iter().collect();
        AttributeProto { ints, ..AttributeProto::of(name, AttributeKind::Ints) }
    }

    /// A tensor.
    pub fn tensor(name: &str, value: TensorProto) -> AttributeProto {
        AttributeProto { t: Some(value), ..AttributeProto::of(name, AttributeKind::Tensor) }
    }

    /// Text.
    pub fn text(name: &str, value: &str) -> AttributeProto {
        let s = Some(Bytes::copy_from_slice(value.as_bytes()));
        AttributeProto { s, ..AttributeProto::of(name, AttributeKind::String) }
    }
}

impl TensorProto {
    /// Values given as little endian bytes, which are shared, not copied.
    pub fn raw(
        name: impl Into<String>,
        dtype: DataType,
        shape: &[usize],
        bytes: impl Into<Bytes>,
    ) -> TensorProto {
        TensorProto {
            name: name.into(),
            data_type: dtype.into(),
            dims: shape.iter().map(|&side| side as i64).collect(),
            raw_data: Some(bytes.into()),
            ..TensorProto::default()
        }
    }

    /// f32 values.
    pub fn floats(name: impl Into<String>, shape: &[usize], values: &[f32]) -> TensorProto {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        TensorProto::raw(name, DataType::Float, shape, bytes)
    }

    /// i64 values, the type of shapes and indices.
    pub fn ints(name: impl Into<String>, shape: &[usize], values: &[i64]) -> TensorProto {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        TensorProto::raw(name, DataType::Int64, shape, bytes)
    }

    /// How many values it has.
    pub fn len(&self) -> usize {
        let sides = self.dims.iter().map(|&side| usize::try_from(side).unwrap_or(0));
        sides.fold(1, usize::saturating_mul)
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether its values lie in another file.
    pub fn is_external(&self) -> bool {
        self.data_location() == DataLocation::External
    }

    /// f32 values, wherever in the message they stand; nothing for another type, or if there are not
    /// as many as the shape says.
    pub fn to_floats(&self) -> Option<Vec<f32>> {
        if self.data_type() != DataType::Float {
            return None;
        }
        let values = match &self.raw_data {
            Some(bytes) => {
                bytes.as_chunks().0.iter().map(|&value| f32::from_le_bytes(value)).collect()
            }
            None => self.float_data.clone(),
        };
        (values.len() == self.len()).then_some(values)
    }

    /// An f16 tensor as f32; any other as it is.
    pub(crate) fn widened(&self) -> TensorProto {
        match (self.data_type(), &self.raw_data) {
            (DataType::Float16, Some(bytes)) => {
                let values = bytes.as_chunks().0.iter();
                let wide =
                    values.flat_map(|&value| f16::from_le_bytes(value).to_f32().to_le_bytes());
                let raw_data = Some(wide.collect::<Vec<u8>>().into());
                TensorProto { data_type: DataType::Float.into(), raw_data, ..self.clone() }
            }
            _ => self.clone(),
        }
    }

    /// i64 values, likewise.
    pub fn to_ints(&self) -> Option<Vec<i64>> {
        if self.data_type() != DataType::Int64 {
            return None;
        }
        let values = match &self.raw_data {
            Some(bytes) => {
                bytes.as_chunks().0.iter().map(|&value| i64::from_le_bytes(value)).collect()
            }
            None => self.int64_data.clone(),
        };
        (values.len() == self.len()).then_some(values)
    }
}

impl DataType {
    /// Bytes of an element; nothing for text and what is not said.
    pub fn width(self) -> Option<usize> {
        Some(match self {
            DataType::Undefined | DataType::String => return None,
            DataType::Bool | DataType::Uint8 | DataType::Int8 => 1,
            DataType::Float16 | DataType::Bfloat16 | DataType::Uint16 | DataType::Int16 => 2,
            DataType::Float | DataType::Int32 | DataType::Uint32 => 4,
            DataType::Double | DataType::Int64 | DataType::Uint64 => 8,
        })
    }
}

impl ValueInfoProto {
    /// A tensor.
    pub fn tensor(
        name: impl Into<String>,
        dtype: DataType,
        shape: impl IntoIterator<Item = DimensionValue>,
    ) -> ValueInfoProto {
        let dim = shape.into_iter().map(|side| Dimension { value: Some(side) }).collect();
        let tensor =
            TensorTypeProto { elem_type: dtype.into(), shape: Some(TensorShapeProto { dim }) };
        let r#type = Some(TypeProto { value: Some(TypeValue::Tensor(tensor)) });
        ValueInfoProto { name: name.into(), r#type }
    }

    /// The type, if it is a tensor.
    pub fn tensor_type(&self) -> Option<&TensorTypeProto> {
        match self.r#type.as_ref()?.value.as_ref()? {
            TypeValue::Tensor(tensor) => Some(tensor),
        }
    }

    /// The sides, if their number is known; a side that is neither a number nor a name is nothing.
    pub fn sides(&self) -> Option<Vec<Option<DimensionValue>>> {
        let shape = self.tensor_type()?.shape.as_ref()?;
        Some(shape.dim.iter().map(|dimension| dimension.value.clone()).collect())
    }
}
