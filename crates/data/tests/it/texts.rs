//! Tokenizers against open_clip, transformers and tokenizers.

use std::path::{Path, PathBuf};

use hearth_data::tokenizer::{TextRecipe, TextRules, Tokenizer, canonicalize_text};
use serde_json::{Value, json};

use super::fixtures::{cases, golden, json, shared};

fn captions() -> Vec<String> {
    let clean = json("texts/clean.json");
    let captions = cases(&clean, "cleaned").iter();
    captions.map(|row| row[0].as_str().unwrap().to_owned()).collect()
}

fn recipe(rules: TextRules, context_length: usize) -> TextRecipe {
    TextRecipe { rules, context_length, canonicalize: false }
}

fn small(name: &str) -> PathBuf {
    golden("texts/small").join(name)
}

/// All captions through one vocabulary, against the ids that the reference gave.
#[track_caller]
fn check(path: &Path, case: &Value) {
    let recipe = json!({
        "rules": case["rules"], "context_length": case["context_length"],
        "canonicalize": case["canonicalize"],
    });
    let recipe = TextRecipe::from_json(&recipe).unwrap();
    let length = recipe.context_length;
    let tokenizer = Tokenizer::load(path, recipe).unwrap();
    let captions = captions();
    assert_eq!(captions.len(), cases(case, "ids").len());
    for (caption, ids) in captions.iter().zip(cases(case, "ids")) {
        let mut ids: Vec<i32> = serde_json::from_value(ids.clone()).unwrap();
        ids.resize(length, 0);
        assert_eq!(tokenizer.encode(caption).unwrap(), ids, "{} {caption:?}", path.display());
        assert!(ids.iter().all(|&id| id as u32 <= tokenizer.largest_id()));
    }
}

/// Every file of ids whose vocabulary lies under `root`.
fn check_all(root: &str, place: impl Fn(&str) -> Option<PathBuf>) {
    let mut checked = 0;
    for file in std::fs::read_dir(golden("texts/ids")).unwrap() {
        let case = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let case: Value = serde_json::from_str(&case).unwrap();
        let Some(path) = case["path"].as_str().unwrap().strip_prefix(root) else { continue };
        let Some(path) = place(path) else { continue };
        check(&path, &case);
        checked += 1;
    }
    println!("{root}: {checked} files of ids");
}

#[test]
fn small_vocabularies() {
    check_all("small/", |path| Some(small(path)));
}

#[test]
fn published_vocabularies() {
    check_all("shared/", |path| shared(&format!("data/tokenizers/{path}")));
}

#[test]
fn one_vocabulary_in_three_layouts_gives_the_same_ids() {
    let rules = recipe(TextRules::ClipBpe, 77);
    let load = |name| Tokenizer::load(&small(name), rules.clone()).unwrap();
    let merges = load("bpe_simple_vocab_16e6.txt.gz");
    for other in [load("clip_pair"), load("clip_pair/vocab.json"), load("clip.json")] {
        assert_eq!(other.largest_id(), merges.largest_id());
        for caption in captions() {
            // The layouts write the marks differently, so only these captions may differ.
            if !caption.contains("_of_text>") && !caption.contains("oftext|>") {
                assert_eq!(other.encode(&caption).unwrap(), merges.encode(&caption).unwrap());
            }
        }
    }
}

#[test]
fn a_tokenizer_travels_as_bytes() {
    let path = Path::new("model.safetensors");
    for (name, rules) in [
        ("gemma_like.json", TextRules::SigLip2),
        ("words.json", TextRules::SigLip2),
        ("bpe_simple_vocab_16e6.txt.gz", TextRules::ClipBpe),
        ("clip_pair", TextRules::ClipBpe),
        ("bert", TextRules::BertStripSep),
    ] {
        let recipe = recipe(rules, 20);
        let first = Tokenizer::load(&small(name), recipe.clone()).unwrap();
        let second = Tokenizer::from_bytes(path, &first.to_bytes(), recipe.clone()).unwrap();
        let json = TextRecipe::from_json(&second.recipe().to_json()).unwrap();
        assert_eq!((second.digest(), &json), (first.digest(), &recipe));
        assert_eq!(second.to_bytes(), first.to_bytes());
        for caption in captions() {
            assert_eq!(second.encode(&caption).unwrap(), first.encode(&caption).unwrap());
        }
    }
}

#[test]
fn the_digest_is_of_the_uncompressed_vocabulary() {
    use sha2::{Digest, Sha256};
    let bytes = std::fs::read(small("gemma_like.json")).unwrap();
    let hex: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let tokenizer =
        Tokenizer::load(&small("gemma_like.json"), recipe(TextRules::SigLip2, 8)).unwrap();
    assert_eq!(tokenizer.digest(), hex);
    assert!(tokenizer.to_bytes().len() < bytes.len());
}

