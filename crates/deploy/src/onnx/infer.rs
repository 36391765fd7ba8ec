//! Following shapes through a graph, as far as that is easy: a value whose shape is not known is
//! skipped, one that cannot be is an error.

use std::collections::HashMap;

use super::messages::{AttributeProto, DimensionValue, GraphProto, NodeProto, TensorProto};

/// Sides of a value; `None` is one that follows the batch.
type Sides = Vec<Option<i64>>;

/// Shapes that are known so far, and the whole numbers that shapes are made of.
struct Known<'a> {
    sides: HashMap<&'a str, Sides>,
    numbers: HashMap<&'a str, Vec<i64>>,
}

/// Fails with the first node whose inputs do not fit, or with an output of another shape than it should
/// have.
pub(super) fn shapes(graph: &GraphProto) -> Result<(), (String, String)> {
    let mut known = Known { sides: HashMap::new(), numbers: HashMap::new() };
    for input in &graph.input {
        if let Some(sides) = input.sides() {
            known.sides.insert(&input.name, sides.iter().map(fixed).collect());
        }
    }
    for tensor in &graph.initializer {
        known.sides.insert(&tensor.name, tensor.dims.iter().map(|&side| Some(side)).collect());
        // Long ones are no shapes.
        if let Some(numbers) = (tensor.len() <= 16).then(|| tensor.to_ints()).flatten() {
            known.numbers.insert(&tensor.name, numbers);
        }
    }
    for node in &graph.node {
        let found = known.node(node).map_err(|problem| (node.name.clone(), problem))?;
        if let (Some(sides), [output]) = (found, node.output.as_slice()) {
            known.sides.insert(output, sides);
        }
    }
    for output in &graph.output {
        let (declared, found) = (output.sides(), known.sides.get(output.name.as_str()));
        let declared = declared.map(|sides| sides.iter().map(fixed).collect::<Sides>());
        if let (Some(declared), Some(found)) = (declared, found)
            && declared != *found
        {
            let problem = format!("has the shape {}, said is {}", shown(found), shown(&declared));
            return Err((output.name.clone(), problem));
        }
    }
    Ok(())
}

fn fixed(side: &Option<DimensionValue>) -> Option<i64> {
    match side {
        Some(DimensionValue::Fixed(size)) => Some(*size),
        _ => None,
    }
}

fn shown(sides: &[Option<i64>]) -> String {
    let sides = sides.iter().map(|side| side.map_or("batch".to_owned(), |size| size.to_string()));
    format!("[{}]", sides.collect::<Vec<_>>().join(", "))
}

impl Known<'_> {
    /// The shape of the one output of a node.
    fn node(&self, node: &NodeProto) -> Result<Option<Sides>, String> {
        let input = |index: usize| self.sides.get(node.input.get(index)?.as_str());
        let (first, second) = (input(0), input(1));
        match node.op_type.as_str() {
            "Constant" => {
                let value = node.attribute("value").and_then(|value| value.t.as_ref());
                Ok(value
                    .map(|value: &TensorProto| value.dims.iter().map(|&side| Some(side)).collect()))
            }
            "MatMul" => pair(first, second, product),
            "Gemm" => {
                let product = pair(first, second, product)?;
                pair(product.as_ref(), input(2), broadcast)
            }
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Max" | "Min" | "Equal" | "Greater"
            | "Less" | "GreaterOrEqual" | "LessOrEqual" | "And" | "Or" => {
                pair(first, second, broadcast)
            }
            "LayerNormalization" => {
                let ([x, weight], last) = ([first, second], |sides: &Sides| sides.last().copied());
                if let (Some(x), Some(weight)) = (x.and_then(last), weight.and_then(last))
                    && x != weight
                {
                    return Err(format!("norms rows of {x:?} with weights of {weight:?}"));
                }
                Ok(first.cloned())
            }
            "Transpose" => {
                let order =
                    node.attribute("perm").map(|order: &AttributeProto| order.ints.as_slice());
                let (Some(sides), Some(order)) = (first, order) else { return Ok(None) };
                let turned = order.iter().map(|&axis| sides.get(axis as usize).copied());
                let turned = turned.collect::<Option<Sides>>();
                match turned.filter(|turned| turned.len() == sides.len()) {
                    Some(turned) => Ok(Some(turned)),
                    None => Err(format!("orders {} by {order:?}", shown(sides))),
                }
            }
            "Reshape" => {
                let shape = node.input.get(1).and_then(|name| self.numbers.get(name.as_str()));
                let (Some(sides), Some(shape)) = (first, shape) else { return Ok(None) };
                reshape(sides, shape).map(Some)
            }
            "Softmax" | "LogSoftmax" | "Erf" | "Gelu" | "Sigmoid" | "Tanh" | "Relu" | "Exp"
            | "Sqrt" | "Neg" | "Abs" | "Log" | "Reciprocal" | "Cast" | "Not" | "Clip" => {
                Ok(first.cloned())
            }
            _ => Ok(None),
        }
    }
}

