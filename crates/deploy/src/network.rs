//! What a network contributes: a forward pass whose inputs and outputs have names.

use std::cell::RefCell;

use burn::{
    backend::capture::CaptureBackend,
    module::Module,
    tensor::{Device, Int, Tensor, TensorData, TensorId},
};

/// A side of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// As many as there are samples.
    Batch,
    /// Always as many.
    Fixed(usize),
}

/// What the elements of an input are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// f32.
    Float,
    /// i64.
    Int,
}

/// An input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// What its elements are.
    pub element: Element,
    /// Its sides; at least one follows the batch.
    pub sides: Vec<Side>,
}

/// A forward pass with names.
///
/// It must not depend on values: it is recorded, not run. What it asks for and names must be the same
/// whatever the batch.
pub trait Network {
    /// What it runs.
    type Model: Module;

    /// Every input, in the order of the file.
    fn inputs(&self) -> Vec<Port>;

    /// Takes every input once and names every output, in the order of the file.
    fn forward(&self, model: &Self::Model, inputs: &Inputs<'_>, outputs: &mut Outputs);
}

/// The inputs of one pass.
#[derive(Debug)]
pub struct Inputs<'a> {
    device: &'a Device,
    given: RefCell<Vec<Given>>,
}

#[derive(Debug)]
struct Given {
    name: String,
    values: Option<TensorData>,
    /// Where it stands in a recording, once it was taken.
    id: Option<TensorId>,
}

/// The outputs of one pass, in order.
#[derive(Debug, Default)]
pub struct Outputs {
    pub(crate) named: Vec<Output>,
}

#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) name: String,
    /// A tensor of one element that the file holds without a shape.
    pub(crate) scalar: bool,
    pub(crate) value: Value,
}

/// What stands behind a name.
#[derive(Debug)]
pub(crate) enum Value {
    /// A tensor of a recording.
    Recorded(TensorId),
    /// Values.
    Computed(TensorData),
}

impl Port {
    /// An input of f32.
    pub fn floats(name: &str, sides: impl Into<Vec<Side>>) -> Port {
        Port { name: name.to_owned(), element: Element::Float, sides: sides.into() }
    }

    /// An input of i64.
    pub fn ints(name: &str, sides: impl Into<Vec<Side>>) -> Port {
        Port { name: name.to_owned(), element: Element::Int, sides: sides.into() }
    }

    /// The shape for `batch` samples.
    pub fn shape(&self, batch: usize) -> Vec<usize> {
        let side = |side: &Side| match side {
            Side::Batch => batch,
            Side::Fixed(size) => *size,
        };
        self.sides.iter().map(side).collect()
    }

    pub(crate) fn zeros(&self, batch: usize) -> TensorData {
        match self.element {
            Element::Float => TensorData::zeros::<f32, _>(self.shape(batch)),
            Element::Int => TensorData::zeros::<i64, _>(self.shape(batch)),
        }
    }
}

impl<'a> Inputs<'a> {
    pub(crate) fn new(
        device: &'a Device,
        values: impl IntoIterator<Item = (String, TensorData)>,
    ) -> Inputs<'a> {
        let given =
            values.into_iter().map(|(name, values)| Given { name, values: Some(values), id: None });
        Inputs { device, given: RefCell::new(given.collect()) }
    }

    /// Where the pass runs.
    pub fn device(&self) -> &Device {
        self.device
    }

    /// The input of f32 of that name. Panics if there is none, or if it was taken already.
    pub fn floats<const D: usize>(&self, name: &str) -> Tensor<D> {
        let tensor = Tensor::<D>::from_data(self.values(name), self.device);
        let recorded = tensor.clone().try_into_primitive::<CaptureBackend>().ok();
        self.took(name, recorded.map(|tensor| tensor.id()));
        tensor
    }

    /// The input of i64 of that name. Panics if there is none, or if it was taken already.
    pub fn ints<const D: usize>(&self, name: &str) -> Tensor<D, Int> {
        let tensor = Tensor::<D, Int>::from_data(self.values(name), self.device);
        let recorded = tensor.clone().try_into_primitive::<CaptureBackend>().ok();
        self.took(name, recorded.map(|tensor| tensor.id()));
        tensor
    }

    fn values(&self, name: &str) -> TensorData {
        let mut given = self.given.borrow_mut();
        let given = given.iter_mut().find(|given| given.name == name);
        let given = given.unwrap_or_else(|| panic!("the network has no input `{name}`"));
        given.values.take().unwrap_or_else(|| panic!("input `{name}` is taken twice"))
    }

    fn took(&self, name: &str, id: Option<TensorId>) {
        let mut given = self.given.borrow_mut();
        given.iter_mut().filter(|given| given.name == name).for_each(|given| given.id = id);
    }

    /// Where the inputs stand in a recording. Panics if one was not taken.
    pub(crate) fn ids(&self) -> Vec<TensorId> {
        let given = self.given.borrow();
        let id = |given: &Given| {
            given.id.unwrap_or_else(|| panic!("input `{}` is not taken", given.name))
        };
        given.iter().map(id).collect()
    }
}

impl Outputs {
    /// Names `tensor`.
    pub fn name<const D: usize>(&mut self, name: &str, tensor: Tensor<D>) {
        self.push(name, tensor, false);
    }

    /// Names the one element of `tensor`; in the file it has no sides.
    pub fn name_scalar(&mut self, name: &str, tensor: Tensor<1>) {
        assert_eq!(tensor.dims(), [1], "elements of `{name}`");
        self.push(name, tensor, true);
    }

    fn push<const D: usize>(&mut self, name: &str, tensor: Tensor<D>, scalar: bool) {
        let value = match tensor.clone().try_into_primitive::<CaptureBackend>() {
            Ok(tensor) => Value::Recorded(tensor.id()),
            Err(_) => Value::Computed(tensor.into_data()),
        };
        self.named.push(Output { name: name.to_owned(), scalar, value });
    }
}

/// The outputs of `network` for `inputs`, by name.
pub fn run<N: Network>(
    network: &N,
    model: &N::Model,
    inputs: impl IntoIterator<Item = (String, TensorData)>,
    device: &Device,
) -> Vec<(String, TensorData)> {
    let mut outputs = Outputs::default();
    network.forward(model, &Inputs::new(device, inputs), &mut outputs);
    let computed = outputs.named.into_iter().map(|output| match output.value {
        Value::Computed(values) => (output.name, values),
        Value::Recorded(_) => unreachable!("nothing is recorded on a device that computes"),
    });
    computed.collect()
}
