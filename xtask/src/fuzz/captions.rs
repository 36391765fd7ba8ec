//! Caption files, whatever they hold and whatever their suffix says.

use std::{fs, path::Path, sync::OnceLock};

use anyhow::Result;
use hearth_data::{
    cache::Cache,
    captions::{Captions, PairSource},
    pairs::{Missing, Place, Reading, Source, read_pairs},
    random::Key,
    work::Unwatched,
};

use super::scratch;

pub(super) const WORDS: &[&str] = &[
    "\n",
    "\r\n",
    "\r",
    "\t",
    "\0",
    "\u{feff}",
    "\u{2028}",
    "\u{85}",
    "\u{a0}",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "\\u0000",
    "\\ud800",
    ",",
    ":",
    "null",
    "1e999",
    "\"caption\":",
    "[\"a\", \"b\"]",
    "[[[[[[",
];

/// Endings that a spec may name; what a file of that name means is up to the reader.
const SUFFIXES: [&str; 3] = [".txt", ".json", ".caption.txt"];

pub(super) fn seeds() -> Result<Vec<Vec<u8>>> {
    let texts: [&[u8]; 6] = [
        b"a small red circle\n",
        b"\xef\xbb\xbfa blue square\r\n\r\n",
        b"one\ntwo\n\nthree",
        br#"["a dog on grass", "a brown dog", ""]"#,
        br#"{"caption": "a cat", "captions": ["a cat", "a black cat"]}"#,
        b"\xff\xfe\x00\x01",
    ];
    Ok(texts.map(<[u8]>::to_vec).to_vec())
}

/// The input is the caption of one picture under every suffix, and the list of pictures too.
pub(super) fn read(input: &[u8]) {
    let folder = folder();
    for suffix in SUFFIXES {
        fs::write(folder.join(format!("a{suffix}")), input)
            .expect("a scratch folder can be written");
        let source = PairSource {
            image_dir: folder.to_owned(),
            image_list_file: None,
            caption_dir: None,
            caption_file_suffix: suffix.to_owned(),
        };
        let source = Source::Folder(source);
        for captions in [Captions::Whole, Captions::All] {
            check(std::slice::from_ref(&source), captions, input.len());
        }
    }
}

fn check(sources: &[Source], captions: Captions, bytes: usize) {
    let cache = Cache::at(&folder().join("a.png"));
    let missing = Missing::IsAnError;
    let reading = Reading { captions, cache: &cache, missing, watch: &Unwatched };
    match read_pairs(sources, &reading) {
        Ok(pairs) => {
            // Text comes from the file: nothing is repeated or made up.
            let text = |caption: &hearth_data::pairs::Caption| {
                caption.text(&Key::new(0)).expect("a caption of a file").len()
            };
            let held: usize = pairs.pairs.iter().map(|pair| text(&pair.caption)).sum();
            assert!(held <= bytes, "{held} bytes of captions out of {bytes}");
            let inside =
                |place: &Place| matches!(place, Place::File(path) if path.starts_with(folder()));
            assert!(pairs.pairs.iter().all(|pair| inside(&pair.image)));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A folder with one picture, made once.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<std::path::PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = scratch::folder("captions");
        fs::write(folder.join("a.png"), b"").expect("a scratch folder can be written");
        folder
    })
}
