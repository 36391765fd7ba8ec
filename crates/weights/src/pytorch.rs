//! Files of `torch.save` and `torch.jit.save`, read without Python.
//!
//! The pickle inside such a file is a program. Here it is read as plain data: classes and
//! functions are names, never called. What a tensor needs is taken from the arguments of the call
//! that would rebuild it; its values are pieces of the file, read when they are asked for.

mod archive;
mod container;
mod machine;
mod plain;
mod problem;
mod state;
mod tape;
mod tensor;
mod value;
mod write;

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
};

pub use problem::PyTorchProblem;

use self::{
    container::{Container, Place},
    tensor::Sketch,
};
pub(crate) use self::{
    container::{is_legacy, zip_names},
    tensor::reach,
    write::PthWriter,
};
use crate::header::{Entry, Origin};

/// What an opened file says about itself.
pub(crate) struct Contents {
    pub(crate) entries: BTreeMap<String, Entry>,
    pub(crate) metadata: BTreeMap<String, String>,
    /// What stands beside the tensors.
    pub(crate) extra: Option<serde_json::Value>,
    /// Pieces of the file that tensors share, in order of [`Origin::storage`].
    pub(crate) storages: Vec<Checksum>,
}

/// A piece of a file, and what its bytes must sum up to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checksum {
    pub(crate) begin: u64,
    pub(crate) len: u64,
    pub(crate) crc: Option<u32>,
}

/// Opens a zip archive; nothing if it holds no pickle of PyTorch. With `strip`, a prefix that all
/// names share is left out: not so for a shard, whose index knows the full names.
pub(crate) fn open_zip(file: &File, strip: bool) -> Result<Option<Contents>, PyTorchProblem> {
    container::open_zip(file)?.map(|container| contents(&container, strip)).transpose()
}

/// Opens a file of PyTorch before 1.6.
pub(crate) fn open_legacy(file: &File, strip: bool) -> Result<Contents, PyTorchProblem> {
    contents(&container::open_legacy(file)?, strip)
}

fn contents(container: &Container, strip: bool) -> Result<Contents, PyTorchProblem> {
    let Container { values, root, storages } = container;
    let place = state::place(values, *root);
    let mut numbers = HashMap::new();
    let mut used = Vec::new();
    let mut entries = BTreeMap::new();
    for (name, id) in state::tensors(values, place, strip)? {
        let fail = |problem: String| PyTorchProblem::Tensor { name: name.clone(), problem };
        let sketch = tensor::sketch(values, id).map_err(fail)?;
        let Some(found) = storages.get(&sketch.storage) else {
            return Err(fail(format!(
                "has its values in `{}`, which is not there",
                sketch.storage
            )));
        };
        let needed = u128::from(sketch.storage_len) * sketch.dtype.size() as u128;
        if needed > u128::from(found.len) {
            let Sketch { storage, .. } = &sketch;
            let found = found.len;
            return Err(fail(format!(
                "needs storage `{storage}` of {needed} bytes, found {found}"
            )));
        }
        let storage = *numbers.entry(sketch.storage.clone()).or_insert_with(|| {
            used.push(Checksum::of(found));
            used.len() - 1
        });
        entries.insert(name, entry(sketch, found, storage));
    }
    Ok(Contents {
        entries,
        metadata: state::metadata(values, place),
        extra: plain::plain(values, *root),
        storages: used,
    })
}

fn entry(sketch: Sketch, place: &Place, storage: usize) -> Entry {
    let begin = place.begin + sketch.offset * sketch.dtype.size() as u64;
    let Sketch { dtype, shape, strides, .. } = sketch;
    Entry { dtype, shape, begin, shard: 0, origin: Some(Origin { storage, strides }) }
}

impl Checksum {
    fn of(place: &Place) -> Checksum {
        Checksum { begin: place.begin, len: place.len, crc: place.crc }
    }
}
