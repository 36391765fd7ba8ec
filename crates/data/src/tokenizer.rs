//! From text to ids: a vocabulary file through the `tokenizers` crate, and a family's own rules on top.
//!
//! What stands around the ids, how they are cut and padded and how the text is cleaned decides the
//! [`TextRecipe`], never the file: published files disagree with the models they belong to. Special
//! tokens written in a text are recognised, as in the reference implementations.

mod build;
mod files;

use std::io::{Read, Write};
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokenizers::models::ModelWrapper;
use tokenizers::normalizers::{Lowercase, NormalizerWrapper, Sequence};
use tokenizers::processors::PostProcessorWrapper;

use crate::error::DataError;
use crate::text::clean;

/// Bounds of a context: room for a token between its marks, and no allocation of the size of a typo.
const CONTEXT_LENGTHS: std::ops::RangeInclusive<usize> = 3..=8192;

/// Largest vocabulary file after decompression; Gemma's is 33 MB.
const LARGEST_FILE: u64 = 512 << 20;

/// How a family turns text into ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextRules {
    /// Lower case, tokens, `<eos>`, padded on the right with `<pad>`; `<eos>` stays when cut.
    #[serde(rename = "siglip2")]
    SigLip2,
    /// Cleaned and lower case; start mark, tokens, end mark, padded with 0; the end mark stays when cut.
    ClipBpe,
    /// Cleaned; `[CLS]`, tokens, and 0 in place of `[SEP]` and for padding.
    BertStripSep,
}

/// Everything that decides the ids of a text besides the vocabulary. It travels with the weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextRecipe {
    /// Marks, cleaning, padding.
    pub rules: TextRules,
    /// How many ids each text becomes.
    pub context_length: usize,
    /// TAO's `canonicalize_text`: punctuation and case are removed first.
    pub canonicalize: bool,
}

impl TextRecipe {
    /// For the metadata of checkpoints and embeddings.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).expect("a recipe is plain data")
    }

    /// Reads what [`TextRecipe::to_json`] wrote.
    pub fn from_json(value: &Value) -> Result<TextRecipe, DataError> {
        let refuse = |problem| DataError::Recipe { recipe: "text", problem };
        let recipe = TextRecipe::deserialize(value).map_err(|error| refuse(error.to_string()))?;
        recipe.check().map_err(refuse)?;
        Ok(recipe)
    }

    /// Fails on values that make no sense.
    pub fn check(&self) -> Result<(), String> {
        let (low, high) = (CONTEXT_LENGTHS.start(), CONTEXT_LENGTHS.end());
        match self.context_length {
            length if CONTEXT_LENGTHS.contains(&length) => Ok(()),
            length => Err(format!("`context_length`: found {length}, needed {low} to {high}")),
        }
    }
}

/// TAO's `canonicalize_text`: `_` to a space, ASCII punctuation deleted, lower case, single spaces.
pub fn canonicalize_text(text: &str) -> String {
    clean::canonicalize(text)
}

/// A vocabulary with the rules of a family.
pub struct Tokenizer {
    library: tokenizers::Tokenizer,
    recipe: TextRecipe,
    marks: Marks,
    largest_id: u32,
    /// A `tokenizer.json`, plain or gzip.
    content: Vec<u8>,
    digest: String,
    path: PathBuf,
}

/// Ids that the rules put around and behind the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Marks {
    begin: Option<i32>,
    end: i32,
    pad: i32,
}

impl Tokenizer {
    /// Loads a file or the folder that holds it. Looked for in this order: `tokenizer.json` (or
    /// `.json.gz`), `vocab.json` with `merges.txt`, `vocab.txt`, `bpe_simple_vocab_16e6.txt.gz`.
    pub fn load(path: &Path, recipe: TextRecipe) -> Result<Tokenizer, DataError> {
        Tokenizer::from_content(path, files::read(path)?, recipe)
    }

