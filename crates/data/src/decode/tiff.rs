//! The first page of a TIFF: grey, RGB, palette and CMYK of up to 16 bits, as Pillow shows it.
//!
//! The `tiff` crate unpacks the samples; colours are made here, and JPEG inside is ours. The orientation
//! of a TIFF says how its rows are stored and is always applied, as Pillow does.

mod parts;

use std::borrow::Cow;
use std::io::{Cursor, ErrorKind};

use ::tiff::TiffError;
use ::tiff::decoder::{Decoder, DecodingResult, Limits as DecoderLimits};

use super::ifd::Directory;
use super::orientation::Orientation;
use super::{Limits, PictureError, check_size, colour, exif::ORIENTATION, format::Format};
use crate::picture::Picture;

const NEEDED: &str = "grey, RGB, palette or CMYK of up to 16-bit whole numbers, uncompressed or with \
                      LZW, deflate, PackBits, fax group 4 or JPEG";

/// Samples of a pixel that are read; RGB with alpha and a few of unknown meaning.
const MOST_CHANNELS: u64 = 8;

/// What the decoder may take besides the samples, or the size of the file where that is larger.
const WORKING_MEMORY: usize = 16 << 20;

mod tag {
    pub(super) const WIDTH: u16 = 256;
    pub(super) const HEIGHT: u16 = 257;
    pub(super) const BITS: u16 = 258;
    pub(super) const COMPRESSION: u16 = 259;
    pub(super) const COLOURS: u16 = 262;
    pub(super) const FILL_ORDER: u16 = 266;
    pub(super) const STRIP_OFFSETS: u16 = 273;
    pub(super) const CHANNELS: u16 = 277;
    pub(super) const ROWS_PER_STRIP: u16 = 278;
    pub(super) const STRIP_BYTES: u16 = 279;
    pub(super) const PLANES: u16 = 284;
    pub(super) const PALETTE: u16 = 320;
    pub(super) const TILE_WIDTH: u16 = 322;
    pub(super) const TILE_HEIGHT: u16 = 323;
    pub(super) const TILE_OFFSETS: u16 = 324;
    pub(super) const TILE_BYTES: u16 = 325;
    pub(super) const EXTRA: u16 = 338;
    pub(super) const SAMPLE_FORMAT: u16 = 339;
    pub(super) const JPEG_TABLES: u16 = 347;

    /// What the decoder reads, these and a few that are of no use here. It takes memory for values as
    /// long as their count says, so the counts have to fit the file.
    pub(super) const READ: [u16; 21] = [
        WIDTH,
        HEIGHT,
        BITS,
        COMPRESSION,
        COLOURS,
        FILL_ORDER,
        STRIP_OFFSETS,
        CHANNELS,
        ROWS_PER_STRIP,
        STRIP_BYTES,
        PLANES,
        PREDICTOR,
        PALETTE,
        TILE_WIDTH,
        TILE_HEIGHT,
        TILE_OFFSETS,
        TILE_BYTES,
        EXTRA,
        SAMPLE_FORMAT,
        JPEG_TABLES,
        SUBSAMPLING,
    ];
    const PREDICTOR: u16 = 317;
    const SUBSAMPLING: u16 = 530;
}

/// What the numbers of a pixel mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colours {
    Grey,
    Rgb,
    Palette,
    Cmyk,
    YCbCr,
}

impl Colours {
    /// How many numbers a pixel has at least.
    fn channels(self) -> usize {
        match self {
            Colours::Grey | Colours::Palette => 1,
            Colours::Rgb | Colours::YCbCr => 3,
            Colours::Cmyk => 4,
        }
    }
}

/// The numbers of the directory that decide how the rest is read.
struct Layout {
    width: u32,
    height: u32,
    colours: Colours,
    channels: usize,
    bits: u8,
    is_jpeg: bool,
    is_planar: bool,
    /// The colours are multiplied with the fourth sample, where there is one.
    is_premultiplied: bool,
}

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture, PictureError> {
    let directory = Directory::first(bytes).ok_or_else(truncated)?;
    if !tag::READ.iter().all(|&tag| directory.is_sound(tag)) {
        return Err(damaged("its directory announces values that are not in the file"));
    }
    let layout = layout(&directory, limits)?;
    let picture = match layout.is_jpeg {
        true => parts::decode(&directory, &layout, bytes)?,
        false => {
            let samples = samples(&directory, &layout, bytes)?;
            let pixels = to_rgb(&directory, &layout, &samples)?;
            Picture::new(layout.width, layout.height, pixels)
                .ok_or_else(|| damaged("the sizes contradict each other"))?
        }
    };
    let orientation = directory.number(ORIENTATION).and_then(Orientation::from_exif);
    Ok(orientation.unwrap_or(Orientation::UPRIGHT).turn(picture))
}

