//! Running recorded operations: for constants, and to find where a file differs from its model.

use burn::{
    backend::{
        ir::{
            BackendIr, CustomOpIr, HandleContainer, HandleKind, IrVisitorMut, OperationIr,
            TensorIr, TensorStatus,
        },
        ops::{BoolTensorOps, FloatTensorOps, IntTensorOps},
    },
    tensor::{Bool, Int, Shape, Tensor, TensorData, TensorId},
};
use burn_flex::{Flex, FlexTensor};
use burn_router::{CustomOpRegistry, TensorInterpreter};
use hearth_kernels::View;

use crate::lower::{ACTIVATIONS, Scalars};

/// A run on the CPU; every result stays until the end.
pub(crate) struct Replay {
    interpreter: TensorInterpreter<Flex>,
}

impl Replay {
    pub(crate) fn new() -> Replay {
        let mut kernels = CustomOpRegistry::<Flex>::new();
        for (name, kernel) in KERNELS {
            kernels.register(name, move |handles, operation, _| {
                let out = kernel(&mut Operands { handles, operation });
                handles.register_float_tensor::<Flex>(&operation.outputs[0].id, out);
            });
        }
        let interpreter = TensorInterpreter::with_custom_ops(Default::default(), kernels);
        Replay { interpreter }
    }

    /// Whether it knows how to run `operation`.
    pub(crate) fn can_run(operation: &OperationIr) -> bool {
        match operation {
            OperationIr::Custom(custom) => KERNELS.iter().any(|(name, _)| *name == custom.id),
            _ => true,
        }
    }

    /// Gives a tensor its values.
    pub(crate) fn give(&mut self, id: TensorId, values: TensorData) {
        self.interpreter.register_tensor_data_id(id, values);
    }

    /// Runs one operation, whose inputs are there.
    pub(crate) fn run(&mut self, operation: &OperationIr) {
        struct Keep;
        impl IrVisitorMut for Keep {
            fn visit_tensor_mut(&mut self, tensor: &mut TensorIr) {
                if tensor.status == TensorStatus::ReadWrite {
                    tensor.status = TensorStatus::ReadOnly;
                }
            }
        }
        let mut operation = operation.clone();
        operation.visit_mut(&mut Keep);
        self.interpreter.register_op(operation);
    }

    /// The values of a tensor of numbers that was given or computed.
    pub(crate) fn values(&mut self, tensor: &TensorIr) -> TensorData {
        let count = Shape::new([tensor.shape.num_elements()]);
        let kept = TensorIr { status: TensorStatus::ReadOnly, ..tensor.clone() };
        let flat = match self.interpreter.get_tensor(&kept) {
            HandleKind::Float(floats) => {
                let floats = Flex::float_reshape(floats, count);
                Tensor::<1>::from_primitive::<Flex>(floats).into_data()
            }
            HandleKind::Int(ints) => {
                let ints = Flex::int_reshape(ints, count);
                Tensor::<1, Int>::from_primitive::<Flex>(ints).into_data()
            }
            HandleKind::Bool(truths) => {
                let truths = Flex::bool_reshape(truths, count);
                Tensor::<1, Bool>::from_primitive::<Flex>(truths).into_data()
            }
            HandleKind::Quantized(_) => unreachable!("nothing here is quantized"),
        };
        let (bytes, _, dtype) = flat.into_parts();
        TensorData::from_bytes(bytes, tensor.shape.clone(), dtype)
    }
}

/// What a kernel of our own works on.
struct Operands<'a> {
    handles: &'a mut HandleContainer<<Flex as BackendIr>::Handle>,
    operation: &'a CustomOpIr,
}

impl Operands<'_> {
    fn has(&self, index: usize) -> bool {
        self.operation.inputs.len() > index
    }

    fn tensor<const D: usize>(&mut self, index: usize) -> Tensor<D> {
        let tensor = self.handles.get_float_tensor::<Flex>(&self.operation.inputs[index]);
        Tensor::from_primitive::<Flex>(tensor)
    }

    /// The first input, every axis but the last one as one.
    fn rows(&mut self) -> Tensor<2> {
        let input = &self.operation.inputs[0];
        let width = input.shape.iter().last().copied().unwrap_or(1);
        let rows = Shape::new([input.shape.num_elements() / width.max(1), width]);
        let tensor = self.handles.get_float_tensor::<Flex>(input);
        Tensor::from_primitive::<Flex>(Flex::float_reshape(tensor, rows))
    }

    /// The result with the shape that was recorded.
    fn shaped<const D: usize>(&self, out: Tensor<D>) -> FlexTensor {
        let out = out.try_into_primitive::<Flex>().expect("kernels stay on the device");
        Flex::float_reshape(out, self.operation.outputs[0].shape.clone())
    }
}

type Kernel = fn(&mut Operands<'_>) -> FlexTensor;

/// The operations that `hearth-kernels` records, as it runs them.
const KERNELS: [(&str, Kernel); 10] = [
    ("hearth::linear", |x| {
        let bias = x.has(2).then(|| x.tensor(2));
        let out = hearth_kernels::linear(x.rows(), x.tensor(1), bias);
        x.shaped(out)
    }),
    ("hearth::layer_norm", |x| {
        let input = x.rows();
        let (weight, bias) = (x.tensor(1), x.tensor(2));
        let out = hearth_kernels::layer_norm(input, weight, bias, x.operation.scalars.float(0));
        x.shaped(out)
    }),
    ("hearth::activate", |x| {
        let function = ACTIVATIONS[x.operation.scalars.count(0)];
        let out = hearth_kernels::activate(x.rows(), function);
        x.shaped(out)
    }),
    ("hearth::softmax", |x| {
        let out = hearth_kernels::softmax(x.rows());
        x.shaped(out)
    }),
    ("hearth::log_softmax", |x| {
        let out = hearth_kernels::log_softmax(x.rows());
        x.shaped(out)
    }),
    ("hearth::attention", |x| {
        let bias = x.has(3).then(|| x.tensor(3));
        let view = View { causal: x.operation.scalars.flag(0), bias, ..View::default() };
        let out = hearth_kernels::attention(x.tensor(0), x.tensor(1), x.tensor(2), view);
        x.shaped(out)
    }),
    ("hearth::self_attention", |x| {
        let bias = x.has(1).then(|| x.tensor(1));
        let view = View { causal: x.operation.scalars.flag(0), bias, ..View::default() };
        let heads = x.operation.scalars.count(1);
        let out = hearth_kernels::self_attention(x.tensor(0), heads, view);
        x.shaped(out)
    }),
    ("hearth::response_norm", |x| {
        let (gamma, beta) = (x.tensor(1), x.tensor(2));
        let epsilon = x.operation.scalars.float(0);
        let out = hearth_kernels::response_norm(x.tensor(0), gamma, beta, epsilon);
        x.shaped(out)
    }),
    ("hearth::depthwise_conv", |x| {
        let out = hearth_kernels::depthwise_conv(x.tensor(0), x.tensor(1), x.tensor(2));
        x.shaped(out)
    }),
    ("hearth::deformable_sampling", |x| {
        let sides = &x.operation.scalars;
        let side = |index| sides.count(index);
        let maps: Vec<[usize; 2]> =
            (0..sides.len() / 2).map(|map| [side(2 * map), side(2 * map + 1)]).collect();
        let out = hearth_kernels::deformable_sampling(x.tensor(0), &maps, x.tensor(1), x.tensor(2));
        x.shaped(out)
    }),
];
