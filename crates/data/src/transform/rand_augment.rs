//! RandAugment as timm has it: a few changes of fifteen, each with some probability, all of one magnitude.

use super::change::{Change, PictureOp};
use super::colour::ColourOp;
use crate::random::{Key, Numbers};
use crate::resize::FilterChoice;

/// A magnitude of this is the full strength of every change.
const FULL: f64 = 10.0;

/// Noise above this means any magnitude up to the given one.
const ANY: f64 = 100.0;

/// The most changes of one picture; above it is a mistake.
const MOST_LAYERS: u32 = 100;

const ALLOWED: &str = "allowed behind `rand` are m (magnitude), n (changes per picture), p (probability), \
                       mstd (noise of the magnitude), mmax (its upper bound) and inc (1: stronger with \
                       the magnitude), each with a number, as in `rand-m9-mstd0.5-inc1`";

/// How pictures are changed; [`RandAugment::parse`] reads timm's strings.
#[derive(Debug, Clone, PartialEq)]
pub struct RandAugment {
    /// Strength: 10 is full.
    pub magnitude: f64,
    /// How many changes are drawn for a picture.
    pub layers: u32,
    /// Probability of each of them to happen.
    pub probability: f64,
    /// How the magnitude varies.
    pub noise: Noise,
    /// The magnitude stays between 0 and this.
    pub largest: f64,
    /// Whether every change grows with the magnitude; otherwise Posterize and Solarize fade, and colours
    /// go from faint to strong.
    pub increasing: bool,
    /// What comes in from outside of a turned or moved picture.
    pub fill: [u8; 3],
}

/// How the magnitude varies from change to change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Noise {
    /// It does not.
    None,
    /// Normal with this standard deviation.
    Normal(f64),
    /// Uniform from 0 to the magnitude.
    Uniform,
}

/// A kind of change, before its magnitude is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the paper")]
pub enum Kind {
    AutoContrast,
    Equalize,
    Invert,
    Rotate,
    Posterize,
    Solarize,
    SolarizeAdd,
    Color,
    Contrast,
    Brightness,
    Sharpness,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
}

impl Kind {
    /// All, as likely as each other.
    pub const ALL: [Kind; 15] = [
        Kind::AutoContrast,
        Kind::Equalize,
        Kind::Invert,
        Kind::Rotate,
        Kind::Posterize,
        Kind::Solarize,
        Kind::SolarizeAdd,
        Kind::Color,
        Kind::Contrast,
        Kind::Brightness,
        Kind::Sharpness,
        Kind::ShearX,
        Kind::ShearY,
        Kind::TranslateX,
        Kind::TranslateY,
    ];
}

impl Default for RandAugment {
    /// What `rand` alone means.
    fn default() -> Self {
        RandAugment {
            magnitude: FULL,
            layers: 2,
            probability: 0.5,
            noise: Noise::None,
            largest: FULL,
            increasing: false,
            fill: [128; 3],
        }
    }
}

impl RandAugment {
    /// Reads `rand-m9-mstd0.5-inc1`. The error names the part and what is allowed.
    pub fn parse(text: &str) -> Result<RandAugment, String> {
        let mut parts = text.split('-');
        if let Some(family) = parts.next().filter(|family| *family != "rand") {
            return Err(format!("`{family}`: found another policy than `rand`; {ALLOWED}"));
        }
        let (mut policy, mut seen) = (RandAugment::default(), Vec::new());
        for part in parts {
            let digits = part.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(part.len());
            let (name, number) = part.split_at(digits);
            if seen.contains(&name) {
                return Err(format!("`{part}`: `{name}` comes a second time"));
            }
            seen.push(name);
            policy.set(name, number).map_err(|problem| format!("`{part}`: {problem}"))?;
        }
        Ok(policy)
    }

    fn set(&mut self, name: &str, number: &str) -> Result<(), String> {
        match name {
            "m" => self.magnitude = f64::from(whole(number, 1_000_000)?),
            "n" => self.layers = whole(number, MOST_LAYERS)?,
            "p" => self.probability = fraction(number, 1.0)?,
            "mstd" => {
                self.noise = match fraction(number, f64::MAX)? {
                    0.0 => Noise::None,
                    std if std > ANY => Noise::Uniform,
                    std => Noise::Normal(std),
                }
            }
            "mmax" => {
                // 0 is no bound of its own: that of the full strength stays.
                let largest = Some(whole(number, 1_000_000)?).filter(|&largest| largest > 0);
                self.largest = largest.map_or(FULL, f64::from);
            }
            "inc" => self.increasing = whole(number, u32::MAX)? > 0,
            _ => return Err(format!("found an unknown part; {ALLOWED}")),
        }
        Ok(())
    }

