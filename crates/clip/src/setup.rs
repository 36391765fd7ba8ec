//! From a spec to a model with its tokenizer: which recipe, which weights, and whether they agree.

mod agreement;
mod radio;

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use burn::tensor::Device;
use hearth_backbones::layers::Activation;
use hearth_data::{
    random::Key,
    tokenizer::Tokenizer,
    transform::{PictureRecipe, ResizeMode},
};
use hearth_engine::{FileError, Run, contrastive::Contrast, hex};
use hearth_spec::Document;
use hearth_weights::{KeyMap, LoadOptions, LoadReport, WeightsFile, load};
use sha2::{Digest, Sha256};

use crate::{
    embedder::Embedder,
    error::ClipError,
    exported::Exported,
    hub,
    init::{self, Calibration},
    layouts,
    model::{Clip, ClipConfig},
    radio::folded,
    recipe::{self, Recipe},
    registry::{self, Family, ModelType},
    resize::position_tables,
    spec::{Action, ClipSpec, LossType},
    task::LOGIT_SCALE_CEILING,
    vision::TowerConfig,
};

/// What every action works with.
pub(crate) struct Setup {
    /// How the model expects its inputs.
    pub(crate) recipe: Recipe,
    /// Captions to ids.
    pub(crate) tokenizer: Arc<Tokenizer>,
    /// Weights to start from; none where the model is drawn.
    pub(crate) weights: Option<WeightsFile>,
    /// Exported files in the place of weights.
    pub(crate) exported: Option<Exported>,
    /// The text tower's where they are in a file of their own (C-RADIO).
    text_weights: Option<WeightsFile>,
}

impl Setup {
    /// What `action` computes with: the engines that its block names, else its weights.
    pub(crate) fn of_action(
        document: &Document,
        spec: &ClipSpec,
        action: Action,
        run: &Run,
    ) -> Result<Self, ClipError> {
        match spec.engine(action) {
            Some((path, gpu)) => {
                Self::of_exported(document, spec, Exported::engines(path, gpu, run)?)
            }
            None => Self::new(document, spec, spec.weights(action), run),
        }
    }

    /// Reads the recipe from `weights` where they carry one, else from the spec, and checks that
    /// the two agree.
    pub(crate) fn new(
        document: &Document,
        spec: &ClipSpec,
        weights: Option<&Path>,
        run: &Run,
    ) -> Result<Self, ClipError> {
        if let Some(path) = weights.filter(|path| path.extension().is_some_and(|end| end == "onnx"))
        {
            return Self::of_exported(document, spec, Exported::graphs(path)?);
        }
        let weights = weights.map(|path| folded(open(path, run)?)).transpose()?;
        let carried = weights.as_ref().map(recipe::read).transpose()?.flatten();
        let mut text_weights = None;
        let (recipe, tokenizer) = match carried {
            Some((mut recipe, tokenizer)) => {
                agreement::check(document, spec, &recipe, &tokenizer)?;
                if spec.hearth.model.text_weights.is_some() {
                    run.notice(
                        "`hearth.model.text_weights` is not read: the checkpoint holds its text tower",
                    );
                }
                set_budget(document, spec, &mut recipe.picture);
                (recipe, tokenizer)
            }
            None => {
                let path = spec.hearth.model.text_weights.as_deref().map(Path::new);
                text_weights = path.map(|path| open(path, run)).transpose()?;
                let files = [text_weights.as_ref(), weights.as_ref()];
                let mut recipe = from_spec(document, spec, files, run)?;
                let path = tokenizer_path(document, spec, files)?;
                let tokenizer = match recipe.family() {
                    Family::BuiltIn => Tokenizer::load_with_own_rules(&path, recipe.text.clone())?,
                    _ => Tokenizer::load(&path, recipe.text.clone())?,
                };
                recipe.text = tokenizer.recipe().clone();
                (recipe, tokenizer)
            }
        };
        let tokenizer = Arc::new(tokenizer);
        let setup = Self { recipe, tokenizer, weights, text_weights, exported: None };
        setup.check_vocabulary()?;
        Ok(setup)
    }

