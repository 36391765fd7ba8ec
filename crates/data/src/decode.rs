//! Decoding pictures to RGB, as Pillow's `convert("RGB")` does. The content decides, not the name.
//!
//! Sizes are checked against [`Limits`] before memory is taken. A file that ends early is an error. Of
//! animations and pages the first is read. Colour profiles are ignored, as TAO does, and so is EXIF's
//! orientation unless [`Reading::upright`] asks for it. Pixels are Pillow's, bit for bit: JPEG is
//! decoded with the arithmetic of libjpeg-turbo, which Pillow uses.

mod bmp;
mod colour;
mod exif;
mod format;
mod gif;
mod ifd;
mod jpeg;
mod orientation;
mod part;
mod png;
mod tiff;
mod webp;

use std::fs::File;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::error::DataError;
use crate::picture::Picture;
use crate::resize::View;

pub use format::Format;
pub use orientation::Orientation;
pub use part::Part;

/// How the pictures of a data set are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// What a picture may take.
    pub limits: Limits,
    /// Turns pictures as their EXIF data asks; otherwise they stay as they are stored.
    pub upright: bool,
    /// Decodes a JPEG to a half, a quarter or an eighth of its size where its [`Part`] still has as many
    /// pixels as it becomes, as Pillow's `Image.draft` does. Pixels differ a little from all others.
    pub draft: bool,
}

/// A picture and how it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The picture.
    pub picture: Picture,
    /// What its file asks for and was not done.
    pub orientation: Orientation,
}

/// What a picture may take before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file.
    pub bytes: u64,
    /// Pixels of the longer side.
    pub side: u32,
    /// Width times height.
    pub pixels: u64,
}

impl Default for Limits {
    /// 256 MiB files, sides of 65,535 (JPEG's own limit) and the area that Pillow refuses as well.
    fn default() -> Self {
        Limits { bytes: 256 << 20, side: 65_535, pixels: 178_956_970 }
    }
}

/// Why bytes are not a picture that this release reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// No content at all.
    #[error("found an empty file, needed a picture")]
    Empty,
    /// Some other kind of file.
    #[error("found {found}, supported are {}", format::SUPPORTED)]
    Format {
        /// The kind of file, with an article where it needs one.
        found: &'static str,
    },
    /// Larger than the limits allow.
    #[error("found {width}x{height} pixels, at most {} a side and {} in all are decoded", .limits.side, .limits.pixels)]
    TooLarge {
        /// Width in the header.
        width: u32,
        /// Height in the header.
        height: u32,
        /// What was allowed.
        limits: Limits,
    },
    /// The file ends before the picture does.
    #[error("truncated: the file ends before the {format} picture does")]
    Truncated {
        /// Of what kind the file is.
        format: Format,
    },
    /// A variant of a format that has no agreed conversion to 8-bit RGB or no decoder.
    #[error("found {found}, needed {needed}")]
    Kind {
        /// Which variant.
        found: String,
        /// What is read of this format.
        needed: &'static str,
    },
    /// Broken content.
    #[error("damaged {format}: {problem}")]
    Damaged {
        /// Of what kind the file is.
        format: Format,
        /// The decoder's words.
        problem: String,
    },
}

impl PictureError {
    /// The error with the name of the file.
    pub fn in_file(self, path: &Path) -> DataError {
        DataError::Picture { path: path.to_owned(), problem: self }
    }

    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            PictureError::Format { found: format::LFS } => {
                Some("fetch the pictures with `git lfs pull`".to_owned())
            }
            PictureError::Format { .. } => {
                Some("convert the picture to JPEG or PNG, or take it out of the data".to_owned())
            }
            PictureError::Kind { .. } => {
                Some("convert the picture to an 8-bit JPEG or PNG".to_owned())
            }
            PictureError::Truncated { .. } => {
                Some("copy or download the file again, or take it out of the data".to_owned())
            }
            _ => None,
        }
    }
}

