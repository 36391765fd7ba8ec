//! Contrastive losses over a whole batch: CLIP's softmax and SigLIP's sigmoid, exact for micro-batches.
//!
//! Sources: arXiv 2103.00020 and 2303.15343; `mlfoundations/open_clip:src/open_clip/loss.py`.
//!
//! Shape letters: N pairs of the global batch, n of one micro-batch, E embedding width. Row i of the
//! images belongs to row i of the texts.

use burn::tensor::{Device, Tensor, TensorData};
use hearth_kernels::log_softmax;

/// Which loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contrast {
    /// Symmetric cross-entropy against the diagonal.
    Clip,
    /// Every pair is a binary decision.
    SigLip,
}

/// L2-normalised embeddings of one micro-batch and the calibration, in its graph.
#[derive(Debug, Clone)]
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
    SharedEmbeddings::of(&local.images, &local.texts)
}

impl SharedEmbeddings {
    /// The values of `images` and `texts`, [n, E].
    pub fn of(images: &Tensor<2>, texts: &Tensor<2>) -> Self {
        Self { images: images.to_data(), texts: texts.to_data() }
    }

    /// Images and texts of the global batch as constants, [N, E].
    pub fn joined<'a>(
        all: impl Iterator<Item = &'a Self> + Clone,
        device: &Device,
    ) -> [Tensor<2>; 2] {
        let join = |part: fn(&Self) -> &TensorData| {
            let parts = all.clone().map(|shared| Tensor::from_data(part(shared).clone(), device));
            Tensor::cat(parts.collect(), 0)
        };
        [join(|shared| &shared.images), join(|shared| &shared.texts)]
    }
}

/// The global batch as micro-batch `me` differentiates it: its own embeddings carry gradients, the
/// others are constants.
///
/// The gradients of all micro-batches for a loss of it add up to those of the global batch. The
/// calibration takes part in the first micro-batch only: it enters every one of these losses whole,
/// and would otherwise be counted once per micro-batch (as open_clip's `--accum-freq` does).
pub fn global<'a>(
    local: Embeddings,
    all: impl Iterator<Item = &'a SharedEmbeddings> + Clone,
    me: usize,
) -> Embeddings {
    let device = local.images.device();
    let gather = |own: Tensor<2>, part: fn(&SharedEmbeddings) -> &TensorData| {
        let all = all.clone();
        let mut parts: Vec<_> =
            all.map(|shared| Tensor::from_data(part(shared).clone(), &device)).collect();
        parts[me] = own;
        Tensor::cat(parts, 0)
    };
    let calibration = |tensor: Tensor<1>| if me == 0 { tensor } else { tensor.detach() };
    Embeddings {
        images: gather(local.images, |shared| &shared.images),
        texts: gather(local.texts, |shared| &shared.texts),
        logit_scale: calibration(local.logit_scale),
        logit_bias: local.logit_bias.map(calibration),
    }
}

/// Loss of the [`global`] batch as micro-batch `me` differentiates it.
pub fn loss(
    contrast: Contrast,
    local: Embeddings,
    all: &[SharedEmbeddings],
    me: usize,
) -> Tensor<1> {
    let Embeddings { images, texts, logit_scale, logit_bias } = global(local, all.iter(), me);
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
            let rows = log_softmax(logits.clone()) * diagonal.clone();
            let columns = log_softmax(logits.transpose()) * diagonal;
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
