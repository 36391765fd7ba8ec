//! Training's changes of pictures against Pillow and timm, and what is drawn.

use flate2::Crc;
use hearth_data::picture::Picture;
use hearth_data::random::Key;
use hearth_data::resize::{Filter, FilterChoice, Window};
use hearth_data::transform::{
    Augmentation, Change, ColourJitter, ColourOp, Drawn, Kind, Margin, Noise, PictureOp,
    PictureRecipe, RandAugment, RandomErasing, ResizeMode, fill_colour,
};
use serde_json::Value;

use super::fixtures::{cases, golden, picture, root};

const FILL: [u8; 3] = [124, 116, 104];

fn manifest() -> Value {
    let text = std::fs::read_to_string(root().join("tests/golden/augment.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// A source of `augment.py`.
fn source(name: &str) -> Picture {
    if name == "flat" {
        return Picture::new(7, 6, [90, 0, 255].repeat(42)).unwrap();
    }
    match name.split_once('x') {
        Some((width, height)) => {
            let landscape = picture("pictures/source/landscape.png");
            landscape.crop(20, 11, width.parse().unwrap(), height.parse().unwrap())
        }
        None => picture(&format!("pictures/source/{name}.png")),
    }
}

fn filter(value: &Value) -> Filter {
    serde_json::from_value(value.clone()).unwrap()
}

/// The change that the fixtures call by this name.
fn op(name: &str, argument: &Value) -> PictureOp {
    let number = argument.as_f64().unwrap_or(f64::NAN);
    match name {
        "AutoContrast" => PictureOp::AutoContrast,
        "Equalize" => PictureOp::Equalize,
        "Invert" => PictureOp::Invert,
        "Rotate" => PictureOp::Rotate(number),
        "Posterize" => PictureOp::Posterize(number as i32),
        "Solarize" => PictureOp::Solarize(number as u16),
        "SolarizeAdd" => PictureOp::SolarizeAdd(number as u8),
        "Color" => PictureOp::Colour(ColourOp::Saturation(number)),
        "Contrast" => PictureOp::Colour(ColourOp::Contrast(number)),
        "Brightness" => PictureOp::Colour(ColourOp::Brightness(number)),
        "Sharpness" => PictureOp::Sharpness(number),
        "ShearX" => PictureOp::ShearX(number),
        "ShearY" => PictureOp::ShearY(number),
        "TranslateX" => PictureOp::TranslateX(number),
        "TranslateY" => PictureOp::TranslateY(number),
        other => panic!("no change is called {other}"),
    }
}

fn change(op: PictureOp, filter: Filter) -> Change {
    Change { op, filter, fill: FILL }
}

#[test]
fn every_change_is_pillows() {
    let manifest = manifest();
    let mut wrong = Vec::new();
    for case in cases(&manifest, "ops") {
        let mut picture = source(case[0].as_str().unwrap());
        change(op(case[1].as_str().unwrap(), &case[2]), filter(&case[3])).apply(&mut picture);
        if u64::from(crc(&picture.pixels)) != case[4].as_u64().unwrap() {
            wrong.push(case.to_string());
        }
    }
    let count = cases(&manifest, "ops").len();
    assert!(
        wrong.is_empty(),
        "{} of {count} differ: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(20)]
    );
}

#[test]
fn training_is_timms() {
    let manifest = manifest();
    for case in cases(&manifest, "training") {
        let [left, top, width, height] =
            [0, 1, 2, 3].map(|i| case["crop"][i].as_u64().unwrap() as u32);
        let filter = filter(&case["filter"]);
        let changes = case["changes"].as_array().unwrap();
        let changes = changes.iter().map(|of| change(op(of[0].as_str().unwrap(), &of[1]), filter));
        let drawn = Drawn {
            crop: Window { left, top, width, height },
            filter,
            flip: case["flip"].as_bool().unwrap(),
            colour: Vec::new(),
            grayscale: false,
            changes: changes.collect(),
        };
        let source = source(case["source"].as_str().unwrap());
        let size = case["size"].as_u64().unwrap() as u32;
        let result = Augmentation::default().apply(&source, &drawn, size);
        assert_eq!(u64::from(crc(&result.pixels)), case["crc"].as_u64().unwrap(), "{case}");
    }
}

/// The argument of a change as the fixtures write it.
fn argument(op: PictureOp) -> f64 {
    match op {
        PictureOp::AutoContrast | PictureOp::Equalize | PictureOp::Invert => f64::NAN,
        PictureOp::Posterize(bits) => f64::from(bits),
        PictureOp::Solarize(from) => f64::from(from),
        PictureOp::SolarizeAdd(more) => f64::from(more),
        PictureOp::Colour(
            ColourOp::Brightness(by)
            | ColourOp::Contrast(by)
            | ColourOp::Saturation(by)
            | ColourOp::Hue(by),
        )
        | PictureOp::Sharpness(by)
        | PictureOp::Rotate(by)
        | PictureOp::ShearX(by)
        | PictureOp::ShearY(by)
        | PictureOp::TranslateX(by)
        | PictureOp::TranslateY(by) => by,
    }
}

#[test]
fn a_magnitude_means_what_it_means_in_timm() {
    let manifest = manifest();
    let mut checked = 0;
    for case in cases(&manifest, "levels") {
        let name = case[0].as_str().unwrap();
        let plain = name.trim_end_matches("Increasing").trim_end_matches("Rel");
        let kind = Kind::ALL.into_iter().find(|kind| format!("{kind:?}") == plain).unwrap();
        let policy =
            RandAugment { increasing: name.ends_with("Increasing"), ..RandAugment::default() };
        for (is_negative, expected) in [(false, &case[2]), (true, &case[3])] {
            let found = argument(policy.op(kind, case[1].as_f64().unwrap(), is_negative));
            // `serde_json` reads some numbers a last bit off.
            assert!((found - expected.as_f64().unwrap()).abs() < 1e-12, "{case}: {found}");
            checked += 1;
        }
    }
    assert_eq!(checked, 2 * 9 * 18, "kinds with an argument");
}

#[test]
fn policies_are_read_as_timm_reads_them() {
    let manifest = manifest();
    for case in cases(&manifest, "policies") {
        let policy = RandAugment::parse(case[0].as_str().unwrap()).unwrap();
        let noise = match case[4].as_f64().unwrap() {
            0.0 => Noise::None,
            -1.0 => Noise::Uniform,
            std => Noise::Normal(std),
        };
        let expected = RandAugment {
            magnitude: case[1].as_f64().unwrap(),
            layers: case[2].as_u64().unwrap() as u32,
            probability: case[3].as_f64().unwrap(),
            noise,
            largest: case[5].as_f64().unwrap(),
            increasing: case[6].as_bool().unwrap(),
            fill: [128; 3],
        };
        assert_eq!(policy, expected, "{case}");
    }
}

#[test]
fn what_is_no_policy_is_refused_with_the_part() {
    let allowed = "allowed behind `rand` are m (magnitude), n (changes per picture), p (probability), mstd \
                   (noise of the magnitude), mmax (its upper bound) and inc (1: stronger with the \
                   magnitude), each with a number, as in `rand-m9-mstd0.5-inc1`";
    for (text, expected) in [
        ("", format!("``: found another policy than `rand`; {allowed}")),
        ("augmix-m5", format!("`augmix`: found another policy than `rand`; {allowed}")),
        ("rand-x3", format!("`x3`: found an unknown part; {allowed}")),
        ("rand-", format!("``: found an unknown part; {allowed}")),
        ("rand-tweights", format!("`tweights`: found an unknown part; {allowed}")),
        ("rand-m", "`m`: found no number, needed a whole number up to 1000000".to_owned()),
        ("rand-m9.5", "`m9.5`: found `9.5`, needed a whole number up to 1000000".to_owned()),
        ("rand-m9-m3", "`m3`: `m` comes a second time".to_owned()),
        ("rand-n101", "`n101`: found `101`, needed a whole number up to 100".to_owned()),
        ("rand-p1.5", "`p1.5`: found `1.5`, needed a number up to 1".to_owned()),
        ("rand-mstd0.5x", "`mstd0.5x`: found `0.5x`, needed a number".to_owned()),
        ("rand-incx", format!("`incx`: found an unknown part; {allowed}")),
        ("rand-inc", "`inc`: found no number, needed 0 or 1".to_owned()),
    ] {
        assert_eq!(RandAugment::parse(text).unwrap_err(), expected, "{text}");
    }
}

/// The pictures A and B of the reference numbers.
fn formula(value: impl Fn(f64, f64, f64) -> f64) -> Picture {
    let mut pixels = Vec::new();
    for y in 0..300 {
        for x in 0..400 {
            for channel in 0..3 {
                pixels.push(value(f64::from(x), f64::from(y), f64::from(channel)) as u8);
            }
        }
    }
    Picture::new(400, 300, pixels).unwrap()
}

fn picture_a() -> Picture {
    formula(|x, y, c| (7.0 * x + 13.0 * y + 29.0 * c) % 256.0)
}

fn picture_b() -> Picture {
    formula(|x, y, c| 127.5 + 100.0 * (x / 17.0 + c).sin() + 27.0 * (y / 11.0 - c).cos())
}

#[track_caller]
fn check(name: &str, picture: &Picture, sum: u64, crc32: u32) {
    let found: u64 = picture.pixels.iter().map(|&value| u64::from(value)).sum();
    assert_eq!((found, crc(&picture.pixels)), (sum, crc32), "{name}");
}

#[test]
fn reference_numbers_of_resizing() {
    let (a, b) = (picture_a(), picture_b());
    check("A", &a, 45_902_144, 0x8734_73ae);
    check("B", &b, 45_897_378, 0xb2d4_41e7);
    let recipe = |resize| PictureRecipe {
        size: 224,
        resize,
        filter: Filter::Bicubic,
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    };
    let larger = recipe(Margin::UpTo224.resize(224));
    assert_eq!(larger.resize, ResizeMode::LargerThenCrop { side: 256 });
    larger.check().unwrap();
    check("A 256", &larger.view(400, 300).of(&a), 19_188_173, 0x3221_5e96);
    check("B 256", &larger.view(400, 300).of(&b), 19_157_990, 0x39db_8681);
    let plain = recipe(Margin::Below224.resize(224));
    check("A 224", &plain.view(400, 300).of(&a), 19_194_291, 0xd57e_ebe5);
    check("B 224", &plain.view(400, 300).of(&b), 19_401_663, 0xf2b7_5fb5);
    for (filter, [sum_a, sum_b], [crc_a, crc_b]) in [
        (Filter::Bicubic, [19_169_240, 19_476_621], [0x17d6_5976, 0x0f53_3030]),
        (Filter::Bilinear, [19_169_222, 19_478_506], [0x5dc6_dbb7, 0x2bf3_3a58]),
    ] {
        let drawn = Drawn {
            crop: Window { left: 60, top: 40, width: 200, height: 150 },
            filter,
            flip: false,
            colour: Vec::new(),
            grayscale: false,
            changes: Vec::new(),
        };
        let crop = |picture| Augmentation::default().apply(picture, &drawn, 224);
        check("A crop", &crop(&a), sum_a, crc_a);
        check("B crop", &crop(&b), sum_b, crc_b);
    }
    for (picture, mean, std) in [(&a, 0.226_797_7, 1.216_942_3), (&b, 0.251_293_8, 1.289_199_0)] {
        let input = plain.apply(picture);
        let count = input.len() as f64;
        let found = input.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
        // Divided by one less, as torch does.
        let squares = input.iter().map(|&v| (f64::from(v) - found).powi(2)).sum::<f64>();
        let spread = (squares / (count - 1.0)).sqrt();
        assert!((found - mean).abs() < 1e-6, "mean {found}");
        assert!((spread - std).abs() < 1e-6, "std {spread}");
    }
}

#[test]
fn reference_numbers_of_changes() {
    let policy = RandAugment::parse("rand-m9").unwrap();
    let increasing = RandAugment::parse("rand-m9-inc1").unwrap();
    for (kind, policy, sum, crc32) in [
        (Kind::AutoContrast, &increasing, 19_755_155, 0x1389_2b4c),
        (Kind::Equalize, &increasing, 19_186_397, 0x79d6_ed38),
        (Kind::Invert, &increasing, 18_629_766, 0x8a48_94db),
        (Kind::Rotate, &increasing, 18_595_321, 0x9395_fd47),
        (Kind::Posterize, &increasing, 10_063_232, 0xef2b_fb5c),
        (Kind::Solarize, &increasing, 16_014_024, 0xca4f_daf3),
        (Kind::SolarizeAdd, &increasing, 26_873_865, 0x1f20_8592),
        (Kind::Color, &increasing, 19_616_481, 0xc9f7_f97b),
        (Kind::Contrast, &increasing, 19_631_011, 0xebb2_9f3c),
        (Kind::Brightness, &increasing, 28_189_068, 0xcbbf_02a6),
        (Kind::Sharpness, &increasing, 19_754_679, 0xa9be_b848),
        (Kind::ShearX, &increasing, 18_575_290, 0xd8b3_43d4),
        (Kind::ShearY, &increasing, 19_304_091, 0x6f48_312e),
        (Kind::TranslateX, &increasing, 19_215_789, 0xc72f_d639),
        (Kind::TranslateY, &increasing, 18_544_147, 0x0525_768a),
        // Without a direction, the other set has the same changes.
        (Kind::Rotate, &policy, 18_595_321, 0x9395_fd47),
    ] {
        let mut picture = picture_b().crop(0, 0, 224, 224);
        let op = policy.op(kind, policy.magnitude, false);
        change(op, Filter::Bilinear).apply(&mut picture);
        check(&format!("{kind:?}"), &picture, sum, crc32);
    }
}

#[test]
fn inputs_have_the_margin_of_their_rule() {
    let side = |margin: Margin, size| match margin.resize(size) {
        ResizeMode::LargerThenCrop { side } => side,
        _ => size,
    };
    for (size, evaluate, inference) in
        [(224, 224, 256), (192, 219, 219), (256, 256, 256), (64, 73, 73)]
    {
        assert_eq!(side(Margin::Below224, size), evaluate, "{size}");
        assert_eq!(side(Margin::UpTo224, size), inference, "{size}");
    }
}

#[test]
fn a_margin_survives_json_and_is_at_least_the_size() {
    let recipe = |side| {
        PictureRecipe::from_json(&serde_json::json!({
            "size": 24, "resize": { "larger_then_crop": { "side": side } }, "filter": "bicubic",
            "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
        }))
    };
    let kept = recipe(27).unwrap();
    assert_eq!(PictureRecipe::from_json(&kept.to_json()).unwrap(), kept);
    let error = recipe(23).unwrap_err().to_string();
    assert_eq!(error, "picture recipe: `side`: found 23, needed 24 to 8192");
    for (width, height) in [(1, 1), (1, 500), (64, 47), (33, 70)] {
        let view = kept.view(width, height);
        let small = Picture::new(width, height, vec![7; 3 * (width * height) as usize]).unwrap();
        assert_eq!((view.of(&small).width, view.of(&small).height), (24, 24));
    }
}

#[test]
fn fill_is_the_mean() {
    assert_eq!(fill_colour([0.485, 0.456, 0.406]), FILL);
    assert_eq!(fill_colour([-1.0, 0.5, 9.0]), [0, 128, 255]);
}

fn tao() -> Augmentation {
    let policy = RandAugment::parse("rand-m9-mstd0.5-inc1").unwrap();
    Augmentation {
        scale: [0.1, 2.0],
        ratio: [0.75, 1.33],
        filter: FilterChoice::Either,
        flip: 0.5,
        rand_augment: Some(RandAugment { fill: FILL, ..policy }),
        ..Augmentation::default()
    }
}

#[test]
fn draws_have_their_frequencies() {
    let (count, mut kinds, mut changes) = (6000u64, [0; 15], 0);
    let (mut magnitudes, mut negative, mut bilinear, mut full) = (Vec::new(), 0, 0, 0);
    for sample in 0..count {
        let drawn = tao().draw(&Key::new(1).at(sample), 200, 150);
        assert_eq!(drawn, tao().draw(&Key::new(1).at(sample), 200, 150));
        full += u64::from(drawn.crop == Window::all(200, 150));
        bilinear += u64::from(drawn.filter == Filter::Bilinear);
        changes += drawn.changes.len();
        assert!(drawn.changes.len() <= 2);
        for change in drawn.changes {
            assert_eq!(change.fill, FILL);
            let text = format!("{:?}", change.op);
            let kind = Kind::ALL.iter().position(|kind| match kind {
                Kind::Color => text.contains("Saturation"),
                kind => text.trim_start_matches("Colour(").starts_with(&format!("{kind:?}")),
            });
            let kind = kind.unwrap();
            // `Solarize` is the start of `SolarizeAdd`.
            let adds = usize::from(text.starts_with("SolarizeAdd"));
            kinds[kind + adds] += 1;
            if let PictureOp::Rotate(degrees) = change.op {
                magnitudes.push(degrees.abs() / 3.0);
                negative += u64::from(degrees < 0.0);
            }
        }
    }
    // Two changes, each with probability 0.5, of fifteen kinds.
    assert!((5700..6300).contains(&changes), "{changes}");
    assert!(kinds.iter().all(|&n| (310..490).contains(&n)), "{kinds:?}");
    let mean = magnitudes.iter().sum::<f64>() / magnitudes.len() as f64;
    assert!((mean - 9.0).abs() < 0.1 && magnitudes.iter().all(|&m| m <= 10.0), "{mean}");
    let share = |n: u64, of: u64| n as f64 / of as f64;
    assert!((share(negative, magnitudes.len() as u64) - 0.5).abs() < 0.1);
    assert!((share(bilinear, count) - 0.5).abs() < 0.03);
    // Areas above 1 are rejected; ten rejections in a row leave the whole picture.
    assert!(share(full, count) < 0.05 && full > 0, "{full}");
}

#[test]
fn noise_and_bounds_of_magnitudes() {
    let rotations = |text: &str| {
        let policy = RandAugment::parse(text).unwrap();
        let changes = (0..4000)
            .flat_map(|at| policy.draw(&Key::new(2).at(at), FilterChoice::Always(Filter::Bicubic)));
        let mut degrees: Vec<f64> = changes
            .filter_map(|change| match change.op {
                PictureOp::Rotate(degrees) => Some(degrees.abs() / 3.0),
                _ => None,
            })
            .collect();
        degrees.sort_by(f64::total_cmp);
        (degrees.len(), degrees[0], degrees[degrees.len() - 1])
    };
    let (count, least, most) = rotations("rand-m7-p1-n3-mstd101");
    assert!(
        (700..900).contains(&count) && least < 0.1 && most > 6.9 && most < 7.0,
        "{least} {most}"
    );
    assert_eq!(rotations("rand-m9").1, 9.0);
    assert_eq!(rotations("rand-m25").2, 10.0);
    assert_eq!(rotations("rand-m25-mmax20").2, 20.0);
    let (_, least, most) = rotations("rand-m25-mmax30-mstd1-p1");
    assert!(least < 23.5 && most > 26.5 && most < 30.0, "{least} {most}");
    let none = RandAugment::parse("rand-p0").unwrap();
    assert!(none.draw(&Key::new(3), FilterChoice::Either).is_empty());
}

/// Nothing of the wildest policy panics, whatever the picture; sizes stay.
#[test]
fn any_picture_and_policy() {
    let wild = RandAugment::parse("rand-m1000000-mmax1000000-n15-p1-mstd300-inc1").unwrap();
    let pictures = ["1x1", "2x2", "1x9", "9x1", "flat", "tiny", "strip"];
    for policy in [wild.clone(), RandAugment { increasing: false, ..wild }] {
        for (number, name) in pictures.iter().enumerate() {
            for at in 0..20 {
                let mut picture = source(name);
                let size = (picture.width, picture.height);
                let key = Key::new(4).at(number as u64).at(at);
                for change in policy.draw(&key, FilterChoice::Either) {
                    change.apply(&mut picture);
                }
                assert_eq!((picture.width, picture.height), size);
                assert_eq!(picture.pixels.len(), 3 * (size.0 * size.1) as usize);
            }
        }
    }
}

#[test]
fn grey_and_transparent_pictures_are_inputs_too() {
    let jitter = ColourJitter {
        probability: 1.0,
        brightness: 0.4,
        contrast: 0.4,
        saturation: 0.4,
        hue: 0.0,
    };
    for file in
        ["grey.png", "grey_alpha.png", "rgba.png", "rgba_16bit.png", "bilevel.png", "pixel.jpg"]
    {
        let picture = picture(&format!("pictures/decode/{file}"));
        for augmentation in [tao(), Augmentation { colour_jitter: Some(jitter), ..tao() }] {
            let drawn = augmentation.draw(&Key::new(5), picture.width, picture.height);
            let seen = augmentation.apply(&picture, &drawn, 17);
            assert_eq!((seen.width, seen.height), (17, 17), "{file}");
        }
    }
    assert!(golden("pictures/decode/grey.png").exists());
}

#[test]
fn a_box_of_noise_is_erased() {
    let erasing = RandomErasing::new(0.25);
    let (width, height) = (40, 30);
    let (mut boxes, mut numbers) = (0, Vec::new());
    for sample in 0..2000 {
        let key = Key::new(6).at(sample);
        let mut input = vec![9.0f32; 3 * 40 * 30];
        erasing.apply(&key, &mut input, width, height);
        let changed = input.iter().filter(|&&value| value != 9.0);
        let Some(window) = erasing.draw(&key, width, height) else {
            assert_eq!(changed.count(), 0);
            continue;
        };
        boxes += 1;
        let area = window.width * window.height;
        assert!((0.015..0.36).contains(&(f64::from(area) / 1200.0)), "{window:?}");
        assert!(window.width < width && window.height < height);
        assert!(window.left + window.width <= width && window.top + window.height <= height);
        assert_eq!(changed.clone().count(), 3 * area as usize);
        let inside = |at: usize| {
            let (x, y) = (at as u32 % width, at as u32 / width % height);
            (window.left..window.left + window.width).contains(&x)
                && (window.top..window.top + window.height).contains(&y)
        };
        assert!(input.iter().enumerate().all(|(at, &value)| (value != 9.0) == inside(at)));
        numbers.extend(changed.map(|&value| f64::from(value)));
    }
    assert!((430..570).contains(&boxes), "{boxes}");
    let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
    let variance = numbers.iter().map(|v| v * v).sum::<f64>() / numbers.len() as f64;
    assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    // A single pixel has no smaller box.
    assert_eq!(RandomErasing::new(1.0).draw(&Key::new(7), 1, 1), None);
    assert_eq!(RandomErasing::new(0.0).draw(&Key::new(7), 40, 30), None);
}