    /// Reads the recipe from exported files, and the tokenizer from what lies beside them.
    fn of_exported(
        document: &Document,
        spec: &ClipSpec,
        exported: Exported,
    ) -> Result<Self, ClipError> {
        let (recipe, tokenizer) = exported.read(spec.hearth.model.tokenizer.as_deref())?;
        agreement::check(document, spec, &recipe, &tokenizer)?;
        let (tokenizer, exported) = (Arc::new(tokenizer), Some(exported));
        Ok(Self { recipe, tokenizer, weights: None, text_weights: None, exported })
    }

    /// What embeds: the exported files, or the model on `run`'s device.
    pub(crate) fn embedder(&self, run: &Run) -> Result<(Embedder, Vec<LoadReport>), ClipError> {
        if let Some(exported) = &self.exported {
            return Ok((Embedder::exported(self, exported.open()?), Vec::new()));
        }
        let (model, reports) = self.model(&Key::new(0), &run.device)?;
        Ok((Embedder::towers(&model, &run.device), reports))
    }

    /// The model with the setup's weights, or drawn from `key` where it has none.
    pub(crate) fn model(
        &self,
        key: &Key,
        device: &Device,
    ) -> Result<(Clip, Vec<LoadReport>), ClipError> {
        let config = self.config();
        let calibration = Calibration::of(self.recipe.contrast);
        let Some(weights) = &self.weights else {
            return Ok((init::draw(&config, calibration, key, device), Vec::new()));
        };
        if let Some(numbers) = &self.recipe.radio {
            return self.radio_model(numbers, weights, key, device);
        }
        let layouts = layouts::all();
        let map = KeyMap::recognise(&layouts, weights)?;
        let offset = ["logit_bias", "backbone.{}.logit_bias"].map(str::to_owned);
        let options = LoadOptions {
            // A source trained with softmax has no offset.
            fresh: vec!["logit_bias".to_owned()],
            dropped: if config.logit_bias { Vec::new() } else { offset.into() },
            resize: position_tables(),
            ..LoadOptions::default()
        };
        let (model, report) = load(config.init(device), weights, map, &options)?;
        let fresh = report.fresh.clone();
        let model =
            init::draw_some(model, calibration, key, |name| fresh.iter().any(|f| f == name));
        Ok((model, vec![report]))
    }

    /// What the model type shares with others.
    pub(crate) fn family(&self) -> Family {
        self.recipe.family()
    }

    /// The numbers of the towers.
    pub(crate) fn config(&self) -> ClipConfig {
        self.recipe.config(&self.tokenizer).expect("`new` accepts known model types only")
    }

    /// Width of an embedding.
    pub(crate) fn embed_dim(&self) -> usize {
        self.config().text.projection
    }

    /// SHA-256 of the files of the weights, or of what was exported.
    pub(crate) fn weights_digest(&self) -> Result<String, ClipError> {
        let mut hash = Sha256::new();
        let exported = self.exported.as_ref().map(Exported::all_files).unwrap_or_default();
        let files = self.weights.iter().chain(&self.text_weights);
        let files = files.flat_map(WeightsFile::files);
        for path in files.chain(exported.iter().map(PathBuf::as_path)) {
            add_file(&mut hash, path).map_err(FileError::at("read this file", path))?;
        }
        Ok(hex(&hash.finalize()))
    }

    /// Ids beyond the embedding table would read another caption's memory, or panic.
    fn check_vocabulary(&self) -> Result<(), ClipError> {
        let path =
            || self.weights.as_ref().map_or_else(PathBuf::new, |file| file.path().to_owned());
        let wrong = |reason| ClipError::Recipe { path: path(), reason };
        self.recipe.check(&self.tokenizer).map_err(wrong)?;
        let config = self.config();
        let (found, needed) = (self.tokenizer.largest_id() as usize, config.text.vocab_size);
        if found < needed {
            return Ok(());
        }
        Err(ClipError::Vocabulary {
            tokenizer: self.tokenizer.path().to_owned(),
            found: found + 1,
            needed,
            model_type: self.recipe.model_type.clone(),
        })
    }
}

