//! A spec's definition as a page of documentation: one table per block.

use std::fmt::Write as _;

use crate::{
    block::Block,
    emit,
    key::{Key, Kind, State},
};

/// What holds for every page.
const READING: &str = "\
`???` is a value that you have to give once an action uses the key. Where null is possible, an empty text means the same.

Values are read as OmegaConf reads them: numbers may stand in quotes, `yes`, `on`, `no` and `off` are booleans,
`${a.b}` is the value of another key, `${.b}` of a key beside it, `${oc.env:NAME,default}` of an environment variable.
On the command line `a.b=value` sets a key, `a.b=[1, 2]` a list, `~a.b` goes back to the default.
";

/// The page of a network. `title` is its heading.
pub fn markdown<B: Block>(title: &str) -> String {
    let mut out = format!("# {title}\n\n{}\n\n{READING}", B::about());
    table(&mut out, B::keys());
    blocks(&mut out, B::keys(), "");
    out
}

/// Every deliberate difference from TAO with its dotted key, in the order of the definition.
pub fn differences<B: Block>() -> Vec<(String, &'static str)> {
    fn walk(keys: &[Key], parent: &str, out: &mut Vec<(String, &'static str)>) {
        for key in keys {
            let path = format!("{parent}{}", key.name);
            out.extend(key.difference.map(|difference| (path.clone(), difference)));
            let list = if matches!(key.kind.inner(), Kind::List(_)) { "[]" } else { "" };
            walk(key.kind.keys().unwrap_or_default(), &format!("{path}{list}."), out);
        }
    }
    let mut out = Vec::new();
    walk(B::keys(), "", &mut out);
    out
}

fn blocks(out: &mut String, keys: &[Key], parent: &str) {
    for key in keys {
        let Some(inner) = key.kind.keys() else { continue };
        let list = if matches!(key.kind.inner(), Kind::List(_)) { "[]" } else { "" };
        let path = match parent {
            "" => format!("{}{list}", key.name),
            parent => format!("{parent}.{}{list}", key.name),
        };
        let _ = write!(out, "\n## `{path}`\n\n{}\n", key.meaning());
        if let Some(state) = state(key) {
            let _ = write!(out, "\n{state}\n");
        }
        table(out, inner);
        blocks(out, inner, &path);
    }
}

fn table(out: &mut String, keys: &[Key]) {
    out.push_str("\n| key | type | default | meaning |\n|---|---|---|---|\n");
    for key in keys {
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} |",
            key.name,
            cell(&type_of(key)),
            cell(&default_of(key)),
            cell(&meaning_of(key)),
        );
    }
}

fn type_of(key: &Key) -> String {
    let base = match key.kind.inner() {
        Kind::Int => format!("int{}", range(key, ",")),
        Kind::Float => format!("float{}", range(key, ",")),
        Kind::Bool => "bool".into(),
        Kind::Text => "text".into(),
        Kind::Options(choices) => {
            let names: Vec<String> = choices.iter().map(|c| format!("`{}`", c.name)).collect();
            names.join(", ")
        }
        Kind::List(item) => {
            let item = match item.inner() {
                Kind::Int => "int",
                Kind::Float => "float",
                Kind::Block(_) => "blocks",
                _ => "text",
            };
            let lengths: Vec<String> = key.lengths.iter().map(usize::to_string).collect();
            let lengths = if lengths.is_empty() {
                String::new()
            } else {
                format!(" ({} items)", lengths.join(" or "))
            };
            format!("list of {item}{lengths}{}", range(key, ", each"))
        }
        Kind::Block(_) | Kind::Optional(_) => "block".into(),
    };
    if matches!(key.kind, Kind::Optional(_)) { format!("{base}, or null") } else { base }
}

fn range(key: &Key, before: &str) -> String {
    match key.range.words("") {
        words if words.is_empty() => words,
        words => format!("{before}{words}"),
    }
}

fn default_of(key: &Key) -> String {
    if matches!(key.kind, Kind::Block(_)) {
        return String::new();
    }
    let mut shown = String::from("`");
    emit::scalar(&mut shown, &key.default);
    shown.push('`');
    if let Some(template) = &key.template {
        shown.push_str(" (TAO's template: `");
        emit::scalar(&mut shown, template);
        shown.push_str("`)");
    }
    shown
}

fn meaning_of(key: &Key) -> String {
    let mut text = key.meaning();
    if let Kind::Options(choices) = key.kind.inner() {
        for choice in *choices {
            let _ = write!(text, "\n\n`{}`", choice.name);
            if !choice.aliases.is_empty() {
                let aliases: Vec<String> =
                    choice.aliases.iter().map(|alias| format!("`{alias}`")).collect();
                let _ = write!(text, " (also {})", aliases.join(", "));
            }
            let _ = write!(text, ": {}", choice.meaning());
        }
    }
    if let Some(state) = state(key) {
        let _ = write!(text, "\n\n{state}");
    }
    if let Some(difference) = key.difference {
        let _ = write!(text, "\n\n**Differs from TAO**: {difference}.");
    }
    text
}

fn state(key: &Key) -> Option<String> {
    match &key.state {
        State::Live => None,
        State::Inert(why) => Some(format!("**No effect**: {why}.")),
        State::Notice { text, .. } => Some(format!("**Accepted with a notice**: {text}.")),
        State::Refused { why, hint } => {
            Some(format!("**Only the default in this release**: {why}; {hint}."))
        }
    }
}

/// Text inside a table's cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace("\n\n", "<br>").replace('\n', " ")
}
