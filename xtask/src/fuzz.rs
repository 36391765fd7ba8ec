//! `cargo xtask fuzz`: mutated inputs for everything that reads what users write, on a stable compiler.
//!
//! Input number `n` of a target is a function of (seed, target, n). So the inputs run in a process of their own that
//! only notes the number it is at; whatever ends that process - a panic, a hang, an overflow of the stack, a lack of
//! memory - the input can be made again from the number.

mod captions;
mod graphs;
mod hub;
mod images;
mod mutate;
mod parts;
mod pickles;
mod png;
mod riff;
mod scratch;
pub mod targets;
mod tars;
mod traps;

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::panic;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use hearth_data::random::Key;

use targets::Target;

/// The process of a target has this much memory for everything: program, seeds, tables and the input under test.
/// An allocation beyond it fails and ends the process, touched or not.
const MOST_MEMORY_KIB: u64 = 512 << 10;
/// One input may take no longer than this.
const LONGEST: Duration = Duration::from_secs(5);
const GLANCE: Duration = Duration::from_millis(20);
/// How much of a bad input is printed; the file holds all of it.
const SHOWN_BYTES: usize = 2000;

/// One run over targets.
#[derive(Debug, Clone, Copy)]
pub struct Session {
    seed: u64,
    time: Duration,
}

impl Session {
    /// `time` for each target; without a seed the clock gives one.
    pub fn new(seed: Option<u64>, time: Duration) -> Session {
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Session { seed: seed.unwrap_or_else(clock), time }
    }
}

/// How a target fared.
pub enum Outcome {
    /// The number of inputs that did no harm.
    Passed(u64),
    /// What happened, and the input that did it.
    Failed(String, Vec<u8>),
}

/// Runs one target or all, and fails after the last when one failed.
pub fn run(session: &Session, only: Option<&str>) -> Result<()> {
    let this = std::env::current_exe().context("cannot find the program of this chore")?;
    let targets: Vec<&Target> = match only {
        Some(name) => vec![targets::find(name)?],
        None => targets::ALL.iter().collect(),
    };
    println!(
        "seed {}, {} s and {} MiB for each target",
        session.seed,
        session.time.as_secs(),
        MOST_MEMORY_KIB >> 10
    );
    let mut failed = Vec::new();
    for target in targets {
        let start = Instant::now();
        match hunt(&this, session, target)? {
            Outcome::Passed(inputs) => {
                let rate = inputs as f64 / start.elapsed().as_secs_f64();
                let seeds = Inputs::new(session, target)?.num_seeds();
                println!(
                    "{:<10} {inputs:>9} executions from {seeds} seeds, {rate:.0}/s: passed",
                    target.name
                );
            }
            Outcome::Failed(what, input) => {
                let path = keep(target, &input)?;
                println!("{:<10} {what}: {}\n{}", target.name, path.display(), show(&input));
                failed.push(target.name);
            }
        }
    }
    if !failed.is_empty() {
        bail!(
            "failed: {}; move the input to fuzz/seeds/<target> once it is mended",
            failed.join(", ")
        );
    }
    Ok(())
}

/// Watches a process of the program `this` that feeds the target.
pub fn hunt(this: &Path, session: &Session, target: &Target) -> Result<Outcome> {
    let counter =
        std::env::temp_dir().join(format!("hearth-fuzz-{}-{}", target.name, std::process::id()));
    fs::write(&counter, 0_u64.to_le_bytes())?;
    let mut child = limited(this)
        .args(["fuzz-child", target.name])
        .args([session.time.as_secs().to_string(), session.seed.to_string()])
        .arg(&counter)
        .spawn()
        .with_context(|| format!("{}: cannot start", this.display()))?;
    let what = watch(&mut child, &counter)?;
    scratch::clean(target.name, child.id());
    let count = read_count(&counter)?;
    fs::remove_file(&counter)?;
    Ok(match what {
        None => Outcome::Passed(count),
        Some(what) => Outcome::Failed(what, Inputs::new(session, target)?.at(count)),
    })
}

/// Removes the files that a target made in this process.
pub fn clean(target: &Target) {
    scratch::clean(target.name, std::process::id());
}

/// A command for `this` under the limit of memory, where the system has a shell that knows one.
fn limited(this: &Path) -> Command {
    if !cfg!(target_os = "linux") {
        return Command::new(this);
    }
    let mut command = Command::new("sh");
    let script = format!("ulimit -v {MOST_MEMORY_KIB} && exec \"$0\" \"$@\"");
    command.args(["-c", &script]).arg(this);
    command
}