/// Adds the content of a file, a megabyte at a time.
fn add_file(hash: &mut Sha256, path: &Path) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// The file that a spec names, its `.safetensors` twin where the spec still has TAO's `.pth`, or what
/// a hub knows by this name.
pub(crate) fn open(path: &Path, run: &Run) -> Result<WeightsFile, ClipError> {
    let twin = path.with_extension("safetensors");
    if !path.exists() && twin.exists() {
        run.notice(&format!("{} does not exist; reading {}", path.display(), twin.display()));
        return Ok(WeightsFile::open(&twin)?);
    }
    if let Some(name) = hub::name(path) {
        return Ok(WeightsFile::open(hub::fetch(&name, run)?)?);
    }
    Ok(WeightsFile::open(path)?)
}

/// The recipe that a spec describes; what it leaves open follows the model type and the files, that of
/// a text tower first.
fn from_spec(
    document: &Document,
    spec: &ClipSpec,
    [text_weights, weights]: [Option<&WeightsFile>; 2],
    run: &Run,
) -> Result<Recipe, ClipError> {
    let found =
        registry::model_type(&spec.model.kind).expect("`experiment::read` checked the name");
    let mut picture = picture_recipe(document, spec, &found)?;
    let mut text = found.text.clone();
    let mut radio = None;
    if found.family == Family::Radio {
        let (numbers, normalisation) = radio::describe(document, spec, weights, text_weights)?;
        if let Some([mean, std]) = normalisation {
            (picture.mean, picture.std) = (mean, std);
        }
        text = numbers.adaptor.text_recipe();
        text.context_length = numbers.text.context_length;
        radio = Some(numbers);
    }
    text.canonicalize = spec.model.canonicalize_text;
    Ok(Recipe {
        model_type: found.name.to_owned(),
        activation: activation(&found, weights, run)?,
        picture,
        text,
        contrast: contrast(spec),
        radio,
        logit_scale_ceiling: LOGIT_SCALE_CEILING,
    })
}

/// The type's preparation of pictures, with what the spec may change.
fn picture_recipe(
    document: &Document,
    spec: &ClipSpec,
    found: &ModelType,
) -> Result<PictureRecipe, ClipError> {
    let mut picture = found.picture.clone();
    set_budget(document, spec, &mut picture);
    let sized = !matches!(found.config.vision, TowerConfig::Naflex(_));
    if document.is_written("model.image_size") && found.family != Family::SigLip2 && sized {
        let (size, patch) = (spec.model.image_size, found.config.vision.patch_size());
        if size == 0 || !size.is_multiple_of(patch) {
            let mut checks = document.check();
            let needed = format!("a multiple of {patch}, the patch size of `{}`", found.name);
            checks.error("model.image_size", size, needed);
            checks.into_result()?;
        }
        picture.size = size as u32;
    }
    Ok(picture)
}

/// The spec's number of patches where the type takes any: no weight depends on it.
fn set_budget(document: &Document, spec: &ClipSpec, picture: &mut PictureRecipe) {
    if let ResizeMode::PatchBudget { patch, budget } = &mut picture.resize {
        if document.is_written("hearth.model.max_num_patches") {
            *budget = spec.hearth.model.max_num_patches as u32;
        }
        picture.size = budget.isqrt() * *patch;
    }
}

/// The spec's loss.
pub(crate) fn contrast(spec: &ClipSpec) -> Contrast {
    match spec.train.loss_type {
        LossType::Siglip => Contrast::SigLip,
        LossType::Clip => Contrast::Clip,
    }
}

