//! How files become models: an autoencoder or a classifier as it is, or a classifier on the encoder of
//! whatever there is.
//!
//! Position tables follow the size of the pictures. The fixed tables of a ViT's autoencoder are computed;
//! learned ones, of a ViT's classifier and of Hiera, are resized as `facebookresearch/mae` does when it
//! loads: bicubic without antialiasing, the class token's row kept. TAO does not resize Hiera's, which
//! it knows at 224 pixels only.

use burn::tensor::Device;
use hearth_backbones::positions::{Bicubic, resize_grid, sin_cos_2d};
use hearth_data::random::Key;
use hearth_weights::{LoadOptions, LoadReport, Resize, WeightsError, WeightsFile, load};

use crate::{
    arch::{Arch, Family},
    autoencoder::{Autoencoder, DecoderConfig},
    classifier::{Classifier, VitGraph},
    contents::{Contents, Numbers},
    init,
};

/// What a model is built for, whatever fills it.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Numbers of the encoder.
    pub arch: Arch,
    /// Side of the pictures, pixels.
    pub image_size: usize,
    /// Where parameters live.
    pub device: &'a Device,
}

/// What a classifier has behind its encoder.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    /// Number of classes.
    pub classes: usize,
    /// For ViT; nothing follows the file as [`vit_graph_of`] reads it.
    pub graph: Option<VitGraph>,
}

/// An autoencoder of a file that holds all of it.
pub fn autoencoder(
    frame: Frame<'_>,
    decoder: DecoderConfig,
    file: &WeightsFile,
) -> Result<(Autoencoder, LoadReport), WeightsError> {
    let contents = contents(frame, file)?;
    let (Some(held), Some(map)) = (contents.decoder, contents.dialect.autoencoder()) else {
        let found = contents.shown_role();
        return Err(other(file, found, "an autoencoder".to_owned(), None));
    };
    let size = |decoder: DecoderConfig| [decoder.depth, decoder.width];
    if size(held) != size(decoder) {
        let shown = |decoder| {
            let [depth, width] = size(decoder);
            format!("a decoder of {depth} blocks {width} wide")
        };
        return Err(other(file, shown(held), shown(decoder), None));
    }
    let model = Autoencoder::new(&frame.arch.encoder(frame.image_size), decoder, frame.device);
    let options = LoadOptions {
        resize: match frame.arch.kind.family() {
            Family::ConvNext => Vec::new(),
            Family::Hiera => vec![
                table("encoder.pos_embed", "bicubic", resized),
                table("decoder_pos_embed", "bicubic", resized),
            ],
            Family::Vit => vec![
                table("encoder.pos_embed", "computed", computed),
                table("decoder_pos_embed", "computed", computed),
            ],
        },
        ..LoadOptions::default()
    };
    load(model, file, &map, &options)
}

/// A classifier of a file that holds all of it; a ViT is the graph that the file was made for.
pub fn classifier(
    frame: Frame<'_>,
    classes: usize,
    file: &WeightsFile,
) -> Result<(Classifier, LoadReport), WeightsError> {
    let contents = contents(frame, file)?;
    let needed = || format!("a classifier of {classes} classes");
    match contents.classes {
        Some(held) if held == classes => {}
        Some(held) => {
            let hint = Some(format!("set `model.num_classes: {held}`"));
            return Err(other(file, contents.shown_role(), needed(), hint));
        }
        None => {
            let hint =
                "fine-tune it first: `train.pretrained_model_path` with `train.stage: finetune`";
            return Err(other(file, contents.shown_role(), needed(), Some(hint.to_owned())));
        }
    }
    let options = LoadOptions { resize: tables_of_classifier(frame), ..LoadOptions::default() };
    let model = built(frame, classes, contents.graph);
    load(model, file, &contents.dialect.classifier(contents.graph), &options)
}

