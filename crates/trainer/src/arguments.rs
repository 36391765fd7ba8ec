//! The flags of the command line, and how loud the program is.

use std::path::PathBuf;

use clap::{
    Parser, ValueEnum,
    error::{ContextKind, ContextValue, ErrorKind},
};

use hearth_engine::benchmark::BenchmarkOptions;

use crate::failure::Failed;

/// Enough for a median, and minutes at most with a large model on a processor.
const BENCHMARK_STEPS: u32 = 10;

/// Everything typed, in the order of flags; `words` are sorted out by [`crate::request`].
#[derive(Debug, Parser)]
#[command(
    name = "trainer",
    version,
    about = "Trains, evaluates and runs vision models from the specs of NVIDIA TAO Toolkit.",
    override_usage = "trainer [NETWORK] [ACTION] -e SPEC [key=value ...]\n       trainer doctor",
    disable_help_flag = true,
    max_term_width = 100
)]
pub(crate) struct Arguments {
    /// Network, action and overrides.
    #[arg(hide = true)]
    pub(crate) words: Vec<String>,

    /// The spec: a YAML file with the keys of TAO
    #[arg(short = 'e', long = "experiment_spec_file", visible_alias = "spec", value_name = "SPEC")]
    pub(crate) spec: Option<PathBuf>,

    /// Where to compute: `cpu`, `cuda:0` or `wgpu`
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub(crate) device: String,

    /// Say only what needs attention
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// How much to say; otherwise TAO_LOGGING_LEVEL decides, otherwise `info`
    #[arg(long, value_name = "LEVEL", value_enum, ignore_case = true)]
    pub(crate) log_level: Option<Level>,

    /// Of `benchmark`: steps that are measured
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) steps: Option<u32>,

    /// Of `benchmark`: the result as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Of `benchmark`: also look for the best number of replicas
    #[arg(long)]
    pub(crate) tune: bool,

    /// What is said here, or about a network or an action named before
    #[arg(short, long)]
    pub(crate) help: bool,
}

/// Levels with TAO's names, quietest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Level {
    /// Only what ends the program.
    #[value(alias = "critical")]
    Error,
    /// And what deserves a look.
    #[value(alias = "warn")]
    Warning,
    /// And progress.
    Info,
    /// And what developers ask for.
    Debug,
}

impl Arguments {
    /// `trainer` alone: nothing to do but to say what could be done.
    pub(crate) fn is_empty(&self) -> bool {
        self.words.is_empty() && self.spec.is_none()
    }

    /// What a benchmark is to measure.
    pub(crate) fn benchmark(&self) -> BenchmarkOptions {
        let steps = self.steps.unwrap_or(BENCHMARK_STEPS) as usize;
        BenchmarkOptions { steps, json: self.json, tune: self.tune }
    }

    /// Flags of a benchmark, which no other action understands.
    pub(crate) fn check_action(&self, action: &str, is_benchmark: bool) -> Result<(), Failed> {
        let flags =
            [("--steps", self.steps.is_some()), ("--json", self.json), ("--tune", self.tune)];
        match flags.iter().find(|(_, is_given)| *is_given && !is_benchmark) {
            None => Ok(()),
            Some((flag, _)) => {
                let hints = ["`benchmark` has it".to_owned(), KEYS_ARE_WORDS.to_owned()];
                Err(Failed::usage(format!("`{flag}`: `{action}` has no such flag"), &hints))
            }
        }
    }

    /// `--quiet` lowers what the flag or the environment (`TAO_LOGGING_LEVEL`) asks for.
    ///
    /// A level that nobody knows in the environment is not worth an error: it means `info`.
    pub(crate) fn level(&self, environment: Option<&str>) -> Level {
        let from_environment = environment.and_then(|text| Level::from_str(text, true).ok());
        let level = self.log_level.or(from_environment).unwrap_or(Level::Info);
        if self.quiet { level.min(Level::Warning) } else { level }
    }
}

/// Flags that clap refuses, in the grammar of all other errors.
pub(crate) fn refused(err: &clap::Error) -> Failed {
    let text = |kind| match err.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    match (err.kind(), text(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(flag)) => {
            let mut hints = match text(ContextKind::SuggestedArg) {
                Some(known) => vec![format!("did you mean `{known}`?")],
                None => vec![KEYS_ARE_WORDS.to_owned()],
            };
            hints.push("`trainer --help` lists the flags".to_owned());
            Failed::usage(format!("`{flag}`: no such flag"), &hints)
        }
        _ => {
            let rendered = err.render().to_string();
            Failed::usage(rendered.trim_start_matches("error: ").trim_end(), &[])
        }
    }
}

const KEYS_ARE_WORDS: &str =
    "keys of the spec are set by words without dashes: `results_dir=DIR`, `train.num_gpus=2`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_beats_the_environment_and_quiet_lowers_both() {
        let cases: &[(&[&str], Option<&str>, Level)] = &[
            (&[], None, Level::Info),
            (&[], Some("DEBUG"), Level::Debug),
            (&[], Some("CRITICAL"), Level::Error),
            (&[], Some(""), Level::Info),
            (&[], Some("loud"), Level::Info),
            (&["--log-level", "ERROR"], Some("DEBUG"), Level::Error),
            (&["--log-level", "warn"], None, Level::Warning),
            (&["--quiet"], Some("DEBUG"), Level::Warning),
            (&["-q", "--log-level", "error"], None, Level::Error),
        ];
        for (flags, environment, level) in cases {
            let typed = [&["trainer"], *flags].concat();
            let arguments = Arguments::try_parse_from(typed).unwrap();
            assert_eq!(arguments.level(*environment), *level, "{flags:?} {environment:?}");
        }
    }
}
