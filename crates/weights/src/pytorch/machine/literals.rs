//! Numbers and texts as a pickle writes them.

use super::{Step, Unpickler, wrong};
use crate::pytorch::value::{Span, Value};

impl Unpickler<'_> {
    pub(super) fn scalar(&mut self, op: u8) -> Step {
        let value = match op {
            b'K' => Value::Int(self.tape.byte()?.into()),
            b'M' => Value::Int(u16::from_le_bytes(self.tape.number()?).into()),
            b'J' => Value::Int(i32::from_le_bytes(self.tape.number()?).into()),
            b'G' => Value::Float(f64::from_be_bytes(self.tape.number()?)),
            0x8a => {
                let len = self.tape.byte()?;
                self.long(len.into())?
            }
            0x8b => {
                let len = u32::from_le_bytes(self.tape.number()?);
                self.long(len.into())?
            }
            _ => {
                let line = self.tape.line()?;
                self.written(op, line)?
            }
        };
        self.add(value)
    }

    /// A whole number of any length, in two's complement.
    fn long(&mut self, len: u64) -> Step<Value> {
        let span = self.tape.take(len)?;
        let bytes = self.slice(span);
        let Some(last) = bytes.last() else { return Ok(Value::Int(0)) };
        let filler = if *last >= 0x80 { 0xff } else { 0 };
        let mut number = [filler; 8];
        if bytes.len() > number.len() {
            return Ok(Value::Wide);
        }
        number[..bytes.len()].copy_from_slice(bytes);
        Ok(Value::Int(i64::from_le_bytes(number)))
    }

    /// A number in digits, as the oldest protocols write it.
    fn written(&self, op: u8, line: Span) -> Step<Value> {
        let text = std::str::from_utf8(self.slice(line)).unwrap_or_default();
        let value = match (op, text) {
            (b'I', "00") => Some(Value::Bool(false)),
            (b'I', "01") => Some(Value::Bool(true)),
            (b'I', _) => text.parse().ok().map(Value::Int),
            _ => text.parse().ok().map(Value::Float),
        };
        value.map_or_else(|| wrong(format!("`{text}` is not a number")), Ok)
    }

    pub(super) fn text(&mut self, op: u8) -> Step {
        let len = match op {
            b'U' | b'C' | 0x8c => self.tape.byte()?.into(),
            b'X' | b'T' | b'B' => u32::from_le_bytes(self.tape.number()?).into(),
            _ => u64::from_le_bytes(self.tape.number()?),
        };
        let span = self.tape.take(len)?;
        let is_text = matches!(op, b'X' | b'U' | b'T' | 0x8c | 0x8d);
        let value = match is_text && std::str::from_utf8(self.slice(span)).is_ok() {
            true => Value::Text(span),
            false => Value::Bytes,
        };
        self.add(value)
    }

    pub(super) fn memo_key(&mut self, op: u8) -> Step<u32> {
        Ok(match op {
            b'q' | b'h' => self.tape.byte()?.into(),
            b'r' | b'j' => u32::from_le_bytes(self.tape.number()?),
            _ => {
                let line = self.tape.line()?;
                let text = std::str::from_utf8(self.slice(line)).unwrap_or_default();
                text.parse().map_or_else(|_| wrong(format!("`{text}` is not a number")), Ok)?
            }
        })
    }
}
