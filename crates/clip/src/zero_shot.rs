//! Zero-shot classification: a class is the mean direction of its name in all templates, a picture
//! belongs to the class that it is most similar to.
//!
//! Source: arXiv 2103.00020 section 3.1; the same numbers as open_clip's `zero_shot_classifier.py`.
//!
//! Shape letters: B pictures, C classes, E joint embedding width.

mod report;
mod run;
mod scores;
mod templates;

use burn::tensor::{Device, Tensor, TensorData};

pub(crate) use run::{Outcome, classify, data};
pub(crate) use scores::Calibration;
pub use templates::{Mistake, WORDS, templates};

/// Every class in every template: the templates of the first class, then those of the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompts {
    /// C names.
    pub names: Vec<String>,
    /// Each with `{}` in the place of the name.
    pub templates: Vec<String>,
}

impl Prompts {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len() * self.templates.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Prompt number `index`.
    pub fn text(&self, index: usize) -> String {
        let (class, template) = (index / self.templates.len(), index % self.templates.len());
        self.templates[template].replace("{}", &self.names[class])
    }
}

/// Embeddings of the classes, [C, E], L2-normalised. `embed` gives one L2-normalised row for each of at
/// most `batch` prompts.
pub fn class_embeddings<F>(
    prompts: &Prompts,
    batch: usize,
    mut embed: impl FnMut(&[String]) -> Result<Vec<f32>, F>,
) -> Result<Vec<f32>, F> {
    let mut classes = Vec::new();
    // Sum over the templates of the class that is not complete yet.
    let (mut sum, mut summed): (Vec<f64>, usize) = (Vec::new(), 0);
    for first in (0..prompts.len()).step_by(batch) {
        let indices = first..(first + batch).min(prompts.len());
        let texts: Vec<String> = indices.map(|index| prompts.text(index)).collect();
        let rows = embed(&texts)?;
        for row in rows.chunks_exact(rows.len() / texts.len()) {
            sum.resize(row.len(), 0.0);
            sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
            summed += 1;
            if summed == prompts.templates.len() {
                let length = sum.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-12);
                classes.extend(sum.iter().map(|value| (value / length) as f32));
                sum.fill(0.0);
                summed = 0;
            }
        }
    }
    Ok(classes)
}

/// Compares pictures with classes.
#[derive(Debug, Clone)]
pub struct Classifier {
    /// [E, C].
    classes: Tensor<2>,
}

impl Classifier {
    /// `classes` [C, E], row-major.
    pub fn new(classes: Vec<f32>, num_classes: usize, device: &Device) -> Self {
        let shape = [num_classes, classes.len() / num_classes];
        Self {
            classes: Tensor::<2>::from_data(TensorData::new(classes, shape), device).transpose(),
        }
    }

    /// Cosines of L2-normalised `images` [B, E] with every class: [B, C], row-major.
    pub fn cosines(&self, images: Tensor<2>) -> Vec<f32> {
        let cosines = images.matmul(self.classes.clone()).into_data();
        cosines.try_to_vec().expect("cosines are f32")
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn a_class_is_the_mean_direction_of_its_prompts_whatever_the_batch() {
        let prompts = Prompts {
            names: ["cat", "a dog", "{}"].map(str::to_owned).into(),
            templates: ["a {}.", "{} {}", "the {}"].map(str::to_owned).into(),
        };
        for batch in 1..=10 {
            let mut seen = Vec::new();
            let classes = class_embeddings(&prompts, batch, |texts| {
                assert!(texts.len() <= batch);
                let first = seen.len();
                seen.extend_from_slice(texts);
                // The third prompt of a class points elsewhere.
                let row = |at: usize| if at % 3 == 2 { [0.0, 1.0] } else { [1.0, 0.0] };
                Ok::<_, Infallible>((first..seen.len()).flat_map(row).collect())
            });
            let (x, y) = ((0.8f64).sqrt() as f32, (0.2f64).sqrt() as f32);
            assert_eq!(classes.unwrap(), [x, y, x, y, x, y], "{batch}");
            assert_eq!(
                seen,
                [
                    "a cat.",
                    "cat cat",
                    "the cat",
                    "a a dog.",
                    "a dog a dog",
                    "the a dog",
                    "a {}.",
                    "{} {}",
                    "the {}"
                ]
            );
        }
    }
}
