//! The devices of this build by the names users write.

use burn::tensor::Device;

/// Kinds that `--device` accepts in this build, beside `auto`.
pub const DEVICES: &[&str] = &[
    "cpu",
    #[cfg(feature = "cuda")]
    "cuda",
    #[cfg(feature = "wgpu")]
    "wgpu",
];

/// Kinds that are features of this program.
const FEATURES: &[&str] = &["cuda", "wgpu"];
/// Names that mean a device which no build offers.
const ELSEWHERE: &[&str] = &["gpu", "rocm", "metal", "vulkan"];

/// A device that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// A known kind of device, but this program was built without it.
    #[error("device `{name}`: not in this build, which runs on {}", listed(DEVICES))]
    NotBuilt {
        /// As the user wrote it.
        name: String,
    },
    /// No device has this name.
    #[error("device `{name}`: no such device, this build runs on {}", listed(DEVICES))]
    Unknown {
        /// As the user wrote it.
        name: String,
    },
    /// This build could use it, but it is not there, or has no driver.
    #[error("device `{name}`: not on this machine, which has {}", listed(found))]
    Absent {
        /// As the user wrote it.
        name: String,
        /// Names of those that are there.
        found: Vec<String>,
    },
}

impl DeviceError {
    /// What to do about it.
    pub fn hints(&self) -> Vec<String> {
        let feature = |name: &str| FEATURES.iter().find(|one| **one == kind(name));
        match self {
            DeviceError::NotBuilt { name } => vec![match feature(name) {
                Some(feature) => format!(
                    "`cargo build --release -p trainer --features {feature}` makes one with it"
                ),
                None => format!("builds with {} use graphics processors", listed(FEATURES)),
            }],
            DeviceError::Absent { .. } => vec!["`trainer doctor` lists what is there".to_owned()],
            DeviceError::Unknown { .. } => Vec::new(),
        }
    }
}

/// A device, and its full name: `cuda:0`.
#[derive(Debug, Clone)]
pub struct Opened {
    /// What tensors are made on.
    pub device: Device,
    /// What `--device` calls it.
    pub name: String,
}

impl Opened {
    fn cpu() -> Self {
        Opened { device: Device::flex(), name: "cpu".to_owned() }
    }

    /// See [`device_model`].
    pub fn model(&self) -> Option<String> {
        device_model(&self.device)
    }

    /// False for a CPU, also for one that computes what is meant for a graphics processor.
    fn is_card(&self) -> bool {
        identity(&self.device).is_some_and(|identity| identity.1)
    }
}

/// A device as its driver names it; nothing for the CPU. Starts the device.
pub fn device_model(device: &Device) -> Option<String> {
    identity(device).map(|identity| identity.0)
}

/// Name, and whether it is a card.
#[cfg(any(feature = "cuda", feature = "wgpu"))]
fn identity(device: &Device) -> Option<(String, bool)> {
    device.identity().map(|found| (found.name, found.physical.is_some()))
}

#[cfg(not(any(feature = "cuda", feature = "wgpu")))]
fn identity(_device: &Device) -> Option<(String, bool)> {
    None
}

/// True where tensors are computed by the cores of this machine.
pub fn is_cpu(device: &Device) -> bool {
    *device == Device::flex()
}

/// The device called `name`; `cuda:1` is the second device of its kind, `auto` the first graphics
/// processor that this build can use, else the CPU.
pub fn open_device(name: &str) -> Result<Opened, DeviceError> {
    let owned = || name.to_owned();
    let kind = kind(name);
    match name {
        "auto" => {
            let card = devices().into_iter().find(Opened::is_card);
            return Ok(card.unwrap_or_else(Opened::cpu));
        }
        "cpu" => return Ok(Opened::cpu()),
        _ if kind == "cpu" => return Err(DeviceError::Unknown { name: owned() }),
        _ if DEVICES.contains(&kind) => {}
        _ if FEATURES.contains(&kind) || ELSEWHERE.contains(&kind) => {
            return Err(DeviceError::NotBuilt { name: owned() });
        }
        _ => return Err(DeviceError::Unknown { name: owned() }),
    }
    let found = devices();
    let of_kind = || found.iter().filter(|one| self::kind(&one.name) == kind);
    let device = match name == kind {
        true => of_kind().find(|one| one.is_card()).or_else(|| of_kind().next()),
        false => of_kind().find(|one| one.name == name),
    };
    match device {
        Some(device) => Ok(device.clone()),
        None if number(name).is_some_and(|number| number.parse::<u16>().is_err()) => {
            Err(DeviceError::Unknown { name: owned() })
        }
        None => {
            let found = found.into_iter().map(|one| one.name).collect();
            Err(DeviceError::Absent { name: owned(), found })
        }
    }
}

/// All devices of this machine that this build can use, the CPU first.
pub fn devices() -> Vec<Opened> {
    #[allow(unused_mut, reason = "the CPU is alone without the features")]
    let mut all = vec![Opened::cpu()];
    #[cfg(feature = "cuda")]
    all.extend(listed_as("cuda", burn::tensor::DeviceType::Cuda));
    #[cfg(feature = "wgpu")]
    all.extend(listed_as("wgpu", burn::tensor::DeviceType::Wgpu));
    all
}

#[cfg(any(feature = "cuda", feature = "wgpu"))]
fn listed_as(kind: &str, filter: burn::tensor::DeviceType) -> Vec<Opened> {
    let devices = Device::enumerate(filter).into_vec().into_iter().enumerate();
    devices.map(|(at, device)| Opened { device, name: format!("{kind}:{at}") }).collect()
}

/// The name without the number.
fn kind(name: &str) -> &str {
    name.split_once(':').map_or(name, |(kind, _)| kind)
}

fn number(name: &str) -> Option<&str> {
    name.split_once(':').map(|(_, number)| number)
}

fn listed(names: &[impl AsRef<str>]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_of_this_machine_opens() {
        for found in devices() {
            assert_eq!(open_device(&found.name).unwrap().name, found.name);
        }
        assert!(is_cpu(&open_device("cpu").unwrap().device.autodiff()));
    }

    #[test]
    fn others_say_whether_a_build_could_have_them() {
        let has = listed(DEVICES);
        let message = |name: &str| open_device(name).unwrap_err().to_string();
        assert_eq!(
            message("tpu"),
            format!("device `tpu`: no such device, this build runs on {has}")
        );
        for name in ["cpu:1", "cpu:", "", ":0", "Cpu", "auto:0"] {
            assert!(message(name).contains("no such device"), "{name}");
        }
        assert_eq!(
            message("vulkan:1"),
            format!("device `vulkan:1`: not in this build, which runs on {has}")
        );
    }

    #[test]
    fn a_feature_or_the_machine_may_be_missing() {
        for kind in FEATURES {
            let message = |number: &str| {
                let error = open_device(&format!("{kind}{number}")).unwrap_err();
                (error.to_string(), error.hints())
            };
            if DEVICES.contains(kind) {
                assert!(message(":999").0.contains("not on this machine, which has `cpu`"));
                assert!(message(":one").0.contains("no such device"));
            } else {
                assert!(message(":1").0.contains("not in this build"));
                assert!(message("").1[0].contains(&format!("--features {kind}")));
            }
        }
    }

    #[cfg(not(any(feature = "cuda", feature = "wgpu")))]
    #[test]
    fn the_automatic_device_is_the_processor_here() {
        assert_eq!(open_device("auto").unwrap().name, "cpu");
        assert_eq!(open_device("auto").unwrap().model(), None);
    }
}
