//! What an autoencoder makes of pictures behind masks: sheets, and the numbers on them.

use hearth_backbones::Mode;
use hearth_data::encode::png;
use hearth_engine::{
    Summary, atomic_file,
    hdf5::{Layout, RowsFile},
};

use super::{Job, values};
use crate::{
    autoencoder::Autoencoder,
    error::MaeError,
    evaluate::pretraining,
    recipe::Reconstructions,
    sheet::{self, Row},
    task::{Batch, PretrainTask},
};

/// Pictures on a sheet.
const ROWS: usize = 8;
/// File of the numbers that sheets show.
const ARRAYS: &str = "reconstructions.h5";

/// What is shown of some pictures.
struct Shown {
    names: Vec<String>,
    rows: Vec<Row>,
}

impl Job<'_> {
    /// Writes sheets of the first pictures, and what else the spec asks for.
    pub(super) fn show(
        &self,
        model: &Autoencoder,
        numbers: &Reconstructions,
    ) -> Result<Summary, MaeError> {
        let task = pretraining(self.setup, numbers, self.run);
        let mut written = self.sheets(&task, model)?;
        if let Some(mut file) = self.features(self.setup.encoder().width())? {
            let of_part = |batch: Batch| {
                let images = batch.images(task.image_size, &task.device);
                let pooled = model.features(images, Mode::default()).mean_dim(1);
                Ok((batch.names, values(pooled)))
            };
            self.each(&self.data, of_part, |(names, rows)| Ok(file.append(&names, &[&rows])?))?;
            written.extend(self.finish(Some(file))?);
        }
        Ok(written.join("\n").into())
    }

    /// Writes the sheets, and the numbers on them if the spec asks for them: a line about each file.
    fn sheets(&self, task: &PretrainTask, model: &Autoencoder) -> Result<Vec<String>, MaeError> {
        let own = &self.spec.hearth.inference;
        let (all, first) = (self.data.len(), self.data.dataset().first(own.sheet_pictures));
        if first.files.len() < all {
            let shown = first.files.len();
            self.run.notice(&format!(
                "the sheets show the first {shown} of {all} pictures; \
                 `hearth.inference.sheet_pictures` says how many"
            ));
        }
        let data = self.data.with(first);
        let mut arrays = own.arrays.then(|| self.arrays()).transpose()?;
        let (mut waiting, mut written): (Vec<Row>, Vec<String>) = Default::default();
        let of_part = |batch: Batch| Ok(shown(task, model, batch));
        let take = |Shown { names, rows }: Shown| -> Result<(), MaeError> {
            for (name, row) in names.iter().zip(rows) {
                if let Some(file) = &mut arrays {
                    self.append_arrays(file, name, &row)?;
                }
                waiting.push(row);
                if waiting.len() == ROWS {
                    written.push(self.sheet(&std::mem::take(&mut waiting), written.len())?);
                }
            }
            Ok(())
        };
        self.each(&data, of_part, take)?;
        if !waiting.is_empty() {
            written.push(self.sheet(&waiting, written.len())?);
        }
        if let Some(file) = arrays {
            let rows = file.finish()?;
            let path = self.run.results.join(ARRAYS);
            written.push(format!("{}: {rows} pictures as numbers", path.display()));
        }
        Ok(written)
    }

    /// Writes sheet number `number`.
    fn sheet(&self, rows: &[Row], number: usize) -> Result<String, MaeError> {
        let picture = &self.setup.recipe.picture;
        let sheet = sheet::draw(rows, picture.mean, picture.std);
        let path = self.run.results.join(format!("reconstructions_{number:03}.png"));
        atomic_file::write(&path, &png(&sheet))?;
        Ok(format!("{}: original, masked, reconstruction", path.display()))
    }

    fn arrays(&self) -> Result<RowsFile, MaeError> {
        let size = self.setup.recipe.size();
        let picture = vec![3, size, size];
        let layout = Layout {
            arrays: ["images", "masks", "reconstructions"].map(|n| (n, picture.clone())).into(),
            names: "image_paths",
            count: "num_images",
            numbers: Vec::new(),
            texts: vec![("hearth_recipe", self.setup.recipe.to_json())],
        };
        Ok(RowsFile::create(&self.run.results.join(ARRAYS), layout)?)
    }

    /// Pictures from 0 to 1, and masks that are 1 where a pixel is masked.
    fn append_arrays(&self, file: &mut RowsFile, name: &str, row: &Row) -> Result<(), MaeError> {
        let picture = &self.setup.recipe.picture;
        let plane = row.original.len() / 3;
        let visible = |values: &[f32]| -> Vec<f32> {
            let places = values.iter().enumerate();
            places
                .map(|(at, value)| {
                    let channel = at / plane;
                    value * picture.std[channel] as f32 + picture.mean[channel] as f32
                })
                .collect()
        };
        let (original, reconstruction) = (visible(&row.original), visible(&row.reconstruction));
        Ok(file.append(&[name.to_owned()], &[&original, &row.masked, &reconstruction])?)
    }
}

fn shown(task: &PretrainTask, model: &Autoencoder, batch: Batch) -> Shown {
    let images = batch.images(task.image_size, &task.device);
    let cells = task.own_cells(&batch);
    let prediction = model.forward(images.clone(), &cells, task.mask_mode, Mode::default());
    Shown { rows: sheet::rows(images, &prediction, task.normalizes()), names: batch.names }
}
