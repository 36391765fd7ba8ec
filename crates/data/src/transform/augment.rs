//! Random crops and colours of training: drawn from a key, then applied.

use super::change::Change;
use super::colour::{self, ColourOp};
use super::rand_augment::RandAugment;
use crate::picture::Picture;
use crate::random::{Key, Numbers};
use crate::resize::{Filter, FilterChoice, View, Window};

/// Attempts at a crop of the drawn area and shape before the centre is taken.
const TRIES: usize = 10;

/// What training does to a picture at random: torchvision's `RandomResizedCrop`, `RandomHorizontalFlip`,
/// `ColorJitter` and `RandomGrayscale`, then timm's `RandAugment`. Colours do not see a flip, so it may as
/// well come behind them.
#[derive(Debug, Clone, PartialEq)]
pub struct Augmentation {
    /// Area of the crop as a share of the picture, from and to.
    pub scale: [f64; 2],
    /// Width over height of the crop, from and to; drawn evenly in the logarithm.
    pub ratio: [f64; 2],
    /// Kernel that brings the crop to its size, and moves pixels.
    pub filter: FilterChoice,
    /// Changes of colour; none when absent.
    pub colour_jitter: Option<ColourJitter>,
    /// Probability of turning the picture grey.
    pub grayscale: f64,
    /// Probability of mirroring the picture, left to right.
    pub flip: f64,
    /// Further changes; none when absent.
    pub rand_augment: Option<RandAugment>,
}

impl Default for Augmentation {
    /// A bicubic crop of 40 to 100 % at 3:4 to 4:3, no change of colour.
    fn default() -> Self {
        Augmentation {
            scale: [0.4, 1.0],
            ratio: [3.0 / 4.0, 4.0 / 3.0],
            filter: Filter::Bicubic.into(),
            colour_jitter: None,
            grayscale: 0.0,
            flip: 0.0,
            rand_augment: None,
        }
    }
}

/// Ranges of the changes of colour: a factor in `1 - x ..= 1 + x` (not below 0), a turn in `-hue ..= hue`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ColourJitter {
    /// Probability that any of it happens.
    pub probability: f64,
    /// Range of the brightness factor; 0 leaves it alone.
    pub brightness: f64,
    /// Range of the contrast factor.
    pub contrast: f64,
    /// Range of the saturation factor.
    pub saturation: f64,
    /// Range of the turn of the hue, in full circles: at most 0.5.
    pub hue: f64,
}

/// What will happen to one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    /// Resized to the input.
    pub crop: Window,
    /// With this kernel.
    pub filter: Filter,
    /// Whether left and right change places then.
    pub flip: bool,
    /// Applied in this order.
    pub colour: Vec<ColourOp>,
    /// Whether all colour goes afterwards.
    pub grayscale: bool,
    /// Applied at the end, in this order.
    pub changes: Vec<Change>,
}

impl Augmentation {
    /// Decides for one picture of this size. The same key and size give the same decision.
    pub fn draw(&self, key: &Key, width: u32, height: u32) -> Drawn {
        Drawn {
            crop: self.draw_crop(&mut key.of("crop").rng(), width, height),
            filter: self.filter.draw(&mut key.of("filter").rng()),
            flip: key.of("flip").rng().chance(self.flip),
            colour: self.colour_jitter.map_or_else(Vec::new, |jitter| jitter.draw(key)),
            grayscale: key.of("grayscale").rng().chance(self.grayscale),
            changes: self
                .rand_augment
                .as_ref()
                .map_or_else(Vec::new, |policy| policy.draw(&key.of("rand augment"), self.filter)),
        }
    }

    /// Does what was drawn; the result has `size` columns and rows.
    pub fn apply(&self, picture: &Picture, drawn: &Drawn, size: u32) -> Picture {
        let mut seen = self.view(drawn, size).of(picture);
        drawn.finish(&mut seen);
        seen
    }

    /// The crop that was drawn, in `size` columns and rows.
    pub fn view(&self, drawn: &Drawn, size: u32) -> View {
        let window = Window::all(size, size);
        View { crop: drawn.crop, width: size, height: size, window, filter: drawn.filter }
    }

    fn draw_crop(&self, numbers: &mut Numbers, width: u32, height: u32) -> Window {
        let area = f64::from(width) * f64::from(height);
        let [low, high] = self.ratio.map(libm::log);
        for _ in 0..TRIES {
            let target = area * numbers.uniform(self.scale[0], self.scale[1]);
            let ratio = libm::exp(numbers.uniform(low, high));
            let w = (target * ratio).sqrt().round_ties_even() as u32;
            let h = (target / ratio).sqrt().round_ties_even() as u32;
            if (1..=width).contains(&w) && (1..=height).contains(&h) {
                let top = numbers.below(u64::from(height - h) + 1) as u32;
                let left = numbers.below(u64::from(width - w) + 1) as u32;
                return Window { left, top, width: w, height: h };
            }
        }
        self.centre_crop(width, height)
    }

    /// The largest centred crop with an allowed shape.
    fn centre_crop(&self, width: u32, height: u32) -> Window {
        let (w, h) = (f64::from(width), f64::from(height));
        let [low, high] = self.ratio;
        let (crop_width, crop_height) = match w / h {
            ratio if ratio < low => (width, (w / low).round_ties_even() as u32),
            ratio if ratio > high => ((h * high).round_ties_even() as u32, height),
            _ => (width, height),
        };
        // Rounding may reach past the edge by half a pixel, or to nothing in a strip.
        let (crop_width, crop_height) = (crop_width.clamp(1, width), crop_height.clamp(1, height));
        Window {
            left: (width - crop_width) / 2,
            top: (height - crop_height) / 2,
            width: crop_width,
            height: crop_height,
        }
    }
}

impl Drawn {
    /// Does what was drawn to the crop in its size.
    pub fn finish(&self, picture: &mut Picture) {
        if self.flip {
            picture.mirror();
        }
        for op in &self.colour {
            op.apply(picture);
        }
        if self.grayscale {
            colour::grayscale(picture);
        }
        for change in &self.changes {
            change.apply(picture);
        }
    }
}

impl ColourJitter {
    fn draw(&self, key: &Key) -> Vec<ColourOp> {
        let mut numbers = key.of("colour jitter").rng();
        if !numbers.chance(self.probability) {
            return Vec::new();
        }
        let order = numbers.permutation(4);
        let mut factor = |range: f64| numbers.uniform((1.0 - range).max(0.0), 1.0 + range);
        let ops = [
            (self.brightness, ColourOp::Brightness(factor(self.brightness))),
            (self.contrast, ColourOp::Contrast(factor(self.contrast))),
            (self.saturation, ColourOp::Saturation(factor(self.saturation))),
            (self.hue, ColourOp::Hue(numbers.uniform(-self.hue, self.hue))),
        ];
        order
            .into_iter()
            .map(|op| ops[op])
            .filter(|&(range, _)| range > 0.0)
            .map(|(_, op)| op)
            .collect()
    }
}
