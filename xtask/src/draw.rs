//! Draws a scene: an antialiased shape with a little jitter of place, size, angle and colour, and speckles.
//!
//! Only `+ - * /` and square roots are used, which give the same bits on every platform.

use hearth_data::random::Numbers;

use crate::shapes::{BACKGROUNDS, COLOURS, POSITIONS, SHAPES, SIZES, STYLES, Scene};

/// Width and height of every picture.
pub const SIDE: u32 = 64;

const NUM_SPECKLES: usize = 24;

type Point = [f64; 2];

/// The picture of `scene`, rows of RGB; the jitter comes from `numbers`.
pub fn draw(scene: &Scene, numbers: &mut Numbers) -> image::RgbImage {
    let side = f64::from(SIDE);
    let mut jitter = |most: f64| numbers.uniform(-most, most);
    let radius = side * SIZES[scene.size].1 * (1.0 + jitter(0.07));
    let centre = POSITIONS[scene.position].1.map(|place| side * (place + jitter(0.025)));
    let turn = rotation(jitter(0.09));
    let brightness = 1.0 + jitter(0.08);
    let ink = COLOURS[scene.colour].1.map(|value| f64::from(value) * brightness + jitter(10.0));
    let paper = BACKGROUNDS[scene.background].1.map(|value| f64::from(value) + jitter(8.0));
    let hollow = STYLES[scene.style] == "hollow";

    let mut picture = image::RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let offset = [f64::from(x) + 0.5 - centre[0], f64::from(y) + 0.5 - centre[1]];
        let place = turn(offset).map(|value| value / radius);
        let depth = radius * depth_inside(SHAPES[scene.shape], place);
        let depth = if hollow { depth.min(line_width(radius) - depth) } else { depth };
        let cover = (depth + 0.5).clamp(0.0, 1.0);
        image::Rgb([0, 1, 2].map(|c| to_byte(paper[c] + cover * (ink[c] - paper[c]))))
    });
    for _ in 0..NUM_SPECKLES {
        let [x, y] = [(); 2].map(|()| numbers.below(u64::from(SIDE)) as u32);
        let shift = numbers.uniform(-28.0, 28.0);
        let pixel = picture.get_pixel_mut(x, y);
        pixel.0 = pixel.0.map(|value| to_byte(f64::from(value) + shift));
    }
    picture
}

fn line_width(radius: f64) -> f64 {
    1.4 + 0.1 * radius
}

fn to_byte(value: f64) -> u8 {
    (value + 0.5).clamp(0.0, 255.0) as u8
}

/// A turn by about `2 * half` radians, from the rational form of a rotation: no sine is needed.
fn rotation(half: f64) -> impl Fn(Point) -> Point {
    let norm = 1.0 + half * half;
    let (cos, sin) = ((1.0 - half * half) / norm, 2.0 * half / norm);
    move |[x, y]| [cos * x - sin * y, sin * x + cos * y]
}

/// How deep `place` lies inside the shape of about radius 1 around the origin (y downwards), negative outside.
fn depth_inside(shape: &str, place: Point) -> f64 {
    match shape {
        "circle" => 0.95 - length(place),
        "moon" => (1.0 - length(place)).min(length([place[0] - 0.5, place[1]]) - 0.78),
        "square" => polygon(&[[-0.82, -0.82], [0.82, -0.82], [0.82, 0.82], [-0.82, 0.82]], place),
        "triangle" => polygon(&[[0.0, -1.0], [1.0, 0.8], [-1.0, 0.8]], place),
        "star" => polygon(&STAR, place),
        "cross" => polygon(&CROSS, place),
        other => unreachable!("no drawing for the shape `{other}`"),
    }
}

const STAR: [Point; 10] = [
    [0.0, -1.1],
    [0.259, -0.356],
    [1.046, -0.34],
    [0.418, 0.136],
    [0.647, 0.89],
    [0.0, 0.44],
    [-0.647, 0.89],
    [-0.418, 0.136],
    [-1.046, -0.34],
    [-0.259, -0.356],
];

const CROSS: [Point; 12] = [
    [-0.33, -1.0],
    [0.33, -1.0],
    [0.33, -0.33],
    [1.0, -0.33],
    [1.0, 0.33],
    [0.33, 0.33],
    [0.33, 1.0],
    [-0.33, 1.0],
    [-0.33, 0.33],
    [-1.0, 0.33],
    [-1.0, -0.33],
    [-0.33, -0.33],
];

/// Signed distance to the nearest edge; inside is decided by counting crossed edges.
fn polygon(corners: &[Point], place: Point) -> f64 {
    let mut nearest = f64::MAX;
    let mut inside = false;
    for (index, &a) in corners.iter().enumerate() {
        let b = corners[(index + 1) % corners.len()];
        nearest = nearest.min(distance_to_segment(place, a, b));
        let crosses = (a[1] > place[1]) != (b[1] > place[1]);
        if crosses && place[0] < a[0] + (place[1] - a[1]) / (b[1] - a[1]) * (b[0] - a[0]) {
            inside = !inside;
        }
    }
    if inside { nearest } else { -nearest }
}

fn distance_to_segment(place: Point, a: Point, b: Point) -> f64 {
    let edge = [b[0] - a[0], b[1] - a[1]];
    let from_a = [place[0] - a[0], place[1] - a[1]];
    let along =
        (from_a[0] * edge[0] + from_a[1] * edge[1]) / (edge[0] * edge[0] + edge[1] * edge[1]);
    let along = along.clamp(0.0, 1.0);
    length([from_a[0] - along * edge[0], from_a[1] - along * edge[1]])
}

fn length([x, y]: Point) -> f64 {
    (x * x + y * y).sqrt()
}
