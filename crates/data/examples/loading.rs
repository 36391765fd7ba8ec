//! Pictures per second of the loader, as JSON lines; the other side is `benches/peers/loader.py`.
//!
//! `cargo run --release -p hearth-data --example loading -- FOLDER [train|finetune|evaluate|draft] [THREADS] [BATCH] [WINDOWS]`

#![expect(clippy::print_stdout, reason = "a program for people")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use hearth_data::DataError;
use hearth_data::decode::{Limits, Reading, decode_part, read_bytes};
use hearth_data::loader::{Dataset, Loader, Stage, Stages};
use hearth_data::picture::Picture;
use hearth_data::random::Key;
use hearth_data::resize::Filter;
use hearth_data::sampler::EpochPlan;
use hearth_data::transform::{Augmentation, PictureRecipe, RandAugment, ResizeMode, fill_colour};
use serde_json::{Value, json};

/// Batches that are measured together.
const WINDOW: usize = 16;

struct Pictures {
    paths: Vec<PathBuf>,
    recipe: PictureRecipe,
    augmentation: Option<Augmentation>,
    repeats: usize,
    draft: bool,
}

impl Dataset for Pictures {
    type Sample = Picture;

    fn len(&self) -> usize {
        self.paths.len() * self.repeats
    }

    fn sample(&self, index: usize, key: &Key, stages: &mut Stages) -> Result<Picture, DataError> {
        let path = &self.paths[index % self.paths.len()];
        let limits = Limits::default();
        let bytes = stages.time(Stage::Read, || read_bytes(path, limits.bytes))?;
        let drawn = |width, height| {
            self.augmentation.as_ref().map(|augmentation| {
                let drawn = augmentation.draw(key, width, height);
                (augmentation.view(&drawn, self.recipe.size), drawn)
            })
        };
        let view = |width, height| {
            drawn(width, height).map_or_else(|| self.recipe.view(width, height), |drawn| drawn.0)
        };
        let reading = Reading { draft: self.draft, ..Reading::default() };
        let part = stages
            .time(Stage::Decode, || decode_part(&bytes, &reading, view))
            .map_err(|problem| problem.in_file(path))?;
        Ok(stages.time(Stage::Transform, || {
            let mut picture = part.view();
            if let Some((_, drawn)) = drawn(part.width, part.height) {
                drawn.finish(&mut picture);
            }
            picture
        }))
    }
}

fn pictures(folder: &Path, case: &str, samples: usize) -> std::io::Result<Pictures> {
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
    let augmentation = match case {
        "train" => Some(Augmentation { flip: 0.5, ..Augmentation::default() }),
        "finetune" => Some(finetune()?),
        _ => None,
    };
    let repeats = samples.div_ceil(paths.len().max(1));
    let draft = case == "draft";
    Ok(Pictures { paths, recipe, augmentation, repeats, draft })
}

/// What TAO's MAE does to pictures in fine-tuning.
fn finetune() -> std::io::Result<Augmentation> {
    let policy = RandAugment::parse("rand-m9-mstd0.5-inc1").map_err(std::io::Error::other)?;
    let fill = fill_colour([0.485, 0.456, 0.406]);
    Ok(Augmentation {
        scale: [0.1, 2.0],
        ratio: [0.75, 1.33],
        filter: Filter::Bilinear.into(),
        flip: 0.5,
        rand_augment: Some(RandAugment { fill, ..policy }),
        ..Augmentation::default()
    })
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| {
        arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let case = arguments.get(1).map_or("train", String::as_str);
    let folder = arguments.first().map(Path::new);
    let cases = ["train", "finetune", "evaluate", "draft"];
    let Some(folder) = folder.filter(|_| cases.contains(&case)) else {
        println!("needed a folder of JPEG files, and one of {cases:?}");
        return ExitCode::FAILURE;
    };
    let (threads, batch, windows) = (number(2, 2), number(3, 16), number(4, 5));
    match measure(folder, case, threads, batch, windows) {
        Ok(line) => println!("{line}"),
        Err(problem) => {
            println!("{problem}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn measure(
    folder: &Path,
    case: &str,
    threads: usize,
    batch: usize,
    windows: usize,
) -> Result<Value, Box<dyn std::error::Error>> {
    let dataset = pictures(folder, case, (windows + 1) * WINDOW * batch)?;
    let plan = EpochPlan::shuffled(7, 0, dataset.len(), batch);
    let loader = Loader::new(Arc::new(dataset), threads);
    let mut batches = loader.batches(plan, 0);
    let mut milliseconds = Vec::new();
    // The first window fills queues and caches.
    for window in 0..=windows {
        let start = Instant::now();
        for _ in 0..WINDOW {
            let pictures = batches.next().ok_or("no pictures")??;
            std::hint::black_box(collate(&loader.dataset().recipe, &pictures));
        }
        if window > 0 {
            milliseconds.push(1e3 * start.elapsed().as_secs_f64() / WINDOW as f64);
        }
    }
    milliseconds.sort_by(f64::total_cmp);
    let report = batches.report();
    let rates: serde_json::Map<String, Value> = Stage::ALL
        .into_iter()
        .filter_map(|stage| Some((stage.name().to_owned(), report.rate(stage)?.round().into())))
        .collect();
    Ok(json!({
        "case": format!("loader_{case}"),
        "median_ms": milliseconds[milliseconds.len() / 2],
        "min_ms": milliseconds[0],
        "items_per_s": (1e3 * batch as f64 / milliseconds[0]).round(),
        "rates_per_thread": rates,
    }))
}

fn collate(recipe: &PictureRecipe, pictures: &[Picture]) -> Vec<f32> {
    let values = 3 * (recipe.size * recipe.size) as usize;
    let mut input = vec![0.0; values * pictures.len()];
    for (picture, input) in pictures.iter().zip(input.chunks_exact_mut(values)) {
        recipe.write(picture, input);
    }
    input
}
