//! The checksums of PNG chunks, so that mutations reach what lies behind them.

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Writes the right checksum behind every whole chunk.
#[expect(clippy::ptr_arg, reason = "the type of every repair")]
pub(super) fn repair(input: &mut Vec<u8>) {
    if !input.starts_with(SIGNATURE) {
        return;
    }
    let mut at = SIGNATURE.len();
    while let Some(length) = input.get(at..).and_then(|rest| rest.first_chunk::<4>()) {
        let start = at + 4;
        let Some(end) = start.checked_add(4 + u32::from_be_bytes(*length) as usize) else { return };
        if end + 4 > input.len() {
            return;
        }
        let mut crc = flate2::Crc::new();
        crc.update(&input[start..end]);
        input[end..end + 4].copy_from_slice(&crc.sum().to_be_bytes());
        at = end + 4;
    }
}
