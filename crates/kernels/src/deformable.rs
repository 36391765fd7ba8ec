//! Multi-scale deformable attention sampling: every query reads a few places of several feature maps.
//!
//! Sources: arXiv 2010.04159; `fundamentalvision/Deformable-DETR:models/ops` (`ms_deform_attn_core_pytorch`):
//! bilinear, zero outside, and the corners of a map, not the centres of its corner cells, at 0 and 1.
//!
//! Shape letters: B batch, S cells of all maps together, A heads, D width of a head, Q queries, L maps,
//! P points.

mod composed;
mod cpu;

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension, ir::ScalarIr,
        tensor::FloatTensor,
    },
    tensor::{Shape, Tensor},
};
use burn_autodiff::{
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn_router::{BackendRouter, RouterChannel};

use crate::{
    capture,
    graph::{parents, register, tracked},
};

/// Sums of what the queries read, each reading times its weight.
///
/// `values` [B, S, A, D] holds the maps one after the other, row by row; `maps` their heights and
/// widths; `places` [B, Q, A, L, P, 2] are x and y, 0 to 1 inside a map; `weights` is
/// [B, Q, A, L, P]. Returns [B, Q, A * D].
pub fn deformable_sampling(
    values: Tensor<4>,
    maps: &[[usize; 2]],
    places: Tensor<6>,
    weights: Tensor<5>,
) -> Tensor<3> {
    let ([batch, cells, heads, _], [b, queries, a, l, points, two]) =
        (values.dims(), places.dims());
    let of_maps: usize = maps.iter().map(|[height, width]| height * width).sum();
    assert_eq!(of_maps, cells, "cells of the maps {maps:?}");
    assert_eq!([b, a, l, two], [batch, heads, maps.len(), 2], "places for {:?}", values.dims());
    assert_eq!(weights.dims(), [b, queries, a, l, points], "a weight for every place");
    let maps = maps.to_vec();
    let (values, places) = (values.into_dispatch(), places.into_dispatch());
    Tensor::from_dispatch(Dispatch::sample(values, places, weights.into_dispatch(), maps))
}

/// What a backend contributes.
#[backend_extension(Flex, Cube: cfg(feature = "gpu"), Capture, Autodiff)]
pub(crate) trait Deformable: Backend {
    /// See [`deformable_sampling`].
    fn sample(
        values: FloatTensor<Self>,
        places: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        maps: Vec<[usize; 2]>,
    ) -> FloatTensor<Self> {
        composed::forward::<Self>(values, places, weights, &maps)
    }

    /// Gradients of values, places and weights for the gradient `grad` of the result.
    fn sample_backward(
        values: FloatTensor<Self>,
        places: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        maps: Vec<[usize; 2]>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed::backward::<Self>([values, places, weights], grad, &maps).into()
    }
}

// The CPU

impl Deformable for Flex {
    fn sample(
        values: FloatTensor<Self>,
        places: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        maps: Vec<[usize; 2]>,
    ) -> FloatTensor<Self> {
        crate::cpu::in_f32(
            [values, places, weights],
            |[values, places, weights]| cpu::forward(&values, &places, &weights, &maps),
            |[values, places, weights]| composed::forward::<Self>(values, places, weights, &maps),
        )
    }

    fn sample_backward(
        values: FloatTensor<Self>,
        places: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        maps: Vec<[usize; 2]>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        crate::cpu::all_in_f32(
            [values, places, weights, grad],
            |inputs| cpu::backward(&inputs, &maps),
            |[values, places, weights, grad]| {
                composed::backward::<Self>([values, places, weights], grad, &maps)
            },
        )
        .into()
    }
}

// The graphs

impl<C: RouterChannel> Deformable for BackendRouter<C> {
    fn sample(
        values: FloatTensor<Self>,
        places: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        maps: Vec<[usize; 2]>,
    ) -> FloatTensor<Self> {
        let [batch, _, heads, width]: [usize; 4] = values.shape().dims();
        let queries = places.shape()[1];
        let scalars = maps.iter().flatten().map(|&side| ScalarIr::UInt(side as u64)).collect();
        let shape = Shape::new([batch, queries, heads * width]);
        capture::record(
            "hearth::deformable_sampling",
            vec![values, places, weights],
            shape,
            scalars,
        )
    }
}

impl<B: Deformable, C: CheckpointStrategy> Deformable for Autodiff<B, C> {
    fn sample(
        values: FloatTensor<Self>,
        places: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        maps: Vec<[usize; 2]>,
    ) -> FloatTensor<Self> {
        let nodes = [values.node(), places.node(), weights.node()];
        let inputs = [values, places, weights].map(|input| input.into_primitive());
        let [values, places, weights] = inputs.clone();
        let out = B::sample(values, places, weights, maps.clone());
        tracked::<C, B, _, _>(Sample { maps }, nodes, inputs, out)
    }
}

#[derive(Debug)]
struct Sample {
    maps: Vec<[usize; 2]>,
}

impl<B: Deformable> Backward<B, 3> for Sample {
    type State = [FloatTensor<B>; 3];

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (parents, grad) = (parents(&ops), grads.consume::<B>(&ops.node));
        let [values, places, weights] = ops.state;
        let of_inputs = B::sample_backward(values, places, weights, grad, self.maps);
        register::<B>(grads, parents.into_iter().zip(<[_; 3]>::from(of_inputs).map(Some)));
    }
}
