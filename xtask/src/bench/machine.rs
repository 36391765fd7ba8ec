//! On what and with what the results were measured.

use std::fs;

use super::{Options, peers::Peers};
use crate::process;

/// Lines of a list: date, machine, versions.
pub(super) fn describe(options: &Options, peers: &Peers) -> Vec<String> {
    let said = |words: &[&str]| {
        let command: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let found = process::output(&command, &Default::default());
        found.map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
    };
    let field = |path: &str, name: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim());
        value.unwrap_or("unknown").to_owned()
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kib: u64 = field("/proc/meminfo", "MemTotal").replace(" kB", "").parse().unwrap_or(0);
    let commit = said(&["git", "describe", "--always", "--dirty"]);
    vec![
        format!("Date: {}", said(&["date", "-u", "+%Y-%m-%d"])),
        format!(
            "Machine: {}, {cores} cores, {} GiB, {} {}",
            field("/proc/cpuinfo", "model name"),
            kib >> 20,
            std::env::consts::OS,
            std::env::consts::ARCH,
        ),
        format!(
            "Hearth: commit {commit}, profile `{}`, {}",
            options.profile,
            said(&["rustc", "--version"])
        ),
        format!("PyTorch: {}", peers.versions().unwrap_or_else(|| "not measured".to_owned())),
        format!("Threads: {} on either side; {} rounds, in turns", options.threads, options.rounds),
    ]
}
