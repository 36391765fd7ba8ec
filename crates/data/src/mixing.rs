//! Mixing the pictures of a batch and their labels, as timm's `Mixup` does: mixup and cutmix.
//!
//! First [`Mixing::draw`] decides for the whole batch of a step; then every part of it is mixed by itself,
//! with the pictures of the whole batch at hand. So the parts and their number change nothing. The draws
//! are ours; with the same share and box the numbers are timm's.

use std::ops::Range;

use crate::random::{Key, Numbers};
use crate::resize::Window;

/// How batches are mixed.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixing {
    /// Shape of mixup's shares, a symmetric Beta distribution; 0 is no mixup.
    pub mixup: f64,
    /// Shape of cutmix's shares; 0 is no cutmix, unless `cutmix_sides` is there.
    pub cutmix: f64,
    /// Smallest and largest side of cutmix's box as a part of the picture's, in place of a drawn share.
    pub cutmix_sides: Option<[f64; 2]>,
    /// Probability of mixing at all.
    pub probability: f64,
    /// Probability of cutmix where both are possible.
    pub switch: f64,
    /// What is drawn together.
    pub mode: MixMode,
}

/// For what of a batch one share is drawn. The partner is always the picture of the same place from the
/// end; the middle one of an odd number stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MixMode {
    /// The whole batch.
    Batch,
    /// A picture and its partner.
    Pair,
    /// Each picture.
    Elem,
}

/// What happens to one picture of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mix {
    /// The other picture's place in the batch.
    pub partner: usize,
    /// How much of the label is the picture's own: 1 leaves it alone.
    pub share: f64,
    /// The box that the partner fills (cutmix); without one, all pixels are mixed (mixup).
    pub window: Option<Window>,
}

impl Mixing {
    /// Whether there is anything to do.
    pub fn is_active(&self) -> bool {
        let possible = self.mixup > 0.0 || self.cutmix > 0.0 || self.cutmix_sides.is_some();
        possible && self.probability > 0.0
    }

    /// Fails on values that make no sense.
    pub fn check(&self) -> Result<(), String> {
        for (name, value) in [("mixup", self.mixup), ("cutmix", self.cutmix)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(format!("`{name}`: found {value}, needed a number from 0 on"));
            }
        }
        for (name, value) in [("probability", self.probability), ("switch", self.switch)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(format!("`{name}`: found {value}, needed 0 to 1"));
            }
        }
        match self.cutmix_sides {
            Some([low, high]) if !(0.0 <= low && low <= high && high <= 1.0) => Err(format!(
                "sides of the box: found {low} to {high}, needed two numbers from 0 to 1 in this order"
            )),
            _ => Ok(()),
        }
    }

    /// Decides for every picture of a batch of this size. `key` is that of the step.
    pub fn draw(&self, key: &Key, batch: usize, width: u32, height: u32) -> Vec<Mix> {
        let key = key.of("mixing");
        let one = |place: usize| self.draw_one(&mut key.at(place as u64).rng(), width, height);
        let of_batch = one(0);
        let drawn = (0..batch).map(|place| {
            let partner = batch - 1 - place;
            let (share, window) = match self.mode {
                _ if partner == place => (1.0, None),
                MixMode::Batch => of_batch,
                MixMode::Pair => in_f32(one(place.min(partner))),
                MixMode::Elem => in_f32(one(place)),
            };
            Mix { partner, share, window }
        });
        drawn.collect()
    }

    fn draw_one(&self, numbers: &mut Numbers, width: u32, height: u32) -> (f64, Option<Window>) {
        if !(self.is_active() && numbers.chance(self.probability)) {
            return (1.0, None);
        }
        let can_cut = self.cutmix > 0.0 || self.cutmix_sides.is_some();
        let cuts = can_cut && (self.mixup <= 0.0 || numbers.chance(self.switch));
        if !cuts {
            return (numbers.beta(self.mixup, self.mixup), None);
        }
        let window = match self.cutmix_sides {
            Some(sides) => window_of_sides(numbers, sides, width, height),
            None => {
                let share = numbers.beta(self.cutmix, self.cutmix);
                let centre = [width, height].map(|side| numbers.below(u64::from(side)) as u32);
                window_around(centre, share, width, height)
            }
        };
        // What the edge cuts off the box is the picture's own.
        let area = |width: u32, height: u32| f64::from(width) * f64::from(height);
        let share = 1.0 - area(window.width, window.height) / area(width, height);
        (share, Some(window).filter(|_| share < 1.0))
    }
}

