//! The bytes of a pickle, fetched as they are asked for.

use std::{fs::File, io::Read};

use super::{
    problem::{MAX_PICKLE_BYTES, PyTorchProblem},
    value::Span,
};

/// Bytes fetched at once.
const BLOCK: u64 = 1 << 18;

#[derive(Debug)]
pub(crate) struct Tape<'a> {
    pub(crate) bytes: Vec<u8>,
    pub(crate) at: usize,
    /// Where more bytes come from, if these are not all.
    more: Option<&'a File>,
}

impl<'a> Tape<'a> {
    pub(crate) fn whole(bytes: Vec<u8>) -> Tape<'a> {
        Tape { bytes, at: 0, more: None }
    }

    /// Pickles at the start of `file`; what follows them is not read.
    pub(crate) fn of_file(file: &'a File) -> Tape<'a> {
        Tape { bytes: Vec::new(), at: 0, more: Some(file) }
    }

    pub(crate) fn byte(&mut self) -> Result<u8, PyTorchProblem> {
        let span = self.take(1)?;
        Ok(self.bytes[span.start as usize])
    }

    /// The next bytes, as a number of little-endian order.
    pub(crate) fn number<const N: usize>(&mut self) -> Result<[u8; N], PyTorchProblem> {
        let span = self.take(N as u64)?;
        let bytes = &self.bytes[span.start as usize..][..N];
        Ok(bytes.try_into().expect("as many as were asked for"))
    }

    pub(crate) fn take(&mut self, len: u64) -> Result<Span, PyTorchProblem> {
        let end = (self.at as u64).saturating_add(len);
        if end > self.bytes.len() as u64 {
            self.fetch(end)?;
        }
        let span = Span { start: self.at as u32, len: len as u32 };
        self.at = end as usize;
        Ok(span)
    }

    /// The bytes up to the end of the line, which is left out.
    pub(crate) fn line(&mut self) -> Result<Span, PyTorchProblem> {
        let start = self.at;
        while self.byte()? != b'\n' {}
        Ok(Span { start: start as u32, len: (self.at - 1 - start) as u32 })
    }

    fn fetch(&mut self, end: u64) -> Result<(), PyTorchProblem> {
        let cut = |at: usize| PyTorchProblem::Cut { at: at as u64, what: "its pickle".to_owned() };
        let Some(mut file) = self.more else { return Err(cut(self.bytes.len())) };
        while (self.bytes.len() as u64) < end {
            if self.bytes.len() as u64 >= MAX_PICKLE_BYTES {
                return Err(PyTorchProblem::Limit { limit: MAX_PICKLE_BYTES, what: "bytes" });
            }
            let read = file.by_ref().take(BLOCK).read_to_end(&mut self.bytes);
            if read.is_err() || read.is_ok_and(|read| read == 0) {
                return Err(cut(self.bytes.len()));
            }
        }
        Ok(())
    }
}
