//! PyTorch files made to hurt: nothing is executed, no panic, no hang, no memory on their word.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use hearth_weights::WeightsFile;
use proptest::prelude::*;
use zip::{ZipWriter, write::SimpleFileOptions};

use super::bytes::{message, put};

/// A zip archive of these entries, as they are.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in entries {
        zip.start_file(*name, stored).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A checkpoint of a pickle with one storage of 6 floats, called `0`.
fn checkpoint(pickle: &[u8]) -> Vec<u8> {
    let values: Vec<u8> = (0..6u8).flat_map(|i| f32::from(i).to_le_bytes()).collect();
    archive(&[("a/data.pkl", pickle), ("a/byteorder", b"little"), ("a/data/0", &values)])
}

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

/// `tensor("0", "6", "0", "2 3", "3 1")`; numbers as digits of protocol 0.
fn tensor(key: &str, len: &str, offset: &str, shape: &str, strides: &str) -> Vec<u8> {
    let int = |number: &str| format!("I{number}\n").into_bytes();
    let tuple = |numbers: &str| {
        let all: Vec<Vec<u8>> = numbers.split_whitespace().map(int).collect();
        [b"(".to_vec(), all.concat(), b"t".to_vec()].concat()
    };
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text(key),
        text("cpu"),
        int(len),
        b"tQ".to_vec(),
        int(offset),
        tuple(shape),
        tuple(strides),
        b"\x89NtR".to_vec(),
    ]
    .concat()
}

/// `{name: value}` of already pickled values.
fn dict(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let all: Vec<u8> =
        entries.iter().flat_map(|(name, value)| [text(name), value.to_vec()].concat()).collect();
    [b"}(".to_vec(), all, b"u".to_vec()].concat()
}

fn pickle(root: &[u8]) -> Vec<u8> {
    [b"\x80\x02", root, b"."].concat()
}

fn whole() -> Vec<u8> {
    tensor("0", "6", "0", "2 3", "3 1")
}

/// Opens a file and reads everything that it offers.
fn open(path: &Path) -> Result<usize, String> {
    let folder = path.parent().unwrap();
    let file = WeightsFile::open(path).map_err(|err| message(&err, folder))?;
    for name in file.names() {
        let entry = file.entry(name).unwrap();
        assert!(entry.len() <= (1 << 24).max(fs::metadata(path).unwrap().len() as usize));
        let values = match entry.dtype.name() {
            "F32" | "F16" | "BF16" | "F64" => file.read_f32(name).map(|values| values.len()),
            _ => file.read_i64(name).map(|values| values.len()),
        };
        match values {
            Ok(values) => assert_eq!(values, entry.len()),
            Err(err) => return Err(message(&err, folder)),
        }
    }
    if let Some(extra) = file.extra() {
        serde_json::to_string(extra).unwrap();
    }
    Ok(file.names().len())
}

#[track_caller]
fn check(bytes: &[u8], expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let found = open(&put(folder.path(), "a.pth", bytes));
    let found = found.map_or_else(|message| message, |tensors| format!("{tensors} tensors"));
    let found = found.replace("a.pth: not a PyTorch file that can be read: ", "");
    assert!(found.starts_with(expected), "found    {found}\nexpected {expected}");
}

/// A dictionary of one tensor `w`.
#[track_caller]
fn check_tensor(tensor: &[u8], expected: &str) {
    check(&checkpoint(&pickle(&dict(&[("w", tensor)]))), expected);
}

#[test]
fn the_honest_file_is_read() {
    check_tensor(&whole(), "1 tensors");
    check_tensor(&tensor("0", "6", "1", "2 2", "3 1"), "1 tensors");
    check_tensor(&tensor("0", "6", "5", "1000000", "0"), "1 tensors");
    check_tensor(&tensor("0", "6", "0", "0 4294967296", "1 1"), "1 tensors");
}