/// timm keeps the shares of pictures and pairs in 32 bits.
fn in_f32((share, window): (f64, Option<Window>)) -> (f64, Option<Window>) {
    (f64::from(share as f32), window)
}

/// A box around a pixel of which `1 - share` of the picture would fit, without what lies outside.
pub(crate) fn window_around(centre: [u32; 2], share: f64, width: u32, height: u32) -> Window {
    let ratio = (1.0 - share).max(0.0).sqrt();
    let [(left, right), (top, bottom)] =
        [(centre[0], width), (centre[1], height)].map(|(at, side)| {
            let cut = (f64::from(side) * ratio) as u32;
            (at.saturating_sub(cut / 2), (at + cut.div_ceil(2)).min(side))
        });
    Window { left, top, width: right - left, height: bottom - top }
}

fn window_of_sides(numbers: &mut Numbers, sides: [f64; 2], width: u32, height: u32) -> Window {
    let mut side = |of: u32| {
        let [low, high] = sides.map(|part| (f64::from(of) * part) as u32);
        let cut = low + numbers.below(u64::from(high.saturating_sub(low).max(1))) as u32;
        (numbers.below(u64::from(of - cut) + 1) as u32, cut)
    };
    let ((top, rows), (left, columns)) = (side(height), side(width));
    Window { left, top, width: columns, height: rows }
}

/// The pictures of a part of a batch, mixed. `pictures` [B, 3, `height`, `width`] is the whole batch, not
/// mixed, and `mixes` what was drawn for it.
pub fn mix_pictures(mixes: &[Mix], part: Range<usize>, pictures: &[f32], width: u32) -> Vec<f32> {
    let length = pictures.len() / mixes.len().max(1);
    assert_eq!(pictures.len(), length * mixes.len(), "a picture for each of {}", mixes.len());
    let picture = |place: usize| &pictures[place * length..(place + 1) * length];
    let mut mixed = pictures[part.start * length..part.end * length].to_vec();
    for (own, mix) in mixed.chunks_exact_mut(length.max(1)).zip(&mixes[part]) {
        mix.apply(own, picture(mix.partner), width as usize);
    }
    mixed
}

/// The targets [part, classes] of a part of a batch: `labels` are those of the whole batch, each below
/// `classes`. A label is `1 - smoothing + smoothing / classes`, every other class `smoothing / classes`.
pub fn mix_labels(
    mixes: &[Mix],
    part: Range<usize>,
    labels: &[usize],
    classes: usize,
    smoothing: f64,
) -> Vec<f32> {
    let off = smoothing / classes as f64;
    let (on, off) = ((1.0 - smoothing + off) as f32, off as f32);
    let mut targets = Vec::with_capacity(part.len() * classes);
    for place in part {
        let (own, other) = mixes[place].weights();
        let (label, partner) = (labels[place], labels[mixes[place].partner]);
        let value = |is_label: bool| if is_label { on } else { off };
        targets.extend(
            (0..classes).map(|class| value(class == label) * own + value(class == partner) * other),
        );
    }
    targets
}

impl Mix {
    /// What leaves each of `batch` pictures alone; their targets are smoothed all the same.
    pub fn none(batch: usize) -> Vec<Mix> {
        let mixes = (0..batch).map(|place| Mix { partner: place, share: 1.0, window: None });
        mixes.collect()
    }

    fn weights(&self) -> (f32, f32) {
        (self.share as f32, (1.0 - self.share) as f32)
    }

    /// Mixes one picture, planes of rows of `width` numbers, with its partner.
    fn apply(&self, own: &mut [f32], partner: &[f32], width: usize) {
        if self.share == 1.0 {
            return;
        }
        let Some(window) = self.window else {
            let (share, rest) = self.weights();
            for (value, other) in own.iter_mut().zip(partner) {
                *value = *value * share + other * rest;
            }
            return;
        };
        let (plane, columns) =
            (own.len() / 3, window.left as usize..(window.left + window.width) as usize);
        for channel in 0..3 {
            for row in window.top as usize..(window.top + window.height) as usize {
                let start = channel * plane + row * width;
                let of_row = start + columns.start..start + columns.end;
                own[of_row.clone()].copy_from_slice(&partner[of_row]);
            }
        }
    }
}
