//! From a spec to a model with its tokenizer: which recipe, which weights, and whether they agree.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use burn::tensor::Device;
use hearth_backbones::layers::Activation;
use hearth_data::{random::Key, tokenizer::Tokenizer};
use hearth_engine::{FileError, Run, contrastive::Contrast};
use hearth_spec::Document;
use hearth_weights::{KeyMap, LoadOptions, LoadReport, WeightsFile, load};
use sha2::{Digest, Sha256};

use crate::{
    error::ClipError,
    init::{self, Calibration},
    layouts,
    model::{Clip, ClipConfig},
    parts::hex,
    recipe::{self, Recipe},
    registry::{self, Family, ModelType},
    resize::position_tables,
    spec::{ClipSpec, LossType},
    task::LOGIT_SCALE_CEILING,
};

/// What every action works with.
pub(crate) struct Setup {
    /// How the model expects its inputs.
    pub(crate) recipe: Recipe,
    /// Captions to ids.
    pub(crate) tokenizer: Arc<Tokenizer>,
    /// Weights to start from; none where the model is drawn.
    pub(crate) weights: Option<WeightsFile>,
}

impl Setup {
    /// Reads the recipe from `weights` where they carry one, else from the spec, and checks that
    /// the two agree.
    pub(crate) fn new(
        document: &Document,
        spec: &ClipSpec,
        weights: Option<&Path>,
        run: &Run,
    ) -> Result<Self, ClipError> {
        let weights = weights.map(|path| open(path, run)).transpose()?;
        let carried = weights.as_ref().map(recipe::read).transpose()?.flatten();
        let (recipe, tokenizer) = match carried {
            Some((recipe, tokenizer)) => {
                check_agreement(document, spec, &recipe, &tokenizer)?;
                (recipe, tokenizer)
            }
            None => {
                let mut recipe = from_spec(document, spec, weights.as_ref(), run)?;
                let path = tokenizer_path(document, spec, weights.as_ref())?;
                let tokenizer = match registry::family(&recipe.model_type) {
                    Family::BuiltIn => Tokenizer::load_with_own_rules(&path, recipe.text.clone())?,
                    _ => Tokenizer::load(&path, recipe.text.clone())?,
                };
                recipe.text = tokenizer.recipe().clone();
                (recipe, tokenizer)
            }
        };
        let setup = Self { recipe, tokenizer: Arc::new(tokenizer), weights };
        setup.check_vocabulary()?;
        Ok(setup)
    }

    /// The model with the setup's weights, or drawn from `key` where it has none.
    pub(crate) fn model(
        &self,
        key: &Key,
        device: &Device,
    ) -> Result<(Clip, Option<LoadReport>), ClipError> {
        let config = self.config();
        let calibration = Calibration::of(self.recipe.contrast);
        let Some(weights) = &self.weights else {
            return Ok((init::draw(&config, calibration, key, device), None));
        };
        let layouts = layouts::all();
        let map = KeyMap::recognise(&layouts, weights)?;
        let options = LoadOptions {
            // A source trained with softmax has no offset.
            fresh: vec!["logit_bias".to_owned()],
            dropped: if config.logit_bias { Vec::new() } else { vec!["logit_bias".to_owned()] },
            resize: position_tables(),
        };
        let (model, report) = load(config.init(device), weights, map, &options)?;
        let fresh = report.fresh.clone();
        let model =
            init::draw_some(model, calibration, key, |name| fresh.iter().any(|f| f == name));
        Ok((model, Some(report)))
    }

    /// What the model type shares with others.
    pub(crate) fn family(&self) -> Family {
        registry::family(&self.recipe.model_type)
    }

    /// The numbers of the towers.
    pub(crate) fn config(&self) -> ClipConfig {
        self.recipe.config(&self.tokenizer).expect("`new` accepts known model types only")
    }

    /// Width of an embedding.
    pub(crate) fn embed_dim(&self) -> usize {
        self.config().text.projection
    }

    /// SHA-256 of the files of the weights.
    pub(crate) fn weights_digest(&self) -> Result<String, ClipError> {
        let mut hash = Sha256::new();
        for path in self.weights.iter().flat_map(WeightsFile::files) {
            add_file(&mut hash, path).map_err(FileError::at("read this file", path))?;
        }
        Ok(hex(&hash.finalize()))
    }

