//! What lies where in one shard: built in one pass over the headers and captions of its tar archive.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::problems::{Flaw, Flaws};
use crate::cache::hex;
use crate::captions::LARGEST_CAPTION;
use crate::captions::wording::{self, Unusable};
use crate::decode::Limits;
use crate::tarball::{Input, Member, MemberKind, Members, TarProblem};
use crate::work::Meter;

/// Extensions of pictures, the preferred first.
const PICTURES: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

/// Extensions of captions, the preferred first.
const TEXTS: [&str; 2] = ["txt", "text"];

/// A piece of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) len: u32,
}

/// A member that holds captions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CaptionMember {
    pub(crate) span: Span,
    /// How many captions: lines of a text, entries of JSON.
    pub(crate) count: u32,
}

/// A picture and its captions; at least one of `text` and `json` is there and holds one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub(crate) struct Sample {
    /// Name of the picture's member.
    pub(crate) name: Box<str>,
    pub(crate) image: Span,
    pub(crate) text: Option<CaptionMember>,
    pub(crate) json: Option<CaptionMember>,
}

/// A sample as it is kept: short, since there are many.
type Row = (Box<str>, (u64, u32), Option<(u64, u32, u32)>, Option<(u64, u32, u32)>);

/// All samples of a shard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Index {
    pub(crate) samples: Vec<Sample>,
    /// SHA-256 over names and captions of the samples, in order.
    pub(crate) digest: String,
    pub(crate) flaws: Flaws,
}

impl Index {
    /// Whether every piece lies within so many bytes.
    pub(crate) fn fits(&self, bytes: u64) -> bool {
        let inside =
            |span: Span| span.start.checked_add(span.len.into()).is_some_and(|end| end <= bytes);
        let captions = |sample: &Sample| {
            let members = [sample.text, sample.json];
            members.iter().flatten().all(|member| inside(member.span) && member.count > 0)
                && members.iter().any(Option::is_some)
        };
        self.samples.iter().all(|sample| inside(sample.image) && captions(sample))
    }
}

/// Reads the index of a shard.
pub(crate) fn build(input: impl Input, meter: &Meter) -> Result<Index, TarProblem> {
    let mut builder = Builder::default();
    let mut members = Members::new(input);
    let mut position = 0;
    while let Some(member) = members.next()? {
        builder.member(&member, &mut members)?;
        meter.add(members.position() - position)?;
        position = members.position();
    }
    builder.finish_group();
    if !members.has_end_mark() {
        builder.index.flaws.add(Flaw::NoEnd, "");
    } else if members.has_more_behind_end() {
        builder.index.flaws.add(Flaw::MoreBehindEnd, "");
    }
    builder.index.digest = hex(&builder.digest.finalize());
    Ok(builder.index)
}

#[derive(Default)]
struct Builder {
    index: Index,
    digest: Sha256,
    /// Names of the samples so far.
    keys: HashSet<Box<str>>,
    key: String,
    group: Group,
}

/// The members of one key so far.
#[derive(Default)]
struct Group {
    /// Rank of the extension, name, place.
    image: Option<(usize, Box<str>, Span)>,
    text: Option<(usize, Captions)>,
    json: Option<Captions>,
    /// Why a caption or picture that is there is not used.
    flaw: Option<Flaw>,
    has_caption_member: bool,
}

/// Captions with their content, for the digest.
struct Captions {
    member: CaptionMember,
    content: Vec<u8>,
}

impl Builder {
    fn member<I: Input>(
        &mut self,
        member: &Member,
        members: &mut Members<I>,
    ) -> Result<(), TarProblem> {
        match member.kind {
            MemberKind::File => {}
            MemberKind::Folder => return Ok(()),
            MemberKind::Other(kind) => {
                let name = format!("`{}`, {kind}", member.name);
                self.index.flaws.add(Flaw::Kind, name);
                return Ok(());
            }
        }
        let Some((key, extension)) = split_name(&member.name) else { return Ok(()) };
        if key != self.key {
            self.finish_group();
            self.key = key.to_owned();
        }
        let extension = extension.to_lowercase();
        if let Some(rank) = PICTURES.iter().position(|known| *known == extension) {
            self.picture(rank, member);
        } else if let Some(rank) = TEXTS.iter().position(|known| *known == extension) {
            let captions = self.captions(member, members, Format::Text)?;
            let earlier = self.group.text.as_ref().map(|(rank, _)| *rank);
            if self.is_better(rank, earlier, member)
                && let Some(captions) = captions
            {
                self.group.text = Some((rank, captions));
            }
        } else if extension == "json" {
            let captions = self.captions(member, members, Format::Json)?;
            let earlier = self.group.json.as_ref().map(|_| 0);
            if self.is_better(0, earlier, member) && captions.is_some() {
                self.group.json = captions;
            }
        }
        Ok(())
    }

