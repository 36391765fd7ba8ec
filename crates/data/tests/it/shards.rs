//! Tar shards: which are taken, what is in them, what is wrong with them, and that nothing depends on
//! threads or on the cache.

use std::fs;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use hearth_data::DataError;
use hearth_data::cache::Cache;
use hearth_data::captions::Captions;
use hearth_data::pairs::{Missing, Pair, Pairs, Reading, Source, read_pairs};
use hearth_data::random::Key;
use hearth_data::shards::ShardSource;
use hearth_data::unreadable::{Tolerance, Unreadable};
use hearth_data::work::{Unwatched, Watch};
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

/// A tar archive; a member is `name=content`, or `name` with itself as content.
pub(crate) fn tar_of(members: &[&str]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for member in members {
        let (name, content) = member.split_once('=').unwrap_or((member, member));
        add(&mut builder, name, EntryType::Regular, content.as_bytes());
    }
    builder.into_inner().unwrap()
}

fn add(builder: &mut Builder<Vec<u8>>, name: &str, kind: EntryType, content: &[u8]) {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, name, content).unwrap();
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    ruzstd::encoding::compress_to_vec(bytes, level)
}

/// A folder of shards and a cache beside it.
struct Place {
    folder: TempDir,
    cache: TempDir,
}

impl Place {
    fn new(shards: &[(&str, Vec<u8>)]) -> Place {
        let place =
            Place { folder: tempfile::tempdir().unwrap(), cache: tempfile::tempdir().unwrap() };
        shards.iter().for_each(|(name, bytes)| place.write(name, bytes));
        place
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn below(&self) -> ShardSource {
        ShardSource::Below(self.folder.path().to_owned())
    }

    fn list(&self, text: &str, root: Option<&str>) -> ShardSource {
        self.write("lists/shards.txt", text.as_bytes());
        ShardSource::List { list: self.path("lists/shards.txt"), root: root.map(str::to_owned) }
    }

    fn read(&self, source: ShardSource, captions: Captions) -> Result<Pairs, DataError> {
        self.read_as(source, captions, Missing::IsAnError, &Unwatched)
    }

    fn read_as(
        &self,
        source: ShardSource,
        captions: Captions,
        missing: Missing,
        watch: &dyn Watch,
    ) -> Result<Pairs, DataError> {
        let cache = Cache::at(self.cache.path());
        read_pairs(&[Source::Shards(source)], &Reading { captions, cache: &cache, missing, watch })
    }

    #[track_caller]
    fn pairs(&self, captions: Captions) -> Pairs {
        self.read(self.below(), captions).unwrap_or_else(|error| panic!("{error}"))
    }

    /// `name=caption` of each pair.
    fn shown(&self, pairs: &Pairs) -> String {
        pairs.pairs.iter().map(shown).collect::<Vec<_>>().join("|")
    }

    /// Without the names of temporary folders.
    fn text(&self, text: impl ToString) -> String {
        let cache = self.cache.path().display().to_string();
        text.to_string()
            .replace(&self.folder.path().display().to_string(), "DIR")
            .replace(&cache, "CACHE")
    }

    /// Read by a user who allows samples that cannot be read.
    fn left_out(&self) -> Pairs {
        self.read_as(self.below(), Captions::Whole, Missing::IsLeftOut, &Unwatched).unwrap()
    }

    fn error(&self) -> String {
        self.text(self.read(self.below(), Captions::Whole).unwrap_err())
    }

    fn warnings(&self) -> Vec<String> {
        self.pairs(Captions::Whole).warnings.iter().map(|line| self.text(line)).collect()
    }
}

fn shown(pair: &Pair) -> String {
    let caption = pair.caption.text(&Key::new(0)).unwrap();
    format!("{}={caption}", String::from_utf8_lossy(pair.image.name()))
}

#[test]
fn samples_are_runs_of_one_name_and_the_first_of_several_extensions_counts() {
    let place = Place::new(&[(
        "a.tar",
        tar_of(&[
            "notes.md",
            "s/1.txt= a dog \n",
            "s/1.png=P",
            "s/1.JPG=J",
            "s/2.jpeg",
            "s/2.cls=7",
            "s/2.text=\u{FEFF}two\nlines",
            "t/2.webp",
            "t/2.seg.png=no picture",
            "t/2.json={\"captions\": [\"first\", \"second\"]}",
            "t/._4.jpg",
            "t/._4.txt",
            "5.jpg",
            "5.json={\"caption\": \"json\"}",
            "5.txt=text",
        ]),
    )]);
    let pairs = place.pairs(Captions::Whole);
    assert_eq!(place.shown(&pairs), "s/1.JPG=a dog|s/2.jpeg=two\nlines|t/2.webp=first|5.jpg=text");
    assert_eq!(pairs.warnings, [""; 0]);
    assert_eq!(pairs.pairs[0].image.read(9).unwrap(), b"J");
    let (name, error) = (&pairs.pairs[1].image, pairs.pairs[1].image.read(3).unwrap_err());
    assert_eq!(place.text(name), "DIR/a.tar: member `s/2.jpeg`");
    let expected = "DIR/a.tar: member `s/2.jpeg`: found 8 bytes, at most 3 are read";
    assert_eq!(place.text(error), expected);
}

#[test]
fn captions_are_chosen_by_the_key() {
    let place = Place::new(&[(
        "a.tar",
        tar_of(&[
            "1.jpg",
            "1.txt=one\ntwo",
            "2.jpg",
            "2.txt=text",
            "2.json={\"captions\": [\"a\", \"b\", \"c\"]}",
            "3.jpg",
            "3.txt=three",
            "3.json={\"width\": 3}",
        ]),
    )]);
    for (captions, expected) in [
        (Captions::Whole, "1.jpg=one\ntwo|2.jpg=text|3.jpg=three"),
        (Captions::First, "1.jpg=one|2.jpg=a|3.jpg=three"),
        (Captions::All, "1.jpg=one|1.jpg=two|2.jpg=a|2.jpg=b|2.jpg=c|3.jpg=three"),
    ] {
        assert_eq!(place.shown(&place.pairs(captions)), expected);
    }
    let random = place.pairs(Captions::Random);
    let drawn = |epoch| random.pairs[1].caption.text(&Key::new(1).at(epoch)).unwrap();
    assert_eq!(drawn(3), drawn(3));
    let mut all: Vec<_> = (0..50).map(drawn).collect();
    all.sort();
    all.dedup();
    assert_eq!(all, ["a", "b", "c"]);
    let mut parts = Vec::new();
    random.pairs[0].caption.identify(|part| parts.push(String::from_utf8_lossy(part).into_owned()));
    assert_eq!(parts.last().unwrap(), "any");
}

#[test]
fn shards_are_found_below_a_folder_or_named_by_a_list() {
    let shard = |name: &str| tar_of(&[&format!("{name}.jpg"), &format!("{name}.txt")]);
    let place = Place::new(&[
        ("b/10.tar", shard("10")),
        ("b/9.tar", shard("9")),
        ("a.tar", shard("a")),
        ("c.tar.gz", gzip(&shard("c"))),
        ("d.tar.zst", zstd(&shard("d"))),
        ("e.tgz", gzip(&shard("e"))),
        (".hidden.tar", shard("h")),
        ("notes.txt", b"no shard".to_vec()),
    ]);
    let read = |source| match place.read(source, Captions::Whole) {
        Ok(pairs) => place.shown(&pairs).replace(".jpg", ""),
        Err(error) => place.text(error),
    };
    assert_eq!(read(place.below()), "a=a.txt|10=10.txt|9=9.txt|c=c.txt|d=d.txt|e=e.txt");
    let root = place.folder.path().display().to_string();
    let list = place.list("b/{9..10}.tar\n\n a.tar \n", Some(&root));
    assert_eq!(read(list), "a=a.txt|10=10.txt|9=9.txt", "sorted as text, as TAO does");
    assert_eq!(read(place.list("../{a.tar,c.tar.gz}", None)), "a=a.txt|c=c.txt");
    assert_eq!(read(place.list(&format!("{root}/a.tar"), Some("/nowhere"))), "a=a.txt");
    assert_eq!(read(ShardSource::One(place.path("b/9.tar"))), "9=9.txt");
    let twice = place.list("../a.tar\n../{a,c}.tar", None);
    place.write("c.tar", &shard("c"));
    assert_eq!(
        place.text(&place.read(twice, Captions::Whole).unwrap().warnings[0]),
        "DIR/lists/shards.txt: a shard that is named twice is read twice, such as DIR/lists/../a.tar"
    );
    assert_eq!(
        read(place.list("x{0..1}.tar\n../a.tar", None)),
        "DIR/lists/shards.txt: 2 shards cannot be read: \
         DIR/lists/x0.tar: cannot be read: No such file or directory (os error 2), \
         DIR/lists/x1.tar: cannot be read: No such file or directory (os error 2)"
    );
    assert_eq!(
        read(place.list("{0..99999999}.tar", None)),
        "DIR/lists/shards.txt: 1 lines cannot be used: line 1 stands for more than 1000000 names"
    );
    let long = format!("{{0..{}1}}.tar", "0".repeat(70_000));
    assert_eq!(
        read(place.list(&long, None)),
        "DIR/lists/shards.txt: 1 lines cannot be used: line 1 has 70010 bytes, at most 4096 are read"
    );
    let many = place.list("{0..599999}\n{0..599999}\nx", None);
    assert_eq!(
        read(many),
        "DIR/lists/shards.txt: 1 lines cannot be used: line 2 stands, with the lines before it, for \
         more than 1000000 names"
    );
    let wide = format!("{{0..999999}}{}.tar\n", "x".repeat(4000));
    assert_eq!(
        read(place.list(&wide.repeat(2), None)),
        "DIR/lists/shards.txt: 2 lines cannot be used: line 1 stands for names of more than \
         536870912 bytes, line 2 stands for names of more than 536870912 bytes"
    );
    assert_eq!(
        read(place.list("\n", None)),
        "no valid image-text pairs found across datasets: `DIR/lists/shards.txt`: the list holds no name"
    );
    assert_eq!(
        read(ShardSource::Below(place.path("lists"))),
        "no valid image-text pairs found across datasets: `DIR/lists`: no shards (*.tar, *.tar.gz, *.tar.zst)"
    );
}

/// Good members around a bad archive, so that a shard always has a sample.
fn with_good(change: impl FnOnce(&mut Builder<Vec<u8>>)) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    add(&mut builder, "good.jpg", EntryType::Regular, b"J");
    add(&mut builder, "good.txt", EntryType::Regular, b"good");
    change(&mut builder);
    builder.into_inner().unwrap()
}

