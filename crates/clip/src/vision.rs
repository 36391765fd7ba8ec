//! The vision towers of the CLIP family behind one forward pass.
//!
//! Shape letters: B pictures, S side, P patch side, T tokens, E joint embedding width.

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use hearth_backbones::{
    BackboneError, Mode,
    layers::{Block, BlockConfig},
    naflex::{NaflexConfig, NaflexTransformer},
    positions::Grid,
    radio::{HeadConfig, PositionCrop, RadioConfig, RadioHead, RadioTransformer},
    vit::{VisionConfig, VisionTransformer},
};

/// Numbers of a vision tower.
#[derive(Debug, Clone, PartialEq)]
pub enum TowerConfig {
    /// Square pictures of one size.
    Vit(VisionConfig),
    /// Pictures of any aspect ratio.
    Naflex(NaflexConfig),
    /// A C-RADIO backbone with the head of one teacher.
    Radio(RadioTowerConfig),
}

/// Numbers of a C-RADIO tower.
#[derive(Debug, Clone, PartialEq)]
pub struct RadioTowerConfig {
    /// Side of the pictures, pixels.
    pub image_size: usize,
    /// The backbone.
    pub trunk: RadioConfig,
    /// Which class token belongs to the teacher.
    pub token: usize,
    /// The teacher's head; its output is the embedding.
    pub head: HeadConfig,
}

/// A vision tower; its output is not normalised.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a model holds one tower")]
pub enum VisionTower {
    /// Square pictures of one size.
    Vit(VisionTransformer),
    /// Pictures of any aspect ratio.
    Naflex(NaflexTransformer),
    /// A C-RADIO backbone with the head of one teacher.
    Radio(RadioTower),
}

/// A C-RADIO backbone with the head of one teacher.
#[derive(Module, Debug)]
pub struct RadioTower {
    /// The backbone.
    pub trunk: RadioTransformer,
    /// The head.
    pub head: RadioHead,
    #[module(skip)]
    config: RadioTowerConfig,
}

/// Pictures on the device, as their tower takes them.
#[derive(Debug, Clone)]
pub enum Images {
    /// [B, 3, S, S], normalised; for C-RADIO in training with one crop of the position table each.
    Square(Tensor<4>, Vec<PositionCrop>),
    /// [B, T, P * P * 3], normalised and padded, with the grid of each picture.
    Patches(Tensor<3>, Vec<Grid>),
}

impl From<Tensor<4>> for Images {
    fn from(images: Tensor<4>) -> Self {
        Images::Square(images, Vec::new())
    }
}

impl Images {
    /// The same pictures as in evaluation.
    pub(crate) fn uncropped(self) -> Self {
        match self {
            Images::Square(images, _) => images.into(),
            patches => patches,
        }
    }
}

impl TowerConfig {
    /// Fails on numbers that describe no model.
    pub fn check(&self) -> Result<(), BackboneError> {
        match self {
            TowerConfig::Vit(config) => config.check(),
            TowerConfig::Naflex(config) => config.check(),
            TowerConfig::Radio(config) => {
                config.trunk.check()?;
                config.head.check()?;
                let (classes, token) = (config.trunk.class_tokens, config.token);
                if token < classes {
                    return Ok(());
                }
                Err(BackboneError::TooSmall {
                    what: "class tokens",
                    value: classes,
                    minimum: token + 1,
                })
            }
        }
    }

    /// A tower whose parameters are still to be filled and take no memory yet.
    pub fn init(&self, device: &Device) -> VisionTower {
        match self {
            TowerConfig::Vit(config) => VisionTower::Vit(config.init(device)),
            TowerConfig::Naflex(config) => VisionTower::Naflex(config.init(device)),
            TowerConfig::Radio(config) => VisionTower::Radio(RadioTower {
                trunk: config.trunk.init(device),
                head: config.head.init(device),
                config: config.clone(),
            }),
        }
    }

