//! From a picture to the numbers a vision tower reads, equal to torchvision on Pillow pictures.
//!
//! [`PictureRecipe`] is evaluation: resize, crop, normalise. It travels with the weights. Training
//! puts an [`Augmentation`] before the normalisation: *draw* from a key and the picture's size, then
//! *apply*. The draws are ours; applied with the same parameters the pixels are torchvision's.

mod augment;
mod colour;
mod recipe;

pub use augment::{Augmentation, ColourJitter, Drawn};
pub use colour::ColourOp;
pub use recipe::{PictureRecipe, ResizeMode};
