//! Everything in which a file and a model differ, at once.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::names::{in_kinds, listed};

/// Names of the file that one line of the message shows.
const SHOWN: usize = 6;

/// The differences that forbid a load. At least one list holds something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The file or folder.
    pub path: PathBuf,
    /// Name of the layout it has.
    pub layout: String,
    /// How many parameters the model has.
    pub parameters: usize,
    /// Parameters that the file does not hold.
    pub missing: Vec<Missing>,
    /// Tensors of the file that the model does not have.
    pub unexpected: Vec<Unexpected>,
    /// Parameters that have another shape in the file.
    pub misshapen: Vec<Misshapen>,
}

/// A parameter that the file does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The parameter.
    pub name: String,
    /// Tensors that would make it and are absent.
    pub looked_for: Vec<String>,
    /// A tensor of the file that nothing else uses and that is called nearly so.
    pub nearest: Option<String>,
}

/// A tensor of the file that the model does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unexpected {
    /// Its name in the file.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// A parameter that has another shape in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misshapen {
    /// The parameter.
    pub name: String,
    /// The tensor of the file.
    pub theirs: String,
    /// The shape there.
    pub found: Vec<usize>,
    /// The shape that the model needs there.
    pub needed: Vec<usize>,
}

impl Mismatch {
    pub(crate) fn new(path: &Path, layout: &str, parameters: usize) -> Mismatch {
        Mismatch {
            path: path.to_owned(),
            layout: layout.to_owned(),
            parameters,
            missing: Vec::new(),
            unexpected: Vec::new(),
            misshapen: Vec::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.misshapen.is_empty()
    }

    /// Which kinds of differences there are, and how many.
    fn counts(&self) -> String {
        let of_parameters = format!("of {} parameters", self.parameters);
        let kinds = [
            (
                self.missing.len(),
                format!("{of_parameters} is missing"),
                format!("{of_parameters} are missing"),
            ),
            (self.unexpected.len(), "tensor is unexpected".into(), "tensors are unexpected".into()),
            (self.misshapen.len(), "shape differs".into(), "shapes differ".into()),
        ];
        let told: Vec<String> = kinds
            .into_iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, one, several)| {
                format!("{count} {}", if count == 1 { one } else { several })
            })
            .collect();
        told.join(", ")
    }

    pub(crate) fn hints(&self) -> Vec<String> {
        let hint = if self.missing.len() == self.parameters {
            "the file holds another model than the one that is built"
        } else if !self.misshapen.is_empty() {
            "the file holds a model of another size than the one that is built"
        } else {
            return Vec::new();
        };
        vec![hint.to_owned()]
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.counts();
        write!(f, "{} (layout {}): {counts}", self.path.display(), self.layout)?;

        for kind in in_kinds(&self.missing, |missing| (missing.name.as_str(), ())) {
            let names = listed(kind.iter().map(|missing| missing.name.as_str()), SHOWN);
            let looked_for = kind.iter().flat_map(|missing| &missing.looked_for);
            let looked_for = listed(looked_for.map(String::as_str), SHOWN);
            write!(f, "\n  missing: {names}")?;
            if looked_for != names {
                write!(f, ", looked for {looked_for}")?;
            }
            let mut nearest =
                kind.iter().filter_map(|missing| missing.nearest.as_deref()).peekable();
            if nearest.peek().is_some() {
                write!(f, ", nearest in the file {}", listed(nearest, 1))?;
            }
        }
        for kind in in_kinds(&self.unexpected, |tensor| (tensor.name.as_str(), &tensor.shape)) {
            let names = listed(kind.iter().map(|tensor| tensor.name.as_str()), SHOWN);
            write!(f, "\n  unexpected: {names} of shape {:?}", kind[0].shape)?;
        }
        let shapes = |tensor: &Misshapen| (tensor.found.clone(), tensor.needed.clone());
        for kind in in_kinds(&self.misshapen, |tensor| (tensor.theirs.as_str(), shapes(tensor))) {
            let names = listed(kind.iter().map(|tensor| tensor.theirs.as_str()), SHOWN);
            let Misshapen { found, needed, .. } = kind[0];
            write!(f, "\n  shape: {names} is {found:?} in the file, the model needs {needed:?}")?;
        }
        Ok(())
    }
}
