//! Compares a file with a model, by names and shapes, and decides where each value comes from.

use std::collections::{HashMap, HashSet};

use crate::{
    error::WeightsError,
    file::WeightsFile,
    keymap::KeyMap,
    layout::{Binding, Piece},
    load::{LoadOptions, Resize},
    mismatch::{Mismatch, Misshapen, Missing, Unexpected},
    module::Parameter,
    names::Nearest,
    pattern::{Pattern, any_matches, parse_all},
    report::{LoadReport, Renamed, Resized},
};

/// Where the values of each parameter come from, and the report of it.
pub(crate) struct Plan {
    /// By the name of the parameter; a parameter that stays fresh has none.
    pub(crate) sources: HashMap<String, Source>,
    pub(crate) report: LoadReport,
}

pub(crate) enum Source {
    File(Binding),
    /// Already fitted to the shape of the parameter.
    Ready(Vec<f32>),
}

/// Decides for every parameter and every tensor, or lists every difference.
pub(crate) fn plan(
    parameters: &[Parameter],
    file: &WeightsFile,
    map: &KeyMap,
    options: &LoadOptions,
) -> Result<Plan, WeightsError> {
    let bindings = map.bindings(parameters)?;
    let used: HashSet<String> = bindings
        .iter()
        .flat_map(|binding| &binding.pieces)
        .map(|piece| piece.theirs.clone())
        .collect();
    let mut comparison = Comparison {
        file,
        fresh: parse_all(&options.fresh),
        replaced: parse_all(&options.replaced),
        resize: options.resize.iter().map(|rule| (Pattern::new(&rule.name), rule)).collect(),
        sources: HashMap::new(),
        report: LoadReport::new(file.path(), &map.name, parameters.len()),
        mismatch: Mismatch::new(file.path(), &map.name, parameters.len()),
    };
    for (parameter, binding) in parameters.iter().zip(bindings) {
        comparison.parameter(parameter, binding)?;
    }
    comparison.left_over(&used, &parse_all(&map.ignored), &parse_all(&options.dropped));
    comparison.finish()
}

struct Comparison<'a> {
    file: &'a WeightsFile,
    fresh: Vec<Pattern>,
    replaced: Vec<Pattern>,
    resize: Vec<(Pattern, &'a Resize)>,
    sources: HashMap<String, Source>,
    report: LoadReport,
    mismatch: Mismatch,
}

impl Comparison<'_> {
    fn parameter(&mut self, parameter: &Parameter, binding: Binding) -> Result<(), WeightsError> {
        if any_matches(&self.replaced, &parameter.name) {
            let theirs = binding.pieces.into_iter().map(|piece| piece.theirs);
            self.report.dropped.extend(theirs.filter(|name| self.file.entry(name).is_some()));
            self.report.fresh.push(parameter.name.clone());
            return Ok(());
        }
        let absent: Vec<String> = binding
            .pieces
            .iter()
            .filter(|piece| self.file.entry(&piece.theirs).is_none())
            .map(|piece| piece.theirs.clone())
            .collect();
        let all_absent = absent.len() == binding.pieces.len();
        if all_absent && any_matches(&self.fresh, &parameter.name) {
            self.report.fresh.push(parameter.name.clone());
            return Ok(());
        }
        if !absent.is_empty() {
            let (name, looked_for) = (parameter.name.clone(), absent);
            self.mismatch.missing.push(Missing { name, looked_for, nearest: None });
            return Ok(());
        }
        let misshapen: Vec<&Piece> =
            binding.pieces.iter().filter(|piece| !self.fits(piece, binding.reversed)).collect();
        if misshapen.is_empty() {
            self.take(parameter, binding);
            return Ok(());
        }
        if let Some(values) = self.resized(parameter, &binding)? {
            self.sources.insert(parameter.name.clone(), Source::Ready(values));
            return Ok(());
        }
        for piece in misshapen {
            self.mismatch.misshapen.push(Misshapen {
                name: parameter.name.clone(),
                theirs: piece.theirs.clone(),
                found: self.shape(&piece.theirs),
                needed: piece.shape.clone(),
            });
        }
        Ok(())
    }

    fn take(&mut self, parameter: &Parameter, binding: Binding) {
        let theirs: Vec<String> = binding.pieces.iter().map(|piece| piece.theirs.clone()).collect();
        let ours = parameter.name.clone();
        if theirs == [ours.as_str()] && !binding.reversed {
            self.report.matched.push(ours.clone());
        } else {
            self.report.renamed.push(Renamed { ours: ours.clone(), theirs });
        }
        self.sources.insert(ours, Source::File(binding));
    }

    /// Fits a whole tensor that belongs to one parameter, if the options allow it.
    fn resized(
        &mut self,
        parameter: &Parameter,
        binding: &Binding,
    ) -> Result<Option<Vec<f32>>, WeightsError> {
        let whole = match binding.pieces.as_slice() {
            [piece] if !binding.reversed && piece.shape.iter().product::<usize>() == piece.len => {
                piece
            }
            _ => return Ok(None),
        };
        let Some((_, rule)) =
            self.resize.iter().find(|(pattern, _)| pattern.matches(&parameter.name))
        else {
            return Ok(None);
        };
        let from = self.shape(&whole.theirs);
        let values = self.file.read_f32(&whole.theirs)?;
        let fitted = (rule.apply)(&values, without_ones(&from), without_ones(&parameter.shape));
        let Some(fitted) = fitted.filter(|fitted| fitted.len() == parameter.len()) else {
            return Ok(None);
        };
        self.report.resized.push(Resized {
            name: parameter.name.clone(),
            method: rule.method,
            from,
            to: parameter.shape.clone(),
        });
        Ok(Some(fitted))
    }

    /// What the model did not ask for.
    fn left_over(&mut self, used: &HashSet<String>, ignored: &[Pattern], dropped: &[Pattern]) {
        for name in self.file.names().filter(|name| !used.contains(*name)) {
            if any_matches(ignored, name) {
                self.report.ignored.push(name.to_owned());
            } else if any_matches(dropped, name) {
                self.report.dropped.push(name.to_owned());
            } else {
                let (name, shape) = (name.to_owned(), self.shape(name));
                self.mismatch.unexpected.push(Unexpected { name, shape });
            }
        }
    }

    fn finish(mut self) -> Result<Plan, WeightsError> {
        if self.mismatch.is_empty() {
            return Ok(Plan { sources: self.sources, report: self.report });
        }
        let unexpected = self.mismatch.unexpected.iter().map(|tensor| tensor.name.as_str());
        let mut nearest = Nearest::among(unexpected);
        for missing in &mut self.mismatch.missing {
            missing.nearest = missing.looked_for.first().and_then(|name| nearest.to(name));
        }
        Err(WeightsError::Mismatch(Box::new(self.mismatch)))
    }

    /// Whether the tensor in the file has the shape that is needed, up to dimensions of 1, which
    /// do not move a value. Where the order of dimensions is another one they do.
    fn fits(&self, piece: &Piece, reversed: bool) -> bool {
        let found = self.shape(&piece.theirs);
        if reversed {
            return found == piece.shape;
        }
        let sizes = |shape: &[usize]| -> Vec<usize> {
            shape.iter().copied().filter(|size| *size != 1).collect()
        };
        sizes(&found) == sizes(&piece.shape)
    }

    fn shape(&self, theirs: &str) -> Vec<usize> {
        self.file.entry(theirs).map(|entry| entry.shape.clone()).unwrap_or_default()
    }
}

fn without_ones(shape: &[usize]) -> &[usize] {
    let ones = shape.iter().take_while(|size| **size == 1).count();
    &shape[ones..]
}