#[test]
fn bad_members_are_named_counted_and_left_out() {
    let file = EntryType::Regular;
    type Change = fn(&mut Builder<Vec<u8>>);
    let cases: &[(Change, &str)] = &[
        (
            |b| add(b, "1.txt", EntryType::Regular, b"a"),
            "1 samples have no picture (*.jpg, *.jpeg, *.png, *.webp) and are left out; namely: DIR/a.tar: `1`",
        ),
        (
            |b| add(b, "1.jpg", EntryType::Regular, b"a"),
            "1 samples have no caption (*.txt, *.text, *.json) and are left out; namely: DIR/a.tar: `1`",
        ),
        (
            |b| {
                add(b, "1.jpg", EntryType::Regular, b"a");
                add(b, "1.txt", EntryType::Regular, b" \n");
            },
            "1 samples have an empty caption and are left out; namely: DIR/a.tar: `1`",
        ),
        (
            |b| {
                add(b, "1.jpg", EntryType::Regular, b"a");
                add(b, "1.txt", EntryType::Regular, b"");
            },
            "1 samples have an empty caption and are left out; namely: DIR/a.tar: `1`",
        ),
        (
            |b| {
                add(b, "1.jpg", EntryType::Regular, b"a");
                add(b, "1.txt", EntryType::Regular, b"a");
                add(b, "1.json", EntryType::Regular, b"{");
            },
            "1 samples have another picture or caption that cannot be used; namely: DIR/a.tar: `1`",
        ),
        (
            |b| {
                add(b, "1.png", EntryType::Regular, b"a");
                add(b, "1.jpg", EntryType::Regular, b"");
                add(b, "1.txt", EntryType::Regular, b"a");
            },
            "1 samples have another picture or caption that cannot be used; namely: DIR/a.tar: `1`",
        ),
        (
            |b| add(b, "1.jpg", EntryType::Symlink, b""),
            "1 members are links, devices or other than plain files and are left out; namely: DIR/a.tar: `1.jpg`, a symbolic link",
        ),
        (
            |b| {
                for name in ["1.jpg", "1.jpg", "1.txt"] {
                    add(b, name, EntryType::Regular, b"a");
                }
            },
            "1 members come twice in their sample, the first counts; namely: DIR/a.tar: `1.jpg`",
        ),
        (
            |b| {
                for name in ["2.jpg", "2.txt", "good.jpg", "good.txt"] {
                    add(b, name, EntryType::Regular, b"a");
                }
            },
            "1 samples have the name of an earlier one of their shard; namely: DIR/a.tar: `good`",
        ),
        (
            |b| {
                for name in ["1.txt", "2.txt", "3.txt", "4.txt"] {
                    add(b, name, EntryType::Regular, b"a");
                }
            },
            "4 samples have no picture (*.jpg, *.jpeg, *.png, *.webp) and are left out; the first: DIR/a.tar: `1`, DIR/a.tar: `2`, DIR/a.tar: `3`",
        ),
    ];
    for (change, expected) in cases {
        let place = Place::new(&[("a.tar", with_good(*change))]);
        assert_eq!(place.warnings(), [format!("DIR: {expected}")]);
        assert!(place.shown(&place.pairs(Captions::Whole)).starts_with("good.jpg=good"));
    }
    let whole = with_good(|b| add(b, "x", file, b""));
    let no_end = Place::new(&[("a.tar", whole[..whole.len() - 1024].to_vec())]);
    assert_eq!(
        no_end.warnings(),
        ["DIR: 1 shards end without an end mark, perhaps truncated; namely: `DIR/a.tar`"]
    );
    let two = Place::new(&[("a.tar", [whole.clone(), whole].concat())]);
    assert!(two.warnings()[0].contains("1 shards hold more behind their end mark"));
}

