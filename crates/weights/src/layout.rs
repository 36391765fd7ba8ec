//! A key map applied to the parameters of one model: which values lie where in a file.

use std::collections::BTreeMap;

use crate::{
    error::WeightsError,
    keymap::{KeyMap, Order, Rule, Share},
    module::Parameter,
    pattern::Pattern,
};

/// Where the values of one parameter lie in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binding {
    /// In order of the parameter's values, which they cover exactly.
    pub(crate) pieces: Vec<Piece>,
    /// Whether the one piece has the dimensions of the parameter in the opposite order.
    pub(crate) reversed: bool,
}

/// `len` values that follow each other both in the parameter and in a tensor of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Name of the tensor in the file.
    pub(crate) theirs: String,
    /// Shape of that whole tensor.
    pub(crate) shape: Vec<usize>,
    /// First value in the parameter.
    pub(crate) ours_start: usize,
    /// First value in the tensor of the file.
    pub(crate) theirs_start: usize,
    pub(crate) len: usize,
}

impl KeyMap {
    /// Checks the table against a model: every parameter belongs to exactly one rule, no two
    /// claim the same place of a file, every tensor of the file is covered. For the tests of a
    /// family; [`crate::load`] and [`crate::save`] check again.
    pub fn check(&self, parameters: &[Parameter]) -> Result<(), WeightsError> {
        self.bindings(parameters).map(|_| ())
    }

    /// Names and shapes of a file in this layout, for a model with these parameters.
    pub fn layout(
        &self,
        parameters: &[Parameter],
    ) -> Result<BTreeMap<String, Vec<usize>>, WeightsError> {
        let bindings = self.bindings(parameters)?;
        let pieces = bindings.into_iter().flat_map(|binding| binding.pieces);
        Ok(pieces.map(|piece| (piece.theirs, piece.shape)).collect())
    }

    /// One binding per parameter, or everything that is wrong with the table.
    pub(crate) fn bindings(&self, parameters: &[Parameter]) -> Result<Vec<Binding>, WeightsError> {
        let mut problems = Vec::new();
        let rules: Vec<Parsed> =
            self.rules.iter().filter_map(|rule| Parsed::new(rule, &mut problems)).collect();
        let mut bindings = Vec::new();
        for parameter in parameters {
            match bind(parameter, &rules) {
                Ok(binding) => bindings.push(binding),
                Err(problem) => problems.push(problem),
            }
        }
        // A parameter without a rule would be reported again, as a hole in a tensor.
        if problems.is_empty() {
            check_names(parameters, &mut problems);
            check_targets(&bindings, parameters, &mut problems);
        }
        if problems.is_empty() {
            return Ok(bindings);
        }
        Err(WeightsError::KeyMap { map: self.name.clone(), problems })
    }
}

/// A rule with its patterns parsed.
struct Parsed<'a> {
    rule: &'a Rule,
    ours: Vec<Pattern>,
    theirs: Vec<Pattern>,
}

