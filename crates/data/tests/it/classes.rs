//! Pictures by class: what becomes a class, what it is called, and every message.

use std::fs;
use std::path::Path;

use hearth_data::classes::{ByClass, Class, ClassSource, Purpose, read_classes};
use hearth_data::inputs::{PictureSource, pictures};
use tempfile::TempDir;

/// A folder with files; `name=content`, or empty files.
fn folder(files: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let (name, content) = file.split_once('=').unwrap_or((file, ""));
        let path = folder.path().join(name);
        let is_folder = name.ends_with('/');
        fs::create_dir_all(if is_folder { &path } else { path.parent().unwrap() }).unwrap();
        if !is_folder {
            fs::write(path, content).unwrap();
        }
    }
    folder
}

/// Classes of `images`, with `names.txt` and `list.txt` where they are.
fn source(folder: &TempDir) -> ClassSource {
    let file = |name: &str| Some(folder.path().join(name)).filter(|path| path.exists());
    ClassSource {
        image_dir: folder.path().join("images"),
        image_list_file: file("list.txt"),
        class_names: file("names.txt"),
        purpose: Purpose::Words,
        key: "image_dir",
    }
}

/// `key=name: pictures` of every class, then the warnings.
fn taken(folder: &TempDir) -> Vec<String> {
    let ByClass { classes, pictures, warnings } =
        read_classes(&source(folder)).unwrap_or_else(|error| panic!("{error}"));
    let root = folder.path().join("images");
    let relative = |path: &Path| path.strip_prefix(&root).unwrap().display().to_string();
    let mut lines: Vec<String> = Vec::new();
    for (at, class) in classes.iter().enumerate() {
        let own = pictures.iter().filter(|picture| picture.class == at);
        let own: Vec<String> = own.map(|picture| relative(&picture.image)).collect();
        lines.push(format!("{}={}: {}", class.key, class.name, own.join(" ")));
    }
    lines.extend(warnings.iter().map(|warning| told(folder, warning)));
    lines
}

/// The error and its hints.
fn refused(folder: &TempDir) -> Vec<String> {
    let error = read_classes(&source(folder)).unwrap_err();
    let lines = [error.to_string()].into_iter().chain(error.hints());
    lines.map(|line| told(folder, &line)).collect()
}

fn told(folder: &TempDir, text: &str) -> String {
    let real = folder.path().canonicalize().unwrap();
    text.replace(&folder.path().display().to_string(), "DIR")
        .replace(&real.display().to_string(), "DIR")
}

const ANIMALS: [&str; 4] =
    ["images/red_fox/b.png", "images/red_fox/deep/a.JPEG", "images/cat/1.jpg", "images/.git/x.png"];

#[test]
fn folders_are_classes_and_their_names_are_words() {
    let folder = folder(&ANIMALS);
    assert_eq!(
        taken(&folder),
        ["cat=cat: cat/1.jpg", "red_fox=red fox: red_fox/b.png red_fox/deep/a.JPEG"]
    );
}

#[test]
fn a_file_gives_names() {
    for (names, expected) in [
        // By folder, in any order, spaces and empty lines at the edges.
        ("red_fox\tVulpes vulpes\r\n\n cat \t tabby \n", ["cat=tabby", "red_fox=Vulpes vulpes"]),
        // One a line, in the order of the folders.
        ("tabby\nVulpes_vulpes\n", ["cat=tabby", "red_fox=Vulpes_vulpes"]),
        // The folders themselves, in any order.
        ("red_fox\ncat\n", ["cat=cat", "red_fox=red fox"]),
        // A name that happens to be that of its own folder.
        ("cat\nVulpes\n", ["cat=cat", "red_fox=Vulpes"]),
    ] {
        let folder = folder(&ANIMALS);
        fs::write(folder.path().join("names.txt"), names).unwrap();
        let lines: Vec<String> =
            taken(&folder).iter().map(|l| l.split_once(':').unwrap().0.to_owned()).collect();
        assert_eq!(lines, expected, "{names:?}");
    }
}

