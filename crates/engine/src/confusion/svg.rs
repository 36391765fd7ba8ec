//! The picture of a confusion matrix as SVG, of bounded size for any number of classes.
//!
//! Up to 200 classes are labelled. Of more classes only the cells are drawn, the whole 1000 units
//! wide: above 1000 classes a cell is smaller than a pixel until one zooms in. Cells of zero are the
//! background; if more than 40,000 are not zero, the largest are drawn and a line says so.

use std::io::{self, Write};

use super::Confusion;

/// Most classes with names on the axes.
const MOST_LABELLED: usize = 200;
/// Most cells that are drawn: all those of a labelled matrix.
const MOST_CELLS: usize = MOST_LABELLED * MOST_LABELLED;
/// Most characters of a name on an axis.
const LABEL: usize = 24;
/// Most characters of a name in a tooltip.
const TOOLTIP: usize = 80;
/// Room around the matrix, and for the lines below it.
const MARGIN: f64 = 16.0;
const FOOTER: f64 = 60.0;
/// Colours of the smallest and the largest share, as red, green and blue.
const PALE: [f64; 3] = [226.0, 236.0, 247.0];
const DARK: [f64; 3] = [8.0, 48.0, 107.0];

/// Where things are, in units that are pixels at first sight.
struct Layout {
    cell: f64,
    /// Left and upper edge of the matrix.
    left: f64,
    top: f64,
    /// Side of the matrix.
    side: f64,
    /// Size of the names on the axes; `None` draws none.
    font: Option<f64>,
}

/// Writes the picture.
pub(super) fn draw(
    out: &mut impl Write,
    confusion: &Confusion,
    names: &[String],
) -> io::Result<()> {
    let layout = layout(names);
    let Layout { left, top, side, .. } = layout;
    let (width, height) = (left + side.max(240.0) + MARGIN, top + side + FOOTER);
    writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0}" height="{height:.0}" viewBox="0 0 {width:.0} {height:.0}" font-family="sans-serif">"#
    )?;
    writeln!(out, "<title>Confusion of {} classes</title>", names.len())?;
    writeln!(out, r#"<rect width="100%" height="100%" fill="white"/>"#)?;
    writeln!(
        out,
        r##"<rect x="{left:.1}" y="{top:.1}" width="{side:.1}" height="{side:.1}" fill="none" stroke="#999"/>"##
    )?;
    // Where right answers lie; cells cover it.
    let (right, bottom) = (left + side, top + side);
    writeln!(
        out,
        r##"<line x1="{left:.1}" y1="{top:.1}" x2="{right:.1}" y2="{bottom:.1}" stroke="#ddd"/>"##
    )?;
    if let Some(font) = layout.font {
        labels(out, &layout, font, names)?;
    }
    let left_out = cells(out, &layout, confusion, names)?;
    footer(out, &layout, left_out)?;
    writeln!(out, "</svg>")
}

fn layout(names: &[String]) -> Layout {
    let count = names.len().max(1) as f64;
    if names.len() > MOST_LABELLED {
        return Layout {
            cell: 1000.0 / count,
            left: MARGIN,
            top: MARGIN,
            side: 1000.0,
            font: None,
        };
    }
    let cell = (900.0 / count).clamp(6.0, 28.0);
    let font = (cell * 0.85).min(12.0);
    let longest = names.iter().map(|name| name.chars().count().min(LABEL)).max().unwrap_or(0);
    // A letter is about 0.6 of its size wide.
    let room = MARGIN + 8.0 + 0.6 * font * longest as f64;
    Layout { cell, left: room, top: room, side: cell * count, font: Some(font) }
}

