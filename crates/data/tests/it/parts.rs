//! Decoding no more than a view needs: the same pixels as all of it, and Pillow's where it is shrunk.

use std::path::Path;

use hearth_data::decode::{Limits, Reading, decode, decode_part};
use hearth_data::picture::Picture;
use hearth_data::random::Key;
use hearth_data::resize::{Filter, View, Window};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::fixtures::{golden, root};

/// A window within a length: where it begins, and its length.
fn stretch(numbers: &mut hearth_data::random::Numbers, length: u32) -> (u32, u32) {
    let start = numbers.below(u64::from(length)) as u32;
    (start, 1 + numbers.below(u64::from(length - start)) as u32)
}

fn any_view(key: &Key, width: u32, height: u32) -> View {
    let mut numbers = key.rng();
    let (left, crop_width) = stretch(&mut numbers, width);
    let (top, crop_height) = stretch(&mut numbers, height);
    let crop = Window { left, top, width: crop_width, height: crop_height };
    let [width, height] = [0, 1].map(|_| 1 + numbers.below(70) as u32);
    let (left, seen_width) = stretch(&mut numbers, width);
    let (top, seen_height) = stretch(&mut numbers, height);
    let window = Window { left, top, width: seen_width, height: seen_height };
    let filter = if numbers.chance(0.5) { Filter::Bicubic } else { Filter::Bilinear };
    View { crop, width, height, window, filter }
}

/// The same as cutting, resizing and cutting again.
fn in_steps(picture: &Picture, view: &View) -> Picture {
    let Window { left, top, width, height } = view.crop;
    let crop = picture.crop(left, top, width, height);
    let sized = View::whole(width, height, view.width, view.height, view.filter).of(&crop);
    let Window { left, top, width, height } = view.window;
    sized.crop(left, top, width, height)
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().unwrap() != "json").collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn a_part_has_the_pixels_of_the_whole() {
    let folders = [golden("pictures/decode"), root().join("tests/golden/drafts")];
    for path in folders.iter().flat_map(|folder| files(folder)) {
        let bytes = std::fs::read(&path).unwrap();
        let whole = decode(&bytes, &Limits::default()).unwrap();
        for number in 0..60 {
            let key = Key::new(number).of("parts");
            let view = any_view(&key, whole.width, whole.height);
            let part = decode_part(&bytes, &Reading::default(), |width, height| {
                assert_eq!((width, height), (whole.width, whole.height));
                view
            });
            let found = part.unwrap().view();
            assert!(found == in_steps(&whole, &view), "{} {view:?}", path.display());

            let draft = |view: View| {
                let reading = Reading { draft: true, ..Reading::default() };
                decode_part(&bytes, &reading, |_, _| view).unwrap().view()
            };
            let Window { left, top, width, height } = view.window;
            let all = draft(View { window: Window::all(view.width, view.height), ..view });
            let expected = all.crop(left, top, width, height);
            assert!(draft(view) == expected, "draft of {} {view:?}", path.display());
        }
    }
}

#[test]
fn damage_is_met_in_parts_as_in_the_whole() {
    for path in files(&root().join("tests/golden/drafts")) {
        let file = std::fs::read(&path).unwrap();
        for number in 0..60 {
            let key = Key::new(number).of("damage");
            let mut numbers = key.rng();
            let mut bytes = file.clone();
            for _ in 0..=number % 4 {
                let at = numbers.below(bytes.len() as u64) as usize;
                bytes[at] = numbers.below(256) as u8;
            }
            let whole = decode(&bytes, &Limits::default());
            let view = |width, height| any_view(&key, width, height);
            match decode_part(&bytes, &Reading::default(), view) {
                Ok(part) => {
                    let whole = whole.unwrap();
                    let expected = in_steps(&whole, &view(whole.width, whole.height));
                    assert!(part.view() == expected, "{} {number}", path.display());
                }
                Err(error) => assert_eq!(error, whole.unwrap_err(), "{} {number}", path.display()),
            }
        }
    }
}

#[test]
fn upright_parts_are_seen_upright() {
    let bytes = std::fs::read(golden("pictures/decode/exif_rotated.jpg")).unwrap();
    let reading = Reading { upright: true, draft: true, ..Reading::default() };
    let whole = hearth_data::decode::decode_as(&bytes, &reading).unwrap().picture;
    let choose = |width, height| View::whole(width, height, 5, 7, Filter::Bicubic);
    let part = decode_part(&bytes, &reading, choose).unwrap();
    assert_eq!((part.width, part.height), (whole.width, whole.height));
    assert_eq!(part.view(), choose(whole.width, whole.height).of(&whole));
}

#[test]
fn a_draft_has_pillows_pixels() {
    let folder = root().join("tests/golden/drafts");
    let manifest = std::fs::read_to_string(folder.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    for (name, sums) in manifest["files"].as_object().unwrap() {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        for by in [2, 4, 8] {
            let reading = Reading { draft: true, ..Reading::default() };
            // As large as the draft: the pixels stay as they are.
            let part = decode_part(&bytes, &reading, |width, height| {
                View::whole(width, height, width / by, height / by, Filter::Bilinear)
            });
            let sum = Sha256::digest(&part.unwrap().view().pixels);
            let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(sum, sums[by.to_string()].as_str().unwrap(), "{name} by {by}");
        }
    }
}

#[test]
fn a_draft_needs_enough_pixels() {
    let path = root().join("tests/golden/drafts/444.jpg");
    let bytes = std::fs::read(path).unwrap();
    let whole = decode(&bytes, &Limits::default()).unwrap();
    let crop = Window { left: 3, top: 5, width: 63, height: 60 };
    let window = Window::all(32, 30);
    let view = View { crop, width: 32, height: 30, window, filter: Filter::Bicubic };
    let reading = Reading { draft: true, ..Reading::default() };
    let draft = |view| decode_part(&bytes, &reading, |_, _| view).unwrap().view();
    // 63 columns for 32 are less than two for one.
    assert_eq!(draft(view), view.of(&whole));
    let wider = View { crop: Window { width: 64, ..crop }, ..view };
    let largest =
        draft(wider).pixels.iter().zip(&wider.of(&whole).pixels).map(|(a, b)| a.abs_diff(*b)).max();
    assert!((1..60).contains(&largest.unwrap()), "{largest:?}");
}