    /// E.
    pub fn embed_dim(&self) -> usize {
        match self {
            TowerConfig::Vit(config) => config.embed_dim(),
            TowerConfig::Naflex(config) => config.block.width,
            TowerConfig::Radio(config) => config.head.output,
        }
    }

    /// P.
    pub fn patch_size(&self) -> usize {
        match self {
            TowerConfig::Vit(config) => config.patch_size,
            TowerConfig::Naflex(config) => config.patch_size,
            TowerConfig::Radio(config) => config.trunk.patch_size,
        }
    }

    /// Number of blocks.
    pub fn depth(&self) -> usize {
        match self {
            TowerConfig::Vit(config) => config.depth,
            TowerConfig::Naflex(config) => config.depth,
            TowerConfig::Radio(config) => config.trunk.depth,
        }
    }

    /// Every block alike.
    pub fn block(&self) -> &BlockConfig {
        match self {
            TowerConfig::Vit(config) => &config.block,
            TowerConfig::Naflex(config) => &config.block,
            TowerConfig::Radio(config) => &config.trunk.block,
        }
    }

    /// [`Self::block`], to change it.
    pub fn block_mut(&mut self) -> &mut BlockConfig {
        match self {
            TowerConfig::Vit(config) => &mut config.block,
            TowerConfig::Naflex(config) => &mut config.block,
            TowerConfig::Radio(config) => &mut config.trunk.block,
        }
    }

    /// T for a picture of `patches` patches.
    pub fn num_tokens(&self, patches: usize) -> usize {
        match self {
            TowerConfig::Vit(config) => patches + usize::from(config.class_token),
            TowerConfig::Naflex(_) => patches,
            TowerConfig::Radio(config) => patches + config.trunk.prefix(),
        }
    }

    /// The same tower for square pictures of another side; NaFlex takes any as it is.
    pub fn with_image_size(mut self, size: usize) -> Self {
        match &mut self {
            TowerConfig::Vit(config) => config.image_size = size,
            TowerConfig::Naflex(_) => {}
            TowerConfig::Radio(config) => config.image_size = size,
        }
        self
    }
}

impl VisionTower {
    /// Returns [B, E], in the type of `mode`. Panics on images of another kind than the tower's.
    pub fn forward(&self, images: Images, mode: impl Into<Mode>) -> Tensor<2> {
        let mode = mode.into();
        match (self, images) {
            (VisionTower::Vit(tower), Images::Square(images, _)) => tower.forward(images, mode),
            (VisionTower::Naflex(tower), Images::Patches(patches, grids)) => {
                tower.forward(patches, &grids, mode)
            }
            (VisionTower::Radio(tower), Images::Square(images, crops)) => {
                let tokens = tower.trunk.forward(images, &crops, mode);
                tower.head.summary(tower.trunk.class_token(&tokens, tower.config.token))
            }
            (_, Images::Square(..)) => panic!("a NaFlex tower takes patches"),
            (_, Images::Patches(..)) => panic!("patches are for NaFlex towers"),
        }
    }

    /// The blocks of the transformer.
    pub fn blocks(&self) -> &Vec<Block> {
        match self {
            VisionTower::Vit(tower) => &tower.blocks,
            VisionTower::Naflex(tower) => &tower.blocks,
            VisionTower::Radio(tower) => &tower.trunk.blocks,
        }
    }

    /// [`Self::blocks`], to change them.
    pub fn blocks_mut(&mut self) -> &mut Vec<Block> {
        match self {
            VisionTower::Vit(tower) => &mut tower.blocks,
            VisionTower::Naflex(tower) => &mut tower.blocks,
            VisionTower::Radio(tower) => &mut tower.trunk.blocks,
        }
    }

    /// The numbers it was built from.
    pub fn config(&self) -> TowerConfig {
        match self {
            VisionTower::Vit(tower) => TowerConfig::Vit(tower.config().clone()),
            VisionTower::Naflex(tower) => TowerConfig::Naflex(tower.config().clone()),
            VisionTower::Radio(tower) => TowerConfig::Radio(tower.config.clone()),
        }
    }
}