#[test]
fn threads_share_a_tokenizer() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Tokenizer>();
}

#[test]
fn a_vocabulary_brings_its_own_rules() {
    let any = recipe(TextRules::SigLip2, 16);
    for (name, rules) in [
        ("gemma_like.json", TextRules::SigLip2),
        ("bpe_simple_vocab_16e6.txt.gz", TextRules::ClipBpe),
        ("clip_pair", TextRules::ClipBpe),
        ("bert", TextRules::BertStripSep),
    ] {
        let found = Tokenizer::load_with_own_rules(&small(name), any.clone()).unwrap();
        assert_eq!(found.recipe(), &recipe(rules, 16), "{name}");
        let named = Tokenizer::load(&small(name), recipe(rules, 16)).unwrap();
        assert_eq!(found.encode("a red dog").unwrap(), named.encode("a red dog").unwrap());
    }

    let bare = json!({
        "version": "1.0", "added_tokens": [],
        "model": { "type": "WordLevel", "vocab": { "a": 0 }, "unk_token": "a" },
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    std::fs::write(&path, bare.to_string()).unwrap();
    let error = Tokenizer::load_with_own_rules(&path, any).unwrap_err().to_string();
    assert!(error.contains("found the marks of no known vocabulary, needed `<eos>`"), "{error}");
}

#[test]
fn canonical_text() {
    assert_eq!(canonicalize_text("  A_red, (BIG) dog!  "), "a red big dog");
    assert_eq!(canonicalize_text("..."), "");
}

#[test]
fn a_wrong_vocabulary_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let load =
        |path: &Path, rules| Tokenizer::load(path, recipe(rules, 16)).unwrap_err().to_string();
    let write = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    #[track_caller]
    fn ends(error: String, end: &str) {
        assert!(error.starts_with("tokenizer /") && error.ends_with(end), "{error}");
    }
    ends(
        load(&small("bert"), TextRules::SigLip2),
        "small/bert: found no `<eos>`, which the rules SigLip2 need",
    );
    ends(
        load(&small("gemma_like.json"), TextRules::ClipBpe),
        "gemma_like.json: found no `<|startoftext|>`, which the rules ClipBpe need",
    );
    ends(
        load(folder.path(), TextRules::SigLip2),
        "found none of `tokenizer.json`, `tokenizer.json.gz`, `vocab.json`, `vocab.txt`, \
         `bpe_simple_vocab_16e6.txt.gz`",
    );
    write("spiece.model", "");
    let error = load(folder.path(), TextRules::SigLip2);
    assert!(
        error.contains("found `spiece.model`, which only Python reads, and none of"),
        "{error}"
    );
    ends(
        load(&write("notes.txt", "hello\nworld\n"), TextRules::BertStripSep),
        "found neither a tokenizer.json nor merges nor a `vocab.txt` with `[UNK]`",
    );
    ends(
        load(&write("merges.txt", "#version: 0.2\na b\nc\n"), TextRules::ClipBpe),
        "merges.txt: line 3: found `c`, needed two symbols",
    );
    assert!(
        load(&write("broken.json", "{\"model\": 3}"), TextRules::SigLip2)
            .contains("not a tokenizer.json")
    );
    std::fs::write(folder.path().join("cut.json.gz"), [0x1F, 0x8B, 8, 0]).unwrap();
    assert!(load(&folder.path().join("cut.json.gz"), TextRules::SigLip2).contains("damaged gzip"));
    assert!(
        load(Path::new("/nowhere/t.json"), TextRules::SigLip2)
            .contains("/nowhere/t.json: cannot be read")
    );

    let error = Tokenizer::load(&small("words.json"), recipe(TextRules::SigLip2, 2)).unwrap_err();
    assert_eq!(error.to_string(), "text recipe: `context_length`: found 2, needed 3 to 8192");
    let error = TextRecipe::from_json(&json!({ "rules": "t5", "context_length": 8 })).unwrap_err();
    assert!(error.to_string().contains("unknown variant `t5`"), "{error}");
}

#[test]
fn dropout_in_a_file_does_not_make_ids_random() {
    let text = std::fs::read_to_string(small("gemma_like.json")).unwrap();
    let mut file: Value = serde_json::from_str(&text).unwrap();
    file["model"]["dropout"] = json!(0.9);
    let path = Path::new("dropout.json");
    let load = |text: String| {
        Tokenizer::from_bytes(path, text.as_bytes(), recipe(TextRules::SigLip2, 32)).unwrap()
    };
    let (plain, dropping) = (load(text), load(file.to_string()));
    for caption in captions() {
        assert_eq!(dropping.encode(&caption).unwrap(), plain.encode(&caption).unwrap());
    }
}
