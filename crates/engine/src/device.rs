//! The devices of this build by the names users write.

use burn::tensor::Device;

/// Names that `--device` accepts in this build.
pub const DEVICES: &[&str] = &["cpu"];

/// Names that mean a device which another build may offer.
const ELSEWHERE: &[&str] = &["cuda", "gpu", "rocm", "metal", "vulkan", "wgpu"];

/// A device that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// A known kind of device, but this program was built without it.
    #[error("device `{name}`: not in this build, which runs on {}", listed())]
    NotBuilt {
        /// As the user wrote it.
        name: String,
    },
    /// No device has this name.
    #[error("device `{name}`: no such device, this build runs on {}", listed())]
    Unknown {
        /// As the user wrote it.
        name: String,
    },
}

/// The device called `name`; `cuda:1` is the second device of its kind.
pub fn open_device(name: &str) -> Result<Device, DeviceError> {
    let kind = name.split_once(':').map_or(name, |(kind, _index)| kind);
    match name {
        "cpu" => Ok(Device::flex()),
        _ if ELSEWHERE.contains(&kind) => Err(DeviceError::NotBuilt { name: name.to_owned() }),
        _ => Err(DeviceError::Unknown { name: name.to_owned() }),
    }
}

fn listed() -> String {
    let names: Vec<_> = DEVICES.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_device_opens() {
        for name in DEVICES {
            assert!(open_device(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn others_say_whether_a_build_could_have_them() {
        let message = |name: &str| open_device(name).unwrap_err().to_string();
        assert_eq!(message("cuda:1"), "device `cuda:1`: not in this build, which runs on `cpu`");
        assert_eq!(message("tpu"), "device `tpu`: no such device, this build runs on `cpu`");
        assert_eq!(message("cpu:1"), "device `cpu:1`: no such device, this build runs on `cpu`");
    }
}
