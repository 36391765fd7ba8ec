//! Picture files of every format, decoded as a whole and in part.

use anyhow::Result;
use hearth_data::{
    decode::{Limits, Reading, decode_as, decode_part},
    resize::{Filter, View, Window},
};

use super::{png, riff, targets::files};

const LIMITS: Limits = Limits { bytes: 1 << 20, side: 4096, pixels: 1 << 20 };

pub(super) fn seeds() -> Result<Vec<Vec<u8>>> {
    let golden = crate::root().join("tests/golden");
    let endings = [".jpg", ".png", ".webp", ".gif", ".bmp", ".tiff"];
    let mut seeds = files(&golden.join("data/pictures/decode"), &[".png", ".jpg"])?;
    seeds.extend(files(&golden.join("pictures"), &endings)?);
    seeds.extend(files(&golden.join("drafts"), &endings)?);
    Ok(seeds)
}

pub(super) fn repair(input: &mut Vec<u8>) {
    png::repair(input);
    riff::repair(input);
}

pub(super) fn decode(input: &[u8]) {
    let reading = Reading { limits: LIMITS, upright: true, draft: false };
    let whole = match decode_as(input, &reading) {
        Ok(decoded) => decoded.picture,
        Err(problem) => return assert!(!problem.to_string().is_empty()),
    };
    let size = u64::from(whole.width) * u64::from(whole.height);
    assert!(size <= LIMITS.pixels && whole.width.max(whole.height) <= LIMITS.side);
    assert_eq!(whole.pixels.len() as u64, 3 * size);

    // Some part, which depends on the content.
    let view = |width: u32, height: u32| {
        let at = |share: usize| u32::from(input[input.len() / share - 1]);
        let (left, top) = (at(2) % width, at(3) % height);
        let (width, height) = (1 + at(4) % (width - left), 1 + at(5) % (height - top));
        let crop = Window { left, top, width, height };
        let window = Window { left: 1, top: 0, width: 8, height: 5 };
        View { crop, width: 9, height: 7, window, filter: Filter::Bicubic }
    };
    let part = decode_part(input, &reading, view).expect("what is read as a whole is read in part");
    assert!(part.view() == view(whole.width, whole.height).of(&whole), "a part has other pixels");
    let draft = decode_part(input, &Reading { draft: true, ..reading }, view);
    let draft = draft.expect("what is read as a whole is read as a draft").view();
    assert_eq!((draft.width, draft.height), (8, 5));
}
