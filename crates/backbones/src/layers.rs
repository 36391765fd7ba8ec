//! Layers that the vision and the text transformer share: attention, MLP and the pre-norm block.
//!
//! Source: arXiv 2010.11929; field names of timm `vision_transformer.py`. Parameters start as zeros
//! (norms as ones) and are not allocated before their first use: whoever builds a model fills them
//! from a file or from keyed random numbers.
//!
//! Shape letters: B batch, N tokens, W width, M hidden width of the MLP, A heads, D = W / A.

use burn::{
    module::{Initializer, Module, Param, ParamId},
    tensor::{Bool, DType, Device, Shape, Tensor},
};

use hearth_kernels::{
    View, activate, layer_norm as normalize, linear as project, linear_of_activated,
    linear_of_normalized, self_attention,
};

use crate::{
    dropout::Dropout,
    lora::{self, AttentionAdapters, MlpAdapters},
    mode::typed,
    recompute::recompute,
};

pub use hearth_kernels::Activation;

/// Numbers of one transformer block.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockConfig {
    /// W.
    pub width: usize,
    /// A; divides W.
    pub num_heads: usize,
    /// M.
    pub mlp_width: usize,
    /// Non-linearity between the two linear layers of the MLP.
    pub activation: Activation,
    /// Added to the variance in both norms.
    pub norm_eps: f64,
    /// Scales both branches by a learned vector before they are added.
    pub layer_scale: bool,
    /// Bias of the projection to queries, keys and values.
    pub qkv_bias: bool,
}

/// Which tokens a token attends to.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "one of them serves a whole forward pass")]
pub enum Visible {
    /// All of them.
    All,
    /// Itself and those before it.
    Past,
    /// All but the padding: [B, N], true where a token is padding.
    Unpadded(Tensor<2, Bool>),
}

/// Pre-norm residual block: `x + ls1(attn(norm1(x)))`, then `x + ls2(mlp(norm2(x)))`.
#[derive(Module, Debug)]
pub struct Block {
    /// Norm in front of the attention.
    pub norm1: LayerNorm,
    /// Self-attention.
    pub attn: Attention,
    /// Scale of the attention branch.
    pub ls1: Option<LayerScale>,
    /// Norm in front of the MLP.
    pub norm2: LayerNorm,
    /// Two linear layers.
    pub mlp: Mlp,
    /// Scale of the MLP branch.
    pub ls2: Option<LayerScale>,
    /// Drops the branches of whole samples.
    #[module(skip)]
    pub drop_path: Dropout,
}

/// `x W + b`.
#[derive(Module, Debug)]
pub struct Linear {
    /// [I, O].
    pub weight: Param<Tensor<2>>,
    /// [O].
    pub bias: Option<Param<Tensor<1>>>,
}

/// Every token at mean 0 and variance 1, times a factor and plus an offset per channel.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// [W], `weight` in files.
    pub gamma: Param<Tensor<1>>,
    /// [W], `bias` in files.
    pub beta: Param<Tensor<1>>,
    epsilon: f64,
}

/// A learned factor per channel (arXiv 2103.17239).
#[derive(Module, Debug)]
pub struct LayerScale {
    /// [W].
    pub gamma: Param<Tensor<1>>,
}

/// Multi-head self-attention with one projection for queries, keys and values.
#[derive(Module, Debug)]
pub struct Attention {
    /// [W, 3W], columns in the order q, k, v.
    pub qkv: Linear,
    /// [W, W].
    pub proj: Linear,
    /// What is trained beside them; usually nothing.
    pub lora: AttentionAdapters,
    num_heads: usize,
}

/// `fc2(activation(fc1(x)))`.
#[derive(Module, Debug)]
pub struct Mlp {
    /// [W, M].
    pub fc1: Linear,
    /// [M, W].
    pub fc2: Linear,
    /// What is trained beside them; usually nothing.
    pub lora: MlpAdapters,
    #[module(skip)]
    activation: Activation,
}

impl Default for BlockConfig {
    /// The block of timm's ViT-B: bias everywhere, no layer scale.
    fn default() -> Self {
        Self {
            width: 768,
            num_heads: 12,
            mlp_width: 3072,
            activation: Activation::Gelu,
            norm_eps: 1e-6,
            layer_scale: false,
            qkv_bias: true,
        }
    }
}

impl BlockConfig {
    /// A block whose parameters are still to be filled.
    pub fn init(&self, device: &Device) -> Block {
        Block {
            norm1: layer_norm(self.width, self.norm_eps, device),
            attn: Attention {
                qkv: linear(self.width, 3 * self.width, self.qkv_bias, device),
                proj: linear(self.width, self.width, true, device),
                lora: AttentionAdapters::default(),
                num_heads: self.num_heads,
            },
            ls1: self.init_layer_scale(device),
            norm2: layer_norm(self.width, self.norm_eps, device),
            mlp: Mlp::new(self.width, self.mlp_width, self.activation, device),
            ls2: self.init_layer_scale(device),
            drop_path: Dropout::default(),
        }
    }

    fn init_layer_scale(&self, device: &Device) -> Option<LayerScale> {
        self.layer_scale.then(|| LayerScale { gamma: zeros([self.width], device) })
    }
}

impl Block {
    /// `x` [B, N, W]. Returns [B, N, W].
    pub fn forward(&self, x: Tensor<3>, visible: &Visible) -> Tensor<3> {
        let attended = self.attn.forward(Input::Normalized(&self.norm1, x.clone()), visible);
        let x = x + self.drop_path.forward_path(scaled(attended, self.ls1.as_ref()), 0);
        let changed = self.mlp.forward(Input::Normalized(&self.norm2, x.clone()));
        x + self.drop_path.forward_path(scaled(changed, self.ls2.as_ref()), 1)
    }
}

