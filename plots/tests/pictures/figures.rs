//! Every kind of figure through the public functions: files, bytes and numbers.

use std::fs;
use std::path::Path;

use crate::common::{all, counts, folder, multiples, read, samples, scores, simple};
use tiltrl_plots::{Band, clouds, curve, histogram, intervals, panels};

/// Returns the rows of a CSV without its header; none of the figures here has a line break in a field.
fn rows(path: &Path) -> Vec<Vec<String>> {
    let text = String::from_utf8(read(path)).expect("UTF-8");
    let split = |line: &str| {
        let (mut fields, mut quoted) = (vec![String::new()], false);
        for c in line.chars() {
            match c {
                '"' => quoted = !quoted,
                ',' if !quoted => fields.push(String::new()),
                _ => fields.last_mut().expect("a field").push(c),
            }
        }
        fields
    };
    text.lines().skip(1).map(split).collect()
}

fn number(field: &str) -> f64 {
    field
        .parse()
        .unwrap_or_else(|_| panic!("{field:?} is not a number"))
}

#[test]
fn every_kind_is_written_as_svg_png_and_csv_with_the_same_bytes_each_time() {
    let folder = folder();
    for (name, draw) in all() {
        let stem = folder.path().join("new/folder").join(format!("{name}.v1"));
        let files = draw(&stem).expect(name);
        let names: Vec<_> = files
            .iter()
            .map(|file| file.file_name().expect("a name").to_owned())
            .collect();
        assert_eq!(
            names,
            ["svg", "png", "csv"].map(|end| std::ffi::OsString::from(format!("{name}.v1.{end}"))),
            "{name}"
        );
        let first: Vec<Vec<u8>> = files.iter().map(|file| read(file)).collect();
        let again: Vec<Vec<u8>> = draw(&stem)
            .expect(name)
            .iter()
            .map(|file| read(file))
            .collect();
        assert!(first == again, "{name} differs when drawn twice");
        let svg = String::from_utf8(first[0].clone()).expect("UTF-8");
        assert!(
            svg.starts_with("<svg width=\"") && svg.ends_with("</svg>\n"),
            "{name}"
        );
        let picture = tiny_skia::Pixmap::decode_png(&first[1]).expect("a PNG");
        let mut colors: Vec<_> = picture
            .pixels()
            .iter()
            .map(|pixel| (pixel.red(), pixel.green()))
            .collect();
        colors.sort_unstable();
        colors.dedup();
        assert!(
            colors.len() > 50,
            "{name} is nearly blank: {} colours",
            colors.len()
        );
        assert!(
            picture.pixels().iter().all(|pixel| pixel.alpha() == 255),
            "{name} has no background"
        );
    }
    let left: Vec<_> = fs::read_dir(folder.path().join("new/folder"))
        .expect("a folder")
        .flatten()
        .collect();
    assert_eq!(left.len(), 15, "no temporary file stays: {left:?}");
}

#[test]
fn the_png_has_two_pixels_for_each_css_pixel() {
    let folder = folder();
    let files = curve(&simple(), &folder.path().join("curve")).expect("a curve");
    let picture = tiny_skia::Pixmap::decode_png(&read(&files[1])).expect("a PNG");
    assert_eq!((picture.width(), picture.height()), (1600, 1000));
    assert!(String::from_utf8_lossy(&read(&files[0])).contains("width=\"800\" height=\"500\""));
}

#[test]
fn the_csv_of_a_curve_reads_back_as_the_same_numbers() {
    let folder = folder();
    let mut figure = simple();
    figure.series[0].y[7] = f64::NAN;
    figure.series[0].y[8] = 1e-300;
    figure.series[0].x[9] = 0.1 + 0.2;
    let files = curve(&figure, &folder.path().join("curve")).expect("a curve");
    let rows = rows(&files[2]);
    let drawn = &figure.series[0];
    let Band { low, high } = drawn.band.as_ref().expect("a band");
    assert_eq!(rows.len(), drawn.x.len() + 2);
    for (index, row) in rows[..drawn.x.len()].iter().enumerate() {
        assert_eq!(row[..2], ["series", "RTB, posterior"]);
        let expected = [drawn.x[index], drawn.y[index], low[index], high[index]];
        for (field, expected) in row[2..].iter().zip(expected) {
            assert_eq!(number(field).to_bits(), expected.to_bits(), "row {index}");
        }
    }
    assert_eq!(
        rows[rows.len() - 1],
        ["reference", "data", "", "-0.2", "", ""]
    );
}

#[test]
fn the_csvs_of_the_other_kinds_read_back_as_the_same_numbers() {
    let folder = folder();
    let files = intervals(&scores(), &folder.path().join("intervals")).expect("intervals");
    for (row, expected) in rows(&files[2]).iter().zip(scores().rows) {
        assert_eq!(row[..2], [expected.group, expected.label]);
        let numbers: Vec<f64> = row[2..].iter().map(|field| number(field)).collect();
        assert_eq!(numbers, [expected.point, expected.low, expected.high]);
    }
    let files = histogram(&counts(), &folder.path().join("histogram")).expect("a histogram");
    let bars = rows(&files[2]);
    assert_eq!(bars[1], ["bar", "", "0.0", "0.1", "10.0"]);
    assert_eq!(number(&bars[3][2]), 1.0 / 3.0);
    let files = clouds(&samples(), &folder.path().join("clouds")).expect("clouds");
    let points = rows(&files[2]);
    assert_eq!(points.len(), 600);
    assert_eq!(
        [number(&points[17][1]), number(&points[17][2])],
        samples().panels[0].points[17]
    );
    let files = panels(&multiples(), &folder.path().join("panels")).expect("panels");
    assert_eq!(
        rows(&files[2])[60][..3],
        ["Returns", "series", "RTB, posterior"]
    );
}
