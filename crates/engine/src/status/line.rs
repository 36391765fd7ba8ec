//! The text of one line: JSON with Python's spacing, durations as Python prints them.
//!
//! Scripts around TAO look for `"status": "RUNNING"` with the blank, so the blank is part of the format.

use std::{io, time::Duration};

use serde::Serialize;
use serde_json::{Map, Serializer, Value, ser::Formatter};

/// One object and its line end.
pub(super) fn to_line(fields: &Map<String, Value>) -> String {
    let mut line = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut line, PythonSpacing);
    fields.serialize(&mut serializer).expect("a map of JSON values always serialises");
    line.push(b'\n');
    String::from_utf8(line).expect("JSON is UTF-8")
}

/// `H:MM:SS`, with six decimals only when there are any, and days in front from 24 hours on.
pub(super) fn python_duration(duration: Duration) -> String {
    // Python rounds to microseconds, and so moves to the next second when it has to.
    let micros = (duration.as_nanos() + 500) / 1000;
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    let days = match days {
        0 => String::new(),
        1 => "1 day, ".to_owned(),
        _ => format!("{days} days, "),
    };
    let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:06}") };
    format!("{days}{hours}:{minutes:02}:{seconds:02}{fraction}")
}

struct PythonSpacing;

impl Formatter for PythonSpacing {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}
