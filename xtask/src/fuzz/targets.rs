//! What is fuzzed: where the inputs come from and what must hold for each.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use hearth_clip::registry::NAMES;
use hearth_clip::spec::{self, Action, ClipSpec};
use hearth_data::cache::Cache;
use hearth_data::captions::Captions;
use hearth_data::pairs::{Missing, Place, Reading, Source, read_pairs};
use hearth_data::tokenizer::{TextRecipe, TextRules, Tokenizer};
use hearth_data::work::Unwatched;
use hearth_data::{captions as pairs, inputs};
use hearth_spec::{Diagnostics, Document};
use hearth_weights::header;

use super::{captions, graphs, hub, images, parts, pickles, scratch, tars, traps::TRAPS};

/// Something that reads what users write.
pub struct Target {
    /// As on the command line.
    pub name: &'static str,
    /// Inputs that are right or nearly so.
    pub seeds: fn() -> Result<Vec<Vec<u8>>>,
    /// Words that mean something to it.
    pub words: &'static [&'static str],
    /// Makes checksums right again, where there are any.
    pub repair: fn(&mut Vec<u8>),
    /// Panics when something is wrong.
    pub run: fn(&[u8]),
}

/// Every target.
pub const ALL: [Target; 12] = [
    Target { name: "specs", seeds: specs, words: YAML_WORDS, repair: as_is, run: read_spec },
    Target {
        name: "overrides",
        seeds: overrides,
        words: YAML_WORDS,
        repair: as_is,
        run: read_overrides,
    },
    Target { name: "lists", seeds: lists, words: LIST_WORDS, repair: as_is, run: read_lists },
    Target {
        name: "tars",
        seeds: tars::seeds,
        words: tars::WORDS,
        repair: tars::repair,
        run: tars::read,
    },
    Target { name: "tokenizer", seeds: texts, words: TEXT_WORDS, repair: as_is, run: encode_text },
    Target {
        name: "images",
        seeds: images::seeds,
        words: &[],
        repair: images::repair,
        run: images::decode,
    },
    Target { name: "weights", seeds: headers, words: JSON_WORDS, repair: as_is, run: read_header },
    Target {
        name: "pickles",
        seeds: pickles::seeds,
        words: pickles::WORDS,
        repair: pickles::repair,
        run: pickles::read,
    },
    Target {
        name: "captions",
        seeds: captions::seeds,
        words: captions::WORDS,
        repair: as_is,
        run: captions::read,
    },
    Target {
        name: "parts",
        seeds: parts::seeds,
        words: parts::WORDS,
        repair: parts::repair,
        run: parts::read,
    },
    Target { name: "hub", seeds: hub::seeds, words: hub::WORDS, repair: as_is, run: hub::read },
    Target {
        name: "graphs",
        seeds: graphs::seeds,
        words: graphs::WORDS,
        repair: as_is,
        run: graphs::read,
    },
];

/// The target of this name.
pub fn find(name: &str) -> Result<&'static Target> {
    static EVERY: [&[Target]; 2] = [&ALL, &TRAPS];
    let known = || ALL.map(|target| target.name).join(", ");
    let mut targets = EVERY.into_iter().flatten();
    targets
        .find(|target| target.name == name)
        .with_context(|| format!("found `{name}`, needed one of {}", known()))
}

/// The content of the files in a folder that end in one of `endings` (of all where there are none), sorted by name.
pub(super) fn files(folder: &Path, endings: &[&str]) -> Result<Vec<Vec<u8>>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.to_string_lossy();
        let is_wanted = endings.is_empty() || endings.iter().any(|ending| name.ends_with(ending));
        if path.is_file() && is_wanted {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| Ok(fs::read(path)?)).collect()
}

fn as_is(_: &mut Vec<u8>) {}

// Specs and overrides

const YAML_WORDS: &[&str] = &[
    "${model.type}",
    "${..}",
    "${.x}",
    "${oc.env:HOME,5}",
    "${",
    "???",
    "null",
    "~",
    "true",
    "yes",
    "010",
    "0x1F",
    "1_000",
    "12:30:45",
    "1e-4",
    ".inf",
    ".nan",
    "-1",
    "[]",
    "{}",
    "[1, 2",
    "&a",
    "*a",
    "<<: *a",
    "|",
    ">",
    "- ",
    "? ",
    ": ",
    "# ",
    "\"",
    "'",
    "\t",
    "  ",
    "!!str ",
    "%YAML 1.2",
    "---",
    "...",
    "\u{feff}",
    "\u{85}",
    "model:",
    "train.optim.vision_lr=",
    "+a.b=1",
    "~train.seed",
    "a.b[0]=1",
    "99999999999999999999",
    "-0",
    "1e999",
];

