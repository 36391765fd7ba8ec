//! Training on tar shards: the same run as on folders, exact after a kill, whatever the threads.

use std::{fs, path::Path};

use hearth_weights::WeightsFile;
use tar::{Builder, Header};
use tempfile::TempDir;

use super::{
    shapes::workspace,
    training::{FINAL, assert_same, fail, start, succeed, wait_for},
};

/// How many of the 24 pairs lie in each shard.
const SHARDS: [usize; 3] = [10, 9, 5];

/// Switches a spec to the shards in `shards`.
const WDS: [&str; 2] = ["dataset.train.type=wds", "dataset.train.wds.root_dir=shards"];

/// What `workspace` makes, and its pairs again as shards.
fn packed() -> TempDir {
    let folder = workspace();
    let root = folder.path();
    fs::create_dir(root.join("shards")).unwrap();
    let mut first = 0;
    for (number, count) in SHARDS.into_iter().enumerate() {
        let shard = root.join(format!("shards/train-{number:04}.tar"));
        pack(&root.join("train"), first..first + count, &shard);
        first += count;
    }
    pack(&root.join("val"), 0..10, &root.join("val.tar"));
    folder
}

/// Packs pairs, each with three captions as JSON besides its text.
fn pack(pairs: &Path, numbers: std::ops::Range<usize>, shard: &Path) {
    let mut builder = Builder::new(fs::File::create(shard).unwrap());
    for number in numbers {
        let text = fs::read_to_string(pairs.join(format!("captions/{number:04}.txt"))).unwrap();
        let captions =
            [text.trim().to_owned(), format!("a shape {number}"), "a drawing".to_owned()];
        let json = serde_json::json!({ "captions": captions }).to_string();
        let image = fs::read(pairs.join(format!("images/{number:04}.png"))).unwrap();
        for (extension, content) in
            [("png", &image[..]), ("txt", text.as_bytes()), ("json", json.as_bytes())]
        {
            let mut header = Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, format!("{number:04}.{extension}"), content).unwrap();
        }
    }
    builder.into_inner().unwrap();
}

fn with_shards<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["-e", "spec.yaml"], &WDS[..], arguments].concat()
}

#[test]
fn shards_train_to_the_weights_of_the_same_folders() {
    let folder = packed();
    let folder = folder.path();
    succeed(folder, &["-e", "spec.yaml", "results_dir=folders"]);
    succeed(folder, &with_shards(&["results_dir=shards_out"]));
    let open = |results: &str| WeightsFile::open(folder.join(results).join(FINAL)).unwrap();
    let (folders, shards) = (open("folders"), open("shards_out"));
    for name in folders.names() {
        assert_eq!(folders.read_f32(name).unwrap(), shards.read_f32(name).unwrap(), "{name}");
    }
    assert_eq!(fs::read_dir(folder.join(".cache/indexes")).unwrap().count(), SHARDS.len());
}

#[test]
fn threads_and_fewer_shards_than_threads_change_nothing() {
    let folder = packed();
    let captions = "hearth.dataset.train.captions=random";
    for threads in ["0", "1", "2", "4"] {
        let results = format!("results_dir=threads{threads}");
        let workers = format!("dataset.train.num_workers={threads}");
        succeed(folder.path(), &with_shards(&[captions, &results, &workers]));
    }
    let model = |threads: &str| folder.path().join(format!("threads{threads}")).join(FINAL);
    for threads in ["1", "2", "4"] {
        assert_same(&model("0"), &model(threads));
    }
}

#[test]
fn a_killed_run_on_shards_continues_to_the_same_bytes() {
    let folder = packed();
    let folder = folder.path();
    let captions = "hearth.dataset.train.captions=random";
    let every_step = "train.checkpoint_interval=1";
    succeed(folder, &with_shards(&[captions, every_step]));

    let arguments = with_shards(&[captions, every_step, "results_dir=killed"]);
    let mut child = start(folder, &arguments);
    // In the middle of an epoch, whatever was read ahead.
    let step = folder.join("killed/train/model_epoch_000_step_00003.safetensors");
    wait_for(&mut child, || step.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!folder.join("killed").join(FINAL).exists(), "the kill came too late");
    succeed(folder, &arguments);
    assert_same(&folder.join("out").join(FINAL), &folder.join("killed").join(FINAL));

    let other =
        with_shards(&["hearth.dataset.train.captions=first", every_step, "train.num_epochs=4"]);
    let stderr = fail(folder, 4, &other);
    let expected = "`hearth.dataset.train.captions` was random when this checkpoint was written";
    assert!(stderr.contains(expected), "{stderr}");
    fs::remove_file(folder.join("shards/train-0002.tar")).unwrap();
    let stderr = fail(folder, 4, &with_shards(&[captions, every_step, "train.num_epochs=4"]));
    assert!(stderr.contains("the training data was"), "{stderr}");
}

