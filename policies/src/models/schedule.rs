//! Memoryless noise schedules and the coefficients of the reverse chain.
//!
//! Step k of T takes x_k (diffusion time t = T − k) to x_{k+1} = a_k x_k + b_k out + σ_k z, where `out` is the
//! network's v (arXiv:2202.00512) or ε. A schedule must be memoryless, ᾱ_T < 1e-3 (arXiv:2409.08861):
//! otherwise the noise x_0 and the sample stay correlated under the prior and no posterior that
//! keeps p(x_0) fixed can be exact.

use serde::{Deserialize, Serialize};

use tiltrl_tilt::TiltError;

/// What the network predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prediction {
    /// v = √ᾱ ε − √(1 − ᾱ) x
    Velocity,
    /// The noise ε that was added to the sample.
    Epsilon,
}

/// Family of noise schedules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// ᾱ falls along a squared cosine (arXiv:2102.09672).
    Cosine,
    /// Linear β from 1e-4 to 0.02, rescaled by 1000/T.
    Linear,
    /// Linear β without rescaling: NOT memoryless for small T; refused by [`Schedule::new`].
    UnscaledLinear,
}

/// Noise levels and reverse-step coefficients, index k = 0 … T − 1 from noise to sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// ᾱ_t for t = 0 … T (ᾱ_0 = 1).
    pub alpha_bar: Vec<f64>,
    /// What the network predicts.
    pub prediction: Prediction,
    /// Standard deviation of step k.
    pub sigma: Vec<f64>,
}

/// Largest ᾱ_T that counts as memoryless.
pub(crate) const MEMORYLESS: f64 = 1e-3;

/// Smallest standard deviation of a step.
pub(crate) const MIN_SIGMA: f64 = 1e-2;

impl Schedule {
    /// Returns a memoryless schedule of `num_steps` steps.
    ///
    /// # Errors
    /// When ᾱ_T ≥ 1e-3.
    pub fn new(
        kind: ScheduleKind,
        num_steps: usize,
        prediction: Prediction,
    ) -> Result<Self, TiltError> {
        let schedule = Self::unchecked(kind, num_steps, prediction);
        let last = schedule.alpha_bar[num_steps];
        if last >= MEMORYLESS {
            return Err(TiltError::Model(format!(
                "schedule {kind:?} with {num_steps} steps is not memoryless: ᾱ_T = {last:.4}, expected below {MEMORYLESS}\n  hint: use the cosine schedule or more steps"
            )));
        }
        Ok(schedule)
    }

