//! A scene as PNG: an anti-aliased plotters backend over tiny-skia, two pixels for each CSS pixel.
//!
//! plotters' own bitmap backend draws thick lines without anti-aliasing and puts glyphs on whole pixels.

use std::convert::Infallible;

use ab_glyph::OutlineCurve;
use plotters_backend::text_anchor::HPos;
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
    FontStyle, FontTransform,
};
use tiny_skia::{FillRule, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, Transform};

use crate::PlotError;
use crate::paint::{self, DROP, SIZE_PER_EM, UNITS};
use crate::scene::Scene;
use crate::text::{self, Weight};

/// PNG pixels in a CSS pixel.
const DENSITY: f64 = 2.0;

/// Returns the PNG file.
pub(crate) fn png(scene: &Scene) -> Result<Vec<u8>, PlotError> {
    let failed = |reason: String| PlotError::Draw {
        figure: scene.title.clone(),
        reason,
    };
    let (width, height) = (
        (scene.width * DENSITY) as u32,
        (scene.height * DENSITY) as u32,
    );
    let pixmap = Pixmap::new(width, height)
        .ok_or_else(|| failed(format!("no picture of {width} × {height}")))?;
    let mut raster = Raster { pixmap };
    paint::paint(scene, &mut raster).map_err(|error| failed(error.to_string()))?;
    raster
        .pixmap
        .encode_png()
        .map_err(|error| failed(error.to_string()))
}

/// The picture that is being drawn. Coordinates are in [`UNITS`].
struct Raster {
    pixmap: Pixmap,
}

fn ink(color: BackendColor) -> Paint<'static> {
    let (red, green, blue) = color.rgb;
    let mut paint = Paint {
        anti_alias: true,
        ..Paint::default()
    };
    paint.set_color_rgba8(red, green, blue, (color.alpha * 255.0).round() as u8);
    paint
}

fn transform() -> Transform {
    let scale = (DENSITY / UNITS) as f32;
    Transform::from_scale(scale, scale)
}

/// Returns the path through the points, if it has any extent.
fn polyline(points: impl IntoIterator<Item = BackendCoord>, closed: bool) -> Option<Path> {
    let mut builder = PathBuilder::new();
    for (index, (x, y)) in points.into_iter().enumerate() {
        if index == 0 {
            builder.move_to(x as f32, y as f32);
        } else {
            builder.line_to(x as f32, y as f32);
        }
    }
    if closed {
        builder.close();
    }
    builder.finish()
}

impl Raster {
    fn fill(&mut self, path: Option<Path>, color: BackendColor) {
        if let Some(path) = path {
            self.pixmap
                .fill_path(&path, &ink(color), FillRule::Winding, transform(), None);
        }
    }

    fn stroke(&mut self, path: Option<Path>, color: BackendColor, width: u32) {
        if let Some(path) = path {
            let stroke = Stroke {
                width: width as f32,
                line_join: LineJoin::Round,
                ..Stroke::default()
            };
            self.pixmap
                .stroke_path(&path, &ink(color), &stroke, transform(), None);
        }
    }
}

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

impl DrawingBackend for Raster {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        let units = |pixels: u32| (f64::from(pixels) * UNITS / DENSITY) as u32;
        (units(self.pixmap.width()), units(self.pixmap.height()))
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Drawn {
        let rect = Rect::from_xywh(point.0 as f32, point.1 as f32, 1.0, 1.0);
        self.fill(rect.map(PathBuilder::from_rect), color);
        Ok(())
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Drawn {
        self.draw_path([from, to], style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let corners = [from, (to.0, from.1), to, (from.0, to.1)];
        if fill {
            self.fill(polyline(corners, true), style.color());
        } else {
            self.stroke(polyline(corners, true), style.color(), style.stroke_width());
        }
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        self.stroke(polyline(path, false), style.color(), style.stroke_width());
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        at: BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let path = PathBuilder::from_circle(at.0 as f32, at.1 as f32, radius as f32);
        if fill {
            self.fill(path, style.color());
        } else {
            self.stroke(path, style.color(), style.stroke_width());
        }
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        self.fill(polyline(path, true), style.color());
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        words: &str,
        style: &S,
        at: BackendCoord,
    ) -> Drawn {
        let size = style.size() / SIZE_PER_EM;
        let weight = if matches!(style.style(), FontStyle::Bold) {
            Weight::Bold
        } else {
            Weight::Regular
        };
        let width = text::width(words, weight, size);
        let start = match style.anchor().h_pos {
            HPos::Left => 0.0,
            HPos::Center => -width / 2.0,
            HPos::Right => -width,
        };
        let upwards = matches!(style.transform(), FontTransform::Rotate270);
        let mut builder = PathBuilder::new();
        text::outlines(words, weight, size, |curves, left, unit| {
            let place = |x: f32, y: f32| {
                let across = start + left + f64::from(x) * unit;
                let down = DROP * size - f64::from(y) * unit;
                let (x, y) = if upwards {
                    (down, -across)
                } else {
                    (across, down)
                };
                ((f64::from(at.0) + x) as f32, (f64::from(at.1) + y) as f32)
            };
            trace(&mut builder, curves, place);
        });
        self.fill(builder.finish(), style.color());
        Ok(())
    }
}

/// Adds the contours of one glyph; a contour begins wherever a curve does not continue the last one.
fn trace(
    builder: &mut PathBuilder,
    curves: &[OutlineCurve],
    place: impl Fn(f32, f32) -> (f32, f32),
) {
    let mut pen = None;
    for curve in curves {
        let (from, to) = match curve {
            OutlineCurve::Line(from, to)
            | OutlineCurve::Quad(from, _, to)
            | OutlineCurve::Cubic(from, _, _, to) => (*from, *to),
        };
        if pen != Some(from) {
            let (x, y) = place(from.x, from.y);
            builder.move_to(x, y);
        }
        let (x, y) = place(to.x, to.y);
        match curve {
            OutlineCurve::Line(..) => builder.line_to(x, y),
            OutlineCurve::Quad(_, bend, _) => {
                let (bend_x, bend_y) = place(bend.x, bend.y);
                builder.quad_to(bend_x, bend_y, x, y);
            }
            OutlineCurve::Cubic(_, first, second, _) => {
                let (first, second) = (place(first.x, first.y), place(second.x, second.y));
                builder.cubic_to(first.0, first.1, second.0, second.1, x, y);
            }
        }
        pen = Some(to);
    }
}
