//! The published layouts of checkpoints as two-way tables over the names of the models.
//!
//! Whose names a file has is told by its encoder; what stands behind the encoder, a decoder, a head or
//! nothing, is read from the names too. Sources: `facebookresearch/{mae,ConvNeXt-V2,hiera}`, whose names
//! TAO writes as well; timm's `vision_transformer.py`, `convnext.py`, `hiera.py`;
//! `huggingface/transformers:models/{vit_mae,vit,convnextv2,hiera}`, in version 5 and before.

mod convnext;
mod hiera;
mod vit;

use std::collections::BTreeMap;

use hearth_weights::{KeyMap, Rule, WeightsError, WeightsFile};

use crate::{
    arch::{Family, Kind},
    classifier::VitGraph,
};

/// What wrappers of a model put before every name: nothing, Lightning (TAO), several devices.
const WRAPPERS: [&str; 3] = ["", "model.", "module."];

/// The names that a project gives to the tensors of one family.
#[derive(Debug, Clone)]
pub struct Dialect {
    /// As reports name it.
    pub name: String,
    /// Whose encoder.
    pub family: Family,
    /// Names that such a file holds, all of them, and others do not.
    telling: Vec<String>,
    /// The encoder without a norm behind it.
    encoder: Vec<Rule>,
    /// What an autoencoder has behind its encoder; nothing where the project has none.
    decoder: Vec<Rule>,
    /// The norm over the mean of the sites.
    mean_norm: String,
    /// The norm over the sites: that of a ViT.
    site_norm: Option<String>,
    /// The classes.
    head: String,
}

/// The names of Meta's and TAO's files of an autoencoder, which ours are.
pub fn autoencoder(kind: Kind) -> KeyMap {
    let own = match kind.family() {
        Family::ConvNext => convnext::meta("encoder."),
        Family::Hiera => hiera::tao(),
        Family::Vit => vit::meta(),
    };
    own.autoencoder().expect("Meta's names have a decoder")
}

/// The names of TAO's files of a classifier, which ours are. `graph` is for ViT.
pub fn classifier(kind: Kind, graph: VitGraph) -> KeyMap {
    let own = match kind.family() {
        Family::ConvNext => convnext::meta(""),
        Family::Hiera => hiera::tao(),
        Family::Vit => vit::meta(),
    };
    own.classifier(graph)
}

/// Whoever publishes such encoders. One that asks for more names stands before one that asks for less.
pub fn published(kind: Kind) -> Vec<Dialect> {
    match kind {
        Kind::ConvNext(..) => convnext::all(),
        Kind::Hiera(depths, ..) => hiera::all(depths),
        Kind::Vit(..) => vit::all(),
    }
}

/// Whose names `file` has. `wanted` is the family that is looked for if nobody's.
pub fn recognise(file: &WeightsFile, wanted: Family) -> Result<Dialect, WeightsError> {
    let depths = hiera::depths(file);
    let plain: Vec<Dialect> =
        [convnext::all(), vit::all(), hiera::all(depths)].into_iter().flatten().collect();
    let all: Vec<Dialect> = WRAPPERS
        .iter()
        .flat_map(|prefix| plain.iter().map(move |dialect| dialect.under(prefix)))
        .collect();
    let maps: Vec<KeyMap> = all.iter().map(Dialect::telling).collect();
    match KeyMap::recognise(&maps, file) {
        Ok(found) => {
            let found = all.into_iter().find(|dialect| dialect.name == found.name);
            Ok(found.expect("one of them was found"))
        }
        Err(_) => {
            let wanted = plain.iter().filter(|dialect| dialect.family == wanted);
            let maps: Vec<KeyMap> = wanted.map(Dialect::telling).collect();
            KeyMap::recognise(&maps, file)?;
            unreachable!("none of more maps was found")
        }
    }
}

