//! `mae`: masked autoencoders of ConvNeXt V2, Hiera and ViT, and the classifiers made of them.
//!
//! Architecture Invariant: a mask is a function of the random numbers of a step and of the place of the
//! picture in the global batch.
#![recursion_limit = "256"]

pub mod arch;
pub mod autoencoder;
pub mod classifier;
pub mod dataset;
pub mod fcmae;
pub mod groups;
pub mod hiera;
pub mod init;
pub mod layouts;
pub mod masking;
pub mod patches;
pub mod sheet;
pub mod spec;
pub mod task;
pub mod vit;