#[test]
fn every_caption_makes_a_pair_and_an_epoch_is_what_the_shards_hold() {
    let folder = packed();
    let folder = folder.path();
    let check = |arguments: &[&str]| {
        succeed(folder, &[&["clip", "check"], &with_shards(arguments)[..]].concat())
    };
    let stdout = check(&[]);
    assert!(stdout.contains("training pairs    24"), "{stdout}");
    let stdout = check(&["hearth.dataset.train.captions=all"]);
    assert!(stdout.contains("training pairs    72"), "{stdout}");
    assert!(stdout.contains("epochs of 18"), "{stdout}");

    let written = "dataset.train.wds.samples_per_shard=10";
    let output =
        super::session::run(folder, &[&["clip", "check"], &with_shards(&[written])[..]].concat());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let expected = "`dataset.train.wds.samples_per_shard` is 10, 2 of 3 shards hold another number of \
                    samples (5 to 10): an epoch is what they hold, 24 samples";
    assert!(stderr.contains(expected), "{stderr}");
}

#[test]
fn broken_pictures_of_shards_are_named_by_check() {
    let folder = packed();
    let folder = folder.path();
    for name in ["0003", "0012"] {
        fs::write(folder.join(format!("train/images/{name}.png")), b"no picture").unwrap();
    }
    pack(&folder.join("train"), 0..10, &folder.join("shards/train-0000.tar"));
    pack(&folder.join("train"), 10..19, &folder.join("shards/train-0001.tar"));
    let stderr = fail(folder, 3, &[&["clip", "check"], &with_shards(&[])[..]].concat());
    for (shard, member) in [("train-0000.tar", "0003.png"), ("train-0001.tar", "0012.png")] {
        let expected = format!("shards/{shard}: member `{member}`: found text, supported are");
        assert!(stderr.contains(&expected), "{stderr}");
    }
    // With every caption a pair, a picture is still looked at and named once.
    let all = with_shards(&["hearth.dataset.train.captions=all"]);
    let stderr = fail(folder, 3, &[&["clip", "check"], &all[..]].concat());
    assert_eq!(stderr.matches("0003.png").count(), 1, "{stderr}");

    let bytes = fs::read(folder.join("shards/train-0002.tar")).unwrap();
    fs::write(folder.join("shards/train-0002.tar"), &bytes[..bytes.len() / 2]).unwrap();
    let stderr = fail(folder, 3, &with_shards(&[]));
    assert!(stderr.contains("shards/train-0002.tar: truncated: it ends inside"), "{stderr}");
}

#[test]
fn a_shard_is_validation_data() {
    let folder = packed();
    let folder = folder.path();
    let train = with_shards(&["train.num_epochs=1", "dataset.val.datasets=[{image_dir: val.tar}]"]);
    succeed(folder, &train);
    let evaluate = |results: &str, data: &str| {
        let data = format!("dataset.val.datasets=[{{image_dir: {data}}}]");
        let results_dir = format!("results_dir={results}");
        let checkpoint = "evaluate.checkpoint=out/train/clip_latest.safetensors";
        succeed(folder, &["clip", "evaluate", "-e", "spec.yaml", checkpoint, &data, &results_dir]);
        fs::read_to_string(folder.join(results).join("evaluate/results.json")).unwrap()
    };
    let shard = evaluate("shard", "val.tar");
    assert_eq!(shard, evaluate("folder", "val/images, caption_dir: val/captions"));
    assert!(shard.contains("\"num_images\": 10"), "{shard}");
}

#[test]
fn archives_of_folders_train_as_the_folders_do() {
    let folder = packed();
    let folder = folder.path();
    for kind in ["images", "captions"] {
        let mut builder =
            Builder::new(fs::File::create(folder.join(format!("{kind}.tar"))).unwrap());
        builder.append_dir_all(format!("./{kind}"), folder.join("train").join(kind)).unwrap();
        builder.into_inner().unwrap();
    }
    succeed(folder, &["-e", "spec.yaml", "results_dir=folders"]);
    let data = "dataset.train.datasets=[{image_dir: images.tar, caption_dir: captions.tar}]";
    succeed(folder, &["-e", "spec.yaml", "results_dir=archives", data]);
    assert_same(&folder.join("folders").join(FINAL), &folder.join("archives").join(FINAL));
}
