//! `cargo xtask gpu-tests`: operations, golden fixtures and the program on a graphics processor.

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::process;

/// Modules of tests that compute on the device of `HEARTH_TEST_DEVICE`, or on that of the build.
const TESTS: &[&str] = &["it::gpu::", "it::goldens::", "it::half::", "it::lora::", "it::radio::"];

/// What to test.
#[derive(Args)]
pub struct Options {
    /// The feature to build; `wgpu` also runs on Mesa's Vulkan for processors.
    #[arg(long, value_enum, default_value_t = Kind::Wgpu)]
    device: Kind,
    /// Only build.
    #[arg(long)]
    no_run: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Cuda,
    Wgpu,
}

/// Builds with the feature, in a folder of its own since it rebuilds all of Burn, and runs the tests.
pub fn run(options: &Options) -> Result<()> {
    let kind = match options.device {
        Kind::Cuda => "cuda",
        Kind::Wgpu => "wgpu",
    };
    let feature = format!("trainer/{kind}");
    let crates = ["trainer", "hearth-kernels", "hearth-clip"];
    let mut arguments = vec!["test", "--release", "--features", &feature];
    arguments.extend(crates.iter().flat_map(|name| ["-p", name]));
    if options.no_run {
        arguments.push("--no-run");
    }
    // The CPU tests of other crates are not of this build.
    arguments.extend(["--test", "it", "--"]);
    arguments.extend(TESTS);
    let variables = [
        ("CARGO_TARGET_DIR", "target/gpu"),
        ("HEARTH_TEST_DEVICE", kind),
        // The first kernel that does well will do.
        ("CUBECL_AUTOTUNE_LEVEL", "minimal"),
    ];
    process::run_with(&variables, "cargo", &arguments)
}
