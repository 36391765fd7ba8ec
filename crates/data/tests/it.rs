//! Tests of `hearth-data` against Pillow, torchvision, open_clip and tokenizers, and of its own promises.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests, outside of them")]

mod it {
    mod archives;
    mod augment;
    mod classes;
    mod draws;
    mod fixtures;
    mod folders;
    mod formats;
    mod loading;
    mod mixing;
    mod parts;
    mod patches;
    mod pictures;
    mod remote;
    mod robust;
    mod shards;
    mod texts;
}
