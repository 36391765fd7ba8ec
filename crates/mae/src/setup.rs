//! From a spec to a model: what it is, and which weights it has.

use std::path::Path;

use burn::tensor::Device;
use hearth_data::{
    random::Key,
    resize::Filter,
    transform::{Margin, PictureRecipe},
};
use hearth_engine::Run;
use hearth_spec::{Checks, Document};
use hearth_weights::{LoadReport, WeightsFile};

use crate::{
    arch::{Arch, EncoderConfig, Kind},
    autoencoder::{Autoencoder, DecoderConfig},
    classifier::{Classifier, VitGraph},
    error::MaeError,
    fcmae::MaskMode,
    init,
    recipe::{self, Classes, Gives, Recipe, Reconstructions},
    spec::{MaeSpec, MaskModeName, Stage},
    weights::{self, Frame, Head},
};

/// What every action works with.
pub(crate) struct Setup {
    /// What the model is.
    pub(crate) recipe: Recipe,
    /// Weights to go on from; none where the model is drawn.
    pub(crate) weights: Option<WeightsFile>,
    /// Whether the weights are those of the model, and not what a new one starts from.
    pub(crate) is_trained: bool,
}

impl Setup {
    /// A model to train: that of the checkpoint which is continued, else the spec's.
    pub(crate) fn of_training(
        document: &Document,
        spec: &MaeSpec,
        resumed: Option<&Path>,
        run: &Run,
    ) -> Result<Self, MaeError> {
        if let Some(path) = resumed {
            return Self::of_checkpoint(document, spec, path, run);
        }
        let fine_tunes = spec.train.stage == Stage::Finetune;
        let path = spec.train.pretrained_model_path.as_deref().filter(|_| fine_tunes);
        let weights = path.map(|path| open(Path::new(path), run)).transpose()?;
        let carried = weights.as_ref().map(recipe::read).transpose()?.flatten();
        let mut recipe = of_spec(document, spec);
        if let Some(carried) = carried {
            agree(document, spec, &carried, Role::Origin)?;
            if !document.is_written("dataset.augmentation.input_size") {
                recipe.picture.size = carried.picture.size;
            }
            (recipe.picture.mean, recipe.picture.std) = (carried.picture.mean, carried.picture.std);
        }
        Ok(Self { recipe, weights, is_trained: false })
    }

    /// The model of a checkpoint: as it says itself, else as the spec says.
    pub(crate) fn of_checkpoint(
        document: &Document,
        spec: &MaeSpec,
        path: &Path,
        run: &Run,
    ) -> Result<Self, MaeError> {
        let weights = open(path, run)?;
        let recipe = match recipe::read(&weights)? {
            Some(carried) => {
                agree(document, spec, &carried, Role::Model)?;
                resized(document, spec, carried)
            }
            None => of_file(of_spec(document, spec), &weights),
        };
        Ok(Self { recipe, weights: Some(weights), is_trained: true })
    }

    /// The architecture.
    pub(crate) fn arch(&self) -> Arch {
        self.recipe.arch()
    }

    /// The encoder for pictures of the recipe's size.
    pub(crate) fn encoder(&self) -> EncoderConfig {
        self.arch().encoder(self.recipe.size())
    }

    /// An autoencoder: loaded, or drawn from `key`.
    pub(crate) fn autoencoder(
        &self,
        numbers: &Reconstructions,
        key: &Key,
        device: &Device,
    ) -> Result<(Autoencoder, Option<LoadReport>), MaeError> {
        let (arch, size) = (self.arch(), self.recipe.size());
        let Some(file) = &self.weights else {
            let model = Autoencoder::new(&self.encoder(), numbers.decoder(), device);
            return Ok((init::autoencoder(model, arch.kind, key), None));
        };
        let frame = Frame { arch, image_size: size, device };
        let (model, report) = weights::autoencoder(frame, numbers.decoder(), file)?;
        Ok((model, Some(report)))
    }

    /// The graph of a ViT that `model.global_pool` asks for: where it is not written, the weights say it.
    pub(crate) fn graph(&self, document: &Document, spec: &MaeSpec) -> Option<VitGraph> {
        let of_weights = self.weights.as_ref().map(weights::vit_graph_of);
        match (document.is_written("model.global_pool"), spec.model.global_pool, of_weights) {
            (false, ..) => None,
            (true, false, _) => Some(VitGraph::ClassToken),
            (true, true, Some(VitGraph::FcNorm)) => Some(VitGraph::FcNorm),
            (true, true, _) => Some(VitGraph::Bare),
        }
    }

    /// A classifier to fine-tune: its encoder from the weights, the rest drawn from `key`.
    pub(crate) fn new_classifier(
        &self,
        classes: &Classes,
        graph: Option<VitGraph>,
        key: &Key,
        device: &Device,
    ) -> Result<(Classifier, Option<LoadReport>), MaeError> {
        let (arch, size) = (self.arch(), self.recipe.size());
        let Some(file) = &self.weights else {
            let graph = graph.unwrap_or(VitGraph::Bare);
            let model = Classifier::new(&self.encoder(), classes.count, graph, device);
            return Ok((init::classifier(model, arch.kind, key), None));
        };
        let frame = Frame { arch, image_size: size, device };
        let head = Head { classes: classes.count, graph };
        let (model, report) = weights::classifier_from(frame, head, file, key)?;
        Ok((model, Some(report)))
    }

