//! What a benchmark ran on.

use std::{env, fs, thread};

use serde::Serialize;

/// Processor and system.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Machine {
    /// As the system names it.
    pub processor: String,
    /// `x86_64`
    pub architecture: &'static str,
    /// `linux`
    pub system: &'static str,
    /// Processors that the system offers.
    pub cores: usize,
}

impl Machine {
    /// This one.
    pub fn this() -> Self {
        let model = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            line.split_once(": ").map(|(_, name)| name.trim().to_owned())
        });
        Self {
            processor: model.unwrap_or_else(|| "unknown model".to_owned()),
            architecture: env::consts::ARCH,
            system: env::consts::OS,
            cores: thread::available_parallelism().map_or(1, usize::from),
        }
    }
}