    /// Ids beyond the embedding table would read another caption's memory, or panic.
    fn check_vocabulary(&self) -> Result<(), ClipError> {
        let config = self.recipe.config(&self.tokenizer).ok_or_else(|| self.unknown_type())?;
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

    fn unknown_type(&self) -> ClipError {
        let path = self.weights.as_ref().map_or_else(PathBuf::new, |file| file.path().to_owned());
        let reason = format!("model type `{}` is not in this release", self.recipe.model_type);
        ClipError::Recipe { path, reason }
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

/// The file that a spec names, or its `.safetensors` twin where the spec still has TAO's `.pth`.
pub(crate) fn open(path: &Path, run: &Run) -> Result<WeightsFile, ClipError> {
    let twin = path.with_extension("safetensors");
    if !path.exists() && twin.exists() {
        run.notice(&format!("{} does not exist; reading {}", path.display(), twin.display()));
        return Ok(WeightsFile::open(&twin)?);
    }
    Ok(WeightsFile::open(path)?)
}

/// The recipe that a spec describes; what it leaves open follows the model type.
fn from_spec(
    document: &Document,
    spec: &ClipSpec,
    weights: Option<&WeightsFile>,
    run: &Run,
) -> Result<Recipe, ClipError> {
    let found =
        registry::model_type(&spec.model.kind).expect("`experiment::read` checked the name");
    let mut picture = found.picture.clone();
    if document.is_written("model.image_size") && found.family != Family::SigLip2 {
        let (size, patch) = (spec.model.image_size, found.config.vision.patch_size);
        if size == 0 || !size.is_multiple_of(patch) {
            let mut checks = document.check();
            let needed = format!("a multiple of {patch}, the patch size of `{}`", found.name);
            checks.error("model.image_size", size, needed);
            checks.into_result()?;
        }
        picture.size = size as u32;
    }
    let mut text = found.text.clone();
    text.canonicalize = spec.model.canonicalize_text;
    Ok(Recipe {
        model_type: found.name.to_owned(),
        activation: activation(&found, weights, run)?,
        picture,
        text,
        contrast: contrast(spec),
        logit_scale_ceiling: LOGIT_SCALE_CEILING,
    })
}

/// The spec's loss.
pub(crate) fn contrast(spec: &ClipSpec) -> Contrast {
    match spec.train.loss_type {
        LossType::Siglip => Contrast::SigLip,
        LossType::Clip => Contrast::Clip,
    }
}

/// The non-linearity of the weights where a configuration beside them names it, else the type's.
///
/// OpenAI's weights need QuickGELU while open_clip's `ViT-B-32` means exact GELU: with the wrong one a
/// model works, a few points worse.
fn activation(
    found: &ModelType,
    weights: Option<&WeightsFile>,
    run: &Run,
) -> Result<Activation, ClipError> {
    let usual = found.config.vision.block.activation;
    let Some(weights) = weights else { return Ok(usual) };
    let published = published_activation(weights)?;
    if let Some(published) = published
        && published != usual
    {
        run.notice(&format!(
            "{}: the configuration beside the weights says {published:?}, `{}` usually has {usual:?}; \
             using {published:?}",
            weights.path().display(),
            found.name
        ));
    }
    Ok(published.unwrap_or(usual))
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
    weights: Option<&WeightsFile>,
) -> Result<PathBuf, ClipError> {
    if let Some(path) = &spec.hearth.model.tokenizer {
        return Ok(PathBuf::from(path));
    }
    let beside = weights.map(|file| match file.path() {
        path if path.is_dir() => path.to_owned(),
        path => path.parent().unwrap_or(Path::new(".")).to_owned(),
    });
    if let Some(folder) = beside.filter(|folder| Tokenizer::is_in(folder)) {
        return Ok(folder);
    }
    let mut checks = document.check();
    checks.require("hearth.model.tokenizer", "to turn captions into ids").hint(format!(
        "name the tokenizer that belongs to `{}`: a tokenizer.json, a vocab.txt, \
         bpe_simple_vocab_16e6.txt.gz or the folder that holds one; nothing is downloaded",
        spec.model.kind
    ));
    checks.into_result()?;
    unreachable!("a required key that is not set is an error")
}

/// A spec may repeat what a checkpoint says of itself, but not contradict it.
fn check_agreement(
    document: &Document,
    spec: &ClipSpec,
    recipe: &Recipe,
    tokenizer: &Tokenizer,
) -> Result<(), ClipError> {
    let mut checks = document.check();
    let written = |key: &str| document.is_written(key);
    if written("model.type") && spec.model.kind != recipe.model_type {
        checks.error(
            "model.type",
            format!("`{}`", spec.model.kind),
            format!("`{}`, as in the checkpoint", recipe.model_type),
        );
    }
    let size = recipe.picture.size as usize;
    let fixed =
        registry::model_type(&recipe.model_type).is_some_and(|t| t.family == Family::SigLip2);
    if written("model.image_size") && spec.model.image_size != size && !fixed {
        checks.error(
            "model.image_size",
            spec.model.image_size,
            format!("{size}, as in the checkpoint"),
        );
    }
    if written("model.canonicalize_text")
        && spec.model.canonicalize_text != recipe.text.canonicalize
    {
        let needed = format!("{}, as in the checkpoint", recipe.text.canonicalize);
        checks.error("model.canonicalize_text", spec.model.canonicalize_text, needed);
    }
    if let Some(path) = &spec.hearth.model.tokenizer {
        let other = Tokenizer::load(Path::new(path), recipe.text.clone())?;
        if other.digest() != tokenizer.digest() {
            checks
                .error(
                    "hearth.model.tokenizer",
                    format!("`{path}`"),
                    "the checkpoint's own tokenizer",
                )
                .hint("leave this key out: the checkpoint holds its tokenizer");
        }
    }
    checks.into_result()?;
    Ok(())
}