#[test]
fn pickles_that_run_code_are_refused_by_name() {
    let traces = tempfile::tempdir().unwrap();
    let trace = traces.path().join("ran");
    let command = text(&format!("touch {}", trace.display()));
    for name in [
        "os\nsystem",
        "posix\nsystem",
        "nt\nsystem",
        "subprocess\nPopen",
        "builtins\neval",
        "builtins\nexec",
        "__builtin__\n__import__",
        "runpy\nrun_path",
        "importlib\nimport_module",
        "importlib.util\nfind_spec",
        "webbrowser\nopen",
        "shutil\nrmtree",
        "torch.hub\nload",
    ] {
        let shown = name.replace('\n', ".");
        let expected = format!("its pickle asks for `{shown}`, which runs code and belongs in no");
        let called =
            [format!("c{name}\n").into_bytes(), command.clone(), b"\x85R".to_vec()].concat();
        check(&checkpoint(&pickle(&called)), &expected);
        check_tensor(&called, &expected);
        let (module, function) = name.split_once('\n').unwrap();
        let stacked = [text(module), text(function), b"\x93".to_vec(), command.clone()].concat();
        check_tensor(&[&stacked[..], b"\x85R"].concat(), &expected);
    }
    assert!(!trace.exists());
    // A class that nobody knows stays closed.
    let unknown = b"cabsent\nThing\n(tR}X\x01\0\0\0aK\x01sb".to_vec();
    check(&checkpoint(&pickle(&dict(&[("w", &whole()), ("x", &unknown)]))), "1 tensors");
}

#[test]
fn tensors_stay_inside_their_storage() {
    for (fields, expected) in [
        (["0", "6", "0", "7", "1"], "of shape [7], strides [1] and offset 0 does not fit into"),
        (["0", "6", "1", "6", "1"], "of shape [6], strides [1] and offset 1 does not fit into"),
        (["0", "6", "0", "2", "6"], "of shape [2], strides [6] and offset 0 does not fit into"),
        (["0", "7", "0", "7", "1"], "needs storage `0` of 28 bytes, found 24"),
        (["0", "6", "0", "-1", "1"], "has -1 in its shape"),
        (["0", "6", "0", "2", "-1"], "has -1 in its strides"),
        (["0", "6", "-1", "2", "1"], "has -1 in its offset"),
        (["0", "-6", "0", "2", "1"], "has -6 in its storage size"),
        (["0", "6", "9223372036854775807", "2", "1"], "of shape [2]"),
        (["0", "9223372036854775807", "0", "9223372036854775807", "1"], "has shape [922337203685"),
        (["0", "9223372036854775807", "0", "1", "1"], "needs storage `0` of 368934881474191032"),
        (["0", "6", "0", "2 2", "9223372036854775807 1"], "of shape [2, 2]"),
        (["0", "6", "0", "4294967296 4294967296 4294967296", "0 0 0"], "has shape [4294967296"),
        (["0", "6", "0", "100000 100000", "0 0"], "repeats 6 values 10000000000 times, the limit"),
        (["0", "6", "0", "2 3", "1"], "has 2 dimensions and 1 strides"),
        (["1", "6", "0", "2 3", "3 1"], "has its values in `1`, which is not there"),
        (["../../../etc/passwd", "6", "0", "6", "1"], "has its values in `../../../etc/passwd`"),
        (["/etc/passwd", "6", "0", "6", "1"], "has its values in `/etc/passwd`, which is not"),
        (["../data.pkl", "6", "0", "6", "1"], "has its values in `../data.pkl`, which is not"),
    ] {
        let [key, len, offset, shape, strides] = fields;
        let tensor = tensor(key, len, offset, shape, strides);
        check_tensor(&tensor, &format!("tensor `w` {expected}"));
    }
    let many = "1 ".repeat(17);
    check_tensor(&tensor("0", "6", "0", &many, &many), "tensor `w` has a shape of 17 numbers");
    check_tensor(
        b"ctorch._utils\n_rebuild_sparse_tensor\n(NNtR",
        "tensor `w` is of the kind `torch._utils._rebuild_sparse_tensor`, need a plain tensor",
    );
    check_tensor(b"ctorch._utils\n_rebuild_tensor_v2\n(NNNNtR", "tensor `w` has no storage");
    check_tensor(b"ctorch._utils\n_rebuild_tensor_v2\n)R", "tensor `w` is of the kind");
}

