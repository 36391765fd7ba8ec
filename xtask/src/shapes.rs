//! The vocabulary and the grammar of the generated data set: which scenes exist, which of them are held out, and how
//! a caption names one.
//!
//! A scene is a tuple of attributes. A combination of colour, shape, size and position is held out for validation
//! when the sum of its four indices is divisible by `HELD_OUT_EVERY`. So no combination of the validation set occurs
//! in training, while every value, every pair and every triple of values does: what is asked of a model is to compose
//! attributes, not to remember pictures. On average four other held-out scenes differ from one in a single attribute
//! of the four: ranking well takes all of them.

use std::collections::BTreeSet;

use hearth_data::random::{Key, Numbers};

/// What the drawn thing is.
pub const SHAPES: [&str; 6] = ["circle", "square", "triangle", "moon", "cross", "star"];
/// Words of the colours a shape has, with their colour before jitter.
pub const COLOURS: [(&str, [u8; 3]); 10] = [
    ("red", [215, 30, 35]),
    ("orange", [250, 135, 15]),
    ("yellow", [245, 225, 45]),
    ("lime", [165, 235, 40]),
    ("green", [25, 135, 55]),
    ("cyan", [50, 205, 215]),
    ("blue", [40, 75, 220]),
    ("purple", [135, 50, 180]),
    ("pink", [250, 130, 190]),
    ("brown", [115, 65, 25]),
];
/// Words of the backgrounds; none is the colour of a shape.
pub const BACKGROUNDS: [(&str, [u8; 3]); 3] =
    [("white", [242, 242, 242]), ("grey", [120, 120, 120]), ("black", [14, 14, 14])];
/// Words of the sizes, with the radius as a fraction of the picture's side.
pub const SIZES: [(&str, f64); 2] = [("small", 0.14), ("large", 0.23)];
/// Words of the five positions, with the centre as fractions of the picture's side.
pub const POSITIONS: [(&str, [f64; 2]); 5] = [
    ("at the top left", [NEAR, NEAR]),
    ("at the top right", [FAR, NEAR]),
    ("in the centre", [0.5, 0.5]),
    ("at the bottom left", [NEAR, FAR]),
    ("at the bottom right", [FAR, FAR]),
];
/// Whether the shape is filled or only its line is drawn.
pub const STYLES: [&str; 2] = ["solid", "hollow"];

const NEAR: f64 = 0.27;
const FAR: f64 = 0.73;
const NUM_TEMPLATES: usize = 3;
const HELD_OUT_EVERY: usize = 3;
const SEED: u64 = 2;

/// One picture in words: an index into each of the tables above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scene {
    /// Index into [`COLOURS`].
    pub colour: usize,
    /// Index into [`SHAPES`].
    pub shape: usize,
    /// Index into [`SIZES`].
    pub size: usize,
    /// Index into [`POSITIONS`].
    pub position: usize,
    /// Index into [`STYLES`].
    pub style: usize,
    /// Index into [`BACKGROUNDS`].
    pub background: usize,
    /// Which of the sentences says it.
    pub template: usize,
}

impl Scene {
    /// The attributes of which no combination is shared by training and validation.
    pub fn combination(&self) -> [usize; 4] {
        [self.colour, self.shape, self.size, self.position]
    }

    /// The sentence that describes the scene; it names every attribute.
    pub fn caption(&self) -> String {
        let position = POSITIONS[self.position].0;
        let background = BACKGROUNDS[self.background].0;
        let thing = format!(
            "a {} {} {} {}",
            SIZES[self.size].0, STYLES[self.style], COLOURS[self.colour].0, SHAPES[self.shape]
        );
        match self.template {
            0 => format!("{thing} {position} on a {background} background"),
            1 => format!("on a {background} background, {thing} {position}"),
            _ => format!("{position} of a {background} picture there is {thing}"),
        }
    }
}

/// The scenes of the training set: each combination that is not held out three times, on three different backgrounds,
/// solid and hollow in turn.
pub fn training() -> Vec<Scene> {
    let mut numbers = key().of("train").rng();
    let mut scenes = Vec::new();
    for combination in combinations().filter(|c| !is_held_out(c)) {
        let first = any(&mut numbers, STYLES.len());
        for background in 0..BACKGROUNDS.len() {
            let style = (first + background) % STYLES.len();
            let template = any(&mut numbers, NUM_TEMPLATES);
            scenes.push(scene(combination, style, background, template));
        }
    }
    scenes
}

/// The scenes of the validation set: each held-out combination once.
pub fn validation() -> Vec<Scene> {
    let mut numbers = key().of("val").rng();
    let mut any = |count| any(&mut numbers, count);
    combinations()
        .filter(is_held_out)
        .map(|c| scene(c, any(STYLES.len()), any(BACKGROUNDS.len()), any(NUM_TEMPLATES)))
        .collect()
}

/// Every word and sign that a caption can hold, sorted.
pub fn vocabulary() -> Vec<String> {
    let scenes = training().into_iter().chain(validation());
    let text: String = scenes.map(|scene| scene.caption().replace(',', " , ") + " ").collect();
    text.split_whitespace().collect::<BTreeSet<_>>().into_iter().map(String::from).collect()
}

/// Names all random numbers of the data set.
pub fn key() -> Key {
    Key::new(SEED).of("shapes")
}

fn any(numbers: &mut Numbers, count: usize) -> usize {
    numbers.below(count as u64) as usize
}

fn scene(
    [colour, shape, size, position]: [usize; 4],
    style: usize,
    background: usize,
    template: usize,
) -> Scene {
    Scene { colour, shape, size, position, style, background, template }
}

fn is_held_out(combination: &[usize; 4]) -> bool {
    combination.iter().sum::<usize>() % HELD_OUT_EVERY == 0
}

fn combinations() -> impl Iterator<Item = [usize; 4]> {
    let counts = [COLOURS.len(), SHAPES.len(), SIZES.len(), POSITIONS.len()];
    (0..counts.iter().product()).map(move |index| {
        let mut rest = index;
        counts.map(|count| {
            let value = rest % count;
            rest /= count;
            value
        })
    })
}
