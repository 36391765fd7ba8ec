//! The members of a tar archive, header after header, whatever the bytes: sizes are checked before
//! memory is taken, and a damaged or truncated archive says where.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use tar::{EntryType, Header};

const BLOCK: u64 = 512;

/// Longest name of a member with its folders, as on most file systems.
const LONGEST_NAME: usize = 4096;

/// Largest header in front of a member that names it or extends it.
const LARGEST_EXTENSION: u64 = 1 << 20;

/// How much is looked at behind the end mark; writers fill up to 10 KiB with zeros.
const LOOK_BEHIND_END: u64 = 64 << 10;

/// Why bytes are not a whole tar archive. The name of the file is added by whoever knows it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TarProblem {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("found {0}, needed a tar archive")]
    NotTar(&'static str),
    #[error("damaged: {what} at byte {at}")]
    Damaged { what: String, at: u64 },
    #[error("truncated: it ends inside {inside}, at byte {at}")]
    Truncated { inside: String, at: u64 },
    #[error("member `{member}` {why}")]
    Refused { member: String, why: String },
}

/// What kind of thing a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemberKind {
    File,
    Folder,
    /// A link, a device and the like, with an article.
    Other(&'static str),
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// With its folders; bytes that are not UTF-8 are replaced.
    pub(crate) name: String,
    pub(crate) kind: MemberKind,
    /// Bytes of content; 0 for what has none.
    pub(crate) size: u64,
    /// Where its content starts.
    pub(crate) start: u64,
}

/// What a tar archive is read from.
pub(crate) trait Input: Read {
    /// Leaves out bytes; fewer than that are an `UnexpectedEof`.
    fn skip(&mut self, bytes: u64) -> io::Result<()>;
}

/// An input that skips by seeking, or within what it has read ahead.
pub(crate) struct Seeking<R> {
    inner: BufReader<R>,
    position: u64,
    len: u64,
}

impl<R: Read + Seek> Seeking<R> {
    pub(crate) fn new(mut inner: R) -> io::Result<Seeking<R>> {
        let len = inner.seek(SeekFrom::End(0))?;
        inner.seek(SeekFrom::Start(0))?;
        Ok(Seeking { inner: BufReader::new(inner), position: 0, len })
    }
}

impl<R: Read> Read for Seeking<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl<R: Read + Seek> Input for Seeking<R> {
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let to = self.position.saturating_add(bytes);
        let distance = i64::try_from(bytes).ok().filter(|_| to <= self.len);
        self.inner.seek_relative(distance.ok_or(io::ErrorKind::UnexpectedEof)?)?;
        self.position = to;
        Ok(())
    }
}

/// An input that can only be read on, such as what a decompressor gives.
pub(crate) struct Streaming<R>(pub(crate) R);

