//! Draws a scene on any plotters backend, in units of a tenth of a CSS pixel.
//!
//! Backends take whole numbers; ten units a pixel keep lines smooth without a second code path.

use plotters_backend::text_anchor::{HPos, Pos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
    FontFamily, FontStyle, FontTransform,
};

use crate::color::Color;
use crate::scene::{Align, Mark, Point, Scene, Text, Turn};
use crate::text::Weight;

/// Backend units in a CSS pixel.
pub(crate) const UNITS: f64 = 10.0;
/// plotters' SVG backend divides the size of a font by this; the size of an em is what counts here.
pub(crate) const SIZE_PER_EM: f64 = 1.24;
/// How far below its anchor plotters' SVG backend puts the baseline of a text anchored at the top, in ems.
pub(crate) const DROP: f64 = 0.76;

/// Colour and width of a mark.
struct Pen {
    color: Color,
    width: f64,
}

impl BackendStyle for Pen {
    fn color(&self) -> BackendColor {
        BackendColor {
            alpha: self.color.alpha,
            rgb: self.color.rgb,
        }
    }

    fn stroke_width(&self) -> u32 {
        ((self.width * UNITS).round() as u32).max(1)
    }
}

/// How a text is set. Backends here know the font themselves, so no glyph is drawn through it.
struct Lettering<'a>(&'a Text);

impl BackendTextStyle for Lettering<'_> {
    type FontError = std::fmt::Error;

    fn color(&self) -> BackendColor {
        BackendColor {
            alpha: self.0.color.alpha,
            rgb: self.0.color.rgb,
        }
    }

    fn size(&self) -> f64 {
        self.0.size * UNITS * SIZE_PER_EM
    }

    fn transform(&self) -> FontTransform {
        match self.0.turn {
            Turn::Across => FontTransform::None,
            Turn::Up => FontTransform::Rotate270,
        }
    }

    fn style(&self) -> FontStyle {
        match self.0.weight {
            Weight::Regular => FontStyle::Normal,
            Weight::Bold => FontStyle::Bold,
        }
    }

    fn anchor(&self) -> Pos {
        let horizontal = match self.0.align {
            Align::Start => HPos::Left,
            Align::Middle => HPos::Center,
            Align::End => HPos::Right,
        };
        Pos::new(horizontal, VPos::Top)
    }

    fn family(&self) -> FontFamily<'_> {
        FontFamily::Name("inherit")
    }

    fn layout_box(&self, _text: &str) -> Result<(BackendCoord, BackendCoord), Self::FontError> {
        Err(std::fmt::Error)
    }

    fn draw<E, DrawFunc: FnMut(i32, i32, BackendColor) -> Result<(), E>>(
        &self,
        _text: &str,
        _at: BackendCoord,
        _draw: DrawFunc,
    ) -> Result<Result<(), E>, Self::FontError> {
        Err(std::fmt::Error)
    }
}

fn units(point: Point) -> BackendCoord {
    (
        (point[0] * UNITS).round() as i32,
        (point[1] * UNITS).round() as i32,
    )
}

/// Returns where a backend has to anchor a text so that its baseline starts where it should.
fn anchor(text: &Text) -> BackendCoord {
    let drop = DROP * text.size;
    match text.turn {
        Turn::Across => units([text.at[0], text.at[1] - drop]),
        Turn::Up => units([text.at[0] - drop, text.at[1]]),
    }
}

/// Draws every mark of the scene.
pub(crate) fn paint<B: DrawingBackend>(
    scene: &Scene,
    backend: &mut B,
) -> Result<(), DrawingErrorKind<B::ErrorType>> {
    backend.ensure_prepared()?;
    for mark in &scene.marks {
        match mark {
            Mark::Line {
                points,
                width,
                color,
            } => {
                let pen = Pen {
                    color: *color,
                    width: *width,
                };
                backend.draw_path(points.iter().copied().map(units), &pen)?;
            }
            Mark::Area { points, color } => {
                let pen = Pen {
                    color: *color,
                    width: 0.0,
                };
                backend.fill_polygon(points.iter().copied().map(units), &pen)?;
            }
            Mark::Block { rect, color } => {
                let pen = Pen {
                    color: *color,
                    width: 0.0,
                };
                backend.draw_rect(
                    units([rect.left, rect.top]),
                    units([rect.right, rect.bottom]),
                    &pen,
                    true,
                )?;
            }
            Mark::Disc { at, radius, color } => {
                let pen = Pen {
                    color: *color,
                    width: 0.0,
                };
                backend.draw_circle(units(*at), (radius * UNITS).round() as u32, &pen, true)?;
            }
            Mark::Text(text) => backend.draw_text(&text.words, &Lettering(text), anchor(text))?,
        }
    }
    backend.present()
}
