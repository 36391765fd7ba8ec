//! Losses besides the contrastive one: the hardest negatives of a batch, and distances to the model
//! as training found it.
//!
//! All are functions of the embeddings of the global batch, so that micro-batches give the whole
//! batch's gradients (see [`contrastive::global`]).
//!
//! Shape letters: N pairs of the global batch, E embedding width.
//!
//! [`contrastive::global`]: hearth_engine::contrastive::global

use burn::{
    module::Module,
    tensor::{Tensor, activation::relu},
};
use hearth_data::random::Key;
use hearth_engine::contrastive::{Embeddings, SharedEmbeddings};

use crate::{
    error::ClipError,
    model::Clip,
    peft::{self, Adaptation, Peft},
    setup::Setup,
};

/// What a training adds to the contrastive loss; nothing by default.
#[derive(Debug, Clone, Default)]
pub struct Extra {
    /// Inputs of adapters are dropped.
    pub dropout: bool,
    /// Probability that a pooled feature of a caption is dropped.
    pub text_dropout: f64,
    /// The triplet loss.
    pub triplet: Option<Triplet>,
    /// Distances to a teacher.
    pub preservation: Option<Preservation>,
}

/// The triplet loss on the hardest negatives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Triplet {
    /// Factor of the loss.
    pub weight: f64,
    /// By how much a match should be nearer than everything else.
    pub margin: f64,
}

/// Losses that hold a model near its teacher.
#[derive(Debug, Clone)]
pub struct Preservation {
    /// The model as training found it, on a plain device.
    pub teacher: Clip,
    /// Factor of the mean squared difference of embeddings.
    pub embedding_mse: f64,
    /// Factor of one minus the mean cosine.
    pub cosine: f64,
    /// Factor of the mean squared difference of the tables of cosines.
    pub similarity: f64,
}

/// Named parts of a loss, [1] each.
type Parts = Vec<(&'static str, Tensor<1>)>;

impl Triplet {
    /// `weight / 2` times the mean over pictures, plus that over texts, of
    /// `relu(margin - own cosine + largest other cosine)`. [1]; zero for a single pair.
    pub fn loss(&self, batch: &Embeddings) -> Tensor<1> {
        let cosines = batch.images.clone().matmul(batch.texts.clone().transpose());
        let [n, _] = cosines.dims();
        let device = cosines.device();
        if n < 2 {
            return Tensor::zeros([1], &device);
        }
        let diagonal = Tensor::<2>::eye(n, &device);
        let own = cosines.clone() * diagonal.clone();
        // Cosines reach from -1 to 1: no pair is its own hardest negative.
        let others = cosines - diagonal * 4.0;
        let hardest_text = others.clone().max_dim(1) - own.clone().sum_dim(1);
        let hardest_image = others.max_dim(0) - own.sum_dim(0);
        let texts = relu(hardest_text + self.margin).mean();
        let images = relu(hardest_image + self.margin).mean();
        (texts + images) * (0.5 * self.weight)
    }
}

impl Preservation {
    /// The parts with a weight. `student` is the global batch, `teacher` what [`Self::teach`] gave
    /// for its micro-batches.
    pub fn losses<'a>(
        &self,
        student: &Embeddings,
        teacher: impl Iterator<Item = &'a SharedEmbeddings> + Clone,
    ) -> Parts {
        let device = student.images.device();
        let [images, texts] = SharedEmbeddings::joined(teacher, &device);
        let changes =
            [student.images.clone() - images.clone(), student.texts.clone() - texts.clone()];
        let cosines =
            [student.images.clone() * images.clone(), student.texts.clone() * texts.clone()];
        let [n, _] = images.dims();

        let mut parts = Parts::new();
        if self.embedding_mse > 0.0 {
            let [images, texts] = changes.map(|change| change.square().mean());
            parts.push(("embedding_mse", (images + texts) * (0.5 * self.embedding_mse)));
        }
        if self.cosine > 0.0 {
            let [images, texts] = cosines.map(|cosine| cosine.sum() / n as f64);
            parts.push(("cosine", ((images + texts) * -0.5 + 1.0) * self.cosine));
        }
        if self.similarity > 0.0 {
            let table = student.images.clone().matmul(student.texts.clone().transpose());
            let change = table - images.matmul(texts.transpose());
            parts.push(("similarity", change.square().mean() * self.similarity));
        }
        parts
    }
}

/// The weights that a run began with.
pub(crate) struct Initial {
    /// Where they come from.
    origin: String,
    /// They are not those of the checkpoint that is continued.
    reread: Option<Setup>,
}

impl Initial {
    /// Those of `setup`, or of `reread` where the setup is that of a later checkpoint.
    pub(crate) fn of(setup: &Setup, reread: Option<Setup>, seed: u64) -> Result<Self, ClipError> {
        let setup = reread.as_ref().unwrap_or(setup);
        let origin = match &setup.weights {
            Some(_) => format!("a file of SHA-256 {}", setup.weights_digest()?),
            None => format!("random numbers of seed {seed}"),
        };
        Ok(Self { origin, reread })
    }

    /// Name and value of what a run that goes on must find again.
    pub(crate) fn identity(&self) -> (String, String) {
        ("the start that `regularization` holds to".to_owned(), self.origin.clone())
    }

    /// The model as it was before the first step, on a plain device. Towers that are not trained
    /// whole share the memory of `model`.
    pub(crate) fn teacher(self, model: &Clip, peft: &Peft, key: &Key) -> Result<Clip, ClipError> {
        let mut teacher = peft::base(model);
        if let Some(setup) = self.reread {
            let (initial, _) = setup.model(key, &teacher.devices()[0])?;
            if peft.vision == Adaptation::Full {
                teacher.visual = initial.visual;
            }
            if peft.text == Adaptation::Full {
                teacher.text = initial.text;
            }
        }
        Ok(teacher)
    }
}
