//! Tables as CSV files (RFC 4180): a comma between fields, quotes around those that need them.

use std::{
    io::{self, Write},
    path::Path,
};

use crate::atomic_file::{self, FileError};

/// Replaces `path` with `rows`; the first is the header.
pub fn write_csv(
    path: &Path,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> Result<(), FileError> {
    atomic_file::write_with(path, |file| {
        rows.into_iter().try_for_each(|row| write_csv_row(file, &row))
    })
}

/// One row and its line end.
pub fn write_csv_row(out: &mut impl Write, row: &[String]) -> io::Result<()> {
    for (at, field) in row.iter().enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        match field.contains([',', '"', '\n', '\r']) {
            true => write!(out, "\"{}\"", field.replace('"', "\"\""))?,
            false => out.write_all(field.as_bytes())?,
        }
    }
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_need_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        let rows = [["class", "name"], ["a b", "crane, machine"], ["\"x\"", "two\nlines"]];
        write_csv(&path, rows.map(|row| row.map(str::to_owned).into())).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "class,name\na b,\"crane, machine\"\n\"\"\"x\"\"\",\"two\nlines\"\n");
    }
}
