//! What augmentation draws: torchvision's ranges, and nothing but the key and the size decides.

use hearth_data::random::Key;
use hearth_data::resize::Window;
use hearth_data::transform::{Augmentation, ColourJitter, ColourOp};

fn tao() -> Augmentation {
    let jitter = ColourJitter {
        probability: 0.8,
        brightness: 0.32,
        contrast: 0.32,
        saturation: 0.32,
        hue: 0.08,
    };
    Augmentation { colour_jitter: Some(jitter), grayscale: 0.2, ..Augmentation::default() }
}

#[test]
fn the_key_and_the_size_decide() {
    let key = Key::new(1).of("sample").at(5);
    assert_eq!(tao().draw(&key, 640, 480), tao().draw(&key, 640, 480));
    assert_ne!(tao().draw(&key, 640, 480).crop, tao().draw(&key.at(1), 640, 480).crop);
    // Switching one part off does not move the others.
    let without = Augmentation { colour_jitter: None, ..tao() };
    assert_eq!(without.draw(&key, 640, 480).crop, tao().draw(&key, 640, 480).crop);
    assert_eq!(without.draw(&key, 640, 480).grayscale, tao().draw(&key, 640, 480).grayscale);
}

#[test]
fn draws_lie_in_their_ranges_and_fill_them() {
    let (count, mut areas, mut jittered, mut grey) = (4000, Vec::new(), 0, 0);
    let mut first_ops = [0; 4];
    for sample in 0..count {
        let drawn = tao().draw(&Key::new(2).at(sample), 200, 150);
        let Window { left, top, width, height } = drawn.crop;
        assert!(left + width <= 200 && top + height <= 150);
        areas.push(f64::from(width * height) / 30_000.0);
        let ratio = f64::from(width) / f64::from(height);
        assert!((0.74..1.35).contains(&ratio), "{ratio}");
        grey += u64::from(drawn.grayscale);
        jittered += u64::from(!drawn.colour.is_empty());
        for op in &drawn.colour {
            match *op {
                ColourOp::Brightness(factor)
                | ColourOp::Contrast(factor)
                | ColourOp::Saturation(factor) => assert!((0.68..=1.32).contains(&factor)),
                ColourOp::Hue(turn) => assert!((-0.08..=0.08).contains(&turn)),
            }
        }
        match drawn.colour.first() {
            Some(ColourOp::Brightness(_)) => first_ops[0] += 1,
            Some(ColourOp::Contrast(_)) => first_ops[1] += 1,
            Some(ColourOp::Saturation(_)) => first_ops[2] += 1,
            Some(ColourOp::Hue(_)) => first_ops[3] += 1,
            None => {}
        }
    }
    areas.sort_by(f64::total_cmp);
    assert!((0.39..0.42).contains(&areas[0]) && areas[areas.len() - 1] > 0.95);
    let share = |n: u64| n as f64 / count as f64;
    assert!((share(jittered) - 0.8).abs() < 0.03 && (share(grey) - 0.2).abs() < 0.03);
    // Any of the four may come first.
    assert!(first_ops.iter().all(|&n| (650..950).contains(&n)), "{first_ops:?}");
}

#[test]
fn a_picture_too_long_for_any_shape_gives_its_centre() {
    let whole = Augmentation { scale: [1.0, 1.0], ..Augmentation::default() };
    let crop = |width, height| whole.draw(&Key::new(3), width, height).crop;
    assert_eq!(crop(400, 100), Window { left: 133, top: 0, width: 133, height: 100 });
    assert_eq!(crop(100, 400), Window { left: 0, top: 133, width: 100, height: 133 });
    assert_eq!(crop(1, 1), Window { left: 0, top: 0, width: 1, height: 1 });
    assert_eq!(crop(1, 1000), Window { left: 0, top: 499, width: 1, height: 1 });
}

#[test]
fn ranges_of_zero_do_nothing() {
    let none = ColourJitter {
        probability: 1.0,
        brightness: 0.0,
        contrast: 0.0,
        saturation: 0.5,
        hue: 0.0,
    };
    let augmentation = Augmentation { colour_jitter: Some(none), ..Augmentation::default() };
    let drawn = augmentation.draw(&Key::new(4), 10, 10);
    assert!(matches!(drawn.colour.as_slice(), [ColourOp::Saturation(_)]), "{:?}", drawn.colour);
    assert!(!drawn.grayscale);
}
