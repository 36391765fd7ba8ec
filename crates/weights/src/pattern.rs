//! Patterns over the names of tensors.
//!
//! `{}` stands for one or more characters without a dot: a whole component (`blocks.{}.norm1`) or
//! a part of one (`in_proj_{}`), at most once per component. `{..}` at the end stands for the
//! whole rest, one component or more.

/// A parsed pattern.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    components: Vec<Component>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Component {
    Text(String),
    /// What stands before and after the `{}`.
    One(String, String),
    Rest,
}

const ONE: &str = "{}";
const REST: &str = "{..}";

impl Pattern {
    /// Parses a pattern of a table. Panics where `{..}` does not stand at the end or a component
    /// has two wildcards: tables are constants, and a test of the family walks all of them.
    pub(crate) fn new(text: &str) -> Pattern {
        let (stem, rest) = match text.strip_suffix(REST) {
            Some("") => return Pattern { components: vec![Component::Rest] },
            Some(stem) => (stem.strip_suffix('.'), Some(Component::Rest)),
            None => (Some(text), None),
        };
        let stem = stem.filter(|stem| !stem.contains(REST));
        let stem = stem.unwrap_or_else(|| panic!("`{text}`: `{{..}}` must be the last component"));
        let component = |component: &str| match component.split_once(ONE) {
            Some((before, after)) => {
                assert!(!after.contains(ONE), "`{text}`: two wildcards in one component");
                Component::One(before.to_owned(), after.to_owned())
            }
            None => Component::Text(component.to_owned()),
        };
        Pattern { components: stem.split('.').map(component).chain(rest).collect() }
    }

    /// What the wildcards stand for in `name`, or nothing if it does not match.
    pub(crate) fn captures<'a>(&self, name: &'a str) -> Option<Vec<&'a str>> {
        let mut captured = Vec::new();
        let mut rest = Some(name);
        for component in &self.components {
            let left = rest?;
            if *component == Component::Rest {
                return (!left.is_empty()).then(|| {
                    captured.push(left);
                    captured
                });
            }
            let (head, tail) = match left.split_once('.') {
                Some((head, tail)) => (head, Some(tail)),
                None => (left, None),
            };
            match component {
                Component::One(before, after) => {
                    let inner = head.strip_prefix(before.as_str())?.strip_suffix(after.as_str())?;
                    if inner.is_empty() {
                        return None;
                    }
                    captured.push(inner);
                }
                Component::Text(text) if text != head => return None,
                _ => {}
            }
            rest = tail;
        }
        rest.is_none().then_some(captured)
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        self.captures(name).is_some()
    }

    /// How many wildcards it has.
    pub(crate) fn wildcards(&self) -> usize {
        self.components.iter().filter(|component| !matches!(component, Component::Text(_))).count()
    }

    /// The name that has `captured` in place of the wildcards.
    pub(crate) fn fill(&self, captured: &[&str]) -> String {
        let mut captured = captured.iter().copied();
        let mut next = || captured.next().unwrap_or_default();
        let filled: Vec<String> = self
            .components
            .iter()
            .map(|component| match component {
                Component::Text(text) => text.clone(),
                Component::One(before, after) => format!("{before}{}{after}", next()),
                Component::Rest => next().to_owned(),
            })
            .collect();
        filled.join(".")
    }
}

/// Whether any of `patterns` matches `name`.
pub(crate) fn any_matches(patterns: &[Pattern], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name))
}

/// Parses each.
pub(crate) fn parse_all<S: AsRef<str>>(patterns: &[S]) -> Vec<Pattern> {
    patterns.iter().map(|pattern| Pattern::new(pattern.as_ref())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, name: &str, expected: Option<&[&str]>) {
        let pattern = Pattern::new(pattern);
        let captured = pattern.captures(name);
        assert_eq!(captured.as_deref(), expected, "{name}");
        if let Some(captured) = captured {
            assert_eq!(pattern.fill(&captured), name);
        }
    }

    #[test]
    fn a_wildcard_stands_for_one_component() {
        check("a.b", "a.b", Some(&[]));
        check("a.b", "a.b.c", None);
        check("a.b", "a", None);
        check("blocks.{}.norm{}.{}", "blocks.11.norm2.bias", Some(&["11", "2", "bias"]));
        check("blocks.{}.w", "blocks.0.1.w", None);
        check("blocks.{}.w", "blocks..w", None);
        check("{}", "logit_scale", Some(&["logit_scale"]));
        check("{}", "a.b", None);
    }

    #[test]
    fn a_wildcard_stands_for_part_of_a_component() {
        check("attn.in_proj_{}", "attn.in_proj_weight", Some(&["weight"]));
        check("attn.in_proj_{}", "attn.in_proj_", None);
        check("attn.in_proj_{}", "attn.out_proj", None);
        check("a{}a", "aa", None);
        check("a{}a", "aba", Some(&["b"]));
    }

    #[test]
    fn the_rest_is_one_component_or_more() {
        check("text.{..}", "text.a", Some(&["a"]));
        check("text.{..}", "text.a.0.b", Some(&["a.0.b"]));
        check("text.{..}", "text", None);
        check("text.{..}", "text.", None);
        check("{..}", "text.a", Some(&["text.a"]));
        check("{}.b.{..}", "a.b.c.d", Some(&["a", "c.d"]));
    }
}
