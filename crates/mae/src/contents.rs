//! What a file of weights holds, read from names and shapes before a model is built.

use std::{collections::BTreeMap, fmt};

use hearth_weights::{WeightsError, WeightsFile};

use crate::{
    arch::{ALL, Arch, Family, Kind},
    autoencoder::DecoderConfig,
    classifier::VitGraph,
    layouts::{self, Dialect},
};

/// An encoder, and what stands behind it.
#[derive(Debug, Clone)]
pub(crate) struct Contents {
    /// Whose names it has.
    pub(crate) dialect: Dialect,
    /// Its numbers as far as shapes tell them; nothing if tensors are missing.
    pub(crate) encoder: Option<Numbers>,
    /// The decoder of an autoencoder.
    pub(crate) decoder: Option<DecoderConfig>,
    /// Classes of a classifier.
    pub(crate) classes: Option<usize>,
    /// For ViT.
    pub(crate) graph: VitGraph,
}

/// Numbers of an encoder without its heads, which no shape tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbers(Kind);

impl Contents {
    /// `wanted` is the family that is looked for if the file has nobody's names.
    pub(crate) fn read(file: &WeightsFile, wanted: Family) -> Result<Self, WeightsError> {
        let dialect = layouts::recognise(file, wanted)?;
        let held = Held(dialect.held(file));
        let classes = dialect.classes(file);
        let graph = match (dialect.norms(file), classes) {
            ([true, _], _) => VitGraph::FcNorm,
            ([false, true], Some(_)) => VitGraph::ClassToken,
            _ => VitGraph::Bare,
        };
        Ok(Self {
            encoder: held.encoder(dialect.family),
            decoder: held.decoder(dialect.family),
            classes,
            graph,
            dialect,
        })
    }

    /// The encoder for a message.
    pub(crate) fn shown_encoder(&self) -> String {
        match self.encoder {
            Some(numbers) => numbers.to_string(),
            None => self.dialect.name.clone(),
        }
    }

    /// What stands behind the encoder, for a message.
    pub(crate) fn shown_role(&self) -> String {
        match (self.decoder, self.classes) {
            (_, Some(classes)) => format!("a classifier of {classes} classes"),
            (Some(_), None) => "an autoencoder".to_owned(),
            (None, None) => "an encoder without decoder or head".to_owned(),
        }
    }
}

/// Shapes by our names.
struct Held(BTreeMap<String, Vec<usize>>);

impl Held {
    fn encoder(&self, family: Family) -> Option<Numbers> {
        Some(Numbers(match family {
            Family::ConvNext => {
                let stage = |i: usize| {
                    let blocks = format!("encoder.stages.{i}.blocks.");
                    let width = self.len(&format!("{blocks}0.norm.weight"))?;
                    Some((self.count(&blocks, ".norm.weight"), width))
                };
                let stages = [stage(0)?, stage(1)?, stage(2)?, stage(3)?];
                let patch = self.last("encoder.stem.proj.weight")?;
                Kind::ConvNext(
                    stages.map(|(depth, _)| depth),
                    stages.map(|(_, width)| width),
                    patch,
                )
            }
            Family::Hiera => {
                let blocks = self.count("encoder.blocks.", ".norm1.weight");
                let grows =
                    |i: &usize| self.0.contains_key(&format!("encoder.blocks.{i}.proj.weight"));
                let starts: Vec<usize> = (0..blocks).filter(grows).collect();
                let [a, b, c] = starts[..] else { return None };
                Kind::Hiera(
                    [a, b - a, c - b, blocks - c],
                    self.len("encoder.patch_embed.proj.bias")?,
                    0,
                )
            }
            Family::Vit => {
                let width = self.len("encoder.cls_token")?;
                let depth = self.count("encoder.blocks.", ".norm1.weight");
                Kind::Vit(depth, width, 0, self.last("encoder.patch_embed.proj.weight")?)
            }
        }))
    }

    fn decoder(&self, family: Family) -> Option<DecoderConfig> {
        let depth = match family {
            Family::ConvNext => self.count("decoder.", ".norm.weight"),
            Family::Hiera | Family::Vit => self.count("decoder_blocks.", ".norm1.weight"),
        };
        let width = self.len("mask_token")?;
        (depth > 0 && width > 0).then(|| DecoderConfig::sized(depth, width))
    }

    /// Number of values.
    fn len(&self, name: &str) -> Option<usize> {
        Some(self.0.get(name)?.iter().product())
    }

    /// Last size.
    fn last(&self, name: &str) -> Option<usize> {
        self.0.get(name)?.last().copied()
    }

    /// How many there are from 0 on.
    fn count(&self, before: &str, after: &str) -> usize {
        (0..).take_while(|i| self.0.contains_key(&format!("{before}{i}{after}"))).count()
    }
}

impl Numbers {
    pub(crate) fn of(kind: Kind) -> Self {
        Self(match kind {
            Kind::ConvNext(..) => kind,
            Kind::Hiera(depths, width, _) => Kind::Hiera(depths, width, 0),
            Kind::Vit(depth, width, _, patch) => Kind::Vit(depth, width, 0, patch),
        })
    }

    /// The architecture of these numbers, if it has a name.
    pub(crate) fn named(self) -> Option<&'static Arch> {
        ALL.iter().find(|arch| Self::of(arch.kind) == self)
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(arch) = self.named() {
            write!(f, "`{}`: ", arch.name)?;
        }
        let list = |numbers: [usize; 4]| numbers.map(|number| number.to_string()).join(", ");
        match self.0 {
            Kind::ConvNext(depths, widths, patch) => {
                let (depths, widths) = (list(depths), list(widths));
                write!(f, "ConvNeXt V2, {depths} blocks {widths} wide, patches of {patch} pixels")
            }
            Kind::Hiera(depths, width, _) => {
                write!(f, "Hiera, {} blocks, the first {width} wide", list(depths))
            }
            Kind::Vit(depth, width, _, patch) => {
                write!(f, "ViT, {depth} blocks {width} wide, patches of {patch} pixels")
            }
        }
    }
}
