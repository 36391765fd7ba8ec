//! Pictures and captions per second on one thread.
//!
//! ```console
//! $ cargo run --release -p hearth-data --example throughput -- PICTURES CAPTIONS TOKENIZER [RULES]
//! ```
//!
//! PICTURES is a folder, CAPTIONS a text file with one caption a line, TOKENIZER what
//! [`Tokenizer::load`] takes, RULES one of `siglip2`, `clip_bpe`, `bert_strip_sep`.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use hearth_data::decode::{Limits, decode, read_bytes};
use hearth_data::inputs::{PictureSource, pictures, prompts};
use hearth_data::loader::{Stage, Stages};
use hearth_data::tokenizer::{TextRecipe, Tokenizer};
use hearth_data::transform::PictureRecipe;
use serde_json::json;

/// Seconds for each measurement at least.
const SECONDS: f64 = 3.0;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, captions, tokenizer, rules @ ..] = arguments.as_slice() else {
        return Err("needed PICTURES CAPTIONS TOKENIZER [RULES]".into());
    };
    measure_pictures(Path::new(folder))?;
    let rules = rules.first().map_or("siglip2", String::as_str);
    measure_captions(Path::new(captions), Path::new(tokenizer), rules)
}

fn measure_pictures(folder: &Path) -> Result<(), Box<dyn Error>> {
    let source = PictureSource { image_dir: folder.to_owned(), image_list_file: None };
    let files = pictures(&[source])?.pictures;
    let limits = Limits::default();
    let bytes = files.iter().map(|file| read_bytes(file, limits.bytes));
    let bytes = bytes.collect::<Result<Vec<_>, _>>()?;
    let recipe = PictureRecipe::from_json(&json!({
        "size": 224, "resize": "shortest_side_then_crop", "filter": "bicubic",
        "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
    }))?;
    let (mut stages, mut count, start) = (Stages::default(), 0, Instant::now());
    while start.elapsed().as_secs_f64() < SECONDS {
        for bytes in &bytes {
            let picture = stages.time(Stage::Decode, || decode(bytes, &limits))?;
            stages.time(Stage::Transform, || recipe.apply(&picture));
        }
        count += bytes.len();
    }
    let rate = |seconds| count as f64 / seconds;
    println!(
        "pictures: {:.0}/s (decode {:.0}/s, bicubic 224, crop and normalise {:.0}/s)",
        rate(start.elapsed().as_secs_f64()),
        rate(stages.seconds(Stage::Decode)),
        rate(stages.seconds(Stage::Transform)),
    );
    Ok(())
}

fn measure_captions(captions: &Path, path: &Path, rules: &str) -> Result<(), Box<dyn Error>> {
    let captions = prompts(captions)?;
    let recipe = json!({ "rules": rules, "context_length": 64, "canonicalize": false });
    let start = Instant::now();
    let tokenizer = Tokenizer::load(path, TextRecipe::from_json(&recipe)?)?;
    let loading = start.elapsed().as_secs_f64();
    let (mut count, start) = (0, Instant::now());
    while start.elapsed().as_secs_f64() < SECONDS {
        for caption in &captions {
            tokenizer.encode(caption)?;
        }
        count += captions.len();
    }
    let rate = count as f64 / start.elapsed().as_secs_f64();
    println!("captions: {rate:.0}/s, tokenizer loaded in {loading:.2} s");
    Ok(())
}