#[test]
fn classes_without_pictures_stay_possible_answers() {
    let files = [
        &ANIMALS[..],
        &["images/zebra/", "names.txt=cat\tcat\nred_fox\tfox\nowl\towl\nzebra\tzebra"],
    ];
    assert_eq!(
        taken(&folder(&files.concat())),
        [
            "cat=cat: cat/1.jpg",
            "owl=owl: ",
            "red_fox=fox: red_fox/b.png red_fox/deep/a.JPEG",
            "zebra=zebra: ",
            "DIR/images: 2 of 4 classes have no picture, the first: `owl`; they stay possible \
             answers, and means over classes leave them out",
        ]
    );
}

#[test]
fn a_list_names_the_class_of_every_picture() {
    let list = "list.txt=b.png\tcat\n\n sub/c.png \t red_fox \na.png\tcat\n";
    let files = ["images/a.png", "images/b.png", "images/sub/c.png", "images/d.png", list];
    assert_eq!(taken(&folder(&files)), ["cat=cat: b.png a.png", "red_fox=red fox: sub/c.png"]);
    let named = [&files[..], &["names.txt=red_fox\nowl\ncat"]].concat();
    assert_eq!(
        taken(&folder(&named))[..3],
        ["cat=cat: b.png a.png", "owl=owl: ", "red_fox=red fox: sub/c.png"]
    );
}

#[test]
fn what_lies_elsewhere_is_told() {
    let folder = folder(&["images/x.png", "images/n01443537/a.png", "images/n02123045/a.png"]);
    assert_eq!(
        taken(&folder)[2..],
        [
            "DIR/images: 1 pictures lie beside the class folders and are left out",
            "names of classes such as `n01443537` mean nothing in a sentence: `class_names` takes a \
             file of lines `n01443537<TAB>NAME`",
        ]
    );
}

#[test]
fn folders_at_another_level_are_proposed() {
    let hint = "hint: the folder is one level too high: set `image_dir: DIR/images/val`";
    let split = [
        "images/train/a/1.png",
        "images/train/b/1.png",
        "images/val/a/1.png",
        "images/val/b/images/1.png",
    ];
    let too_low = ["images/1.png", "other/1.png"];
    let inner = [
        "images/val/n1/1.png",
        "images/val/n2/1.png",
        "images/new/n3/1.png",
        "images/new/n4/1.png",
        "names.txt=n1\tcat\nn2\tdog",
    ];
    let usual = "hint: needed is one folder of pictures for each class, or a list of lines PICTURE<TAB>CLASS";
    for (files, expected) in [
        (
            &split[..],
            [
                "no classes found: `DIR/images`: found the folders `train`, `val`, needed one for each class",
                hint,
            ],
        ),
        (
            &[&split[..], &["images/annotations/x.json"]].concat(),
            [
                "no classes found: `DIR/images`: found the folders `train`, `val`, needed one for each class",
                hint,
            ],
        ),
        (
            &["images/val/a/1.png", "images/val/b/1.png"],
            [
                "no classes found: `DIR/images`: found the folders `val`, needed one for each class",
                hint,
            ],
        ),
        (
            &["images/x/a/1.png", "images/x/b/1.png"],
            [
                "no classes found: `DIR/images`: a single class, needed two or more",
                "hint: the folder is one level too high: set `image_dir: DIR/images/x`",
            ],
        ),
        (&inner, ["no classes found: `DIR/images`: no folder has a name", hint]),
        (
            &too_low,
            [
                "no classes found: `DIR/images`: 1 pictures (*.jpg, *.jpeg, *.png, *.webp, *.bmp, *.gif, *.tif, *.tiff in any case) and no folders",
                "hint: the folder is one class of several: set `image_dir: DIR`",
            ],
        ),
        (
            &["images/notes.md"],
            [
                "no classes found: `DIR/images`: neither folders nor pictures (*.jpg, *.jpeg, *.png, *.webp, *.bmp, *.gif, *.tif, *.tiff in any case)",
                usual,
            ],
        ),
        (
            &["images/a/", "images/b/"],
            [
                "no classes found: `DIR/images`: no pictures (*.jpg, *.jpeg, *.png, *.webp, *.bmp, *.gif, *.tif, *.tiff in any case) of its 2 classes",
                usual,
            ],
        ),
        (
            &["images/a/1.png"],
            ["no classes found: `DIR/images`: a single class, needed two or more", usual],
        ),
    ] {
        let [error, hint] = expected;
        let hint = hint.strip_prefix("hint: ").unwrap();
        assert_eq!(refused(&folder(files)), [error, hint], "{files:?}");
    }
}