    /// Returns any schedule, memoryless or not: for negative controls in tests only.
    pub fn unchecked(kind: ScheduleKind, num_steps: usize, prediction: Prediction) -> Self {
        let steps = num_steps as f64;
        let beta = |t: usize| -> f64 {
            let f = |t: f64| {
                ((t / steps + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2)
                    .cos()
                    .powi(2)
            };
            let scale = if kind == ScheduleKind::Linear {
                1000.0 / steps
            } else {
                1.0
            };
            let share = if num_steps > 1 {
                (t - 1) as f64 / (steps - 1.0)
            } else {
                1.0
            };
            match kind {
                ScheduleKind::Cosine => (1.0 - f(t as f64) / f(t as f64 - 1.0)).min(0.999),
                _ => (scale * (1e-4 + share * (0.02 - 1e-4))).min(0.999),
            }
        };
        let mut alpha_bar = vec![1.0];
        for t in 1..=num_steps {
            alpha_bar.push(alpha_bar[t - 1] * (1.0 - beta(t)));
        }
        let mut schedule = Self {
            alpha_bar,
            prediction,
            sigma: Vec::new(),
        };
        schedule.sigma = (0..num_steps)
            .map(|k| schedule.small_variance(k).sqrt().max(MIN_SIGMA))
            .collect();
        schedule
    }

    /// Returns T, how many denoising steps there are.
    pub(crate) fn num_steps(&self) -> usize {
        self.alpha_bar.len() - 1
    }

    /// β̃ of step k; the last step, whose β̃ is 0, takes half of its β.
    fn small_variance(&self, k: usize) -> f64 {
        let (now, next) = (
            self.alpha_bar[self.num_steps() - k],
            self.alpha_bar[self.num_steps() - k - 1],
        );
        let beta = 1.0 - now / next;
        if next == 1.0 {
            0.5 * beta
        } else {
            beta * (1.0 - next) / (1.0 - now)
        }
    }

    /// Returns the weights of x̂ (the predicted sample) and x_k in the mean of step k.
    pub(crate) fn mean_weights(&self, k: usize) -> [f64; 2] {
        let (now, next) = (
            self.alpha_bar[self.num_steps() - k],
            self.alpha_bar[self.num_steps() - k - 1],
        );
        let alpha = now / next;
        [
            next.sqrt() * (1.0 - alpha) / (1.0 - now),
            alpha.sqrt() * (1.0 - next) / (1.0 - now),
        ]
    }

    /// Returns (a, b) with mean = a x_k + b out.
    pub fn coefficients(&self, k: usize) -> [f64; 2] {
        let [sample, state] = self.mean_weights(k);
        let now = self.alpha_bar[self.num_steps() - k];
        match self.prediction {
            Prediction::Velocity => [state + sample * now.sqrt(), -sample * (1.0 - now).sqrt()],
            Prediction::Epsilon => [
                state + sample / now.sqrt(),
                -sample * ((1.0 - now) / now).sqrt(),
            ],
        }
    }

    /// Sets each σ to the optimum for the fitted network (Analytic-DPM, arXiv:2201.06503).
    ///
    /// `residual[t − 1]` is the mean squared error of x̂ per dimension at time t, which estimates Var(x_T | x_k):
    /// σ² = β̃ + w² · residual, with w the weight of x̂.
    pub(crate) fn fit_variance(&mut self, residual: &[f64]) {
        let steps = self.num_steps();
        for k in 0..steps {
            let (now, next) = (self.alpha_bar[steps - k], self.alpha_bar[steps - k - 1]);
            let base = (1.0 - now / next) * (1.0 - next) / (1.0 - now);
            let weight = self.mean_weights(k)[0];
            self.sigma[k] = (base + weight * weight * residual[steps - k - 1])
                .sqrt()
                .max(MIN_SIGMA);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_failure_03_a_schedule_with_memory_is_refused() {
        for steps in [5, 10, 20, 75, 100] {
            for kind in [ScheduleKind::Cosine, ScheduleKind::Linear] {
                assert!(
                    Schedule::new(kind, steps, Prediction::Velocity).is_ok(),
                    "{kind:?} {steps}"
                );
            }
        }
        assert!(Schedule::new(ScheduleKind::UnscaledLinear, 75, Prediction::Epsilon).is_err());
        let public = Schedule::unchecked(ScheduleKind::UnscaledLinear, 75, Prediction::Epsilon);
        assert!(
            (public.alpha_bar[75] - 0.454).abs() < 0.02,
            "{}",
            public.alpha_bar[75]
        );
    }

    #[test]
    fn silent_failure_13_every_step_is_noisy() {
        for steps in [5, 20, 100] {
            for kind in [ScheduleKind::Cosine, ScheduleKind::Linear] {
                let schedule = Schedule::unchecked(kind, steps, Prediction::Velocity);
                assert!(schedule.sigma.iter().all(|&s| s > 1e-4));
            }
        }
    }

    #[test]
    fn both_predictions_give_the_same_mean() {
        let (x, clean, noise) = (0.3f64, -0.8f64, 1.1f64);
        let velocity = Schedule::unchecked(ScheduleKind::Cosine, 10, Prediction::Velocity);
        let epsilon = Schedule {
            prediction: Prediction::Epsilon,
            ..velocity.clone()
        };
        for k in 1..10 {
            let now = velocity.alpha_bar[10 - k];
            let x = x + now.sqrt() * clean + (1.0 - now).sqrt() * noise - 0.3;
            let v = now.sqrt() * noise - (1.0 - now).sqrt() * clean;
            let [a, b] = velocity.coefficients(k);
            let [c, d] = epsilon.coefficients(k);
            assert!((a * x + b * v - c * x - d * noise).abs() < 1e-9);
        }
    }
}
