//! Draws one figure of each kind, with numbers like those of an offline-to-posterior run, into `target/gallery`.
//!
//! `cargo run -p tiltrl-plots --example gallery`

use std::path::{Path, PathBuf};

use tiltrl_plots::{
    Band, Cloud, Clouds, Curve, Histogram, IntervalRow, Intervals, Panels, PlotError, Series,
    clouds, curve, histogram, intervals, panels,
};

/// Repeatable noise: a linear congruential generator, summed to look normal.
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

fn main() -> Result<(), PlotError> {
    let folder = PathBuf::from("target/gallery");
    let files = [
        returns(&folder)?,
        methods(&folder)?,
        scores(&folder)?,
        training(&folder)?,
        data(&folder)?,
        posteriors(&folder)?,
    ];
    for file in files.iter().flatten() {
        eprintln!("{}", file.display());
    }
    Ok(())
}

/// Mean and band of a return that rises from `start` to `end` over `updates`.
fn rising(label: &str, start: f64, end: f64, width: f64, noise: &mut Noise) -> Series {
    let x: Vec<f64> = (0..=40).map(|index| f64::from(index) * 500.0).collect();
    let share = |update: f64| 1.0 - (-update / 4500.0).exp();
    let y: Vec<f64> = x
        .iter()
        .map(|u| start + (end - start) * share(*u) + 0.35 * width * noise.normal())
        .collect();
    let spread: Vec<f64> = x
        .iter()
        .map(|u| width * (0.5 + share(*u)) * (1.0 + 0.12 * noise.normal()))
        .collect();
    let low = y
        .iter()
        .zip(&spread)
        .map(|(y, spread)| y - spread)
        .collect();
    let high = y
        .iter()
        .zip(&spread)
        .map(|(y, spread)| y + 0.8 * spread)
        .collect();
    Series {
        label: label.into(),
        x,
        y,
        band: Some(Band { low, high }),
    }
}

fn returns(folder: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let figure = Curve {
        title: "Hopper-medium: the posterior beats its prior".into(),
        subtitle: "Mean return of 20 episodes; band: 95 % bootstrap interval over 3 seeds".into(),
        x_label: "Fine-tuning updates".into(),
        y_label: "Episode return".into(),
        series: vec![rising("posterior", 1480.0, 2720.0, 130.0, &mut Noise(3))],
        references: vec![("prior".into(), 1460.0), ("data".into(), 1422.0)],
        log_y: false,
    };
    curve(&figure, &folder.join("returns"))
}

fn methods(folder: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let mut noise = Noise(11);
    let figure = Curve {
        title: "Normalised score by extraction method".into(),
        subtitle: "halfcheetah-medium-replay, same prior and critic, 5 seeds".into(),
        x_label: "Updates".into(),
        y_label: "Normalised score".into(),
        series: vec![
            rising("RTB posterior", 36.0, 47.5, 1.1, &mut noise),
            rising("best of 64", 36.0, 45.0, 0.9, &mut noise),
            rising("best of 16", 36.0, 43.0, 0.9, &mut noise),
            rising("weighted regression", 35.0, 42.6, 1.2, &mut noise),
        ],
        references: vec![("prior".into(), 36.0)],
        log_y: false,
    };
    curve(&figure, &folder.join("methods"))
}

fn scores(folder: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let mut noise = Noise(5);
    let mut rows = Vec::new();
    for (group, base) in [
        ("hopper-medium", 48.0),
        ("hopper-medium-replay", 31.0),
        ("halfcheetah-medium-expert", 62.0),
    ] {
        for (label, gain, half) in [
            ("data", -1.0, 0.6),
            ("prior", 0.0, 1.8),
            ("best of 16", 9.0, 3.0),
            ("posterior", 17.0, 2.6),
        ] {
            let point = base + gain + noise.normal();
            let group = group.into();
            rows.push(IntervalRow {
                group,
                label: label.into(),
                point,
                low: point - half,
                high: point + 1.2 * half,
            });
        }
    }
    let figure = Intervals {
        title: "Normalised scores".into(),
        subtitle: "IQM of 3 seeds × 20 episodes with stratified-bootstrap 95 % intervals".into(),
        x_label: "Normalised score (D4RL, v2)".into(),
        rows,
    };
    intervals(&figure, &folder.join("scores"))
}

