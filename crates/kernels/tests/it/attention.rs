//! Attention against its formula in f64.

use burn::tensor::{Bool, FloatDType, Tensor, TensorData, activation};
use hearth_kernels::{View, attention, self_attention};

use super::compare::{assert_close, assert_slope, captured, cpu, pull, scattered, tensor, wide};

/// What a test looks at beside plain attention.
#[derive(Debug, Clone, Copy, Default)]
struct Case {
    /// B, A, Q, K, D.
    sides: [usize; 5],
    /// [G, A or 1, Q or 1, K] of the bias.
    bias: Option<[usize; 4]>,
    /// The same of the mask.
    mask: Option<[usize; 4]>,
    causal: bool,
}

const CASES: &[Case] = &[
    Case { sides: [1, 1, 1, 1, 1], bias: None, mask: None, causal: false },
    Case { sides: [2, 3, 5, 7, 4], bias: None, mask: None, causal: false },
    Case { sides: [2, 2, 7, 7, 8], bias: None, mask: None, causal: true },
    // More scores than one block holds.
    Case { sides: [1, 2, 300, 401, 5], bias: Some([1, 1, 300, 401]), mask: None, causal: false },
    // Windows of a shifted picture: a bias per head, a mask per window.
    Case {
        sides: [6, 2, 9, 9, 4],
        bias: Some([1, 2, 9, 9]),
        mask: Some([3, 1, 9, 9]),
        causal: false,
    },
    Case {
        sides: [4, 2, 3, 5, 4],
        bias: Some([4, 1, 1, 5]),
        mask: Some([1, 2, 3, 5]),
        causal: false,
    },
    // As many groups as neither of them has.
    Case {
        sides: [12, 1, 3, 4, 2],
        bias: Some([6, 1, 3, 4]),
        mask: Some([4, 1, 1, 4]),
        causal: false,
    },
    // Padding.
    Case { sides: [3, 2, 6, 6, 4], bias: None, mask: Some([3, 1, 1, 6]), causal: true },
    // A batch larger than the pieces of a bias.
    Case { sides: [34, 1, 3, 3, 2], bias: Some([2, 1, 3, 3]), mask: None, causal: false },
];

impl Case {
    fn inputs(&self) -> [Tensor<4>; 3] {
        let [b, a, q, k, d] = self.sides;
        [tensor([b, a, q, d], 2.0, 1), tensor([b, a, k, d], 2.0, 2), tensor([b, a, k, d], 2.0, 3)]
    }

    /// Every third key is hidden, and all keys of the last row.
    fn hidden(&self) -> Option<Tensor<4, Bool>> {
        self.mask.map(|sides| {
            let len: usize = sides.iter().product();
            let hidden = (0..len).map(|i| i % 3 == 1 || i + sides[3] >= len).collect::<Vec<bool>>();
            Tensor::from_data(TensorData::new(hidden, sides), &cpu())
        })
    }

    fn bias(&self) -> Option<Tensor<4>> {
        self.bias.map(|sides| tensor(sides, 3.0, 4))
    }

    fn view(&self) -> View {
        View { hidden: self.hidden(), bias: self.bias().map(on), causal: self.causal }
    }
}

/// A constant of the graph.
fn on(x: Tensor<4>) -> Tensor<4> {
    x.autodiff()
}

/// The formula, with masks and biases repeated as they mean it.
fn reference(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, view: View) -> Tensor<4> {
    let [b, a, queries, d] = q.dims();
    let keys = k.dims()[2];
    let mut scores = q.matmul(k.transpose()) / (d as f64).sqrt();
    let repeated = |x: Tensor<4>| {
        let [g, ..] = x.dims();
        x.repeat_dim(0, b / g).expand([b, a, queries, keys])
    };
    let dtype = FloatDType::from(scores.dtype());
    if let Some(bias) = view.bias {
        scores = scores + repeated(bias.cast(dtype));
    }
    let mut visible = Tensor::<4>::ones([b, a, queries, keys], &cpu()).cast(dtype);
    if let Some(hidden) = view.hidden {
        visible = visible * repeated((hidden.float().neg() + 1.0).cast(dtype));
    }
    if view.causal {
        let past: Vec<f32> = (0..queries)
            .flat_map(|q| (0..keys).map(move |k| f32::from(u8::from(k <= q))))
            .collect();
        let past = Tensor::<4>::from_data(TensorData::new(past, [1, 1, queries, keys]), &cpu());
        visible = visible * past.cast(dtype);
    }
    let visible = visible.autodiff();
    let weights = activation::softmax(scores + (visible.clone() - 1.0) * 1e9, 3) * visible;
    weights.matmul(v)
}

