//! The generated data set: the same bytes every time, and what the quick start relies on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use hearth_data::cache::Cache;
use hearth_data::captions::{Captions, PairSource};
use hearth_data::pairs::{Missing, Reading, Source, read_pairs};
use hearth_data::random::Key;
use hearth_data::tokenizer::{TextRecipe, TextRules, Tokenizer};
use hearth_data::work::Unwatched;
use xtask::shapes::{self, Scene};
use xtask::{assets, root};

#[test]
fn assets_are_what_the_generator_writes() {
    let folder = tempfile::tempdir().unwrap();
    assets::write(folder.path()).unwrap();
    let fresh = files(folder.path());
    let mut committed = files(&root().join("assets"));
    committed.remove(Path::new("README.md"));
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&fresh), names(&committed), "run `cargo xtask assets`");
    for (name, bytes) in fresh {
        assert!(bytes == committed[&name], "{}: run `cargo xtask assets`", name.display());
    }
}

#[test]
fn committed_data_stays_small() {
    for (folder, most) in [("assets", 3_000_000), ("tests/golden", 20_000_000)] {
        let bytes: usize = files(&root().join(folder)).values().map(Vec::len).sum();
        assert!(bytes < most, "{folder}: found {bytes} bytes, needed fewer than {most}");
    }
}

#[test]
fn validation_asks_for_combinations_that_training_never_shows() {
    let (training, validation) = (shapes::training(), shapes::validation());
    assert!(training.len() >= 1000 && validation.len() >= 200);
    let seen: BTreeSet<_> = training.iter().map(Scene::combination).collect();
    assert!(validation.iter().all(|scene| !seen.contains(&scene.combination())));
}

#[test]
fn training_shows_every_triple_of_values() {
    // Of the four attributes each triple, and each of them together with the style.
    let triples = |scenes: &[Scene]| {
        let mut triples = BTreeSet::new();
        for scene in scenes {
            for left_out in 0..4 {
                let mut triple = scene.combination();
                triple[left_out] = usize::MAX;
                triples.insert((triple, scene.style));
            }
        }
        triples
    };
    let training = triples(&shapes::training());
    assert!(triples(&shapes::validation()).is_subset(&training));
}

#[test]
fn every_caption_is_distinct_and_names_every_attribute() {
    for scenes in [shapes::training(), shapes::validation()] {
        let captions: BTreeSet<String> = scenes.iter().map(Scene::caption).collect();
        assert_eq!(captions.len(), scenes.len());
    }
    for scene in shapes::validation() {
        let caption = scene.caption();
        for word in [
            shapes::COLOURS[scene.colour].0,
            shapes::SHAPES[scene.shape],
            shapes::SIZES[scene.size].0,
            shapes::POSITIONS[scene.position].0,
            shapes::STYLES[scene.style],
            shapes::BACKGROUNDS[scene.background].0,
        ] {
            assert!(caption.contains(word), "`{caption}` without `{word}`");
        }
    }
}

#[test]
fn the_data_set_reads_as_image_caption_folders() {
    for (split, scenes) in [("train", shapes::training()), ("val", shapes::validation())] {
        let folder = root().join("assets/shapes").join(split);
        let source = PairSource {
            image_dir: folder.join("images"),
            image_list_file: None,
            caption_dir: Some(folder.join("captions")),
            caption_file_suffix: ".txt".to_owned(),
        };
        let cache = Cache::at(Path::new("/nowhere"));
        let reading = Reading {
            captions: Captions::Whole,
            cache: &cache,
            missing: Missing::IsAnError,
            watch: &Unwatched,
        };
        let pairs = read_pairs(&[Source::Folder(source)], &reading).unwrap();
        assert_eq!(pairs.warnings, Vec::<String>::new());
        let captions: Vec<String> = pairs
            .pairs
            .iter()
            .map(|pair| pair.caption.text(&Key::new(0)).unwrap().into_owned())
            .collect();
        assert_eq!(captions, scenes.iter().map(Scene::caption).collect::<Vec<_>>());
    }
}

#[test]
fn the_tokenizer_knows_every_word_and_sixteen_ids_hold_every_caption() {
    let path = root().join("assets/tokenizer/tokenizer.json");
    let rules = TextRules::SigLip2;
    let recipe = TextRecipe { rules, context_length: 16, canonicalize: false };
    let tokenizer = Tokenizer::load(&path, recipe).unwrap();
    let ids = tokenizer.encode("A small RED circle at the top, zebra").unwrap();
    let expected = [4, 32, 30, 12, 5, 36, 38, 3, 2, 1, 0, 0, 0, 0, 0, 0];
    assert_eq!(ids, expected, "words, a comma (3), an unknown word (2), the end (1), padding (0)");
    for scene in shapes::training().iter().chain(&shapes::validation()) {
        let caption = scene.caption();
        let ids = tokenizer.encode(&caption).unwrap();
        assert!(!ids.contains(&2), "`{caption}` holds an unknown word: {ids:?}");
        let words = caption.replace(',', " ,").split(' ').count();
        assert_eq!(ids[words], 1, "`{caption}` is cut: {ids:?}");
    }
}

/// All files below, by their path from here.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(
                    path.strip_prefix(folder).unwrap().to_owned(),
                    fs::read(&path).unwrap(),
                );
            }
        }
    }
    found
}