/// `x` [B, N, W] through all `blocks`. With `recompute_blocks`, a block keeps its input only and runs
/// again in the backward pass.
pub(crate) fn run(
    blocks: &[Block],
    x: Tensor<3>,
    visible: &Visible,
    recompute_blocks: bool,
) -> Tensor<3> {
    blocks.iter().fold(x, |x, block| {
        if recompute_blocks {
            let visible = visible.clone();
            recompute(block, x, move |block, x| block.forward(x, &visible))
        } else {
            block.forward(x, visible)
        }
    })
}

/// `branch` [B, N, W] times the factors, if there are any.
fn scaled(branch: Tensor<3>, scale: Option<&LayerScale>) -> Tensor<3> {
    match scale {
        Some(scale) => {
            let factors = typed(&scale.gamma, branch.dtype());
            branch * factors.unsqueeze::<3>()
        }
        None => branch,
    }
}

impl Visible {
    /// What attention makes of it.
    pub(crate) fn view(&self) -> View {
        let hidden = match self {
            Visible::Unpadded(padding) => {
                let [b, n] = padding.dims();
                Some(padding.clone().reshape([b, 1, 1, n]))
            }
            Visible::All | Visible::Past => None,
        };
        View { hidden, causal: matches!(self, Visible::Past), ..View::default() }
    }
}

/// What a linear layer is given: a tensor [B, N, I], or one that becomes its input. The layer then
/// computes its input again in the backward pass and does not keep it.
#[derive(Debug, Clone)]
pub enum Input<'a> {
    /// As it is.
    Plain(Tensor<3>),
    /// Behind a norm.
    Normalized(&'a LayerNorm, Tensor<3>),
    /// Behind an activation.
    Activated(Activation, Tensor<3>),
}

impl Input<'_> {
    fn dtype(&self) -> DType {
        match self {
            Input::Plain(x) | Input::Normalized(_, x) | Input::Activated(_, x) => x.dtype(),
        }
    }

    /// The input itself.
    pub(crate) fn tensor(self) -> Tensor<3> {
        match self {
            Input::Plain(x) => x,
            Input::Normalized(norm, x) => norm.forward(x),
            Input::Activated(function, x) => activate(x, function),
        }
    }
}

impl Linear {
    /// `x` [B, N, I]. Returns [B, N, O].
    pub fn forward_of(&self, x: Input<'_>) -> Tensor<3> {
        let dtype = x.dtype();
        let (weight, bias) = self.typed(dtype);
        match x {
            Input::Plain(x) => project(x, weight, bias),
            Input::Normalized(norm, x) => {
                let norm = (typed(&norm.gamma, dtype), typed(&norm.beta, dtype), norm.epsilon);
                linear_of_normalized(x, norm, weight, bias)
            }
            Input::Activated(function, x) => linear_of_activated(x, function, weight, bias),
        }
    }

    /// `x` [.., I]. Returns [.., O].
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let (weight, bias) = self.typed(x.dtype());
        project(x, weight, bias)
    }

    /// Weight and bias in the type of an input.
    pub(crate) fn typed(&self, dtype: DType) -> (Tensor<2>, Option<Tensor<1>>) {
        (typed(&self.weight, dtype), self.bias.as_ref().map(|bias| typed(bias, dtype)))
    }
}

impl LayerNorm {
    /// `x` [.., W]. Returns [.., W].
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let (gamma, beta) = (typed(&self.gamma, x.dtype()), typed(&self.beta, x.dtype()));
        normalize(x, gamma, beta, self.epsilon)
    }
}

impl Attention {
    /// `x` [B, N, W]. Returns [B, N, W].
    pub fn forward(&self, x: Input<'_>, visible: &Visible) -> Tensor<3> {
        let heads = self_attention(self.lora.qkv(&self.qkv, x), self.num_heads, visible.view());
        lora::forward(&self.proj, &self.lora.proj, Input::Plain(heads))
    }
}

impl Mlp {
    /// An MLP whose parameters are still to be filled.
    pub fn new(width: usize, mlp_width: usize, activation: Activation, device: &Device) -> Self {
        Self {
            fc1: linear(width, mlp_width, true, device),
            fc2: linear(mlp_width, width, true, device),
            lora: MlpAdapters::default(),
            activation,
        }
    }

    /// `x` [B, N, W]. Returns [B, N, W].
    pub fn forward(&self, x: Input<'_>) -> Tensor<3> {
        let hidden = lora::forward(&self.fc1, &self.lora.fc1, x);
        lora::forward(&self.fc2, &self.lora.fc2, Input::Activated(self.activation, hidden))
    }
}

/// A linear layer of zeros, `weight` [input, output].
pub fn linear(input: usize, output: usize, bias: bool, device: &Device) -> Linear {
    Linear { weight: zeros([input, output], device), bias: bias.then(|| zeros([output], device)) }
}

/// A layer norm with gain 1 and bias 0.
pub fn layer_norm(width: usize, epsilon: f64, device: &Device) -> LayerNorm {
    let gamma = Initializer::Ones.init([width], device);
    LayerNorm { gamma, beta: zeros([width], device), epsilon }
}

/// A parameter of zeros that takes no memory before its first use.
pub fn zeros<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    Initializer::Zeros.init(shape, device)
}

/// A parameter that is kept in checkpoints and never trained.
pub fn frozen_zeros<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    Param::uninitialized(
        ParamId::new(),
        move |device, _| Tensor::zeros(shape, device),
        device.clone(),
        false,
        Shape::from(shape),
    )
}
