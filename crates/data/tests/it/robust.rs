//! The fuzz targets as properties: whatever the bytes, an answer and no panic.
//!
//! `PROPTEST_CASES=100000 cargo test --release -p hearth-data robust` looks longer.

use std::sync::LazyLock;

use hearth_data::cache::Cache;
use hearth_data::captions::{Captions, parse_list};
use hearth_data::decode::{Limits, decode};
use hearth_data::pairs::{Missing, Reading, Source, read_pairs};
use hearth_data::random::Key;
use hearth_data::resize::{Filter, resize};
use hearth_data::shards::ShardSource;
use hearth_data::tokenizer::{TextRecipe, TextRules, Tokenizer};
use hearth_data::transform::{Augmentation, ColourJitter};
use hearth_data::work::Unwatched;
use proptest::prelude::*;

use super::fixtures::golden;
use super::shards::tar_of;

/// Small, so that a mutated header cannot make a case slow.
const LIMITS: Limits = Limits { bytes: 1 << 20, side: 500, pixels: 100_000 };

/// A picture of every format and kind, small ones first; `formats.rs` says what they are.
static FILES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let folders = [golden("pictures/decode"), golden("../pictures")];
    let paths = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let mut paths: Vec<_> = paths.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension != "json"));
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
});

static TOKENIZERS: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| {
    let load = |name: &str, rules| {
        let recipe = TextRecipe { rules, context_length: 16, canonicalize: false };
        Tokenizer::load(&golden("texts/small").join(name), recipe).unwrap()
    };
    vec![
        load("gemma_like.json", TextRules::SigLip2),
        load("words.json", TextRules::SigLip2),
        load("bpe_simple_vocab_16e6.txt.gz", TextRules::ClipBpe),
        load("clip.json", TextRules::ClipBpe),
        load("bert", TextRules::BertStripSep),
    ]
});

/// What decoding promises for any bytes.
fn check_decode(bytes: &[u8]) {
    if let Ok(picture) = decode(bytes, &LIMITS) {
        assert!(picture.width <= LIMITS.side && picture.height <= LIMITS.side);
        assert_eq!(picture.pixels.len(), 3 * (picture.width * picture.height) as usize);
    }
}

