//! The f16 pass: what becomes f16, what stays f32, where the casts stand.

use hearth_deploy::{
    half::{HalfModel, LayerPrecision, to_half},
    onnx::{
        AttributeProto, DataType, DimensionValue, GraphProto, ModelProto, NodeProto,
        OperatorSetIdProto, TensorProto, ValueInfoProto,
    },
    trt::TensorRtError,
};

pub(super) fn value(name: &str, dtype: DataType, width: i64) -> ValueInfoProto {
    let batch = DimensionValue::Named("batch_size".to_owned());
    ValueInfoProto::tensor(name, dtype, [batch, DimensionValue::Fixed(width)])
}

pub(super) fn node(name: &str, op: &str, inputs: &[&str], output: &str) -> NodeProto {
    let node = NodeProto::new(op, inputs.iter().copied(), [output]);
    NodeProto { name: name.to_owned(), ..node }
}

pub(super) fn floats(name: &str, shape: &[usize]) -> TensorProto {
    let count = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..count).map(|at| (at as f32 * 0.37).sin() / 4.0).collect();
    TensorProto::floats(name, shape, &values)
}

pub(super) fn model(
    node: Vec<NodeProto>,
    initializer: Vec<TensorProto>,
    outputs: &[&str],
) -> ModelProto {
    let output = outputs.iter().map(|name| value(name, DataType::Float, 4)).collect();
    let input = vec![value("x", DataType::Float, 4), value("ids", DataType::Int64, 4)];
    let graph = GraphProto {
        name: "g".to_owned(),
        node,
        initializer,
        input,
        output,
        value_info: Vec::new(),
    };
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

/// A pre-norm block: attention over the four columns of `x` and a residual.
pub(super) fn block() -> ModelProto {
    let nodes = vec![
        node("norm", "LayerNormalization", &["x", "scale"], "normed"),
        node("attn.q", "MatMul", &["normed", "wq"], "q"),
        node("attn.k", "MatMul", &["normed", "wk"], "k"),
        node("attn.v", "MatMul", &["normed", "wv"], "v"),
        node("attn.scale", "Mul", &["q", "half"], "scaled"),
        node("attn.turn", "Transpose", &["k"], "kt"),
        node("attn.logits", "MatMul", &["scaled", "kt"], "logits"),
        node("attn.softmax", "Softmax", &["logits"], "weights")
            .with(AttributeProto::int("axis", -1)),
        node("attn.mix", "MatMul", &["weights", "v"], "mixed"),
        node("sum", "Add", &["x", "mixed"], "residual"),
        node("fc", "MatMul", &["residual", "wf"], "hidden"),
        node("act", "Relu", &["hidden"], "y"),
    ];
    let weights = ["wq", "wk", "wv", "wf"].map(|name| floats(name, &[4, 4]));
    let one = TensorProto::floats("half", &[], &[0.5]);
    let scale = TensorProto::floats("scale", &[4], &[1.0; 4]);
    model(nodes, [&weights[..], &[one, scale]].concat(), &["y"])
}

fn graph(model: &HalfModel) -> &GraphProto {
    model.model.graph.as_ref().unwrap()
}

/// `Cast x -> y`, one line each, in order.
fn lines(graph: &GraphProto) -> Vec<String> {
    let line = |node: &NodeProto| {
        let to = node.attribute("to").map_or(String::new(), |to| match to.i {
            Some(10) => " f16".to_owned(),
            Some(1) => " f32".to_owned(),
            other => format!(" {other:?}"),
        });
        format!("{} {} -> {}{to}", node.op_type, node.input.join(" "), node.output.join(" "))
    };
    graph.node.iter().map(line).collect()
}

fn dtype(graph: &GraphProto, name: &str) -> DataType {
    graph.initializer.iter().find(|tensor| tensor.name == name).unwrap().data_type()
}

#[test]
fn normalisation_and_logits_stay_f32_and_casts_stand_between() {
    let half = to_half(&block(), &[]).unwrap();
    assert_eq!(
        lines(graph(&half)),
        [
            "LayerNormalization x scale -> normed",
            "Cast normed -> normed__fp16 f16",
            "MatMul normed__fp16 wq -> q",
            "MatMul normed__fp16 wk -> k",
            "MatMul normed__fp16 wv -> v",
            "Cast q -> q__fp32 f32",
            "Mul q__fp32 half -> scaled",
            "Transpose k -> kt",
            "Cast kt -> kt__fp32 f32",
            "MatMul scaled kt__fp32 -> logits",
            "Softmax logits -> weights",
            "Cast weights -> weights__fp16 f16",
            "MatMul weights__fp16 v -> mixed",
            "Cast x -> x__fp16 f16",
            "Add x__fp16 mixed -> residual",
            "MatMul residual wf -> hidden",
            "Relu hidden -> y__fp16",
            "Cast y__fp16 -> y f32",
        ]
    );
    let graph = graph(&half);
    for weight in ["wq", "wk", "wv", "wf"] {
        assert_eq!(dtype(graph, weight), DataType::Float16, "{weight}");
    }
    assert_eq!(dtype(graph, "half"), DataType::Float);
    assert_eq!(dtype(graph, "scale"), DataType::Float);
    assert_eq!(half.renamed["y__fp16"], "y");
    let original = block().graph.unwrap();
    assert_eq!((&graph.input, &graph.output), (&original.input, &original.output));
}

#[test]
fn a_weight_keeps_its_values_in_f16() {
    let half = to_half(&block(), &[]).unwrap();
    let weight = &graph(&half).initializer[0];
    let original = block().graph.unwrap().initializer[0].to_floats().unwrap();
    let bytes = weight.raw_data.as_ref().unwrap();
    assert_eq!(bytes.len(), 32);
    for (pair, value) in bytes.chunks(2).zip(original) {
        let read = burn::tensor::f16::from_le_bytes([pair[0], pair[1]]).to_f32();
        assert!((read - value).abs() <= value.abs() / 2048.0, "{value} became {read}");
    }
}

#[test]
fn what_layers_precision_names_stays_f32() {
    let named = ["fc:fp32".parse().unwrap(), "act:fp32".parse().unwrap()];
    let half = to_half(&block(), &named).unwrap();
    let lines = lines(graph(&half));
    let end = &lines[lines.len() - 4..];
    assert_eq!(
        end,
        [
            "Cast mixed -> mixed__fp32 f32",
            "Add x mixed__fp32 -> residual",
            "MatMul residual wf -> hidden",
            "Relu hidden -> y",
        ]
    );
    assert_eq!(dtype(graph(&half), "wf"), DataType::Float);

    // The longest entry decides, and `attn` does not mean `attnx`.
    let named = ["attn:fp32".parse().unwrap(), "attn.v:fp16".parse().unwrap()];
    let half = to_half(&block(), &named).unwrap();
    assert_eq!(dtype(graph(&half), "wq"), DataType::Float);
    assert_eq!(dtype(graph(&half), "wv"), DataType::Float16);
    let named = ["att:fp32".parse().unwrap()];
    let error = to_half(&block(), &named).unwrap_err();
    assert_eq!(
        error.to_string(),
        "layers_precision: found `att`, needed the beginning of the name of a node in the graph"
    );
    assert!(error.hints()[0].contains("`attn.q`"), "{:?}", error.hints());
}

#[test]
fn entries_of_layers_precision_are_read() {
    let read = |entry: &str| entry.parse::<LayerPrecision>();
    assert_eq!(read(" blocks.1 : fp16 ").unwrap().layer, "blocks.1");
    for entry in ["fc", "fc:int8", ":fp32", "", "fc:", "fc:fp32:x"] {
        let error = read(entry).unwrap_err();
        assert!(matches!(&error, TensorRtError::LayerPrecision { entry: found } if found == entry));
    }
}

#[test]
fn a_weight_beyond_f16_is_named() {
    let mut large = block();
    let weights = &mut large.graph.as_mut().unwrap().initializer;
    let mut values = [0.0; 16];
    values[3] = -1e6;
    weights[3] = TensorProto::floats("wf", &[4, 4], &values);
    let error = to_half(&large, &[]).unwrap_err();
    assert_eq!(error.to_string(), "weight `wf` holds -1e6, f16 ends at 65504");
    assert!(error.hints()[0].contains(r#"["fc:fp32"]"#), "{:?}", error.hints());
    assert!(to_half(&large, &["fc:fp32".parse().unwrap()]).is_ok());
}

#[test]
fn a_norm_is_one_island() {
    // y = x W / max(sqrt(sum((x W)^2)), 1e-12), with the square as a product.
    let nodes = vec![
        node("proj", "MatMul", &["x", "w"], "p"),
        node("norm", "Mul", &["p", "p"], "squares"),
        node("norm", "ReduceSum", &["squares", "axes"], "sum"),
        node("norm", "Sqrt", &["sum"], "root"),
        node("norm", "Max", &["root", "tiny"], "length"),
        node("norm", "Div", &["p", "length"], "y"),
    ];
    let weights = vec![
        floats("w", &[4, 4]),
        TensorProto::ints("axes", &[1], &[1]),
        TensorProto::floats("tiny", &[], &[1e-12]),
    ];
    let half = to_half(&model(nodes, weights, &["y"]), &[]).unwrap();
    assert_eq!(
        lines(graph(&half)),
        [
            "Cast x -> x__fp16 f16",
            "MatMul x__fp16 w -> p",
            "Cast p -> p__fp32 f32",
            "Mul p__fp32 p__fp32 -> squares",
            "ReduceSum squares axes -> sum",
            "Sqrt sum -> root",
            "Max root tiny -> length",
            "Div p__fp32 length -> y",
        ]
    );
    assert_eq!(dtype(graph(&half), "tiny"), DataType::Float);
}

#[test]
fn a_cube_under_a_tanh_is_an_island() {
    // Gelu by tanh: x^3 leaves f16 at 40.
    let nodes = vec![
        node("fc", "MatMul", &["x", "w"], "h"),
        node("act", "Mul", &["h", "h"], "square"),
        node("act", "Mul", &["square", "h"], "cube"),
        node("act", "Mul", &["cube", "a"], "small"),
        node("act", "Add", &["h", "small"], "sum"),
        node("act", "Mul", &["sum", "b"], "inner"),
        node("act", "Tanh", &["inner"], "tanh"),
        node("act", "Add", &["tanh", "one"], "more"),
        node("act", "Mul", &["h", "more"], "twice"),
        node("act", "Mul", &["twice", "c"], "y"),
    ];
    let one = |name: &str, value| TensorProto::floats(name, &[], &[value]);
    let numbers = [one("a", 0.044_715), one("b", 0.797_88), one("one", 1.0), one("c", 0.5)];
    let weights = [&[floats("w", &[4, 4])][..], &numbers].concat();
    let half = to_half(&model(nodes, weights, &["y"]), &[]).unwrap();
    let graph = graph(&half);
    let full = graph.node.iter().position(|node| node.op_type == "Tanh").unwrap();
    let casts = |nodes: &[NodeProto]| nodes.iter().filter(|node| node.op_type == "Cast").count();
    assert_eq!(casts(&graph.node[..full]), 2, "{:?}", lines(graph));
    for number in ["a", "b"] {
        assert_eq!(dtype(graph, number), DataType::Float, "{number}");
    }
}

#[test]
fn shared_weights_constants_and_whole_numbers() {
    // A table that is read in f16 and is an output too, a constant as a node, ids that stay whole.
    let constant = TensorProto::floats("", &[4], &[1.0, 2.0, 3.0, 4.0]);
    let mut two = AttributeProto::int("value", 0);
    (two.t, two.i, two.kind) = (Some(constant), None, 4);
    let nodes = vec![
        node("two", "Constant", &[], "c").with(two),
        node("shape", "Shape", &["x"], "sides"),
        node("embed", "Gather", &["table", "ids"], "e"),
        node("flat", "Reshape", &["e", "sides"], "f"),
        node("proj", "MatMul", &["f", "table"], "g"),
        node("add", "Add", &["g", "c"], "y"),
        node("count", "Cast", &["g"], "whole").with(AttributeProto::int("to", 7)),
    ];
    let half =
        to_half(&model(nodes, vec![floats("table", &[4, 4])], &["y", "table"]), &[]).unwrap();
    assert_eq!(
        lines(graph(&half)),
        [
            "Shape x -> sides",
            "Gather table__fp16 ids -> e",
            "Reshape e sides -> f",
            "MatMul f table__fp16 -> g",
            "Add g c -> y__fp16",
            "Cast y__fp16 -> y f32",
            "Cast g -> g__fp32 f32",
            "Cast g__fp32 -> whole Some(7)",
        ]
    );
    assert_eq!(dtype(graph(&half), "table"), DataType::Float);
    assert_eq!(dtype(graph(&half), "table__fp16"), DataType::Float16);
    assert_eq!(dtype(graph(&half), "c"), DataType::Float16);
}

#[test]
fn graphs_inside_nodes_are_refused() {
    let mut branch = AttributeProto::int("then_branch", 0);
    (branch.g, branch.i, branch.kind) = (Some(GraphProto::default()), None, 5);
    let nodes = vec![node("choose", "If", &["x"], "y").with(branch)];
    let error = to_half(&model(nodes, Vec::new(), &["y"]), &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "node `choose` (If) has a graph inside, f16 needs a graph without branches and loops"
    );
}

#[test]
fn broken_graphs_do_not_hang_or_panic() {
    // Nodes in a circle, a value that nothing makes, the same name twice.
    let nodes = vec![
        node("a", "Add", &["b", "nowhere"], "a"),
        node("b", "Softmax", &["a"], "b"),
        node("b", "MatMul", &["b", "b"], "b"),
    ];
    assert!(to_half(&model(nodes, Vec::new(), &["b", "missing"]), &[]).is_ok());
}
