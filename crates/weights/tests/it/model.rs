//! Small modules with every kind of parameter, and their key maps.

use burn::{
    module::{Initializer, Module, Param},
    nn::{
        Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig,
        PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Device, Int, Tensor},
};
use hearth_weights::{KeyMap, Rule};

/// The twin of `Tiny` in tests/golden/weights.py.
#[derive(Module, Debug)]
pub(crate) struct Tiny {
    pub(crate) embed: Embedding,
    pub(crate) patch: Conv2d,
    pub(crate) pos: Param<Tensor<3>>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) head: Linear,
    pub(crate) logit_scale: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
pub(crate) struct Block {
    pub(crate) norm: LayerNorm,
    pub(crate) fc: Linear,
}

impl Tiny {
    pub(crate) fn new(device: &Device) -> Tiny {
        Tiny::with_positions(4, device)
    }

    pub(crate) fn with_positions(positions: usize, device: &Device) -> Tiny {
        let normal = Initializer::Normal { mean: 0.0, std: 1.0 };
        let block = || Block {
            norm: LayerNormConfig::new(6).init(device),
            fc: LinearConfig::new(6, 6).init(device),
        };
        Tiny {
            embed: EmbeddingConfig::new(5, 6).init(device),
            patch: Conv2dConfig::new([3, 4], [2, 2])
                .with_stride([2, 2])
                .with_padding(PaddingConfig2d::Valid)
                .init(device),
            pos: normal.init([1, positions, 6], device),
            blocks: vec![block(), block()],
            head: LinearConfig::new(6, 3).with_bias(false).init(device),
            logit_scale: normal.init([1], device),
        }
    }

    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let through =
            |x: Tensor<2>, block: &Block| x.clone() + block.fc.forward(block.norm.forward(x));
        self.head.forward(self.blocks.iter().fold(x, through))
    }

    pub(crate) fn embedded(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.embed.forward(ids)
    }

    /// Names and shapes as PyTorch gives them to the twin.
    pub(crate) const STATE_DICT: &[(&str, &[usize])] = &[
        ("embed.weight", &[5, 6]),
        ("patch.weight", &[4, 3, 2, 2]),
        ("patch.bias", &[4]),
        ("pos", &[1, 4, 6]),
        ("blocks.0.norm.weight", &[6]),
        ("blocks.0.norm.bias", &[6]),
        ("blocks.0.fc.weight", &[6, 6]),
        ("blocks.0.fc.bias", &[6]),
        ("blocks.1.norm.weight", &[6]),
        ("blocks.1.norm.bias", &[6]),
        ("blocks.1.fc.weight", &[6, 6]),
        ("blocks.1.fc.bias", &[6]),
        ("head.weight", &[3, 6]),
        ("logit_scale", &[1]),
    ];

    /// Another layout of the same model: every kind of rule, shapes of other rank.
    pub(crate) fn foreign_layout() -> KeyMap {
        KeyMap {
            name: "foreign".to_owned(),
            rules: vec![
                Rule::same("embed.weight", "token_embedding.weight"),
                Rule::same("patch.{}", "embeddings.patch.{}"),
                Rule::same("pos", "embeddings.position").rank(2),
                Rule::same("blocks.{}.norm.{}", "encoder.layers.{}.ln.{}"),
                Rule::split(
                    "blocks.{}.fc.{}",
                    &["encoder.layers.{}.a_{}", "encoder.layers.{}.b_{}", "encoder.layers.{}.c_{}"],
                ),
                Rule::transposed("head.weight", "proj"),
                Rule::same("logit_scale", "logit_scale").rank(0),
            ],
            ignored: vec!["embeddings.position_ids".to_owned()],
            recognised_by: vec!["proj".to_owned(), "encoder.layers.0.ln.weight".to_owned()],
        }
    }
}

/// Two parameters that other layouts keep as one: timm's `q` and `kv`, torch's `in_proj`.
#[derive(Module, Debug)]
pub(crate) struct Pool {
    pub(crate) q: Linear,
    pub(crate) kv: Linear,
}

impl Pool {
    pub(crate) fn new(dim: usize, device: &Device) -> Pool {
        Pool {
            q: LinearConfig::new(dim, dim).init(device),
            kv: LinearConfig::new(dim, 2 * dim).init(device),
        }
    }

    pub(crate) fn in_proj() -> KeyMap {
        KeyMap {
            name: "in_proj".to_owned(),
            rules: vec![Rule::merged(&[("q.{}", 1), ("kv.{}", 2)], "attention.in_proj_{}")],
            ignored: Vec::new(),
            recognised_by: vec!["attention.in_proj_weight".to_owned()],
        }
    }
}

/// All parameters with their values, in PyTorch's layout.
pub(crate) fn values<M: Module>(module: &M) -> Vec<(String, Vec<f32>)> {
    let mut found = Vec::new();
    hearth_weights::visit_values(module, |parameter, values| {
        found.push((parameter.name.clone(), values));
    });
    found
}

/// Gives every parameter values that tell it apart: its number in thousands, then counting.
pub(crate) fn numbered<M: Module>(module: M) -> M {
    let mut thousands = 0.0;
    hearth_weights::map_values(module, |parameter| {
        thousands += 1000.0;
        Some((0..parameter.len()).map(|i| thousands + i as f32).collect())
    })
}
