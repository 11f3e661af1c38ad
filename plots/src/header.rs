//! Title, subtitle and the note on what was left out.

use crate::scene::{Scene, Text};
use crate::style::{GREY, INK, MARGIN, ROW, TEXT, TITLE};
use crate::text::{self, Weight};
use crate::ticks;

/// Draws the header and returns how far down it reaches. `note` is added to the subtitle.
pub(crate) fn draw(scene: &mut Scene, note: &str) -> f64 {
    let limit = scene.width - 2.0 * MARGIN;
    let mut y = MARGIN - 6.0;
    for row in text::wrap(&scene.title, Weight::Bold, TITLE, limit, 3) {
        scene.text(Text::new([MARGIN, y + TITLE], &row, TITLE, INK).bold());
        y += TITLE + 7.0;
    }
    let subtitle = [scene.subtitle.as_str(), note].join(" · ");
    let subtitle = subtitle.trim_start_matches(" · ").trim_end_matches(" · ");
    for row in text::wrap(subtitle, Weight::Regular, TEXT, limit, 3) {
        scene.text(Text::new([MARGIN, y + TEXT], &row, TEXT, GREY));
        y += ROW;
    }
    y + 12.0
}

/// Returns the note on `count` things that have no place in the figure, or nothing.
pub(crate) fn left_out(count: usize, one: &str, many: &str) -> String {
    match count {
        0 => String::new(),
        1 => format!("1 {one} left out"),
        _ => format!("{} {many} left out", ticks::grouped(count as f64, 0)),
    }
}
