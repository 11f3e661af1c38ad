//! The curve over pulls as a picture and as CSV.

use std::fmt::Write as _;

use tiltrl_plots::{Band, Curve as Figure, Series};

use super::pulls::{Curve, Settings};

/// Returns the curve as CSV: pulls, mean, the ends of its 95 % interval over policies (empty where there is none), and the
/// standard error of the simulation.
pub fn csv(curve: &Curve) -> String {
    let mut out = "pulls,mean,low,high,simulation_error\n".to_string();
    for (t, (mean, error)) in curve.mean.iter().zip(&curve.simulation).enumerate() {
        let ends = curve.half_width.as_ref().map_or(",".to_string(), |half| {
            format!("{:.6},{:.6}", mean - half[t], mean + half[t])
        });
        let _ = writeln!(out, "{t},{mean:.6},{ends},{error:.6}");
    }
    out
}

/// Returns the figure of a curve; `unit` is "return" or "normalised score", `policies` how many there are.
pub fn figure(curve: &Curve, settings: &Settings, unit: &str, policies: usize) -> Figure {
    let band = curve.half_width.as_ref().map(|half| {
        let edge = |sign: f64| -> Vec<f64> {
            let pairs = curve.mean.iter().zip(half);
            pairs.map(|(mean, half)| mean + sign * half).collect()
        };
        Band {
            low: edge(-1.0),
            high: edge(1.0),
        }
    });
    let interval = match &band {
        Some(_) => "95 % interval over policies",
        None => "no interval: every draw holds all policies",
    };
    Figure {
        title: "What choosing among policies by episodes brings".into(),
        subtitle: format!(
            "UCB among {} of {policies} policies, half of the episodes to choose by, the others to score; {interval}",
            settings.policies
        ),
        x_label: "Pulls (episodes played to choose)".into(),
        y_label: format!("Mean {unit} of the chosen policy"),
        series: vec![Series {
            label: "chosen by UCB".into(),
            x: (0..curve.mean.len()).map(|t| t as f64).collect(),
            y: curve.mean.clone(),
            band,
        }],
        references: vec![
            ("drawn blindly".into(), curve.mean[0]),
            ("by all episodes".into(), curve.limit),
        ],
        log_y: false,
    }
}
