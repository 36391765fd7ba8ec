//! Models that have left the house: which files a name means, what they say about themselves, and what
//! runs them.

mod account;
mod lookup;

use std::path::PathBuf;

use hearth_data::tokenizer::Tokenizer;
use hearth_deploy::{EngineRunner, OnnxRuntime, onnx, trt::TensorRtEngine};

use crate::{
    error::ClipError,
    recipe::{self, Recipe},
};
pub(crate) use account::Account;
pub(crate) use lookup::TOKENIZER;

/// Something that runs one file.
pub(crate) type Runner = Box<dyn EngineRunner + Send>;

/// What kind of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// Graphs, for ONNX Runtime.
    Onnx,
    /// Engines, for TensorRT on this GPU.
    Engine { gpu: usize },
}

/// The files of one model: one with both towers, or one for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exported {
    format: Format,
    files: Vec<PathBuf>,
}

impl Exported {
    /// Recipe and tokenizer: from the files, and from `tokenizer` or what lies beside them.
    pub(crate) fn read(&self, tokenizer: Option<&str>) -> Result<(Recipe, Tokenizer), ClipError> {
        let accounts = self.files.iter().map(|path| match self.format {
            Format::Onnx => Account::of_graph(path),
            Format::Engine { .. } => Account::of_engine(path),
        });
        let accounts = accounts.collect::<Result<Vec<Account>, ClipError>>()?;
        account::belong_together(&accounts)?;
        let places = match (tokenizer, self.format) {
            (Some(named), _) => vec![PathBuf::from(named)],
            (None, Format::Onnx) => vec![lookup::tokenizer_folder(&self.files[0])],
            (None, Format::Engine { .. }) => lookup::tokenizer_folders(&self.files[0]),
        };
        let (recipe, tokenizer) = recipe::of_export(&accounts[0], &places)?;
        accounts.iter().try_for_each(|account| account.check_shapes(&recipe))?;
        Ok((recipe, tokenizer))
    }

    /// What runs each file.
    pub(crate) fn open(&self) -> Result<Vec<Runner>, ClipError> {
        let mut runners: Vec<Runner> = Vec::new();
        match self.format {
            Format::Onnx => {
                let runtime = OnnxRuntime::find()?;
                for path in &self.files {
                    runners.push(Box::new(runtime.open(path)?));
                }
            }
            Format::Engine { gpu } => {
                for path in &self.files {
                    runners.push(Box::new(TensorRtEngine::open(path, gpu)?));
                }
            }
        }
        Ok(runners)
    }

    /// Every file whose bytes decide what the model computes.
    pub(crate) fn all_files(&self) -> Vec<PathBuf> {
        let values = self.files.iter().filter(|_| self.format == Format::Onnx);
        let values = values.map(|path| onnx::external_file(path)).filter(|path| path.exists());
        self.files.iter().cloned().chain(values).collect()
    }
}

#[cfg(test)]
mod tests;