impl<R: Read> Read for Streaming<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> Input for Streaming<R> {
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let skipped = io::copy(&mut (&mut self.0).take(bytes), &mut io::sink())?;
        if skipped < bytes { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

/// Walks over an archive. The content of the member that `next` gave last can be read until the
/// next call.
pub(crate) struct Members<I> {
    input: I,
    /// Bytes taken from the input.
    position: u64,
    /// Where the content of the last member ends.
    content_end: u64,
    /// Where the next header starts.
    next: u64,
    /// Name of the last member, for messages.
    last: String,
    has_end_mark: bool,
}

impl<I: Input> Members<I> {
    pub(crate) fn new(input: I) -> Members<I> {
        Members {
            input,
            position: 0,
            content_end: 0,
            next: 0,
            last: String::new(),
            has_end_mark: false,
        }
    }

    /// The next member; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Member>, TarProblem> {
        let (mut long_name, mut pax) = (None, Pax::default());
        loop {
            if !self.skip_rest()? {
                return Ok(None);
            }
            let Some(header) = self.header()? else { return Ok(None) };
            let kind = header.entry_type();
            let written = header.entry_size().map_err(|_| self.damaged("a size that is no number"));
            let size = if has_content(kind) { written? } else { 0 };
            match kind {
                EntryType::GNULongName => long_name = Some(self.extension(size)?),
                EntryType::XHeader => {
                    let records = self.extension(size)?;
                    pax = Pax::parse(&records);
                }
                EntryType::GNULongLink | EntryType::XGlobalHeader => {
                    self.last = "a header".to_owned();
                    self.expect_content(size)?;
                }
                _ => {
                    let size = if has_content(kind) { pax.size.unwrap_or(size) } else { 0 };
                    let name = match (&pax.path, &long_name) {
                        (Some(name), _) | (None, Some(name)) => name.clone(),
                        (None, None) => header.path_bytes().into_owned(),
                    };
                    let kind = if pax.is_sparse {
                        MemberKind::Other("a sparse file")
                    } else {
                        member_kind(kind, &name)
                    };
                    return self.member(&name, kind, size).map(Some);
                }
            }
        }
    }

    /// The content of the last member, which must not be larger than `limit`.
    pub(crate) fn content(&mut self, limit: u64) -> Result<Vec<u8>, TarProblem> {
        let size = self.content_end - self.position;
        debug_assert!(size <= limit, "the caller looks at the size first");
        let mut content = Vec::new();
        self.copy_content(limit, |bytes| {
            content.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(content)
    }

    /// Hands the content of the last member over piece by piece.
    pub(crate) fn copy_content(
        &mut self,
        limit: u64,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), TarProblem> {
        let mut left = (self.content_end - self.position).min(limit);
        let mut buffer = vec![0; left.min(1 << 16) as usize];
        while left > 0 {
            let wanted = left.min(buffer.len() as u64) as usize;
            match self.input.read(&mut buffer[..wanted]) {
                Ok(0) => return Err(self.truncated(format!("`{}`", self.last))),
                Ok(read) => {
                    self.position += read as u64;
                    left -= read as u64;
                    take(&buffer[..read])?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Where the walk is.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// After the end: whether the archive says itself that it ends here.
    pub(crate) fn has_end_mark(&self) -> bool {
        self.has_end_mark
    }

    /// After the end mark: whether something other than zeros follows, such as another archive.
    pub(crate) fn has_more_behind_end(&mut self) -> bool {
        let mut behind = Vec::new();
        let looked = (&mut self.input).take(LOOK_BEHIND_END).read_to_end(&mut behind);
        looked.is_ok() && behind.iter().any(|&byte| byte != 0)
    }

    fn member(&mut self, name: &[u8], kind: MemberKind, size: u64) -> Result<Member, TarProblem> {
        if name.len() > LONGEST_NAME {
            return Err(self.damaged(&format!("a name of {} bytes", name.len())));
        }
        self.last = String::from_utf8_lossy(name).into_owned();
        self.expect_content(size)?;
        Ok(Member { name: self.last.clone(), kind, size, start: self.position })
    }

    /// The name or the records that a header in front of a member holds.
    fn extension(&mut self, size: u64) -> Result<Vec<u8>, TarProblem> {
        if size > LARGEST_EXTENSION {
            return Err(self.damaged(&format!("a header of {size} bytes")));
        }
        self.last = "a header".to_owned();
        self.expect_content(size)?;
        let mut content = self.content(LARGEST_EXTENSION)?;
        if let Some(end) = content.iter().position(|&byte| byte == 0) {
            content.truncate(end);
        }
        Ok(content)
    }

    /// Notes where the content ends that starts here.
    fn expect_content(&mut self, size: u64) -> Result<(), TarProblem> {
        let padded = size.checked_next_multiple_of(BLOCK);
        let Some(next) = padded.and_then(|padded| self.position.checked_add(padded)) else {
            return Err(self.damaged(&format!("a size of {size} bytes")));
        };
        (self.content_end, self.next) = (self.position + size, next);
        Ok(())
    }

    /// Goes to the next header; false where the archive ends behind the last content.
    fn skip_rest(&mut self) -> Result<bool, TarProblem> {
        match self.input.skip(self.content_end - self.position) {
            Ok(()) => self.position = self.content_end,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(self.truncated(format!("`{}`", self.last)));
            }
            Err(error) => return Err(error.into()),
        }
        match self.input.skip(self.next - self.position) {
            Ok(()) => self.position = self.next,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    /// The next header with a right checksum; `None` at the end.
    fn header(&mut self) -> Result<Option<Header>, TarProblem> {
        let mut block = Vec::new();
        (&mut self.input).take(BLOCK).read_to_end(&mut block)?;
        let at = self.position;
        self.position += block.len() as u64;
        (self.content_end, self.next) = (self.position, self.position);
        match block.len() as u64 {
            0 if at == 0 => return Err(TarProblem::NotTar("an empty file")),
            0 => return Ok(None),
            BLOCK => {}
            _ if at == 0 => return Err(TarProblem::NotTar(kind_of_file(&block))),
            _ => return Err(self.truncated("a header".to_owned())),
        }
        if block.iter().all(|&byte| byte == 0) {
            self.has_end_mark = true;
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block).clone();
        if header.cksum().ok() != Some(checksum(&block)) {
            return Err(match at {
                0 => TarProblem::NotTar(kind_of_file(&block)),
                _ => {
                    let what = "found something else than the header of a member".to_owned();
                    TarProblem::Damaged { what, at }
                }
            });
        }
        Ok(Some(header))
    }

    fn damaged(&self, what: &str) -> TarProblem {
        TarProblem::Damaged { what: format!("found {what}"), at: self.position }
    }

    fn truncated(&self, inside: String) -> TarProblem {
        TarProblem::Truncated { inside, at: self.position }
    }
}

/// The sum over all bytes, those of the sum itself taken as spaces.
fn checksum(block: &[u8]) -> u32 {
    let own = 148..156;
    let value = |(at, &byte): (usize, &u8)| u32::from(if own.contains(&at) { b' ' } else { byte });
    block.iter().enumerate().map(value).sum()
}

/// Links, devices and folders may have a size and still have no content.
fn has_content(kind: EntryType) -> bool {
    use EntryType::{Block, Char, Directory, Fifo, Link, Symlink};
    !matches!(kind, Link | Symlink | Char | Block | Directory | Fifo)
}

fn member_kind(kind: EntryType, name: &[u8]) -> MemberKind {
    match kind {
        // Archives of the old format mark folders by their names.
        EntryType::Regular if name.ends_with(b"/") => MemberKind::Folder,
        EntryType::Regular | EntryType::Continuous => MemberKind::File,
        EntryType::Directory => MemberKind::Folder,
        EntryType::Link => MemberKind::Other("a hard link"),
        EntryType::Symlink => MemberKind::Other("a symbolic link"),
        EntryType::Char | EntryType::Block => MemberKind::Other("a device"),
        EntryType::Fifo => MemberKind::Other("a pipe"),
        EntryType::GNUSparse => MemberKind::Other("a sparse file"),
        _ => MemberKind::Other("a member of an unknown kind"),
    }
}

/// What this file is instead, with an article.
fn kind_of_file(start: &[u8]) -> &'static str {
    const SIGNATURES: [(&[u8], &str); 4] = [
        (b"version https://git-lfs", "a Git LFS pointer"),
        (b"BZh", "a bzip2 file"),
        (b"\xFD7zXZ\0", "an xz file"),
        (b"\x04\x22\x4D\x18", "an lz4 file"),
    ];
    let known = SIGNATURES.iter().find(|(signature, _)| start.starts_with(signature));
    known.map_or_else(|| crate::decode::kind_of_file(start), |(_, name)| name)
}

/// The records of an extended header that matter here.
#[derive(Default)]
struct Pax {
    path: Option<Vec<u8>>,
    size: Option<u64>,
    is_sparse: bool,
}

impl Pax {
    fn parse(records: &[u8]) -> Pax {
        let mut pax = Pax::default();
        for record in tar::PaxExtensions::new(records).map_while(Result::ok) {
            match record.key() {
                Ok("path") => pax.path = Some(record.value_bytes().to_vec()),
                Ok("size") => pax.size = record.value().ok().and_then(|text| text.parse().ok()),
                Ok(key) if key.starts_with("GNU.sparse.") => pax.is_sparse = true,
                _ => {}
            }
        }
        pax
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tar::Builder;

    use super::*;

    fn walk(bytes: &[u8]) -> Result<Vec<Member>, TarProblem> {
        let both = [
            collect(Members::new(Seeking::new(Cursor::new(bytes)).unwrap())),
            collect(Members::new(Streaming(bytes))),
        ];
        let [seeking, streaming] = both;
        assert_eq!(format!("{seeking:?}"), format!("{streaming:?}"));
        seeking
    }

    fn collect<I: Input>(mut members: Members<I>) -> Result<Vec<Member>, TarProblem> {
        let mut all = Vec::new();
        while let Some(member) = members.next()? {
            all.push(member);
        }
        Ok(all)
    }

    fn archive(names: &[&str]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for name in names {
            let mut header = Header::new_gnu();
            header.set_size(name.len() as u64);
            builder.append_data(&mut header, name, name.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn names_sizes_and_places_of_members() {
        let long = format!("{}/{}.jpg", "folder".repeat(20), "name".repeat(30));
        let bytes = archive(&["a.jpg", &long, "b.txt"]);
        let members = walk(&bytes).unwrap();
        assert_eq!(
            members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>(),
            ["a.jpg", &long, "b.txt"]
        );
        for member in members {
            let content = &bytes[member.start as usize..][..member.size as usize];
            assert_eq!(content, member.name.as_bytes());
        }
    }

    #[test]
    fn extended_headers_name_and_size_the_next_member() {
        let mut builder = Builder::new(Vec::new());
        let records = [("path", "ä/b.jpg".as_bytes()), ("mtime", b"1.5")];
        builder.append_pax_extensions(records).unwrap();
        let mut header = Header::new_ustar();
        header.set_size(3);
        builder.append_data(&mut header, "other.jpg", &b"abc"[..]).unwrap();
        builder.append_pax_extensions([("GNU.sparse.major", &b"1"[..])]).unwrap();
        builder.append_data(&mut header, "s", &b"abc"[..]).unwrap();
        let members = walk(&builder.into_inner().unwrap()).unwrap();
        assert_eq!((members[0].name.as_str(), members[0].size), ("ä/b.jpg", 3));
        assert_eq!(members[1].kind, MemberKind::Other("a sparse file"));
    }

    #[test]
    fn what_is_wrong_with_an_archive_is_said_with_its_place() {
        let whole = archive(&["a.jpg", "b.jpg"]);
        let check = |bytes: &[u8], expected: &str| {
            assert_eq!(walk(bytes).unwrap_err().to_string(), expected);
        };
        check(&whole[..514], "truncated: it ends inside `a.jpg`, at byte 512");
        check(&whole[..1100], "truncated: it ends inside a header, at byte 1100");
        let mut damaged = whole.clone();
        damaged[1024] ^= 1;
        let what = "damaged: found something else than the header of a member at byte 1024";
        check(&damaged, what);
        check(b"", "found an empty file, needed a tar archive");
        check(
            b"version https://git-lfs.github.com/spec/v1\n",
            "found a Git LFS pointer, needed a tar archive",
        );
        check(&[0x1F, 0x8B, 8, 0], "found a gzip file, needed a tar archive");
        let mut huge = Header::new_gnu();
        huge.set_path("a.jpg").unwrap();
        huge.set_size(u64::MAX - 5);
        huge.set_cksum();
        check(huge.as_bytes(), "damaged: found a size of 18446744073709551610 bytes at byte 512");
        huge.set_size(1 << 40);
        huge.set_entry_type(EntryType::GNULongName);
        huge.set_cksum();
        check(huge.as_bytes(), "damaged: found a header of 1099511627776 bytes at byte 512");
    }

    #[test]
    fn the_end_mark_and_what_follows_it() {
        let whole = archive(&["a.jpg"]);
        let end = |bytes: &[u8]| {
            let mut members = Members::new(Streaming(bytes));
            while members.next().unwrap().is_some() {}
            (members.has_end_mark(), members.has_more_behind_end())
        };
        assert_eq!(end(&whole), (true, false));
        assert_eq!(end(&whole[..1024]), (false, false));
        assert_eq!(end(&whole[..517]), (false, false), "only the padding is missing");
        assert_eq!(end(&[&whole[..], &whole[..]].concat()), (true, true));
    }
}
