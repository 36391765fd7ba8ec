//! Where targets put files that the code under test opens itself.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// An empty folder of this process, in memory where the system offers that: inputs come by the
/// thousand, and some readers sync what they write.
pub(super) fn folder(target: &str) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = parent.join(format!("hearth-fuzz-{target}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("the system's folder for scratch files can be written");
    folder
}

/// Removes what [`folder`] made, whichever process made it.
pub(super) fn clean(target: &str, process: u32) {
    for parent in [Path::new("/dev/shm"), &std::env::temp_dir()] {
        // Nothing may be there, and nothing depends on it.
        let _ = fs::remove_dir_all(parent.join(format!("hearth-fuzz-{target}-{process}")));
    }
}
