//! A C-RADIO model from its files: the backbone with its heads, and the text tower of the teacher.

use burn::{module::Module, tensor::Device};
use hearth_backbones::text::TextTransformer;
use hearth_data::random::Key;
use hearth_spec::Document;
use hearth_weights::{KeyMap, LoadOptions, LoadReport, WeightsFile, load};

use super::Setup;
use crate::{
    error::ClipError,
    init::{self, Calibration},
    layouts::{self, radio as maps},
    model::Clip,
    radio::{Adaptor, Container, RadioFile, RadioNumbers, text_numbers},
    spec::ClipSpec,
    vision::VisionTower,
};

/// Where the names of a text tower begin in files of their own.
const TEXT_PREFIXES: &[&str] = &["text_model.", "", "text."];

/// Mean and deviation of each channel.
type Normalisation = [[f64; 3]; 2];

/// Fields as in [`Clip`], so that the tables of names fit.
#[derive(Module, Debug)]
struct VisionPart {
    visual: VisionTower,
}

/// As [`VisionPart`].
#[derive(Module, Debug)]
struct TextPart {
    text: TextTransformer,
}

/// The numbers of the model that a spec and its files describe, and how its pictures are normalised
/// where a file says so.
pub(super) fn describe(
    document: &Document,
    spec: &ClipSpec,
    weights: Option<&WeightsFile>,
    text: Option<&WeightsFile>,
) -> Result<(RadioNumbers, Option<Normalisation>), ClipError> {
    let adaptor = spec.model.adaptor_name.as_deref().and_then(Adaptor::parse);
    let Some(adaptor) = adaptor else {
        let mut checks = document.check();
        let needed = "`siglip` or `clip`: this C-RADIO file does not say it";
        checks.error("model.adaptor_name", "no value", needed);
        checks.into_result()?;
        unreachable!("an error was added")
    };
    let size = spec.model.kind.rsplit('-').next().unwrap_or_default();
    let usual = RadioNumbers::of_type(size, adaptor);
    let Some(weights) = weights else {
        let mut checks = document.check();
        if text.is_some() {
            checks.require("train.pretrained_model_path", "beside the text tower's weights");
        }
        checks.into_result()?;
        return Ok((usual, None));
    };
    let radio = open(weights)?;
    let mut numbers = radio.numbers(&usual)?;
    let found = match text {
        Some(text) => {
            let found = TEXT_PREFIXES
                .iter()
                .find_map(|prefix| text_numbers(text, prefix, &numbers.text).transpose());
            Some(found.transpose()?.ok_or_else(|| ClipError::Radio {
                path: text.path().to_owned(),
                reason: "it holds no text tower".to_owned(),
            })?)
        }
        None => text_numbers(weights, &radio.container(&numbers)?.text, &numbers.text)?,
    };
    let Some(found) = found else {
        let mut checks = document.check();
        checks
            .require("hearth.model.text_weights", "since this C-RADIO file has no text tower")
            .hint(format!("`{}` goes with {}", spec.model.kind, adaptor.text_weights()));
        checks.into_result()?;
        unreachable!("a required key that is not set is an error")
    };
    numbers.text = found;
    Ok((numbers, radio.normalisation()?))
}

impl Setup {
    /// The model that `numbers` describe, filled from the setup's files.
    pub(super) fn radio_model(
        &self,
        numbers: &RadioNumbers,
        weights: &WeightsFile,
        key: &Key,
        device: &Device,
    ) -> Result<(Clip, Vec<LoadReport>), ClipError> {
        let container = open(weights)?.container(numbers)?;
        let model = self.config().init(device);
        let mut calibration = Calibration::of(self.recipe.contrast);
        let Some(text) = &self.text_weights else {
            let options = LoadOptions {
                fresh: vec!["logit_scale".to_owned(), "logit_bias".to_owned()],
                dropped: maps::other_teachers(),
                ..LoadOptions::default()
            };
            let map = maps::from(&container, numbers.adaptor);
            let (model, report) = load(model, weights, &map, &options)?;
            let fresh = report.fresh.clone();
            // Newer files of TAO keep it inside the teacher's text tower only.
            let inside = format!("{}logit_scale", container.text);
            calibration.logit_scale =
                logit_scale(weights, &inside)?.unwrap_or(calibration.logit_scale);
            let model = init::draw_some(model, calibration, key, |name| {
                fresh.iter().any(|fresh| fresh == name)
            });
            return Ok((model, vec![report]));
        };
        let (model, reports) = load_parts(model, [weights, text], &container, numbers.adaptor)?;
        if numbers.adaptor == Adaptor::Clip {
            let found = logit_scale(text, "logit_scale")?;
            calibration.logit_scale = found.unwrap_or(calibration.logit_scale);
        }
        let model = init::draw_some(model, calibration, key, |name| name.starts_with("logit_"));
        Ok((model, reports))
    }
}

/// Each tower from the file that holds it.
fn load_parts(
    model: Clip,
    [weights, text]: [&WeightsFile; 2],
    container: &Container,
    adaptor: Adaptor,
) -> Result<(Clip, Vec<LoadReport>), ClipError> {
    let options = LoadOptions { dropped: maps::other_teachers(), ..LoadOptions::default() };
    let part = VisionPart { visual: model.visual };
    let (vision, of_vision) = load(part, weights, &maps::vision(container), &options)?;

    let layouts = layouts::text_towers(adaptor);
    let map = KeyMap::recognise(&layouts, text)?;
    let options = LoadOptions { dropped: maps::other_towers(), ..LoadOptions::default() };
    let (text, of_text) = load(TextPart { text: model.text }, text, map, &options)?;
    let model = Clip { visual: vision.visual, text: text.text, ..model };
    Ok((model, vec![of_vision, of_text]))
}

/// The logarithm of the multiplier, where a file has one of this name.
fn logit_scale(file: &WeightsFile, name: &str) -> Result<Option<f32>, ClipError> {
    match file.entry(name) {
        Some(_) => Ok(file.read_f32(name)?.first().copied()),
        None => Ok(None),
    }
}

fn open(weights: &WeightsFile) -> Result<RadioFile<'_>, ClipError> {
    RadioFile::new(weights)?.ok_or_else(|| ClipError::Radio {
        path: weights.path().to_owned(),
        reason: "it has no C-RADIO backbone, neither `base_model.…` nor `radio_model.…`".to_owned(),
    })
}
