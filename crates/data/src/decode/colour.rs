//! Samples of other layouts to RGB, as Pillow's `convert("RGB")` does.

/// Repeats the first of every `channels` samples.
pub(super) fn from_grey(samples: &[u8], channels: usize) -> Vec<u8> {
    samples.chunks_exact(channels).flat_map(|pixel| [pixel[0]; 3]).collect()
}

/// Takes the first three of every `channels` samples.
pub(super) fn first_three(samples: &[u8], channels: usize) -> Vec<u8> {
    samples.chunks_exact(channels).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
}

/// As [`first_three`], where the colours are multiplied with the fourth sample.
pub(super) fn from_premultiplied(samples: &[u8], channels: usize) -> Vec<u8> {
    let divided = |value: u8, alpha: u8| match alpha {
        0 => 0,
        255 => value,
        alpha => (u32::from(value) * 255 / u32::from(alpha)).min(255) as u8,
    };
    let pixels = samples.chunks_exact(channels);
    pixels.flat_map(|pixel| [0, 1, 2].map(|i| divided(pixel[i], pixel[3]))).collect()
}

/// Cyan, magenta, yellow and black, 255 the full ink.
pub(super) fn from_cmyk(samples: &[u8], channels: usize) -> Vec<u8> {
    let paper = |ink: u8, black: u8| {
        let left = 255 - u32::from(black);
        let product = u32::from(ink) * left + 128;
        left.saturating_sub(((product >> 8) + product) >> 8) as u8
    };
    let pixels = samples.chunks_exact(channels);
    pixels.flat_map(|pixel| [0, 1, 2].map(|i| paper(pixel[i], pixel[3]))).collect()
}

/// The colours of indices; an index beyond the palette is black.
pub(super) fn from_palette(
    indices: impl Iterator<Item = u8>,
    colour: impl Fn(u8) -> [u8; 3],
) -> Vec<u8> {
    let colours: Vec<[u8; 3]> = (0..=255).map(colour).collect();
    indices.flat_map(|index| colours[usize::from(index)]).collect()
}

/// 16-bit samples in the machine's order to 8 bits: Pillow takes the high byte, without rounding.
pub(super) fn high_bytes(samples: &[u8]) -> Vec<u8> {
    let pairs = samples.as_chunks::<2>().0;
    pairs.iter().map(|&pair| (u16::from_ne_bytes(pair) >> 8) as u8).collect()
}
