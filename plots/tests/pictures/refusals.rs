//! Degenerate numbers are drawn; what cannot be drawn or written is refused with the reason.

use std::fs;
use std::path::Path;

use crate::common::{Written, counts, folder, multiples, read, samples, scores, simple};
use tiltrl_plots::{
    Band, Cloud, Clouds, Curve, Histogram, IntervalRow, Intervals, Panels, PlotError, Series,
    clouds, curve, histogram, intervals, panels,
};

#[test]
fn degenerate_numbers_are_drawn() {
    let folder = folder();
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let columns: [(Vec<f64>, Vec<f64>); 9] = [
        (vec![3.0], vec![5.0]),
        (vec![0.0, 1.0, 2.0], vec![7.0; 3]),
        (vec![0.0, 0.0, 0.0], vec![0.0; 3]),
        (vec![0.0, 1.0, 2.0, 3.0], vec![1.0, nan, inf, -1.0]),
        (vec![nan, 1.0], vec![1.0, 2.0]),
        (vec![0.0, 1.0], vec![-1e299, 1e299]),
        (vec![0.0, 1e-12], vec![1e-310, 3e-310]),
        (vec![2.0, 1.0, 3.0], vec![-5e8, -4e8, -6e8]),
        (vec![0.0, 1.0], vec![1e15, 1e15 + 1.0]),
    ];
    for (index, (x, y)) in columns.into_iter().enumerate() {
        for log_y in [false, true] {
            let band = Some(Band {
                low: y.iter().map(|y| y - 1.0).collect(),
                high: y.clone(),
            });
            let series = vec![Series {
                label: "a".into(),
                x: x.clone(),
                y: y.clone(),
                band,
            }];
            let figure = Curve {
                series,
                log_y,
                references: vec![("gone".into(), nan)],
                ..simple()
            };
            let drawn = curve(
                &figure,
                &folder.path().join(format!("curve-{index}-{log_y}")),
            );
            let positive = y
                .iter()
                .zip(&x)
                .any(|(y, x)| *y > 1e-300 && y.is_finite() && x.is_finite());
            assert_eq!(
                drawn.is_ok(),
                positive || !log_y,
                "figure {index}: {drawn:?}"
            );
        }
    }
}

#[test]
fn values_left_out_are_counted_under_the_title() {
    let folder = folder();
    let mut figure = simple();
    figure.series[0].y[3] = f64::NAN;
    figure.series[0].y[4] = f64::INFINITY;
    let files = curve(&figure, &folder.path().join("curve")).expect("a curve");
    assert!(
        String::from_utf8_lossy(&read(&files[0]))
            .contains("3 seeds · 2 values not finite, left out")
    );
}

fn assert_empty(drawn: &Written) {
    let error = drawn.as_ref().expect_err("nothing to draw");
    assert!(matches!(error, PlotError::Empty { .. }), "{error:?}");
    assert!(error.to_string().contains("has nothing to draw"), "{error}");
}

#[test]
fn figures_without_numbers_say_what_to_do() {
    let folder = folder();
    let stem = folder.path().join("empty");
    for series in [vec![], vec![Series::default()]] {
        assert_empty(&curve(&Curve { series, ..simple() }, &stem));
    }
    assert_empty(&panels(
        &Panels {
            panels: vec![],
            ..multiples()
        },
        &stem,
    ));
    let (point, low, high) = (f64::NAN, f64::NAN, f64::NAN);
    let rows = vec![IntervalRow {
        point,
        low,
        high,
        ..IntervalRow::default()
    }];
    assert_empty(&intervals(&Intervals { rows, ..scores() }, &stem));
    let (edges, bars) = (vec![0.0], vec![]);
    assert_empty(&histogram(
        &Histogram {
            edges,
            counts: bars,
            ..counts()
        },
        &stem,
    ));
    assert_empty(&clouds(
        &Clouds {
            panels: vec![Cloud::default()],
            ..samples()
        },
        &stem,
    ));
    assert_eq!(
        fs::read_dir(folder.path()).expect("a folder").count(),
        0,
        "nothing is written"
    );
}

#[test]
fn columns_edges_and_bounds_that_do_not_fit_are_named() {
    let folder = folder();
    let stem = folder.path().join("bad");
    let mut figure = simple();
    figure.series[0].y.pop();
    let error = curve(&figure, &stem).expect_err("a short column");
    assert!(
        error.to_string().contains("y of series")
            && error.to_string().contains("50 values, found 49"),
        "{error}"
    );
    let error = histogram(
        &Histogram {
            edges: vec![0.0, 1.0],
            ..counts()
        },
        &stem,
    )
    .expect_err("too few edges");
    assert!(
        matches!(
            error,
            PlotError::Length {
                expected: 4,
                found: 2,
                ..
            }
        ),
        "{error:?}"
    );
    let error = histogram(
        &Histogram {
            edges: vec![0.0, 2.0, 1.0, 3.0],
            ..counts()
        },
        &stem,
    )
    .expect_err("edges");
    assert!(error.to_string().contains("[2.0, 1.0]"), "{error}");
    let error = clouds(
        &Clouds {
            bounds: [0.0, 0.0, 0.0, 1.0],
            ..samples()
        },
        &stem,
    )
    .expect_err("bounds");
    assert!(matches!(error, PlotError::Axis { .. }), "{error:?}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").expect("a file");
    let error = curve(&simple(), &file.join("figures/returns")).expect_err("a file is no folder");
    assert!(error.to_string().contains("file/figures"), "{error}");
    let taken = folder.path().join("taken.svg");
    fs::create_dir(&taken).expect("a folder in the way");
    let error = curve(&simple(), &folder.path().join("taken")).expect_err("a folder is in the way");
    assert!(error.to_string().contains("taken.svg"), "{error}");
    assert!(matches!(
        curve(&simple(), Path::new("/")),
        Err(PlotError::Stem { .. })
    ));
    assert_eq!(
        fs::read_dir(folder.path()).expect("a folder").count(),
        2,
        "no temporary file stays"
    );
}

#[test]
fn too_many_rows_or_columns_for_one_picture_are_refused() {
    let folder = folder();
    let stem = folder.path().join("many");
    let row = IntervalRow {
        label: "a".into(),
        point: 1.0,
        low: 0.0,
        high: 2.0,
        ..IntervalRow::default()
    };
    let error = intervals(
        &Intervals {
            rows: vec![row; 1000],
            ..scores()
        },
        &stem,
    );
    assert!(
        matches!(error, Err(PlotError::TooLarge { .. })),
        "{error:?}"
    );
    let error = panels(
        &Panels {
            panels: vec![simple(); 20],
            columns: 20,
            ..multiples()
        },
        &stem,
    );
    assert!(
        matches!(error, Err(PlotError::TooLarge { .. })),
        "{error:?}"
    );
}
