//! The embedded font: how wide a text is, how it is shortened and wrapped, and the outlines of its glyphs.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, GlyphId, OutlineCurve};

/// Families for the text of an SVG: all have the widths of the embedded font, as far as a machine has them.
pub(crate) const FAMILIES: &str = "Arimo, 'Liberation Sans', Arial, Helvetica, sans-serif";

/// Characters after which a text may be broken.
pub(crate) const BREAKS: [char; 4] = [' ', '-', '_', '/'];

/// The two cuts of the font.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Weight {
    Regular,
    Bold,
}

static REGULAR: LazyLock<FontRef<'static>> =
    LazyLock::new(|| embedded(include_bytes!("../fonts/Arimo-Regular-subset.ttf")));
static BOLD: LazyLock<FontRef<'static>> =
    LazyLock::new(|| embedded(include_bytes!("../fonts/Arimo-Bold-subset.ttf")));

fn embedded(bytes: &'static [u8]) -> FontRef<'static> {
    FontRef::try_from_slice(bytes).expect("the embedded font is valid")
}

fn font(weight: Weight) -> &'static FontRef<'static> {
    match weight {
        Weight::Regular => &REGULAR,
        Weight::Bold => &BOLD,
    }
}

/// Returns how many pixels one unit of the font is at `size`.
fn unit(font: &FontRef<'static>, size: f64) -> f64 {
    size / f64::from(font.units_per_em().unwrap_or(2048.0))
}

/// Returns the width of a text in pixels.
pub(crate) fn width(words: &str, weight: Weight, size: f64) -> f64 {
    let font = font(weight);
    let units: f64 = words
        .chars()
        .map(|c| f64::from(font.h_advance_unscaled(font.glyph_id(c))))
        .sum();
    units * unit(font, size)
}

/// Calls `draw` with the outline and the left edge of each glyph, both in pixels, y upwards from the baseline.
pub(crate) fn outlines(
    words: &str,
    weight: Weight,
    size: f64,
    mut draw: impl FnMut(&[OutlineCurve], f64, f64),
) {
    let font = font(weight);
    let unit = unit(font, size);
    let mut left = 0.0;
    for glyph in words.chars().map(|c| font.glyph_id(c)) {
        if let Some(outline) = font.outline(glyph) {
            draw(&outline.curves, left, unit);
        }
        left += advance(font, glyph) * unit;
    }
}

fn advance(font: &FontRef<'static>, glyph: GlyphId) -> f64 {
    f64::from(font.h_advance_unscaled(glyph))
}

/// Returns the text on one line and without characters that an SVG may not hold.
pub(crate) fn clean(words: &str) -> String {
    let words: String = words
        .chars()
        .map(|c| {
            if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{2028}' | '\u{2029}') {
                ' '
            } else {
                c
            }
        })
        .collect();
    words.trim().to_owned()
}

/// Returns the text, shortened by an ellipsis if it is wider than `limit`.
pub(crate) fn fit(words: &str, weight: Weight, size: f64, limit: f64) -> String {
    let words = clean(words);
    if width(&words, weight, size) <= limit {
        return words;
    }
    let mut kept: Vec<char> = words.chars().collect();
    while kept.pop().is_some() {
        let shortened = format!("{}…", kept.iter().collect::<String>().trim_end());
        if width(&shortened, weight, size) <= limit {
            return shortened;
        }
    }
    String::from("…")
}

/// Returns the text in at most `rows` rows, each at most `limit` wide; breaks after spaces, `-`, `_` and `/`.
pub(crate) fn wrap(words: &str, weight: Weight, size: f64, limit: f64, rows: usize) -> Vec<String> {
    let words = clean(words);
    let mut done: Vec<String> = Vec::new();
    let mut row = String::new();
    let mut pieces = words.split_inclusive(BREAKS).peekable();
    while let Some(piece) = pieces.next() {
        let longer = format!("{row}{piece}");
        let fits = width(longer.trim_end(), weight, size) <= limit;
        if fits || row.is_empty() {
            row = longer;
        } else if done.len() + 1 == rows {
            row = longer + &pieces.by_ref().collect::<String>();
        } else {
            done.push(std::mem::replace(&mut row, piece.to_owned()));
        }
    }
    done.push(row);
    done.iter()
        .map(|row| fit(row, weight, size, limit))
        .filter(|row| !row.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_ends_in_an_ellipsis_that_fits() {
        let shortened = fit(&"posterior ".repeat(40), Weight::Regular, 18.0, 120.0);
        assert!(shortened.ends_with('…') && shortened.starts_with("posterior"));
        assert!(width(&shortened, Weight::Regular, 18.0) <= 120.0);
    }

    #[test]
    fn wrapping_keeps_every_word_while_there_are_rows() {
        let rows = wrap("halfcheetah-medium-expert", Weight::Bold, 18.0, 110.0, 3);
        assert_eq!(rows, ["halfcheetah-", "medium-", "expert"]);
        let rows = wrap("halfcheetah-medium-expert", Weight::Bold, 18.0, 110.0, 2);
        assert_eq!(rows.len(), 2);
        assert!(rows[1].ends_with('…'), "{rows:?}");
    }

    #[test]
    fn both_cuts_hold_greek_and_the_signs_of_ticks() {
        for weight in [Weight::Regular, Weight::Bold] {
            for sign in "−×·–…⁰¹²³⁴⁵⁶⁷⁸⁹⁻αβσμπθΔΣ≤≥≈±→∞√∂°%éß".chars()
            {
                assert_ne!(font(weight).glyph_id(sign).0, 0, "{sign} in {weight:?}");
            }
        }
    }

    #[test]
    fn control_characters_become_spaces() {
        assert_eq!(clean("a\nb\u{1}c\u{ffff}"), "a b c");
    }
}
