//! What TAO's Lightning checkpoints make of the published layouts: the model of the library stands
//! inside of an adapter, and the calibration in one of two places.
//!
//! Names as they are behind Lightning's own `model.`, which all share.

use hearth_weights::{KeyMap, Rule};

use super::{open_clip, transformers_siglip};

/// Where the adapter keeps a model of open_clip, and one of transformers.
const OPEN_CLIP: &str = "backbone.model.";
const SIGLIP: &str = "backbone.inner.";
const CALIBRATION: [&str; 2] = ["logit_scale", "logit_bias"];

/// Layouts of both kinds, old and new.
pub(super) fn all() -> Vec<KeyMap> {
    vec![
        wrapped(transformers_siglip(), "TAO SigLIP2", SIGLIP, Calibration::Outer),
        wrapped(transformers_siglip(), "TAO SigLIP2", SIGLIP, Calibration::Nested),
        wrapped(open_clip(), "TAO OpenCLIP", OPEN_CLIP, Calibration::Outer),
        wrapped(open_clip(), "TAO OpenCLIP", OPEN_CLIP, Calibration::Nested),
    ]
}

/// Which of two pairs of `logit_scale` and `logit_bias` was trained.
#[derive(Clone, Copy, PartialEq)]
enum Calibration {
    /// That of the adapter; the nested one is what the training began with.
    Outer,
    /// That of the model, the only one in newer files.
    Nested,
}

fn wrapped(inner: KeyMap, name: &str, prefix: &str, calibration: Calibration) -> KeyMap {
    let under = |name: &str| format!("{prefix}{name}");
    let mut rules: Vec<Rule> = Vec::new();
    let mut ignored: Vec<String> = inner.ignored.iter().map(|name| under(name)).collect();
    let mut recognised_by: Vec<String> =
        inner.recognised_by.iter().map(|name| under(name)).collect();
    // A buffer of the adapter.
    ignored.push("backbone.mask".to_owned());
    for rule in inner.rules {
        let outer =
            calibration == Calibration::Outer && CALIBRATION.iter().any(|name| rule.is_of(name));
        rules.push(if outer { rule } else { rule.under(prefix) });
    }
    let kind = match calibration {
        Calibration::Outer => {
            ignored.extend(CALIBRATION.map(under));
            recognised_by.push(CALIBRATION[0].to_owned());
            "calibration outside"
        }
        Calibration::Nested => "calibration inside",
    };
    KeyMap { name: format!("{name}, {kind}"), rules, ignored, recognised_by }
}
