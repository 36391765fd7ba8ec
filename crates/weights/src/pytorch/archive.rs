//! The zip archive of `torch.save`, written: entries as they are, each at a multiple of 64 bytes, so
//! that PyTorch can map the file. Sizes and places of 4 GiB and more are written as zip64.
//!
//! Source of the layout: PKWARE's APPNOTE.TXT, sections 4.3 and 4.5.

use std::io::{self, Seek, SeekFrom, Write};

const ALIGNMENT: u64 = 64;
const LOCAL_HEADER: u64 = 30;
/// Offset of the checksum in a local header.
const CRC_OFFSET: u64 = 14;
/// Filler of the extra field, under the name that PyTorch uses.
const PADDING: u16 = 0x4246;
const ZIP64: u16 = 1;
const VERSION: u16 = 45;
/// Names are UTF-8.
const FLAGS: u16 = 0x800;
/// 1 January 1980, so that the same content gives the same bytes.
const DATE: u16 = 0x21;
/// Stands for a number that is in the zip64 field.
const BEYOND: u32 = u32::MAX;

/// One entry: its place follows from the entries before it.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) name: String,
    pub(crate) len: u64,
    header_start: u64,
    pub(crate) data_start: u64,
}

impl Stored {
    /// An entry whose header begins at `at`.
    pub(crate) fn new(name: String, len: u64, at: u64) -> Stored {
        let fixed = LOCAL_HEADER + name.len() as u64 + zip64_local(len).len() as u64 + 4;
        let data_start = (at + fixed).next_multiple_of(ALIGNMENT);
        Stored { name, len, header_start: at, data_start }
    }

    pub(crate) fn end(&self) -> u64 {
        self.data_start + self.len
    }

    /// The header before the data; the checksum follows with [`Stored::write_crc`].
    pub(crate) fn write_header(&self, to: &mut (impl Write + Seek)) -> io::Result<()> {
        let mut extra = zip64_local(self.len);
        let before = self.header_start + LOCAL_HEADER + (self.name.len() + extra.len()) as u64;
        let padding = self.data_start - before - 4;
        extra.extend(PADDING.to_le_bytes());
        extra.extend((padding as u16).to_le_bytes());
        extra.resize(extra.len() + padding as usize, 0);

        let mut header = b"PK\x03\x04".to_vec();
        header.extend(VERSION.to_le_bytes());
        header.extend(self.facts(0));
        header.extend((extra.len() as u16).to_le_bytes());
        header.extend(self.name.as_bytes());
        header.extend(extra);
        to.seek(SeekFrom::Start(self.header_start))?;
        to.write_all(&header)
    }

    pub(crate) fn write_crc(&self, to: &mut (impl Write + Seek), crc: u32) -> io::Result<()> {
        to.seek(SeekFrom::Start(self.header_start + CRC_OFFSET))?;
        to.write_all(&crc.to_le_bytes())
    }

    /// What both headers of an entry say, from the flags to the length of the name.
    fn facts(&self, crc: u32) -> Vec<u8> {
        let len = u32::try_from(self.len).unwrap_or(BEYOND);
        let mut facts = Vec::new();
        // Flags, no compression, time, date.
        for number in [FLAGS, 0, 0, DATE] {
            facts.extend(number.to_le_bytes());
        }
        for number in [crc, len, len] {
            facts.extend(number.to_le_bytes());
        }
        facts.extend((self.name.len() as u16).to_le_bytes());
        facts
    }

    /// The header in the table at the end of the archive.
    fn in_table(&self, crc: u32) -> Vec<u8> {
        let mut wide = Vec::new();
        if u32::try_from(self.len).is_err() {
            wide.extend([self.len, self.len]);
        }
        let start = u32::try_from(self.header_start).unwrap_or_else(|_| {
            wide.push(self.header_start);
            BEYOND
        });
        let extra = zip64(&wide);
        let mut header = b"PK\x01\x02".to_vec();
        header.extend(VERSION.to_le_bytes());
        header.extend(VERSION.to_le_bytes());
        header.extend(self.facts(crc));
        header.extend((extra.len() as u16).to_le_bytes());
        // No remark, first disk, no attributes.
        header.extend([0; 10]);
        header.extend(start.to_le_bytes());
        header.extend(self.name.as_bytes());
        header.extend(extra);
        header
    }
}

/// Writes the table of all entries, given with their checksums, behind the last of them.
pub(crate) fn write_table(
    to: &mut (impl Write + Seek),
    entries: &[(&Stored, u32)],
) -> io::Result<()> {
    let start = entries.last().map_or(0, |(entry, _)| entry.end());
    let mut table: Vec<u8> = entries.iter().flat_map(|(entry, crc)| entry.in_table(*crc)).collect();
    let (len, count) = (table.len() as u64, entries.len() as u64);

    // The wide end and the pointer to it, always: readers that do not need them skip them.
    let end = start + len;
    table.extend(b"PK\x06\x06");
    table.extend(44u64.to_le_bytes());
    table.extend(VERSION.to_le_bytes());
    table.extend(VERSION.to_le_bytes());
    table.extend([0; 8]);
    for number in [count, count, len, start] {
        table.extend(number.to_le_bytes());
    }
    table.extend(b"PK\x06\x07\0\0\0\0");
    table.extend(end.to_le_bytes());
    table.extend(1u32.to_le_bytes());

    let narrow_count = u16::try_from(count).unwrap_or(u16::MAX);
    table.extend(b"PK\x05\x06\0\0\0\0");
    table.extend(narrow_count.to_le_bytes());
    table.extend(narrow_count.to_le_bytes());
    for number in [len, start] {
        table.extend(u32::try_from(number).unwrap_or(BEYOND).to_le_bytes());
    }
    table.extend([0; 2]);
    to.seek(SeekFrom::Start(start))?;
    to.write_all(&table)
}

fn zip64_local(len: u64) -> Vec<u8> {
    match u32::try_from(len) {
        Ok(len) if len < BEYOND => Vec::new(),
        _ => zip64(&[len, len]),
    }
}

fn zip64(numbers: &[u64]) -> Vec<u8> {
    if numbers.is_empty() {
        return Vec::new();
    }
    let mut field = ZIP64.to_le_bytes().to_vec();
    field.extend((numbers.len() as u16 * 8).to_le_bytes());
    field.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    field
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    /// Entries as large as those of giant models, in a file full of holes.
    #[test]
    fn sizes_and_places_beyond_four_gibibytes() {
        let mut file = tempfile::tempfile().unwrap();
        let mut entries: Vec<Stored> = Vec::new();
        for (name, len) in [("a/data/0", 5 << 30), ("a/data/1", 12), ("a/data/2", 1 << 32)] {
            let at = entries.last().map_or(0, Stored::end);
            entries.push(Stored::new(name.to_owned(), len, at));
        }
        entries.iter().for_each(|entry| entry.write_header(&mut file).unwrap());
        let table: Vec<(&Stored, u32)> = entries.iter().map(|entry| (entry, 7)).collect();
        write_table(&mut file, &table).unwrap();

        let mut zip = zip::ZipArchive::new(&file as &File).unwrap();
        assert_eq!(zip.len(), 3);
        for (index, expected) in entries.iter().enumerate() {
            let found = zip.by_index_raw(index).unwrap();
            assert_eq!(found.name().unwrap(), expected.name);
            assert_eq!(found.size(), expected.len);
            assert_eq!(found.data_start(), Some(expected.data_start));
            assert_eq!(expected.data_start % ALIGNMENT, 0);
        }
    }
}