/// A classifier on the encoder of a file, which may be an autoencoder, an encoder or a classifier: what
/// fine-tuning starts from.
///
/// A head for as many classes is kept, and the norm in front of it; what the file does not hold, or holds
/// for other classes, is drawn from `key` as [`init::classifier`] does, and stands in the report as fresh.
/// What else an autoencoder has stands there as dropped: its decoder, and the norms that have no place in a
/// classifier (of a ViT unless it classifies the class token, and Hiera's, which is over all its stages).
pub fn classifier_from(
    frame: Frame<'_>,
    head: Head,
    file: &WeightsFile,
    key: &Key,
) -> Result<(Classifier, LoadReport), WeightsError> {
    let contents = contents(frame, file)?;
    let graph = head.graph.unwrap_or(contents.graph);
    let patterns = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let options = LoadOptions {
        fresh: patterns(&["norm.{..}", "encoder.norm.{..}", "head.{..}"]),
        replaced: match contents.classes {
            Some(held) if held != head.classes => patterns(&["head.{..}"]),
            _ => Vec::new(),
        },
        dropped: contents.dialect.behind_encoder(),
        resize: tables_of_classifier(frame),
    };
    let model = built(frame, head.classes, graph);
    let (model, report) = load(model, file, &contents.dialect.classifier(graph), &options)?;
    let fresh = |name: &str| report.fresh.iter().any(|fresh| fresh == name);
    let model = init::classifier_where(model, frame.arch.kind, key, fresh);
    Ok((model, report))
}

/// The decoder of a file, if it holds an autoencoder. Its heads follow from its width, as in
/// [`DecoderConfig::sized`].
pub fn decoder_of(file: &WeightsFile) -> Option<DecoderConfig> {
    Contents::read(file, Family::Vit).ok()?.decoder
}

/// Which ViT a file was made for. A norm behind the mean is Meta's graph; the norm of the tokens with a
/// head behind it classifies the class token, as timm's and transformers' models do; everything else is
/// fine-tuned as TAO does, without a norm, autoencoders and encoders too.
pub fn vit_graph_of(file: &WeightsFile) -> VitGraph {
    Contents::read(file, Family::Vit).map_or(VitGraph::Bare, |contents| contents.graph)
}

/// Classes of a file, if it holds a classifier.
pub fn classes_of(file: &WeightsFile) -> Option<usize> {
    Contents::read(file, Family::Vit).ok()?.classes
}

/// What `file` holds; fails if it is not this encoder.
fn contents(frame: Frame<'_>, file: &WeightsFile) -> Result<Contents, WeightsError> {
    let contents = Contents::read(file, frame.arch.kind.family())?;
    let needed = Numbers::of(frame.arch.kind);
    let same_family = contents.dialect.family == frame.arch.kind.family();
    match contents.encoder {
        Some(found) if found == needed => return Ok(contents),
        // The comparison of names will say what is missing.
        None if same_family => return Ok(contents),
        _ => {}
    }
    let named = contents.encoder.and_then(Numbers::named);
    let hint = named.map(|arch| format!("set `model.arch: {}`", arch.name));
    Err(other(file, contents.shown_encoder(), needed.to_string(), hint))
}

fn built(frame: Frame<'_>, classes: usize, graph: VitGraph) -> Classifier {
    Classifier::new(&frame.arch.encoder(frame.image_size), classes, graph, frame.device)
}

fn other(file: &WeightsFile, found: String, needed: String, hint: Option<String>) -> WeightsError {
    WeightsError::OtherModel { path: file.path().to_owned(), found, needed, hint }
}

fn tables_of_classifier(frame: Frame<'_>) -> Vec<Resize> {
    match frame.arch.kind.family() {
        Family::ConvNext => Vec::new(),
        Family::Hiera => vec![table("encoder.pos_embed", "bicubic", resized)],
        Family::Vit => vec![table("encoder.pos_embed", "bicubic", resized_behind_class_token)],
    }
}

fn table(name: &str, method: &'static str, apply: hearth_weights::Fit) -> Resize {
    Resize { name: name.to_owned(), method, apply }
}

/// [T, W] -> [T', W] over a square of patches.
fn resized(values: &[f32], from: &[usize], to: &[usize]) -> Option<Vec<f32>> {
    resized_behind(0, values, from, to)
}

/// [1 + T, W] -> [1 + T', W].
fn resized_behind_class_token(values: &[f32], from: &[usize], to: &[usize]) -> Option<Vec<f32>> {
    resized_behind(1, values, from, to)
}

fn resized_behind(prefix: usize, values: &[f32], from: &[usize], to: &[usize]) -> Option<Vec<f32>> {
    let (&[_, width], &[rows, to_width]) = (from, to) else { return None };
    let fits = width == to_width && width > 0;
    fits.then(|| resize_grid(values, prefix, width, rows, Bicubic::Plain)).flatten()
}

/// The fixed table of [1 + T', W].
fn computed(_: &[f32], from: &[usize], to: &[usize]) -> Option<Vec<f32>> {
    let (&[_, width], &[rows, to_width]) = (from, to) else { return None };
    let grid = rows.checked_sub(1)?.isqrt();
    (width == to_width && grid * grid + 1 == rows).then(|| sin_cos_2d(grid, width))
}
