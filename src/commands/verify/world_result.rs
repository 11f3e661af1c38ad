//! The result of one world, and what it must meet.

use serde::Serialize;
use tiltrl_policies::worlds::Measured;

/// What a result must meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Requirement {
    /// |Δlog Z| < 0.02, ESS/N > 0.9, mode-mass error < 10 %.
    Exact,
    /// |Δlog Z| < 0.02, energy distance below twice its sampling floor.
    Shape,
    /// |Δlog Z| < 0.02, total variation < 0.05.
    Strings,
    /// A mean that moves by 0.55 ± 0.08 of what it should: a schedule with memory.
    Control,
}

/// One world's result.
#[derive(Clone, Debug, Serialize)]
pub struct WorldResult {
    /// Name of the world.
    pub world: String,
    /// What it must meet.
    pub requirement: Requirement,
    /// Its numbers; the worst evaluation condition of each.
    #[serde(flatten)]
    pub measured: Measured,
    /// Total variation to the enumerated posterior, for strings.
    pub total_variation: Option<f64>,
    /// Mean shift over the exact one, for the control.
    pub shift: Option<f64>,
    /// Wall seconds of training and comparing.
    pub seconds: f64,
    /// Whether it meets its requirement.
    pub passed: bool,
    /// Samples of the model and exact ones, for pictures.
    #[serde(skip)]
    pub pictures: Option<[Vec<[f64; 2]>; 2]>,
}

impl WorldResult {
    /// Returns the result with its judgement.
    pub fn judged(mut self) -> Self {
        let m = &self.measured;
        let log_z = m.log_z_error < 0.02;
        self.passed = match self.requirement {
            Requirement::Exact => log_z && m.ess > 0.9 && m.mode_error < 0.1,
            Requirement::Shape => log_z && m.energy < 2.0 * m.floor,
            Requirement::Strings => log_z && self.total_variation.is_some_and(|t| t < 0.05),
            Requirement::Control => self.shift.is_some_and(|s| (s - 0.55).abs() < 0.08),
        };
        self
    }

    /// Returns the row of the printed table.
    pub fn line(&self) -> String {
        let m = &self.measured;
        let or_dash = |value: Option<f64>| value.map_or("–".into(), |v| format!("{v:.3}"));
        let modes = match self.requirement {
            Requirement::Exact => format!("{:.1}%", 100.0 * m.mode_error),
            _ => "–".into(),
        };
        let energy = match self.requirement {
            Requirement::Strings => "–".into(),
            _ => format!("{:.4}/{:.4}", m.energy, m.floor),
        };
        format!(
            "{:<40} {:>8.4} {:>6.3} {modes:>7} {energy:>15} {:>6} {:>6} {:>7.1}  {}",
            self.world,
            m.log_z_error,
            m.ess,
            or_dash(self.total_variation),
            or_dash(self.shift),
            self.seconds,
            if self.passed { "yes" } else { "NO" }
        )
    }
}
