//! Tests of the layout of every figure: texts stay inside, never touch each other and never lie on data.

use crate::scene::{Align, Mark, Rect, Scene, Text, Turn};
use crate::style::WIDTH;
use crate::{
    Band, Cloud, Clouds, Curve, Histogram, IntervalRow, Intervals, Panels, Series, clouds, curve,
    histogram, intervals, panels, style, text,
};

fn bounds(words: &Text) -> Rect {
    let width = text::width(&words.words, words.weight, words.size);
    let start = match words.align {
        Align::Start => 0.0,
        Align::Middle => -0.5 * width,
        Align::End => -width,
    };
    let (up, down) = (0.72 * words.size, 0.0);
    let [x, y] = words.at;
    match words.turn {
        Turn::Across => Rect::new(x + start, y - up, x + start + width, y + down),
        Turn::Up => Rect::new(x - up, y - start - width, x + down, y - start),
    }
}

fn overlap(a: &Rect, b: &Rect) -> bool {
    a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom
}

/// Returns the points that stand for data: of lines in a colour of a series, and of dots and bars.
fn data(scene: &Scene) -> Vec<[f64; 2]> {
    let colors: Vec<_> = (0..7).map(|index| style::series(index).0.rgb).collect();
    let mut points = Vec::new();
    for mark in &scene.marks {
        match mark {
            Mark::Line {
                points: line,
                color,
                width,
            } if colors.contains(&color.rgb) && *width > 2.0 && line.len() > 2 => {
                points.extend(line);
            }
            Mark::Area {
                points: outline, ..
            } => points.extend(outline),
            Mark::Disc { at, .. } => points.push(*at),
            _ => {}
        }
    }
    points
}

fn check(name: &str, scene: &Scene) {
    let texts: Vec<&Text> = scene
        .marks
        .iter()
        .filter_map(|mark| {
            if let Mark::Text(text) = mark {
                Some(text)
            } else {
                None
            }
        })
        .collect();
    assert!(!texts.is_empty(), "{name} has no text");
    let boxes: Vec<Rect> = texts.iter().map(|text| bounds(text)).collect();
    for (index, (words, rect)) in texts.iter().zip(&boxes).enumerate() {
        let inside = rect.left >= 0.0
            && rect.top >= 0.0
            && rect.right <= scene.width
            && rect.bottom <= scene.height;
        assert!(
            inside,
            "{name}: {:?} leaves the figure: {rect:?}",
            words.words
        );
        for (other, place) in texts.iter().zip(&boxes).skip(index + 1) {
            assert!(
                !overlap(rect, place),
                "{name}: {:?} touches {:?}",
                words.words,
                other.words
            );
        }
        for [x, y] in data(scene) {
            assert!(
                !overlap(rect, &Rect::new(x, y, x, y)),
                "{name}: {:?} lies on data",
                words.words
            );
        }
    }
    for [x, y] in data(scene) {
        assert!(
            (0.0..=scene.width).contains(&x) && (0.0..=scene.height).contains(&y),
            "{name}: data at {x}, {y}"
        );
    }
}

/// A desktop's and a phone's.
const WIDTHS: [f64; 2] = [WIDTH, 440.0];

fn wave(label: &str, scale: f64, offset: f64) -> Series {
    let x: Vec<f64> = (0..120).map(|index| f64::from(index) * 500.0).collect();
    let y: Vec<f64> = x
        .iter()
        .map(|x| scale * ((x / 9000.0).sin() + offset))
        .collect();
    let low = y.iter().map(|y| y - 0.1 * scale).collect();
    let high = y.iter().map(|y| y + 0.1 * scale).collect();
    Series {
        label: label.into(),
        x,
        y,
        band: Some(Band { low, high }),
    }
}

fn figure(labels: &[String], scale: f64) -> Curve {
    Curve {
        title: "A title that is rather long and goes on for more than one line of the figure".into(),
        subtitle: "A subtitle that explains at length how everything in the figure was measured, and by whom".into(),
        x_label: "Updates".into(),
        y_label: "Return".into(),
        series: labels.iter().enumerate().map(|(index, label)| wave(label, scale, 0.01 * index as f64)).collect(),
        references: vec![("prior".into(), 0.3 * scale), ("data".into(), 0.29 * scale)],
        log_y: false,
    }
}