    /// Loads like [`Tokenizer::load`], but with the rules whose marks the vocabulary has instead of
    /// those of the recipe: for models that take any vocabulary.
    pub fn load_with_own_rules(path: &Path, recipe: TextRecipe) -> Result<Tokenizer, DataError> {
        let content = files::read(path)?;
        let library = parse(path, &unpack(path, &content)?)?;
        let rules = Marks::rules(&library).ok_or_else(|| {
            let needed = "`<eos>` and `<pad>`, `<|startoftext|>` and `<|endoftext|>`, or `[CLS]`, \
                          `[SEP]` and `[PAD]`";
            problem(path, format!("found the marks of no known vocabulary, needed {needed}"))
        })?;
        Tokenizer::from_content(path, content, TextRecipe { rules, ..recipe })
    }

    /// Reads what [`Tokenizer::to_bytes`] wrote, or a plain `tokenizer.json`; `path` is where the
    /// bytes come from, for messages.
    pub fn from_bytes(
        path: &Path,
        bytes: &[u8],
        recipe: TextRecipe,
    ) -> Result<Tokenizer, DataError> {
        Tokenizer::from_content(path, bytes.to_vec(), recipe)
    }

    /// The vocabulary as a `tokenizer.json.gz`, whatever file it came from. Compresses: keep the result.
    pub fn to_bytes(&self) -> Vec<u8> {
        if is_gzip(&self.content) {
            return self.content.clone();
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&self.content).expect("writing to memory does not fail");
        encoder.finish().expect("writing to memory does not fail")
    }

    /// The vocabulary as a plain `tokenizer.json`, whatever file it came from.
    pub fn to_json(&self) -> Vec<u8> {
        unpack(&self.path, &self.content).expect("it was unpacked when it was loaded")
    }

    /// Exactly `context_length` ids.
    pub fn encode(&self, text: &str) -> Result<Vec<i32>, DataError> {
        let canonical = self.recipe.canonicalize.then(|| clean::canonicalize(text));
        let text = canonical.as_deref().unwrap_or(text);
        let tokens = match self.recipe.rules {
            TextRules::SigLip2 => self.tokens(text)?,
            TextRules::ClipBpe => self.tokens(&clean::clean_lower(text))?,
            TextRules::BertStripSep => self.tokens(&clean::clean_whitespace(text))?,
        };
        let Marks { begin, end, pad } = self.marks;
        let room = self.recipe.context_length - 1 - usize::from(begin.is_some());
        let tokens = tokens.into_iter().take(room);
        let mut ids: Vec<i32> = begin.into_iter().chain(tokens).chain([end]).collect();
        if self.recipe.rules == TextRules::BertStripSep {
            // open_clip replaces every separator, also one that the text spells out.
            ids.iter_mut().filter(|id| **id == end).for_each(|id| *id = 0);
        }
        ids.resize(self.recipe.context_length, pad);
        Ok(ids)
    }

    /// Whether a folder holds a file that [`Tokenizer::load`] reads.
    pub fn is_in(folder: &Path) -> bool {
        files::find(folder).is_some()
    }

    /// Where the vocabulary came from, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The rules that it applies.
    pub fn recipe(&self) -> &TextRecipe {
        &self.recipe
    }

    /// The largest id that [`Tokenizer::encode`] may give: a model needs one more rows than this.
    pub fn largest_id(&self) -> u32 {
        self.largest_id
    }

    /// SHA-256 of the vocabulary (uncompressed), in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    fn tokens(&self, text: &str) -> Result<Vec<i32>, DataError> {
        let encoding = self.library.encode_fast(text, false).map_err(|error| {
            let text: String = text.chars().take(60).collect();
            self::problem(&self.path, format!("cannot encode `{text}`: {error}"))
        })?;
        let ids = encoding.get_ids().iter();
        Ok(ids.map(|&id| i32::try_from(id).expect("checked when loading")).collect())
    }

    fn from_content(
        path: &Path,
        content: Vec<u8>,
        recipe: TextRecipe,
    ) -> Result<Tokenizer, DataError> {
        recipe.check().map_err(|problem| DataError::Recipe { recipe: "text", problem })?;
        let json = unpack(path, &content)?;
        let library = parse(path, &json)?;
        let library = without_own_rules(library, recipe.rules)
            .map_err(|error| problem(path, error.to_string()))?;
        let marks = Marks::find(&library, recipe.rules).map_err(|what| problem(path, what))?;
        let largest_id = library.get_vocab(true).into_values().max().unwrap_or_default();
        if i32::try_from(largest_id).is_err() {
            return Err(problem(path, format!("found id {largest_id}, needed 31-bit ids")));
        }
        let digest = Sha256::digest(&json).iter().map(|byte| format!("{byte:02x}")).collect();
        let path = path.to_owned();
        Ok(Tokenizer { library, recipe, marks, largest_id, content, digest, path })
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let largest = &self.largest_id;
        f.debug_struct("Tokenizer").field("path", &self.path).field("largest_id", largest).finish()
    }
}

