//! The numbers of both sides beside each other, and the table they become.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{contests::Group, line::Line};

/// What was measured of a group, by case.
#[derive(Debug, Default)]
pub(super) struct Sides {
    pub(super) hearth: BTreeMap<String, Vec<Line>>,
    pub(super) peer: BTreeMap<String, Vec<Line>>,
}

/// The least, the middle and the memory of a case over all rounds.
struct Summary {
    least: f64,
    median: f64,
    peak: Option<f64>,
}

impl Summary {
    fn of(lines: Option<&Vec<Line>>) -> Option<Summary> {
        let lines = lines?;
        let least = lines.iter().map(|line| line.min_ms).min_by(f64::total_cmp)?;
        let peaks: Vec<f64> = lines.iter().filter_map(|line| line.peak_bytes).collect();
        let median = median(lines.iter().map(|line| line.median_ms).collect())?;
        Some(Summary { least, median, peak: self::median(peaks) })
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        count if count.is_multiple_of(2) => Some((values[middle - 1] + values[middle]) / 2.0),
        _ => Some(values[middle]),
    }
}

/// The whole page: the groups that were measured, and the others as they stand in the page `before`.
pub(super) fn render(sections: &[(Group, Sides)], facts: &[String], before: &str) -> String {
    let mut page = String::from(
        "# Benchmark results\n\nWritten by `cargo xtask bench`; not edited by hand. A quotient is Hearth's time over \
         PyTorch's: below 1 Hearth is faster. That of the minima compares the fastest call of all rounds, that of the \
         medians the middle of the rounds' medians.\n\n",
    );
    for group in Group::chosen(&[]) {
        match sections.iter().find(|(measured, _)| *measured == group) {
            Some((_, sides)) => page.push_str(&section(group, sides, facts)),
            None => page.extend(kept(before, group)),
        }
    }
    page.truncate(page.trim_end().len());
    page + "\n"
}

fn section(group: Group, sides: &Sides, facts: &[String]) -> String {
    let mut text = format!("{}{}\n\n", heading(group), group.meaning());
    for fact in facts {
        let _ = writeln!(text, "* {fact}");
    }
    text.push_str(
        "\n| case | Hearth, ms | PyTorch, ms | minima | medians | Hearth, MiB | PyTorch, MiB | memory |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    let mut cases: Vec<&String> = sides.hearth.keys().chain(sides.peer.keys()).collect();
    cases.sort();
    cases.dedup();
    for case in cases {
        let (ours, theirs) =
            (Summary::of(sides.hearth.get(case)), Summary::of(sides.peer.get(case)));
        text.push_str(&row(case, ours.as_ref(), theirs.as_ref()));
    }
    text + "\n"
}

fn heading(group: Group) -> String {
    format!("## {}\n\n", group.name())
}

/// The section of a group in an older page.
fn kept(before: &str, group: Group) -> Option<&str> {
    let start = before.find(&heading(group))?;
    let rest = &before[start..];
    Some(rest[1..].find("\n## ").map_or(rest, |end| &rest[..end + 2]))
}

fn row(case: &str, ours: Option<&Summary>, theirs: Option<&Summary>) -> String {
    let cell = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
    };
    let quotient = |read: fn(&Summary) -> Option<f64>| {
        let (ours, theirs) = (read(ours?)?, read(theirs?)?);
        (theirs > 0.0).then(|| ours / theirs)
    };
    let time = |side: Option<&Summary>| cell(side.map(|side| side.least), 3);
    let memory = |side: Option<&Summary>| cell(side.and_then(|side| side.peak).map(mib), 0);
    let cells = [
        format!("`{case}`"),
        time(ours),
        time(theirs),
        cell(quotient(|side| Some(side.least)), 2),
        cell(quotient(|side| Some(side.median)), 2),
        memory(ours),
        memory(theirs),
        cell(quotient(|side| side.peak), 2),
    ];
    format!("| {} |\n", cells.join(" | "))
}

fn mib(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(median_ms: f64, min_ms: f64) -> Line {
        let peak_bytes = Some(f64::from(3 << 20));
        Line { case: "step".to_owned(), median_ms, min_ms, peak_bytes, first_loss: None }
    }

    fn sides(ours: Vec<Line>, theirs: Vec<Line>) -> Sides {
        let of = |lines: Vec<Line>| match lines.is_empty() {
            true => BTreeMap::new(),
            false => BTreeMap::from([("step".to_owned(), lines)]),
        };
        Sides { hearth: of(ours), peer: of(theirs) }
    }

    #[test]
    fn quotients_are_of_minima_and_of_medians() {
        let ours = vec![line(4.0, 3.0), line(6.0, 2.0)];
        let found = sides(ours, vec![line(10.0, 8.0)]);
        let page = render(&[(Group::Clip, found)], &["Date: today".to_owned()], "");
        assert!(page.contains("| `step` | 2.000 | 8.000 | 0.25 | 0.50 | 3 | 3 | 1.00 |"), "{page}");
        assert!(page.contains("* Date: today\n"), "{page}");
        let alone = render(&[(Group::Clip, sides(vec![line(4.0, 3.0)], vec![]))], &[], "");
        assert!(alone.contains("| `step` | 3.000 | - | - | - | 3 | - | - |"), "{alone}");
    }

    #[test]
    fn what_is_not_measured_again_stays() {
        let of = |group, time| (group, sides(vec![line(time, time)], vec![]));
        let both = [of(Group::Loader, 4.0), of(Group::Clip, 5.0)];
        let before = render(&both, &["Date: then".to_owned()], "");
        let now = render(&[of(Group::Clip, 6.0)], &["Date: now".to_owned()], &before);
        assert!(
            now.contains("* Date: then\n\n| case") && now.contains("| `step` | 4.000"),
            "{now}"
        );
        assert!(now.contains("| `step` | 6.000") && !now.contains("| `step` | 5.000"), "{now}");
        assert_eq!(render(&[], &[], &now), now);
    }
}