fn specs() -> Result<Vec<Vec<u8>>> {
    let mut seeds = files(&crate::root().join("configs/clip"), &[".yaml"])?;
    seeds.push(hearth_spec::to_yaml(&ClipSpec::default()).into_bytes());
    seeds.push(b"a: &x {b: 1}\nc: {<<: *x, d: ${a.b}}\ne: [${.f}, ${oc.env:HOME,1}]\n".to_vec());
    Ok(seeds)
}

fn read_spec(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    read_document(&text, &[]);
}

const BASE: &str =
    "model_name: clip\nresults_dir: r\ntrain:\n  optim: {vision_lr: 1e-3}\n  seed: 1\n";

fn overrides() -> Result<Vec<Vec<u8>>> {
    let lines = [
        "train.num_epochs=3",
        "+model.new=1",
        "~train.seed",
        "train.gpu_ids=[0,1]",
        "train.optim={vision_lr: 1e-4}",
        "dataset.train.datasets=[{image_dir: a}]",
        "results_dir=${oc.env:HOME,x}",
        "model.type=\"a b\"",
        "train.optim.vision_lr=${train.seed}",
    ];
    Ok(lines
        .iter()
        .map(|line| line.as_bytes().to_vec())
        .chain([lines.join("\n").into_bytes()])
        .collect())
}

fn read_overrides(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let overrides: Vec<String> = text.lines().map(str::to_owned).collect();
    read_document(BASE, &overrides);
}

/// Reading never panics, messages can be printed, and what was read survives writing.
fn read_document(text: &str, overrides: &[String]) {
    let (spec, document) = match parse(text, overrides) {
        Ok(read) => read,
        Err(problems) => return say(&problems),
    };
    for action in [Action::Train, Action::Evaluate, Action::Inference] {
        match spec::check(&document, &spec, action, NAMES) {
            Ok(warnings) => assert!(warnings.iter().all(|warning| !warning.headline().is_empty())),
            Err(problems) => say(&problems),
        }
    }
    let written = hearth_spec::to_yaml(&spec);
    match parse(&written, &[]) {
        Ok((again, _)) => assert_eq!(written, hearth_spec::to_yaml(&again)),
        Err(problems) => panic!("reading again what was written:\n{written}\n{problems}"),
    }
}

fn parse(text: &str, overrides: &[String]) -> Result<(ClipSpec, Document), Diagnostics> {
    let document = Document::parse("fuzz.yaml", text, overrides, &|_| None)?;
    Ok((document.read::<ClipSpec>()?, document))
}

fn say(problems: &Diagnostics) {
    assert!(problems.to_string().contains("error: "));
}

// Captions, list files, prompts

const LIST_WORDS: &[&str] = &[
    "\n",
    "\r\n",
    "../",
    "/",
    "a.png",
    "\0",
    "\u{feff}",
    " ",
    "./",
    "sub/a.png",
    "\u{2028}",
    "\u{85}",
    "..",
];

fn lists() -> Result<Vec<Vec<u8>>> {
    Ok([&b"a.png\nb.jpg\n"[..], b"\xef\xbb\xbfa.png\r\n\r\n sub/b.png \n", b"a red circle\n"]
        .map(<[u8]>::to_vec)
        .to_vec())
}

/// One input is a list file, a caption and a text of prompts.
fn read_lists(input: &[u8]) {
    if let Ok(names) = pairs::parse_list(&String::from_utf8_lossy(input)) {
        let leaves =
            |name: &&str| name.starts_with('/') || name.split('/').any(|part| part == "..");
        assert!(!names.iter().any(leaves), "{names:?}");
    }
    let folder = list_folder();
    let list = folder.join("list.txt");
    fs::write(folder.join("a.txt"), input).expect("a scratch folder can be written");
    fs::write(&list, input).expect("a scratch folder can be written");
    let mut source = pairs::PairSource {
        image_dir: folder.to_owned(),
        image_list_file: None,
        caption_dir: None,
        caption_file_suffix: ".txt".to_owned(),
    };
    for list in [None, Some(list.clone())] {
        source.image_list_file = list;
        let cache = Cache::at(&folder.join("a.png"));
        let reading = Reading {
            captions: Captions::All,
            cache: &cache,
            missing: Missing::IsAnError,
            watch: &Unwatched,
        };
        match read_pairs(&[Source::Folder(source.clone())], &reading) {
            Ok(pairs) => {
                let inside =
                    |place: &Place| matches!(place, Place::File(path) if path.starts_with(folder));
                assert!(pairs.pairs.iter().all(|pair| inside(&pair.image)));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    if let Ok(prompts) = inputs::prompts(&list) {
        assert!(!prompts.is_empty());
    }
}

/// A folder with one picture, made once.
fn list_folder() -> &'static Path {
    static FOLDER: OnceLock<std::path::PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = scratch::folder("lists");
        fs::write(folder.join("a.png"), b"").expect("a scratch folder can be written");
        folder
    })
}

