//! Parameters of a recording: tensors without values that stand for them.

use std::collections::{HashMap, HashSet};

use burn::{
    backend::capture::CaptureBackend,
    module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId},
    tensor::{Device, Tensor, TensorData, TensorId},
};

/// `model` on a capture device, every parameter an empty tensor; `found` is told which is which.
pub(super) fn stand_ins<M: Module>(
    model: M,
    device: &Device,
    found: &mut HashMap<TensorId, (String, ParamId)>,
) -> M {
    let names: HashMap<ParamId, String> = hearth_weights::parameters(&model)
        .into_iter()
        .map(|parameter| (parameter.id, parameter.name))
        .collect();
    model.map(&mut StandIns { device, names, found })
}

struct StandIns<'a> {
    device: &'a Device,
    names: HashMap<ParamId, String>,
    found: &'a mut HashMap<TensorId, (String, ParamId)>,
}

impl ModuleMapper for StandIns<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let tensor = Tensor::<D>::empty(param.lazy_shape(), self.device);
        let recorded = tensor.clone().try_into_primitive::<CaptureBackend>();
        let recorded = recorded.expect("it was made on a capture device").id();
        let name = self.names.get(&param.id).cloned().unwrap_or_default();
        self.found.insert(recorded, (name, param.id));
        Param::initialized(param.id, tensor)
    }
}

/// The values of the parameters that are `wanted`, one after the other, in the layout of the module.
pub(crate) fn values<M: Module>(
    model: &M,
    wanted: &HashSet<ParamId>,
) -> HashMap<ParamId, TensorData> {
    struct Collect<'a> {
        wanted: &'a HashSet<ParamId>,
        found: HashMap<ParamId, TensorData>,
    }
    impl ModuleVisitor for Collect<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if self.wanted.contains(&param.id) {
                self.found.insert(param.id, param.val().into_data().convert::<f32>());
            }
        }
    }
    let mut collect = Collect { wanted, found: HashMap::new() };
    model.visit(&mut collect);
    collect.found
}