impl Dialect {
    /// An autoencoder, if the project has any.
    pub fn autoencoder(&self) -> Option<KeyMap> {
        let rules: Vec<Rule> = self.encoder.iter().chain(&self.decoder).cloned().collect();
        (!self.decoder.is_empty()).then(|| self.map(rules))
    }

    /// A classifier. `graph` is for ViT.
    pub fn classifier(&self, graph: VitGraph) -> KeyMap {
        let mut rules = self.encoder.clone();
        let (ours, theirs) = match (&self.site_norm, graph) {
            (Some(norm), VitGraph::ClassToken) => ("encoder.norm", norm),
            (Some(_), VitGraph::Bare | VitGraph::FcNorm) => ("encoder.norm", &self.mean_norm),
            (None, _) => ("norm", &self.mean_norm),
        };
        rules.push(all_of(ours, theirs));
        rules.push(all_of("head", &self.head));
        self.map(rules)
    }

    /// All that may stand behind an encoder: what a model leaves out that does not have it.
    pub fn behind_encoder(&self) -> Vec<String> {
        let of_decoder = self.decoder.iter().flat_map(Rule::tensors).map(str::to_owned);
        let norms = [Some(&self.mean_norm), self.site_norm.as_ref(), Some(&self.head)];
        of_decoder.chain(norms.into_iter().flatten().map(|name| format!("{name}.{{..}}"))).collect()
    }

    /// Encoder and decoder of `file` by our names, with shapes as the file has them.
    pub(crate) fn held(&self, file: &WeightsFile) -> BTreeMap<String, Vec<usize>> {
        self.map(self.encoder.iter().chain(&self.decoder).cloned().collect()).held(file)
    }

    /// Whether `file` has a norm over the mean of the sites, and one over the sites.
    pub(crate) fn norms(&self, file: &WeightsFile) -> [bool; 2] {
        [Some(&self.mean_norm), self.site_norm.as_ref()]
            .map(|norm| norm.is_some_and(|norm| file.entry(&format!("{norm}.weight")).is_some()))
    }

    /// Classes of the head of `file`, if it has one.
    pub(crate) fn classes(&self, file: &WeightsFile) -> Option<usize> {
        file.entry(&format!("{}.weight", self.head))?.shape.first().copied()
    }

    /// The same where a wrapper put `prefix` before every name.
    fn under(&self, prefix: &str) -> Self {
        let name = |name: &String| format!("{prefix}{name}");
        let rules = |rules: &[Rule]| rules.iter().map(|rule| rule.clone().under(prefix)).collect();
        let shown = if prefix.is_empty() { String::new() } else { format!(", behind `{prefix}`") };
        Self {
            name: format!("{}{shown}", self.name),
            family: self.family,
            telling: self.telling.iter().map(name).collect(),
            encoder: rules(&self.encoder),
            decoder: rules(&self.decoder),
            mean_norm: name(&self.mean_norm),
            site_norm: self.site_norm.as_ref().map(name),
            head: name(&self.head),
        }
    }

    fn telling(&self) -> KeyMap {
        self.map(Vec::new())
    }

    fn map(&self, rules: Vec<Rule>) -> KeyMap {
        KeyMap {
            name: self.name.clone(),
            rules,
            ignored: Vec::new(),
            recognised_by: self.telling.clone(),
        }
    }
}

/// Every tensor below a name.
fn all_of(ours: &str, theirs: &str) -> Rule {
    Rule::same(format!("{ours}.{{..}}"), format!("{theirs}.{{..}}"))
}

/// Rows of ours and theirs, each behind a prefix.
fn table(ours: &str, theirs: &str, rows: &[(&str, &str)]) -> Vec<Rule> {
    let rule = |(a, b): &(&str, &str)| Rule::same(format!("{ours}{a}"), format!("{theirs}{b}"));
    rows.iter().map(rule).collect()
}

fn names(prefix: &str, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("{prefix}{name}")).collect()
}