fn names(count: usize, words: &str) -> Vec<String> {
    (0..count).map(|index| format!("{words} {index}")).collect()
}

#[test]
fn curves_of_any_number_length_and_magnitude_of_series_are_legible() {
    for count in 1..=12 {
        for words in [
            "m",
            "method",
            "a label that is far too long to be put beside its line",
        ] {
            for scale in [1e-9, 1.0, 3400.0, 1e6, 7e20] {
                let figure = figure(&names(count, words), scale);
                for width in WIDTHS {
                    let scene = curve::scene(&figure, width).expect("a scene");
                    check(
                        &format!("{count} series {words:?} at {scale}, {width} wide"),
                        &scene,
                    );
                }
            }
        }
    }
}

#[test]
fn panels_are_legible_in_any_number_of_columns() {
    for count in 1..=7 {
        for columns in 0..=4 {
            let mut panel = figure(&names(3, "seed"), 1e5);
            panel.title = "Effective sample size of the paths".into();
            let mut drawn = vec![panel; count];
            drawn[count - 1].subtitle = "per update".into();
            if count > 1 {
                drawn[0].series[0].y.fill(f64::NAN);
                drawn[1].log_y = true;
            }
            let figure = Panels {
                title: "Panels".into(),
                subtitle: String::new(),
                panels: drawn,
                columns,
            };
            for width in WIDTHS {
                let scene = panels::scene(&figure, width).expect("a scene");
                check(
                    &format!("{count} panels in {columns}, {width} wide"),
                    &scene,
                );
            }
        }
    }
}

#[test]
fn intervals_are_legible_with_long_names_and_missing_numbers() {
    let row = |group: &str, label: &str, point: f64| IntervalRow {
        group: group.into(),
        label: label.into(),
        point,
        low: point - 3.0,
        high: point + 4.0,
    };
    let rows = [
        row("halfcheetah-medium-expert", "prior", 40.0),
        row(
            "halfcheetah-medium-expert",
            "a label that is far too long for its column",
            62.0,
        ),
        row(
            "a_group/with-a name that_needs several-lines and then some",
            "posterior",
            81.0,
        ),
        row("", "posterior", f64::NAN),
        row("pendulum", "posterior", -1234.5),
        row("halfcheetah-medium-expert", "posterior", 90.0),
    ];
    for count in 1..=rows.len() {
        let rows = rows[..count].to_vec();
        let x_label = String::from("Normalised score");
        let figure = Intervals {
            title: "Scores".into(),
            subtitle: "IQM".into(),
            x_label,
            rows,
        };
        let scene = intervals::scene(&figure, WIDTH).expect("a scene");
        check(&format!("{count} rows"), &scene);
    }
}

#[test]
fn histograms_are_legible_with_crowded_references() {
    for count in 0..=9 {
        for bars in [1, 12, 400] {
            let figure = Histogram {
                title: "Returns".into(),
                subtitle: "2,186 episodes".into(),
                x_label: "Return".into(),
                y_label: "Episodes".into(),
                edges: (0..=bars).map(|index| f64::from(index) * 10.0).collect(),
                counts: (0..bars)
                    .map(|index| f64::from(index % 7) * 1000.0)
                    .collect(),
                references: names(count, "quantile")
                    .into_iter()
                    .map(|label| (label, 5.0))
                    .collect(),
            };
            check(
                &format!("{count} references on {bars} bars"),
                &histogram::scene(&figure).expect("a scene"),
            );
        }
    }
}

#[test]
fn clouds_are_legible_in_any_number_of_columns() {
    for count in 1..=7 {
        for columns in 0..=7 {
            let points = (0..200)
                .map(|i| [(f64::from(i) * 0.37).sin(), (f64::from(i) * 0.73).cos()])
                .collect();
            let cloud = Cloud {
                title: "Posterior by relative trajectory balance".into(),
                points,
            };
            let figure = Clouds {
                title: "Clouds".into(),
                subtitle: "samples".into(),
                panels: vec![cloud; count],
                columns,
                bounds: [-1.0, 1.0, -1.2, 1.2],
            };
            check(
                &format!("{count} clouds in {columns}"),
                &clouds::scene(&figure).expect("a scene"),
            );
        }
    }
}