#[test]
fn values_and_gradients_of_inputs() {
    for case in CASES {
        let [q, k, v] = case.inputs();
        for turned in [false, true] {
            let [q, k, v] =
                [&q, &k, &v].map(|x| if turned { scattered(x.clone()) } else { x.clone() });
            type Of = fn(Tensor<4>, [Tensor<4>; 3]) -> [Tensor<4>; 3];
            let places: [(Of, Tensor<4>); 3] = [
                (|x, [_, k, v]| [x, k, v], q.clone()),
                (|x, [q, _, v]| [q, x, v], k.clone()),
                (|x, [q, k, _]| [q, k, x], v.clone()),
            ];
            for (place, x) in places {
                let others = || [q.clone(), k.clone(), v.clone()].map(on);
                let (value, grad) = pull(x.clone(), |x| {
                    let [q, k, v] = place(x, others());
                    attention(q, k, v, case.view())
                });
                let (expected, expected_grad) = pull(x, |x| {
                    let [q, k, v] = place(wide(x), others().map(wide));
                    reference(q, k, v, case.view())
                });
                assert_close(&value, &expected, 1e-5);
                assert_close(&grad, &expected_grad, 1e-5);
            }
        }
    }
}

#[test]
fn gradient_of_the_bias() {
    for case in CASES {
        let Some(bias) = case.bias() else { continue };
        let [q, k, v] = case.inputs();
        let with = |bias: Tensor<4>| View { bias: Some(bias), ..case.view() };
        let inputs = || [q.clone(), k.clone(), v.clone()].map(on);
        let (_, grad) = pull(bias.clone(), |bias| {
            let [q, k, v] = inputs();
            attention(q, k, v, with(bias))
        });
        let (_, expected) = pull(bias, |bias| {
            let [q, k, v] = inputs().map(wide);
            reference(q, k, v, with(wide(bias)))
        });
        assert_close(&grad, &expected, 2e-5);
    }
}

#[test]
fn packed_is_the_same() {
    for case in CASES {
        let [b, a, n, keys, d] = case.sides;
        if n != keys {
            continue;
        }
        let apart = |qkv: Tensor<3>| {
            let split = qkv.reshape([b, n, 3, a, d]).permute([2, 0, 3, 1, 4]);
            let [q, k, v] =
                [0, 1, 2].map(|i| split.clone().slice_dim(0, i..i + 1).squeeze_dim::<4>(0));
            attention(q, k, v, case.view()).swap_dims(1, 2).reshape([b, n, a * d])
        };
        let qkv = tensor([b, n, 3 * a * d], 2.0, 9);
        let (value, grad) = pull(qkv.clone(), |qkv| self_attention(qkv, a, case.view()));
        let (expected, expected_grad) = pull(qkv.clone(), apart);
        assert_close(&value, &expected, 1e-6);
        assert_close(&grad, &expected_grad, 1e-6);

        let Some(bias) = case.bias() else { continue };
        let with = |bias: Tensor<4>| View { bias: Some(bias), ..case.view() };
        let packed = |bias| self_attention(qkv.clone().autodiff(), a, with(bias));
        let (_, grad) = pull(bias.clone(), packed);
        assert_slope(bias, packed);
        assert!(grad.is_finite().all().into_scalar::<bool>());
    }
}

#[test]
fn slopes_are_difference_quotients() {
    let case = CASES[4];
    let [q, k, v] = case.inputs();
    let view = || View { bias: case.bias(), ..case.view() };
    assert_slope(q.clone(), |q| attention(q, k.clone(), v.clone(), view()));
    assert_slope(k.clone(), |k| attention(q.clone(), k, v.clone(), view()));
    assert_slope(v.clone(), |v| attention(q.clone(), k.clone(), v, view()));
}

