//! The HDF5 files of `inference`: one row per picture or prompt, in TAO's layout.
//!
//! `embeddings` is float32 [N, width], chunked and gzip-compressed; `image_paths` or `texts` are
//! variable-length UTF-8 [N]. On the root stand TAO's attributes and `hearth_recipe`, how pictures and
//! texts were prepared.

use std::path::Path;

use hearth_engine::atomic_file::{publish, temporary_path};
use rust_hdf5::H5File;

use crate::error::ClipError;

/// Rows of a chunk.
const CHUNK: usize = 256;
/// gzip level of TAO's files.
const GZIP: u32 = 4;

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
    let temporary = temporary_path(path);
    let written = write_rows(&temporary, path, kind, (width, recipe), batches);
    if written.is_err() {
        // The first error is the one to report.
        let _ = std::fs::remove_file(&temporary);
    }
    let rows = written?;
    publish(&temporary, path)?;
    Ok(rows)
}

fn write_rows(
    temporary: &Path,
    path: &Path,
    kind: Kind,
    (width, recipe): (usize, &str),
    batches: impl Iterator<Item = Result<(Vec<String>, Vec<f32>), ClipError>>,
) -> Result<usize, ClipError> {
    let hdf5 = |reason: rust_hdf5::Hdf5Error| ClipError::Hdf5 {
        path: path.to_owned(),
        reason: reason.to_string(),
    };
    let file = H5File::create(temporary).map_err(hdf5)?;
    let embeddings = file
        .new_dataset::<f32>()
        .shape([0, width])
        .chunk(&[CHUNK, width])
        .max_shape(&[None, Some(width)])
        .deflate(GZIP)
        .create("embeddings")
        .map_err(hdf5)?;
    file.create_appendable_vlen_dataset(kind.names(), CHUNK, None).map_err(hdf5)?;

    let mut count = 0;
    for batch in batches {
        let (names, rows) = batch?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        embeddings.append(&rows).map_err(hdf5)?;
        file.append_vlen_strings(kind.names(), &names).map_err(hdf5)?;
        count += names.len();
    }
    file.set_attr_numeric(kind.count(), &(count as i64)).map_err(hdf5)?;
    file.set_attr_numeric("embedding_dim", &(width as i64)).map_err(hdf5)?;
    file.set_attr_string("embedding_type", kind.embedding_type()).map_err(hdf5)?;
    file.set_attr_string("hearth_recipe", recipe).map_err(hdf5)?;
    file.close().map_err(hdf5)?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_names_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image_embeddings.h5");
        let batches = (0..3).map(|batch: usize| {
            let names = (0..100).map(|i| format!("ä/{batch}-{i}.jpg")).collect();
            let rows = (0..300).map(|i| (batch * 300 + i) as f32).collect();
            Ok((names, rows))
        });
        assert_eq!(write(&path, Kind::Images, 3, "{}", batches).unwrap(), 300);

        let file = H5File::open(&path).unwrap();
        let embeddings = file.dataset("embeddings").unwrap();
        assert_eq!(embeddings.shape(), [300, 3]);
        let row = embeddings.read_slice::<f32>(&[199, 0], &[1, 3]).unwrap();
        assert_eq!(row, [597.0, 598.0, 599.0]);
        let names = file.dataset("image_paths").unwrap().read_vlen_strings().unwrap();
        assert_eq!(names[250], "ä/2-50.jpg");
    }

    #[test]
    fn an_error_in_the_middle_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text_embeddings.h5");
        let batches = [
            Ok((vec!["a".to_owned()], vec![1.0])),
            Err(ClipError::Hdf5 { path: path.clone(), reason: "planned".to_owned() }),
        ];
        assert!(write(&path, Kind::Texts, 1, "{}", batches.into_iter()).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