/// Feeds the target in this process until its time is over, with the number of each input noted before it is tried.
pub fn run_here(session: &Session, target: &str, counter: &Path) -> Result<()> {
    let target = targets::find(target)?;
    let inputs = Inputs::new(session, target)?;
    let mut counter = File::options().write(true).open(counter)?;
    let start = Instant::now();
    for index in 0.. {
        counter.seek(SeekFrom::Start(0))?;
        counter.write_all(&u64::to_le_bytes(index))?;
        if start.elapsed() > session.time {
            break;
        }
        run_quietly(target, &inputs.at(index));
    }
    Ok(())
}

/// A panic that the code under test answers itself is no harm and prints nothing; one that it does not, does.
fn run_quietly(target: &Target, input: &[u8]) {
    static LAST: Mutex<String> = Mutex::new(String::new());
    static HOOK: Once = Once::new();
    let last = || LAST.lock().unwrap_or_else(PoisonError::into_inner);
    HOOK.call_once(|| panic::set_hook(Box::new(move |panic| *last() = panic.to_string())));
    if let Err(harm) = panic::catch_unwind(|| (target.run)(input)) {
        println!("{}", last());
        panic::resume_unwind(harm);
    }
}

/// The inputs of a target in one session: first its seeds, then mutations of them.
pub struct Inputs {
    seeds: Vec<Vec<u8>>,
    words: &'static [&'static str],
    repair: fn(&mut Vec<u8>),
    key: Key,
}

impl Inputs {
    /// Gathers the seeds.
    pub fn new(session: &Session, target: &Target) -> Result<Inputs> {
        let mut seeds = (target.seeds)()?;
        seeds.extend(committed_seeds(target)?);
        let key = Key::new(session.seed).of("fuzz").of(target.name);
        Ok(Inputs { seeds, words: target.words, repair: target.repair, key })
    }

    /// The input of this number.
    pub fn at(&self, index: u64) -> Vec<u8> {
        let seed = usize::try_from(index).ok().and_then(|index| self.seeds.get(index));
        if let Some(seed) = seed {
            return seed.clone();
        }
        let mut numbers = self.key.at(index).rng();
        let mut input = mutate::mutate(&self.seeds, self.words, &mut numbers);
        // Broken checksums test one branch; what lies behind needs right ones.
        if numbers.chance(0.9) {
            (self.repair)(&mut input);
        }
        input
    }

    /// How many seeds stand before the first mutation.
    pub fn num_seeds(&self) -> u64 {
        self.seeds.len() as u64
    }
}

/// Files that once broke the target: `fuzz/seeds/<target>/*`.
fn committed_seeds(target: &Target) -> Result<Vec<Vec<u8>>> {
    let folder = crate::root().join("fuzz/seeds").join(target.name);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    targets::files(&folder, &[])
}

/// `None` when the process ended well; otherwise what ended it.
fn watch(child: &mut Child, counter: &Path) -> Result<Option<String>> {
    let (mut last, mut since) = (0, Instant::now());
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((!status.success()).then(|| format!("ended by {status}")));
        }
        let count = read_count(counter)?;
        if count != last {
            (last, since) = (count, Instant::now());
        }
        if since.elapsed() > LONGEST {
            child.kill()?;
            child.wait()?;
            return Ok(Some(format!("took longer than {} s", LONGEST.as_secs())));
        }
        std::thread::sleep(GLANCE);
    }
}

fn read_count(counter: &Path) -> Result<u64> {
    let bytes = fs::read(counter)?;
    Ok(u64::from_le_bytes(
        bytes.try_into().map_err(|_| anyhow::anyhow!("the counter has 8 bytes"))?,
    ))
}

fn keep(target: &Target, input: &[u8]) -> Result<PathBuf> {
    let mut crc = flate2::Crc::new();
    crc.update(input);
    let folder = crate::root().join("fuzz/crashes");
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{}-{:08x}", target.name, crc.sum()));
    fs::write(&path, input)?;
    Ok(path)
}

fn show(input: &[u8]) -> String {
    let shown = &input[..input.len().min(SHOWN_BYTES)];
    let more = if shown.len() < input.len() { " .." } else { "" };
    format!("{}{more}", shown.escape_ascii())
}
