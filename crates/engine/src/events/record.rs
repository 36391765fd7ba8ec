//! Bytes of an event file: protobuf messages and the records around them.
//!
//! Field numbers: `Event` wall_time 1, step 2, file_version 3, summary 5, session_log 7;
//! `Summary` value 1; `Summary.Value` tag 1, simple_value 2; `SessionLog` status 1.

/// Wire types of protobuf.
const VARINT: u64 = 0;
const BITS_64: u64 = 1;
const BYTES: u64 = 2;
const BITS_32: u64 = 5;

/// `SessionLog.SessionStatus.START`.
const SESSION_START: u64 = 1;

/// The first event of every file.
pub(super) fn file_version(wall_time: f64) -> Vec<u8> {
    let mut event = timed(wall_time);
    put_bytes(&mut event, 3, b"brain.Event:2");
    event
}

/// One point per value.
pub(super) fn scalars(wall_time: f64, step: u64, values: &[(&str, f64)]) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, value) in values {
        let mut point = Vec::new();
        put_bytes(&mut point, 1, tag.as_bytes());
        put_key(&mut point, 2, BITS_32);
        point.extend_from_slice(&(*value as f32).to_le_bytes());
        put_bytes(&mut summary, 1, &point);
    }
    let mut event = timed(wall_time);
    put_number(&mut event, 2, step);
    put_bytes(&mut event, 5, &summary);
    event
}

/// Points of earlier files at `step` or later no longer count.
pub(super) fn session_start(wall_time: f64, step: u64) -> Vec<u8> {
    let mut session = Vec::new();
    put_number(&mut session, 1, SESSION_START);
    let mut event = timed(wall_time);
    put_number(&mut event, 2, step);
    put_bytes(&mut event, 7, &session);
    event
}

/// The record that holds `event`: length, its checksum, the event, its checksum.
pub(super) fn frame(event: &[u8]) -> Vec<u8> {
    let length = (event.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(event.len() + 16);
    record.extend_from_slice(&length);
    record.extend_from_slice(&masked_crc(&length).to_le_bytes());
    record.extend_from_slice(event);
    record.extend_from_slice(&masked_crc(event).to_le_bytes());
    record
}

/// TFRecord rotates and shifts the checksum, so that a checksum of checksums stays useful.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn timed(wall_time: f64) -> Vec<u8> {
    let mut event = Vec::new();
    put_key(&mut event, 1, BITS_64);
    event.extend_from_slice(&wall_time.to_le_bytes());
    event
}

fn put_number(message: &mut Vec<u8>, field: u64, value: u64) {
    put_key(message, field, VARINT);
    put_varint(message, value);
}

fn put_bytes(message: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_key(message, field, BYTES);
    put_varint(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}

fn put_key(message: &mut Vec<u8>, field: u64, wire_type: u64) {
    put_varint(message, field << 3 | wire_type);
}

fn put_varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}
