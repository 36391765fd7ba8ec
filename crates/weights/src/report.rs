//! What a load did, for the user to read.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::names::{grouped, listed};

/// Names shown of each kind.
const SHOWN: usize = 3;

/// Every parameter of the model and every tensor of the file, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadReport {
    /// The file or folder.
    pub path: PathBuf,
    /// Name of the layout it has.
    pub layout: String,
    /// How many parameters the model has.
    pub parameters: usize,
    /// Parameters found under their own name.
    pub matched: Vec<String>,
    /// Parameters found under another name or in another layout.
    pub renamed: Vec<Renamed>,
    /// Parameters fitted from another shape.
    pub resized: Vec<Resized>,
    /// Parameters that stay as initialised, as was allowed.
    pub fresh: Vec<String>,
    /// Tensors of the file that were left out, as was allowed.
    pub dropped: Vec<String>,
    /// Tensors of the file that carry nothing in this layout.
    pub ignored: Vec<String>,
}

/// A parameter that the file holds under another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamed {
    /// The parameter.
    pub ours: String,
    /// Tensors of the file that make it, or the one it is a part of.
    pub theirs: Vec<String>,
}

/// A parameter that was fitted from another shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resized {
    /// The parameter.
    pub name: String,
    /// How.
    pub method: &'static str,
    /// Shape in the file.
    pub from: Vec<usize>,
    /// Shape in the model.
    pub to: Vec<usize>,
}

impl LoadReport {
    pub(crate) fn new(path: &Path, layout: &str, parameters: usize) -> LoadReport {
        LoadReport {
            path: path.to_owned(),
            layout: layout.to_owned(),
            parameters,
            matched: Vec::new(),
            renamed: Vec::new(),
            resized: Vec::new(),
            fresh: Vec::new(),
            dropped: Vec::new(),
            ignored: Vec::new(),
        }
    }

    /// How many parameters took their values from the file.
    pub fn loaded(&self) -> usize {
        self.matched.len() + self.renamed.len() + self.resized.len()
    }

    fn renamed_names(&self) -> String {
        let ours: Vec<&str> = self.renamed.iter().map(|renamed| renamed.ours.as_str()).collect();
        let theirs = self.renamed.iter().flat_map(|renamed| &renamed.theirs);
        let theirs = grouped(theirs.map(String::as_str));
        match theirs.first() {
            Some(first) => format!("{}, from `{}` and so on", listed(ours, SHOWN), first.shown),
            None => String::new(),
        }
    }

    fn resized_names(&self) -> String {
        let each: Vec<String> = self
            .resized
            .iter()
            .map(|Resized { name, method, from, to }| {
                format!("`{name}` {from:?} -> {to:?} ({method})")
            })
            .collect();
        each.join(", ")
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (loaded, all) = (self.loaded(), self.parameters);
        write!(f, "{}: {loaded} of {all} parameters, layout {}", self.path.display(), self.layout)?;
        let names = |names: &[String]| listed(names.iter().map(String::as_str), SHOWN);
        let rows = [
            ("matched", self.matched.len(), names(&self.matched)),
            ("renamed", self.renamed.len(), self.renamed_names()),
            ("resized", self.resized.len(), self.resized_names()),
            ("fresh", self.fresh.len(), names(&self.fresh)),
            ("dropped", self.dropped.len(), names(&self.dropped)),
            ("ignored", self.ignored.len(), names(&self.ignored)),
        ];
        for (kind, count, names) in rows {
            if count > 0 {
                write!(f, "\n  {kind:<8} {count:>5}  {names}")?;
            }
        }
        Ok(())
    }
}
