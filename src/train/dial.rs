//! The dial: one posterior for a range of temperatures, which sees log(β/β₀) as one more column of its conditions.
//!
//! β = 1/α, and β₀ is that of the middle, the α of `finetune.alpha` or `finetune.alpha_in_std`. Each state of an update draws its
//! own β, and its Q is multiplied by β/β₀, so that log r = Q β/β₀ / α₀ = Q/α: the fine-tuner knows of no dial.

use serde::{Deserialize, Serialize};
use tiltrl_policies::models::GaussianDiffusion;
use tiltrl_tilt::noise::Noise;

use crate::config::Config;
use crate::error::Error;

/// The range of temperatures that one posterior is trained on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dial {
    /// Lowest α as a factor of the middle's, at most 1.
    pub low: f64,
    /// Highest α as a factor of the middle's, at least 1.
    pub high: f64,
    /// α of the middle, in the critic's units.
    pub middle: f64,
    /// Reward per unit of the critic: α as a price is α in the critic's units times this.
    pub unit: f64,
}

impl Dial {
    /// Returns the dial of a config around `middle`, α in the critic's units; none where the config asks for none.
    pub fn of(config: &Config, middle: f64, unit: f64) -> Option<Self> {
        let [low, high] = *config.finetune.dial.first_chunk()?;
        Some(Self {
            low,
            high,
            middle,
            unit,
        })
    }

    /// What log(β/β₀) is divided by to lie in -1 … 1.
    fn scale(&self) -> f64 {
        (-self.low.ln()).max(self.high.ln())
    }

    /// Returns what the posterior sees of an α in the critic's units.
    pub fn setting(&self, alpha: f64) -> f32 {
        ((self.middle / alpha).ln() / self.scale()) as f32
    }

    /// Returns β/β₀ of what the posterior sees.
    pub fn ratio(&self, setting: f32) -> f64 {
        (f64::from(setting) * self.scale()).exp()
    }

    /// Returns settings of `rows` states, each log-uniform over the range; together they are spread evenly, one in each part of it.
    pub fn draw(&self, rows: usize, noise: &mut Noise) -> Vec<f32> {
        let (low, high) = (self.low.ln(), self.high.ln());
        let one = |i: usize| {
            let share = (i as f64 + noise.uniform()) / rows as f64;
            (-(low + share * (high - low)) / self.scale()) as f32
        };
        (0..rows).map(one).collect()
    }

    /// Returns `count` temperatures in the critic's units, evenly spaced in log α, from the lowest to the highest; `margin` is left
    /// free at either end, in log α.
    pub fn alphas(&self, count: usize, margin: f64) -> Vec<f64> {
        let (low, high) = (self.low.ln() + margin, self.high.ln() - margin);
        let share = |i: usize| i as f64 / (count - 1).max(1) as f64;
        let factor = |i| (low + share(i) * (high - low)).exp();
        (0..count).map(|i| self.middle * factor(i)).collect()
    }

    /// Returns α in the critic's units of a price in reward per nat.
    ///
    /// # Errors
    /// [`Error::Usage`] when it is outside the range, which is named.
    pub fn alpha_of(&self, price: f64) -> Result<f64, Error> {
        let alpha = price / self.unit;
        let factor = alpha / self.middle;
        // What is printed of an end is rounded.
        let inside = (self.low * (1.0 - 1e-3)..=self.high * (1.0 + 1e-3)).contains(&factor);
        if inside {
            return Ok(alpha);
        }
        let [low, high] = [self.low, self.high].map(|f| self.unit * self.middle * f);
        Err(Error::Usage(format!(
            "--alpha: expected {low:.4} to {high:.4} reward per nat, the range of this posterior's dial, found {price}\n  hint: `finetune.dial` sets the range before training"
        )))
    }

    /// Returns α in words, in both units.
    pub fn words(&self, alpha: f64) -> String {
        format!(
            "temperature α: {:.4} reward per nat, {alpha:.4} in the critic's units ({:.3} of the middle)",
            alpha * self.unit,
            alpha / self.middle
        )
    }
}

