//! Event files read back by a parser that shares nothing with the writer.

use super::*;

/// What the tests ask of an event.
#[derive(Debug, Default, PartialEq)]
struct Event {
    wall_time: f64,
    step: u64,
    file_version: String,
    points: Vec<(String, f32)>,
    session_start: bool,
}

#[derive(Debug)]
enum Field<'a> {
    Number(u64),
    Bits64([u8; 8]),
    Bits32([u8; 4]),
    Bytes(&'a [u8]),
}

#[test]
fn scalars_come_back_with_their_steps() {
    let folder = tempfile::tempdir().unwrap();
    let log = EventLog::create_in(&folder.path().join("lightning_logs/version_1")).unwrap();
    log.scalars(7, &[("train_loss", 0.25), ("train/lr", 1e-4)]);
    log.scalars(70_000, &[("val/t2i_mAP", 0.875)]);

    let events = read_events(log.path());
    assert_eq!(events[0].file_version, "brain.Event:2");
    assert_eq!(events[1].step, 7);
    assert_eq!(events[1].points, [("train_loss".into(), 0.25), ("train/lr".into(), 1e-4)]);
    assert_eq!(events[2].step, 70_000);
    assert_eq!(events[2].points, [("val/t2i_mAP".into(), 0.875)]);
    assert_eq!(events.len(), 3);
    assert!(events.iter().all(|event| event.wall_time > 1.7e9), "{events:?}");
}

#[test]
fn a_resumed_run_opens_a_second_file_and_says_where_it_starts() {
    let folder = tempfile::tempdir().unwrap();
    let first = EventLog::create_in(folder.path()).unwrap();
    let second = EventLog::create_in(folder.path()).unwrap();
    second.resumed_at(40);
    assert!(first.path() < second.path(), "TensorBoard reads the files in the order of names");
    let events = read_events(second.path());
    assert!(events[1].session_start);
    assert_eq!(events[1].step, 40);
}

#[test]
fn a_log_without_a_file_accepts_points() {
    EventLog::nowhere().scalars(1, &[("train_loss", 1.0)]);
}

/// The checksum of the nine digits is the check value of CRC-32C in the catalogues.
#[test]
fn the_checksum_is_the_one_of_the_catalogues() {
    assert_eq!(crc_by_bits(b"123456789"), 0xe306_9283);
}

fn read_events(path: &Path) -> Vec<Event> {
    let file = fs::read(path).unwrap();
    let mut rest = &file[..];
    let mut events = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_at(8);
        let size = u64::from_le_bytes(length.try_into().unwrap()) as usize;
        assert_eq!(after[..4], masked_by_bits(length).to_le_bytes());
        let payload = &after[4..4 + size];
        assert_eq!(after[4 + size..8 + size], masked_by_bits(payload).to_le_bytes());
        events.push(read_event(payload));
        rest = &after[8 + size..];
    }
    events
}

fn read_event(payload: &[u8]) -> Event {
    let mut event = Event::default();
    for field in read_fields(payload) {
        match field {
            (1, Field::Bits64(bits)) => event.wall_time = f64::from_le_bytes(bits),
            (2, Field::Number(step)) => event.step = step,
            (3, Field::Bytes(text)) => event.file_version = utf8(text),
            (5, Field::Bytes(summary)) => {
                event.points = read_fields(summary).into_iter().map(read_point).collect();
            }
            (7, Field::Bytes(session)) => {
                event.session_start = matches!(read_fields(session)[..], [(1, Field::Number(1))]);
            }
            other => panic!("a field that nobody writes: {other:?}"),
        }
    }
    event
}

fn read_point(field: (u64, Field<'_>)) -> (String, f32) {
    let (1, Field::Bytes(value)) = field else { panic!("not a value: {field:?}") };
    match read_fields(value)[..] {
        [(1, Field::Bytes(tag)), (2, Field::Bits32(bits))] => (utf8(tag), f32::from_le_bytes(bits)),
        ref other => panic!("not a scalar: {other:?}"),
    }
}

fn read_fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = read_varint(&mut bytes);
        let field = match key % 8 {
            0 => Field::Number(read_varint(&mut bytes)),
            1 => Field::Bits64(take(&mut bytes, 8).try_into().unwrap()),
            5 => Field::Bits32(take(&mut bytes, 4).try_into().unwrap()),
            2 => {
                let size = read_varint(&mut bytes) as usize;
                Field::Bytes(take(&mut bytes, size))
            }
            other => panic!("wire type {other}"),
        };
        fields.push((key / 8, field));
    }
    fields
}

fn read_varint(bytes: &mut &[u8]) -> u64 {
    let end = bytes.iter().position(|byte| byte & 128 == 0).unwrap() + 1;
    take(bytes, end).iter().rev().fold(0, |value, byte| value * 128 + u64::from(byte & 127))
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(count);
    *bytes = rest;
    taken
}

fn utf8(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn masked_by_bits(bytes: &[u8]) -> u32 {
    let crc = crc_by_bits(bytes);
    crc.rotate_left(17).wrapping_add(0xa282_ead8)
}

/// CRC-32C one bit at a time, as the polynomial says.
fn crc_by_bits(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}
