//! `trainer doctor`: what this machine offers, and what this program makes of it. No network.

use std::{
    env, fs,
    path::{Path, PathBuf},
    thread,
};

use hearth_data::cache::Cache;
use hearth_engine::{DEVICES, benchmark::Machine, devices};

/// One aligned line per fact.
pub(crate) fn report() -> String {
    let mut lines = vec![
        fact("version", format!("trainer {}", env!("CARGO_PKG_VERSION"))),
        fact("devices", format!("{}, in this build", DEVICES.join(", "))),
    ];
    lines.extend(devices().iter().filter_map(|one| Some(fact(&one.name, one.model()?))));
    lines.push(fact("processor", processor()));
    lines.extend(features().into_iter().map(|(name, found, use_of_it)| {
        fact(name, format!("{:<4}{use_of_it}", if found { "yes" } else { "no" }))
    }));
    lines.push(fact("cores", cores()));
    lines.push(fact("memory", memory()));
    lines.push(fact("disk", disk()));
    lines.push(fact("hub cache", hub_cache()));
    lines.push(fact("data cache", data_cache()));
    lines.join("\n")
}

fn fact(name: &str, value: String) -> String {
    format!("{name:<12}{value}")
}

fn processor() -> String {
    let Machine { processor, architecture, .. } = Machine::this();
    format!("{processor} ({architecture})")
}

/// Instruction sets that are chosen at run time: name, whether it is there, what it is good for.
#[cfg(target_arch = "x86_64")]
fn features() -> Vec<(&'static str, bool, &'static str)> {
    vec![
        ("avx2", is_x86_feature_detected!("avx2"), "vector operations, resizing of pictures"),
        ("fma", is_x86_feature_detected!("fma"), "matrix products, together with avx2"),
        ("avx512f", is_x86_feature_detected!("avx512f"), "matrix products, faster still"),
    ]
}

/// Other processors have what their architecture guarantees.
#[cfg(not(target_arch = "x86_64"))]
fn features() -> Vec<(&'static str, bool, &'static str)> {
    Vec::new()
}

fn cores() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    format!("{cores}, {} threads for tensors (RAYON_NUM_THREADS)", rayon::current_num_threads())
}

fn memory() -> String {
    let Ok(info) = fs::read_to_string("/proc/meminfo") else { return "unknown".to_owned() };
    let read = |name: &str| {
        let line = info.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
    };
    let (Some(total), Some(available)) = (read("MemTotal:"), read("MemAvailable:")) else {
        return "unknown".to_owned();
    };
    let mut text = format!("{} of {} available", gib(available), gib(total));
    if let Some(limit) = container_limit().filter(|limit| *limit < total) {
        text.push_str(&format!(", this container is limited to {}", gib(limit)));
    }
    text
}

fn container_limit() -> Option<u64> {
    let files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    files.iter().find_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok())
}

fn disk() -> String {
    let folder = env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    match free_bytes(&folder) {
        Some(free) => format!("{} free in {}", gib(free), folder.display()),
        None => format!("unknown in {}", folder.display()),
    }
}

#[cfg(unix)]
fn free_bytes(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail * disk.f_frsize)
}

#[cfg(not(unix))]
fn free_bytes(_folder: &Path) -> Option<u64> {
    None
}

/// Where indexes of shards and unpacked archives lie.
fn data_cache() -> String {
    let cache = Cache::from_environment(&|name| env::var_os(name));
    match cache.root() {
        None => "none: neither HEARTH_CACHE nor HOME is set".to_owned(),
        Some(folder) if folder.is_dir() => folder.display().to_string(),
        Some(folder) => format!("{}: not there", folder.display()),
    }
}

/// Where models of Hugging Face lie when they were fetched before; only looked at.
fn hub_cache() -> String {
    let (folder, from) = hearth_weights::hub::cache_folder(&|name| env::var_os(name));
    let models = fs::read_dir(&folder).map(|entries| {
        let names = entries.flatten().map(|entry| entry.file_name());
        names.filter(|name| name.to_string_lossy().starts_with("models--")).count()
    });
    let content = match models {
        Ok(1) => "1 model".to_owned(),
        Ok(count) => format!("{count} models"),
        Err(_) => "not there".to_owned(),
    };
    format!("{} ({from}): {content}", folder.display())
}

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64)
}
