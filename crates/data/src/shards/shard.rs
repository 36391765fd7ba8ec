//! One shard: its index, and reading what the index points to.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::index::{CaptionMember, Index, Sample, Span};
use super::problems::Flaws;
use crate::cache::Stamp;
use crate::captions::{Captions, LARGEST_CAPTION, wording};
use crate::decode::PictureError;
use crate::error::{DataError, MemberProblem};
use crate::pairs::draw;
use crate::random::Key;
use crate::text::strip;

/// A tar archive of samples, indexed.
#[derive(Debug)]
pub struct Shard {
    /// As the user knows it.
    name: String,
    /// Where it is read: the archive itself, or its unpacked copy in the cache.
    file: PathBuf,
    /// The state that was indexed.
    stamp: Stamp,
    index: Index,
    /// Open once it is needed, unless there are too many shards for that.
    open: Option<OnceLock<File>>,
}

/// Which of the captions of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The whole text, else the first of the JSON.
    Whole,
    /// The one of this number, of the JSON if that holds captions, else of the lines.
    Number(u32),
    /// One of these, drawn.
    Any,
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Which::Whole => f.write_str("whole"),
            Which::Number(number) => number.fmt(f),
            Which::Any => f.write_str("any"),
        }
    }
}

impl Shard {
    pub(super) fn new(name: String, file: PathBuf, stamp: Stamp, index: Index) -> Shard {
        Shard { name, file, stamp, index, open: None }
    }

    /// Keeps the file open from the first read on.
    pub(super) fn stay_open(&mut self) {
        self.open = Some(OnceLock::new());
    }

    /// As the user knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many samples it holds.
    pub fn len(&self) -> usize {
        self.index.samples.len()
    }

    /// True when it holds none.
    pub fn is_empty(&self) -> bool {
        self.index.samples.is_empty()
    }

    /// SHA-256 over the names and captions of its samples, in order.
    pub fn digest(&self) -> &str {
        &self.index.digest
    }

    pub(super) fn flaws(&self) -> &Flaws {
        &self.index.flaws
    }

    /// Which captions a choice takes of a sample, in order.
    pub(super) fn captions(&self, number: u32, choice: Captions) -> Vec<Which> {
        match choice {
            Captions::Whole => vec![Which::Whole],
            Captions::First => vec![Which::Number(0)],
            Captions::Random => vec![Which::Any],
            Captions::All => {
                let (member, _) = preferred(self.sample(number));
                (0..member.count).map(Which::Number).collect()
            }
        }
    }

    /// Name of the picture's member.
    pub(crate) fn image_name(&self, number: u32) -> &str {
        &self.sample(number).name
    }

    /// The bytes of a picture, at most `limit`.
    pub(crate) fn read_image(&self, number: u32, limit: u64) -> Result<Vec<u8>, DataError> {
        self.read(self.sample(number).image, limit).map_err(|problem| self.at(number, problem))
    }

    /// The text of a caption.
    pub(crate) fn read_caption(
        &self,
        number: u32,
        which: Which,
        key: &Key,
    ) -> Result<String, DataError> {
        self.caption(self.sample(number), which, key).map_err(|problem| self.at(number, problem))
    }

    /// The error for a picture that is none.
    pub(crate) fn refuse(&self, number: u32, problem: PictureError) -> DataError {
        self.at(number, MemberProblem::Picture(problem))
    }

    fn sample(&self, number: u32) -> &Sample {
        &self.index.samples[number as usize]
    }

    fn at(&self, number: u32, problem: MemberProblem) -> DataError {
        let member = self.image_name(number).to_owned();
        DataError::Member { shard: self.name.clone(), member, problem }
    }

    fn caption(&self, sample: &Sample, which: Which, key: &Key) -> Result<String, MemberProblem> {
        if let (Which::Whole, Some(member)) = (which, sample.text) {
            let content = self.read(member.span, LARGEST_CAPTION)?;
            return Ok(strip(&wording::text(&content)?).to_owned());
        }
        let (member, is_json) = preferred(sample);
        let content = self.read(member.span, LARGEST_CAPTION)?;
        let mut captions = match is_json {
            true => wording::in_json(&content)?,
            false => wording::lines(&wording::text(&content)?),
        };
        if captions.len() != member.count as usize {
            return Err(self.changed());
        }
        let number = match which {
            Which::Whole => 0,
            Which::Number(number) => number as usize,
            Which::Any => draw(key, captions.len()),
        };
        Ok(captions.swap_remove(number))
    }

    /// A piece of the archive, read at its place: threads do not wait for each other.
    fn read(&self, span: Span, limit: u64) -> Result<Vec<u8>, MemberProblem> {
        if u64::from(span.len) > limit {
            return Err(MemberProblem::TooLarge { bytes: span.len.into(), limit });
        }
        let mut bytes = vec![0; span.len as usize];
        match &self.open {
            None => read_at(&self.opened()?, &self.file, &mut bytes, span.start),
            Some(open) => {
                if open.get().is_none() {
                    let _ = open.set(self.opened()?);
                }
                let file = open.get().expect("set above, by this thread or another");
                read_at(file, &self.file, &mut bytes, span.start)
            }
        }
        .map_err(|problem| match problem.kind() {
            io::ErrorKind::UnexpectedEof => self.changed(),
            _ => MemberProblem::Unreadable(problem),
        })?;
        Ok(bytes)
    }

    /// The file, still in the state that was indexed.
    fn opened(&self) -> Result<File, MemberProblem> {
        let file = File::open(&self.file).map_err(MemberProblem::Unreadable)?;
        let metadata = file.metadata().map_err(MemberProblem::Unreadable)?;
        if Stamp::of(&metadata) == self.stamp { Ok(file) } else { Err(self.changed()) }
    }

    fn changed(&self) -> MemberProblem {
        MemberProblem::Changed
    }
}

/// Where several captions are: JSON if it holds any, else the text. True for JSON.
fn preferred(sample: &Sample) -> (CaptionMember, bool) {
    match (sample.json, sample.text) {
        (Some(json), _) => (json, true),
        (None, Some(text)) => (text, false),
        (None, None) => unreachable!("a sample of an index has a caption"),
    }
}

impl From<wording::Unusable> for MemberProblem {
    /// The index holds no captions that cannot be read.
    fn from(_: wording::Unusable) -> MemberProblem {
        MemberProblem::Changed
    }
}

#[cfg(unix)]
fn read_at(file: &File, _path: &Path, bytes: &mut [u8], start: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, start)
}

/// Elsewhere every read has a file of its own, so that no other moves its position.
#[cfg(not(unix))]
fn read_at(_file: &File, path: &Path, bytes: &mut [u8], start: u64) -> io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(bytes)
}
