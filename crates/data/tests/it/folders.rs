//! Image/caption folders and inference inputs: what is taken, in which order, and every message.

use std::fs;
use std::path::{Path, PathBuf};

use hearth_data::DataError;
use hearth_data::cache::Cache;
use hearth_data::captions::{Captions, PairSource, parse_list};
use hearth_data::inputs::{PictureSource, pictures, prompts};
use hearth_data::pairs::{self, Missing, Pair, Pairs, Reading, Source};
use hearth_data::random::Key;
use hearth_data::work::Unwatched;
use tempfile::TempDir;

/// A folder with files; their content is their name unless there is a `=`.
fn folder(files: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    add(&folder, files);
    folder
}

fn add(folder: &TempDir, files: &[&str]) {
    for file in files {
        let (name, content) = file.split_once('=').unwrap_or((file, file));
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

fn source(folder: &TempDir, image_dir: &str) -> PairSource {
    PairSource {
        image_dir: folder.path().join(image_dir),
        image_list_file: None,
        caption_dir: None,
        caption_file_suffix: ".txt".to_owned(),
    }
}

/// By TAO's rule for captions.
fn read_pairs(sources: &[PairSource]) -> Result<Pairs, DataError> {
    read_pairs_by(Captions::Whole, sources)
}

fn read_pairs_by(captions: Captions, sources: &[PairSource]) -> Result<Pairs, DataError> {
    read_with(captions, Missing::IsAnError, sources)
}

fn read_readable_pairs(sources: &[PairSource]) -> Result<Pairs, DataError> {
    read_with(Captions::Whole, Missing::IsLeftOut, sources)
}

fn read_with(
    captions: Captions,
    missing: Missing,
    sources: &[PairSource],
) -> Result<Pairs, DataError> {
    let sources: Vec<Source> = sources.iter().cloned().map(Source::Folder).collect();
    let cache = Cache::at(Path::new("/nowhere"));
    pairs::read_pairs(&sources, &Reading { captions, cache: &cache, missing, watch: &Unwatched })
}

/// `name=caption` of each pair, names relative to the folder.
fn shown(folder: &TempDir, pairs: &Pairs) -> Vec<String> {
    let root = format!("{}/", folder.path().display());
    let caption = |pair: &Pair| pair.caption.text(&Key::new(0)).unwrap().into_owned();
    let line = |pair: &Pair| format!("{}={}", pair.image, caption(pair)).replace(&root, "");
    pairs.pairs.iter().map(line).collect()
}

/// A message without the temporary folder's name.
fn text(folder: &TempDir, text: impl ToString) -> String {
    text.to_string().replace(&folder.path().display().to_string(), "DIR")
}

fn message(folder: &TempDir, sources: &[PairSource]) -> String {
    text(folder, read_pairs(sources).unwrap_err())
}

fn hints(folder: &TempDir, error: &DataError) -> Vec<String> {
    error.hints().iter().map(|hint| text(folder, hint)).collect()
}

#[test]
fn pictures_with_captions_are_taken_sorted_and_not_recursively() {
    let folder = folder(&[
        "b.png",
        "b.txt= a  dog \n",
        "a.jpg",
        "a.txt=two\nlines",
        "C.JPEG",
        "C.txt=ca\u{301}t",
        "d.jpg",
        "e.WebP",
        "e.txt",
        "b.webp",
        "f.tif",
        "f.tiff",
        "f.txt",
        "g.bmp",
        "notes.txt",
        "sub/x.jpg",
        "sub/x.txt",
        "._a.jpg",
        "._a.txt",
        "bom.jpg",
        "bom.txt=\u{FEFF}marked",
    ]);
    let pairs = read_pairs(&[source(&folder, "")]).unwrap();
    assert_eq!(
        shown(&folder, &pairs),
        [
            "C.JPEG=ca\u{301}t",
            "a.jpg=two\nlines",
            "b.png=a  dog",
            "bom.jpg=marked",
            "e.WebP=e.txt",
            "f.tif=f.txt"
        ]
    );
    assert_eq!(
        pairs.warnings.iter().map(|w| text(&folder, w)).collect::<Vec<_>>(),
        [
            "DIR/: 2 of 8 pictures are left out, they have no caption `*.txt`; the first that is missing: caption `DIR/d.txt`"
        ]
    );
}

#[test]
fn captions_may_lie_elsewhere_with_another_suffix() {
    let folder = folder(&["img/a.jpg", "img/b.c.png", "cap/a_en.cap=one", "cap/b.c_en.cap=two"]);
    let mut source = source(&folder, "img");
    source.caption_dir = Some(folder.path().join("cap"));
    source.caption_file_suffix = "_en.cap".to_owned();
    let pairs = read_pairs(&[source]).unwrap();
    assert_eq!(shown(&folder, &pairs), ["img/a.jpg=one", "img/b.c.png=two"]);
}

#[test]
fn a_list_keeps_its_order_and_its_sub_folders() {
    let folder = folder(&[
        "img/b.jpg",
        "img/s/a.png",
        "img/unlisted.jpg",
        "cap/b.txt=b",
        "cap/s/a.txt=a",
        "list.txt=\u{FEFF}s/a.png\r\n\n  b.jpg  \ns/a.png",
    ]);
    let mut source = source(&folder, "img");
    source.caption_dir = Some(folder.path().join("cap"));
    source.image_list_file = Some(folder.path().join("list.txt"));
    let pairs = read_pairs(&[source]).unwrap();
    assert_eq!(shown(&folder, &pairs), ["img/s/a.png=a", "img/b.jpg=b", "img/s/a.png=a"]);
    assert!(pairs.warnings.is_empty());
}

#[test]
fn everything_missing_from_a_list_is_named_at_once() {
    let names: Vec<String> = (0..12).map(|i| format!("{i:02}.jpg")).collect();
    let folder = folder(&["img/00.jpg", "img/01.jpg", "img/01.txt=here"]);
    fs::write(folder.path().join("list.txt"), names.join("\n")).unwrap();
    let mut source = source(&folder, "img");
    source.image_list_file = Some(folder.path().join("list.txt"));
    // 00 has no caption, 02 to 11 have neither: 21 files.
    assert_eq!(
        message(&folder, &[source]),
        "DIR/list.txt: 21 files of the list are missing: caption `DIR/img/00.txt`, \
         picture `DIR/img/02.jpg`, caption `DIR/img/02.txt`, picture `DIR/img/03.jpg`, \
         caption `DIR/img/03.txt`, picture `DIR/img/04.jpg`, caption `DIR/img/04.txt`, \
         picture `DIR/img/05.jpg`, caption `DIR/img/05.txt`, picture `DIR/img/06.jpg`, and 11 more"
    );
}

#[test]
fn names_of_a_list_stay_in_the_folder() {
    let folder = folder(&[
        "img/a.jpg",
        "list.txt=a.jpg\n../secret.jpg\n/etc/passwd\na/../../b.jpg\n./\nsub/",
    ]);
    let mut source = source(&folder, "img");
    source.image_list_file = Some(folder.path().join("list.txt"));
    assert_eq!(
        message(&folder, &[source]),
        "DIR/list.txt: 5 entries are not names relative to the folder: line 2 `../secret.jpg` leaves \
         the folder through `..`, line 3 `/etc/passwd` is absolute, line 4 `a/../../b.jpg` leaves \
         the folder through `..`, line 5 `./` names no file, line 6 `sub/` names no file"
    );
    assert_eq!(parse_list(" a.jpg \n\n./b/c.png\r\n"), Ok(vec!["a.jpg", "./b/c.png"]));
    assert_eq!(parse_list("a\0b"), Err(vec!["line 1 `a\0b` holds a zero byte".to_owned()]));
}

#[test]
fn captions_that_cannot_be_read_are_errors_and_empty_ones_are_warned_of() {
    let folder = folder(&["a.jpg", "b.jpg", "b.txt= \n", "c.jpg", "c.txt=fine"]);
    fs::write(folder.path().join("a.txt"), b"one\ntwo \xFF").unwrap();
    assert_eq!(
        message(&folder, &[source(&folder, "")]),
        "DIR/: 1 captions cannot be read: DIR/a.txt: found bytes that are not UTF-8 on line 2, \
         needed UTF-8 text"
    );
    fs::remove_file(folder.path().join("a.txt")).unwrap();
    fs::remove_file(folder.path().join("a.jpg")).unwrap();
    let pairs = read_pairs(&[source(&folder, "")]).unwrap();
    assert_eq!(shown(&folder, &pairs), ["b.jpg=", "c.jpg=fine"]);
    assert_eq!(
        text(&folder, &pairs.warnings[0]),
        "DIR/: 1 of 2 captions are empty, first `DIR/b.txt`; they teach nothing and can drive the \
         loss to NaN"
    );
}

#[test]
fn what_cannot_be_read_may_be_left_out() {
    let folder = folder(&[
        "img/a.jpg",
        "img/b.jpg",
        "img/b.txt=b",
        "img/c.jpg",
        "img/d.txt=d",
        "list.txt=a.jpg\nb.jpg\nc.jpg\nd.jpg\ne.jpg",
    ]);
    fs::write(folder.path().join("img/a.txt"), b"torn \xFF").unwrap();
    let mut source = source(&folder, "img");
    source.image_list_file = Some(folder.path().join("list.txt"));
    let pairs = read_readable_pairs(std::slice::from_ref(&source)).unwrap();
    assert_eq!(shown(&folder, &pairs), ["img/b.jpg=b"]);
    assert_eq!(
        pairs.left_out.iter().map(|reason| text(&folder, reason)).collect::<Vec<_>>(),
        [
            "DIR/list.txt: found no caption `DIR/img/c.txt`",
            "DIR/list.txt: found no picture `DIR/img/d.jpg`",
            "DIR/list.txt: found no picture `DIR/img/e.jpg` and no caption `DIR/img/e.txt`",
            "DIR/img/a.txt: found bytes that are not UTF-8 on line 1, needed UTF-8 text",
        ]
    );
    let strict = message(&folder, &[source]);
    assert!(strict.starts_with("DIR/list.txt: 4 files of the list are missing"), "{strict}");
}

#[test]
fn problems_of_all_sources_come_together() {
    let folder = folder(&["good/a.jpg", "good/a.txt", "bad/list.txt=x.jpg"]);
    let mut listed = source(&folder, "bad");
    listed.image_list_file = Some(folder.path().join("bad/list.txt"));
    let sources = [source(&folder, "good"), source(&folder, "nowhere/deep"), listed];
    assert_eq!(
        message(&folder, &sources),
        "DIR/nowhere/deep: no such folder, `DIR` is the part that exists\n\
         DIR/bad/list.txt: 2 files of the list are missing: picture `DIR/bad/x.jpg`, caption `DIR/bad/x.txt`"
    );
    assert!(
        message(&folder, &[source(&folder, "good/a.jpg")])
            .contains("cannot be read: not a directory")
    );
}

#[track_caller]
fn check_no_pairs(folder: &TempDir, source: PairSource, found: &str, expected: &[&str]) {
    let error = read_pairs(&[source]).unwrap_err();
    let start = "no valid image-text pairs found across datasets: ";
    assert_eq!(text(folder, &error), format!("{start}{found}"));
    assert_eq!(hints(folder, &error), expected);
}

#[test]
fn a_folder_without_pairs_is_explained() {
    let folder = folder(&[
        "empty/readme.md",
        "high/train/a.jpg",
        "high/train/a.txt",
        "uncaptioned/a.jpg",
        "uncaptioned/b.png",
        "uncaptioned/b.caption",
        "apart/img/a.jpg",
        "apart/cap/en/a.txt",
        "classes/classes.txt",
        "classes/dog/a.jpg",
        "classes/cat/b.jpg",
        "folders/dog/a.jpg",
        "folders/cat/b.jpg",
        "splits/img/train/a.jpg",
        "splits/img/val/b.jpg",
        "splits/cap/train/a.txt",
        "splits/cap/val/b.txt",
        "list.txt=\n\n",
    ]);
    let check = |dir: &str, found: &str, hints: &[&str]| {
        check_no_pairs(&folder, source(&folder, dir), found, hints);
    };
    check(
        "empty",
        "`DIR/empty`: no pictures (*.jpg, *.jpeg, *.png, *.webp, *.bmp, *.gif, *.tif, *.tiff in any case)",
        &[],
    );
    check(
        "high",
        "`DIR/high`: no pictures (*.jpg, *.jpeg, *.png, *.webp, *.bmp, *.gif, *.tif, *.tiff in any case)",
        &["the folder is one level too high: set `image_dir: DIR/high/train`"],
    );
    check(
        "uncaptioned",
        "`DIR/uncaptioned`: 2 pictures (*.jpg, *.jpeg, *.png, *.webp, *.bmp, *.gif, *.tif, *.tiff in any case), none with its caption `NAME.txt` in `DIR/uncaptioned`",
        &[],
    );
    let mut apart = source(&folder, "apart/img");
    apart.caption_dir = Some(folder.path().join("apart/cap"));
    check_no_pairs(
        &folder,
        apart,
        "`DIR/apart/img`: 1 pictures (*.jpg, *.jpeg, *.png, *.webp, *.bmp, *.gif, *.tif, *.tiff in any case), none with its caption `NAME.txt` in `DIR/apart/cap`",
        &["the folder is one level too high: set `caption_dir: DIR/apart/cap/en`"],
    );
    let advice = "and no captions: class names alone are not captions; write one text file `NAME.txt` \
                  per picture, for example `a photo of a dog`; zero-shot classification takes such \
                  folders as they are";
    check(
        "classes",
        "`DIR/classes`: no pictures (*.jpg, *.jpeg, *.png, *.webp, *.bmp, *.gif, *.tif, *.tiff in any case)",
        &[&format!("`DIR/classes` holds a classes.txt and 2 folders of pictures {advice}")],
    );
    check(
        "folders",
        "`DIR/folders`: no pictures (*.jpg, *.jpeg, *.png, *.webp, *.bmp, *.gif, *.tif, *.tiff in any case)",
        &[&format!("`DIR/folders` holds 2 folders of pictures, perhaps one per class {advice}")],
    );
    let mut splits = source(&folder, "splits/img");
    splits.caption_dir = Some(folder.path().join("splits/cap"));
    check_no_pairs(
        &folder,
        splits,
        "`DIR/splits/img`: no pictures (*.jpg, *.jpeg, *.png, *.webp, *.bmp, *.gif, *.tif, *.tiff in any case)",
        &[
            "the folder is one level too high: set `image_dir: DIR/splits/img/train` (one of 2 such folders; give each its own entry)",
        ],
    );
    let mut listed = source(&folder, "empty");
    listed.image_list_file = Some(folder.path().join("list.txt"));
    check_no_pairs(&folder, listed, "`DIR/list.txt`: the list holds no name", &[]);
}

#[test]
fn one_source_without_pairs_is_a_warning_beside_a_good_one() {
    let folder = folder(&["good/a.jpg", "good/a.txt", "high/x/a.jpg"]);
    let pairs = read_pairs(&[source(&folder, "high"), source(&folder, "good")]).unwrap();
    assert_eq!(pairs.pairs.len(), 1);
    assert_eq!(
        text(&folder, &pairs.warnings[0]),
        "no image-text pair in `DIR/high`: no pictures (*.jpg, *.jpeg, *.png, *.webp, *.bmp, *.gif, *.tif, *.tiff in any case); the folder is one \
         level too high: set `image_dir: DIR/high/x`"
    );
}

fn input(folder: &TempDir, dir: &str, list: Option<&str>) -> PictureSource {
    PictureSource {
        image_dir: folder.path().join(dir),
        image_list_file: list.map(|list| folder.path().join(list)),
    }
}

fn names(folder: &TempDir, pictures: &[PathBuf]) -> Vec<String> {
    pictures.iter().map(|path| text(folder, path.display())).collect()
}

#[test]
fn inputs_are_found_in_sub_folders_and_sorted_as_text() {
    let folder = folder(&[
        "a/z.jpg",
        "a.b/y.png",
        "a/b/x.JPEG",
        "a/b.gif",
        "q.BMP",
        "r.tiff",
        "s.webp",
        "t.svg",
        "c.txt",
        "other/1.jpg",
        ".hidden.jpg",
    ]);
    let inputs = pictures(&[input(&folder, "other", None), input(&folder, "", None)]).unwrap();
    assert_eq!(
        names(&folder, &inputs.pictures),
        [
            "DIR/other/1.jpg",
            "DIR/a.b/y.png",
            "DIR/a/b.gif",
            "DIR/a/b/x.JPEG",
            "DIR/a/z.jpg",
            "DIR/other/1.jpg",
            "DIR/q.BMP",
            "DIR/r.tiff",
            "DIR/s.webp"
        ]
    );
    assert!(inputs.warnings.is_empty());
}

#[cfg(unix)]
#[test]
fn links_are_followed_once_and_loops_end() {
    use std::os::unix::fs::symlink;
    let folder = folder(&["root/real/a.jpg", "elsewhere/b.jpg", "root/real/deep/c.jpg"]);
    let root = folder.path().join("root");
    symlink(&root, root.join("real/deep/up")).unwrap(); // a loop
    symlink(root.join("real"), root.join("also_real")).unwrap(); // sorted before the real one
    symlink(folder.path().join("elsewhere"), root.join("linked")).unwrap();
    symlink(root.join("real/a.jpg"), root.join("link.jpg")).unwrap();
    symlink(root.join("nowhere"), root.join("dangling")).unwrap();
    let inputs = pictures(&[input(&folder, "root", None)]).unwrap();
    assert_eq!(
        names(&folder, &inputs.pictures),
        [
            "DIR/root/link.jpg",
            "DIR/root/linked/b.jpg",
            "DIR/root/real/a.jpg",
            "DIR/root/real/deep/c.jpg"
        ]
    );
}

#[test]
fn a_list_of_inputs_decides() {
    let folder = folder(&[
        "b.jpg",
        "a.jpg",
        "s/c.png",
        "list.txt=s/c.png\na.jpg\n",
        "bad.txt=x.jpg\na.jpg\ny.jpg",
    ]);
    let inputs = pictures(&[input(&folder, "", Some("list.txt"))]).unwrap();
    assert_eq!(names(&folder, &inputs.pictures), ["DIR/s/c.png", "DIR/a.jpg"]);
    let error = pictures(&[input(&folder, "", Some("bad.txt"))]).unwrap_err();
    assert_eq!(
        text(&folder, error),
        "DIR/bad.txt: 2 pictures of the list are missing: `DIR/x.jpg`, `DIR/y.jpg`"
    );
}

#[test]
fn no_input_at_all_is_an_error() {
    let folder = folder(&["x/a.avif", "y/b.txt", "z/c.jpg"]);
    let error = pictures(&[input(&folder, "x", None), input(&folder, "y", None)]).unwrap_err();
    assert_eq!(
        text(&folder, &error),
        "no pictures found: `DIR/x`: no pictures (*.jpg, *.jpeg, *.png, *.webp, *.bmp, *.gif, *.tif, *.tiff in any case) in it or its sub-folders; \
         `DIR/y`: no pictures (*.jpg, *.jpeg, *.png, *.webp, *.bmp, *.gif, *.tif, *.tiff in any case) in it or its sub-folders"
    );
    let inputs = pictures(&[input(&folder, "x", None), input(&folder, "z", None)]).unwrap();
    assert_eq!((inputs.pictures.len(), inputs.warnings.len()), (1, 1));
    let error = pictures(&[input(&folder, "absent", None)]).unwrap_err();
    assert_eq!(text(&folder, error), "DIR/absent: no such folder, `DIR` is the part that exists");
}

#[test]
fn prompts_are_lines() {
    let folder = folder(&["p.txt=\u{FEFF}a dog\r\n\n  A Cat, \u{3000}\rthird\n", "none.txt= \n\n"]);
    let path = folder.path().join("p.txt");
    assert_eq!(prompts(&path).unwrap(), ["a dog", "A Cat,", "third"]);
    let error = prompts(&folder.path().join("none.txt")).unwrap_err();
    assert_eq!(text(&folder, error), "DIR/none.txt: found no prompt, needed one per line");
    let error = prompts(&folder.path().join("absent.txt")).unwrap_err();
    assert!(text(&folder, error).starts_with("DIR/absent.txt: cannot be read: No such file"));
}

#[test]
fn several_captions_are_lines_or_json() {
    let folder = folder(&[
        "a.jpg",
        "a.txt= one\r\n\n two ",
        "a.json={\"captions\": [\"uno\", \" due\", \"tre\"]}",
        "b.png",
        "b.txt=three",
        "b.json={\"caption\": \"quattro\"}",
        "c.png",
        "c.txt=\n",
        "c.json={\"width\": 3}",
    ]);
    let read = |captions, suffix: &str| {
        let mut source = source(&folder, "");
        source.caption_file_suffix = suffix.to_owned();
        read_pairs_by(captions, &[source]).unwrap()
    };
    for (captions, suffix, expected) in [
        (Captions::Whole, ".txt", "a.jpg= one\r\n\n two|b.png=three|c.png="),
        (Captions::First, ".txt", "a.jpg=one|b.png=three"),
        (Captions::All, ".txt", "a.jpg=one|a.jpg=two|b.png=three"),
        (Captions::Whole, ".json", "a.jpg=uno|b.png=quattro"),
        (Captions::First, ".json", "a.jpg=uno|b.png=quattro"),
        (Captions::All, ".json", "a.jpg=uno|a.jpg=due|a.jpg=tre|b.png=quattro"),
    ] {
        let pairs = read(captions, suffix);
        let expected = expected.replace("= one", "=one");
        assert_eq!(shown(&folder, &pairs).join("|"), expected, "{captions:?} {suffix}");
    }
    let warnings = read(Captions::All, ".txt").warnings;
    assert_eq!(
        text(&folder, &warnings[0]),
        "DIR/: 1 pictures are left out, their files hold no caption, first `DIR/c.txt`"
    );

    let random = read(Captions::Random, ".json");
    assert_eq!(random.pairs.len(), 2);
    let drawn = |epoch| random.pairs[0].caption.text(&Key::new(1).at(epoch)).unwrap().into_owned();
    assert_eq!(drawn(7), drawn(7));
    let mut all: Vec<String> = (0..50).map(drawn).collect();
    all.sort();
    all.dedup();
    assert_eq!(all, ["due", "tre", "uno"]);

    fs::write(folder.path().join("b.json"), "{\"captions\":").unwrap();
    let mut source = source(&folder, "");
    source.caption_file_suffix = ".json".to_owned();
    let message = text(&folder, read_pairs_by(Captions::All, &[source]).unwrap_err());
    let expected = "DIR/: 1 captions cannot be read: DIR/b.json: found broken JSON: ";
    assert!(message.starts_with(expected), "{message}");
}