fn labels(out: &mut impl Write, layout: &Layout, font: f64, names: &[String]) -> io::Result<()> {
    let Layout { cell, left, top, .. } = layout;
    writeln!(out, r#"<g font-size="{font:.1}" text-anchor="end" dominant-baseline="middle">"#)?;
    for (at, name) in names.iter().enumerate() {
        let y = top + (at as f64 + 0.5) * cell;
        writeln!(out, r#"<text x="{:.1}" y="{y:.1}">{}</text>"#, left - 5.0, escaped(name, LABEL))?;
    }
    writeln!(out, "</g>")?;
    writeln!(out, r#"<g font-size="{font:.1}" dominant-baseline="middle">"#)?;
    for (at, name) in names.iter().enumerate() {
        let (x, y) = (left + (at as f64 + 0.5) * cell, top - 5.0);
        let name = escaped(name, LABEL);
        writeln!(out, r#"<text transform="translate({x:.1} {y:.1}) rotate(-90)">{name}</text>"#)?;
    }
    writeln!(out, "</g>")
}

/// Draws the cells; returns how many were left out.
fn cells(
    out: &mut impl Write,
    layout: &Layout,
    confusion: &Confusion,
    names: &[String],
) -> io::Result<usize> {
    let Layout { cell, left, top, .. } = layout;
    let mut drawn: Vec<((usize, usize), u64)> = confusion.pairs().collect();
    let left_out = drawn.len().saturating_sub(MOST_CELLS);
    if left_out > 0 {
        drawn.sort_by_key(|(pair, count)| (std::cmp::Reverse(*count), *pair));
        drawn.truncate(MOST_CELLS);
        drawn.sort();
    }
    writeln!(out, r#"<g shape-rendering="crispEdges">"#)?;
    for ((truth, predicted), count) in drawn {
        let (x, y) = (left + predicted as f64 * cell, top + truth as f64 * cell);
        let total = confusion.total(truth);
        let fill = colour(count as f64 / total as f64);
        let name = |class: usize| escaped(&names[class], TOOLTIP);
        let told = match truth == predicted {
            true => format!("{}: right", name(truth)),
            false => format!("{} as {}", name(truth), name(predicted)),
        };
        writeln!(
            out,
            r#"<rect x="{x:.2}" y="{y:.2}" width="{cell:.2}" height="{cell:.2}" fill="{fill}"><title>{told}, {count} of {total}</title></rect>"#
        )?;
    }
    writeln!(out, "</g>")?;
    Ok(left_out)
}

/// What rows, columns and colours are.
fn footer(out: &mut impl Write, layout: &Layout, left_out: usize) -> io::Result<()> {
    let (left, line) = (layout.left, layout.top + layout.side + 20.0);
    let (pale, dark) = (colour(0.0), colour(1.0));
    writeln!(
        out,
        r#"<defs><linearGradient id="shares"><stop offset="0" stop-color="{pale}"/><stop offset="1" stop-color="{dark}"/></linearGradient></defs>"#
    )?;
    writeln!(out, r#"<g font-size="12">"#)?;
    writeln!(out, r#"<text x="{left:.1}" y="{line:.1}">rows: true, columns: predicted</text>"#)?;
    let legend = line + 10.0;
    writeln!(
        out,
        r#"<rect x="{left:.1}" y="{legend:.1}" width="100" height="12" fill="url(#shares)"/>"#
    )?;
    let (text, below) = (left + 106.0, legend + 10.0);
    writeln!(out, r#"<text x="{text:.1}" y="{below:.1}">0 to 100 % of the row</text>"#)?;
    if left_out > 0 {
        let (text, below) = (left + 260.0, below);
        writeln!(
            out,
            r#"<text x="{text:.1}" y="{below:.1}">{left_out} cells of the smallest counts are not drawn</text>"#
        )?;
    }
    writeln!(out, "</g>")
}

/// From pale to dark, as `#rrggbb`.
fn colour(share: f64) -> String {
    let mixed = |channel: usize| {
        (PALE[channel] + (DARK[channel] - PALE[channel]) * share.clamp(0.0, 1.0)).round() as u8
    };
    format!("#{:02x}{:02x}{:02x}", mixed(0), mixed(1), mixed(2))
}

/// At most `most` characters of a text, with nothing in it that XML does not allow.
fn escaped(text: &str, most: usize) -> String {
    let is_long = text.chars().nth(most).is_some();
    let kept = if is_long { most - 1 } else { most };
    let mut out = String::with_capacity(text.len().min(8 * most));
    for letter in text.chars().take(kept) {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\t' | '\n' | '\r' => out.push(' '),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(letter),
        }
    }
    if is_long {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests;
