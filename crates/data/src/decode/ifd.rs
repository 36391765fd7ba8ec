//! The first directory of a TIFF file, which is also the form of an EXIF block: tags and their numbers.

use std::ops::Range;

/// Most numbers of one tag: the parts of the largest picture are fewer.
const MOST_NUMBERS: usize = 1 << 20;

/// One directory. Everything in it is checked when it is read: sizes and offsets are the file's word only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Directory<'a> {
    bytes: &'a [u8],
    is_little_endian: bool,
    /// BigTIFF: counts and offsets of 8 bytes.
    is_big: bool,
    /// Where the first entry stands.
    start: usize,
    entries: usize,
}

/// A tag's value where it stands.
struct Value {
    kind: u64,
    count: usize,
    place: Range<usize>,
}

impl<'a> Directory<'a> {
    /// The directory that the header names; `None` where there is none.
    pub(super) fn first(bytes: &'a [u8]) -> Option<Directory<'a>> {
        let is_little_endian = match bytes.get(..2)? {
            b"II" => true,
            b"MM" => false,
            _ => return None,
        };
        let mut directory =
            Directory { bytes, is_little_endian, is_big: false, start: 0, entries: 0 };
        directory.is_big = match directory.read(2, 2)? {
            42 => false,
            43 => true,
            _ => return None,
        };
        let (offset, count_bytes) =
            if directory.is_big { (directory.read(8, 8)?, 8) } else { (directory.read(4, 4)?, 2) };
        let offset = usize::try_from(offset).ok()?;
        directory.entries = usize::try_from(directory.read(offset, count_bytes)?).ok()?;
        directory.start = offset.checked_add(count_bytes)?;
        Some(directory)
    }

    /// The first of a tag's whole numbers.
    pub(super) fn number(&self, tag: u16) -> Option<u64> {
        let (value, size) = self.whole(tag)?;
        if value.count > 0 { self.read(value.place.start, size) } else { None }
    }

    /// A tag's whole numbers; `None` where the tag is not there, holds something else or too many.
    pub(super) fn numbers(&self, tag: u16) -> Option<Vec<u64>> {
        let (value, size) = self.whole(tag)?;
        if value.count > MOST_NUMBERS {
            return None;
        }
        (0..value.count).map(|i| self.read(value.place.start + i * size, size)).collect()
    }

    /// The value of a tag that holds whole numbers, and the bytes of each.
    fn whole(&self, tag: u16) -> Option<(Value, usize)> {
        let value = self.value(tag).filter(|value| value.kind != UNDEFINED)?;
        let size = size_of_kind(value.kind)?;
        Some((value, size))
    }

    /// A tag's bytes, as they stand.
    pub(super) fn raw(&self, tag: u16) -> Option<&'a [u8]> {
        self.bytes.get(self.value(tag)?.place)
    }

    /// Where a tag's value stands in the file.
    pub(super) fn place(&self, tag: u16) -> Option<Range<usize>> {
        Some(self.value(tag)?.place)
    }

    /// A 16-bit number as this file writes it.
    pub(super) fn short(&self, number: u16) -> [u8; 2] {
        if self.is_little_endian { number.to_le_bytes() } else { number.to_be_bytes() }
    }

    /// False for a tag that is there and holds neither whole numbers nor raw bytes inside the file, or
    /// is there twice.
    pub(super) fn is_sound(&self, tag: u16) -> bool {
        match self.entries_of(tag).count() {
            0 => true,
            1 => self.value(tag).is_some(),
            _ => false,
        }
    }

    /// Where the entries of a tag stand; there should be one.
    fn entries_of(&self, tag: u16) -> impl Iterator<Item = usize> {
        let entry_bytes = if self.is_big { 20 } else { 12 };
        let place = move |number: usize| self.start.checked_add(number.checked_mul(entry_bytes)?);
        let entries = (0..self.entries).map_while(move |number| {
            let entry = place(number)?;
            Some((entry, self.read(entry, 2)?))
        });
        entries.filter(move |found| found.1 == u64::from(tag)).map(|found| found.0)
    }

    fn value(&self, tag: u16) -> Option<Value> {
        let entry = self.entries_of(tag).next()?;
        let word = if self.is_big { 8 } else { 4 };
        let kind = self.read(entry + 2, 2)?;
        let count = usize::try_from(self.read(entry + 4, word)?).ok()?;
        let bytes = count.checked_mul(size_of_kind(kind)?)?;
        let inline = entry + 4 + word;
        let start = match bytes <= word {
            true => inline,
            false => usize::try_from(self.read(inline, word)?).ok()?,
        };
        let place = start..start.checked_add(bytes)?;
        (place.end <= self.bytes.len()).then_some(Value { kind, count, place })
    }

    fn read(&self, at: usize, size: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(size)?)?;
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if self.is_little_endian {
            bytes.iter().rev().fold(0, add)
        } else {
            bytes.iter().fold(0, add)
        })
    }
}

const UNDEFINED: u64 = 7;

/// Bytes of one value; `None` for what is no whole number and no raw bytes.
fn size_of_kind(kind: u64) -> Option<usize> {
    match kind {
        1 | UNDEFINED => Some(1),
        3 => Some(2),
        4 | 13 => Some(4),
        16 | 18 => Some(8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of one tag of bytes, all sevens, behind it.
    fn sevens(count: usize) -> Vec<u8> {
        let mut bytes = b"II\x2A\0\x08\0\0\0\x01\0\x52\x01\x01\0".to_vec();
        bytes.extend((count as u32).to_le_bytes());
        bytes.extend([22, 0, 0, 0]);
        bytes.resize(22 + count, 7);
        bytes
    }

    #[test]
    fn a_tag_gives_no_more_numbers_than_a_picture_can_need() {
        for (count, expected) in
            [(5, Some(5)), (MOST_NUMBERS, Some(1 << 20)), (MOST_NUMBERS + 1, None)]
        {
            let bytes = sevens(count);
            let directory = Directory::first(&bytes).unwrap();
            assert_eq!(directory.numbers(338).map(|numbers| numbers.len()), expected);
            assert_eq!(directory.number(338), Some(7));
        }
    }
}
