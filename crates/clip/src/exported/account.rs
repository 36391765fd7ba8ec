//! What a file of an export says about itself.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use hearth_deploy::{
    DeployError,
    onnx::{self, DimensionValue},
    trt::EngineCard,
};

use crate::{
    error::ClipError,
    export::names,
    recipe::{OF_EXPORT, Recipe},
};

/// The account of one file: a graph, or the card of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// The file.
    pub(crate) path: PathBuf,
    /// What the export wrote there.
    pub(crate) metadata: BTreeMap<String, String>,
    /// Inputs with their sides behind the batch; open ones are none.
    inputs: Vec<(String, Vec<Option<i64>>)>,
}

impl Account {
    pub(super) fn of_graph(path: &Path) -> Result<Account, ClipError> {
        let model = onnx::read_structure(path)?;
        let metadata = model.metadata_props.into_iter().map(|entry| (entry.key, entry.value));
        let graph = model.graph.unwrap_or_default();
        let inputs = graph.input.iter().map(|input| {
            let sides = input.sides().unwrap_or_default().into_iter().skip(1);
            let fixed = sides.map(|side| match side {
                Some(DimensionValue::Fixed(size)) => Some(size),
                _ => None,
            });
            (input.name.clone(), fixed.collect())
        });
        let (path, inputs) = (path.to_owned(), inputs.collect());
        Ok(Account { path, metadata: metadata.collect(), inputs })
    }

    pub(super) fn of_engine(path: &Path) -> Result<Account, ClipError> {
        let card = EngineCard::of(path).map_err(DeployError::from)?;
        let inputs = card
            .profile
            .into_iter()
            .map(|input| (input.name, input.max.into_iter().skip(1).map(Some).collect()));
        Ok(Account { path: path.to_owned(), metadata: card.metadata, inputs: inputs.collect() })
    }

    /// Fails where the file takes other pictures or texts than the recipe makes.
    pub(super) fn check_shapes(&self, recipe: &Recipe) -> Result<(), ClipError> {
        let size = i64::from(recipe.picture.size);
        let length = recipe.text.context_length as i64;
        for (name, sides) in &self.inputs {
            let needed = match name.as_str() {
                names::IMAGE => vec![3, size, size],
                names::INPUT_IDS | names::ATTENTION_MASK => vec![length],
                _ => continue,
            };
            let fits =
                |(side, needed): (&Option<i64>, &i64)| side.is_none_or(|side| side == *needed);
            if sides.len() != needed.len() || !sides.iter().zip(&needed).all(fits) {
                let sides: Vec<i64> = sides.iter().map(|side| side.unwrap_or(-1)).collect();
                let reason = format!(
                    "input `{name}` takes {sides:?} of a sample, its recipe makes {needed:?}"
                );
                return Err(ClipError::Graph { path: self.path.clone(), reason });
            }
        }
        Ok(())
    }
}

/// Fails where files that lie beside each other are of different models.
pub(super) fn belong_together(accounts: &[Account]) -> Result<(), ClipError> {
    let Some((first, others)) = accounts.split_first() else { return Ok(()) };
    let said = |account: &Account| OF_EXPORT.map(|key| account.metadata.get(key).cloned());
    match others.iter().find(|other| said(other) != said(first)) {
        None => Ok(()),
        Some(other) => {
            let reason = format!("{} is of another model", other.path.display());
            Err(ClipError::Graph { path: first.path.clone(), reason })
        }
    }
}