fn layout(directory: &Directory<'_>, limits: &Limits) -> Result<Layout, PictureError> {
    let number = |tag, default| directory.number(tag).unwrap_or(default);
    let side = |tag| number(tag, 0).try_into().unwrap_or(u32::MAX);
    let (width, height) = (side(tag::WIDTH), side(tag::HEIGHT));
    check_size(width, height, limits)?;
    if width == 0 || height == 0 {
        return Err(damaged("its sides are not given"));
    }
    if directory.number(tag::TILE_WIDTH).is_some() {
        // A tile may be larger than the picture, and memory is taken for the whole of it.
        check_size(side(tag::TILE_WIDTH), side(tag::TILE_HEIGHT), limits)?;
    }
    let colours = match number(tag::COLOURS, 1) {
        0 | 1 => Colours::Grey,
        2 => Colours::Rgb,
        3 => Colours::Palette,
        5 => Colours::Cmyk,
        6 => Colours::YCbCr,
        8..=10 => return Err(kind("a TIFF in a Lab colour space")),
        other => return Err(kind(&format!("a TIFF of colour space {other}"))),
    };
    let bits = number(tag::BITS, 1);
    match directory.numbers(tag::SAMPLE_FORMAT).unwrap_or_default().iter().find(|&&f| f > 1) {
        Some(2) => return Err(kind(&format!("a TIFF of signed {bits}-bit numbers"))),
        Some(3) => return Err(kind(&format!("a TIFF of {bits}-bit floating point numbers"))),
        Some(_) => return Err(kind("a TIFF of numbers of an unknown kind")),
        None => {}
    }
    if number(tag::FILL_ORDER, 1) != 1 {
        return Err(kind("a TIFF whose bytes begin with their lowest bit"));
    }
    let channels = number(tag::CHANNELS, 1);
    let is_read = (colours.channels() as u64..=MOST_CHANNELS).contains(&channels)
        && matches!(bits, 1 | 2 | 4 | 8 | 16)
        && (bits <= 8 || colours != Colours::Palette);
    if !is_read {
        return Err(kind(&format!("a TIFF of {channels} x {bits} bits a pixel")));
    }
    Ok(Layout {
        width,
        height,
        colours,
        channels: channels as usize,
        bits: bits as u8,
        is_jpeg: number(tag::COMPRESSION, 1) == 7,
        is_planar: number(tag::PLANES, 1) == 2,
        is_premultiplied: number(tag::EXTRA, 0) == 1,
    })
}

/// 8-bit samples, pixel after pixel; the decoder may have left out channels without a meaning.
struct Samples {
    values: Vec<u8>,
    channels: usize,
}

/// The high byte of 16 bits; fewer than 8 bits as numbers of their own.
fn samples(
    directory: &Directory<'_>,
    layout: &Layout,
    bytes: &[u8],
) -> Result<Samples, PictureError> {
    let pixels = layout.width as usize * layout.height as usize;
    let mut limits = DecoderLimits::default();
    // Rows of few bits end with padding, so that a narrow picture takes up to a byte a sample.
    limits.decoding_buffer_size = pixels * layout.channels * 2;
    limits.intermediate_buffer_size = bytes.len().max(WORKING_MEMORY);
    let bytes = match layout.colours {
        Colours::Palette => Cow::Owned(as_grey(directory, bytes)),
        _ => Cow::Borrowed(bytes),
    };
    let mut decoder = Decoder::new(Cursor::new(&*bytes)).map_err(failure)?.with_limits(limits);
    let mut samples = DecodingResult::U8(Vec::new());
    let found = decoder.read_image_to_buffer(&mut samples).map_err(failure)?;
    if samples.as_buffer(0).as_bytes().len() < found.complete_len {
        return Err(damaged("the planes are not complete"));
    }
    let values = match samples {
        DecodingResult::U8(samples) if layout.bits == 8 => samples,
        DecodingResult::U8(samples) if layout.bits < 8 => unpack(&samples, layout),
        DecodingResult::U16(samples) => samples.iter().map(|sample| (sample >> 8) as u8).collect(),
        _ => return Err(damaged("the numbers are not of the size that was announced")),
    };
    let channels = values.len() / pixels;
    if channels < layout.colours.channels() || values.len() != pixels * channels {
        return Err(damaged("the sizes contradict each other"));
    }
    let values = if layout.is_planar { interleave(&values, channels) } else { values };
    Ok(Samples { values, channels })
}

