//! One node per operation in a captured graph.

use burn::backend::ir::{CustomOpIr, OperationIr, OperationOutput, ScalarIr, TensorIr};
use burn::tensor::Shape;
use burn_router::{RouterClient, RouterTensor};

/// Records the operation `name` of `inputs`, whose one result has the shape `shape` and the type of the first.
pub(crate) fn record<R: RouterClient>(
    name: &'static str,
    inputs: Vec<RouterTensor<R>>,
    shape: Shape,
    scalars: Vec<ScalarIr>,
) -> RouterTensor<R> {
    let client = inputs[0].client.clone();
    let inputs: Vec<TensorIr> = inputs.into_iter().map(RouterTensor::into_ir).collect();
    let output = TensorIr::uninit(client.create_empty_handle(), shape, inputs[0].dtype);
    let node = CustomOpIr::with_scalars(name, &inputs, &[output], scalars);
    client.register(OperationIr::Custom(node)).output()
}