    fn picture(&mut self, rank: usize, member: &Member) {
        let earlier = self.group.image.as_ref().map(|(rank, ..)| *rank);
        if !self.is_better(rank, earlier, member) {
            return;
        }
        match span(member, Limits::default().bytes) {
            Some(span) => self.group.image = Some((rank, member.name.as_str().into(), span)),
            None => self.group.flaw = Some(Flaw::Size),
        }
    }

    /// Whether a member counts more than the one of its kind that came before.
    fn is_better(&mut self, rank: usize, earlier: Option<usize>, member: &Member) -> bool {
        if earlier == Some(rank) {
            self.index.flaws.add(Flaw::MemberTwice, format!("`{}`", member.name));
        }
        earlier.is_none_or(|earlier| rank < earlier)
    }

    /// The captions of a member; `None` where there is none, with the reason noted.
    fn captions<I: Input>(
        &mut self,
        member: &Member,
        members: &mut Members<I>,
        format: Format,
    ) -> Result<Option<Captions>, TarProblem> {
        self.group.has_caption_member = true;
        if member.size == 0 {
            self.group.flaw = self.group.flaw.or(Some(Flaw::EmptyCaption));
            return Ok(None);
        }
        let Some(span) = span(member, LARGEST_CAPTION) else {
            self.group.flaw = Some(Flaw::Size);
            return Ok(None);
        };
        let content = members.content(LARGEST_CAPTION)?;
        match format.count(&content) {
            // JSON without captions is about something else; the caption may stand in a text.
            Ok(0) if format == Format::Json => {}
            Ok(0) => self.group.flaw = self.group.flaw.or(Some(Flaw::EmptyCaption)),
            Ok(count) => {
                let member =
                    CaptionMember { span, count: u32::try_from(count).unwrap_or(u32::MAX) };
                return Ok(Some(Captions { member, content }));
            }
            Err(_) => self.group.flaw = Some(Flaw::BrokenCaption),
        }
        Ok(None)
    }

    /// Makes a sample of the members so far, or notes why there is none.
    fn finish_group(&mut self) {
        let group = std::mem::take(&mut self.group);
        let has_captions = group.text.is_some() || group.json.is_some();
        let name = || format!("`{}`", self.key);
        let (Some((_, name, image)), true) = (&group.image, has_captions) else {
            let flaw = match (group.flaw, &group.image) {
                // Neither picture nor caption: something else, such as a note about the shard.
                (None, None) if !group.has_caption_member => return,
                (Some(flaw), Some(_)) => flaw,
                (None, Some(_)) => Flaw::NoCaption,
                (Some(Flaw::Size), None) => Flaw::Size,
                (_, None) => Flaw::NoPicture,
            };
            self.index.flaws.add(flaw, name());
            return;
        };
        if let Some(Flaw::BrokenCaption | Flaw::Size) = group.flaw {
            self.index.flaws.add(Flaw::Unused, format!("`{}`", self.key));
        }
        if !self.keys.insert(self.key.as_str().into()) {
            self.index.flaws.add(Flaw::KeyTwice, format!("`{}`", self.key));
        }
        self.identify(name.as_bytes());
        for captions in [group.text.as_ref().map(|(_, text)| text), group.json.as_ref()] {
            self.identify(captions.map_or(&[], |captions| &captions.content));
        }
        self.index.samples.push(Sample {
            name: name.clone(),
            image: *image,
            text: group.text.map(|(_, text)| text.member),
            json: group.json.map(|json| json.member),
        });
    }

    fn identify(&mut self, part: &[u8]) {
        self.digest.update((part.len() as u64).to_le_bytes());
        self.digest.update(part);
    }
}

/// Key and extension: the name is cut at the first dot behind its folders. `None` without one of them.
fn split_name(name: &str) -> Option<(&str, &str)> {
    let base = name.rfind('/').map_or(0, |at| at + 1);
    let dot = base + name[base..].find('.')?;
    (dot > base && dot + 1 < name.len()).then(|| (&name[..dot], &name[dot + 1..]))
}

/// The place of a member that is neither empty nor too large.
fn span(member: &Member, limit: u64) -> Option<Span> {
    let len = u32::try_from(member.size).ok().filter(|&len| len > 0 && u64::from(len) <= limit)?;
    Some(Span { start: member.start, len })
}

/// How captions are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Json,
}

impl Format {
    /// How many captions there are.
    fn count(self, content: &[u8]) -> Result<usize, Unusable> {
        match self {
            Format::Text => Ok(wording::lines(&wording::text(content)?).len()),
            Format::Json => Ok(wording::in_json(content)?.len()),
        }
    }
}

impl From<Row> for Sample {
    fn from((name, (start, len), text, json): Row) -> Sample {
        let member = |(start, len, count)| CaptionMember { span: Span { start, len }, count };
        Sample { name, image: Span { start, len }, text: text.map(member), json: json.map(member) }
    }
}

impl From<Sample> for Row {
    fn from(sample: Sample) -> Row {
        let row = |member: CaptionMember| (member.span.start, member.span.len, member.count);
        let image = (sample.image.start, sample.image.len);
        (sample.name, image, sample.text.map(row), sample.json.map(row))
    }
}