#[test]
fn names_that_do_not_fit_are_refused() {
    for (names, expected) in [
        (
            "cat\ttabby\nredfox\tfox",
            "1 classes have no name here: `red_fox` (did you mean `redfox`?)",
        ),
        (
            "cats\ttabby\nunicorn\tfox",
            "2 classes have no name here: `cat` (did you mean `cats`?), `red_fox`",
        ),
        ("red_fox\ncap", "1 classes have no name here: `cat` (did you mean `cap`?)"),
        (
            "tabby",
            "found 1 names for 2 classes, needed one for each in their sorted order, or lines FOLDER<TAB>NAME",
        ),
        (
            "cat\tfox\nred_fox\tFox",
            "1 names stand for several classes: `fox` of `cat` and `red_fox`",
        ),
        ("fox\nfox", "1 names stand for several classes: `fox` of `cat` and `red_fox`"),
        (
            "cat\ttabby\nred_fox\ncat\tx\n\ty\nowl\t",
            "4 lines are not FOLDER<TAB>NAME: line 2 `red_fox` has no tab, line 3 `cat` comes a second \
             time, line 4 names no class, line 5 names no class",
        ),
    ] {
        let folder = folder(&ANIMALS);
        fs::write(folder.path().join("names.txt"), names).unwrap();
        assert_eq!(refused(&folder), [format!("DIR/names.txt: {expected}")], "{names:?}");
    }
    let folder = folder(&["images/hot_dog/1.png", "images/hot dog/1.png"]);
    assert_eq!(
        refused(&folder),
        ["DIR/images: 1 names stand for several classes: `hot dog` of `hot dog` and `hot_dog`"]
    );
}

#[test]
fn lists_that_cannot_be_used_are_refused() {
    for (list, expected) in [
        (
            "a.png cat\n../b.png\tcat\n/b.png\tcat\n\tcat\na.png\t",
            "DIR/list.txt: 5 lines are not PICTURE<TAB>CLASS: line 1 `a.png cat` has no tab, line 2 \
             `../b.png` leaves the folder through `..`, line 3 `/b.png` is absolute, line 4 `` names \
             no file, line 5 names no class",
        ),
        (
            "a.png\tcat\nz.png\tdog",
            "DIR/list.txt: 1 pictures of the list are missing: line 2 `DIR/images/z.png`",
        ),
        ("", "no classes found: `DIR/list.txt`: no pictures"),
        ("a.png\tcat", "no classes found: `DIR/list.txt`: a single class, needed two or more"),
    ] {
        let folder = folder(&["images/a.png", "images/b.png"]);
        fs::write(folder.path().join("list.txt"), list).unwrap();
        assert_eq!(refused(&folder)[0], expected, "{list:?}");
    }
}

#[test]
fn a_long_name_is_refused_and_shown_in_part() {
    let folder = folder(&ANIMALS);
    fs::write(folder.path().join("names.txt"), format!("cat\t{}\nred_fox\tfox", "é".repeat(501)))
        .unwrap();
    let expected = format!(
        "DIR/names.txt: 1 lines are not FOLDER<TAB>NAME: line 1 `{}...` is a name of 1002 bytes, at most 1000",
        "é".repeat(60)
    );
    assert_eq!(refused(&folder), [expected]);
}

