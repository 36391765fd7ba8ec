//! From the call that would rebuild a tensor in Python to its type, its shape and its place.

use super::value::{Id, Value, Values};
use crate::header::{Dtype, MAX_RANK};

/// A tensor that shows the same values several times, as `expand` makes it, may have this many.
const MAX_REPEATED: usize = 1 << 24;

/// A tensor as the pickle describes it, not yet looked up in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sketch {
    pub(crate) storage: String,
    pub(crate) dtype: Dtype,
    /// Elements of the storage, as announced.
    pub(crate) storage_len: u64,
    /// First element in the storage.
    pub(crate) offset: u64,
    pub(crate) shape: Vec<usize>,
    /// In elements; none where the values follow each other.
    pub(crate) strides: Option<Vec<usize>>,
}

/// Element type of a typed storage of PyTorch.
pub(crate) fn storage_dtype(class: &str) -> Option<Dtype> {
    Some(match class {
        "FloatStorage" => Dtype::F32,
        "DoubleStorage" => Dtype::F64,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::BF16,
        "LongStorage" => Dtype::I64,
        "IntStorage" => Dtype::I32,
        "ShortStorage" => Dtype::I16,
        "CharStorage" => Dtype::I8,
        "ByteStorage" => Dtype::U8,
        "BoolStorage" => Dtype::Bool,
        _ => return None,
    })
}

/// Element types that have no storage of their own.
fn named_dtype(name: &str) -> Option<Dtype> {
    Some(match name {
        "uint16" => Dtype::U16,
        "uint32" => Dtype::U32,
        "uint64" => Dtype::U64,
        "float8_e4m3fn" => Dtype::F8E4M3,
        "float8_e5m2" => Dtype::F8E5M2,
        _ => return None,
    })
}

/// How a tensor is rebuilt: the function, and its arguments.
struct Rebuild<'a> {
    function: &'a str,
    args: &'a [Id],
}

/// The call that stands behind a value, if it is a tensor or a parameter.
fn rebuild(values: &Values, mut id: Id) -> Option<Rebuild<'_>> {
    // A subclass of a parameter of a tensor: no honest file nests deeper.
    for _ in 0..4 {
        let ((module, function), args) = values.call(id)?;
        match (module, function) {
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                id = *args.first()?;
            }
            ("torch._tensor", "_rebuild_from_type_v2") => {
                let [inner, _, args, ..] = args else { return None };
                let ("torch._utils", function) = values.global(*inner)? else { return None };
                return Some(Rebuild { function, args: values.members(*args)? });
            }
            ("torch._utils", _) if function.starts_with("_rebuild") => {
                return Some(Rebuild { function, args });
            }
            _ => return None,
        }
    }
    None
}

/// Whether a value is a tensor, of whatever kind.
pub(crate) fn is_tensor(values: &Values, id: Id) -> bool {
    rebuild(values, id).is_some()
}

/// Reads the description of a tensor; the error completes "tensor `name` …".
pub(crate) fn sketch(values: &Values, id: Id) -> Result<Sketch, String> {
    let Some(Rebuild { function, args }) = rebuild(values, id) else {
        return Err("is no tensor".to_owned());
    };
    let known = matches!(function, "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3");
    let ([storage, offset, shape, strides, rest @ ..], true) = (args, known) else {
        return Err(format!("is of the kind `torch._utils.{function}`, need a plain tensor"));
    };
    let storage = Storage::read(values, *storage)?;
    let named = rest.get(2).filter(|_| function == "_rebuild_tensor_v3");
    let dtype = match named.and_then(|dtype| values.global(*dtype)) {
        Some((_, name)) => named_dtype(name).ok_or_else(|| format!("has type `torch.{name}`"))?,
        None => storage.dtype.ok_or_else(|| format!("has a storage `torch.{}`", storage.class))?,
    };
    // An untyped storage is measured in bytes.
    let storage_len = match storage.dtype {
        Some(_) => storage.len,
        None => storage.len / dtype.size() as u64,
    };
    let offset = whole(values, *offset, "offset")?.checked_add(storage.offset);
    let sketch = Sketch {
        storage: storage.key,
        dtype,
        storage_len,
        offset: offset.ok_or("has an offset that overflows")?,
        shape: sizes(values, *shape, "shape")?,
        strides: Some(sizes(values, *strides, "strides")?),
    };
    checked(sketch)
}

