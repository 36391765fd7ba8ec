//! C-RADIO's heads: what turns its tokens into the feature space of one teacher.
//!
//! Source: `NVlabs/RADIO:radio/adaptor_mlp.py`.
//!
//! Shape letters: B batch, N tokens, D width of the backbone, M hidden width, E width of the teacher,
//! U upsampling factor.

use burn::{
    module::Module,
    tensor::{Device, Tensor, activation},
};

use hearth_kernels::activate;

use crate::{
    BackboneError,
    error::{check_at_least, check_divisible},
    layers::{Activation, Block, BlockConfig, LayerNorm, Linear, Visible, layer_norm, linear, run},
    positions::Grid,
};

/// Added to the variance in the norms of the heads.
const NORM_EPS: f64 = 1e-5;
/// Blocks and attention heads of [`HeadVersion::Attention`].
const ATTENTION_BLOCKS: usize = 2;
const ATTENTION_HEADS: usize = 16;

/// Which computation a head is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadVersion {
    /// Linear, norm, ReLU, linear.
    V1,
    /// Linear, residual blocks of norm, GELU and linear, then norm, GELU and linear.
    V2,
    /// Two transformer blocks, then V2 without residual blocks; for patches only.
    Attention,
}

/// Numbers of a head.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadConfig {
    /// Which computation.
    pub version: HeadVersion,
    /// D.
    pub input: usize,
    /// M.
    pub hidden: usize,
    /// E * U * U.
    pub output: usize,
    /// Residual blocks of V2.
    pub inner: usize,
}

/// One head of a teacher.
#[derive(Module, Debug)]
pub enum RadioHead {
    /// [`HeadVersion::V1`].
    V1(HeadV1),
    /// [`HeadVersion::V2`].
    V2(HeadV2),
    /// [`HeadVersion::Attention`].
    Attention(AttentionHead),
}

/// Linear, norm, ReLU, linear.
#[derive(Module, Debug)]
pub struct HeadV1 {
    /// [D, M].
    pub fc1: Linear,
    /// Behind the first layer.
    pub norm: LayerNorm,
    /// [M, E].
    pub fc2: Linear,
}

/// Residual MLP.
#[derive(Module, Debug)]
pub struct HeadV2 {
    /// [D, M].
    pub fc1: Linear,
    /// Residual blocks, [M, M] each.
    pub blocks: Vec<HeadBlock>,
    /// [M, E].
    pub out: HeadBlock,
}

/// `linear(gelu(norm(x)))`.
#[derive(Module, Debug)]
pub struct HeadBlock {
    /// In front of the activation.
    pub norm: LayerNorm,
    /// Behind it.
    pub linear: Linear,
}

/// Transformer blocks, then a residual MLP.
#[derive(Module, Debug)]
pub struct AttentionHead {
    /// Blocks without bias of queries, keys and values.
    pub blocks: Vec<Block>,
    /// To the teacher.
    pub mlp: HeadV2,
}

impl HeadConfig {
    /// Fails on numbers that describe no head.
    pub fn check(&self) -> Result<(), BackboneError> {
        check_at_least("head input", self.input, 1)?;
        check_at_least("head width", self.hidden, 1)?;
        check_at_least("head output", self.output, 1)?;
        match self.version {
            HeadVersion::Attention => {
                check_divisible("head input", self.input, "attention heads", ATTENTION_HEADS)
            }
            HeadVersion::V1 | HeadVersion::V2 => Ok(()),
        }
    }

    /// A head whose parameters are still to be filled. The numbers have passed [`Self::check`].
    pub fn init(&self, device: &Device) -> RadioHead {
        match self.version {
            HeadVersion::V1 => RadioHead::V1(HeadV1 {
                fc1: linear(self.input, self.hidden, true, device),
                norm: layer_norm(self.hidden, NORM_EPS, device),
                fc2: linear(self.hidden, self.output, true, device),
            }),
            HeadVersion::V2 => RadioHead::V2(self.init_mlp(device)),
            HeadVersion::Attention => {
                let block = BlockConfig {
                    width: self.input,
                    num_heads: ATTENTION_HEADS,
                    mlp_width: 4 * self.input,
                    activation: Activation::Gelu,
                    norm_eps: 1e-6,
                    layer_scale: true,
                    qkv_bias: false,
                };
                RadioHead::Attention(AttentionHead {
                    blocks: (0..ATTENTION_BLOCKS).map(|_| block.init(device)).collect(),
                    mlp: self.init_mlp(device),
                })
            }
        }
    }

    fn init_mlp(&self, device: &Device) -> HeadV2 {
        let block = |output| HeadBlock {
            norm: layer_norm(self.hidden, NORM_EPS, device),
            linear: linear(self.hidden, output, true, device),
        };
        HeadV2 {
            fc1: linear(self.input, self.hidden, true, device),
            blocks: (0..self.inner).map(|_| block(self.hidden)).collect(),
            out: block(self.output),
        }
    }
}

impl RadioHead {
    /// `x` [B, D], a class token. Returns [B, E].
    pub fn summary(&self, x: Tensor<2>) -> Tensor<2> {
        self.forward(x.unsqueeze_dim::<3>(1)).squeeze_dim::<2>(1)
    }

    /// `x` [B, N, D], the patches of `grid`. Returns [B, N * U * U, E], row by row.
    pub fn features(&self, x: Tensor<3>, grid: Grid, upsample: usize) -> Tensor<3> {
        let x = self.forward(x);
        if upsample == 1 {
            return x;
        }
        let [b, n, channels] = x.dims();
        let (u, e) = (upsample, channels / upsample.pow(2));
        let x = x.reshape([b, grid.rows, grid.columns, u, u, e]).permute([0, 1, 3, 2, 4, 5]);
        x.reshape([b, n * u * u, e])
    }

    /// [B, N, D] -> [B, N, E * U * U].
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        match self {
            RadioHead::V1(head) => {
                head.fc2.forward(activation::relu(head.norm.forward(head.fc1.forward(x))))
            }
            RadioHead::V2(head) => head.forward(x),
            RadioHead::Attention(head) => {
                head.mlp.forward(run(&head.blocks, x, &Visible::All, false))
            }
        }
    }
}

impl HeadV2 {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = self.fc1.forward(x);
        let x = self.blocks.iter().fold(x, |x, block| x.clone() + block.forward(x));
        self.out.forward(x)
    }
}

impl HeadBlock {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.linear.forward(activate(self.norm.forward(x), Activation::Gelu))
    }
}
