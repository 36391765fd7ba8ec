//! Names with braces, as shells expand them: `a-{0000..0009}.tar`, `{train,extra}-{0..2}.tar`.

/// Longest line: paths are not longer.
const LONGEST_LINE: usize = 4096;

/// Most names that the lines of a list may stand for.
const MOST: usize = 1_000_000;

/// Memory that may be taken on the way to the names of a list.
const MOST_BYTES: usize = 512 << 20;

/// Deepest nesting of braces.
const DEEPEST: usize = 16;

/// What the lines of a list may still take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    names: usize,
    bytes: usize,
}

impl Default for Room {
    fn default() -> Room {
        Room { names: MOST, bytes: MOST_BYTES }
    }
}

impl Room {
    /// Refuses more names than there is room for.
    fn check(&self, names: usize) -> Result<(), String> {
        match names <= self.names {
            true => Ok(()),
            false => Err(format!("stands{} for more than {MOST} names", self.before())),
        }
    }

    /// Takes room for so many names, of so many bytes together, before they are made.
    fn take(&mut self, names: usize, bytes: usize) -> Result<(), String> {
        self.check(names)?;
        let bytes = names.saturating_mul(size_of::<String>()).saturating_add(bytes);
        match self.bytes.checked_sub(bytes) {
            Some(left) => {
                self.bytes = left;
                Ok(())
            }
            None => {
                let before = self.before();
                Err(format!("stands{before} for names of more than {MOST_BYTES} bytes"))
            }
        }
    }

    fn before(&self) -> &'static str {
        if self.names < MOST { ", with the lines before it," } else { "" }
    }
}

/// All names that a line stands for, in order. Braces that are no list and no range stay.
pub(crate) fn expand(text: &str, room: &mut Room) -> Result<Vec<String>, String> {
    if text.len() > LONGEST_LINE {
        return Err(format!("has {} bytes, at most {LONGEST_LINE} are read", text.len()));
    }
    let (mut depth, mut deepest) = (0usize, 0);
    for letter in text.bytes() {
        match letter {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    if deepest > DEEPEST {
        return Err(format!("has braces nested {deepest} deep, needed at most {DEEPEST}"));
    }
    let names = expand_nested(text, room)?;
    room.check(names.len())?;
    room.names -= names.len();
    Ok(names)
}

fn expand_nested(text: &str, room: &mut Room) -> Result<Vec<String>, String> {
    let mut names = vec![String::new()];
    let mut rest = text;
    while let Some((before, inside, after)) = first_group(rest) {
        let parts = match range(inside, room)? {
            Some(range) => range,
            None => match choices(inside) {
                Some(choices) => {
                    let mut all = Vec::new();
                    for choice in choices {
                        all.extend(expand_nested(choice, room)?);
                        room.check(all.len())?;
                    }
                    all
                }
                None => {
                    let parts = expand_nested(inside, room)?;
                    room.take(parts.len(), bytes(&parts) + 2 * parts.len())?;
                    parts.iter().map(|inside| format!("{{{inside}}}")).collect()
                }
            },
        };
        let each = bytes(&names).saturating_add(names.len() * before.len());
        let joined = each.saturating_mul(parts.len());
        let joined = joined.saturating_add(bytes(&parts).saturating_mul(names.len()));
        room.take(names.len().saturating_mul(parts.len()), joined)?;
        let join = |name: &String| {
            parts.iter().map(move |part| format!("{name}{before}{part}")).collect::<Vec<_>>()
        };
        names = names.iter().flat_map(join).collect();
        rest = after;
    }
    room.take(names.len(), bytes(&names).saturating_add(names.len() * rest.len()))?;
    names.iter_mut().for_each(|name| name.push_str(rest));
    Ok(names)
}

fn bytes(names: &[String]) -> usize {
    names.iter().map(String::len).sum()
}

/// The first brace that is closed: what is before it, in it and behind it.
fn first_group(text: &str) -> Option<(&str, &str, &str)> {
    let mut opened = Vec::new();
    let mut found: Option<(usize, usize)> = None;
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => opened.push(at),
            '}' => {
                let Some(start) = opened.pop() else { continue };
                // An inner group is found before the one around it; a later one does not count.
                if found.is_none_or(|(first, _)| start < first) {
                    found = Some((start, at));
                }
                if opened.is_empty() {
                    break;
                }
            }
            _ => {}
        }
    }
    let (start, end) = found?;
    Some((&text[..start], &text[start + 1..end], &text[end + 1..]))
}

