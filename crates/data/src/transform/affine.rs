//! Pictures turned, sheared and moved, equal to Pillow's `Image.transform(size, AFFINE, ..)`.

use crate::picture::Picture;
use crate::resize::Filter;

/// Where the centre (x, y) of an output pixel lies in the source: `[a x + b y + c, d x + e y + f]`.
pub(super) type Matrix = [f64; 6];

/// Turned counter-clockwise around the centre, as Pillow's `Image.rotate`.
pub(super) fn rotation(degrees: f64, width: u32, height: u32) -> Matrix {
    let angle = -degrees.rem_euclid(360.0).to_radians();
    let (cos, sin) = (to_15_places(libm::cos(angle)), to_15_places(libm::sin(angle)));
    let (x, y) = (f64::from(width) / 2.0, f64::from(height) / 2.0);
    [cos, sin, cos * -x + sin * -y + x, -sin, cos, -sin * -x + cos * -y + y]
}

/// The picture seen through the matrix; what lies outside of the source is `fill`.
pub(super) fn transform(
    picture: &Picture,
    matrix: Matrix,
    filter: Filter,
    fill: [u8; 3],
) -> Picture {
    let source = Source {
        pixels: picture.pixels.as_chunks::<3>().0,
        width: picture.width as usize,
        height: picture.height as usize,
    };
    let pixels = match filter {
        Filter::Bilinear => source.through(matrix, fill, |x, y| source.bilinear(x, y)),
        Filter::Bicubic => source.through(matrix, fill, |x, y| source.bicubic(x, y)),
    };
    Picture { width: picture.width, height: picture.height, pixels }
}

struct Source<'a> {
    pixels: &'a [[u8; 3]],
    width: usize,
    height: usize,
}

impl Source<'_> {
    fn through(&self, matrix: Matrix, fill: [u8; 3], at: impl Fn(f64, f64) -> [u8; 3]) -> Vec<u8> {
        let [a, b, c, d, e, f] = matrix;
        let (columns, rows) = (self.width as f64, self.height as f64);
        let mut pixels = vec![0; 3 * self.pixels.len()];
        for (row, line) in pixels.chunks_exact_mut(3 * self.width).enumerate() {
            let y_out = row as f64 + 0.5;
            for (column, pixel) in line.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                let x_out = column as f64 + 0.5;
                let (x, y) = (a * x_out + b * y_out + c, d * x_out + e * y_out + f);
                let is_inside = (0.0..columns).contains(&x) && (0.0..rows).contains(&y);
                *pixel = if is_inside { at(x, y) } else { fill };
            }
        }
        pixels
    }

    fn bilinear(&self, x: f64, y: f64) -> [u8; 3] {
        let ([left, right], within_x) = neighbours(x, self.width);
        let ([upper, lower], within_y) = neighbours(y, self.height);
        let corners = [(upper, left), (upper, right), (lower, left), (lower, right)];
        let [nw, ne, sw, se] = corners.map(|(row, column)| self.pixels[row * self.width + column]);
        std::array::from_fn(|channel| {
            let [nw, ne, sw, se] = [nw, ne, sw, se].map(|pixel| f64::from(pixel[channel]));
            let upper = nw + (ne - nw) * within_x;
            let lower = sw + (se - sw) * within_x;
            (upper + (lower - upper) * within_y) as u8
        })
    }

    fn bicubic(&self, x: f64, y: f64) -> [u8; 3] {
        let (columns, within_x): ([usize; 4], f64) = neighbours(x, self.width);
        let (rows, within_y): ([usize; 4], f64) = neighbours(y, self.height);
        let lines = rows.map(|row| columns.map(|column| self.pixels[row * self.width + column]));
        std::array::from_fn(|channel| {
            let across =
                lines.map(|line| cubic(line.map(|pixel| f64::from(pixel[channel])), within_x));
            cubic(across, within_y) as u8
        })
    }
}

/// The `N` pixels around a place, the edge repeated, and how far the place is from the middle one on the
/// left to its neighbour.
fn neighbours<const N: usize>(place: f64, length: usize) -> ([usize; N], f64) {
    let place = place - 0.5;
    let whole = place.floor();
    let first = whole as isize - (N as isize / 2 - 1);
    let last = length as isize - 1;
    let around = std::array::from_fn(|i| (first + i as isize).clamp(0, last) as usize);
    (around, place - whole)
}

/// The cubic with a = -1 that Pillow takes here, unlike its `resize`.
fn cubic([v1, v2, v3, v4]: [f64; 4], within: f64) -> f64 {
    let slope = -v1 + v3;
    let bend = 2.0 * (v1 - v2) + v3 - v4;
    let turn = -v1 + v2 - v3 + v4;
    v2 + within * (slope + within * (bend + within * turn))
}

/// Python's `round(value, 15)`.
fn to_15_places(value: f64) -> f64 {
    format!("{value:.15}").parse().expect("a printed number")
}
