//! Contrastive losses over a whole batch: CLIP's softmax and SigLIP's sigmoid, exact for micro-batches.
//!
//! Sources: arXiv 2103.00020 and 2303.15343; `mlfoundations/open_clip:src/open_clip/loss.py`.
//!
//! Shape letters: N pairs of the global batch, n of one micro-batch, E embedding width. Row i of the
//! images belongs to row i of the texts.

use burn::tensor::{Device, Tensor, TensorData, activation::log_softmax};

/// Which loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contrast {
    /// Symmetric cross-entropy against the diagonal.
    Clip,
    /// Every pair is a binary decision.
    SigLip,
}

/// L2-normalised embeddings of one micro-batch and the calibration, in its graph.
pub struct Embeddings {
    /// [n, E].
    pub images: Tensor<2>,
    /// [n, E].
    pub texts: Tensor<2>,
    /// [1], logarithm of the multiplier of the cosines.
    pub logit_scale: Tensor<1>,
    /// [1], added to every logit.
    pub logit_bias: Option<Tensor<1>>,
}

/// The embeddings of one micro-batch as plain values.
#[derive(Debug, Clone)]
pub struct SharedEmbeddings {
    images: TensorData,
    texts: TensorData,
}

/// Embeddings as plain values, for the other micro-batches.
pub fn share(local: &Embeddings) -> SharedEmbeddings {
    SharedEmbeddings { images: local.images.to_data(), texts: local.texts.to_data() }
}

/// Loss of the global batch as micro-batch `me` differentiates it: its own embeddings carry
/// gradients, the others are constants.
///
/// The gradients of all micro-batches add up to those of the global batch. The calibration takes
/// part in the first micro-batch only: it enters every one of these losses whole, and would
/// otherwise be counted once per micro-batch (as open_clip's `--accum-freq` does).
pub fn loss(
    contrast: Contrast,
    local: Embeddings,
    all: &[SharedEmbeddings],
    me: usize,
) -> Tensor<1> {
    let device = local.images.device();
    let gather = |own: Tensor<2>, part: fn(&SharedEmbeddings) -> &TensorData| {
        let mut parts: Vec<_> = all.iter().map(|shared| constant(part(shared), &device)).collect();
        parts[me] = own;
        Tensor::cat(parts, 0)
    };
    let images = gather(local.images, |shared| &shared.images);
    let texts = gather(local.texts, |shared| &shared.texts);
    let calibration = |tensor: Tensor<1>| if me == 0 { tensor } else { tensor.detach() };
    let logit_scale = calibration(local.logit_scale);
    let logit_bias = local.logit_bias.map(calibration);
    batch_loss(contrast, images, texts, logit_scale, logit_bias)
}

/// Loss of N pairs. `images`, `texts` [N, E], L2-normalised; the rest [1]. Returns [1].
pub fn batch_loss(
    contrast: Contrast,
    images: Tensor<2>,
    texts: Tensor<2>,
    logit_scale: Tensor<1>,
    logit_bias: Option<Tensor<1>>,
) -> Tensor<1> {
    let [n, _] = images.dims();
    let cosines = images.matmul(texts.transpose());
    let logits = cosines * logit_scale.exp().unsqueeze();
    let logits = match logit_bias {
        Some(bias) => logits + bias.unsqueeze(),
        None => logits,
    };
    let device = logits.device();
    let diagonal = Tensor::<2>::eye(n, &device);
    match contrast {
        Contrast::Clip => {
            let rows = log_softmax(logits.clone(), 1) * diagonal.clone();
            let columns = log_softmax(logits, 0) * diagonal;
            (rows.sum() + columns.sum()) * (-0.5 / n as f64)
        }
        Contrast::SigLip => {
            // -1 on the diagonal, +1 elsewhere: the argument of softplus.
            let sign = diagonal * -2.0 + 1.0;
            softplus(logits * sign).sum() / n as f64
        }
    }
}

/// log(1 + exp(x)) without overflow.
fn softplus(x: Tensor<2>) -> Tensor<2> {
    x.clone().clamp_min(0.0) + (x.abs().neg()).exp().log1p()
}

fn constant(data: &TensorData, device: &Device) -> Tensor<2> {
    Tensor::from_data(data.clone(), device)
}
