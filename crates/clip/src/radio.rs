//! C-RADIO models: a backbone, the head of one teacher and that teacher's text tower, whose numbers the
//! files decide.
//!
//! Sources: `NVlabs/RADIO:hubconf.py`, `radio/adaptor_*.py`; TAO's `cv/backbone_v2/radio.py`.

mod file;
mod spectral;

use hearth_backbones::{
    layers::{Activation, BlockConfig},
    radio::{HeadConfig, HeadVersion, RadioConfig},
    text::{TextConfig, TextPool},
};
use hearth_data::tokenizer::{TextRecipe, TextRules};
use serde::{Deserialize, Serialize};

use crate::{
    model::ClipConfig,
    registry::{CLIP_BPE, GEMMA, siglip2_text},
    vision::{RadioTowerConfig, TowerConfig},
};

pub(crate) use file::{Container, RadioFile, text_numbers};
pub use spectral::folded;

/// Patch side of all C-RADIO models.
const PATCH: usize = 16;

/// Which teacher's space the embeddings are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Adaptor {
    /// SigLIP2, with its text tower.
    SigLip,
    /// DFN's CLIP, with its text tower.
    Clip,
}

/// What the files of a C-RADIO model say about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RadioNumbers {
    /// The space of the embeddings.
    pub(crate) adaptor: Adaptor,
    /// Name of the teacher in the checkpoint.
    pub(crate) teacher: String,
    /// The backbone.
    pub(crate) trunk: TrunkNumbers,
    /// Which class token belongs to the teacher.
    pub(crate) token: usize,
    /// The teacher's head.
    pub(crate) head: HeadNumbers,
    /// The teacher's text tower.
    pub(crate) text: TextNumbers,
}

/// Numbers of a backbone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrunkNumbers {
    pub(crate) width: usize,
    pub(crate) depth: usize,
    pub(crate) num_heads: usize,
    pub(crate) mlp_width: usize,
    pub(crate) layer_scale: bool,
    pub(crate) class_tokens: usize,
    pub(crate) registers: usize,
    pub(crate) table_side: usize,
}

/// Numbers of a head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeadNumbers {
    /// `v1` or `v2`.
    pub(crate) version: Version,
    pub(crate) hidden: usize,
    pub(crate) inner: usize,
    pub(crate) output: usize,
}

/// Computations of a summary head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Version {
    V1,
    V2,
}

/// Numbers of a text tower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TextNumbers {
    pub(crate) vocab_size: usize,
    pub(crate) context_length: usize,
    pub(crate) width: usize,
    pub(crate) depth: usize,
    pub(crate) num_heads: usize,
    pub(crate) mlp_width: usize,
}

impl Adaptor {
    /// From the names that TAO takes for `model.adaptor_name`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "siglip" | "siglip2" | "siglip2-g" => Some(Adaptor::SigLip),
            "clip" | "dfn_clip" | "dfn" => Some(Adaptor::Clip),
            _ => None,
        }
    }

    /// The value of `model.adaptor_name` that TAO documents.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Adaptor::SigLip => "siglip",
            Adaptor::Clip => "clip",
        }
    }

    /// Names of its teacher in checkpoints.
    pub(crate) fn teachers(self) -> &'static [&'static str] {
        match self {
            Adaptor::SigLip => &["siglip2", "siglip2-g"],
            Adaptor::Clip => &["clip"],
        }
    }

    /// Where the text tower's weights are published.
    pub(crate) fn text_weights(self) -> &'static str {
        match self {
            Adaptor::SigLip => {
                "google/siglip2-so400m-patch16-naflex (c-radio_v3-h: google/siglip2-giant-opt-patch16-384)"
            }
            Adaptor::Clip => "apple/DFN5B-CLIP-ViT-H-14-378",
        }
    }

    /// Preparation of texts.
    pub(crate) fn text_recipe(self) -> TextRecipe {
        match self {
            Adaptor::SigLip => {
                TextRecipe { rules: TextRules::SigLip2, context_length: 64, canonicalize: false }
            }
            Adaptor::Clip => {
                TextRecipe { rules: TextRules::ClipBpe, context_length: 77, canonicalize: false }
            }
        }
    }
}

