//! Which shards a spec means: a list file with prefixes and braces, or all below a folder.

use std::path::{Path, PathBuf};

use super::braces::{self, Room};
use crate::captions;
use crate::error::DataError;
use crate::folder;
use crate::text;

/// Ends of names that are taken as shards.
pub(crate) const ENDINGS: [&str; 4] = [".tar", ".tar.gz", ".tgz", ".tar.zst"];

/// Where shards are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShardSource {
    /// A text file, one shard a line, with braces as in a shell.
    List {
        /// The file.
        list: PathBuf,
        /// What stands in front of relative names: a folder or an address. `None` is the folder of
        /// the list.
        root: Option<String>,
    },
    /// All shards below a folder.
    Below(PathBuf),
    /// One shard: a file or an address.
    One(PathBuf),
}

/// One shard, as it is fetched and as it is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ShardName {
    Local(PathBuf),
    /// An address; it may hold a secret and is never shown.
    Remote(String),
}

impl ShardSource {
    /// The list, the folder or the shard for messages: without secrets.
    pub fn shown(&self) -> String {
        match self {
            ShardSource::List { list, .. } => list.display().to_string(),
            ShardSource::Below(folder) => folder.display().to_string(),
            ShardSource::One(path) => ShardName::new(path.display().to_string()).shown(),
        }
    }

    /// All shards, sorted.
    pub(crate) fn names(&self) -> Result<Vec<ShardName>, DataError> {
        let mut names = match self {
            ShardSource::List { list, root } => listed(list, root.as_deref())?,
            ShardSource::Below(folder) => {
                let files = folder::files_below(folder)?;
                files.into_iter().filter(|file| is_shard(file)).map(ShardName::Local).collect()
            }
            ShardSource::One(path) => vec![ShardName::new(path.display().to_string())],
        };
        names.sort_by(|a, b| a.sort_key().cmp(b.sort_key()));
        Ok(names)
    }
}

impl ShardName {
    fn new(text: String) -> ShardName {
        if is_address(&text) { ShardName::Remote(text) } else { ShardName::Local(text.into()) }
    }

    /// Names are sorted as text, as TAO sorts them.
    fn sort_key(&self) -> &[u8] {
        match self {
            ShardName::Local(path) => path.as_os_str().as_encoded_bytes(),
            ShardName::Remote(address) => address.as_bytes(),
        }
    }

    /// As the user knows it, without a secret.
    pub(crate) fn shown(&self) -> String {
        match self {
            ShardName::Local(path) => path.display().to_string(),
            ShardName::Remote(address) => without_secret(address),
        }
    }
}

/// True for a file that is taken as a shard, by its name. Hidden files never are.
pub fn is_shard(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    !name.starts_with('.') && ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// True for what lies on S3 or a web server, by the scheme in front. It may hold a secret.
pub fn is_address(name: &str) -> bool {
    let is_known = |scheme: &str| {
        ["s3", "http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
    };
    name.split_once("://").is_some_and(|(scheme, _)| is_known(scheme))
}

/// `s3://key:secret@bucket/a.tar?endpoint=..` is shown as `s3://bucket/a.tar`.
fn without_secret(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let rest = rest.split('?').next().unwrap_or_default();
    let rest = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    format!("{scheme}://{rest}")
}

fn listed(list: &Path, root: Option<&str>) -> Result<Vec<ShardName>, DataError> {
    let text = text::read(list)?;
    let beside = list.parent().unwrap_or(Path::new(""));
    let (mut names, mut problems, mut room) = (Vec::new(), Vec::new(), Room::default());
    for (number, line) in text.lines().enumerate() {
        let line = text::strip(line);
        if line.is_empty() {
            continue;
        }
        match braces::expand(line, &mut room) {
            Ok(expanded) => {
                names.extend(expanded.into_iter().map(|name| joined(root, beside, name)));
            }
            Err(problem) => problems.push(format!("line {} {problem}", number + 1)),
        }
    }
    if problems.is_empty() {
        return Ok(names);
    }
    Err(captions::entries(list, "lines cannot be used", problems))
}

/// A name of the list behind its prefix. Absolute paths and addresses stay as they are; TAO's way of
/// joining would destroy the `//` of an address.
fn joined(root: Option<&str>, beside: &Path, name: String) -> ShardName {
    if is_address(&name) || Path::new(&name).is_absolute() {
        return ShardName::new(name);
    }
    match root {
        None => ShardName::Local(beside.join(name)),
        Some(root) if is_address(root) => {
            let (address, query) = root.split_once('?').unwrap_or((root, ""));
            let query = if query.is_empty() { String::new() } else { format!("?{query}") };
            ShardName::Remote(format!("{}/{name}{query}", address.trim_end_matches('/')))
        }
        Some(root) => ShardName::Local(Path::new(root).join(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        for (address, shown) in [
            ("s3://KEY:SEC/RET@bucket/a.tar?endpoint=http://x&token=T", "s3://bucket/a.tar"),
            ("https://user:pass@host/a.tar?sig=T", "https://host/a.tar"),
            ("S3://KEY:SECRET@bucket/a.tar", "S3://bucket/a.tar"),
            ("s3://bucket/a@b.tar", "s3://b.tar"),
            ("folder/a.tar", "folder/a.tar"),
        ] {
            assert_eq!(ShardName::new(address.to_owned()).shown(), shown);
            assert_eq!(ShardSource::One(address.into()).shown(), shown);
        }
    }

    #[test]
    fn names_are_joined_to_their_prefix() {
        let join = |root, name: &str| joined(root, Path::new("/lists"), name.to_owned());
        let local = |path: &str| ShardName::Local(path.into());
        let remote = |address: &str| ShardName::Remote(address.to_owned());
        assert_eq!(join(None, "a.tar"), local("/lists/a.tar"));
        assert_eq!(join(Some("/data"), "s/a.tar"), local("/data/s/a.tar"));
        assert_eq!(join(Some("/data"), "/abs/a.tar"), local("/abs/a.tar"));
        assert_eq!(join(Some("/data"), "s3://b/a.tar"), remote("s3://b/a.tar"));
        assert_eq!(join(Some("s3://b/p/?region=r"), "a.tar"), remote("s3://b/p/a.tar?region=r"));
    }
}
