//! Which crate may use which: the floors of the house, checked against `cargo metadata`.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A crate's place in the house.
struct Place {
    /// The package.
    name: &'static str,
    /// Crates of this workspace that it may use; everything else of the workspace is forbidden.
    uses: &'static [&'static str],
    /// Starts of names of outside packages that would break its invariant.
    never: &'static [&'static str],
    /// What it never knows about.
    invariant: &'static str,
}

const TENSORS: &[&str] = &["burn", "cubecl"];

const HOUSE: [Place; 12] = [
    Place {
        name: "hearth-spec",
        uses: &[],
        never: TENSORS,
        invariant: "`spec` never knows burn, a network, a device, or a file other than the spec",
    },
    Place {
        name: "hearth-weights",
        uses: &[],
        never: &[],
        invariant: "`weights` never knows a network, a spec or training; the maps lie beside each model",
    },
    Place {
        name: "hearth-kernels",
        uses: &[],
        never: &[],
        invariant: "`kernels` never knows a model, a file, a network or training",
    },
    Place {
        name: "hearth-backbones",
        uses: &["hearth-kernels"],
        never: &[],
        invariant: "`backbones` never knows a spec, a file, a loss or a network",
    },
    Place {
        name: "hearth-data",
        uses: &[],
        never: TENSORS,
        invariant: "`data` never knows a network, a spec, a tensor or training",
    },
    Place {
        name: "hearth-engine",
        uses: &["hearth-data", "hearth-kernels", "hearth-weights", "hearth-spec"],
        never: &["indicatif", "clap"],
        invariant: "`engine` never knows a network or a terminal; of `spec` it uses the common blocks",
    },
    Place {
        name: "hearth-tensorrt",
        uses: &[],
        never: TENSORS,
        invariant: "`tensorrt` never knows a network, a spec or a tensor: names, shapes, bytes and paths",
    },
    Place {
        name: "hearth-deploy",
        uses: &["hearth-tensorrt", "hearth-kernels", "hearth-weights", "hearth-spec"],
        never: &["indicatif", "clap"],
        invariant: "`deploy` never knows a network, training or a terminal; of `spec` it uses the common blocks",
    },
    Place {
        name: "hearth-clip",
        uses: &[
            "hearth-backbones",
            "hearth-data",
            "hearth-deploy",
            "hearth-engine",
            "hearth-mae",
            "hearth-spec",
            "hearth-weights",
        ],
        never: &["indicatif", "clap"],
        invariant: "a family never knows another family, the command line or the terminal",
    },
    Place {
        name: "hearth-mae",
        uses: &[
            "hearth-backbones",
            "hearth-data",
            "hearth-deploy",
            "hearth-engine",
            "hearth-kernels",
            "hearth-spec",
            "hearth-weights",
        ],
        never: &["indicatif", "clap"],
        invariant: "a family never knows another family, the command line or the terminal",
    },
    Place {
        name: "trainer",
        uses: &[
            "hearth-clip",
            "hearth-data",
            "hearth-deploy",
            "hearth-engine",
            "hearth-mae",
            "hearth-spec",
            "hearth-weights",
        ],
        never: TENSORS,
        invariant: "`trainer` prints, exits and chooses the family; it never knows tensors",
    },
    Place {
        name: "xtask",
        uses: &[
            "hearth-clip",
            "hearth-data",
            "hearth-deploy",
            "hearth-mae",
            "hearth-spec",
            "hearth-weights",
        ],
        never: TENSORS,
        invariant: "nothing depends on `xtask`",
    },
];

/// What `cargo metadata` says about the packages of the workspace.
pub fn metadata() -> Result<Value> {
    let arguments = ["metadata", "--format-version", "1", "--no-deps", "--offline"];
    let output = Command::new("cargo").args(arguments).current_dir(crate::root()).output();
    let output = output.context("`cargo metadata`: cannot start")?;
    ensure!(
        output.status.success(),
        "`cargo metadata`: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Every edge that the table forbids, and every crate that it does not know.
pub fn check(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let names: Vec<&str> = packages.iter().map(|package| text(package, "name")).collect();
    let mut problems = Vec::new();
    for package in packages {
        let name = text(package, "name");
        let Some(place) = HOUSE.iter().find(|place| place.name == name) else {
            problems.push(format!("`{name}`: no floor, give it one in xtask/src/floors.rs"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let used = text(dependency, "name");
            let is_ours = names.contains(&used);
            let is_forbidden = match is_ours {
                true => !place.uses.contains(&used),
                false => place.never.iter().any(|never| used.starts_with(never)),
            };
            if is_forbidden {
                let manifest = text(package, "manifest_path");
                problems.push(format!(
                    "{manifest}: `{name}` uses `{used}`, which its floor forbids: {}",
                    place.invariant
                ));
            }
        }
    }
    problems
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}