impl Marks {
    /// The first rules whose marks this vocabulary has.
    fn rules(library: &tokenizers::Tokenizer) -> Option<TextRules> {
        let all = [TextRules::SigLip2, TextRules::ClipBpe, TextRules::BertStripSep];
        all.into_iter().find(|rules| Marks::find(library, *rules).is_ok())
    }

    /// The marks of the rules in this vocabulary, by name.
    fn find(library: &tokenizers::Tokenizer, rules: TextRules) -> Result<Marks, String> {
        let id = |names: &[&str]| {
            let found = names.iter().find_map(|name| library.token_to_id(name));
            let missing = || format!("found no `{}`, which the rules {rules:?} need", names[0]);
            found.and_then(|id| i32::try_from(id).ok()).ok_or_else(missing)
        };
        Ok(match rules {
            TextRules::SigLip2 => Marks { begin: None, end: id(&["<eos>"])?, pad: id(&["<pad>"])? },
            TextRules::ClipBpe => Marks {
                begin: Some(id(&["<|startoftext|>", "<start_of_text>"])?),
                end: id(&["<|endoftext|>", "<end_of_text>"])?,
                pad: 0,
            },
            TextRules::BertStripSep => {
                Marks { begin: Some(id(&["[CLS]"])?), end: id(&["[SEP]"])?, pad: id(&["[PAD]"])? }
            }
        })
    }
}

/// The library's tokenizer from an unpacked `tokenizer.json`.
fn parse(path: &Path, json: &[u8]) -> Result<tokenizers::Tokenizer, DataError> {
    // The library panics on some damaged files; it holds nothing that outlives the call.
    catch_unwind(|| tokenizers::Tokenizer::from_bytes(json))
        .map_err(|_| "the library panicked".to_owned())
        .and_then(|parsed| parsed.map_err(|error| error.to_string()))
        .map_err(|what| problem(path, format!("not a tokenizer.json: {what}")))
}

/// Takes out of the file what the rules decide, and everything random.
fn without_own_rules(
    mut library: tokenizers::Tokenizer,
    rules: TextRules,
) -> tokenizers::Result<tokenizers::Tokenizer> {
    library.with_padding(None);
    library.with_truncation(None)?;
    library.with_post_processor(None::<PostProcessorWrapper>);
    if let ModelWrapper::BPE(bpe) = library.get_model()
        && bpe.dropout.is_some()
    {
        let mut bpe = bpe.clone();
        bpe.dropout = None;
        library.with_model(bpe);
    }
    if rules == TextRules::SigLip2 {
        // In front of the file's own normaliser, so that special tokens are found before it.
        let own = library.get_normalizer().cloned();
        let steps = [NormalizerWrapper::Lowercase(Lowercase)].into_iter().chain(own);
        library.with_normalizer(Some(Sequence::new(steps.collect())))?;
    }
    Ok(library)
}

fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1F, 0x8B])
}

/// The bytes, decompressed where they are gzip.
fn unpack(path: &Path, bytes: &[u8]) -> Result<Vec<u8>, DataError> {
    if !is_gzip(bytes) {
        return Ok(bytes.to_vec());
    }
    let mut unpacked = Vec::new();
    let mut decoder = GzDecoder::new(bytes).take(LARGEST_FILE + 1);
    decoder
        .read_to_end(&mut unpacked)
        .map_err(|error| problem(path, format!("damaged gzip: {error}")))?;
    match unpacked.len() as u64 {
        bytes if bytes > LARGEST_FILE => {
            Err(DataError::TooLarge { path: path.to_owned(), bytes, limit: LARGEST_FILE })
        }
        _ => Ok(unpacked),
    }
}

fn problem(path: &Path, problem: String) -> DataError {
    DataError::Tokenizer { path: path.to_owned(), problem }
}
