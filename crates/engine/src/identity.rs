//! What makes two pieces of work the same: a digest over their parts.

use sha2::{Digest, Sha256};

/// SHA-256 over parts of known length.
#[derive(Debug, Clone, Default)]
pub struct Identity(Sha256);

impl Identity {
    /// Adds a part; order and boundaries count.
    pub fn add(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    /// Hexadecimal digest.
    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
