//! `train.freeze`: modules that stay as they are, by the names that they have in TAO's files.

use std::collections::BTreeSet;

use burn::module::Module;
use hearth_spec::Document;
use hearth_weights::{KeyMap, parameters};

use crate::error::MaeError;

/// Parameters of the model that are not trained.
pub(crate) struct Freezing(BTreeSet<String>);

impl Freezing {
    /// The parameters below `paths`, such as `stages.0`, `blocks.3` or `encoder.stages.0`. A path without
    /// any is an error.
    pub(crate) fn of<M: Module>(
        document: &Document,
        paths: &[String],
        model: &M,
        layout: &KeyMap,
    ) -> Result<Freezing, MaeError> {
        let mut public = Vec::new();
        for parameter in parameters(model) {
            let theirs = layout.layout(std::slice::from_ref(&parameter))?.into_keys().next();
            public.push((parameter.name, theirs.unwrap_or_default()));
        }
        let (mut held, mut checks) = (BTreeSet::new(), document.check());
        for path in paths {
            let below = format!("{path}.");
            let found = public.iter().filter(|(_, theirs)| theirs.starts_with(&below));
            let before = held.len();
            held.extend(found.map(|(ours, _)| ours.clone()));
            if held.len() == before {
                let modules = modules(public.iter().map(|(_, theirs)| theirs.as_str()));
                let known: Vec<&str> = modules.iter().map(String::as_str).collect();
                checks
                    .error("train.freeze", format!("`{path}`"), "a module of the model")
                    .suggest(path, &known);
            }
        }
        checks.into_result()?;
        Ok(Freezing(held))
    }

    pub(crate) fn holds(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

/// Every module that holds parameters, itself or in others.
fn modules<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let mut modules = BTreeSet::new();
    for name in names {
        modules.extend(name.match_indices('.').map(|(at, _)| name[..at].to_owned()));
    }
    modules
}
