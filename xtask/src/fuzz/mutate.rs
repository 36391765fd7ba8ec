//! Mutations: of bytes, of numbers, of lines, and of several inputs with each other.

use hearth_data::random::Numbers;

/// Larger inputs test patience, not parsers.
const MOST_BYTES: usize = 1 << 16;
const MOST_STEPS: u64 = 6;
/// Numbers at which sizes and counters break.
const EDGES: [u64; 10] =
    [0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, i64::MAX as u64, u64::MAX];

/// An input made of `seeds` by a few random steps; `words` mean something to the target.
pub(super) fn mutate(seeds: &[Vec<u8>], words: &[&str], numbers: &mut Numbers) -> Vec<u8> {
    let mut input = pick(seeds, numbers).cloned().unwrap_or_default();
    for _ in 0..=numbers.below(MOST_STEPS) {
        step(&mut input, seeds, words, numbers);
        input.truncate(MOST_BYTES);
    }
    input
}

fn step(input: &mut Vec<u8>, seeds: &[Vec<u8>], words: &[&str], numbers: &mut Numbers) {
    match numbers.below(13) {
        0 => replace(input, 1, |old, numbers| vec![old[0] ^ (1 << numbers.below(8))], numbers),
        1 => replace(input, 1, |_, numbers| vec![numbers.bits() as u8], numbers),
        2 => replace(input, 0, |_, numbers| random_bytes(numbers), numbers),
        3 => replace(input, 64, |_, _| Vec::new(), numbers),
        4 => replace(input, 64, |old, _| old.repeat(2), numbers),
        5 => replace(input, 4, |old, numbers| old.repeat(1 << numbers.below(12)), numbers),
        6 => replace(input, 8, edge, numbers),
        7 => input.truncate(place(input, numbers)),
        8 | 9 => {
            let word = pick(words, numbers).copied().unwrap_or("\0").as_bytes().to_vec();
            replace(input, 0, |_, _| word, numbers);
        }
        10 => {
            let word = pick(words, numbers).copied().unwrap_or("\n").as_bytes().to_vec();
            replace(input, 16, |_, _| word, numbers);
        }
        11 => splice(input, pick(seeds, numbers), numbers),
        _ => change_line(input, words, numbers),
    }
}

/// Puts something else in the place of up to `most` bytes somewhere.
fn replace(
    input: &mut Vec<u8>,
    most: usize,
    new: impl FnOnce(&[u8], &mut Numbers) -> Vec<u8>,
    numbers: &mut Numbers,
) {
    let start = place(input, numbers);
    let longest = most.min(input.len() - start);
    if longest == 0 && most > 0 {
        return;
    }
    let length = if longest < 2 { longest } else { 1 + numbers.below(longest as u64) as usize };
    let new = new(&input[start..start + length], numbers);
    input.splice(start..start + length, new);
}

/// A number of the same width at its limits, in one of the two byte orders.
fn edge(old: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let near = numbers.below(3).wrapping_sub(1);
    let value = EDGES[numbers.below(EDGES.len() as u64) as usize].wrapping_add(near);
    let mut bytes = value.to_le_bytes()[..old.len()].to_vec();
    if numbers.chance(0.5) {
        bytes.reverse();
    }
    bytes
}

fn random_bytes(numbers: &mut Numbers) -> Vec<u8> {
    (0..=numbers.below(8)).map(|_| numbers.bits() as u8).collect()
}

/// The head of one input and the tail of another.
fn splice(input: &mut Vec<u8>, other: Option<&Vec<u8>>, numbers: &mut Numbers) {
    let Some(other) = other else { return };
    input.truncate(place(input, numbers));
    input.extend_from_slice(&other[place(other, numbers)..]);
}

/// Doubles, drops, moves or indents a line, or gives it another value.
fn change_line(input: &mut Vec<u8>, words: &[&str], numbers: &mut Numbers) {
    let mut lines: Vec<Vec<u8>> = input.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    let [from, to] = [(); 2].map(|()| numbers.below(lines.len() as u64) as usize);
    match numbers.below(5) {
        0 => lines.insert(to, lines[from].clone()),
        1 => drop(lines.remove(from)),
        2 => lines.swap(from, to),
        3 => drop(lines[from].splice(0..0, b"  ".iter().copied())),
        _ => {
            let line = &mut lines[from];
            let value = line.iter().position(|&byte| byte == b':' || byte == b'=');
            line.truncate(value.map_or(line.len(), |at| at + 1));
            line.push(b' ');
            line.extend(pick(words, numbers).copied().unwrap_or_default().as_bytes());
        }
    }
    *input = lines.join(&b'\n');
}

fn place(input: &[u8], numbers: &mut Numbers) -> usize {
    numbers.below(input.len() as u64 + 1) as usize
}

fn pick<'a, T>(of: &'a [T], numbers: &mut Numbers) -> Option<&'a T> {
    if of.is_empty() { None } else { of.get(numbers.below(of.len() as u64) as usize) }
}