/// A posterior over conditions with the dial's column.
#[derive(Clone)]
pub struct Dialled {
    /// The model that sees the dial in its last column.
    pub model: GaussianDiffusion,
    /// What its last column means.
    pub dial: Dial,
}

impl Dialled {
    /// Returns the posterior of one α in the critic's units, over observations alone.
    pub fn at(&self, alpha: f64) -> GaussianDiffusion {
        let setting = self.dial.setting(alpha);
        let found = self.model.at_condition_column(setting);
        found.expect("it was trained with the column")
    }
}

/// Returns rows [rows, width] with one more column.
pub fn with_column(rows: &[f32], width: usize, column: &[f32]) -> Vec<f32> {
    let rows = rows.chunks_exact(width).zip(column);
    rows.flat_map(|(row, &last)| row.iter().copied().chain([last]))
        .collect()
}

/// Returns rows [rows, width + 1] without their last column, and the column.
pub fn split_column(rows: &[f32], width: usize) -> (Vec<f32>, Vec<f32>) {
    let rows = rows.chunks_exact(width + 1);
    let own = rows.clone().flat_map(|row| &row[..width]).copied();
    (own.collect(), rows.map(|row| row[width]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIAL: Dial = Dial {
        low: 0.25,
        high: 2.0,
        middle: 0.3,
        unit: 10.0,
    };

    /// The value of a row times β/β₀ over the middle's α is the value over the row's own α.
    #[test]
    fn a_setting_and_its_ratio_are_one_temperature() {
        for alpha in [0.075, 0.1, 0.3, 0.6] {
            let setting = DIAL.setting(alpha);
            assert!(setting.abs() <= 1.0);
            let of_row = DIAL.ratio(setting) / DIAL.middle;
            assert!((of_row * alpha - 1.0).abs() < 1e-6, "{alpha}");
        }
        assert_eq!(DIAL.setting(DIAL.middle), 0.0);
        assert_eq!(DIAL.setting(0.075), 1.0);
    }

    #[test]
    fn draws_fill_the_range_evenly_in_log_alpha() {
        let mut noise = Noise::keyed(1, "dial", 0);
        let drawn = DIAL.draw(1000, &mut noise);
        let logs: Vec<f64> = drawn.iter().map(|&s| -DIAL.ratio(s).ln()).collect();
        let (low, high) = (0.25f64.ln(), 2f64.ln());
        assert!(logs.iter().all(|l| (low - 1e-6..=high + 1e-6).contains(l)));
        let mean = logs.iter().sum::<f64>() / 1000.0;
        assert!((mean - 0.5 * (low + high)).abs() < 1e-2, "{mean}");
    }

    #[test]
    fn a_price_outside_the_range_is_refused_with_the_range() {
        assert!((DIAL.alpha_of(3.0).expect("the middle") - 0.3).abs() < 1e-12);
        for price in [0.75, 6.0] {
            DIAL.alpha_of(price).expect("an end");
        }
        for price in [0.7, 6.1, 0.0, -1.0, f64::NAN] {
            let error = DIAL.alpha_of(price).expect_err("outside").to_string();
            assert!(error.contains("0.7500 to 6.0000"), "{error}");
        }
        let found = DIAL.alphas(3, 0.0);
        assert!((found[0] - 0.075).abs() < 1e-12 && (found[2] - 0.6).abs() < 1e-12);
    }

    #[test]
    fn columns_come_and_go() {
        let rows = [1.0, 2.0, 3.0, 4.0];
        let wide = with_column(&rows, 2, &[8.0, 9.0]);
        assert_eq!(wide, [1.0, 2.0, 8.0, 3.0, 4.0, 9.0]);
        let (own, column) = split_column(&wide, 2);
        assert_eq!(
            (own.as_slice(), column.as_slice()),
            (&rows[..], &[8.0, 9.0][..])
        );
    }
}
