//! Pictures per second of the loader, as JSON lines; the other side is `benches/peers/loader.py`.
//!
//! `cargo run --release -p hearth-data --example loading -- FOLDER [train|evaluate] [THREADS] [BATCH] [WINDOWS]`

#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use hearth_data::DataError;
use hearth_data::decode::{Limits, decode, read_bytes};
use hearth_data::loader::{Dataset, Loader, Stage, Stages};
use hearth_data::random::Key;
use hearth_data::resize::Filter;
use hearth_data::sampler::EpochPlan;
use hearth_data::transform::{Augmentation, PictureRecipe, ResizeMode};

/// Batches that are measured together.
const WINDOW: usize = 16;

struct Pictures {
    paths: Vec<PathBuf>,
    recipe: PictureRecipe,
    augmentation: Option<Augmentation>,
    repeats: usize,
}

impl Dataset for Pictures {
    type Sample = Vec<f32>;

    fn len(&self) -> usize {
        self.paths.len() * self.repeats
    }

    fn sample(&self, index: usize, key: &Key, stages: &mut Stages) -> Result<Vec<f32>, DataError> {
        let path = &self.paths[index % self.paths.len()];
        let limits = Limits::default();
        let bytes = stages.time(Stage::Read, || read_bytes(path, limits.bytes))?;
        let picture = stages
            .time(Stage::Decode, || decode(&bytes, &limits))
            .map_err(|problem| problem.in_file(path))?;
        Ok(stages.time(Stage::Transform, || match &self.augmentation {
            Some(augmentation) => {
                let drawn = augmentation.draw(key, picture.width, picture.height);
                let picture = augmentation.apply(&picture, &drawn, self.recipe.size);
                self.recipe.normalise(&picture)
            }
            None => self.recipe.apply(&picture),
        }))
    }
}

fn pictures(folder: &Path, is_training: bool, samples: usize) -> std::io::Result<Pictures> {
    let entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let mut paths: Vec<PathBuf> = entries.iter().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "jpg"));
    paths.sort();
    let recipe = PictureRecipe {
        size: 224,
        resize: ResizeMode::ShortestSideThenCrop,
        filter: Filter::Bicubic,
        mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
        std: [0.268_629_54, 0.261_302_58, 0.275_777_11],
    };
    let augmentation =
        is_training.then(|| Augmentation { flip: 0.5, ..Augmentation::default() });
    let repeats = samples.div_ceil(paths.len().max(1));
    Ok(Pictures { paths, recipe, augmentation, repeats })
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| {
        arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let Some(folder) = arguments.first() else {
        println!("needed a folder of JPEG files");
        return ExitCode::FAILURE;
    };
    let transform = arguments.get(1).map_or("train", String::as_str);
    let (threads, batch, windows) = (number(2, 2), number(3, 16), number(4, 5));
    match measure(Path::new(folder), transform, threads, batch, windows) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn measure(
    folder: &Path,
    transform: &str,
    threads: usize,
    batch: usize,
    windows: usize,
) -> Result<(), Box<dyn std::error::Error>> {
    let dataset = pictures(folder, transform == "train", (windows + 1) * WINDOW * batch)?;
    let plan = EpochPlan::shuffled(7, 0, dataset.len(), batch);
    let mut batches = Loader::new(Arc::new(dataset), threads).batches(plan, 0);
    let mut seconds = Vec::new();
    // The first window fills queues and caches.
    for window in 0..=windows {
        let start = Instant::now();
        for _ in 0..WINDOW {
            let samples = batches.next().ok_or("no pictures")??;
            std::hint::black_box(samples.concat());
        }
        if window > 0 {
            seconds.push(start.elapsed().as_secs_f64() / WINDOW as f64);
        }
    }
    seconds.sort_by(f64::total_cmp);
    let (least, median) = (seconds[0], seconds[seconds.len() / 2]);
    println!(
        r#"{{"case": "loader_{transform}", "median_ms": {:.3}, "min_ms": {:.3}, "items_per_s": {:.0}}}"#,
        1e3 * median,
        1e3 * least,
        batch as f64 / least
    );
    println!("{}", batches.report());
    Ok(())
}