impl<'a> Parsed<'a> {
    fn new(rule: &'a Rule, problems: &mut Vec<String>) -> Option<Parsed<'a>> {
        let parse = |shares: &[Share]| -> Vec<Pattern> {
            shares.iter().map(|share| Pattern::new(&share.name)).collect()
        };
        let parsed = Parsed { rule, ours: parse(&rule.ours), theirs: parse(&rule.theirs) };
        let wildcards = parsed.ours.first().map(Pattern::wildcards);
        let mut all = parsed.ours.iter().chain(&parsed.theirs);
        if all.any(|pattern| Some(pattern.wildcards()) != wildcards) {
            problems.push(format!("{}: the wildcards of its sides differ", rule.shown()));
            return None;
        }
        let parts = rule.ours.iter().chain(&rule.theirs).all(|share| share.parts > 0);
        if rule.ours.is_empty() || rule.theirs.is_empty() || !parts {
            problems.push(format!("{}: a side without parts", rule.shown()));
            return None;
        }
        Some(parsed)
    }
}

fn bind(parameter: &Parameter, rules: &[Parsed]) -> Result<Binding, String> {
    let mut hits = rules.iter().flat_map(|parsed| {
        let places = parsed.ours.iter().enumerate();
        places.filter_map(move |(place, pattern)| {
            pattern.captures(&parameter.name).map(|captured| (parsed, place, captured))
        })
    });
    let Some((parsed, place, captured)) = hits.next() else {
        return Err(format!("no rule for `{}`", parameter.name));
    };
    if let Some((other, ..)) = hits.next() {
        let (first, second) = (parsed.rule.shown(), other.rule.shown());
        return Err(format!("two rules for `{}`: {first} and {second}", parameter.name));
    }
    let names: Vec<String> = parsed.theirs.iter().map(|theirs| theirs.fill(&captured)).collect();
    let binding = if parsed.ours.len() > 1 {
        bind_merged(parameter, parsed.rule, place, &names[0])
    } else if parsed.theirs.len() > 1 {
        bind_split(parameter, parsed.rule, names)
    } else {
        bind_one(parameter, parsed.rule, &names[0])
    };
    let shape = &parameter.shape;
    binding.ok_or_else(|| {
        format!(
            "{}: `{}` has shape {shape:?}, which does not fit",
            parsed.rule.shown(),
            parameter.name
        )
    })
}

fn bind_one(parameter: &Parameter, rule: &Rule, theirs: &str) -> Option<Binding> {
    let mut shape = parameter.shape.clone();
    if rule.order != Order::Same {
        shape.reverse();
    }
    match rule.order {
        Order::Transposed if shape.len() != 2 => return None,
        Order::Reversed { joined } if joined > shape.len() => return None,
        Order::Reversed { joined } => {
            let one = shape.drain(..joined).product();
            shape.insert(0, one);
        }
        Order::Same | Order::Transposed => {}
    }
    let piece = Piece {
        theirs: theirs.to_owned(),
        shape: with_rank(shape, rule.rank)?,
        ours_start: 0,
        theirs_start: 0,
        len: parameter.len(),
    };
    Some(Binding { pieces: vec![piece], reversed: rule.order != Order::Same })
}

/// Several tensors of the file make one parameter.
fn bind_split(parameter: &Parameter, rule: &Rule, names: Vec<String>) -> Option<Binding> {
    let parts = rule.theirs.iter().map(|share| share.parts).sum();
    let unit = divided(*parameter.shape.first()?, parts)?;
    let row: usize = parameter.shape[1..].iter().product();
    let mut ours_start = 0;
    let mut pieces = Vec::new();
    for (theirs, share) in names.into_iter().zip(&rule.theirs) {
        let mut shape = parameter.shape.clone();
        shape[0] = unit * share.parts;
        let len = shape[0] * row;
        let shape = with_rank(shape, rule.rank)?;
        pieces.push(Piece { theirs, shape, ours_start, theirs_start: 0, len });
        ours_start += len;
    }
    Some(Binding { pieces, reversed: false })
}

/// One tensor of the file holds this parameter and others.
fn bind_merged(parameter: &Parameter, rule: &Rule, place: usize, theirs: &str) -> Option<Binding> {
    let parts = |shares: &[Share]| shares.iter().map(|share| share.parts).sum::<usize>();
    let unit = divided(*parameter.shape.first()?, rule.ours[place].parts)?;
    let row: usize = parameter.shape[1..].iter().product();
    let mut shape = parameter.shape.clone();
    shape[0] = unit * parts(&rule.ours);
    let piece = Piece {
        theirs: theirs.to_owned(),
        shape: with_rank(shape, rule.rank)?,
        ours_start: 0,
        theirs_start: parts(&rule.ours[..place]) * unit * row,
        len: parameter.len(),
    };
    Some(Binding { pieces: vec![piece], reversed: false })
}

fn divided(size: usize, parts: usize) -> Option<usize> {
    size.is_multiple_of(parts).then_some(size / parts)
}

/// `shape` with dimensions of 1 taken away, or added in front.
fn with_rank(mut shape: Vec<usize>, rank: Option<usize>) -> Option<Vec<usize>> {
    let rank = rank.unwrap_or(shape.len());
    while shape.len() > rank {
        let one = shape.iter().position(|size| *size == 1)?;
        shape.remove(one);
    }
    let missing = rank - shape.len();
    shape.splice(0..0, std::iter::repeat_n(1, missing));
    Some(shape)
}

/// No two parameters may have the same name: the second would take the place of the first.
fn check_names(parameters: &[Parameter], problems: &mut Vec<String>) {
    let mut names: Vec<&str> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    names.sort_unstable();
    for pair in names.windows(2).filter(|pair| pair[0] == pair[1]) {
        problems.push(format!("two parameters are called `{}`", pair[0]));
    }
}

/// Every tensor of the file is covered by the parameters, each value once.
fn check_targets(bindings: &[Binding], parameters: &[Parameter], problems: &mut Vec<String>) {
    let mut targets: BTreeMap<&str, Vec<(&Piece, &str)>> = BTreeMap::new();
    for (binding, parameter) in bindings.iter().zip(parameters) {
        for piece in &binding.pieces {
            targets.entry(&piece.theirs).or_default().push((piece, &parameter.name));
        }
    }
    for (theirs, mut claims) in targets {
        claims.sort_by_key(|(piece, _)| piece.theirs_start);
        let mut covered = 0;
        let mut tiled = true;
        for (piece, _) in &claims {
            tiled &= piece.theirs_start == covered && piece.shape == claims[0].0.shape;
            covered += piece.len;
        }
        if !tiled || covered != claims[0].0.shape.iter().product::<usize>() {
            let names: Vec<String> = claims.iter().map(|(_, name)| format!("`{name}`")).collect();
            let names = names.join(", ");
            problems.push(format!("`{theirs}` is not covered exactly once, by {names}"));
        }
    }
}