    /// A classifier that was fine-tuned.
    pub(crate) fn classifier(
        &self,
        classes: &Classes,
        device: &Device,
    ) -> Result<(Classifier, Option<LoadReport>), MaeError> {
        let file = self.weights.as_ref().expect("a fine-tuned model has weights");
        let frame = Frame { arch: self.arch(), image_size: self.recipe.size(), device };
        let (model, report) = weights::classifier(frame, classes.count, file)?;
        Ok((model, Some(report)))
    }
}

/// The file that a spec names, its `.safetensors` twin where the spec still has TAO's `.pth`.
fn open(path: &Path, run: &Run) -> Result<WeightsFile, MaeError> {
    let twin = path.with_extension("safetensors");
    if !path.exists() && twin.exists() {
        run.notice(&format!("{} does not exist; reading {}", path.display(), twin.display()));
        return Ok(WeightsFile::open(&twin)?);
    }
    Ok(WeightsFile::open(path)?)
}

/// The model that a spec describes.
fn of_spec(document: &Document, spec: &MaeSpec) -> Recipe {
    let augmentation = &spec.dataset.augmentation;
    let size = augmentation.input_size as u32;
    let margin = match spec.train.stage {
        Stage::Pretrain => Margin::UpTo224,
        Stage::Finetune => Margin::Below224,
    };
    let three = |values: &[f64]| [values[0], values[1], values[2]];
    let arch = Arch::named(&spec.model.arch).expect("the spec's check looked for it");
    let gives = match spec.train.stage {
        Stage::Pretrain => {
            let own = DecoderConfig::of(&arch.encoder(augmentation.input_size));
            let written =
                |key: &str, value, own| if document.is_written(key) { value } else { own };
            let model = &spec.model;
            Gives::Reconstructions(Reconstructions {
                decoder_depth: written("model.decoder_depth", model.decoder_depth, own.depth),
                decoder_width: written(
                    "model.decoder_embed_dim",
                    model.decoder_embed_dim,
                    own.width,
                ),
                mask_ratio: spec.train.mask_ratio,
                mask_mode: match spec.hearth.train.mask_mode {
                    MaskModeName::Masked => MaskMode::Masked,
                    MaskModeName::Batch => MaskMode::Batch,
                    MaskModeName::Dense => MaskMode::Dense,
                },
                // Hiera always predicts normalised patches, as its authors do.
                normalize: spec.train.norm_pix_loss || matches!(arch.kind, Kind::Hiera(..)),
            })
        }
        Stage::Finetune => {
            Gives::Classes(Classes { count: spec.model.num_classes, names: Vec::new() })
        }
    };
    Recipe {
        arch: arch.name.to_owned(),
        picture: PictureRecipe {
            size,
            resize: margin.resize(size),
            filter: Filter::Bicubic,
            mean: three(&augmentation.mean),
            std: three(&augmentation.std),
        },
        gives,
    }
}

/// `recipe` with what the file of another program says by its tensors.
fn of_file(mut recipe: Recipe, file: &WeightsFile) -> Recipe {
    match &mut recipe.gives {
        Gives::Reconstructions(numbers) => {
            if let Some(decoder) = weights::decoder_of(file) {
                (numbers.decoder_depth, numbers.decoder_width) = (decoder.depth, decoder.width);
            }
        }
        Gives::Classes(classes) => {
            if let Some(count) = weights::classes_of(file) {
                classes.count = count;
            }
        }
    }
    recipe
}

/// `recipe` for the size that the spec writes: no weight but the positions depends on it.
fn resized(document: &Document, spec: &MaeSpec, mut recipe: Recipe) -> Recipe {
    if document.is_written("dataset.augmentation.input_size") {
        let size = spec.dataset.augmentation.input_size as u32;
        let margin = match recipe.stage() {
            Stage::Pretrain => Margin::UpTo224,
            Stage::Finetune => Margin::Below224,
        };
        recipe.picture.size = size;
        recipe.picture.resize = margin.resize(size);
    }
    recipe
}

/// What a checkpoint is to an action.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    /// The model itself.
    Model,
    /// What a new model starts from.
    Origin,
}

/// What the spec writes and the checkpoint knows better must be the same.
fn agree(document: &Document, spec: &MaeSpec, recipe: &Recipe, role: Role) -> Result<(), MaeError> {
    let mut checks = document.check();
    if role == Role::Origin && spec.model.arch != recipe.arch {
        let (found, needed) = (&spec.model.arch, &recipe.arch);
        checks
            .error("model.arch", format!("`{found}`"), format!("`{needed}`, as the weights"))
            .hint(format!("set `model.arch={needed}`"));
    }
    if role == Role::Model {
        different(&mut checks, "model.arch", &spec.model.arch, &recipe.arch);
        let [written, needed] = [spec.train.stage, recipe.stage()].map(|stage| stage.to_string());
        different(&mut checks, "train.stage", &written, &needed);
        if let Gives::Classes(classes) = &recipe.gives {
            let [written, needed] =
                [spec.model.num_classes, classes.count].map(|count| count.to_string());
            different(&mut checks, "model.num_classes", &written, &needed);
        }
    }
    let augmentation = &spec.dataset.augmentation;
    for (key, written, needed) in [
        ("dataset.augmentation.mean", &augmentation.mean, recipe.picture.mean),
        ("dataset.augmentation.std", &augmentation.std, recipe.picture.std),
    ] {
        different(&mut checks, key, &format!("{written:?}"), &format!("{needed:?}"));
    }
    checks.into_result()?;
    Ok(())
}

fn different(checks: &mut Checks<'_>, key: &str, written: &str, needed: &str) {
    if checks.document().is_written(key) && written != needed {
        checks
            .error(key, format!("`{written}`"), format!("`{needed}`, as in the checkpoint"))
            .hint("leave the key out: the checkpoint knows it");
    }
}
