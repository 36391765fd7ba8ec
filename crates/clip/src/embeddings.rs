//! The HDF5 files of `inference`: one row per picture or prompt, in TAO's layout.
//!
//! `embeddings` is float32 [N, width], chunked and gzip-compressed; `image_paths` or `texts` are
//! variable-length UTF-8 [N]. On the root stand TAO's attributes and `hearth_recipe`, how pictures and
//! texts were prepared.

use std::path::Path;

use hearth_engine::hdf5::{Layout, RowsFile};

use crate::error::ClipError;

/// What the rows of a file stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Pictures, named by their paths.
    Images,
    /// Prompts, named by their text.
    Texts,
}

impl Kind {
    /// `image_embeddings.h5` or `text_embeddings.h5`.
    pub(crate) fn file_name(self) -> &'static str {
        match self {
            Kind::Images => "image_embeddings.h5",
            Kind::Texts => "text_embeddings.h5",
        }
    }

    /// Name of the data set that names the rows.
    fn names(self) -> &'static str {
        match self {
            Kind::Images => "image_paths",
            Kind::Texts => "texts",
        }
    }

    fn count(self) -> &'static str {
        match self {
            Kind::Images => "num_images",
            Kind::Texts => "num_texts",
        }
    }

    fn embedding_type(self) -> &'static str {
        match self {
            Kind::Images => "image",
            Kind::Texts => "text",
        }
    }
}

/// Writes `path` from batches of (names, rows), reading one batch at a time; returns the number of
/// rows. The file appears when it is complete.
pub(crate) fn write(
    path: &Path,
    kind: Kind,
    width: usize,
    recipe: &str,
    batches: impl Iterator<Item = Result<(Vec<String>, Vec<f32>), ClipError>>,
) -> Result<usize, ClipError> {
    let layout = Layout {
        arrays: vec![("embeddings", vec![width])],
        names: kind.names(),
        count: kind.count(),
        numbers: vec![("embedding_dim", width as i64)],
        texts: vec![
            ("embedding_type", kind.embedding_type().to_owned()),
            ("hearth_recipe", recipe.to_owned()),
        ],
    };
    let mut file = RowsFile::create(path, layout)?;
    for batch in batches {
        let (names, rows) = batch?;
        file.append(&names, &[&rows])?;
    }
    Ok(file.finish()?)
}