fn labels(folder: &TempDir, path: &str) -> Result<ByClass, Vec<String>> {
    let source = ClassSource::labels_at(&folder.path().join(path), "dataset.train_data_sources");
    read_classes(&source).map_err(|error| {
        let lines = [error.to_string()].into_iter().chain(error.hints());
        lines.map(|line| told(folder, &line)).collect()
    })
}

fn keys(data: &ByClass) -> Vec<&str> {
    data.classes.iter().map(|class| class.key.as_str()).collect()
}

#[test]
fn labels_may_have_any_name() {
    // Names that no text could tell apart; capitals come first, as in Python.
    let files = ["Hot_dog", "hot dog", "hot_dog", "n02", "10", "9"]
        .map(|name| format!("images/{name}/a.png"));
    let folder = folder(&files.each_ref().map(String::as_str));
    let data = labels(&folder, "images").unwrap();
    assert_eq!(keys(&data), ["10", "9", "Hot_dog", "hot dog", "hot_dog", "n02"]);
    assert_eq!(data.warnings, [""; 0]);
    let classes: Vec<usize> = data.pictures.iter().map(|picture| picture.class).collect();
    assert_eq!(classes, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn labels_need_pictures_and_are_told_where_they_may_be() {
    let empty =
        [&ANIMALS[..], &["images/zebra/x.ppm", "images/owl/.hidden.png", "images/owl/.git/a.png"]];
    assert_eq!(
        labels(&folder(&empty.concat()), "images").unwrap_err(),
        ["DIR/images: 2 classes have no picture: `owl`, `zebra`"]
    );
    let split = folder(&["images/train/a/1.png", "images/train/b/1.png"]);
    assert_eq!(
        labels(&split, "images").unwrap_err()[1],
        "the folder is one level too high: set `dataset.train_data_sources: DIR/images/train`"
    );
}

#[test]
fn a_list_may_number_its_classes() {
    let list = "list.txt=b.png\t10\na.png\t9\nsub/c.png\t10\n";
    let files = ["a.png", "b.png", "sub/c.png", "d.png", list, "bad.txt=a.png\t1\n\nz.png\t2\n"];
    let folder = folder(&files);
    let data = labels(&folder, "list.txt").unwrap();
    assert_eq!(keys(&data), ["9", "10"]);
    assert_eq!(data.pictures.iter().map(|picture| picture.class).collect::<Vec<_>>(), [1, 0, 1]);
    assert_eq!(
        labels(&folder, "bad.txt").unwrap_err(),
        ["DIR/bad.txt: 1 pictures of the list are missing: line 3 `DIR/z.png`"]
    );
    // The same list without its classes.
    let source = PictureSource::at(&folder.path().join("list.txt"));
    let found = pictures(&[source]).unwrap().pictures;
    let expected = ["b.png", "a.png", "sub/c.png"].map(|name| folder.path().join(name));
    assert_eq!(found, expected);
    // And everything of the folder, sorted.
    let found = pictures(&[PictureSource::at(folder.path())]).unwrap().pictures;
    assert_eq!(
        found,
        ["a.png", "b.png", "d.png", "sub/c.png"].map(|name| folder.path().join(name))
    );
}

#[test]
fn pictures_take_the_places_of_the_models_classes() {
    let known: Vec<Class> = ["cat", "dog", "red_fox"]
        .map(|key| Class { key: key.to_owned(), name: key.to_owned() })
        .to_vec();
    let files = folder(&ANIMALS);
    let place = Path::new("val");
    let data = labels(&files, "images").unwrap().in_order_of(&known, place).unwrap();
    assert_eq!(keys(&data), ["cat", "dog", "red_fox"]);
    assert_eq!(data.pictures.iter().map(|picture| picture.class).collect::<Vec<_>>(), [0, 2, 2]);
    let more = folder(&[&ANIMALS[..], &["images/dogs/1.png", "images/whale/1.png"]].concat());
    let error = labels(&more, "images").unwrap().in_order_of(&known, place).unwrap_err();
    assert_eq!(
        error.to_string(),
        "val: 2 classes are not among those of the model: `dogs` (did you mean `dog`?), `whale`"
    );
}
