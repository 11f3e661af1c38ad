//! A figure as a flat list of marks in CSS pixels, the origin at the top left.
//!
//! Layout ends here: a scene knows no data, and both file formats are drawn from the same list.

use crate::color::Color;
use crate::text::{self, Weight};

/// A place in CSS pixels, x to the right and y downwards.
pub(crate) type Point = [f64; 2];

/// A rectangle in CSS pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rect {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) right: f64,
    pub(crate) bottom: f64,
}

impl Rect {
    /// Returns the rectangle between two corners.
    pub(crate) fn new(left: f64, top: f64, right: f64, bottom: f64) -> Self {
        Self {
            left,
            top,
            right,
            bottom,
        }
    }

    pub(crate) fn width(&self) -> f64 {
        self.right - self.left
    }

    pub(crate) fn height(&self) -> f64 {
        self.bottom - self.top
    }
}

/// Where a text lies relative to its point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Align {
    Start,
    Middle,
    End,
}

/// Whether a text runs to the right or upwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Turn {
    Across,
    Up,
}

/// A line of text; `at` lies on its baseline.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) at: Point,
    pub(crate) words: String,
    pub(crate) size: f64,
    pub(crate) weight: Weight,
    pub(crate) color: Color,
    pub(crate) align: Align,
    pub(crate) turn: Turn,
}

/// One thing to draw.
#[derive(Clone, Debug)]
pub(crate) enum Mark {
    Line {
        points: Vec<Point>,
        width: f64,
        color: Color,
    },
    Area {
        points: Vec<Point>,
        color: Color,
    },
    Block {
        rect: Rect,
        color: Color,
    },
    Disc {
        at: Point,
        radius: f64,
        color: Color,
    },
    Text(Text),
}

/// Everything that is drawn, in the order in which it is drawn.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) title: String,
    pub(crate) subtitle: String,
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) marks: Vec<Mark>,
}

impl Scene {
    /// Returns an empty scene whose title and subtitle are kept for readers who cannot see the picture.
    pub(crate) fn new(title: &str, subtitle: &str, width: f64) -> Self {
        let (title, subtitle) = (text::clean(title), text::clean(subtitle));
        Self {
            title,
            subtitle,
            width,
            height: 0.0,
            marks: Vec::new(),
        }
    }

    /// Adds a line through `points`, cut into `dashes` if there are any.
    pub(crate) fn line(&mut self, points: Vec<Point>, width: f64, color: Color, dashes: &[f64]) {
        if dashes.is_empty() {
            self.marks.push(Mark::Line {
                points,
                width,
                color,
            });
            return;
        }
        for points in cut(&points, dashes) {
            self.marks.push(Mark::Line {
                points,
                width,
                color,
            });
        }
    }

    /// Adds a horizontal or vertical hairline whose pixels are whole, so that it stays crisp.
    pub(crate) fn hairline(&mut self, from: Point, to: Point, color: Color) {
        let crisp = |point: Point| [point[0].floor() + 0.5, point[1].floor() + 0.5];
        self.line(vec![crisp(from), crisp(to)], 1.0, color, &[]);
    }

    pub(crate) fn area(&mut self, points: Vec<Point>, color: Color) {
        self.marks.push(Mark::Area { points, color });
    }

    pub(crate) fn block(&mut self, rect: Rect, color: Color) {
        self.marks.push(Mark::Block { rect, color });
    }

    pub(crate) fn disc(&mut self, at: Point, radius: f64, color: Color) {
        self.marks.push(Mark::Disc { at, radius, color });
    }

    pub(crate) fn text(&mut self, text: Text) {
        if !text.words.is_empty() {
            self.marks.push(Mark::Text(text));
        }
    }

    /// Adds a label of ordinary size and weight.
    pub(crate) fn label(&mut self, at: Point, words: &str, align: Align, color: Color) {
        self.text(Text {
            align,
            ..Text::new(at, words, crate::style::TEXT, color)
        });
    }
}

impl Text {
    /// Returns a line of regular text that starts at `at`.
    pub(crate) fn new(at: Point, words: &str, size: f64, color: Color) -> Self {
        let words = text::clean(words);
        Self {
            at,
            words,
            size,
            weight: Weight::Regular,
            color,
            align: Align::Start,
            turn: Turn::Across,
        }
    }

    /// Returns the text in bold.
    pub(crate) fn bold(self) -> Self {
        Self {
            weight: Weight::Bold,
            ..self
        }
    }
}

/// Returns the baseline that centres capitals of `size` on `y`.
pub(crate) fn baseline(y: f64, size: f64) -> f64 {
    y + 0.36 * size
}

/// Returns the pieces of a line that `dashes` (on, off, on, off, …) leave.
fn cut(points: &[Point], dashes: &[f64]) -> Vec<Vec<Point>> {
    let mut pieces = Vec::new();
    let mut piece: Vec<Point> = points.first().copied().into_iter().collect();
    let (mut index, mut left) = (0, dashes[0]);
    for pair in points.windows(2) {
        let [mut from, to] = [pair[0], pair[1]];
        let mut rest = (to[0] - from[0]).hypot(to[1] - from[1]);
        while rest > left {
            let share = left / rest;
            from = [
                from[0] + share * (to[0] - from[0]),
                from[1] + share * (to[1] - from[1]),
            ];
            rest -= left;
            if index % 2 == 0 {
                piece.push(from);
                pieces.push(std::mem::take(&mut piece));
            } else {
                piece = vec![from];
            }
            index += 1;
            left = dashes[index % dashes.len()];
        }
        left -= rest;
        if index % 2 == 0 {
            piece.push(to);
        }
    }
    if piece.len() > 1 {
        pieces.push(piece);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_cover_half_of_a_line_around_a_corner() {
        let pieces = cut(&[[0.0, 0.0], [10.0, 0.0], [10.0, 10.0]], &[4.0, 4.0]);
        let length: f64 = pieces
            .iter()
            .flat_map(|piece| piece.windows(2))
            .map(|pair| (pair[1][0] - pair[0][0]).hypot(pair[1][1] - pair[0][1]))
            .sum();
        assert!((length - 12.0).abs() < 1e-9, "{length}");
        assert_eq!(pieces[1], vec![[8.0, 0.0], [10.0, 0.0], [10.0, 2.0]]);
    }
}
