//! `cargo xtask`: reads the arguments and starts a chore.
#![recursion_limit = "256"]

use std::time::Duration;

use clap::{Parser, Subcommand};
use xtask::fuzz::{self, Session};
use xtask::generate::Mode;
use xtask::{assets, bench, ci, generate, goldens, gpu, root};

/// The chores of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Draw the data set of the quick start and its tokenizer: assets/.
    Assets,
    /// Measure Hearth and PyTorch in turns and write benches/RESULTS.md (Python).
    Bench(bench::Options),
    /// Run every check, cheapest first, and the tests.
    Ci {
        /// Leave the tests out, for who has just run them.
        #[arg(long)]
        tested: bool,
    },
    /// Feed mutated inputs to everything that reads what users write.
    Fuzz {
        /// Only this target.
        #[arg(long, value_name = "NAME")]
        target: Option<String>,
        /// Seconds for each target.
        #[arg(long, default_value_t = 20, conflicts_with = "minutes")]
        seconds: u64,
        /// Minutes for each target.
        #[arg(long)]
        minutes: Option<u64>,
        /// Repeat the inputs of an earlier run; drawn from the clock otherwise.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// What `fuzz` starts once for each target.
    #[command(hide = true)]
    FuzzChild { target: String, seconds: u64, seed: u64, counter: std::path::PathBuf },
    /// Write the files that follow from definitions in the code: docs/specs, docs/schemas.
    Generate {
        /// Write nothing; fail and show the difference where a file is out of date.
        #[arg(long)]
        check: bool,
    },
    /// Run the tests of a graphics processor in a build of its own: target/gpu.
    GpuTests(gpu::Options),
    /// Make the fixtures of tests/golden again with the reference implementations (Python).
    Goldens {
        /// One script of tests/golden without `.py`; all of them otherwise.
        name: Option<String>,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().chore {
        Chore::Assets => assets::write(&root().join("assets")),
        Chore::Bench(options) => bench::run(&options),
        Chore::Ci { tested } => ci::run(tested),
        Chore::Fuzz { target, seconds, minutes, seed } => {
            let seconds = minutes.map_or(seconds, |minutes| 60 * minutes);
            let session = Session::new(seed, Duration::from_secs(seconds));
            fuzz::run(&session, target.as_deref())
        }
        Chore::FuzzChild { target, seconds, seed, counter } => {
            let session = Session::new(Some(seed), Duration::from_secs(seconds));
            fuzz::run_here(&session, &target, &counter)
        }
        Chore::Generate { check } => {
            generate::run(root(), if check { Mode::Check } else { Mode::Write })
        }
        Chore::GpuTests(options) => gpu::run(&options),
        Chore::Goldens { name } => goldens::run(name.as_deref()),
    }
}
