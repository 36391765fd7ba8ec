//! Hub names, and what a cache of them may hold: references and indices of shards.

use std::{
    fs,
    ops::ControlFlow,
    path::{Component, Path, PathBuf},
    sync::OnceLock,
};

use anyhow::Result;
use hearth_weights::hub::{Hub, HubName, Patience};

use super::scratch;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

pub(super) const WORDS: &[&str] = &[
    "hf://",
    "org/name",
    "@",
    "@refs/pr/1",
    "/",
    "../",
    "..",
    "--",
    ".git",
    "\\",
    "\0",
    "\n",
    COMMIT,
    "{\"weight_map\": {\"a\": \"",
    "model-1.safetensors",
    "\"}}",
    "/etc/passwd",
    "\\u0000",
    "{",
    "}",
    "\"weight_map\"",
    "[[[[[[[[",
];

/// Three parts with a line each: a name, a reference, an index.
pub(super) fn seeds() -> Result<Vec<Vec<u8>>> {
    let index = r#"{"metadata": {"total_size": 8}, "weight_map": {"a": "model-1.safetensors"}}"#;
    Ok(["org/name", "org/name@v1.0", "hf://org/name@refs/pr/1/sub/model-1.safetensors", "a/b.bin"]
        .map(|name| format!("{name}\n{COMMIT}\n{index}").into_bytes())
        .to_vec())
}

pub(super) fn read(input: &[u8]) {
    let mut parts = input.splitn(3, |&byte| byte == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    check_name(&String::from_utf8_lossy(next()));
    let hub = hub();
    let repository = hub.cache.join("models--org--name");
    let write = |path: &str, content: &[u8]| {
        fs::write(repository.join(path), content).expect("a scratch folder can be written");
    };
    write("refs/main", next());
    write(&format!("snapshots/{COMMIT}/model.safetensors.index.json"), next());

    let name = HubName::parse("org/name").expect("a name");
    if let Ok(Some(weights)) = hub.cached(&name) {
        let is_below = weights.strip_prefix(&repository).is_ok_and(is_plain);
        assert!(is_below, "{} leaves the cache", weights.display());
    }
    match hub.fetch(&name, &mut |_| ControlFlow::Continue(())) {
        Ok(weights) => assert!(weights.starts_with(&repository)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A name survives being written out, and its parts are safe in a path.
fn check_name(text: &str) {
    let Some(name) = HubName::parse(text) else { return };
    let file = name.file().map(|file| format!("/{file}")).unwrap_or_default();
    let written = format!("hf://{}@{}{file}", name.repository(), name.revision());
    assert_eq!(HubName::parse(&written).as_ref(), Some(&name), "{text}");
    for part in [name.repository(), name.revision(), name.file().unwrap_or("x")] {
        assert!(is_plain(Path::new(part)), "{text}");
    }
    // The cache writes the slash of a repository so.
    assert!(!name.repository().contains("--"), "{text}");
}

fn is_plain(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_)))
}

/// Offline, so that no input can open a socket.
fn hub() -> &'static Hub {
    static HUB: OnceLock<Hub> = OnceLock::new();
    HUB.get_or_init(|| {
        let cache: PathBuf = scratch::folder("hub");
        let repository = cache.join("models--org--name");
        let snapshot = repository.join("snapshots").join(COMMIT);
        for folder in [&snapshot, &repository.join("refs")] {
            fs::create_dir_all(folder).expect("a scratch folder can be written");
        }
        let shard = snapshot.join("model-1.safetensors");
        fs::write(shard, b"").expect("a scratch folder can be written");
        let patience = Patience::default();
        let endpoint = "http://127.0.0.1:1".to_owned();
        Hub { cache, endpoint, token: None, certificates: None, offline: true, patience }
    })
}