#[test]
fn pickles_that_make_no_sense() {
    let at = |pickle: &[u8], expected: &str| check(&checkpoint(pickle), expected);
    at(b"", "ends at byte 0, in the middle of its pickle\nhint: the file is incomplete");
    at(b"\x80\x02}", "ends at byte 3");
    at(b"\x80\x06}.", "byte 0 of its pickle: found protocol 6, need 5 or an older one");
    at(b"\x80\x02X\xff\xff\xff\xff", "ends at byte 7");
    at(b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "ends at byte 11");
    at(b"\x80\x02\x8b\xff\xff\xff\x7f", "ends at byte 7");
    at(b"\x80\x02.", "byte 2 of its pickle: takes a value where there is none");
    at(b"\x80\x02(0.", "byte 4 of its pickle: takes a value where there is none");
    at(b"\x80\x02}(K\x01u.", "byte 6 of its pickle: a key without a value");
    at(b"\x80\x02K\x01K\x02a.", "byte 6 of its pickle: appends to something else than a list");
    at(b"\x80\x02K\x01e.", "byte 4 of its pickle: closes a bracket that is not open");
    at(b"\x80\x02\x86.", "byte 2 of its pickle: takes a value where there is none");
    at(b"\x80\x02K\x01R.", "byte 4 of its pickle: takes a value where there is none");
    at(b"\x80\x02h\x07.", "byte 2 of its pickle: recalls value 7, which was not remembered");
    at(b"\x80\x02\x82\x01.", "byte 2 of its pickle: found the instruction 0x82");
    at(b"\x80\x02K\x01.", "holds a number, need a dictionary of tensors");
    at(
        b"\x80\x02}.",
        "holds a dictionary, need a dictionary of tensors\nhint: save the `state_dict()`",
    );
    at(b"\x80\x02cabsent\nModel\n)\x81}b.", "holds <absent.Model>, need a dictionary of tensors");
}

/// What is written twice, and what contains itself.
#[test]
fn names_and_cycles() {
    let root = dict(&[("w", &whole()), ("w", &whole())]);
    check(&checkpoint(&pickle(&root)), "tensor `w` is listed twice");
    let root = dict(&[("a.w", &whole()), ("a", &dict(&[("w", &whole())]))]);
    check(&checkpoint(&pickle(&root)), "tensor `a.w` is listed twice");
    // x = {"w": tensor}; x["x"] = x
    let root = [b"}q\x00(", &text("w")[..], &whole(), &text("x"), b"h\x00u"].concat();
    check(&checkpoint(&pickle(&root)), "its pickle has more than 100 dictionaries inside each");
    // A list that contains itself is no obstacle to the tensors beside it.
    let root = dict(&[("w", &whole()), ("x", b"]q\x00h\x00a")]);
    check(&checkpoint(&pickle(&root)), "1 tensors");
    // A parameter of itself.
    let own = b"ctorch._utils\n_rebuild_parameter\n]q\x00Rq\x01h\x00h\x01a0";
    check_tensor(own, "holds a dictionary, need a dictionary of tensors");
}