    /// Decides for one picture.
    pub fn draw(&self, key: &Key, filter: FilterChoice) -> Vec<Change> {
        let layers = (0..u64::from(self.layers)).map(|layer| key.at(layer).rng());
        layers.filter_map(|mut numbers| self.draw_one(&mut numbers, filter)).collect()
    }

    fn draw_one(&self, numbers: &mut Numbers, filter: FilterChoice) -> Option<Change> {
        let kind = Kind::ALL[numbers.below(Kind::ALL.len() as u64) as usize];
        if !numbers.chance(self.probability) {
            return None;
        }
        let magnitude = match self.noise {
            Noise::None => self.magnitude,
            Noise::Normal(std) => self.magnitude + std * numbers.normal(),
            Noise::Uniform => numbers.uniform(0.0, self.magnitude),
        };
        let is_negative = numbers.chance(0.5);
        let op = self.op(kind, magnitude.clamp(0.0, self.largest), is_negative);
        Some(Change { op, filter: filter.draw(numbers), fill: self.fill })
    }

    /// What a kind of change is at a magnitude. Where there is a direction, `is_negative` takes the other.
    pub fn op(&self, kind: Kind, magnitude: f64, is_negative: bool) -> PictureOp {
        let level = magnitude / FULL;
        let signed = |value: f64| if is_negative { -value } else { value };
        let factor = match self.increasing {
            true => (1.0 + signed(level * 0.9)).max(0.1),
            false => level * 1.8 + 0.1,
        };
        let (bits, threshold) = ((level * 4.0) as i32, (level * 256.0).min(256.0) as u16);
        match kind {
            Kind::AutoContrast => PictureOp::AutoContrast,
            Kind::Equalize => PictureOp::Equalize,
            Kind::Invert => PictureOp::Invert,
            Kind::Rotate => PictureOp::Rotate(signed(level * 30.0)),
            Kind::Posterize => PictureOp::Posterize(if self.increasing { 4 - bits } else { bits }),
            Kind::Solarize => {
                PictureOp::Solarize(if self.increasing { 256 - threshold } else { threshold })
            }
            Kind::SolarizeAdd => PictureOp::SolarizeAdd((level * 110.0).min(128.0) as u8),
            Kind::Color => PictureOp::Colour(ColourOp::Saturation(factor)),
            Kind::Contrast => PictureOp::Colour(ColourOp::Contrast(factor)),
            Kind::Brightness => PictureOp::Colour(ColourOp::Brightness(factor)),
            Kind::Sharpness => PictureOp::Sharpness(factor),
            Kind::ShearX => PictureOp::ShearX(signed(level * 0.3)),
            Kind::ShearY => PictureOp::ShearY(signed(level * 0.3)),
            Kind::TranslateX => PictureOp::TranslateX(signed(level * 0.45)),
            Kind::TranslateY => PictureOp::TranslateY(signed(level * 0.45)),
        }
    }
}

/// The colour that a mean of normalisation stands for, in 0..1 for each channel: what timm fills with.
pub fn fill_colour(mean: [f64; 3]) -> [u8; 3] {
    mean.map(|mean| (255.0 * mean).round_ties_even() as u8)
}

fn whole(number: &str, most: u32) -> Result<u32, String> {
    let parsed = number.parse().ok().filter(|value| *value <= most);
    parsed.ok_or_else(|| match most {
        u32::MAX => format!("found {}, needed 0 or 1", shown(number)),
        most => format!("found {}, needed a whole number up to {most}", shown(number)),
    })
}

fn fraction(number: &str, most: f64) -> Result<f64, String> {
    let parsed = number.parse().ok().filter(|value: &f64| (0.0..=most).contains(value));
    parsed.ok_or_else(|| match most {
        f64::MAX => format!("found {}, needed a number", shown(number)),
        most => format!("found {}, needed a number up to {most}", shown(number)),
    })
}

fn shown(number: &str) -> String {
    if number.is_empty() { "no number".to_owned() } else { format!("`{number}`") }
}
