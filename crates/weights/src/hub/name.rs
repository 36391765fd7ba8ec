//! What a hub name looks like: `ORG/NAME`, `ORG/NAME@REVISION`, `hf://ORG/NAME[@REVISION][/FILE]`.

use std::fmt;

/// Without it, a name is one only where nothing else could be meant.
const SCHEME: &str = "hf://";
const DEFAULT_REVISION: &str = "main";
/// The hub's own limit for a part of a name.
const LONGEST_PART: usize = 96;
const LONGEST_REVISION: usize = 200;
const LONGEST_FILE: usize = 500;
/// Names of repositories cannot end in these.
const NOT_REPOSITORIES: [&str; 2] = [".git", ".ipynb"];
/// A text that ends so means a file, also where there is none of that name.
const FILES: [&str; 16] = [
    ".safetensors",
    ".json",
    ".yaml",
    ".yml",
    ".pth",
    ".pt",
    ".bin",
    ".ckpt",
    ".pkl",
    ".tar",
    ".gz",
    ".npz",
    ".h5",
    ".hdf5",
    ".onnx",
    ".engine",
];

/// A repository of models at one revision, or one file of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubName {
    repository: String,
    revision: String,
    file: Option<String>,
}

impl HubName {
    /// The name that `text` is, if it has exactly the form of one. Whether a local file or folder
    /// has this name too is for the caller to look at first.
    pub fn parse(text: &str) -> Option<HubName> {
        let (rest, is_explicit) = match text.strip_prefix(SCHEME) {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let (org, rest) = rest.split_once('/')?;
        let end = rest.find(['/', '@']).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let (revision, file) = match rest.strip_prefix('@') {
            Some(rest) => split_revision(rest),
            None => (DEFAULT_REVISION, rest),
        };
        let file = match file.strip_prefix('/') {
            Some(file) => Some(file),
            None if file.is_empty() => None,
            None => return None,
        };
        let file_fits =
            file.is_none_or(|file| is_explicit && file.len() <= LONGEST_FILE && is_path(file));
        let is_file = |name: &str| FILES.iter().any(|end| name.to_ascii_lowercase().ends_with(end));
        let fits = is_part(org) && is_part(name) && is_revision(revision) && file_fits;
        if !fits || (!is_explicit && is_file(text)) {
            return None;
        }
        Some(HubName {
            repository: format!("{org}/{name}"),
            revision: revision.to_owned(),
            file: file.map(str::to_owned),
        })
    }

    /// Whether `text` asks for the hub by its scheme, well formed or not.
    pub fn is_meant_by(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// `ORG/NAME`
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// A branch, a tag or a commit.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The file that is meant, where it is not the repository's weights.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }
}

impl fmt::Display for HubName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        match self.revision.as_str() {
            DEFAULT_REVISION => Ok(()),
            revision => write!(f, "@{revision}"),
        }
    }
}

/// Revision and rest. A revision has no slash, except the hub's own `refs/pr/1` and `refs/convert/x`.
fn split_revision(rest: &str) -> (&str, &str) {
    let is_ref = rest.starts_with("refs/pr/") || rest.starts_with("refs/convert/");
    let slashes = if is_ref { 2 } else { 0 };
    let end = rest.match_indices('/').nth(slashes).map_or(rest.len(), |(at, _)| at);
    rest.split_at(end)
}

fn is_part(part: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = part.as_bytes();
    bytes.first().is_some_and(|byte| is_word(*byte))
        && bytes.last().is_some_and(|byte| is_word(*byte))
        && bytes.iter().all(|byte| is_word(*byte) || matches!(byte, b'.' | b'-'))
        && !part.contains("--")
        && !part.contains("..")
        && part.len() <= LONGEST_PART
        && !NOT_REPOSITORIES.iter().any(|end| part.ends_with(end))
}

fn is_revision(revision: &str) -> bool {
    revision.len() <= LONGEST_REVISION && is_path(revision)
}

/// A relative path that stays below its folder and is the same on every system.
pub(super) fn is_path(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+=,()".contains(&byte);
    path.split('/').all(|part| {
        !part.is_empty() && part != "." && !part.contains("..") && part.bytes().all(is_plain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, repository: &str, revision: &str, file: Option<&str>) {
        let name = HubName::parse(text).unwrap_or_else(|| panic!("`{text}` is a name"));
        assert_eq!((name.repository(), name.revision(), name.file()), (repository, revision, file));
    }

    #[test]
    fn names_of_every_form() {
        check("google/siglip2-base-patch16-224", "google/siglip2-base-patch16-224", "main", None);
        check("a/b@v1.0", "a/b", "v1.0", None);
        check("a/b_1.5@refs/pr/12", "a/b_1.5", "refs/pr/12", None);
        check("hf://a/b", "a/b", "main", None);
        check("hf://a/b@x", "a/b", "x", None);
        check("hf://a/b/c.pth.tar", "a/b", "main", Some("c.pth.tar"));
        check("hf://a/b@refs/pr/1/d/c.bin", "a/b", "refs/pr/1", Some("d/c.bin"));
        check("hf://a/b@x/d/c.bin", "a/b", "x", Some("d/c.bin"));
        check("hf://a/b.bin", "a/b.bin", "main", None);
    }

    #[test]
    fn what_is_no_name() {
        for text in [
            "",
            "/",
            "a",
            "a/",
            "/a/b",
            "./a/b",
            "../a",
            "~/a",
            "a/b/c",
            "a//b",
            "a/b/",
            "a\\b/c",
            "a b/c",
            "a/b@",
            "a/b@x/y",
            "a/b@../x",
            "a/..",
            ".a/b",
            "a/b-",
            "a/b--c",
            "a/b.git",
            "a/b@x@y",
            "ä/b",
            "out/model.safetensors",
            "out/model.pth",
            "weights/m.PT",
            "hf://a",
            "hf://a/b/../c",
            "hf://a/b//c",
            "hf://a/b/c\\d",
            "hf://a/b@/c",
            "hf:///a/b",
            "https://a/b",
            "s3://a/b",
        ] {
            assert_eq!(HubName::parse(text), None, "{text}");
        }
        assert_eq!(HubName::parse(&format!("a/{}", "b".repeat(97))), None);
    }

    #[test]
    fn a_name_shows_the_revision_where_it_is_not_the_default() {
        assert_eq!(HubName::parse("hf://a/b/c").unwrap().to_string(), "a/b");
        assert_eq!(HubName::parse("a/b@v2").unwrap().to_string(), "a/b@v2");
    }
}