/// The non-linearity of the weights where a configuration beside them names it or the file is one of
/// OpenAI's own, else the type's.
///
/// OpenAI's weights need QuickGELU while open_clip's `ViT-B-32` means exact GELU: with the wrong one a
/// model works, a few points worse.
fn activation(
    found: &ModelType,
    weights: Option<&WeightsFile>,
    run: &Run,
) -> Result<Activation, ClipError> {
    let usual = found.config.vision.block().activation;
    let Some(weights) = weights.filter(|_| found.family != Family::Radio) else {
        return Ok(usual);
    };
    let (published, by) = match published_activation(weights)? {
        Some(published) => (published, "the configuration beside the weights says"),
        None if is_of_openai(weights) => (Activation::QuickGelu, "OpenAI's own archives mean"),
        None => return Ok(usual),
    };
    if published != usual {
        run.notice(&format!(
            "{}: {by} {published:?}, `{}` usually has {usual:?}; using {published:?}",
            weights.path().display(),
            found.name
        ));
    }
    Ok(published)
}

/// Whether the file is an archive as OpenAI published them: only they carry these sizes.
fn is_of_openai(weights: &WeightsFile) -> bool {
    let held = |name| {
        let plain = weights.extra().and_then(|extra| extra.get(name));
        weights.entry(name).is_some() || plain.is_some_and(serde_json::Value::is_u64)
    };
    ["input_resolution", "context_length", "vocab_size"].into_iter().all(held)
}

/// `hidden_act` of a transformers configuration, or `quick_gelu` of an open_clip one.
fn published_activation(weights: &WeightsFile) -> Result<Option<Activation>, ClipError> {
    if let Some(config) = weights.config("config.json")? {
        let hidden_act = |tower: &str| config.get(tower)?.get("hidden_act")?.as_str();
        return Ok(match hidden_act("vision_config").or_else(|| hidden_act("text_config")) {
            Some("quick_gelu") => Some(Activation::QuickGelu),
            Some("gelu") => Some(Activation::Gelu),
            Some("gelu_pytorch_tanh") => Some(Activation::GeluTanh),
            _ if config.get("model_type").and_then(|v| v.as_str()) == Some("clip") => {
                Some(Activation::QuickGelu)
            }
            _ => None,
        });
    }
    let config = weights.config("open_clip_config.json")?;
    let quick = config
        .as_ref()
        .and_then(|config| config.get("model_cfg"))
        .map(|model| model.get("quick_gelu").and_then(serde_json::Value::as_bool).unwrap_or(false));
    Ok(quick.map(|quick| if quick { Activation::QuickGelu } else { Activation::Gelu }))
}

/// Where the tokenizer is: the spec's key, else beside the weights.
fn tokenizer_path(
    document: &Document,
    spec: &ClipSpec,
    files: [Option<&WeightsFile>; 2],
) -> Result<PathBuf, ClipError> {
    if let Some(path) = &spec.hearth.model.tokenizer {
        return Ok(PathBuf::from(path));
    }
    let mut beside = files.into_iter().flatten().map(|file| match file.path() {
        path if path.is_dir() => path.to_owned(),
        path => path.parent().unwrap_or(Path::new(".")).to_owned(),
    });
    if let Some(folder) = beside.find(|folder| Tokenizer::is_in(folder)) {
        return Ok(folder);
    }
    let mut checks = document.check();
    checks.require("hearth.model.tokenizer", "to turn captions into ids").hint(format!(
        "name the tokenizer that belongs to `{}`: a tokenizer.json, a vocab.txt, \
         bpe_simple_vocab_16e6.txt.gz or the folder that holds one",
        spec.model.kind
    ));
    checks.into_result()?;
    unreachable!("a required key that is not set is an error")
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_of_openai_are_told_by_their_sizes() {
        for (name, expected) in [
            ("openai.pt", true),
            ("clip/open_clip_pytorch_model.bin", false),
            ("clip/clip.bin", false),
            ("clip/tao_open_clip_old.ckpt", false),
        ] {
            let path =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/pytorch").join(name);
            let file = WeightsFile::open(path).expect("a fixture of this repository");
            assert_eq!(is_of_openai(&file), expected, "{name}");
        }
    }
}
