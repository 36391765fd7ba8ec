//! The type that forward and backward passes compute in.

use std::fmt;

use burn::tensor::{Device, FloatDType};
use hearth_spec::common;

use crate::{device::is_cpu, run::Run, scaler::LossScaler};

/// What a training computes in. Weights, losses, summed gradients and the optimizer are f32 in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits.
    Fp32,
    /// 16 bits with 5 of them for the exponent: gradients need a scale.
    Fp16,
    /// 16 bits with the exponent of 32.
    Bf16,
}

impl Precision {
    /// What `train.precision` comes to on the device of `run`, which is told where it is not what the spec
    /// says. 16 bits are slow on a CPU: there they need `half_on_cpu`.
    pub fn in_force(written: common::Precision, half_on_cpu: bool, run: &Run) -> Precision {
        let wanted = match written {
            common::Precision::Fp32 => return Precision::Fp32,
            common::Precision::Fp16 => Precision::Fp16,
            common::Precision::Bf16 => Precision::Bf16,
        };
        let slow = is_cpu(&run.device) && !half_on_cpu;
        if !slow && wanted.is_on(&run.device) {
            return wanted;
        }
        run.notice(&format!(
            "`train.precision: {wanted}` computes in fp32 on this device; the weights are fp32 anyway"
        ));
        Precision::Fp32
    }

    /// The type itself.
    pub fn dtype(self) -> FloatDType {
        match self {
            Precision::Fp32 => FloatDType::F32,
            Precision::Fp16 => FloatDType::F16,
            Precision::Bf16 => FloatDType::BF16,
        }
    }

    /// Whether `device` computes in it.
    pub fn is_on(self, device: &Device) -> bool {
        device.supports_dtype(self.dtype())
    }

    /// The scale of a loss at the start of a training, where one is needed; `restored` is that of a
    /// checkpoint.
    pub fn scaler(self, restored: Option<LossScaler>) -> Option<LossScaler> {
        (self == Precision::Fp16).then(|| restored.unwrap_or_default())
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::Fp32 => "fp32",
            Precision::Fp16 => "fp16",
            Precision::Bf16 => "bf16",
        })
    }
}
