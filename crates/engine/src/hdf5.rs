//! HDF5 files of rows: for every sample its name and arrays of fixed shapes, in chunks, gzip-compressed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rust_hdf5::{H5Dataset, H5File, Hdf5Error};

use crate::{
    atomic_file::{publish, temporary_path},
    error::EngineError,
};

/// Numbers of a chunk, about.
const CHUNK: usize = 256 * 768;
/// Rows of a chunk, at most.
const CHUNK_ROWS: usize = 256;
/// gzip level of TAO's files.
const GZIP: u32 = 4;

/// What a file holds.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The arrays: name, and shape of a row; the data set is float32 [N, ..].
    pub arrays: Vec<(&'static str, Vec<usize>)>,
    /// The data set of names, UTF-8 of any length [N].
    pub names: &'static str,
    /// The attribute that holds N.
    pub count: &'static str,
    /// Attributes that are numbers.
    pub numbers: Vec<(&'static str, i64)>,
    /// Attributes that are texts.
    pub texts: Vec<(&'static str, String)>,
}

/// A file that is being written; it appears when it is finished.
pub struct RowsFile {
    file: H5File,
    arrays: Vec<H5Dataset>,
    layout: Layout,
    path: PathBuf,
    temporary: Temporary,
    count: usize,
}

/// Removes the file unless it has another name by then.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl RowsFile {
    /// Begins the file that will be `path`.
    pub fn create(path: &Path, layout: Layout) -> Result<Self, EngineError> {
        let temporary = Temporary(temporary_path(path));
        let problem = |reason| problem(path, &reason);
        let file = H5File::create(&temporary.0).map_err(problem)?;
        let made = layout.arrays.iter().map(|(name, sides)| create(&file, name, sides));
        let arrays = made.collect::<Result<Vec<H5Dataset>, _>>().map_err(problem)?;
        file.create_appendable_vlen_dataset(layout.names, CHUNK_ROWS, None).map_err(problem)?;
        Ok(Self { file, arrays, layout, path: path.to_owned(), temporary, count: 0 })
    }

    /// Adds rows: their names and, for each array, their values.
    pub fn append(&mut self, names: &[String], values: &[&[f32]]) -> Result<(), EngineError> {
        let problem = |reason| problem(&self.path, &reason);
        for (array, values) in self.arrays.iter().zip(values) {
            array.append(values).map_err(problem)?;
        }
        let texts: Vec<&str> = names.iter().map(String::as_str).collect();
        self.file.append_vlen_strings(self.layout.names, &texts).map_err(problem)?;
        self.count += names.len();
        Ok(())
    }

    /// Completes the file; returns the number of rows.
    pub fn finish(self) -> Result<usize, EngineError> {
        let Self { file, arrays, layout, path, temporary, count } = self;
        let problem = |reason| problem(&path, &reason);
        drop(arrays);
        file.set_attr_numeric(layout.count, &(count as i64)).map_err(problem)?;
        for (name, number) in &layout.numbers {
            file.set_attr_numeric(name, number).map_err(problem)?;
        }
        for (name, text) in &layout.texts {
            file.set_attr_string(name, text).map_err(problem)?;
        }
        file.close().map_err(problem)?;
        publish(&temporary.0, &path)?;
        Ok(count)
    }
}

fn problem(path: &Path, reason: &Hdf5Error) -> EngineError {
    EngineError::Hdf5 { path: path.to_owned(), reason: reason.to_string() }
}

fn create(file: &H5File, name: &str, sides: &[usize]) -> Result<H5Dataset, Hdf5Error> {
    let with_rows = |rows: usize| [&[rows], sides].concat();
    let row: usize = sides.iter().product();
    let largest: Vec<Option<usize>> =
        [None].into_iter().chain(sides.iter().map(|side| Some(*side))).collect();
    file.new_dataset::<f32>()
        .shape(with_rows(0))
        .chunk(&with_rows((CHUNK / row.max(1)).clamp(1, CHUNK_ROWS)))
        .max_shape(&largest)
        .deflate(GZIP)
        .create(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout {
            arrays: vec![("embeddings", vec![3]), ("pictures", vec![2, 2])],
            names: "image_paths",
            count: "num_images",
            numbers: vec![("embedding_dim", 3)],
            texts: vec![("hearth_recipe", "{}".to_owned())],
        }
    }

    #[test]
    fn rows_and_names_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image_embeddings.h5");
        let mut rows = RowsFile::create(&path, layout()).unwrap();
        for batch in 0..3_usize {
            let names: Vec<String> = (0..100).map(|i| format!("ä/{batch}-{i}.jpg")).collect();
            let numbers = |each: usize| -> Vec<f32> {
                (0..100 * each).map(|i| (batch * 100 * each + i) as f32).collect()
            };
            rows.append(&names, &[&numbers(3), &numbers(4)]).unwrap();
        }
        assert!(!path.exists());
        assert_eq!(rows.finish().unwrap(), 300);

        let file = H5File::open(&path).unwrap();
        let embeddings = file.dataset("embeddings").unwrap();
        assert_eq!(embeddings.shape(), [300, 3]);
        let row = embeddings.read_slice::<f32>(&[199, 0], &[1, 3]).unwrap();
        assert_eq!(row, [597.0, 598.0, 599.0]);
        let pictures = file.dataset("pictures").unwrap();
        let picture = pictures.read_slice::<f32>(&[299, 0, 0], &[1, 2, 2]).unwrap();
        assert_eq!(picture, [1196.0, 1197.0, 1198.0, 1199.0]);
        let names = file.dataset("image_paths").unwrap().read_vlen_strings().unwrap();
        assert_eq!(names[250], "ä/2-50.jpg");
    }

    #[test]
    fn what_is_not_finished_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text_embeddings.h5");
        let mut rows = RowsFile::create(&path, layout()).unwrap();
        rows.append(&["a".to_owned()], &[&[0.0; 3], &[0.0; 4]]).unwrap();
        drop(rows);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