/// The decoder knows no palettes: with another number in the directory it takes indices as grey.
fn as_grey(directory: &Directory<'_>, bytes: &[u8]) -> Vec<u8> {
    const BLACK_IS_ZERO: u16 = 1;
    let mut bytes = bytes.to_vec();
    if let Some(place) = directory.place(tag::COLOURS)
        && let Some(number) = bytes.get_mut(place.start..place.start + 2)
    {
        number.copy_from_slice(&directory.short(BLACK_IS_ZERO));
    }
    bytes
}

/// Samples below a byte, each row starting with a new byte.
fn unpack(packed: &[u8], layout: &Layout) -> Vec<u8> {
    let bits = usize::from(layout.bits);
    let channels = if layout.is_planar { 1 } else { layout.channels };
    let samples = layout.width as usize * channels;
    let mask = (1_u16 << bits) as u8 - 1;
    let sample = |row: &[u8], i: usize| row[i * bits / 8] >> (8 - bits - i * bits % 8) & mask;
    let rows = packed.chunks_exact((samples * bits).div_ceil(8).max(1));
    rows.flat_map(|row| (0..samples).map(move |i| sample(row, i))).collect()
}

fn interleave(planes: &[u8], channels: usize) -> Vec<u8> {
    let pixels = planes.len() / channels;
    (0..planes.len()).map(|i| planes[i % channels * pixels + i / channels]).collect()
}

fn to_rgb(
    directory: &Directory<'_>,
    layout: &Layout,
    Samples { values, channels }: &Samples,
) -> Result<Vec<u8>, PictureError> {
    let channels = *channels;
    Ok(match layout.colours {
        Colours::Grey if layout.bits < 8 => {
            let most = (1_u16 << layout.bits) as u8 - 1;
            let stretched: Vec<u8> = values.iter().map(|value| value * (255 / most)).collect();
            colour::from_grey(&stretched, channels)
        }
        Colours::Grey => colour::from_grey(values, channels),
        Colours::Rgb if layout.is_premultiplied && channels > 3 => {
            colour::from_premultiplied(values, channels)
        }
        Colours::Rgb => colour::first_three(values, channels),
        Colours::Cmyk => colour::from_cmyk(values, channels),
        Colours::Palette => {
            let palette = directory.numbers(tag::PALETTE).unwrap_or_default();
            let third = 1 << layout.bits;
            if palette.len() < 3 * third {
                return Err(damaged("the palette is missing or too short"));
            }
            let indices = values.iter().step_by(channels).copied();
            colour::from_palette(indices, |index| {
                let entry = |part: usize| palette.get(part * third + usize::from(index));
                [0, 1, 2].map(|part| entry(part).map_or(0, |value| (value >> 8) as u8))
            })
        }
        Colours::YCbCr => return Err(kind("a TIFF of YCbCr that is not JPEG inside")),
    })
}

fn failure(error: TiffError) -> PictureError {
    match error {
        TiffError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => truncated(),
        TiffError::UnsupportedError(error) => {
            kind(&format!("a TIFF that needs another decoder ({error})"))
        }
        error => damaged(&error.to_string()),
    }
}

fn kind(found: &str) -> PictureError {
    PictureError::Kind { found: found.to_owned(), needed: NEEDED }
}

fn truncated() -> PictureError {
    PictureError::Truncated { format: Format::Tiff }
}

fn damaged(problem: &str) -> PictureError {
    PictureError::Damaged { format: Format::Tiff, problem: problem.to_owned() }
}
