//! The header of a safetensors file, checked in full before a tensor is read.
//!
//! Layout of a file: the length of the header (8 bytes, little endian), the header (a JSON
//! object), the data. Every tensor names its type, its shape and its place in the data; together
//! they must cover the data exactly, once.

mod json;

use std::{collections::BTreeMap, fmt};

/// A longer header is refused, as the format's own implementation does.
pub const MAX_HEADER_BYTES: u64 = 100_000_000;
/// No tensor of a model has more dimensions.
pub const MAX_RANK: usize = 16;
/// Bytes before the header.
pub const LENGTH_BYTES: usize = 8;

/// Type of the elements of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// One byte, 0 or 1.
    Bool,
    /// Unsigned, 8 bits.
    U8,
    /// Signed, 8 bits.
    I8,
    /// 8-bit float with 5 exponent bits.
    F8E5M2,
    /// 8-bit float with 4 exponent bits.
    F8E4M3,
    /// Signed, 16 bits.
    I16,
    /// Unsigned, 16 bits.
    U16,
    /// IEEE half.
    F16,
    /// bfloat16.
    BF16,
    /// Signed, 32 bits.
    I32,
    /// Unsigned, 32 bits.
    U32,
    /// IEEE single.
    F32,
    /// Signed, 64 bits.
    I64,
    /// Unsigned, 64 bits.
    U64,
    /// IEEE double.
    F64,
}

const DTYPES: &[(Dtype, &str, usize)] = &[
    (Dtype::Bool, "BOOL", 1),
    (Dtype::U8, "U8", 1),
    (Dtype::I8, "I8", 1),
    (Dtype::F8E5M2, "F8_E5M2", 1),
    (Dtype::F8E4M3, "F8_E4M3", 1),
    (Dtype::I16, "I16", 2),
    (Dtype::U16, "U16", 2),
    (Dtype::F16, "F16", 2),
    (Dtype::BF16, "BF16", 2),
    (Dtype::I32, "I32", 4),
    (Dtype::U32, "U32", 4),
    (Dtype::F32, "F32", 4),
    (Dtype::I64, "I64", 8),
    (Dtype::U64, "U64", 8),
    (Dtype::F64, "F64", 8),
];

impl Dtype {
    /// As the header writes it.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Bytes of one element.
    pub fn size(self) -> usize {
        self.row().2
    }

    fn by_name(name: &str) -> Option<Dtype> {
        DTYPES.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    fn row(self) -> &'static (Dtype, &'static str, usize) {
        DTYPES.iter().find(|row| row.0 == self).expect("every type has a row")
    }
}

/// One tensor of a file: what it is and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Type of its elements.
    pub dtype: Dtype,
    /// Its shape; empty for a scalar.
    pub shape: Vec<usize>,
    /// Bytes from the start of the data.
    pub(crate) begin: u64,
    /// Which file of a sharded checkpoint.
    pub(crate) shard: usize,
    /// In a file of PyTorch, the storage that the tensor is a view of.
    pub(crate) origin: Option<Origin>,
}

/// How a tensor lies in its storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Number of the storage in its file.
    pub(crate) storage: usize,
    /// Steps between neighbours, in elements; none where the values follow each other.
    pub(crate) strides: Option<Vec<usize>>,
}

impl Entry {
    /// How many values the tensor has. Checked when the header was read: it cannot overflow.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn byte_len(&self) -> u64 {
        (self.len() * self.dtype.size()) as u64
    }
}

/// A checked header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Tensors by name.
    pub entries: BTreeMap<String, Entry>,
    /// Free text of the file.
    pub metadata: BTreeMap<String, String>,
}

/// The rule of the format that a file breaks.
#[derive(Debug, thiserror::Error)]
pub enum HeaderProblem {
    /// Not even the length is there.
    #[error("found {found} bytes, need at least 8 for the length of the header")]
    NoLength {
        /// Size of the file.
        found: u64,
    },
    /// The announced header does not fit.
    #[error("its header claims {claimed} bytes, the file has {left} bytes after the length")]
    TooLong {
        /// Announced length.
        claimed: u64,
        /// Bytes that follow.
        left: u64,
    },
    /// The announced header is larger than any honest one.
    #[error("its header claims {claimed} bytes, the limit is {MAX_HEADER_BYTES}")]
    TooLarge {
        /// Announced length.
        claimed: u64,
    },
    /// Not JSON, or JSON of another form.
    #[error("its header cannot be read: {problem}")]
    Json {
        /// With line and column inside the header.
        problem: String,
    },
    /// The same name twice.
    #[error("tensor `{name}` is listed twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// A type that the format does not know, or that was added later.
    #[error("tensor `{name}` has unknown type `{dtype}`, known are {}", known_dtypes())]
    UnknownDtype {
        /// The tensor.
        name: String,
        /// Its type.
        dtype: String,
    },
    /// A shape whose size does not fit in memory.
    #[error("tensor `{name}` has shape {shape:?}, its size overflows")]
    Overflow {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<u64>,
    },
    /// Shape and place disagree.
    #[error(
        "tensor `{name}` of shape {shape:?} and type {dtype} needs {needed} bytes, its offsets {begin}..{end} give another number"
    )]
    Size {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<u64>,
        /// Its type.
        dtype: &'static str,
        /// Bytes that this shape needs.
        needed: u64,
        /// Start of its data.
        begin: u64,
        /// End of its data.
        end: u64,
    },
    /// The data of a tensor lies outside of the file.
    #[error("tensor `{name}` ends at byte {end} of the data, the file has {found}")]
    Outside {
        /// The tensor.
        name: String,
        /// End of its data.
        end: u64,
        /// Bytes of data in the file.
        found: u64,
    },
    /// Two tensors share bytes.
    #[error("tensor `{name}` begins at byte {begin} of the data, inside `{other}`")]
    Overlap {
        /// The tensor.
        name: String,
        /// Start of its data.
        begin: u64,
        /// The tensor before it.
        other: String,
    },
    /// Bytes that belong to no tensor.
    #[error("bytes {from} to {to} of the data belong to no tensor")]
    Gap {
        /// First byte.
        from: u64,
        /// One after the last byte.
        to: u64,
    },
}

