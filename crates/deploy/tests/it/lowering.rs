//! Single operations: each is recorded, written, run by ONNX Runtime, and compared with the framework.
//!
//! Needs the library (`ORT_DYLIB_PATH`); without it the tests say so and pass, unless `HEARTH_REQUIRE`
//! names `ort`.

use burn::{
    module::{Module, Param},
    tensor::{Device, Int, Tensor, TensorData, module::conv2d, ops::ConvOptions},
};
use hearth_deploy::{Inputs, Named, Network, Options, Outputs, Port, Side, export, onnx, parity};
use hearth_kernels::{Activation, View};

use super::runtime::runtime;

/// Parameters of all kinds.
#[derive(Module, Debug)]
struct Held {
    row: Param<Tensor<1>>,
    matrix: Param<Tensor<2>>,
    kernels: Param<Tensor<4>>,
}

type Forward = fn(&Held, &Inputs<'_>, &mut Outputs);

/// A network of one operation.
struct Case {
    name: &'static str,
    inputs: Vec<Port>,
    forward: Forward,
}

impl Network for Case {
    type Model = Held;

    fn inputs(&self) -> Vec<Port> {
        self.inputs.clone()
    }

    fn forward(&self, model: &Held, inputs: &Inputs<'_>, outputs: &mut Outputs) {
        (self.forward)(model, inputs, outputs);
    }
}

fn noise(seed: usize, count: usize) -> Vec<f32> {
    (0..count).map(|i| ((seed * 31 + i * 7) as f32 * 12.9898).sin() * 1.5).collect()
}

fn held() -> Held {
    let device = Device::flex();
    let param = |seed, shape: [usize; 4]| {
        let values = TensorData::new(noise(seed, shape.iter().product()), shape);
        Tensor::<4>::from_data(values, &device)
    };
    Held {
        row: Param::from_tensor(param(1, [1, 1, 1, 6]).reshape([6])),
        matrix: Param::from_tensor(param(2, [1, 1, 6, 5]).reshape([6, 5])),
        kernels: Param::from_tensor(param(3, [6, 1, 3, 3])),
    }
}

/// Fixed sides behind the batch.
fn floats(name: &str, sides: &[usize]) -> Port {
    let sides = [Side::Batch].into_iter().chain(sides.iter().map(|&side| Side::Fixed(side)));
    Port::floats(name, sides.collect::<Vec<_>>())
}

fn case(name: &'static str, sides: &[usize], forward: Forward) -> Case {
    Case { name, inputs: vec![floats("x", sides)], forward }
}

fn activations() -> Vec<Case> {
    fn with<const F: usize>(_: &Held, inputs: &Inputs<'_>, outputs: &mut Outputs) {
        const ALL: [Activation; 4] =
            [Activation::Gelu, Activation::GeluTanh, Activation::QuickGelu, Activation::Silu];
        outputs.name("y", hearth_kernels::activate(inputs.floats::<2>("x"), ALL[F]));
    }
    vec![
        case("gelu", &[6], with::<0>),
        case("gelu tanh", &[6], with::<1>),
        case("quick gelu", &[6], with::<2>),
        case("silu", &[6], with::<3>),
    ]
}

fn kernels() -> Vec<Case> {
    vec![
        case("linear without a bias", &[4, 6], |held, inputs, outputs| {
            outputs.name(
                "y",
                hearth_kernels::linear(inputs.floats::<3>("x"), held.matrix.val(), None),
            );
        }),
        case("softmax", &[4, 6], |_, inputs, outputs| {
            outputs.name("y", hearth_kernels::softmax(inputs.floats::<3>("x")));
        }),
        case("log softmax", &[4, 6], |_, inputs, outputs| {
            outputs.name("y", hearth_kernels::log_softmax(inputs.floats::<3>("x")));
        }),
        case("layer norm", &[4, 6], |held, inputs, outputs| {
            let x = inputs.floats::<3>("x");
            outputs.name("y", hearth_kernels::layer_norm(x, held.row.val(), held.row.val(), 1e-5));
        }),
        case("response norm", &[3, 5, 6], |held, inputs, outputs| {
            let x = inputs.floats::<4>("x");
            outputs
                .name("y", hearth_kernels::response_norm(x, held.row.val(), held.row.val(), 1e-6));
        }),
        case("depthwise convolution", &[5, 4, 6], |held, inputs, outputs| {
            let x = inputs.floats::<4>("x");
            outputs
                .name("y", hearth_kernels::depthwise_conv(x, held.kernels.val(), held.row.val()));
        }),
        case("causal attention", &[5, 12], |_, inputs, outputs| {
            let view = View { causal: true, ..View::default() };
            outputs.name("y", hearth_kernels::self_attention(inputs.floats::<3>("x"), 2, view));
        }),
        case("attention with a bias", &[2, 5, 6], |_, inputs, outputs| {
            let x = inputs.floats::<4>("x");
            let bias = x.clone().slice_dim(3, 0..5).mean_dim(1);
            let view = View { bias: Some(bias), ..View::default() };
            outputs.name("y", hearth_kernels::attention(x.clone(), x.clone() * 0.5, x, view));
        }),
        case("attention that hides keys", &[2, 5, 6], |_, inputs, outputs| {
            let x = inputs.floats::<4>("x");
            let hidden = x.clone().slice_dim(3, 0..5).slice_dim(1, 0..1).greater_elem(1.2);
            let view = View { hidden: Some(hidden), ..View::default() };
            outputs.name("y", hearth_kernels::attention(x.clone(), x.clone(), x, view));
        }),
    ]
}

/// Two maps of 3 x 4 and 2 x 2 cells, two heads, three queries with two points in each map, some of them
/// outside.
fn deformable() -> Case {
    let inputs = vec![
        floats("values", &[16, 2, 5]),
        floats("places", &[3, 2, 2, 2, 2]),
        floats("weights", &[3, 2, 2, 2]),
    ];
    let forward: Forward = |_, inputs, outputs| {
        let places = inputs.floats::<6>("places") * 0.5 + 0.5;
        let (values, weights) = (inputs.floats::<4>("values"), inputs.floats::<5>("weights"));
        let maps = [[3, 4], [2, 2]];
        outputs.name("y", hearth_kernels::deformable_sampling(values, &maps, places, weights));
    };
    Case { name: "deformable sampling", inputs, forward }
}

fn operations() -> Vec<Case> {
    vec![
        case("convolution", &[6, 7, 5], |held, inputs, outputs| {
            let options = ConvOptions::new([2, 1], [1, 1], [1, 1], 6);
            let x = inputs.floats::<4>("x");
            outputs.name("y", conv2d(x, held.kernels.val(), Some(held.row.val()), options));
        }),
        case("arithmetic", &[4, 6], |held, inputs, outputs| {
            let x = inputs.floats::<3>("x");
            let row = held.row.val().reshape([1, 1, 6]);
            let y = (x.clone() + row.clone()) / (row * x.clone() + 3.0) - x.clone().abs().sqrt();
            outputs
                .name("y", y + x.clone().powi_scalar(3) + x.clone().square() - x.exp().log().neg());
        }),
        case("limits and comparisons", &[4, 6], |_, inputs, outputs| {
            let x = inputs.floats::<3>("x");
            let high = x.clone().greater_elem(0.3).bool_and(x.clone().lower_elem(1.0));
            let y = x.clone().clamp(-0.5, 0.5).mask_fill(high, 7.0);
            outputs.name(
                "y",
                y + x.clone().clamp_min(0.1) + x.clone().equal_elem(0.0).float() + x.sign(),
            );
        }),
        case("sums", &[4, 6], |_, inputs, outputs| {
            let x = inputs.floats::<3>("x");
            outputs.name("a", x.clone().sum_dim(1) + x.clone().mean_dim(1) + x.clone().max_dim(1));
            outputs.name("b", x.clone().min_dim(2));
            outputs.name("c", x.clone().cumsum(1) / 10.0);
            outputs.name("d", x.argmax(2).float());
        }),
        case("parts", &[4, 6], |held, inputs, outputs| {
            let x = inputs.floats::<3>("x");
            let [b, ..] = x.dims();
            let part = x.clone().slice_dim(1, 1..3).repeat_dim(2, 2);
            let token = held.row.val().reshape([1, 1, 6]).expand([b, 1, 6]).repeat_dim(2, 2);
            let whole = Tensor::cat(vec![token, part, x.clone().repeat_dim(2, 2)], 1);
            outputs.name("y", whole.swap_dims(1, 2).reshape([b * 4, 21]));
        }),
        case("places", &[4, 6], |_, inputs, outputs| {
            let x = inputs.floats::<3>("x");
            let rows = TensorData::from([3_i64, 0, 0]);
            let rows = Tensor::<1, Int>::from_data(rows, inputs.device());
            outputs.name("a", x.clone().select(1, rows));
            let index = x.clone().argmax(1).expand(x.dims());
            outputs.name("b", x.gather(1, index));
        }),
        case("truth", &[4, 6], |_, inputs, outputs| {
            let x = inputs.floats::<3>("x");
            let (a, b) = (x.clone().greater_elem(0.0), x.clone().lower_equal_elem(1.0));
            outputs.name("a", a.clone().bool_or(b.clone()).float());
            outputs.name("b", a.bool_xor(b.bool_not()).int().float() * 2.0);
        }),
    ]
}

#[test]
fn operations_are_computed_alike() {
    let folder = tempfile::tempdir().unwrap();
    let (model, device) = (held(), Device::flex());
    for case in activations().into_iter().chain(kernels()).chain(operations()).chain([deformable()])
    {
        for opset in [17, 18, 20, 22] {
            let options = Options { opset, ..Options::default() };
            let name = format!("{} at {opset}", case.name);
            let written = export(&case, &model, &options);
            let written = written.unwrap_or_else(|error| panic!("{name}: {error}"));
            let path = folder.path().join("m.onnx");
            onnx::check(&written, &path).unwrap_or_else(|error| panic!("{name}: {error}"));
            onnx::write(&written, &path).unwrap();
            let Some(runtime) = runtime() else { continue };
            let samples = [1, 2, 5].map(|batch| {
                let inputs = case.inputs.iter().map(|port| {
                    let shape = port.shape(batch);
                    let values = noise(batch, shape.iter().product());
                    (port.name.clone(), TensorData::new(values, shape))
                });
                parity::sample(&case, &model, inputs.collect::<Vec<Named>>(), &device)
            });
            let mut session = runtime.open(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
            let parity = parity::compare(&mut session, &samples, parity::TOLERANCE).unwrap();
            assert!(parity.holds(), "{name}\n{parity}\n{}", onnx::listing(&written).join("\n"));
        }
    }
}

#[test]
fn what_depends_on_parameters_alone_is_computed_once() {
    let case = case("constants", &[6], |held, inputs, outputs| {
        let scale =
            (held.matrix.val().sum_dim(1).reshape([6]) + held.row.val()).exp().reshape([1, 6]);
        outputs.name("y", inputs.floats::<2>("x") * scale);
        outputs.name_scalar("s", held.row.val().slice_dim(0, 0..1).exp());
    });
    let graph = export(&case, &held(), &Options::default()).unwrap().graph.unwrap();
    let operators: Vec<&str> = graph.node.iter().map(|node| node.op_type.as_str()).collect();
    assert_eq!(operators, ["Mul", "Constant"]);
    assert_eq!(graph.initializer.len(), 1);
    assert_eq!(graph.output[1].sides(), Some(Vec::new()));
}

#[test]
fn an_operation_without_a_form_is_named_with_its_place() {
    let case = case("sort", &[6], |held, inputs, outputs| {
        let x = inputs.floats::<2>("x") * held.row.val().reshape([1, 6]);
        outputs.name("y", x.sort(1).matmul(held.matrix.val()));
    });
    let error = export(&case, &held(), &Options::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "operation `NumericFloat::F32::Sort` in `` has no form in ONNX yet"
    );
}

#[test]
fn a_pass_that_is_not_the_same_for_every_batch_is_refused() {
    for (forward, expected) in [
        (
            (|_, inputs, outputs| {
                let x = inputs.floats::<2>("x");
                let y = if x.dims()[0] == 2 { x.exp() } else { x.log() };
                outputs.name("y", y);
            }) as Forward,
            "`Float::F32::Exp` is another operation for another number of samples",
        ),
        (
            |_, inputs, outputs| {
                let x = inputs.floats::<2>("x");
                let [b, _] = x.dims();
                outputs.name("y", x.reshape([1, 6 * b]).expand([b * b, 6 * b]));
            },
            "has a side of 4 for 2 samples, 9 for 3",
        ),
        (
            |_, inputs, outputs| {
                let x = inputs.floats::<2>("x");
                let [b, _] = x.dims();
                outputs.name("y", x.repeat_dim(0, 2).slice_dim(0, 0..b));
            },
            "takes a part of axis 0 that follows the batch",
        ),
    ] {
        let case = case("changes", &[6], forward);
        let error = export(&case, &held(), &Options::default()).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
    }
}
