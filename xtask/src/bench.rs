//! `cargo xtask bench`: Hearth and PyTorch on the same machine in turns, written to benches/RESULTS.md.
//!
//! A contest has commands of both sides that measure the same cases. Each prints lines
//! `{"case": .., "median_ms": .., "min_ms": ..}`, with `"peak_bytes"` where it measures no other; `trainer clip benchmark --json` prints
//! one object whose entries `training_step` and `forward` hold these numbers. The sides take turns, and the one that
//! begins changes from round to round, so that a machine that grows warm or busy favours none.

mod contests;
mod line;
mod loss;
mod machine;
mod peers;
mod results;

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context, Result, ensure};

use crate::process;
use contests::{Contest, Group};
use line::Line;
use peers::Peers;
use results::Sides;

/// What is measured, and how.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Times that both sides take their turn.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Threads of either side, and workers of the loader.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    threads: u32,
    /// Steps of a turn of `clip`.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// Only these groups; the results of the others stay.
    #[arg(long, value_delimiter = ',', value_enum)]
    only: Vec<Group>,
    /// Profile of Hearth's programs; published numbers are those of `dist`.
    #[arg(long, default_value = "dist")]
    profile: String,
    /// Python with the packages of benches/peers/requirements.txt; otherwise one is made in target/.
    #[arg(long, value_name = "PROGRAM")]
    python: Option<PathBuf>,
    /// Where the results go.
    #[arg(long, default_value = "benches/RESULTS.md", value_name = "FILE")]
    output: PathBuf,
}

/// Builds, measures in turns, writes the results.
pub fn run(options: &Options) -> Result<()> {
    let groups = Group::chosen(&options.only);
    contests::build(&groups, &options.profile)?;
    let peers = Peers::find(options.python.as_deref());
    if let Some(python) = peers.python() {
        contests::make_inputs(&groups, python)?;
    }
    let mut sections = Vec::new();
    for group in groups {
        let contest = group.contest(options, &peers);
        let mut sides = Sides::default();
        for round in 0..options.rounds {
            println!("\n{}: round {} of {}", group.name(), round + 1, options.rounds);
            take_turns(&contest, round, options.threads, &mut sides)?;
        }
        if group == Group::Clip {
            loss::check(&contests::trainer(options), &sides)?;
        }
        sections.push((group, sides));
    }
    let path = crate::root().join(&options.output);
    let before = fs::read_to_string(&path).unwrap_or_default();
    let text = results::render(&sections, &machine::describe(options, &peers), &before);
    let aside = path.with_extension("md.part");
    fs::write(&aside, text).with_context(|| aside.display().to_string())?;
    fs::rename(&aside, &path).with_context(|| path.display().to_string())?;
    println!("\n{}", path.display());
    Ok(())
}

fn take_turns(contest: &Contest, round: u32, threads: u32, sides: &mut Sides) -> Result<()> {
    let hearth_begins = round.is_multiple_of(2);
    for is_hearth in [hearth_begins, !hearth_begins] {
        let (commands, found) = match is_hearth {
            true => (&contest.hearth, &mut sides.hearth),
            false => (&contest.peer, &mut sides.peer),
        };
        for command in commands {
            for line in measure(command, threads)? {
                println!("{:>7} {line}", if is_hearth { "hearth" } else { "pytorch" });
                found.entry(line.case.clone()).or_default().push(line);
            }
        }
    }
    Ok(())
}

fn measure(command: &[String], threads: u32) -> Result<Vec<Line>> {
    let threads = threads.to_string();
    let names = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"];
    let threads: BTreeMap<&str, &str> = names.map(|name| (name, threads.as_str())).into();
    let text = process::output(command, &threads)?;
    let lines = line::read(&text).with_context(|| format!("`{}`", command.join(" ")))?;
    ensure!(!lines.is_empty(), "`{}`: found no line of a case", command.join(" "));
    Ok(lines)
}