#[test]
fn a_query_that_sees_nothing_gets_zeros() {
    let case = Case { sides: [1, 2, 3, 4, 5], mask: Some([1, 1, 1, 4]), ..Case::default() };
    let hidden = Tensor::<4>::ones([1, 1, 1, 4], &cpu()).equal_elem(1.0);
    for wide_type in [false, true] {
        let [q, k, v] = case.inputs().map(|x| if wide_type { wide(x) } else { x });
        let view = View { hidden: Some(hidden.clone()), ..View::default() };
        let (value, grad) = pull(q, |q| attention(q, on(k.clone()), on(v.clone()), view.clone()));
        assert_close(&value, &value.zeros_like(), 0.0);
        assert_close(&grad, &grad.zeros_like(), 0.0);
    }
}

#[test]
fn nothing_at_all() {
    for sides in [[0, 2, 3, 4, 5], [2, 2, 0, 4, 5], [2, 2, 3, 0, 5]] {
        let [b, a, q, _, d] = sides;
        let [q_, k, v] = Case { sides, ..Case::default() }.inputs();
        let (value, _) = pull(v, |v| attention(on(q_.clone()), on(k.clone()), v, View::default()));
        assert_close(&value, &Tensor::zeros([b, a, q, d], &cpu()), 0.0);
    }
}

#[test]
fn extremes() {
    let [q, k, v] = Case { sides: [1, 1, 4, 6, 8], ..Case::default() }.inputs();
    let value = attention(q.clone() * 1e15, k.clone() * 1e15, v.clone(), View::default());
    let expected =
        reference(wide(q) * 1e15, wide(k.clone()) * 1e15, wide(v.clone()), View::default());
    assert_close(&value, &expected, 1e-5);
    let nan = Tensor::full([1, 1, 4, 8], f32::NAN, &cpu());
    let value = attention(nan, k, v, View::default());
    assert!(value.is_nan().all().into_scalar::<bool>());
}

#[test]
fn other_types() {
    for (dtype, tolerance) in
        [(FloatDType::F64, 1e-6), (FloatDType::F16, 4e-3), (FloatDType::BF16, 3e-2)]
    {
        for case in &CASES[1..7] {
            let [q, k, v] = case.inputs();
            let rest = || [k.clone(), v.clone()].map(|x| on(x.cast(dtype)));
            let view =
                || View { bias: case.bias().map(|bias| on(bias.cast(dtype))), ..case.view() };
            let (value, grad) = pull(q.clone(), |q| {
                let [k, v] = rest();
                attention(q.cast(dtype), k, v, view())
            });
            assert_eq!(FloatDType::from(value.dtype()), dtype);
            let (expected, expected_grad) = pull(q, |q| {
                let [k, v] = [k.clone(), v.clone()].map(|x| on(wide(x)));
                reference(wide(q), k, v, case.view())
            });
            assert_close(&value.cast(FloatDType::F64), &expected, tolerance);
            assert_close(&grad, &expected_grad, tolerance);
        }
    }
}

#[test]
fn is_one_node() {
    let one = |nodes: Vec<String>, name: &str| {
        assert_eq!(nodes.iter().filter(|node| *node == name).count(), 1, "{nodes:?}");
    };
    one(
        captured([2, 3, 12], |qkv| self_attention(qkv, 2, View::default())),
        "hearth::self_attention",
    );
    one(
        captured([2, 2, 3, 4], |x| attention(x.clone(), x.clone(), x, View::default())),
        "hearth::attention",
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    let [q, k, v] = Case { sides: [4, 1, 3, 3, 2], ..Case::default() }.inputs();
    let refused = |q: &Tensor<4>, k: &Tensor<4>, v: &Tensor<4>, bias: Option<Tensor<4>>| {
        let inputs = (q.clone(), k.clone(), v.clone());
        let run = || attention(inputs.0, inputs.1, inputs.2, View { bias, ..View::default() });
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err()
    };
    assert!(!refused(&q, &k, &v, Some(tensor([2, 1, 3, 3], 1.0, 1))));
    assert!(refused(&q, &k, &v, Some(tensor([3, 1, 3, 3], 1.0, 1))), "three groups of four");
    assert!(refused(&q, &k, &v, Some(tensor([4, 1, 2, 3], 1.0, 1))), "two queries of three");
    assert!(refused(&q, &k, &tensor([4, 1, 2, 2], 1.0, 1), None), "two values for three keys");
    assert!(refused(&q, &tensor([4, 1, 3, 1], 1.0, 1), &v, None), "another width of a head");
}
