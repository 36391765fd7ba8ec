//! Mixed batches against timm, and what is drawn for them.

use hearth_data::mixing::{Mix, MixMode, Mixing, mix_labels, mix_pictures};
use hearth_data::random::Key;
use hearth_data::resize::Window;
use serde_json::Value;

use super::fixtures::{cases, root};

fn tao() -> Mixing {
    Mixing {
        mixup: 0.8,
        cutmix: 1.0,
        cutmix_sides: None,
        probability: 1.0,
        switch: 0.5,
        mode: MixMode::Batch,
    }
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

fn counts(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap() as usize).collect()
}

/// What a case of `augment.py` drew, for every picture.
fn drawn(case: &Value) -> Vec<Mix> {
    let batch = case["batch"].as_u64().unwrap() as usize;
    let mixes = (0..batch).map(|place| {
        let partner = batch - 1 - place;
        let at = match case["mode"].as_str().unwrap() {
            "batch" => 0,
            "pair" => place.min(partner),
            _ => place,
        };
        let share = case["shares"][at].as_f64().unwrap();
        let share = if case["mode"] == "batch" { share } else { f64::from(share as f32) };
        if share == 1.0 || !case["cut"][at].as_bool().unwrap() {
            return Mix { partner, share, window: None };
        }
        let sides = counts(&case["boxes"][at]);
        let [left, top, width, height] = [0, 1, 2, 3].map(|i| sides[i] as u32);
        let all = case["width"].as_f64().unwrap() * case["height"].as_f64().unwrap();
        let share = 1.0 - f64::from(width * height) / all;
        let share = if case["mode"] == "batch" { share } else { f64::from(share as f32) };
        Mix { partner, share, window: Some(Window { left, top, width, height }) }
    });
    mixes.collect()
}

#[test]
fn batches_are_timms() {
    let text = std::fs::read_to_string(root().join("tests/golden/augment.json")).unwrap();
    let manifest: Value = serde_json::from_str(&text).unwrap();
    for case in cases(&manifest, "batches") {
        let mixes = drawn(case);
        let width = case["width"].as_u64().unwrap() as u32;
        let classes = case["classes"].as_u64().unwrap() as usize;
        let smoothing = case["smoothing"].as_f64().unwrap();
        let (pictures, labels) = (numbers(&case["pictures"]), counts(&case["labels"]));
        let all = 0..mixes.len();
        let mixed = mix_pictures(&mixes, all.clone(), &pictures, width);
        assert_eq!(mixed, numbers(&case["mixed"]), "{}", case["mode"]);
        let targets = mix_labels(&mixes, all, &labels, classes, smoothing);
        assert_eq!(targets, numbers(&case["targets"]), "{}", case["mode"]);
    }
}