// Texts

const TEXT_WORDS: &[&str] = &[
    "red",
    "circle",
    ",",
    "<eos>",
    "<pad>",
    "&amp;",
    "&#x110000;",
    "&lt",
    "İ",
    "ß",
    "ﬁ",
    "\u{300}",
    "\u{200d}",
    "👩‍👩‍👧",
    "\u{0}",
    "_",
    "'s",
    "日本",
    "\u{e000}",
    "\u{feff}",
];

fn texts() -> Result<Vec<Vec<u8>>> {
    let texts = [
        "a small red circle at the top left, on a white background",
        "It's 3&nbsp;o'clock &amp; raining",
        "ÀÉÎõü ﬁ 日本 👩‍👩‍👧 _x_",
    ];
    Ok(texts.map(|text| text.as_bytes().to_vec()).to_vec())
}

fn encode_text(input: &[u8]) {
    static TOKENIZERS: OnceLock<Vec<Tokenizer>> = OnceLock::new();
    let text = String::from_utf8_lossy(input);
    for tokenizer in TOKENIZERS.get_or_init(|| tokenizers().expect("the generated tokenizer loads"))
    {
        if let Ok(ids) = tokenizer.encode(&text) {
            assert_eq!(ids.len(), tokenizer.recipe().context_length);
            let largest = tokenizer.largest_id() as i32;
            assert!(ids.iter().all(|id| (0..=largest).contains(id)), "{ids:?}");
        }
    }
}

fn tokenizers() -> Result<Vec<Tokenizer>> {
    let path = crate::root().join("assets/tokenizer/tokenizer.json");
    let recipe =
        |canonicalize| TextRecipe { rules: TextRules::SigLip2, context_length: 16, canonicalize };
    [false, true]
        .map(|canonicalize| Ok(Tokenizer::load(&path, recipe(canonicalize))?))
        .into_iter()
        .collect()
}

// Weights

const JSON_WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"dtype\"",
    "\"F32\"",
    "\"BF16\"",
    "\"I64\"",
    "\"shape\"",
    "\"data_offsets\"",
    "\"__metadata__\"",
    "[0,4]",
    "18446744073709551615",
    "-1",
    "1e300",
    "null",
    "true",
    "\\u0000",
    "\\ud800",
    "[[[[[[[[",
    "{\"a\":",
];

fn headers() -> Result<Vec<Vec<u8>>> {
    let mut seeds = files(&crate::root().join("tests/golden/weights"), &[".safetensors"])?;
    for json in [
        r#"{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"__metadata__":{"format":"pt"}}"#,
        r#"{"x":{"dtype":"BF16","shape":[],"data_offsets":[0,2]},"y":{"dtype":"I64","shape":[0],"data_offsets":[2,2]}}"#,
        "{}",
    ] {
        seeds.push(json.as_bytes().to_vec());
    }
    Ok(seeds)
}

/// A whole file, or the JSON of a header over 16 bytes of data.
fn read_header(input: &[u8]) {
    let (json, data_len) = match input {
        [b'{', ..] => (input, 16),
        _ => {
            let Ok(length) = header::length(input, input.len() as u64) else { return };
            let rest = &input[header::LENGTH_BYTES..];
            rest.split_at_checked(length as usize)
                .map(|(json, data)| (json, data.len() as u64))
                .expect("`length` fits the file")
        }
    };
    match header::parse(json, data_len) {
        Err(problem) => assert!(!problem.to_string().is_empty()),
        Ok(header) => {
            let bytes = header.entries.values().map(|entry| entry.len() * entry.dtype.size());
            assert_eq!(bytes.sum::<usize>() as u64, data_len, "the tensors fill the data");
        }
    }
}
