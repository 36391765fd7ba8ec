//! From a picture to the numbers a vision tower reads, equal to torchvision on Pillow pictures.
//!
//! [`PictureRecipe`] is evaluation: resize, crop, normalise. It travels with the weights. Training
//! puts an [`Augmentation`] before the normalisation and [`RandomErasing`] behind it: *draw* from a key and
//! the picture's size, then *apply*. The draws are ours; applied with the same parameters the pixels are
//! torchvision's and timm's.

mod affine;
mod augment;
mod change;
mod colour;
mod erase;
mod rand_augment;
mod recipe;

pub use augment::{Augmentation, ColourJitter, Drawn};
pub use change::{Change, PictureOp};
pub use colour::ColourOp;
pub use erase::RandomErasing;
pub use rand_augment::{Kind, Noise, RandAugment, fill_colour};
pub use recipe::{Margin, PictureRecipe, ResizeMode};
