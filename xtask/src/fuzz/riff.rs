//! The length in the header of a WebP, which has to fit the file before anything else is looked at.

/// Writes the length of the file.
pub(super) fn repair(input: &mut [u8]) {
    if input.get(8..12) == Some(b"WEBP") {
        let length = (input.len() - 8) as u32;
        input[4..8].copy_from_slice(&length.to_le_bytes());
    }
}