fn pair(
    a: Option<&Sides>,
    b: Option<&Sides>,
    of: impl Fn(&Sides, &Sides) -> Option<Sides>,
) -> Result<Option<Sides>, String> {
    let (Some(a), Some(b)) = (a, b) else { return Ok(None) };
    match of(a, b) {
        Some(sides) => Ok(Some(sides)),
        None => Err(format!("joins {} and {}", shown(a), shown(b))),
    }
}

fn broadcast(a: &Sides, b: &Sides) -> Option<Sides> {
    let rank = a.len().max(b.len());
    let side = |sides: &Sides, axis: usize| {
        (axis + sides.len()).checked_sub(rank).map_or(Some(1), |axis| sides[axis])
    };
    let both = (0..rank).map(|axis| match (side(a, axis), side(b, axis)) {
        (a, b) if a == b => Some(a),
        (Some(1), other) | (other, Some(1)) => Some(other),
        _ => None,
    });
    both.collect()
}

fn product(a: &Sides, b: &Sides) -> Option<Sides> {
    let ([rows_of @ .., rows, inner], [columns_of @ .., depth, columns]) =
        (a.as_slice(), b.as_slice())
    else {
        return None;
    };
    if inner != depth {
        return None;
    }
    let mut sides = broadcast(&rows_of.to_vec(), &columns_of.to_vec())?;
    sides.extend([*rows, *columns]);
    Some(sides)
}

/// Elements are counted where the batch is not among them, or is one side on either side.
fn reshape(sides: &Sides, shape: &[i64]) -> Result<Sides, String> {
    let wrong = || format!("makes {shape:?} of {}", shown(sides));
    let mut found: Sides = Vec::with_capacity(shape.len());
    let mut left = None;
    for (axis, &size) in shape.iter().enumerate() {
        match size {
            0 => found.push(*sides.get(axis).ok_or_else(wrong)?),
            -1 if left.is_none() => {
                left = Some(axis);
                found.push(Some(1));
            }
            size if size > 0 => found.push(Some(size)),
            _ => return Err(wrong()),
        }
    }
    let count = |sides: &Sides| {
        let mut sizes = sides.iter().flatten();
        sizes.try_fold(1_i64, |all, &size| all.checked_mul(size)).ok_or_else(wrong)
    };
    let open = |sides: &Sides| sides.iter().filter(|side| side.is_none()).count();
    let (held, named) = (count(sides)?, count(&found)?);
    match left {
        None if held != named || open(sides) != open(&found) => Err(wrong()),
        None => Ok(found),
        Some(axis) => {
            let rest = held / named.max(1);
            if rest.checked_mul(named) != Some(held) {
                return Err(wrong());
            }
            found[axis] = (open(sides) == open(&found)).then_some(rest);
            Ok(found)
        }
    }
}