#[test]
fn samples_that_cannot_be_used_are_errors_or_are_left_out_as_the_user_allows() {
    let broken = |names: std::ops::Range<u32>, extension: &str, image: &[u8], caption: &[u8]| {
        with_good(|builder| {
            for name in names {
                add(builder, &format!("{name}.jpg"), EntryType::Regular, image);
                add(builder, &format!("{name}.{extension}"), EntryType::Regular, caption);
            }
        })
    };
    let (captions, sizes) =
        ("captions cannot be read", "samples have a picture or caption of an impossible size");
    let long = vec![b'a'; 2 << 20];
    for (shard, what) in [
        (broken(1..2, "txt", b"a", b"\xFF"), captions),
        (broken(1..2, "json", b"a", b"{"), captions),
        (broken(1..2, "txt", b"", b"a"), sizes),
        (broken(1..2, "txt", b"a", &long), sizes),
    ] {
        let place = Place::new(&[("a.tar", shard)]);
        let expected = format!("DIR: 1 {what}: DIR/a.tar: `1`");
        assert_eq!(place.error(), expected);
        assert_eq!(place.error(), expected, "by the index that is kept too");
        let pairs = place.left_out();
        assert_eq!(place.shown(&pairs), "good.jpg=good");
        assert_eq!(pairs.warnings, [""; 0]);
        assert_eq!(pairs.left_out.len(), 1);
        assert!(place.text(&pairs.left_out[0]).starts_with("DIR/a.tar: `1`: "));
    }
    // Ten are named, all are counted.
    let place = Place::new(&[
        ("a.tar", broken(0..8, "txt", b"a", b"\xFF")),
        ("b.tar", broken(0..8, "txt", b"a", b"\xFF")),
    ]);
    let error = place.error();
    assert!(error.starts_with("DIR: 16 captions cannot be read: DIR/a.tar: `0`, "), "{error}");
    assert!(error.ends_with("DIR/b.tar: `1`, and 6 more"), "{error}");
    let left_out = place.left_out().left_out;
    assert_eq!(left_out.len(), 16);
    assert_eq!(place.text(&left_out[9]), "DIR/b.tar: `1`: its caption cannot be read");
    assert_eq!(place.text(&left_out[15]), "DIR: another sample: its caption cannot be read");
    let half = Tolerance { share: 0.9, key: "key" };
    let news = Unreadable::new(half, 2, left_out).unwrap().take_news();
    assert_eq!(news.len(), 11);
    let last = "DIR: another sample: its caption cannot be read (6 times); left out";
    assert_eq!(place.text(&news[10]), last);
    // Nothing but such samples is not an empty data set.
    let only = Place::new(&[("a.tar", tar_of(&["1.jpg", "1.json={"]))]);
    assert_eq!(only.error(), "DIR: 1 captions cannot be read: DIR/a.tar: `1`");
    assert_eq!(only.left_out().left_out.len(), 1);
}

