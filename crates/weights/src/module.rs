//! The parameters of a Burn module under the names and in the layout that PyTorch gives them.
//!
//! The name of a parameter is its path through the fields. Two things differ between the two
//! libraries and are evened out here, by the type that holds the parameter: Burn keeps the weight
//! of a `Linear` as [in, out], PyTorch as [out, in]; and Burn calls the parameters of its norms
//! `gamma` and `beta`. The variant of an enum adds nothing to a name. Everything else is taken as
//! it is, so an own struct with raw parameters keeps PyTorch's layout, unless it is called
//! `Linear`. Burn's `LinearLayout::Col` is not supported: such a weight reports another shape
//! before it is drawn than after.

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId},
    tensor::{Tensor, TensorData},
};

use crate::values::transposed;

/// One parameter of a module, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its path, such as `visual.blocks.0.attn.qkv.weight`.
    pub name: String,
    /// Its shape in PyTorch's layout.
    pub shape: Vec<usize>,
    /// By which Burn knows it: gradients and optimiser groups are kept by it.
    pub id: ParamId,
}

impl Parameter {
    /// How many values it has.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Every float parameter and buffer of a module, in the order of its fields. Parameters that were
/// not drawn yet stay so: counting a model of a billion parameters costs nothing.
pub fn parameters<M: Module>(module: &M) -> Vec<Parameter> {
    struct Collect {
        path: Path,
        found: Vec<Parameter>,
    }
    impl ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.found.push(self.path.describe(param));
        }
        fn enter_module(&mut self, name: &str, container: &str) {
            self.path.enter(name, container);
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.exit();
        }
    }
    let mut collect = Collect { path: Path::default(), found: Vec::new() };
    module.visit(&mut collect);
    collect.found
}

/// Calls `f` with every parameter and its values in PyTorch's layout, one after the other.
/// Parameters that were not drawn yet are drawn.
pub fn visit_values<M: Module>(module: &M, f: impl FnMut(&Parameter, Vec<f32>)) {
    struct Visit<F> {
        path: Path,
        f: F,
    }
    impl<F: FnMut(&Parameter, Vec<f32>)> ModuleVisitor for Visit<F> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            // Before its shape is asked for, so that shape and values cannot differ.
            let data = param.val().into_data().convert::<f32>();
            let parameter = self.path.describe(param);
            let values = data.try_into_vec::<f32>().expect("converted to f32 above");
            let values = match self.path.linear_weight() {
                true => transposed(&values, parameter.shape[1], parameter.shape[0]),
                false => values,
            };
            (self.f)(&parameter, values);
        }
        fn enter_module(&mut self, name: &str, container: &str) {
            self.path.enter(name, container);
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.exit();
        }
    }
    module.visit(&mut Visit { path: Path::default(), f });
}

/// Replaces the values of every parameter for which `f` returns some, in PyTorch's layout.
///
/// A replaced parameter keeps its id, its device and whether it is trained, and is not drawn
/// first. Panics if `f` returns another number of values than the parameter has.
pub fn map_values<M: Module>(module: M, f: impl FnMut(&Parameter) -> Option<Vec<f32>>) -> M {
    struct Map<F> {
        path: Path,
        f: F,
    }
    impl<F: FnMut(&Parameter) -> Option<Vec<f32>>> ModuleMapper for Map<F> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let parameter = self.path.describe(&param);
            let Some(values) = (self.f)(&parameter) else { return param };
            let Parameter { name, shape, id } = &parameter;
            assert_eq!(values.len(), parameter.len(), "values for `{name}` of shape {shape:?}");

            let (values, shape) = match self.path.linear_weight() {
                true => (transposed(&values, shape[0], shape[1]), vec![shape[1], shape[0]]),
                false => (values, shape.clone()),
            };
            let device = param.lazy_device();
            let tensor = Tensor::from_data(TensorData::new(values, shape), &device);
            param.transform_for_load(tensor, *id)
        }
        fn enter_module(&mut self, name: &str, container: &str) {
            self.path.enter(name, container);
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.exit();
        }
    }
    module.map(&mut Map { path: Path::default(), f })
}

/// Where a traversal stands.
#[derive(Default)]
struct Path {
    /// Field names, and what kind of container each belongs to.
    steps: Vec<(String, Container)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Linear,
    Norm,
    Variant,
    Other,
}

impl Path {
    fn enter(&mut self, name: &str, container: &str) {
        let container = match container {
            "Struct:Linear" => Container::Linear,
            "Struct:LayerNorm"
            | "Struct:RmsNorm"
            | "Struct:GroupNorm"
            | "Struct:BatchNorm"
            | "Struct:InstanceNorm" => Container::Norm,
            _ if container.starts_with("Enum:") => Container::Variant,
            _ => Container::Other,
        };
        // A field may be written `r#type`.
        let name = name.trim_start_matches("r#");
        let name = match (container, name) {
            (Container::Norm, "gamma") => "weight",
            (Container::Norm, "beta") => "bias",
            _ => name,
        };
        self.steps.push((name.to_owned(), container));
    }

    fn exit(&mut self) {
        self.steps.pop();
    }

    fn describe<const D: usize>(&self, param: &Param<Tensor<D>>) -> Parameter {
        let names: Vec<&str> = self
            .steps
            .iter()
            .filter(|(_, container)| *container != Container::Variant)
            .map(|(name, _)| name.as_str())
            .collect();
        let mut shape = param.lazy_shape().as_slice().to_vec();
        if self.linear_weight() {
            shape.reverse();
        }
        Parameter { name: names.join("."), shape, id: param.id }
    }

    /// Whether the parameter here is the matrix of Burn's `Linear`.
    fn linear_weight(&self) -> bool {
        matches!(self.steps.last(), Some((name, Container::Linear)) if name == "weight")
    }
}
