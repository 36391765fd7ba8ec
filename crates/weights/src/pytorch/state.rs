//! The tensors of a checkpoint: which of its dictionaries holds them, and under which names.

use std::collections::{BTreeMap, HashSet};

use super::{
    problem::{MAX_DEPTH, MAX_PICKLE_BYTES, MAX_VALUES, PyTorchProblem},
    tensor::is_tensor,
    value::{Id, Values},
};

/// Where training programs put the weights, the preferred place first.
const PLACES: &[&str] = &["state_dict_ema", "state_dict", "model_state", "module", "model"];
/// What wrappers of a model put before every name.
const PREFIXES: &[&str] = &["module.", "_orig_mod.", "model."];
/// Where [`crate::save_pth`] keeps the metadata of a file: an attribute of its dictionary.
pub(super) const METADATA: &str = "hearth_metadata";

/// The dictionary that holds the weights.
pub(crate) fn place(values: &Values, root: Id) -> Id {
    // An archive of TorchScript is the model itself, and these may be names of its parts.
    if values.is_scripted(root) {
        return root;
    }
    let named = PLACES.iter().filter_map(|key| values.entry(root, key));
    let mut filled = named.filter(|id| holds_tensors(values, *id));
    filled.next().unwrap_or(root)
}

/// Whether a tensor stands in a dictionary or in one inside of it.
fn holds_tensors(values: &Values, id: Id) -> bool {
    let mut seen = HashSet::new();
    let mut left = vec![id];
    while let Some(id) = left.pop() {
        for (_, value) in values.entries(id).unwrap_or_default() {
            if is_tensor(values, *value) {
                return true;
            }
            if values.entries(*value).is_some() && seen.insert(*value) {
                left.push(*value);
            }
        }
    }
    false
}

/// All tensors below a dictionary, by the path to them. With `strip`, what all names begin with
/// is left out where it only says how the model was wrapped.
pub(crate) fn tensors(
    values: &Values,
    place: Id,
    strip: bool,
) -> Result<BTreeMap<String, Id>, PyTorchProblem> {
    let mut walk = Walk { values, found: BTreeMap::new(), visits: 0, name_bytes: 0 };
    walk.dictionary(place, "", 0)?;
    let mut found = walk.found;
    if found.is_empty() {
        return Err(PyTorchProblem::NoTensors { found: values.shown(place) });
    }
    while strip && let Some(prefix) = PREFIXES.iter().find(|prefix| all_begin(&found, prefix)) {
        let rest = |name: String| name[prefix.len()..].to_owned();
        found = found.into_iter().map(|(name, id)| (rest(name), id)).collect();
    }
    Ok(found)
}

fn all_begin(found: &BTreeMap<String, Id>, prefix: &str) -> bool {
    found.keys().all(|name| name.len() > prefix.len() && name.starts_with(prefix))
}

struct Walk<'a> {
    values: &'a Values,
    found: BTreeMap<String, Id>,
    visits: usize,
    name_bytes: u64,
}

impl Walk<'_> {
    fn dictionary(&mut self, id: Id, path: &str, depth: usize) -> Result<(), PyTorchProblem> {
        let limit = |limit, what| Err(PyTorchProblem::Limit { limit, what });
        if depth > MAX_DEPTH {
            return limit(MAX_DEPTH as u64, "dictionaries inside each other");
        }
        for (key, value) in self.values.entries(id).unwrap_or_default() {
            self.visits += 1;
            if self.visits > MAX_VALUES {
                return limit(MAX_VALUES as u64, "values");
            }
            let is_tensor = is_tensor(self.values, *value);
            if !is_tensor && self.values.entries(*value).is_none() {
                continue;
            }
            let Some(key) = self.values.name(*key) else { continue };
            let name = if path.is_empty() { key } else { format!("{path}.{key}") };
            if !is_tensor {
                self.dictionary(*value, &name, depth + 1)?;
                continue;
            }
            self.name_bytes += name.len() as u64;
            if self.name_bytes > MAX_PICKLE_BYTES {
                return limit(MAX_PICKLE_BYTES, "bytes of names");
            }
            if self.found.contains_key(&name) {
                let problem = "is listed twice".to_owned();
                return Err(PyTorchProblem::Tensor { name, problem });
            }
            self.found.insert(name, *value);
        }
        Ok(())
    }
}

/// Metadata that [`crate::save_pth`] left with the dictionary.
pub(crate) fn metadata(values: &Values, place: Id) -> BTreeMap<String, String> {
    let attributes = values.attributes(place).unwrap_or_default();
    let kept = attributes.iter().find(|(key, _)| values.text(*key) == Some(METADATA));
    let entries = kept.and_then(|(_, kept)| values.entries(*kept)).unwrap_or_default();
    let text = |id: Id| values.text(id).map(str::to_owned);
    entries.iter().filter_map(|(key, value)| Some((text(*key)?, text(*value)?))).collect()
}
