//! Low-rank adapters (LoRA): a trained product of two thin matrices beside a linear layer that stays.
//!
//! Source: arXiv 2106.09685; arithmetic of `huggingface/peft:src/peft/tuners/lora/layer.py`:
//! `y = x W + alpha / R * up(down(dropout(x)))`. The adapters of queries, keys and values act on
//! their third of the one projection, which gives the numbers of adapters on three layers.
//!
//! Shape letters: B batch, N tokens, I inputs, O outputs, R rank, W width of a block.

use std::sync::Arc;

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor},
};

use crate::{
    dropout::Dropout,
    layers::{Block, Input, Linear, linear},
};

/// A linear layer of a block that an adapter can stand beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Queries, the first third of `attn.qkv`.
    Query,
    /// Keys, the second third.
    Key,
    /// Values, the last third.
    Value,
    /// All of `attn.qkv`, with one `down` for the three.
    Qkv,
    /// `attn.proj`.
    Proj,
    /// `mlp.fc1`.
    Fc1,
    /// `mlp.fc2`.
    Fc2,
}

/// Numbers of the adapters of one tower.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraConfig {
    /// Which layers of a block, each once.
    pub targets: Vec<Target>,
    /// How many blocks, counted from the last.
    pub blocks: usize,
    /// R.
    pub rank: usize,
    /// The product is multiplied by `alpha / R`.
    pub alpha: f64,
    /// Probability that an input of an adapter is dropped, below 1.
    pub dropout: f64,
    /// Tells the dropout of this tower from that of another one.
    pub stream: u64,
}

/// What one linear layer learns in place of its matrix. Without dropout until [`seed`] gives seeds.
#[derive(Module, Debug)]
pub struct Adapter {
    /// [I, R], A of the paper.
    pub down: Linear,
    /// [R, O], B of the paper.
    pub up: Linear,
    #[module(skip)]
    scale: f64,
    #[module(skip)]
    dropout: Dropout,
}

/// Adapters of an attention; none where the layer stays alone.
#[derive(Module, Debug, Default)]
pub struct AttentionAdapters {
    /// Of the first third of `qkv`.
    pub q: Option<Adapter>,
    /// Of the second third.
    pub k: Option<Adapter>,
    /// Of the last third.
    pub v: Option<Adapter>,
    /// Of all of `qkv`.
    pub qkv: Option<Adapter>,
    /// Of `proj`.
    pub proj: Option<Adapter>,
}

/// Adapters of an MLP; none where the layer stays alone.
#[derive(Module, Debug, Default)]
pub struct MlpAdapters {
    /// Of `fc1`.
    pub fc1: Option<Adapter>,
    /// Of `fc2`.
    pub fc2: Option<Adapter>,
}

/// Gives the last blocks their adapters, of zeros: whoever calls this draws `down` and keeps `up`.
pub fn adapt(blocks: &mut [Block], config: &LoraConfig, device: &Device) {
    let first = blocks.len().saturating_sub(config.blocks);
    for (at, block) in blocks.iter_mut().enumerate().skip(first) {
        for target in &config.targets {
            let [input, output] = block.sides(*target);
            let stream = (config.stream << 32) + 8 * at as u64 + *target as u64;
            *block.slot(*target) = Some(Adapter {
                down: linear(input, config.rank, false, device),
                up: linear(config.rank, output, false, device),
                scale: config.alpha / config.rank as f64,
                dropout: Dropout::new(config.dropout, stream),
            });
        }
    }
}

/// Switches dropout on: sample b of a batch drops what `seeds[b]` says, however the batch is split
/// and however often it is computed.
pub fn seed(blocks: &mut [Block], seeds: &Arc<[u64]>) {
    for adapter in blocks.iter_mut().flat_map(Block::adapters) {
        adapter.dropout.seed(seeds);
    }
}

/// Takes the adapters away: the blocks as they were before [`adapt`].
pub fn strip(blocks: &mut [Block]) {
    for block in blocks {
        block.attn.lora = AttentionAdapters::default();
        block.mlp.lora = MlpAdapters::default();
    }
}

