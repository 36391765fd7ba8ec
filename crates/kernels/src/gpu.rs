//! Graphics processors: every operation in its composed form, which the framework fuses.

use burn::backend::Cube;

use crate::{
    activation::Activations, attention::Attention, backward::Ends, deformable::Deformable,
    depthwise::Depthwise, lean::Lean, linear::Linear, norm::Norms, response::Responses,
    rows::RowChoice, softmax::Softmax, update::Updates,
};

impl Activations for Cube {}
impl Attention for Cube {}
impl Deformable for Cube {}
impl Depthwise for Cube {}
impl Ends for Cube {}
impl Lean for Cube {}
impl Linear for Cube {}
impl Norms for Cube {}
impl Responses for Cube {}
impl RowChoice for Cube {}
impl Softmax for Cube {}
impl Updates for Cube {}
