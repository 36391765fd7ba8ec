//! The picture is well-formed for any names, and its size is bounded for any number of classes.

use super::*;

fn drawn(confusion: &Confusion, names: &[String]) -> String {
    let mut out = Vec::new();
    draw(&mut out, confusion, names).unwrap();
    String::from_utf8(out).unwrap()
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|class| format!("class {class}")).collect()
}

/// Elements in the order of their ends. Panics where the text is no well-formed XML of the kind that
/// is written here: no comments, no declarations.
fn elements(svg: &str) -> Vec<String> {
    let (mut open, mut ended) = (Vec::new(), Vec::new());
    let mut rest = svg;
    while let Some((text, tag)) = rest.split_once('<') {
        assert!(!text.contains('>'), "{text}");
        let allowed = ["&amp;", "&lt;", "&gt;"];
        let bare = allowed.iter().fold(text.to_owned(), |text, entity| text.replace(entity, ""));
        assert!(!bare.contains('&'), "{text}");
        assert!(text.chars().all(|c| c >= ' ' || c == '\n'), "{text:?}");
        let (tag, behind) = tag.split_once('>').unwrap();
        rest = behind;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            ended.push(name.to_owned());
            continue;
        }
        let (tag, is_empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let quotes = attributes.matches('"').count();
        assert_eq!((quotes % 2, quotes / 2), (0, attributes.matches('=').count()), "{tag}");
        match is_empty {
            true => ended.push(name.to_owned()),
            false => open.push(name.to_owned()),
        }
    }
    assert_eq!((rest.trim(), open.len()), ("", 0));
    ended
}

fn count(elements: &[String], name: &str) -> usize {
    elements.iter().filter(|element| *element == name).count()
}

#[test]
fn names_with_the_signs_of_xml_stay_well_formed() {
    let names = ["a<b>&\"c'", "]]>\u{0}\u{1f}\u{ffff}", "ünïcödé 犬", "", "\n\t"];
    let names: Vec<String> = names.map(str::to_owned).into();
    let mut confusion = Confusion::new(5);
    for truth in 0..5 {
        confusion.add(truth, truth);
        confusion.add(truth, (truth + 1) % 5);
    }
    let svg = drawn(&confusion, &names);
    let elements = elements(&svg);
    // Background, frame, legend and ten cells; one name on each axis, two lines below.
    assert_eq!((count(&elements, "rect"), count(&elements, "text")), (13, 12));
    assert!(svg.contains("<title>a&lt;b&gt;&amp;\"c': right, 1 of 2</title>"), "{svg}");
    assert!(svg.contains("ünïcödé 犬 as , 1 of 2"), "{svg}");
}

#[test]
fn colours_are_shares_of_the_row() {
    let mut confusion = Confusion::new(2);
    for (truth, found) in [(0, 0), (1, 0), (1, 0), (1, 0), (1, 1)] {
        confusion.add(truth, found);
    }
    let svg = drawn(&confusion, &names(2));
    let fill = |told: &str| {
        let line = svg.lines().find(|line| line.contains(told)).unwrap();
        line.split_once("fill=\"").unwrap().1[..7].to_owned()
    };
    assert_eq!(fill("class 0: right, 1 of 1"), colour(1.0));
    assert_eq!(fill("class 1 as class 0, 3 of 4"), colour(0.75));
    assert_eq!(fill("class 1: right, 1 of 4"), colour(0.25));
    assert_eq!((colour(0.0), colour(1.0)), ("#e2ecf7".to_owned(), "#08306b".to_owned()));
}

#[test]
fn up_to_two_hundred_classes_are_labelled() {
    for (classes, texts) in [(200, 402), (201, 2)] {
        let svg = drawn(&Confusion::new(classes), &names(classes));
        assert_eq!(count(&elements(&svg), "text"), texts, "{classes}");
    }
}

#[test]
fn long_names_and_many_cells_are_bounded() {
    let names = vec!["&".repeat(1000); 3000];
    let mut confusion = Confusion::new(3000);
    for sample in 0..60_000 {
        confusion.add(sample / 20, (sample * 7919) % 3000);
    }
    confusion.add(2999, 2999);
    confusion.add(2999, 2999);
    let svg = drawn(&confusion, &names);
    let elements = elements(&svg);
    assert_eq!(count(&elements, "rect"), MOST_CELLS + 3);
    assert!(svg.contains("cells of the smallest counts are not drawn"));
    assert!(svg.contains(", 2 of "), "the largest counts are drawn");
    // Two names of a tooltip are at most 2 x 80 escaped characters.
    assert!(svg.len() < MOST_CELLS * 1000, "{}", svg.len());
}
