//! Archives in the place of folders: TAO's rule for their names, what is refused, and that only a
//! complete folder is used.

use std::fs;
use std::path::Path;

use hearth_data::DataError;
use hearth_data::archives::unpacked_folder;
use hearth_data::cache::Cache;
use hearth_data::captions::{Captions, PairSource};
use hearth_data::pairs::{Missing, Reading, Source, read_pairs};
use hearth_data::random::Key;
use hearth_data::work::Unwatched;
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use super::shards::{gzip, tar_of, zstd};

/// A folder for archives and `cache` beside them.
fn place(archives: &[(&str, Vec<u8>)]) -> TempDir {
    let place = tempfile::tempdir().unwrap();
    for (name, bytes) in archives {
        fs::write(place.path().join(name), bytes).unwrap();
    }
    place
}

fn cache(place: &TempDir) -> Cache {
    Cache::at(&place.path().join("cache"))
}

fn unpack(place: &TempDir, name: &str) -> Result<std::path::PathBuf, DataError> {
    unpacked_folder(&place.path().join(name), &cache(place), &Unwatched)
}

/// All files below a folder, as `name=content`.
fn files(folder: &Path) -> Vec<String> {
    let (mut open, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.push(format!("{name}={}", fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[track_caller]
fn error(place: &TempDir, name: &str) -> String {
    let error = unpack(place, name).unwrap_err();
    error.to_string().replace(&place.path().display().to_string(), "DIR")
}

#[test]
fn a_folder_is_named_as_its_archive_and_unpacked_once() {
    let archive = tar_of(&["images/a.jpg=A", "./images/s/b.jpg=B", "notes.txt"]);
    for (name, bytes) in [
        ("images.tar", archive.clone()),
        ("images.v2.tar.gz", gzip(&archive)),
        ("images.tar.zst", zstd(&archive)),
    ] {
        let place = place(&[(name, bytes)]);
        let folder = unpack(&place, name).unwrap();
        assert!(folder.ends_with("images") && folder.starts_with(place.path().join("cache")));
        assert_eq!(files(&folder), ["a.jpg=A", "s/b.jpg=B"]);
        // A file that is gone stays gone: nothing was unpacked again.
        fs::remove_file(folder.join("a.jpg")).unwrap();
        assert_eq!(unpack(&place, name).unwrap(), folder);
        assert_eq!(files(&folder), ["s/b.jpg=B"]);
        // Another archive of the same name has another folder.
        fs::write(place.path().join(name), tar_of(&["images/c.jpg=C"])).unwrap();
        assert_eq!(files(&unpack(&place, name).unwrap()), ["c.jpg=C"]);
    }
}

#[test]
fn folders_in_front_of_images_are_taken_off_all_members() {
    let archive = tar_of(&["a/b/first.txt=1", "a/top", "a/b/images/x.jpg=X", "c/d/images/y.jpg=Y"]);
    let place = place(&[("images.tar", archive)]);
    let folder = unpack(&place, "images.tar").unwrap();
    assert_eq!(files(&folder), ["x.jpg=X", "y.jpg=Y"]);
    assert_eq!(
        files(folder.parent().unwrap()),
        ["first.txt=1", "images/x.jpg=X", "images/y.jpg=Y"]
    );
}

#[test]
fn an_archive_without_its_folder_is_explained() {
    let place = place(&[
        ("captions.tar", tar_of(&["data/captions/a.txt", "readme"])),
        ("flat.tar", tar_of(&["1", "2", "3", "4", "5"])),
        ("none.tar", tar_of(&[])),
        (".tar", tar_of(&["a"])),
    ]);
    let needed = |name: &str| format!("needed a folder `{name}`, named as the archive");
    for (name, found) in [
        ("captions", "found `data`, `readme`, "),
        ("flat", "found `1`, `2`, `3` and 2 more, "),
        ("none", "found nothing, "),
        ("", "found `a`, "),
    ] {
        let expected = format!("DIR/{name}.tar: {found}{}", needed(name));
        assert_eq!(error(&place, &format!("{name}.tar")), expected);
    }
}

fn with_header(change: impl FnOnce(&mut Header)) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_size(0);
    change(&mut header);
    header.set_cksum();
    let mut bytes = tar_of(&["images/a.jpg=A"]);
    bytes.truncate(1024);
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend([0; 1024]);
    bytes
}

fn named(name: &str) -> Vec<u8> {
    with_header(|header| header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes()))
}

fn link(kind: EntryType) -> Vec<u8> {
    with_header(|header| {
        header.set_entry_type(kind);
        header.set_path("images/x.jpg").unwrap();
        header.as_old_mut().linkname[..11].copy_from_slice(b"/etc/passwd");
    })
}

#[test]
fn members_that_could_leave_the_folder_are_refused() {
    let too_long = format!("images/{}", "x".repeat(256));
    let good = tar_of(&["images/a.jpg=A"]);
    let twice = [
        (&["x/train/images/1.jpg=A", "y/val/images/1.jpg=B"][..], "y/val/images/1.jpg"),
        (&["images/1.jpg=A", "images/1.jpg=B"], "images/1.jpg"),
        (&["images/1.jpg=A", "images/1.jpg/2.jpg=B"], "images/1.jpg/2.jpg"),
    ];
    let twice = twice.map(|(members, member)| {
        (tar_of(members), format!("member `{member}` has, unpacked, the name of an earlier one"))
    });
    let mut cases = vec![
        (named("../outside.jpg"), "member `../outside.jpg` leaves the folder through `..`"),
        (named("images/../../x"), "member `images/../../x` leaves the folder through `..`"),
        (named("/tmp/outside.jpg"), "member `/tmp/outside.jpg` has an absolute name"),
        (link(EntryType::Symlink), "member `images/x.jpg` is a symbolic link, needed a file"),
        (link(EntryType::Link), "member `images/x.jpg` is a hard link, needed a file"),
        (link(EntryType::Char), "member `images/x.jpg` is a device, needed a file"),
        (link(EntryType::Fifo), "member `images/x.jpg` is a pipe, needed a file"),
        (good[..512].to_vec(), "truncated: it ends inside `images/a.jpg`, at byte 512"),
        (gzip(&good)[..50].to_vec(), "truncated: it ends early"),
        (b"PK\x03\x04".to_vec(), "found a zip archive, needed a tar archive"),
    ];
    cases.extend(twice.iter().map(|(archive, expected)| (archive.clone(), expected.as_str())));
    let name = format!("member `{too_long}` has a too long name");
    cases.push((tar_of(&[&too_long]), &name));
    let bomb = gzip(&[tar_of(&["images/a.jpg=A"]), vec![0; 80 << 20]].concat());
    let mut zeros = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(80 << 20);
    zeros.append_data(&mut header, "images/zeros", &vec![0; 80 << 20][..]).unwrap();
    let zeros = gzip(&zeros.into_inner().unwrap());
    cases.push((zeros, "cannot be read: it unpacks to more than 250 times its size"));
    for (bytes, expected) in cases {
        let place = place(&[("images.tar", bytes)]);
        assert_eq!(error(&place, "images.tar"), format!("DIR/images.tar: {expected}"));
        let left: Vec<_> = fs::read_dir(place.path().join("cache/folders"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir())
            .collect();
        assert!(left.is_empty(), "{left:?}");
        let outside = [place.path().join("outside.jpg"), place.path().join("cache/outside.jpg")];
        assert!(outside.iter().all(|path| !path.exists()));
    }
    // What lies behind the end mark is nobody's business.
    let place = place(&[("images.tar", bomb)]);
    assert_eq!(files(&unpack(&place, "images.tar").unwrap()), ["a.jpg=A"]);
}

#[test]
fn what_a_killed_process_left_is_not_taken_for_complete() {
    let place = place(&[("images.tar", tar_of(&["images/a.jpg=A", "images/b.jpg=B"]))]);
    let folder = unpack(&place, "images.tar").unwrap();
    // Back to the state in the middle of unpacking.
    let complete = folder.parent().unwrap();
    let mut unfinished = complete.to_owned().into_os_string();
    unfinished.push(".tmp");
    fs::rename(complete, &unfinished).unwrap();
    fs::remove_file(Path::new(&unfinished).join("images/b.jpg")).unwrap();
    fs::write(Path::new(&unfinished).join("images/torn.jpg"), "x").unwrap();
    assert_eq!(files(&unpack(&place, "images.tar").unwrap()), ["a.jpg=A", "b.jpg=B"]);
    assert!(!Path::new(&unfinished).exists());
}

#[test]
fn archives_stand_for_the_folders_of_pairs() {
    let place = place(&[
        ("images.tar.gz", gzip(&tar_of(&["images/a.jpg=A", "images/b.jpg=B"]))),
        ("captions.tar.gz", gzip(&tar_of(&["captions/a.txt=one", "captions/b.txt=two"]))),
        ("list.txt", b"b.jpg\n".to_vec()),
    ]);
    let read = |list: Option<&str>| {
        let source = PairSource {
            image_dir: place.path().join("images.tar.gz"),
            image_list_file: list.map(|list| place.path().join(list)),
            caption_dir: Some(place.path().join("captions.tar.gz")),
            caption_file_suffix: ".txt".to_owned(),
        };
        let cache = cache(&place);
        let reading = Reading {
            captions: Captions::Whole,
            cache: &cache,
            missing: Missing::IsAnError,
            watch: &Unwatched,
        };
        let pairs = read_pairs(&[Source::Folder(source)], &reading).unwrap();
        let caption =
            |pair: &hearth_data::pairs::Pair| pair.caption.text(&Key::new(0)).unwrap().into_owned();
        pairs.pairs.iter().map(caption).collect::<Vec<_>>()
    };
    assert_eq!(read(None), ["one", "two"]);
    assert_eq!(read(Some("list.txt")), ["two"]);
    fs::write(place.path().join("cache2"), "").unwrap();
    let nowhere = Cache::at(&place.path().join("cache2"));
    let error =
        unpacked_folder(&place.path().join("images.tar.gz"), &nowhere, &Unwatched).unwrap_err();
    assert!(error.to_string().contains("needs a writable cache"), "{error}");
    assert_eq!(error.hints(), ["set HEARTH_CACHE to a folder with room for it"]);
}
