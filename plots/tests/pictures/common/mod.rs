//! One figure of each kind, and where to write it.
#![allow(dead_code, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tiltrl_plots::*;

pub type Written = Result<Vec<PathBuf>, PlotError>;

pub fn series() -> Series {
    let x: Vec<f64> = (0..50).map(|index| f64::from(index) * 100.0).collect();
    let y: Vec<f64> = x.iter().map(|x| (x / 700.0).sin() / 3.0).collect();
    let band = Band {
        low: y.iter().map(|y| y - 0.1).collect(),
        high: y.iter().map(|y| y + 0.1).collect(),
    };
    Series {
        label: "RTB, \"posterior\"".into(),
        x,
        y,
        band: Some(band),
    }
}

pub fn simple() -> Curve {
    Curve {
        title: "Returns".into(),
        subtitle: "3 seeds".into(),
        x_label: "Updates".into(),
        y_label: "Return".into(),
        series: vec![series()],
        references: vec![("prior".into(), 0.1), ("data".into(), -0.2)],
        log_y: false,
    }
}

pub fn scores() -> Intervals {
    let row = |label: &str, point: f64| IntervalRow {
        group: "hopper".into(),
        label: label.into(),
        point,
        low: point - 1.0 / 3.0,
        high: point + 2.0 / 3.0,
    };
    let rows = vec![row("prior", 48.1), row("posterior", 63.7)];
    Intervals {
        title: "Scores".into(),
        subtitle: String::new(),
        x_label: "Score".into(),
        rows,
    }
}

pub fn counts() -> Histogram {
    Histogram {
        title: "Returns".into(),
        subtitle: "data".into(),
        x_label: "Return".into(),
        y_label: "Episodes".into(),
        edges: vec![-1.0, 0.0, 0.1, 5.0],
        counts: vec![3.0, 10.0, 1.0],
        references: vec![("mean".into(), 1.0 / 3.0)],
    }
}

pub fn samples() -> Clouds {
    let points = (0..300)
        .map(|i| [(f64::from(i) * 0.37).sin(), (f64::from(i) * 0.73).cos()])
        .collect();
    let panels = vec![
        Cloud {
            title: "truth".into(),
            points
        };
        2
    ];
    Clouds {
        title: "Samples".into(),
        subtitle: String::new(),
        panels,
        columns: 2,
        bounds: [-1.0, 1.0, -1.0, 1.0],
    }
}

pub fn multiples() -> Panels {
    Panels {
        title: "Training".into(),
        subtitle: String::new(),
        panels: vec![simple(), simple()],
        columns: 2,
    }
}

/// Draws a figure of one kind.
pub type Draw = Box<dyn Fn(&Path) -> Written>;

/// One figure of each kind, named.
pub fn all() -> Vec<(&'static str, Draw)> {
    vec![
        ("curve", Box::new(|stem| curve(&simple(), stem))),
        ("intervals", Box::new(|stem| intervals(&scores(), stem))),
        ("panels", Box::new(|stem| panels(&multiples(), stem))),
        ("histogram", Box::new(|stem| histogram(&counts(), stem))),
        ("clouds", Box::new(|stem| clouds(&samples(), stem))),
    ]
}

pub fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

pub fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