/// What reading a shard promises for any bytes.
fn check_shard(bytes: &[u8]) {
    static FILE: LazyLock<tempfile::NamedTempFile> =
        LazyLock::new(|| tempfile::Builder::new().suffix(".tar").tempfile().unwrap());
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    std::fs::write(FILE.path(), bytes).unwrap();
    let cache = Cache::at("/dev/null/none".as_ref());
    let source = [Source::Shards(ShardSource::One(FILE.path().to_owned()))];
    for captions in [Captions::Whole, Captions::All] {
        let reading =
            Reading { captions, cache: &cache, missing: Missing::IsAnError, watch: &Unwatched };
        match read_pairs(&source, &reading) {
            // A caption takes a byte at least: what is kept is bounded by what lies on disk.
            Ok(pairs) => {
                assert!(pairs.pairs.len() <= bytes.len());
                for pair in &pairs.pairs {
                    assert!(!pair.image.read(u64::MAX).unwrap().is_empty());
                    assert!(!pair.caption.text(&Key::new(0)).unwrap().is_empty());
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// Changes some bytes of the headers and makes their checksums right again.
fn forge(bytes: &mut [u8], changes: &[(prop::sample::Index, u8)]) {
    let blocks = bytes.len() / 512;
    for (at, value) in changes {
        let at = at.index(blocks * 512);
        bytes[at] = *value;
        let block = &mut bytes[at / 512 * 512..][..512];
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

proptest! {
    #[test]
    fn index_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        check_shard(&bytes);
    }

    #[test]
    fn index_forged_shards(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        raw in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let long = format!("{}.jpg", "long".repeat(40));
        let mut bytes = tar_of(&[
            "1.jpg", "1.txt=one\ntwo", "1.json={\"captions\": [\"a\"]}", &long, "s/2.png", "s/2.text",
        ]);
        forge(&mut bytes, &changes);
        for (at, value) in raw {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        check_shard(&bytes);
    }

    #[test]
    fn decode_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300), start in 0..9) {
        let magic: &[u8] = match start {
            0 => b"",
            1 => b"\x89PNG\r\n\x1A\n",
            2 => b"\xFF\xD8\xFF",
            3 => b"RIFF\x40\0\0\0WEBPVP8L",
            4 => b"RIFF\x40\0\0\0WEBPVP8X\x0A\0\0\0",
            5 => b"GIF89a",
            6 => b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0",
            7 => b"II*\0\x08\0\0\0",
            _ => b"MM\0+\0\x08\0\0",
        };
        check_decode(&[magic, &bytes].concat());
    }

    #[test]
    fn decode_mutated_files(
        file in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
        repeated in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = FILES[file.index(FILES.len())].clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(at) = repeated {
            let tail = bytes[at.index(bytes.len())..].to_vec();
            bytes.extend(tail);
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        check_decode(&bytes);
    }

    #[test]
    fn encode_any_string(text in any::<String>(), joined in "[a-zA-Z &;#<>x0-9_'\u{1b}\\[\u{300}\u{c3}\u{e2}\u{20ac}\u{99}]{0,80}") {
        for tokenizer in TOKENIZERS.iter() {
            for text in [&text, &joined] {
                let ids = tokenizer.encode(text).unwrap();
                prop_assert_eq!(ids.len(), 16);
                prop_assert!(ids.iter().all(|&id| id >= 0 && id as u32 <= tokenizer.largest_id()));
            }
        }
    }

    #[test]
    fn load_mutated_tokenizers(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        file in 0..2,
    ) {
        let name = ["words.json", "gemma_like.json"][file as usize];
        let mut bytes = std::fs::read(golden("texts/small").join(name)).unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let recipe = TextRecipe { rules: TextRules::SigLip2, context_length: 8, canonicalize: true };
        let loaded = Tokenizer::from_bytes(name.as_ref(), &bytes, recipe);
        let encoded = loaded.and_then(|tokenizer| tokenizer.encode("a small red circle <eos>"));
        prop_assert!(encoded.is_err() || encoded.unwrap().len() == 8);
    }

    #[test]
    fn parse_any_list(text in any::<String>(), names in "([a.]{0,3}[/\n\r \\.]{1,3}){0,6}") {
        for text in [&text, &names] {
            for name in parse_list(text).unwrap_or_default() {
                let inside = std::path::Path::new("/root").join(name);
                prop_assert!(inside.starts_with("/root"));
                prop_assert!(!name.split('/').any(|part| part == ".."));
            }
        }
    }

    #[test]
    fn augment_any_size(width in 1u32..300, height in 1u32..300, seed in any::<u64>(), low in 0.0..1.0) {
        let jitter = ColourJitter { probability: 1.0, brightness: 2.0, contrast: 0.4, saturation: 0.4, hue: 0.5 };
        let augmentation = Augmentation {
            scale: [low, 1.0], colour_jitter: Some(jitter), grayscale: 0.5, ..Augmentation::default()
        };
        let pixels = (0..3 * width * height).map(|i| (i * 37 % 251) as u8).collect();
        let picture = hearth_data::picture::Picture::new(width, height, pixels).unwrap();
        let drawn = augmentation.draw(&Key::new(seed), width, height);
        let size = 1 + seed as u32 % 9;
        prop_assert_eq!(augmentation.apply(&picture, &drawn, size).width, size);
        // A picture of one colour keeps it, whatever the size: the weights of each pixel sum to one.
        let flat = hearth_data::picture::Picture::new(width, height, vec![77; picture.pixels.len()]).unwrap();
        for filter in [Filter::Bilinear, Filter::Bicubic] {
            prop_assert!(resize(&flat, size, 2 * size, filter).pixels.iter().all(|&value| value == 77));
        }
    }
}