/// Small files that stand for enormous values.
#[test]
fn bombs_stay_small() {
    // Tuples of two times the one before, 60 times.
    let mut shared = b"K\x01\x85q\x00".to_vec();
    for step in 0..60u8 {
        shared.extend([b'0', b'h', step, b'h', step, 0x86, b'q', step + 1]);
    }
    let root = dict(&[("w", &whole()), ("x", &shared)]);
    check(&checkpoint(&pickle(&root)), "1 tensors");
    // The same of dictionaries with a tensor inside: 2^60 names.
    let mut shared = [b"}".to_vec(), text("w"), whole(), b"sq\x00".to_vec()].concat();
    for step in 0..60u8 {
        shared.extend(b"0}(");
        shared.extend([text("a"), vec![b'h', step], text("b"), vec![b'h', step]].concat());
        shared.extend([b'u', b'q', step + 1]);
    }
    check(&checkpoint(&pickle(&shared)), "its pickle has more than");
    // Deeper than any stack.
    let dictionaries = "its pickle has more than 100 dictionaries inside each other";
    for (opens, closes, expected) in [
        (&b"]"[..], &b"a"[..], "1 tensors"),
        (b"}K\x01", b"s", dictionaries),
        (b"", b"\x85", "1 tensors"),
    ] {
        let deep = [opens.repeat(1_000_000), b"N".to_vec(), closes.repeat(1_000_000)].concat();
        let root = dict(&[("w", &whole()), ("x", &deep)]);
        check(&checkpoint(&pickle(&root)), expected);
    }
    check(&checkpoint(&pickle(&b"(".repeat(1_000_000))), "byte 65538 of its pickle: more than");
    // More values than any checkpoint.
    let long = [&b"]("[..], &b"N".repeat(9_000_000), b"e"].concat();
    check(&checkpoint(&pickle(&long)), "its pickle has more than 8000000 values");
    let recalled = [&b"]q\x00("[..], &b"h\x00".repeat(9_000_000), b"e"].concat();
    check(&checkpoint(&pickle(&recalled)), "its pickle has more than 8000000 values");
}

#[test]
fn archives_that_lie() {
    let honest = checkpoint(&pickle(&dict(&[("w", &whole())])));
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), "b.pth", &honest);
    assert_eq!(open(&path), Ok(1));

    for cut in [10, honest.len() / 2, honest.len() - 30, honest.len() - 1] {
        check(&honest[..cut], "its zip archive cannot be read: ");
    }
    let values = honest.windows(4).position(|w| w == 5f32.to_le_bytes()).unwrap();
    let mut damaged = honest.clone();
    damaged[values] ^= 1;
    check(&damaged, "a.pth: cannot be read\n  caused by: the values at byte");
    let name =
        honest.windows(3).position(|w| w == b"\x01\0\0\0w" as &[u8] || w == b"\0\0w").unwrap();
    let mut damaged = honest.clone();
    damaged[name + 2] = b'v';
    check(&damaged, "its entry `a/data.pkl` is damaged: its checksum is another one");

    let pkl = pickle(&dict(&[("w", &whole())]));
    check(&archive(&[("data.pkl", &pkl)]), "a.pth: found a zip archive without a checkpoint");
    check(&archive(&[("w.npy", b"")]), "a.pth: found NumPy arrays");
    check(&archive(&[]), "a.pth: found a zip archive without a checkpoint");
    check(
        &archive(&[("a/data.pkl", &pkl), ("b/data.pkl", &pkl)]),
        "its zip archive cannot be read: it has several entries `data.pkl`",
    );
    check(&archive(&[("a/data.pkl", &pkl), ("a/byteorder", b"big")]), "its numbers are big-endian");
    check(
        &archive(&[("a/data.pkl", &pkl), ("a/data/../data/0", &[0; 24])]),
        "tensor `w` has its values in `0`, which is not there",
    );
    // Two entries of one name: which one counts is a guess.
    let mut twice =
        archive(&[("a/data.pkl", &pkl), ("a/data/0", &[0; 24]), ("a/data/1", &[0; 24])]);
    for at in 0..twice.len() - 8 {
        if &twice[at..at + 8] == b"a/data/1" {
            twice[at + 7] = b'0';
        }
    }
    check(&twice, "its zip archive cannot be read: it has two entries of the same name");
}

#[test]
fn sizes_of_entries_are_not_believed() {
    let honest = checkpoint(&pickle(&dict(&[("w", &whole())])));
    let table = honest.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    // Every number of 4 bytes in the table, at its limits.
    for at in table..honest.len() - 3 {
        for edge in [0, 1, 0x7fff_ffff, 0xffff_fffe, u32::MAX] {
            let mut changed = honest.clone();
            changed[at..at + 4].copy_from_slice(&edge.to_le_bytes());
            let folder = tempfile::tempdir().unwrap();
            let _ = open(&put(folder.path(), "a.pth", changed));
        }
    }
}

