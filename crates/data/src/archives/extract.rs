//! Unpacking an archive into a folder that appears only when it is complete. No member gets out of it.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Component, Path, PathBuf};

use super::refused;
use crate::cache::{self, Cache, Turn};
use crate::compressed::{self, Expansion};
use crate::error::DataError;
use crate::tarball::{MemberKind, Members, Streaming, TarProblem};
use crate::work::Meter;

/// Most members of an archive.
const MOST_MEMBERS: u64 = 20_000_000;

/// Longest name of a file or folder, as on most file systems.
const LONGEST_PART: usize = 255;

/// Unpacks `archive` as the folder `place`.
pub(super) fn extract(archive: &Path, place: &Path, meter: &Meter) -> Result<(), DataError> {
    let needed = |problem| Cache::needed(&format!("unpacking {}", archive.display()), problem);
    let turn = Turn::wait(place, meter).map_err(needed)?;
    if place.is_dir() {
        return Ok(());
    }
    let temporary = turn.temporary();
    let unpacked = into_temporary(archive, temporary, meter).and_then(|()| {
        cache::sync_folder(temporary)?;
        Ok(fs::rename(temporary, place)?)
    });
    unpacked.map_err(|problem| {
        let _ = fs::remove_dir_all(temporary);
        refused(&archive.display().to_string(), problem)
    })
}

fn into_temporary(archive: &Path, folder: &Path, meter: &Meter) -> Result<(), TarProblem> {
    let mut taken_off = None;
    loop {
        // What a killed process left.
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        cache::check_space(folder, fs::metadata(archive)?.len())?;
        match into_folder(archive, folder, taken_off, meter)? {
            Done::All => return Ok(()),
            Done::Again(parts) => taken_off = Some(parts),
        }
    }
}

/// How unpacking ended.
enum Done {
    All,
    /// So many folders have to be taken off the names of all members, the earlier ones included.
    Again(usize),
}

fn into_folder(
    archive: &Path,
    folder: &Path,
    taken_off: Option<usize>,
    meter: &Meter,
) -> Result<Done, TarProblem> {
    let mut members = Members::new(Streaming(compressed::open(archive, Expansion::default())?));
    let mut count = 0;
    while let Some(member) = members.next()? {
        let refused =
            |why: &str| TarProblem::Refused { member: member.name.clone(), why: why.to_owned() };
        count += 1;
        if count > MOST_MEMBERS {
            return Err(refused(&format!("is one of more than {MOST_MEMBERS}")));
        }
        let parts = safe_parts(&member.name).map_err(refused)?;
        let in_front = parts.iter().rev().skip(1).rev().position(|part| part == "images");
        if let (None, Some(1..)) = (taken_off, in_front) {
            return Ok(Done::Again(in_front.unwrap_or_default()));
        }
        let kept = parts.get(taken_off.unwrap_or(0)..).unwrap_or_default();
        if kept.is_empty() {
            continue;
        }
        let target: PathBuf = folder.iter().chain(kept.iter().map(AsRef::as_ref)).collect();
        let taken = |problem: io::Error| match problem.kind() {
            ErrorKind::AlreadyExists | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
                refused("has, unpacked, the name of an earlier one")
            }
            _ => problem.into(),
        };
        match member.kind {
            MemberKind::Folder => fs::create_dir_all(&target).map_err(taken)?,
            MemberKind::Other(kind) => return Err(refused(&format!("is {kind}, needed a file"))),
            MemberKind::File => {
                if let Some(parent) = target.parent() {
                    fs::create_dir_all(parent).map_err(taken)?;
                }
                let mut file = File::create_new(&target).map_err(taken)?;
                members.copy_content(member.size, |bytes| {
                    meter.add(bytes.len() as u64)?;
                    file.write_all(bytes)
                })?;
            }
        }
    }
    Ok(Done::All)
}

/// The folders and the name of a member, which lead nowhere but into the folder.
fn safe_parts(name: &str) -> Result<Vec<String>, &'static str> {
    let mut parts = Vec::new();
    if name.contains('\0') || (cfg!(windows) && name.contains(':')) {
        return Err("has a name that no file can have");
    }
    for component in Path::new(name).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => return Err("leaves the folder through `..`"),
            Component::RootDir | Component::Prefix(_) => return Err("has an absolute name"),
            Component::Normal(part) if part.len() > LONGEST_PART => {
                return Err("has a too long name");
            }
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
        }
    }
    Ok(parts)
}

/// What a folder holds, for a message.
pub(super) fn shown(folder: &Path) -> String {
    let entries = fs::read_dir(folder).map(|entries| {
        let names = entries.flatten().map(|entry| format!("`{}`", entry.file_name().display()));
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    });
    match entries.unwrap_or_default().as_slice() {
        [] => "nothing".to_owned(),
        [first, second, third, rest @ ..] if !rest.is_empty() => {
            format!("{first}, {second}, {third} and {} more", rest.len())
        }
        names => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let join = |name: &str| safe_parts(name).map(|parts| parts.join("|"));
        assert_eq!(join("./images//a.jpg").unwrap(), "images|a.jpg");
        assert_eq!(join("images/").unwrap(), "images");
        assert_eq!(join("").unwrap(), "");
        for name in ["/etc/passwd", "../a", "images/../../a", "a\0b", &"x".repeat(256)] {
            assert!(join(name).is_err(), "{name}");
        }
    }
}