/// Stops at once.
struct Stop;

impl Watch for Stop {
    fn begin(&self, _what: &str, _parts: u64) {}
    fn advance(&self, _done: u64, _detail: &str) {}
    fn end(&self) {}
    fn is_stopped(&self) -> bool {
        true
    }
}

#[test]
fn waiting_for_another_process_can_be_stopped() {
    let place = Place::new(&[("a.tar.gz", gzip(&tar_of(&["1.jpg", "1.txt=one"])))]);
    place.pairs(Captions::Whole);
    let (mut locks, mut others) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(place.cache.path().join("unpacked")).unwrap() {
        let path = entry.unwrap().path();
        let is_lock = path.extension().unwrap() == "lock";
        if is_lock { &mut locks } else { &mut others }.push(path);
    }
    others.iter().for_each(|path| fs::remove_file(path).unwrap());
    let lock = fs::File::open(&locks[0]).unwrap();
    lock.lock().unwrap();
    let (say, said) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let found = place.read_as(place.below(), Captions::Whole, Missing::IsAnError, &Stop);
        say.send(matches!(found, Err(DataError::Stopped))).unwrap();
    });
    assert!(said.recv_timeout(std::time::Duration::from_secs(20)).unwrap());
}

#[test]
fn archives_that_are_not_whole_are_errors_with_the_name_of_the_shard() {
    let good = with_good(|_| {});
    let name = good.iter().position(|&byte| byte == b'g').unwrap();
    let damaged = [&good[..1024 + name], b"X", &good[1024 + name + 1..]].concat();
    for (bytes, expected) in [
        (good[..1536].to_vec(), "truncated: it ends inside `good.txt`, at byte 1536"),
        (good[..1100].to_vec(), "truncated: it ends inside a header, at byte 1100"),
        (gzip(&good)[..60].to_vec(), "truncated: it ends early"),
        (
            b"<html>not found</html>".to_vec(),
            "found an HTML page (a failed download?), needed a tar archive",
        ),
        (Vec::new(), "found an empty file, needed a tar archive"),
        (b"BZh91AY".to_vec(), "found a bzip2 file, needed a tar archive"),
        (damaged, "damaged: found something else than the header of a member at byte 1024"),
    ] {
        let place = Place::new(&[("a.tar", bytes), ("b.tar", good.clone())]);
        assert_eq!(place.error(), format!("DIR: 1 shards cannot be read: DIR/a.tar: {expected}"));
    }
}