fn legacy(pickles: &[&[u8]], storages: &[u8]) -> Vec<u8> {
    let magic = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";
    let mut bytes = magic.to_vec();
    pickles.iter().for_each(|pickle| bytes.extend(*pickle));
    bytes.extend(storages);
    bytes
}

#[test]
fn legacy_files() {
    let protocol: &[u8] = b"\x80\x02M\xe9\x03.";
    let system = pickle(&dict(&[("little_endian", b"\x88")]));
    let root = pickle(&dict(&[("w", &whole())]));
    let keys = pickle(&[&b"]"[..], &text("0"), b"a"].concat());
    let storage = |count: u64| [&count.to_le_bytes()[..], &[0; 24]].concat();

    let all = [protocol, &system, &root, &keys];
    let honest = legacy(&all, &storage(6));
    check(&honest, "1 tensors");
    for cut in [16, 40, honest.len() - 33, honest.len() - 25, honest.len() - 1] {
        check(&honest[..cut], "ends at byte ");
    }
    check(&legacy(&all, &storage(7)), "ends at byte");
    check(&legacy(&all, &storage(u64::MAX)), "ends at byte");
    check(&legacy(&all, &storage(1 << 62)), "ends at byte");
    check(&legacy(&all, &storage(5)), "tensor `w` needs storage `0` of 24 bytes, found 20");
    let big = pickle(&dict(&[("little_endian", b"\x89")]));
    check(&legacy(&[protocol, &big, &root, &keys], &storage(6)), "its numbers are big-endian");
    let other: &[u8] = b"\x80\x02M\xea\x03.";
    check(&legacy(&[other, &system, &root, &keys], &storage(6)), "byte 0 of its pickle: found an");
    let stray = pickle(&[&b"]"[..], &text("9"), b"a"].concat());
    check(
        &legacy(&[protocol, &system, &root, &stray], &storage(6)),
        "byte 178 of its pickle: lists storage `9`, which no tensor names",
    );
    check(b"\x80\x02}.", "a.pth: found a pickle that `torch.save` did not write");
    check(b"", "begins with neither a zip archive nor the mark of older PyTorch files");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn any_pickle(bytes in prop::collection::vec(prop_oneof![
        prop::sample::select(&b"()]}.NKqhtadeslu\x80\x81\x85\x86\x87\x93\x94RbQc\n0127X\0\x01\x02"[..]),
        any::<u8>(),
    ], 0..80)) {
        let folder = tempfile::tempdir().unwrap();
        let _ = open(&put(folder.path(), "a.pth", checkpoint(&pickle(&bytes))));
        let _ = open(&put(folder.path(), "b.pth", legacy(&[&bytes], &[0; 64])));
    }

    #[test]
    fn an_honest_file_with_changed_bytes(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = checkpoint(&pickle(&dict(&[("w", &whole()), ("v", &whole())])));
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let folder = tempfile::tempdir().unwrap();
        let _ = open(&put(folder.path(), "a.pth", bytes));
    }
}

/// A file of PyTorch may be as large as it says and hold nothing.
#[test]
fn a_large_file_is_not_read_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pth");
    let keys = pickle(&[&b"]"[..], &text("0"), b"a"].concat());
    let len = 1u64 << 38;
    let root = pickle(&dict(&[("w", &tensor("0", &len.to_string(), "5", "2 3", "3 1"))]));
    let system = pickle(b"}");
    let bytes = legacy(&[b"\x80\x02M\xe9\x03.", &system, &root, &keys], &len.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(bytes.len() as u64 + len * 4).unwrap();
    let file = WeightsFile::open(&path).unwrap();
    assert_eq!(file.read_f32("w").unwrap(), [0.0; 6]);
}