/// Reads and decodes a picture.
pub fn read_picture(path: &Path, limits: &Limits) -> Result<Picture, DataError> {
    let reading = Reading { limits: *limits, ..Reading::default() };
    Ok(read_picture_as(path, &reading)?.picture)
}

/// Reads and decodes a picture in the way of its data set.
pub fn read_picture_as(path: &Path, reading: &Reading) -> Result<Decoded, DataError> {
    let bytes = read_bytes(path, reading.limits.bytes)?;
    decode_as(&bytes, reading).map_err(|problem| problem.in_file(path))
}

/// Reads a whole file of at most `limit` bytes.
pub fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>, DataError> {
    let unreadable = |problem| DataError::Unreadable { path: path.to_owned(), problem };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(unreadable(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    let too_large = |bytes| DataError::TooLarge { path: path.to_owned(), bytes, limit };
    if metadata.len() > limit {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // A file may grow meanwhile, and a pipe has no length: the limit holds for what is read.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    match bytes.len() as u64 {
        read if read > limit => Err(too_large(read)),
        _ => Ok(bytes),
    }
}

/// Decodes a picture as it is stored.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture, PictureError> {
    Ok(decode_as(bytes, &Reading { limits: *limits, ..Reading::default() })?.picture)
}

/// Decodes a picture in the way of its data set.
pub fn decode_as(bytes: &[u8], reading: &Reading) -> Result<Decoded, PictureError> {
    guarded(bytes, |format| decode_format(format, bytes, reading))
}

/// Decodes what the view that `choose` has for a picture of some width and height is made of: of a
/// JPEG not much more than that, of the other formats the whole picture.
pub fn decode_part(
    bytes: &[u8],
    reading: &Reading,
    choose: impl Fn(u32, u32) -> View,
) -> Result<Part, PictureError> {
    guarded(bytes, |format| part::decode(format, bytes, reading, &choose))
}

/// Runs a decoder on the bytes of its format.
fn guarded<T>(
    bytes: &[u8],
    decode: impl FnOnce(Format) -> Result<T, PictureError>,
) -> Result<T, PictureError> {
    let format = match format::recognise(bytes) {
        Ok(format) => format,
        Err(_) if bytes.is_empty() => return Err(PictureError::Empty),
        Err(found) => return Err(PictureError::Format { found }),
    };
    // The decoders are other people's code fed with whatever lies on disk: a panic in them costs
    // this picture, not the run. They hold no state that outlives the call.
    let decoded = catch_unwind(AssertUnwindSafe(|| decode(format)));
    decoded.unwrap_or_else(|_| {
        Err(PictureError::Damaged { format, problem: "the decoder panicked".to_owned() })
    })
}

fn decode_format(format: Format, bytes: &[u8], reading: &Reading) -> Result<Decoded, PictureError> {
    let decoder = match format {
        Format::Jpeg => jpeg::decode,
        Format::Png => png::decode,
        Format::WebP => webp::decode,
        Format::Gif => gif::decode,
        Format::Bmp => bmp::decode,
        Format::Tiff => tiff::decode,
    };
    let picture = decoder(bytes, &reading.limits)?;
    let orientation = exif::orientation(format, bytes);
    Ok(match reading.upright {
        true => Decoded { picture: orientation.turn(picture), orientation: Orientation::UPRIGHT },
        false => Decoded { picture, orientation },
    })
}

/// What a file is by its first bytes, with an article where it needs one.
pub(crate) fn kind_of_file(start: &[u8]) -> &'static str {
    format::recognise(start).map_or_else(|kind| kind, Format::name)
}

/// Refuses a size before memory is taken for it.
fn check_size(width: u32, height: u32, limits: &Limits) -> Result<(), PictureError> {
    let fits =
        width.max(height) <= limits.side && u64::from(width) * u64::from(height) <= limits.pixels;
    if fits { Ok(()) } else { Err(PictureError::TooLarge { width, height, limits: *limits }) }
}
