//! The device that the tests compute on.

use burn::tensor::Device;

/// The CPU, or what `HEARTH_TEST_DEVICE` names: `cargo xtask gpu-tests`.
pub(crate) fn device() -> Device {
    let name = std::env::var("HEARTH_TEST_DEVICE").unwrap_or_else(|_| "cpu".to_owned());
    hearth_engine::open_device(&name).unwrap().device
}