fn training(folder: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let mut noise = Noise(9);
    let mut panel = |title: &str, log_y: bool, value: &dyn Fn(f64, f64) -> f64| {
        let x: Vec<f64> = (0..=400).map(|index| f64::from(index) * 50.0).collect();
        let mut seed = |label: &str| {
            let y = x
                .iter()
                .map(|update| value(*update, noise.normal()))
                .collect();
            Series {
                label: label.into(),
                x: x.clone(),
                y,
                band: None,
            }
        };
        let series = vec![seed("seed 1"), seed("seed 2")];
        Curve {
            title: title.into(),
            x_label: "Updates".into(),
            series,
            log_y,
            ..Curve::default()
        }
    };
    let mut panels_drawn = vec![
        panel("RTB loss", true, &|u, n| {
            40.0 * (-u / 3000.0).exp() * (0.25 * n).exp() + 0.04 * (0.4 * n).exp()
        }),
        panel("log Z", false, &|u, n| {
            -3.2 * (-u / 2500.0).exp() + 0.9 + 0.08 * n
        }),
        panel("Effective sample size", false, &|u, n| {
            (0.92 - 0.7 * (-u / 2800.0).exp() + 0.02 * n).min(1.0)
        }),
        panel("KL to the prior (nats)", false, &|u, n| {
            5.5 * (1.0 - (-u / 3500.0).exp()) + 0.15 * n
        }),
    ];
    panels_drawn[1].references.push(("exact".into(), 0.9));
    let figure = Panels {
        title: "Fine-tuning, update by update".into(),
        subtitle: "hopper-medium, 64 states × 8 paths each update".into(),
        panels: panels_drawn,
        columns: 2,
    };
    panels(&figure, &folder.join("training"))
}

fn data(folder: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let mut noise = Noise(21);
    let edges: Vec<f64> = (0..=40).map(|index| f64::from(index) * 80.0).collect();
    let mut counts = vec![0.0; 40];
    for _ in 0..2186 {
        let value = if noise.uniform() < 0.8 {
            1420.0 + 260.0 * noise.normal()
        } else {
            2400.0 + 330.0 * noise.normal()
        };
        if let Some(count) = counts.get_mut((value / 80.0) as usize) {
            *count += 1.0;
        }
    }
    let figure = Histogram {
        title: "Episode returns in the data".into(),
        subtitle: "hopper-medium, 2,186 episodes, 999,906 transitions".into(),
        x_label: "Episode return".into(),
        y_label: "Episodes".into(),
        edges,
        counts,
        references: vec![("mean".into(), 1616.0), ("best".into(), 3180.0)],
    };
    histogram(&figure, &folder.join("data"))
}

fn posteriors(folder: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let mut noise = Noise(33);
    let mut cloud = |title: &str, keep: &dyn Fn(usize) -> bool, spread: f64| {
        let mut points = Vec::new();
        while points.len() < 1500 {
            let mode = (noise.uniform() * 25.0) as usize;
            let centre = [
                (mode % 5) as f64 * 5.0 - 10.0,
                (mode / 5) as f64 * 5.0 - 10.0,
            ];
            let point = centre.map(|centre| centre + spread * noise.normal());
            if keep(mode) {
                points.push(point);
            }
        }
        Cloud {
            title: title.into(),
            points,
        }
    };
    let tilted = |mode: usize| matches!(mode, 3 | 4 | 8 | 9 | 11 | 16 | 17 | 22);
    let panels = vec![
        cloud("Prior", &|_| true, 0.55),
        cloud("Truth", &tilted, 0.55),
        cloud("RTB posterior", &tilted, 0.6),
        cloud("Reward gradient only", &|mode| matches!(mode, 4 | 9), 0.35),
    ];
    let figure = Clouds {
        title: "The posterior covers every mode of the truth".into(),
        subtitle: "25 Gaussians tilted by a reward, 1,500 samples each".into(),
        panels,
        columns: 4,
        bounds: [-13.0, 13.0, -13.0, 13.0],
    };
    clouds(&figure, &folder.join("posteriors"))
}
