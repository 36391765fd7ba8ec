//! Resized position tables against open_clip and timm; fixtures of `tests/golden/clip_models`.

use std::path::Path;

use hearth_backbones::positions::{Bicubic, resize_grid, resize_line};
use hearth_weights::WeightsFile;

fn fixture() -> WeightsFile {
    let golden = "../../tests/golden/clip_models/positions.safetensors";
    WeightsFile::open(Path::new(env!("CARGO_MANIFEST_DIR")).join(golden)).unwrap()
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 2e-6, "{found} {expected}");
    }
}

#[test]
fn grids_are_resized_like_open_clip_and_timm_do() {
    let fixture = fixture();
    let read = |name: &str| fixture.read_f32(name).unwrap();
    let with_class_token = [read("cls"), read("grid")].concat();
    for side in [3, 7] {
        let found =
            resize_grid(&with_class_token, 1, 6, 1 + side * side, Bicubic::Antialiased).unwrap();
        assert_close(&found, &read(&format!("open_clip.bicubic_antialias.{side}")));
        let found = resize_grid(&read("grid"), 0, 6, side * side, Bicubic::Antialiased).unwrap();
        assert_close(&found, &read(&format!("timm.bicubic_antialias.{side}")));
    }
}

#[test]
fn text_positions_are_resized_like_open_clip_does() {
    let fixture = fixture();
    for rows in [9, 20] {
        let found = resize_line(&fixture.read_f32("text").unwrap(), 6, rows);
        assert_close(&found, &fixture.read_f32(&format!("open_clip.linear.{rows}")).unwrap());
    }
}