#[test]
fn reference_numbers_of_targets() {
    let mixes = [1, 0].map(|partner| Mix { partner, share: 0.3, window: None });
    let targets = mix_labels(&mixes, 0..2, &[0, 2], 4, 0.1);
    let expected = [0.295, 0.025, 0.655, 0.025, 0.655, 0.025, 0.295, 0.025];
    assert!(targets.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{targets:?}");
    // Without mixing the targets are smoothed labels.
    assert_eq!(mix_labels(&Mix::none(2), 1..2, &[0, 1], 2, 0.0), [0.0, 1.0]);
}

#[test]
fn parts_of_a_batch_are_the_batch() {
    let (batch, width, height) = (11, 6, 5);
    let length = 3 * 6 * 5;
    let mut random = Key::new(1).rng();
    let pictures: Vec<f32> = (0..batch * length).map(|_| random.f32()).collect();
    let labels: Vec<usize> = (0..batch).map(|place| place % 4).collect();
    for mode in [MixMode::Batch, MixMode::Pair, MixMode::Elem] {
        for step in 0..20 {
            let mixing = Mixing { mode, ..tao() };
            let mixes = mixing.draw(&Key::new(2).at(step), batch, width, height);
            assert_eq!(mixes, mixing.draw(&Key::new(2).at(step), batch, width, height));
            let whole = mix_pictures(&mixes, 0..batch, &pictures, width);
            let targets = mix_labels(&mixes, 0..batch, &labels, 4, 0.1);
            for cuts in [vec![0, 5, 11], vec![0, 1, 2, 10, 11], (0..=batch).collect()] {
                let parts = || cuts.windows(2).map(|cut| cut[0]..cut[1]);
                let joined: Vec<f32> =
                    parts().flat_map(|part| mix_pictures(&mixes, part, &pictures, width)).collect();
                assert_eq!(joined, whole);
                let joined: Vec<f32> =
                    parts().flat_map(|part| mix_labels(&mixes, part, &labels, 4, 0.1)).collect();
                assert_eq!(joined, targets);
            }
            // The middle one of an odd number is its own partner.
            let middle = 5 * length..6 * length;
            assert_eq!(whole[middle.clone()], pictures[middle]);
            let sums = targets.chunks(4).map(|row| row.iter().sum::<f32>());
            assert!(sums.into_iter().all(|sum| (sum - 1.0).abs() < 1e-6));
        }
    }
}

#[test]
fn modes_share_what_they_draw() {
    let draw = |mode| Mixing { mode, ..tao() }.draw(&Key::new(3), 64, 16, 16);
    let batch = draw(MixMode::Batch);
    assert!(batch.iter().all(|mix| (mix.share, mix.window) == (batch[0].share, batch[0].window)));
    let pair = draw(MixMode::Pair);
    for (place, mix) in pair.iter().enumerate() {
        assert_eq!(mix.partner, 63 - place);
        assert_eq!((mix.share, mix.window), (pair[mix.partner].share, pair[mix.partner].window));
    }
    let distinct = |mixes: &[Mix]| {
        let mut shares: Vec<u64> = mixes.iter().map(|mix| mix.share.to_bits()).collect();
        shares.sort_unstable();
        shares.dedup();
        shares.len()
    };
    assert!(distinct(&pair) > 20 && distinct(&draw(MixMode::Elem)) > 45);
}

#[test]
fn draws_have_their_frequencies() {
    let check = |mixing: &Mixing, mixed: f64, cut: f64, share: f64| {
        let (count, mut none, mut boxes, mut shares) = (4000, 0.0, 0.0, 0.0);
        for step in 0..count {
            let mix = mixing.draw(&Key::new(4).at(step), 2, 32, 24)[0];
            none += f64::from(u8::from(mix.share == 1.0));
            boxes += f64::from(u8::from(mix.window.is_some()));
            shares += mix.share;
            if let Some(window) = mix.window {
                let area = f64::from(window.width * window.height) / (32.0 * 24.0);
                assert!((mix.share - (1.0 - area)).abs() < 1e-12, "{mix:?}");
                assert!(window.left + window.width <= 32 && window.top + window.height <= 24);
            }
        }
        let count = count as f64;
        assert!(
            (1.0 - none / count - mixed).abs() < 0.03,
            "{mixing:?}: mixed {}",
            1.0 - none / count
        );
        assert!((boxes / count - cut).abs() < 0.03, "{mixing:?}: cut {}", boxes / count);
        assert!((shares / count - share).abs() < 0.03, "{mixing:?}: share {}", shares / count);
    };
    let cut = Mixing { mixup: 0.0, ..tao() };
    check(&Mixing { cutmix: 0.0, ..tao() }, 1.0, 0.0, 0.5);
    check(&Mixing { cutmix: 0.0, probability: 0.3, ..tao() }, 0.3, 0.0, 0.85);
    check(&Mixing { cutmix_sides: Some([0.5, 0.5]), ..cut.clone() }, 1.0, 1.0, 0.75);
    check(&Mixing { switch: 0.0, ..tao() }, 1.0, 0.0, 0.5);
    // Boxes lose what lies outside of the picture: 1/2 - 1/5 + 1/48 of it is left in them. A few are empty.
    check(&cut, 0.98, 0.98, 0.679);
    check(&Mixing { probability: 0.0, ..tao() }, 0.0, 0.0, 1.0);
    check(&Mixing { mixup: 0.0, cutmix: 0.0, ..tao() }, 0.0, 0.0, 1.0);
}

#[test]
fn nonsense_is_refused() {
    assert_eq!(tao().check(), Ok(()));
    for (mixing, expected) in [
        (Mixing { mixup: -1.0, ..tao() }, "`mixup`: found -1, needed a number from 0 on"),
        (Mixing { cutmix: f64::NAN, ..tao() }, "`cutmix`: found NaN, needed a number from 0 on"),
        (Mixing { switch: 1.5, ..tao() }, "`switch`: found 1.5, needed 0 to 1"),
        (
            Mixing { cutmix_sides: Some([0.8, 0.2]), ..tao() },
            "sides of the box: found 0.8 to 0.2, needed two numbers from 0 to 1 in this order",
        ),
    ] {
        assert_eq!(mixing.check(), Err(expected.to_owned()));
    }
    // The smallest of everything.
    let mixing = Mixing { cutmix_sides: Some([0.0, 1.0]), mode: MixMode::Elem, ..tao() };
    assert!(mixing.draw(&Key::new(5), 0, 8, 8).is_empty());
    for step in 0..50 {
        let mixes = mixing.draw(&Key::new(5).at(step), 2, 1, 1);
        assert_eq!(mix_pictures(&mixes, 0..2, &[0.5; 6], 1), [0.5; 6]);
    }
    assert!(mix_pictures(&[], 0..0, &[], 8).is_empty());
}
