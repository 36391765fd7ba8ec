//! The JSON of a header, read in one pass into small records instead of a tree: the memory taken
//! stays in proportion to the text, whatever the text says.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

use super::{HeaderProblem, MAX_RANK};

/// Key of the free text; every other key is a tensor.
const METADATA: &str = "__metadata__";

/// A header as it is written, in the order of the file and with its duplicates.
pub(super) struct RawHeader<'a> {
    pub(super) tensors: Vec<(String, RawEntry<'a>)>,
    pub(super) metadata: BTreeMap<String, String>,
}

/// A tensor as it is written.
#[derive(Deserialize)]
pub(super) struct RawEntry<'a> {
    #[serde(borrow)]
    pub(super) dtype: Cow<'a, str>,
    pub(super) shape: RawShape,
    pub(super) data_offsets: [u64; 2],
}

/// At most [`MAX_RANK`] sizes.
pub(super) struct RawShape(pub(super) Vec<u64>);

pub(super) fn read(json: &[u8]) -> Result<RawHeader<'_>, HeaderProblem> {
    // JSON allows leading white space, safetensors does not.
    if json.first() != Some(&b'{') {
        let problem = "it does not begin with `{`".to_owned();
        return Err(HeaderProblem::Json { problem });
    }
    serde_json::from_slice(json).map_err(|err| HeaderProblem::Json { problem: err.to_string() })
}

impl<'de: 'a, 'a> Deserialize<'de> for RawHeader<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = RawHeader<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with one entry per tensor")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut header = RawHeader { tensors: Vec::new(), metadata: BTreeMap::new() };
        while let Some(name) = map.next_key::<String>()? {
            if name == METADATA {
                header.metadata = map.next_value()?;
            } else {
                header.tensors.push((name, map.next_value()?));
            }
        }
        Ok(header)
    }
}

impl<'de> Deserialize<'de> for RawShape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = RawShape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {MAX_RANK} sizes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sizes: A) -> Result<Self::Value, A::Error> {
        let mut shape = Vec::new();
        while let Some(size) = sizes.next_element()? {
            if shape.len() == MAX_RANK {
                return Err(serde::de::Error::invalid_length(MAX_RANK + 1, &self));
            }
            shape.push(size);
        }
        Ok(RawShape(shape))
    }
}
