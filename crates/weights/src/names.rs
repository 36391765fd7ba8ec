//! Names of tensors in messages: grouped by their indices, shortened, and the nearest one.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

/// Names that differ only in their first index, as one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// `blocks.{0..11}.norm1.weight`, or the name itself if it stands alone.
    pub(crate) shown: String,
    pub(crate) count: usize,
}

/// Groups names, in order of the first name of each group.
pub(crate) fn grouped<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Group> {
    let mut order: Vec<(Blank<'a>, Vec<u64>)> = Vec::new();
    let mut places: HashMap<Blank<'a>, usize> = HashMap::new();
    for name in names {
        let (blank, index) = blank_first(name);
        let place = *places.entry(blank).or_insert(order.len());
        if place == order.len() {
            order.push((blank, Vec::new()));
        }
        order[place].1.extend(index);
    }
    order.into_iter().map(|(blank, indices)| show(blank, indices)).collect()
}

/// Items whose names differ only in their first index and that are equal in what else `key` says,
/// in order of the first item of each kind.
pub(crate) fn in_kinds<'a, T, K: Eq + Hash>(
    items: &'a [T],
    key: impl Fn(&'a T) -> (&'a str, K),
) -> Vec<Vec<&'a T>> {
    let mut order: Vec<Vec<&T>> = Vec::new();
    let mut places = HashMap::new();
    for item in items {
        let (name, rest) = key(item);
        let place = *places.entry((blank_first(name).0, rest)).or_insert(order.len());
        if place == order.len() {
            order.push(Vec::new());
        }
        order[place].push(item);
    }
    order
}

/// The first `limit` groups in backticks, and how many names there are besides.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>, limit: usize) -> String {
    let groups = grouped(names);
    let shown: Vec<String> = groups.iter().take(limit).map(|group| group.shown.clone()).collect();
    let more: usize = groups.iter().skip(limit).map(|group| group.count).sum();
    match more {
        0 => in_backticks(&shown),
        _ => format!("{} and {more} more", in_backticks(&shown)),
    }
}

/// `a`, `b`, `c`.
pub(crate) fn in_backticks(names: &[String]) -> String {
    let each: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    each.join(", ")
}

/// The candidate that looks most like `name`, if one does at all.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let allowed = name.chars().count() / 3;
    candidates
        .into_iter()
        .map(|candidate| (strsim::levenshtein(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}

/// Finds the nearest of many names for many others: compares each kind of name once, whatever
/// number of layers there is.
pub(crate) struct Nearest<'a> {
    /// Kinds of candidates, with the first name of each.
    kinds: HashMap<String, &'a str>,
    names: HashSet<&'a str>,
    found: HashMap<String, Option<String>>,
}

impl<'a> Nearest<'a> {
    pub(crate) fn among(candidates: impl Iterator<Item = &'a str>) -> Nearest<'a> {
        let mut kinds = HashMap::new();
        let mut names = HashSet::new();
        for name in candidates {
            names.insert(name);
            kinds.entry(blank_all(name).0).or_insert(name);
        }
        Nearest { kinds, names, found: HashMap::new() }
    }

    pub(crate) fn to(&mut self, name: &str) -> Option<String> {
        let (kind, indices) = blank_all(name);
        let kinds = &self.kinds;
        let found = self.found.entry(kind.clone()).or_insert_with(|| {
            // Sorted: among equals the answer does not depend on the order of a hash map.
            let mut candidates: Vec<&str> = kinds.keys().map(String::as_str).collect();
            candidates.sort_unstable();
            nearest(&kind, candidates)
        });
        let kind = found.as_ref()?;
        let same_indices = fill(kind, &indices);
        match self.names.get(same_indices.as_str()) {
            Some(name) => Some((*name).to_owned()),
            None => self.kinds.get(kind).map(|name| (*name).to_owned()),
        }
    }
}

/// A name without its first index: what stands before and after it.
type Blank<'a> = (&'a str, Option<&'a str>);

fn blank_first(name: &str) -> (Blank<'_>, Option<u64>) {
    let mut start = 0;
    for component in name.split('.') {
        let end = start + component.len();
        if let Some(index) = index_of(component) {
            return ((&name[..start], Some(&name[end..])), Some(index));
        }
        start = end + 1;
    }
    ((name, None), None)
}

/// A name with `{}` for every index, and the indices.
fn blank_all(name: &str) -> (String, Vec<&str>) {
    let mut indices = Vec::new();
    let components: Vec<&str> = name
        .split('.')
        .map(|component| match index_of(component) {
            Some(_) => {
                indices.push(component);
                "{}"
            }
            None => component,
        })
        .collect();
    (components.join("."), indices)
}

fn fill(kind: &str, indices: &[&str]) -> String {
    let mut indices = indices.iter();
    let filled: Vec<&str> = kind
        .split('.')
        .map(|component| match component {
            "{}" => indices.next().copied().unwrap_or("0"),
            _ => component,
        })
        .collect();
    filled.join(".")
}

fn index_of(component: &str) -> Option<u64> {
    let digits = !component.is_empty() && component.bytes().all(|byte| byte.is_ascii_digit());
    if digits { component.parse().ok() } else { None }
}

fn show((before, after): Blank<'_>, mut indices: Vec<u64>) -> Group {
    let count = indices.len().max(1);
    indices.sort_unstable();
    indices.dedup();
    let indices = match indices.as_slice() {
        [] => String::new(),
        [one] => one.to_string(),
        [first, .., last] if last - first + 1 == indices.len() as u64 => {
            format!("{{{first}..{last}}}")
        }
        several => {
            let each: Vec<String> = several.iter().map(u64::to_string).collect();
            format!("{{{}}}", each.join(","))
        }
    };
    Group { shown: format!("{before}{indices}{}", after.unwrap_or_default()), count }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_list(names: &[&str], limit: usize, expected: &str) {
        assert_eq!(listed(names.iter().copied(), limit), expected);
    }

    #[test]
    fn names_are_grouped_by_their_first_index() {
        check_list(&["a.w", "b.w"], 5, "`a.w`, `b.w`");
        check_list(&["blocks.0.w", "blocks.1.w", "head"], 5, "`blocks.{0..1}.w`, `head`");
        check_list(&["blocks.0.w", "blocks.10.w", "blocks.3.w"], 5, "`blocks.{0,3,10}.w`");
        check_list(&["blocks.7.w"], 5, "`blocks.7.w`");
        check_list(&["a.0.b.0.w", "a.1.b.0.w", "a.0.b.1.w"], 5, "`a.{0..1}.b.0.w`, `a.0.b.1.w`");
        check_list(&["norm1.w", "norm2.w"], 5, "`norm1.w`, `norm2.w`");
    }

    #[test]
    fn long_lists_are_cut() {
        check_list(&["a.0", "a.1", "b", "c.0", "c.1", "c.2"], 2, "`a.{0..1}`, `b` and 3 more");
        check_list(&[], 2, "");
    }

    #[test]
    fn the_nearest_name_keeps_the_index() {
        let held = ["blocks.0.norm1.weight", "blocks.5.norm1.weight", "head.weight"];
        let mut nearest = Nearest::among(held.into_iter());
        let mut check = |name: &str, expected: Option<&str>| {
            assert_eq!(nearest.to(name).as_deref(), expected, "{name}");
        };
        check("block.5.norm1.weight", Some("blocks.5.norm1.weight"));
        check("block.9.norm1.weight", Some("blocks.0.norm1.weight"));
        check("heads.weight", Some("head.weight"));
        check("logit_scale", None);
    }
}