impl RadioNumbers {
    /// The numbers of `c-radio_v3-{size}`. The width of the heads is not published; the one here is that
    /// of the largest public copy.
    pub(crate) fn of_type(size: &str, adaptor: Adaptor) -> Self {
        let (width, depth, num_heads) = match size {
            "b" => (768, 12, 12),
            "l" => (1024, 24, 16),
            "h" => (1280, 32, 16),
            _ => (1536, 40, 24),
        };
        let (teacher, token, output) = match adaptor {
            Adaptor::SigLip if size == "h" => ("siglip2-g", 1, 1536),
            Adaptor::SigLip => ("siglip2", 1, 1152),
            Adaptor::Clip => ("clip", 0, 1024),
        };
        Self {
            adaptor,
            teacher: teacher.to_owned(),
            trunk: TrunkNumbers {
                width,
                depth,
                num_heads,
                mlp_width: 4 * width,
                layer_scale: matches!(size, "b" | "l"),
                class_tokens: 4,
                registers: 4,
                table_side: 128,
            },
            token,
            head: HeadNumbers { version: Version::V2, hidden: 2 * width, inner: 1, output },
            text: TextNumbers::of(adaptor),
        }
    }

    /// Fails on sizes that no such model has: memory is taken by them.
    pub(crate) fn check(&self) -> Result<(), String> {
        let (trunk, text) = (&self.trunk, &self.text);
        for (name, found, most) in [
            ("width", trunk.width, 1 << 16),
            ("depth", trunk.depth, 1 << 10),
            ("MLP width", trunk.mlp_width, 1 << 18),
            ("number of class tokens", trunk.class_tokens, 1 << 10),
            ("number of registers", trunk.registers, 1 << 10),
            ("position table side", trunk.table_side, 1 << 12),
            ("head width", self.head.hidden, 1 << 18),
            ("number of head blocks", self.head.inner, 1 << 8),
            ("head output", self.head.output, 1 << 18),
            ("vocabulary", text.vocab_size, 1 << 24),
            ("text width", text.width, 1 << 16),
            ("text depth", text.depth, 1 << 10),
            ("text MLP width", text.mlp_width, 1 << 18),
        ] {
            if found > most {
                return Err(format!("the {name} is {found}, at most {most} is a model"));
            }
        }
        Ok(())
    }

    /// The network, for pictures of this side and texts of this length.
    pub(crate) fn config(&self, image_size: usize, context_length: usize) -> ClipConfig {
        let Self { trunk, head, .. } = self;
        let vision = RadioTowerConfig {
            image_size,
            trunk: RadioConfig {
                patch_size: PATCH,
                depth: trunk.depth,
                block: BlockConfig {
                    width: trunk.width,
                    num_heads: trunk.num_heads,
                    mlp_width: trunk.mlp_width,
                    activation: Activation::Gelu,
                    norm_eps: 1e-6,
                    layer_scale: trunk.layer_scale,
                    qkv_bias: true,
                },
                class_tokens: trunk.class_tokens,
                registers: trunk.registers,
                table_side: trunk.table_side,
            },
            token: self.token,
            head: HeadConfig {
                version: match head.version {
                    Version::V1 => HeadVersion::V1,
                    Version::V2 => HeadVersion::V2,
                },
                input: trunk.width,
                hidden: head.hidden,
                output: head.output,
                inner: head.inner,
            },
        };
        let mut text = self.text.config(self.adaptor, head.output);
        text.context_length = context_length;
        ClipConfig { vision: TowerConfig::Radio(vision), text, logit_bias: true }
    }
}

impl TextNumbers {
    /// The tower of the adaptor's usual teacher.
    pub(crate) fn of(adaptor: Adaptor) -> Self {
        match adaptor {
            Adaptor::SigLip => Self {
                vocab_size: GEMMA,
                context_length: 64,
                width: 1152,
                depth: 27,
                num_heads: 16,
                mlp_width: 4304,
            },
            Adaptor::Clip => Self {
                vocab_size: CLIP_BPE,
                context_length: 77,
                width: 1024,
                depth: 24,
                num_heads: 16,
                mlp_width: 4096,
            },
        }
    }

    fn config(&self, adaptor: Adaptor, projection: usize) -> TextConfig {
        let (activation, norm_eps) = match adaptor {
            Adaptor::SigLip => (Activation::GeluTanh, 1e-6),
            Adaptor::Clip => (Activation::QuickGelu, 1e-5),
        };
        let block = BlockConfig {
            width: self.width,
            num_heads: self.num_heads,
            mlp_width: self.mlp_width,
            activation,
            norm_eps,
            ..BlockConfig::default()
        };
        let siglip = siglip2_text(block, self.depth, projection);
        let text = TextConfig {
            vocab_size: self.vocab_size,
            context_length: self.context_length,
            ..siglip
        };
        match adaptor {
            Adaptor::SigLip => text,
            Adaptor::Clip => TextConfig {
                causal: true,
                pool: TextPool::LargestId,
                projection_bias: false,
                ..text
            },
        }
    }
}