/// The parts between the commas that stand in no inner brace; `None` without a comma.
fn choices(inside: &str) -> Option<Vec<&str>> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0usize, 0);
    for (at, letter) in inside.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&inside[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inside[start..]);
    (parts.len() > 1).then_some(parts)
}

/// `0000..0009`, `9..0`, `0..10..2`, `a..e`; `None` for anything else.
fn range(inside: &str, room: &mut Room) -> Result<Option<Vec<String>>, String> {
    let parts: Vec<&str> = inside.split("..").collect();
    let (first, last, step) = match parts[..] {
        [first, last] => (first, last, 1),
        [first, last, step] => match step.parse::<i64>() {
            Ok(step) => (first, last, step.unsigned_abs().max(1)),
            Err(_) => return Ok(None),
        },
        _ => return Ok(None),
    };
    let (from, to, width) = match (first.parse::<i64>(), last.parse::<i64>()) {
        (Ok(from), Ok(to)) => (from, to, Some(width(first, last))),
        _ => match (single(first), single(last)) {
            (Some(from), Some(to)) => (from.into(), to.into(), None),
            _ => return Ok(None),
        },
    };
    let count = (from.abs_diff(to) / step).saturating_add(1);
    let count_as_size = usize::try_from(count).unwrap_or(usize::MAX);
    // Digits of any number of 64 bits, or as many as were asked for.
    room.take(count_as_size, count_as_size.saturating_mul(width.unwrap_or(1).max(20)))?;
    let value = |i: u64| {
        let offset = (i * step) as i64;
        if from <= to { from.wrapping_add(offset) } else { from.wrapping_sub(offset) }
    };
    let shown = |value: i64| match width {
        Some(width) => format!("{value:0width$}"),
        None => char::from(value as u8).to_string(),
    };
    Ok(Some((0..count).map(|i| shown(value(i))).collect()))
}

/// Digits of both ends where one is written with leading zeros.
fn width(first: &str, last: &str) -> usize {
    let is_padded = |text: &str| {
        let digits = text.trim_start_matches(['-', '+']);
        digits.len() > 1 && digits.starts_with('0')
    };
    if is_padded(first) || is_padded(last) { first.len().max(last.len()) } else { 0 }
}

fn single(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [letter] if letter.is_ascii_alphabetic() => Some(*letter),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_expand_as_in_a_shell() {
        for (text, expected) in [
            ("a.tar", "a.tar"),
            ("a-{0000..0003}.tar", "a-0000.tar a-0001.tar a-0002.tar a-0003.tar"),
            ("{a,b}-{0..1}.tar", "a-0.tar a-1.tar b-0.tar b-1.tar"),
            ("{8..11}", "8 9 10 11"),
            ("{008..11}", "008 009 010 011"),
            ("{3..1}", "3 2 1"),
            ("{0..10..5}", "0 5 10"),
            ("{-1..1}", "-1 0 1"),
            ("{a..c}{x,}", "ax a bx b cx c"),
            ("{a,b{1..2},{c,d}e}", "a b1 b2 ce de"),
            ("{a}", "{a}"),
            ("{}", "{}"),
            ("x{a{1,2}}", "x{a1} x{a2}"),
            ("{a,b", "{a,b"),
            ("a}{b,c}", "a}b a}c"),
            ("{{a,b}", "{a {b"),
            ("{1..}", "{1..}"),
            ("{1..2..x}", "{1..2..x}"),
            ("{5..6..0}", "5 6"),
            (
                "{-9223372036854775808..9223372036854775807..9223372036854775807}",
                "-9223372036854775808 -1 9223372036854775806",
            ),
            ("ä-{1,2}-ö", "ä-1-ö ä-2-ö"),
        ] {
            let names = expand(text, &mut Room::default()).unwrap();
            assert_eq!(names.join(" "), expected, "{text}");
        }
    }

    #[test]
    fn absurd_ranges_are_refused() {
        for text in [
            "{0..9999999}",
            "{1..1000}{1..1000}{1..1000}",
            "{-9223372036854775808..9223372036854775807}",
            &"{a,".repeat(40),
            &format!("{{0..999999}}{}", "x".repeat(4000)),
            &format!("{{0..99999}}{{{}0..1}}", "0".repeat(4000)),
            &format!("{{0{}..999999}}", "0".repeat(4000)),
            &"{0..9}".repeat(100),
        ] {
            let problem = expand(text, &mut Room::default()).unwrap_err();
            assert!(problem.contains("more than") || problem.contains("nested"), "{problem}");
        }
    }
}
