//! What a pickle holds, as plain data: nothing that it names has been called.

use std::collections::HashMap;

/// One value of a pickle. The same value may stand in many places, also inside itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Id(pub(crate) u32);

/// A place in the bytes of the pickle.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) len: u32,
}

#[derive(Debug)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A number of more than 64 bits.
    Wide,
    /// Valid UTF-8.
    Text(Span),
    /// Their content is not looked at.
    Bytes,
    Tuple(Box<[Id]>),
    /// Also a set.
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// Module and name of a class or a function.
    Global(Span, Span),
    /// What Python would call, and with what.
    Call(Id, Id),
    /// What Python would make an instance of.
    Instance(Id),
    /// What lies outside of the pickle: a storage.
    Outside(Id),
}

/// All values of one or several pickles.
#[derive(Debug, Default)]
pub(crate) struct Values {
    pub(crate) bytes: Vec<u8>,
    pub(crate) all: Vec<Value>,
    /// Attributes, of instances and of dictionaries.
    pub(crate) states: HashMap<Id, Id>,
    /// Entries of instances that are dictionaries too.
    pub(crate) items: HashMap<Id, Vec<(Id, Id)>>,
}

impl Values {
    pub(crate) fn get(&self, id: Id) -> &Value {
        &self.all[id.0 as usize]
    }

    pub(crate) fn slice(&self, span: Span) -> &[u8] {
        &self.bytes[span.start as usize..][..span.len as usize]
    }

    pub(crate) fn span_text(&self, span: Span) -> &str {
        std::str::from_utf8(self.slice(span)).unwrap_or_default()
    }

    pub(crate) fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Value::Text(span) => Some(self.span_text(*span)),
            _ => None,
        }
    }

    pub(crate) fn int(&self, id: Id) -> Option<i64> {
        match self.get(id) {
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// Members of a tuple or a list.
    pub(crate) fn members(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Tuple(members) => Some(members),
            Value::List(members) => Some(members),
            _ => None,
        }
    }

    pub(crate) fn global(&self, id: Id) -> Option<(&str, &str)> {
        match self.get(id) {
            Value::Global(module, name) => Some((self.span_text(*module), self.span_text(*name))),
            _ => None,
        }
    }

    /// A call of a named function: the name, and the arguments.
    pub(crate) fn call(&self, id: Id) -> Option<((&str, &str), &[Id])> {
        match self.get(id) {
            Value::Call(callable, args) => Some((self.global(*callable)?, self.members(*args)?)),
            _ => None,
        }
    }

    /// The class of an instance.
    pub(crate) fn class(&self, id: Id) -> Option<(&str, &str)> {
        match self.get(id) {
            Value::Instance(class) | Value::Call(class, _) => self.global(*class),
            _ => None,
        }
    }

    /// Entries of a dictionary of any class, or attributes of a module of TorchScript.
    pub(crate) fn entries(&self, id: Id) -> Option<&[(Id, Id)]> {
        if let Value::Dict(entries) = self.get(id) {
            return Some(entries);
        }
        if self.is_scripted(id) {
            return self.attributes(id);
        }
        self.items.get(&id).map(Vec::as_slice)
    }

    /// Whether a value is a module of TorchScript.
    pub(crate) fn is_scripted(&self, id: Id) -> bool {
        let module = self.class(id).map(|(module, _)| module);
        module.is_some_and(|module| module == "__torch__" || module.starts_with("__torch__."))
    }

    /// What was given to an instance as its attributes.
    pub(crate) fn attributes(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.get(*self.states.get(&id)?) {
            Value::Dict(attributes) => Some(attributes),
            _ => None,
        }
    }

    /// The value of a key; of several equal keys the last one counts, as in Python.
    pub(crate) fn entry(&self, id: Id, key: &str) -> Option<Id> {
        let mut entries = self.entries(id)?.iter().rev();
        entries.find(|(name, _)| self.text(*name) == Some(key)).map(|(_, value)| *value)
    }

    /// A text or a whole number, as the name of an entry or a storage.
    pub(crate) fn name(&self, id: Id) -> Option<String> {
        self.text(id).map(str::to_owned).or_else(|| self.int(id).map(|number| number.to_string()))
    }

    /// For messages and for values that stay closed: `<argparse.Namespace>`.
    pub(crate) fn shown(&self, id: Id) -> String {
        let named = |(module, name): (&str, &str)| format!("<{module}.{name}>");
        match self.get(id) {
            Value::None => "None".to_owned(),
            Value::Bool(_) => "a boolean".to_owned(),
            Value::Int(_) | Value::Float(_) | Value::Wide => "a number".to_owned(),
            Value::Text(_) => "a text".to_owned(),
            Value::Bytes => "bytes".to_owned(),
            Value::Tuple(_) | Value::List(_) => "a list".to_owned(),
            Value::Dict(_) => "a dictionary".to_owned(),
            Value::Global(..) => self.global(id).map(named).unwrap_or_default(),
            Value::Call(..) | Value::Instance(_) => {
                self.class(id).map_or_else(|| "<object>".to_owned(), named)
            }
            Value::Outside(_) => "<storage>".to_owned(),
        }
    }
}
