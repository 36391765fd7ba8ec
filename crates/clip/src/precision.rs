//! `train.precision` on the device of a run.

use hearth_engine::{Precision, Run, is_cpu};

use crate::spec::{self, ClipSpec};

/// What the towers compute in, which the run is told where it is not what the spec says.
pub(crate) fn in_force(spec: &ClipSpec, run: &Run) -> Precision {
    let wanted = match spec.train.precision {
        spec::Precision::Fp32 => return Precision::Fp32,
        spec::Precision::Fp16 => Precision::Fp16,
        spec::Precision::Bf16 => Precision::Bf16,
    };
    let slow = is_cpu(&run.device) && !spec.hearth.train.half_on_cpu;
    if !slow && wanted.is_on(&run.device) {
        return wanted;
    }
    run.notice(&format!(
        "`train.precision: {wanted}` computes in fp32 on this device; the weights are fp32 anyway"
    ));
    Precision::Fp32
}
