//! Reading gzip and zstd files, recognised by content. What comes out is limited, so that a small
//! file cannot fill the disk.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// What may come out of a compressed file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expansion {
    /// Bytes in all.
    pub(crate) bytes: u64,
    /// Times the size of the file, once more than [`Expansion::FREE`] bytes came out.
    pub(crate) ratio: u64,
}

impl Expansion {
    /// Small texts in a tar archive compress very well: nothing is suspected below this size.
    const FREE: u64 = 64 << 20;
}

impl Default for Expansion {
    /// 1 TiB, 250 times: pictures do not compress, captions some twenty times.
    fn default() -> Self {
        Expansion { bytes: 1 << 40, ratio: 250 }
    }
}

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

/// The compression by the first bytes; the name does not count.
pub(crate) fn compression_of(path: &Path) -> io::Result<Compression> {
    let mut start = Vec::new();
    File::open(path)?.take(4).read_to_end(&mut start)?;
    Ok(match start[..] {
        [0x1F, 0x8B, ..] => Compression::Gzip,
        // A zstd file may start with a frame that is to be skipped.
        [0x28, 0xB5, 0x2F, 0xFD] | [0x50..=0x5F, 0x2A, 0x4D, 0x18] => Compression::Zstd,
        _ => Compression::None,
    })
}

/// The content of a file, decompressed. More than `expansion` allows is an error of the reader.
pub(crate) fn open(path: &Path, expansion: Expansion) -> io::Result<Box<dyn Read>> {
    let compression = compression_of(path)?;
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let input = BufReader::with_capacity(1 << 16, file);
    let output: Box<dyn Read> = match compression {
        Compression::None => return Ok(Box::new(input)),
        Compression::Gzip => Box::new(MultiGzDecoder::new(input)),
        Compression::Zstd => Box::new(ZstdFrames { input, frame: None }),
    };
    Ok(Box::new(Limited { output, size, read: 0, expansion }))
}

/// Counts what comes out.
struct Limited<R> {
    output: R,
    /// Of the compressed file.
    size: u64,
    read: u64,
    expansion: Expansion,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Other people's code, fed with whatever lies on disk. Nobody reads on after an error.
        let read = catch_unwind(AssertUnwindSafe(|| self.output.read(buffer)))
            .unwrap_or_else(|_| Err(io::Error::other("damaged: the decompressor panicked")))?;
        self.read += read as u64;
        let Expansion { bytes, ratio } = self.expansion;
        if self.read > bytes {
            return Err(io::Error::other(format!("it unpacks to more than {bytes} bytes")));
        }
        if self.read > Expansion::FREE && self.read / ratio > self.size {
            let problem = format!("it unpacks to more than {ratio} times its size");
            return Err(io::Error::other(problem));
        }
        Ok(read)
    }
}

/// All frames of a zstd file: parallel compressors write many.
struct ZstdFrames<R> {
    input: R,
    frame: Option<FrameDecoder>,
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(frame) = &mut self.frame else {
                if self.input.fill_buf()?.is_empty() {
                    return Ok(0);
                }
                self.frame = self.next_frame()?;
                continue;
            };
            while frame.can_collect() == 0 && !frame.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                frame.decode_blocks(&mut self.input, one).map_err(zstd_problem)?;
            }
            let read = frame.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            self.frame = None;
        }
    }
}

impl<R: BufRead> ZstdFrames<R> {
    /// `None` for a frame that holds no content.
    fn next_frame(&mut self) -> io::Result<Option<FrameDecoder>> {
        let mut frame = FrameDecoder::new();
        match frame.init(&mut self.input) {
            Ok(()) => Ok(Some(frame)),
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => {
                io::copy(&mut (&mut self.input).take(length.into()), &mut io::sink())?;
                Ok(None)
            }
            Err(error) => Err(zstd_problem(error)),
        }
    }
}

fn zstd_problem(error: FrameDecoderError) -> io::Error {
    io::Error::other(format!("damaged or truncated zstd: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_a_decompressor_is_an_error() {
        struct Panics(Vec<u8>);
        impl Read for Panics {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                Ok(usize::from(self.0[buffer.len()]))
            }
        }
        let output = Panics(Vec::new());
        let mut reader = Limited { output, size: 1, read: 0, expansion: Expansion::default() };
        let error = reader.read(&mut [0; 9]).unwrap_err();
        assert_eq!(error.to_string(), "damaged: the decompressor panicked");
    }
}