/// The tensor lies inside of its storage and has no more values than that, or hardly more.
fn checked(mut sketch: Sketch) -> Result<Sketch, String> {
    let Sketch { shape, storage, storage_len, offset, .. } = &sketch;
    let strides = sketch.strides.as_deref().unwrap_or_default();
    if shape.len() != strides.len() || shape.len() > MAX_RANK {
        let strides = strides.len();
        return Err(format!("has {} dimensions and {strides} strides", shape.len()));
    }
    let count = shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
    let count = count.filter(|count| count.checked_mul(8).is_some());
    let Some(count) = count else {
        return Err(format!("has shape {shape:?}, its size overflows"));
    };
    let reach = reach(shape, strides).and_then(|reach| reach.checked_add(*offset));
    if reach.is_none_or(|reach| reach > *storage_len) {
        return Err(format!(
            "of shape {shape:?}, strides {strides:?} and offset {offset} does not fit into storage \
             `{storage}` of {storage_len} values"
        ));
    }
    if count as u64 > *storage_len && count > MAX_REPEATED {
        return Err(format!(
            "repeats {storage_len} values {count} times, the limit is {MAX_REPEATED}"
        ));
    }
    if is_contiguous(shape, strides) {
        sketch.strides = None;
    }
    Ok(sketch)
}

/// How many values lie between the first and the last, both counted.
pub(crate) fn reach(shape: &[usize], strides: &[usize]) -> Option<u64> {
    if shape.contains(&0) {
        return Some(0);
    }
    let mut steps = shape.iter().zip(strides);
    steps.try_fold(1u64, |reach, (size, stride)| {
        reach.checked_add((*size as u64 - 1).checked_mul(*stride as u64)?)
    })
}

fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    shape.iter().zip(strides).rev().all(|(size, stride)| {
        let right = *size == 1 || *stride == expected;
        expected *= size;
        right
    }) || shape.contains(&0)
}

struct Storage {
    key: String,
    class: String,
    dtype: Option<Dtype>,
    len: u64,
    offset: u64,
}

impl Storage {
    /// `('storage', type, key, device, number of elements)`, in old files with a view behind.
    fn read(values: &Values, id: Id) -> Result<Storage, String> {
        let fields = match values.get(id) {
            Value::Outside(id) => values.members(*id),
            _ => None,
        };
        let Some([mark, class, key, _, len, view @ ..]) = fields else {
            return Err("has no storage".to_owned());
        };
        let class = values.global(*class).map(|(_, class)| class.to_owned());
        let (Some("storage"), Some(class), Some(key)) =
            (values.text(*mark), class, values.name(*key))
        else {
            return Err("has a storage without a type or a name".to_owned());
        };
        let len = whole(values, *len, "storage size")?;
        let view = view.first().and_then(|view| values.members(*view));
        let (offset, end) = match view {
            Some([_, offset, size]) => {
                let offset = whole(values, *offset, "storage view")?;
                (offset, offset.checked_add(whole(values, *size, "storage view")?))
            }
            _ => (0, Some(len)),
        };
        match end.filter(|end| *end <= len) {
            Some(len) => Ok(Storage { dtype: storage_dtype(&class), key, class, len, offset }),
            None => Err(format!("has a view beyond the end of storage `{key}`")),
        }
    }
}

fn sizes(values: &Values, id: Id, what: &str) -> Result<Vec<usize>, String> {
    // `torch.Size` and a list of TorchScript hold the numbers inside.
    let inner = values.call(id).and_then(|(_, args)| args.first().copied());
    let Some(members) = values.members(inner.unwrap_or(id)) else {
        return Err(format!("has a {what} that is no list"));
    };
    if members.len() > MAX_RANK {
        return Err(format!("has a {what} of {} numbers", members.len()));
    }
    members.iter().map(|id| whole(values, *id, what).map(|size| size as usize)).collect()
}

fn whole(values: &Values, id: Id, what: &str) -> Result<u64, String> {
    match values.int(id) {
        Some(number) if number >= 0 => Ok(number as u64),
        Some(number) => Err(format!("has {number} in its {what}")),
        None => Err(format!("has {} in its {what}, need a number", values.shown(id))),
    }
}