#[test]
fn shards_without_a_sample_are_explained() {
    let members = ["1.jpg", "2.jpg", "1.txt", "2.txt"];
    let place = Place::new(&[("a.tar", tar_of(&members)), ("b.tar", tar_of(&[]))]);
    let error = place.read(place.below(), Captions::Whole).unwrap_err();
    assert_eq!(
        place.text(&error),
        "no valid image-text pairs found across datasets: `DIR`: 2 shards, 4 samples without \
         picture or caption"
    );
    let hints = error.hints();
    assert!(hints.last().unwrap().contains("must follow each other"), "{hints:?}");

    place.write("c.tar", &tar_of(&["1.jpg", "1.txt"]));
    let warnings = place.warnings();
    let expected = "DIR: 2 shards hold no sample, the first: DIR/a.tar";
    assert!(warnings.iter().any(|line| line == expected), "{warnings:?}");
}

#[test]
fn an_index_is_kept_and_used_only_while_it_is_right() {
    let first = tar_of(&["1.jpg", "1.txt=one"]);
    let place = Place::new(&[("a.tar", first.clone())]);
    let shown = || place.shown(&place.pairs(Captions::Whole));
    assert_eq!(shown(), "1.jpg=one");
    let kept = || -> Vec<PathBuf> {
        let entries = fs::read_dir(place.cache.path().join("indexes")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let [index] = &kept()[..] else { panic!("one index, nothing else") };
    let (sound, written) =
        (fs::read(index).unwrap(), fs::metadata(index).unwrap().modified().unwrap());
    assert_eq!(shown(), "1.jpg=one");
    assert_eq!(fs::metadata(index).unwrap().modified().unwrap(), written, "not made again");

    // What follows shows whether the index is read: it says something else than the shard.
    let text = String::from_utf8(sound.clone()).unwrap();
    let (first_line, json) = text.split_once('\n').unwrap();
    let other = json.replace("1.jpg", "X.jpg");
    for broken in [
        Vec::new(),
        b"hearth shard index 1 00\n{}".to_vec(),
        sound[..sound.len() - 1].to_vec(),
        [first_line.as_bytes(), b"\n", other.as_bytes()].concat(),
    ] {
        fs::write(index, broken).unwrap();
        assert_eq!(shown(), "1.jpg=one");
        assert_eq!(fs::read(index).unwrap(), sound, "made again");
    }

    // Another state of the shard has another index.
    place.write("a.tar", &tar_of(&["2.jpg", "2.txt=two", "3.jpg", "3.txt=three"]));
    assert_eq!(shown(), "2.jpg=two|3.jpg=three");
    assert_eq!(kept().len(), 1);
}

#[test]
fn a_shard_that_changes_under_a_run_is_noticed() {
    let place = Place::new(&[("a.tar", tar_of(&["1.jpg", "1.txt=one"]))]);
    let pairs = place.pairs(Captions::Whole);
    place.write("a.tar", &tar_of(&["1.jpg", "1.txt=other", "2.jpg", "2.txt"]));
    let expected = "DIR/a.tar: member `1.jpg`: the shard has changed since this run indexed it";
    assert_eq!(place.text(pairs.pairs[0].image.read(99).unwrap_err()), expected);
    assert_eq!(place.text(pairs.pairs[0].caption.text(&Key::new(0)).unwrap_err()), expected);
}

#[test]
fn without_a_cache_plain_shards_are_read_and_compressed_ones_are_refused() {
    let shard = tar_of(&["1.jpg", "1.txt=one"]);
    let place = Place::new(&[("a.tar", shard.clone())]);
    fs::remove_dir(place.cache.path()).unwrap();
    fs::write(place.cache.path(), b"a file in the place of the cache").unwrap();
    let pairs = place.pairs(Captions::Whole);
    assert_eq!(place.shown(&pairs), "1.jpg=one");
    let warning = place.text(&pairs.warnings[0]);
    let expected =
        "the index of 1 shards cannot be kept, so the next run makes it again: CACHE/indexes: ";
    assert!(warning.starts_with(expected), "{warning}");

    place.write("a.tar.gz", &gzip(&shard));
    let error = place.error();
    let expected = "DIR: 1 shards cannot be read: unpacking DIR/a.tar.gz needs a writable cache: CACHE/unpacked: ";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn compressed_shards_are_unpacked_once() {
    let shard = tar_of(&["1.jpg", "1.txt=one"]);
    // Parallel compressors write several parts.
    let (a, b) = shard.split_at(700);
    let parts = [zstd(a), b"\x50\x2A\x4D\x18\x03\0\0\0abc".to_vec(), zstd(b)].concat();
    for bytes in [gzip(&shard), [gzip(a), gzip(b)].concat(), zstd(&shard), parts] {
        let place = Place::new(&[("a.tar.gz", bytes)]);
        let shown = || place.shown(&place.pairs(Captions::Whole));
        assert_eq!(shown(), "1.jpg=one");
        let unpacked = || -> Vec<_> {
            let entries = fs::read_dir(place.cache.path().join("unpacked")).unwrap();
            let paths = entries.map(|entry| entry.unwrap().path());
            paths.filter(|path| path.extension().unwrap() != "lock").collect()
        };
        let [copy] = &unpacked()[..] else { panic!("{:?}", unpacked()) };
        assert_eq!(fs::read(copy).unwrap(), shard);
        let written = fs::metadata(copy).unwrap().modified().unwrap();
        assert_eq!(shown(), "1.jpg=one");
        assert_eq!(fs::metadata(copy).unwrap().modified().unwrap(), written);
    }
}

#[test]
fn a_small_file_cannot_fill_the_disk() {
    let zeros = vec![0; 80 << 20];
    for bytes in [gzip(&zeros), zstd(&zeros)] {
        let place = Place::new(&[("a.tar", bytes)]);
        assert_eq!(
            place.error(),
            "DIR: 1 shards cannot be read: DIR/a.tar: cannot be read: it unpacks to more than 250 \
             times its size"
        );
        let left: Vec<_> = fs::read_dir(place.cache.path().join("unpacked")).unwrap().collect();
        assert_eq!(left.len(), 1, "the lock only: {left:?}");
    }
}

#[test]
fn a_real_set_is_read_as_its_list_says() {
    let Some(folder) = super::fixtures::shared("data/flickr8k_mini") else { return };
    let cache = tempfile::tempdir().unwrap();
    let cache = Cache::at(cache.path());
    let source = [Source::Shards(ShardSource::One(folder.join("val-0000.tar")))];
    let reading = Reading {
        captions: Captions::All,
        cache: &cache,
        missing: Missing::IsAnError,
        watch: &Unwatched,
    };
    let pairs = read_pairs(&source, &reading).unwrap();
    assert_eq!((pairs.pairs.len(), pairs.shards[0].len()), (2000, 400));
    let list = fs::read_to_string(folder.join("pairs.jsonl")).unwrap();
    let lines = list.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let expected: Vec<String> = lines
        .filter(|line| line["split"] == "val")
        .flat_map(|line| line["captions"].as_array().unwrap().clone())
        .map(|caption| caption.as_str().unwrap().trim().to_owned())
        .collect();
    let mut found: Vec<String> = pairs
        .pairs
        .iter()
        .map(|pair| pair.caption.text(&Key::new(0)).unwrap().into_owned())
        .collect();
    let mut expected = expected;
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    for pair in pairs.pairs.iter().step_by(5) {
        assert!(pair.image.read(1 << 20).unwrap().starts_with(b"\xFF\xD8\xFF"));
    }
}

#[test]
fn shards_do_not_care_where_they_lie() {
    let shard = tar_of(&["1.jpg", "1.txt=one"]);
    let place = Place::new(&[("a.tar", shard.clone()), ("b/c.tar", shard)]);
    let pairs = place.pairs(Captions::Whole);
    assert_eq!(pairs.shards[0].digest(), pairs.shards[1].digest());
    let other = Place::new(&[("a.tar", tar_of(&["1.jpg", "1.txt=ona"]))]);
    assert_ne!(pairs.shards[0].digest(), other.pairs(Captions::Whole).shards[0].digest());
    assert!(Path::new(pairs.shards[0].name()).ends_with("a.tar"));
}
