//! A scene as SVG. Text stays text, in a family with the widths that the layout was made for.

use plotters::prelude::SVGBackend;

use crate::PlotError;
use crate::paint::{self, UNITS};
use crate::scene::{Mark, Scene, Text};
use crate::text::{self, FAMILIES};

/// Returns the SVG document.
pub(crate) fn svg(scene: &Scene) -> Result<String, PlotError> {
    let size = ((scene.width * UNITS) as u32, (scene.height * UNITS) as u32);
    let mut drawn = String::new();
    let mut backend = SVGBackend::with_string(&mut drawn, size);
    paint::paint(scene, &mut backend).map_err(|error| PlotError::Draw {
        figure: scene.title.clone(),
        reason: error.to_string(),
    })?;
    drop(backend);
    Ok(tidy(scene, size, &drawn))
}

/// Returns the document with our own first line and without the attributes and line breaks that say nothing.
fn tidy(scene: &Scene, size: (u32, u32), drawn: &str) -> String {
    let mut document = format!(
        "<svg width=\"{}\" height=\"{}\" viewBox=\"0 0 {} {}\" xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" \
         font-family=\"{FAMILIES}\" stroke-linejoin=\"round\">\n<title>{}</title>\n",
        scene.width,
        scene.height,
        size.0,
        size.1,
        escaped(&scene.title),
    );
    if !scene.subtitle.is_empty() {
        document += &format!("<desc>{}</desc>\n", escaped(&scene.subtitle));
    }
    let mut texts = scene.marks.iter().filter_map(|mark| {
        if let Mark::Text(text) = mark {
            Some(text)
        } else {
            None
        }
    });
    for line in drawn.lines().skip(1) {
        if line.starts_with("<text") {
            let width = texts.next().map(fixed_width).unwrap_or_default();
            document += &line
                .replace(" font-family=\"inherit\"", &width)
                .replace(" opacity=\"1\"", "");
        } else if line.starts_with('<') {
            document += &line
                .replace(" opacity=\"1\"", "")
                .replace(" stroke=\"none\" stroke-width=\"1\"", "");
            document.push('\n');
        } else {
            document += line;
        }
    }
    document
}

/// Returns the attributes that give a text the width of the embedded font in whatever font is shown.
fn fixed_width(text: &Text) -> String {
    let width = text::width(&text.words, text.weight, text.size) * UNITS;
    format!(" textLength=\"{width:.0}\" lengthAdjust=\"spacingAndGlyphs\"")
}

fn escaped(words: &str) -> String {
    words
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::Align;
    use crate::style;

    #[test]
    fn text_is_escaped_and_stays_on_one_line() {
        let mut scene = Scene::new("a < b & c", "", 100.0);
        scene.height = 50.0;
        scene.text(Text {
            align: Align::End,
            ..Text::new([90.0, 20.0], "p < 0.05 & \"q\"", 18.0, style::INK)
        });
        let document = svg(&scene).expect("an SVG");
        assert!(
            document.contains(">p &lt; 0.05 &amp; &quot;q&quot;</text>"),
            "{document}"
        );
        assert!(document.contains("<title>a &lt; b &amp; c</title>"));
        assert!(document.contains("font-size=\"180\""), "{document}");
        assert!(document.ends_with("</svg>\n"));
    }
}
