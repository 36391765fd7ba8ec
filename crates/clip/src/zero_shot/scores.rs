//! The file of all scores, written as they come: one line per picture, one column per class.

use std::{
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
};

use hearth_data::classes::Class;
use hearth_engine::{
    FileError,
    atomic_file::{publish, temporary_path},
    table::write_csv_row,
};

/// A file under its temporary name.
pub(super) struct Scores {
    path: PathBuf,
    out: BufWriter<File>,
    calibration: Calibration,
}

/// What makes logits of cosines.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Calibration {
    /// Multiplies a cosine.
    pub(crate) scale: f32,
    /// Is added then.
    pub(crate) bias: f32,
}

impl Scores {
    /// Begins the file with its header.
    pub(super) fn create(
        path: &Path,
        classes: &[Class],
        calibration: Calibration,
    ) -> Result<Self, FileError> {
        let file =
            File::create(temporary_path(path)).map_err(FileError::at("write this file", path))?;
        let mut scores = Self { path: path.to_owned(), out: BufWriter::new(file), calibration };
        let names = classes.iter().map(|class| class.name.clone());
        scores.write(["picture", "class"].map(str::to_owned).into_iter().chain(names).collect())?;
        Ok(scores)
    }

    /// Adds a picture of `class`.
    pub(super) fn add(
        &mut self,
        picture: &Path,
        class: &Class,
        cosines: &[f32],
    ) -> Result<(), FileError> {
        let columns = [picture.display().to_string(), class.name.clone()].into_iter();
        let Calibration { scale, bias } = self.calibration;
        let scores = cosines.iter().map(|cosine| (scale * cosine + bias).to_string());
        self.write(columns.chain(scores).collect())
    }

    /// Gives the file its name.
    pub(super) fn finish(self) -> Result<(), FileError> {
        let Self { path, out, .. } = self;
        out.into_inner()
            .map_err(|error| FileError::at("write this file", &path)(error.into_error()))?;
        publish(&temporary_path(&path), &path)
    }

    fn write(&mut self, row: Vec<String>) -> Result<(), FileError> {
        write_csv_row(&mut self.out, &row).map_err(FileError::at("write this file", &self.path))
    }
}