/// Adds the adapters' products to the matrices beside them and takes the adapters away. Blocks of a
/// plain device.
pub fn merge(blocks: &mut [Block]) {
    for block in blocks.iter_mut() {
        let Block { attn, mlp, .. } = block;
        let [w, _] = attn.proj.weight.lazy_shape().dims();
        if let Some(product) = attn.lora.qkv_product(w) {
            add(&mut attn.qkv.weight, product);
        }
        for (layer, adapter) in [
            (&mut attn.proj, &attn.lora.proj),
            (&mut mlp.fc1, &mlp.lora.fc1),
            (&mut mlp.fc2, &mlp.lora.fc2),
        ] {
            if let Some(adapter) = adapter {
                add(&mut layer.weight, adapter.product());
            }
        }
    }
    strip(blocks);
}

/// `layer(x)`, and what its adapter adds. `x` [B, N, I], returns [B, N, O].
pub fn forward(layer: &Linear, adapter: &Option<Adapter>, x: Input<'_>) -> Tensor<3> {
    match adapter {
        Some(adapter) => {
            let x = x.tensor();
            layer.forward(x.clone()) + adapter.forward(x)
        }
        None => layer.forward_of(x),
    }
}

impl AttentionAdapters {
    /// `layer(x)`, and what the adapters of its thirds and of the whole add. `x` [B, N, W], returns
    /// [B, N, 3W].
    pub fn qkv(&self, layer: &Linear, x: Input<'_>) -> Tensor<3> {
        if !self.has_thirds() {
            return forward(layer, &self.qkv, x);
        }
        let x = x.tensor();
        let out = forward(layer, &self.qkv, Input::Plain(x.clone()));
        let thirds = self.thirds().map(|adapter| match adapter {
            Some(adapter) => adapter.forward(x.clone()),
            None => x.zeros_like(),
        });
        out + Tensor::cat(thirds.into(), 2)
    }

    /// What all of them add to the matrix, [W, 3W].
    fn qkv_product(&self, w: usize) -> Option<Tensor<2>> {
        let thirds = self.has_thirds().then(|| {
            let device = self.thirds().into_iter().flatten().next().map(Adapter::device);
            let device = device.expect("one of them is there");
            let thirds = self.thirds().map(|adapter| match adapter {
                Some(adapter) => adapter.product(),
                None => Tensor::zeros([w, w], &device),
            });
            Tensor::cat(thirds.into(), 1)
        });
        match (thirds, &self.qkv) {
            (Some(thirds), Some(whole)) => Some(thirds + whole.product()),
            (thirds, whole) => thirds.or(whole.as_ref().map(Adapter::product)),
        }
    }

    fn thirds(&self) -> [Option<&Adapter>; 3] {
        [&self.q, &self.k, &self.v].map(Option::as_ref)
    }

    fn has_thirds(&self) -> bool {
        self.thirds().iter().any(Option::is_some)
    }
}

impl Adapter {
    /// `x` [B, N, I]. Returns [B, N, O].
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = self.dropout.forward(x);
        self.up.forward(self.down.forward(x)) * self.scale
    }

    /// [I, O].
    fn product(&self) -> Tensor<2> {
        self.down.weight.val().matmul(self.up.weight.val()) * self.scale
    }

    fn device(&self) -> Device {
        self.down.weight.lazy_device()
    }
}

impl Block {
    /// Its adapters.
    fn adapters(&mut self) -> impl Iterator<Item = &mut Adapter> {
        let AttentionAdapters { q, k, v, qkv, proj } = &mut self.attn.lora;
        let MlpAdapters { fc1, fc2 } = &mut self.mlp.lora;
        [q, k, v, qkv, proj, fc1, fc2].into_iter().flatten()
    }

    fn slot(&mut self, target: Target) -> &mut Option<Adapter> {
        match target {
            Target::Query => &mut self.attn.lora.q,
            Target::Key => &mut self.attn.lora.k,
            Target::Value => &mut self.attn.lora.v,
            Target::Qkv => &mut self.attn.lora.qkv,
            Target::Proj => &mut self.attn.lora.proj,
            Target::Fc1 => &mut self.mlp.lora.fc1,
            Target::Fc2 => &mut self.mlp.lora.fc2,
        }
    }

    /// I and O of a layer.
    fn sides(&self, target: Target) -> [usize; 2] {
        let layer = match target {
            Target::Query | Target::Key | Target::Value | Target::Proj => &self.attn.proj,
            Target::Qkv => &self.attn.qkv,
            Target::Fc1 => &self.mlp.fc1,
            Target::Fc2 => &self.mlp.fc2,
        };
        layer.weight.lazy_shape().dims()
    }
}

fn add(weight: &mut Param<Tensor<2>>, product: Tensor<2>) {
    *weight = weight.clone().map(|weight| weight + product);
}
