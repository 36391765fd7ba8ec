//! Just enough of Rust's grammar to measure a file: what is code, what is comment or text, where functions end.

/// The file with comments blanked and the content of literals replaced, every line at its place.
pub(crate) fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let (end, replacement) = match piece(bytes, at) {
            Piece::Code => (at + 1, None),
            Piece::Comment(end) => (end, Some(b' ')),
            Piece::Literal(end) => (end, Some(b'x')),
        };
        for &byte in &bytes[at..end] {
            let kept = if byte.is_ascii() { byte } else { b'x' };
            code.push(char::from(if byte == b'\n' { byte } else { replacement.unwrap_or(kept) }));
        }
        at = end;
    }
    code
}

enum Piece {
    Code,
    Comment(usize),
    Literal(usize),
}

/// What starts at `at`, and where it ends.
fn piece(bytes: &[u8], at: usize) -> Piece {
    let rest = &bytes[at..];
    let is_start = at == 0 || !is_word(bytes[at - 1]);
    if rest.starts_with(b"//") {
        Piece::Comment(find(bytes, at, b"\n"))
    } else if rest.starts_with(b"/*") {
        Piece::Comment(find(bytes, at + 2, b"*/") + 2)
    } else if let Some(hashes) = raw_string(rest).filter(|_| is_start) {
        let close = [&b"\""[..], &b"#".repeat(hashes)].concat();
        let open = at + rest.iter().position(|&byte| byte == b'"').unwrap_or(0) + 1;
        Piece::Literal(find(bytes, open, &close) + close.len())
    } else if rest[0] == b'"' {
        Piece::Literal(closing(bytes, at + 1, b'"'))
    } else if rest[0] == b'\'' && is_char(rest) {
        Piece::Literal(closing(bytes, at + 1, b'\''))
    } else {
        Piece::Code
    }
}

/// The number of `#` when a raw string starts here.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let rest = rest.strip_prefix(b"b").unwrap_or(rest).strip_prefix(b"r")?;
    let hashes = rest.iter().take_while(|&&byte| byte == b'#').count();
    (rest.get(hashes) == Some(&b'"')).then_some(hashes)
}

/// `'a'`, `'\n'` and `'ä'` are characters, `'a` alone is a lifetime.
fn is_char(rest: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&rest[1..rest.len().min(6)]);
    let mut chars = text.chars();
    match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    }
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> usize {
    let found = bytes[from.min(bytes.len())..].windows(what.len()).position(|part| part == what);
    found.map_or(bytes.len() - what.len().min(bytes.len()), |offset| from + offset)
}

/// One behind the closing quote.
fn closing(bytes: &[u8], mut at: usize, quote: u8) -> usize {
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Lines that hold code.
pub(crate) fn count_lines(code: &str) -> usize {
    code.lines().filter(|line| !line.trim().is_empty()).count()
}

/// The file before its unit tests.
pub(crate) fn before_tests(code: &str) -> &str {
    code.find("\n#[cfg(test)]\nmod ").map_or(code, |at| &code[..at])
}

/// A declared name: `fn`, `parse_list`, and where it stands.
pub(crate) struct Item<'a> {
    pub(crate) keyword: &'a str,
    pub(crate) name: &'a str,
    /// Where the name ends in the code.
    pub(crate) end: usize,
}

/// Every declaration in the order of the file.
pub(crate) fn items(code: &str) -> Vec<Item<'_>> {
    const KEYWORDS: [&str; 8] = ["fn", "struct", "enum", "trait", "type", "mod", "const", "static"];
    let mut items = Vec::new();
    let mut keyword = "";
    let mut at = 0;
    for word in code.split_inclusive(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
        let name = word.trim_end_matches(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        if !keyword.is_empty() && !name.is_empty() {
            items.push(Item { keyword, name, end: at + name.len() });
        }
        // A keyword is followed by a space; `fn(u8)` is a type and names nothing.
        let declares = KEYWORDS.contains(&name) && word.ends_with(char::is_whitespace);
        keyword = if declares { name } else { "" };
        at += word.len();
    }
    items
}

/// The text of a function from its name to its closing brace; `None` where it has no body.
pub(crate) fn body(code: &str, from: usize) -> Option<&str> {
    let (mut round, mut curly) = (0, 0);
    for (offset, byte) in code[from..].bytes().enumerate() {
        match byte {
            b'(' | b'[' => round += 1,
            b')' | b']' => round -= 1,
            b'{' => curly += 1,
            b'}' => curly -= 1,
            b';' if curly == 0 && round == 0 => return None,
            _ => {}
        }
        if byte == b'}' && curly == 0 && round == 0 {
            return Some(&code[from..=from + offset]);
        }
    }
    None
}
