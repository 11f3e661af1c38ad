//! throwaway
use std::path::PathBuf;
use tiltrl_plots::*;
fn s(label: &str, x: Vec<f64>, y: Vec<f64>) -> Series {
    Series {
        label: label.into(),
        x,
        y,
        band: None,
    }
}
fn main() {
    let d = PathBuf::from("target/edges");
    let xs: Vec<f64> = (0..200).map(|i| i as f64 * 1000.0).collect();
    let f = |k: usize| -> Vec<f64> {
        xs.iter()
            .map(|x| (x / 30000.0 + k as f64).sin() * 10.0 + k as f64 * 3.0)
            .collect()
    };
    let c = |t: &str, series: Vec<Series>, refs: Vec<(String, f64)>, log| Curve {
        title: t.into(),
        subtitle: "subtitle".into(),
        x_label: "Updates".into(),
        y_label: "Value".into(),
        series,
        references: refs,
        log_y: log,
    };
    curve(
        &c(
            "Twelve series",
            (0..12)
                .map(|k| s(&format!("method {k}"), xs.clone(), f(k)))
                .collect(),
            vec![],
            false,
        ),
        &d.join("twelve"),
    )
    .unwrap();
    curve(&c("Twelve series with labels far too long to be put beside the plot, and a title that is much longer than one line could hold at this size",(0..12).map(|k|s(&format!("a rather long name of method number {k}"),xs.clone(),f(k))).collect(),vec![("prior of the behaviour".into(),5.0)],false),&d.join("long")).unwrap();
    let mut y = f(1);
    y[50] = f64::NAN;
    y[51] = f64::INFINITY;
    y[53] = f64::NAN;
    for v in &mut y[100..120] {
        *v = f64::NAN;
    }
    let lo = y.iter().map(|v| v - 3.0).collect();
    let hi = y.iter().map(|v| v + 3.0).collect();
    curve(
        &c(
            "Gaps",
            vec![
                Series {
                    label: "gappy".into(),
                    x: xs.clone(),
                    y,
                    band: Some((lo, hi)),
                },
                s("stops early", xs[..90].to_vec(), f(2)[..90].to_vec()),
            ],
            vec![("data".into(), f64::NAN)],
            false,
        ),
        &d.join("gaps"),
    )
    .unwrap();
    curve(
        &c(
            "A single point",
            vec![Series {
                label: "posterior".into(),
                x: vec![5000.0],
                y: vec![3.0],
                band: Some((vec![2.0], vec![4.5])),
            }],
            vec![("prior".into(), 1.0)],
            false,
        ),
        &d.join("single"),
    )
    .unwrap();
    curve(
        &c(
            "Constant",
            vec![s("", vec![0.0, 1.0], vec![7.0, 7.0])],
            vec![],
            false,
        ),
        &d.join("constant"),
    )
    .unwrap();
    curve(
        &c(
            "Huge",
            vec![s("huge", vec![0.0, 1e9], vec![-1e20, 4e20])],
            vec![],
            false,
        ),
        &d.join("huge"),
    )
    .unwrap();
    curve(
        &c(
            "Tiny, narrow and far from zero",
            vec![s(
                "tiny",
                vec![1e-7, 5e-7],
                vec![1_234_567.0001, 1_234_567.0009],
            )],
            vec![],
            false,
        ),
        &d.join("tiny"),
    )
    .unwrap();
    curve(
        &c(
            "Log over twelve decades",
            vec![
                s(
                    "log",
                    xs.clone(),
                    xs.iter().map(|x| (-x / 8000.0).exp() * 10.0).collect(),
                ),
                s("zeros", xs.clone(), vec![0.0; 200]),
            ],
            vec![("floor".into(), 1e-6)],
            true,
        ),
        &d.join("log"),
    )
    .unwrap();
    let e = c(
        "log Z",
        vec![s("a", xs.clone(), vec![f64::NAN; 200])],
        vec![],
        false,
    );
    let mut g = c("ESS", vec![s("a", xs.clone(), f(1))], vec![], false);
    g.subtitle = "per update".into();
    g.y_label = "fraction".into();
    let mut h = c(
        "Loss",
        vec![s(
            "loss",
            xs.clone(),
            f(3).iter().map(|v| v.abs() * 1e5).collect(),
        )],
        vec![],
        true,
    );
    h.x_label = "Other label".into();
    panels(
        &Panels {
            title: "Three columns, one empty".into(),
            subtitle: "x".into(),
            panels: vec![e, g.clone(), h, g],
            columns: 3,
        },
        &d.join("panels"),
    )
    .unwrap();
    let r = |g: &str, l: &str, p: f64| IntervalRow {
        group: g.into(),
        label: l.into(),
        point: p,
        low: p - 400.0,
        high: p + 700.0,
    };
    intervals(
        &Intervals {
            title: "Returns".into(),
            subtitle: "s".into(),
            x_label: "Return".into(),
            rows: vec![
                r("pendulum", "data", -1200.0),
                r(
                    "pendulum",
                    "prior with a name that goes on and on and on",
                    -900.0,
                ),
                r("pendulum", "posterior", -150.0),
                IntervalRow {
                    group: "pendulum".into(),
                    label: "diverged".into(),
                    point: f64::NAN,
                    low: f64::NAN,
                    high: f64::NAN,
                },
                r(
                    "a_very_long_group_name-with-many/parts and words",
                    "x",
                    12345.0,
                ),
            ],
        },
        &d.join("intervals"),
    )
    .unwrap();
    intervals(
        &Intervals {
            title: "One".into(),
            subtitle: String::new(),
            x_label: String::new(),
            rows: vec![IntervalRow {
                group: String::new(),
                label: "posterior".into(),
                point: 3.0,
                low: 3.0,
                high: 3.0,
            }],
        },
        &d.join("one"),
    )
    .unwrap();
    histogram(
        &Histogram {
            title: "Action saturation".into(),
            subtitle: "s".into(),
            x_label: "|a|".into(),
            y_label: "Transitions".into(),
            edges: (0..=300).map(|i| i as f64 / 300.0).collect(),
            counts: (0..300)
                .map(|i| {
                    if i == 7 {
                        f64::NAN
                    } else {
                        (i * i) as f64 * 100.0
                    }
                })
                .collect(),
            references: vec![
                ("one".into(), 0.5),
                ("two".into(), 0.505),
                ("beyond the edges".into(), 1.1),
            ],
        },
        &d.join("histogram"),
    )
    .unwrap();
    histogram(
        &Histogram {
            title: "One bar".into(),
            subtitle: "s".into(),
            x_label: "x".into(),
            y_label: "n".into(),
            edges: vec![1.0, 2.0],
            counts: vec![0.0],
            references: vec![],
        },
        &d.join("bar"),
    )
    .unwrap();
    let cl = |n: usize| Cloud {
        title: format!("{n} points"),
        points: (0..n)
            .map(|i| [(i as f64 * 0.37).sin() * 1.2, (i as f64 * 0.73).cos()])
            .collect(),
    };
    clouds(
        &Clouds {
            title: "Clouds".into(),
            subtitle: "s".into(),
            panels: vec![cl(1), cl(0), cl(50), cl(5000), cl(20000)],
            columns: 3,
            bounds: [-1.0, 1.0, -1.1, 1.1],
        },
        &d.join("clouds"),
    )
    .unwrap();
    clouds(
        &Clouds {
            title: "One panel of samples, with a longish title over it".into(),
            subtitle: "s".into(),
            panels: vec![cl(900)],
            columns: 0,
            bounds: [-1.5, 1.5, -1.1, 1.1],
        },
        &d.join("cloud"),
    )
    .unwrap();
}
