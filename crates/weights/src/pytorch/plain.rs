//! What a pickle holds besides tensors, as JSON.

use serde_json::{Map, Number, Value as Json};

use super::{
    problem::MAX_DEPTH,
    tensor::is_tensor,
    value::{Id, Value, Values},
};

/// Values that are written out; a value in two places counts twice.
const MAX_PLAIN: usize = 1 << 20;
/// Bytes of text that are written out.
const MAX_TEXT: usize = 64 << 20;
/// Stands for what goes beyond.
const TOO_MUCH: &str = "<too much>";

/// The values of a pickle without its tensors; nothing if there are no others.
///
/// Tuples and sets become lists, element types of tensors their names, a `Namespace` its
/// attributes. An instance of another class stays closed: `<module.Class>`.
pub(crate) fn plain(values: &Values, root: Id) -> Option<Json> {
    let mut writer = Writer { values, left: MAX_PLAIN, text_left: MAX_TEXT };
    match writer.value(root, 0) {
        Json::Object(entries) if entries.is_empty() => None,
        Json::Null => None,
        json => Some(json),
    }
}

struct Writer<'a> {
    values: &'a Values,
    left: usize,
    text_left: usize,
}

impl Writer<'_> {
    fn value(&mut self, id: Id, depth: usize) -> Json {
        if self.left == 0 || depth > MAX_DEPTH {
            return Json::from(TOO_MUCH);
        }
        self.left -= 1;
        if is_tensor(self.values, id) {
            return Json::Null;
        }
        match self.values.get(id) {
            Value::None | Value::Wide | Value::Bytes => Json::Null,
            Value::Bool(value) => Json::from(*value),
            Value::Int(value) => Json::from(*value),
            Value::Float(value) => match Number::from_f64(*value) {
                Some(number) => Json::Number(number),
                None => Json::from(value.to_string()),
            },
            Value::Text(span) => self.text(self.values.span_text(*span)),
            Value::Tuple(members) => self.list(members, depth),
            Value::List(members) => self.list(members, depth),
            Value::Global(..) => self.named(id),
            Value::Dict(_) => self.entries(self.values.entries(id), depth),
            Value::Call(..) | Value::Instance(_) => self.object(id, depth),
            Value::Outside(_) => Json::Null,
        }
    }

    fn text(&mut self, text: &str) -> Json {
        match self.text_left.checked_sub(text.len()) {
            Some(left) => self.text_left = left,
            None => return Json::from(TOO_MUCH),
        }
        Json::from(text)
    }

    fn list(&mut self, members: &[Id], depth: usize) -> Json {
        let mut list = Vec::new();
        for member in members {
            list.push(self.value(*member, depth + 1));
            if self.left == 0 {
                break;
            }
        }
        Json::Array(list)
    }

    /// Without tensors, and without dictionaries of nothing else.
    fn entries(&mut self, entries: Option<&[(Id, Id)]>, depth: usize) -> Json {
        let mut map = Map::new();
        for (key, value) in entries.unwrap_or_default() {
            if is_tensor(self.values, *value) {
                continue;
            }
            let json = self.value(*value, depth + 1);
            let only_tensors = json.as_object().is_some_and(Map::is_empty)
                && self.values.entries(*value).is_some_and(|entries| !entries.is_empty());
            if let Some(key) = self.key(*key).filter(|_| !only_tensors) {
                map.insert(key, json);
            }
            if self.left == 0 {
                break;
            }
        }
        Json::Object(map)
    }

    fn key(&mut self, id: Id) -> Option<String> {
        let key = match self.values.get(id) {
            Value::None => "None".to_owned(),
            Value::Bool(value) => value.to_string(),
            _ => self.values.name(id).unwrap_or_else(|| self.values.shown(id)),
        };
        self.text_left = self.text_left.checked_sub(key.len())?;
        Some(key)
    }

    fn named(&mut self, id: Id) -> Json {
        match self.values.global(id) {
            Some(("torch", name)) => self.text(name),
            _ => self.text(&self.values.shown(id)),
        }
    }

    fn object(&mut self, id: Id, depth: usize) -> Json {
        let values = self.values;
        match (values.class(id), values.call(id).map(|(_, args)| args)) {
            (Some(("argparse", "Namespace") | ("types", "SimpleNamespace")), _) => {
                self.entries(values.attributes(id), depth)
            }
            // A size, a set, a device, a list of TorchScript: as what it was made of.
            (
                Some(
                    ("torch", "Size" | "device")
                    | ("builtins" | "__builtin__", "set" | "frozenset")
                    | ("torch.jit._pickle", _),
                ),
                Some([inner, ..]),
            ) => self.value(*inner, depth + 1),
            (Some(_), _) if values.entries(id).is_some() => self.entries(values.entries(id), depth),
            _ => self.text(&values.shown(id)),
        }
    }
}