impl HeaderProblem {
    /// Whether the file looks like one that was not copied to its end.
    pub(crate) fn looks_cut(&self) -> bool {
        match self {
            HeaderProblem::NoLength { .. } | HeaderProblem::Outside { .. } => true,
            HeaderProblem::TooLong { claimed, .. } => *claimed <= MAX_HEADER_BYTES,
            _ => false,
        }
    }
}

/// The length of the header, from the first bytes of a file of `file_len` bytes. Nothing of that
/// length may be allocated before this function has agreed.
pub fn length(start: &[u8], file_len: u64) -> Result<u64, HeaderProblem> {
    let Some(bytes) = start.first_chunk::<LENGTH_BYTES>() else {
        return Err(HeaderProblem::NoLength { found: file_len });
    };
    let claimed = u64::from_le_bytes(*bytes);
    let left = file_len.saturating_sub(LENGTH_BYTES as u64);
    if claimed > left {
        return Err(HeaderProblem::TooLong { claimed, left });
    }
    if claimed > MAX_HEADER_BYTES {
        return Err(HeaderProblem::TooLarge { claimed });
    }
    Ok(claimed)
}

/// Parses and checks the header of a file whose data has `data_len` bytes.
pub fn parse(json: &[u8], data_len: u64) -> Result<Header, HeaderProblem> {
    let raw = json::read(json)?;
    let mut entries = BTreeMap::new();
    for (name, tensor) in raw.tensors {
        let entry = check_entry(&name, tensor, data_len)?;
        if entries.contains_key(&name) {
            return Err(HeaderProblem::Duplicate { name });
        }
        entries.insert(name, entry);
    }
    check_cover(&entries, data_len)?;
    Ok(Header { entries, metadata: raw.metadata })
}

fn check_entry(name: &str, raw: json::RawEntry, data_len: u64) -> Result<Entry, HeaderProblem> {
    let name = name.to_owned();
    let shape = raw.shape.0;
    let [begin, end] = raw.data_offsets;
    let Some(dtype) = Dtype::by_name(&raw.dtype) else {
        return Err(HeaderProblem::UnknownDtype { name, dtype: raw.dtype.into_owned() });
    };
    let Some(needed) = checked_bytes(&shape, dtype) else {
        return Err(HeaderProblem::Overflow { name, shape });
    };
    if end.checked_sub(begin) != Some(needed) {
        let dtype = dtype.name();
        return Err(HeaderProblem::Size { name, shape, dtype, needed, begin, end });
    }
    if end > data_len {
        return Err(HeaderProblem::Outside { name, end, found: data_len });
    }
    let shape = shape.into_iter().map(|size| size as usize).collect();
    Ok(Entry { dtype, shape, begin, shard: 0, origin: None })
}

/// Bytes of a tensor; nothing if a dimension, their product or the bytes exceed this machine.
fn checked_bytes(shape: &[u64], dtype: Dtype) -> Option<u64> {
    let mut bytes = dtype.size();
    // Without the zeros, so that `[0, 2^63, 2^63]` is caught: its product depends on the order.
    for &size in shape.iter().filter(|size| **size != 0) {
        bytes = bytes.checked_mul(usize::try_from(size).ok()?)?;
    }
    if shape.contains(&0) { Some(0) } else { Some(bytes as u64) }
}

/// The tensors, in order of their place, must follow each other without gap or overlap.
fn check_cover(entries: &BTreeMap<String, Entry>, data_len: u64) -> Result<(), HeaderProblem> {
    let mut places: Vec<(u64, u64, &str)> = entries
        .iter()
        .map(|(name, entry)| (entry.begin, entry.begin + entry.byte_len(), name.as_str()))
        .collect();
    places.sort_unstable();

    let mut covered = 0;
    let mut last = "";
    for (begin, end, name) in places {
        if begin > covered {
            return Err(HeaderProblem::Gap { from: covered, to: begin });
        }
        if begin < covered {
            let (name, other) = (name.to_owned(), last.to_owned());
            return Err(HeaderProblem::Overlap { name, begin, other });
        }
        (covered, last) = (end, name);
    }
    if covered < data_len {
        return Err(HeaderProblem::Gap { from: covered, to: data_len });
    }
    Ok(())
}

fn known_dtypes() -> impl fmt::Display {
    let names: Vec<&str> = DTYPES.iter().map(|row| row.1).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
