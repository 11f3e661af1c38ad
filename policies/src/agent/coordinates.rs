//! The coordinates that networks see: affine normalisation of observations, and latent actions.
//!
//! Actions live in (-1, 1); the prior models u = atanh(clip(a, ±0.999)), standardised per dimension. The map is a
//! bijection on the clipped range, so exp(Q(s, a)/α) needs no Jacobian.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

/// Largest |a| before the inverse hyperbolic tangent.
pub const ACTION_CLIP: f32 = 0.999;

/// x ↦ (x − mean)/std per column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalizer {
    /// Mean of each column of the data.
    pub mean: Vec<f32>,
    /// Column standard deviations, at least 1e-3.
    pub std: Vec<f32>,
}

impl Normalizer {
    /// Fits mean and standard deviation to rows of `width` values.
    pub fn fit(values: &[f32], width: usize) -> Self {
        let rows = (values.len() / width).max(1) as f64;
        let (mut mean, mut square) = (vec![0.0f64; width], vec![0.0f64; width]);
        for row in values.chunks_exact(width) {
            for (m, &v) in mean.iter_mut().zip(row) {
                *m += f64::from(v) / rows;
            }
        }
        for row in values.chunks_exact(width) {
            for ((s, m), &v) in square.iter_mut().zip(&mean).zip(row) {
                *s += (f64::from(v) - m).powi(2) / rows;
            }
        }
        Self {
            mean: mean.iter().map(|&m| m as f32).collect(),
            std: square
                .iter()
                .map(|&s| (s.sqrt() as f32).max(1e-3))
                .collect(),
        }
    }

    /// Normalises rows in place.
    pub fn apply(&self, values: &mut [f32]) {
        for row in values.chunks_exact_mut(self.mean.len()) {
            for ((v, m), s) in row.iter_mut().zip(&self.mean).zip(&self.std) {
                *v = (*v - m) / s;
            }
        }
    }

    /// Returns to the data's own units, in place: x·std + mean.
    pub(crate) fn invert(&self, values: &mut [f32]) {
        for row in values.chunks_exact_mut(self.mean.len()) {
            for ((v, m), s) in row.iter_mut().zip(&self.mean).zip(&self.std) {
                *v = *v * s + m;
            }
        }
    }
}

/// The coordinates a diffusion policy works in.
#[derive(Clone, Debug, PartialEq)]
pub struct Coordinates {
    /// Normalisation of observations.
    pub observation: Normalizer,
    /// Normalisation of u = atanh(a).
    pub action: Normalizer,
}

impl Coordinates {
    /// Returns normalised observations, each `count` times in a row.
    pub(crate) fn conditions(&self, observations: ArrayView2<'_, f32>, count: usize) -> Vec<f32> {
        let mut normalized: Vec<f32> = observations.iter().copied().collect();
        self.observation.apply(&mut normalized);
        let rows = normalized.chunks_exact(observations.ncols());
        rows.flat_map(|row| row.repeat(count)).collect()
    }

    /// Turns latent samples [rows · action_dim] into actions in (-1, 1).
    pub fn actions(&self, mut latent: Vec<f32>) -> Vec<f32> {
        self.action.invert(&mut latent);
        for u in &mut latent {
            *u = u.tanh();
        }
        latent
    }
}

/// Returns atanh of each action after clipping to ±[`ACTION_CLIP`].
pub fn latent_actions(actions: &[f32]) -> Vec<f32> {
    actions
        .iter()
        .map(|a| a.clamp(-ACTION_CLIP, ACTION_CLIP).atanh())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applying_and_inverting_returns_the_values() {
        let values = [1.0, 10.0, 3.0, 30.0, 5.0, -20.0];
        let normalizer = Normalizer::fit(&values, 2);
        let mut there = values;
        normalizer.apply(&mut there);
        normalizer.invert(&mut there);
        assert!(values.iter().zip(&there).all(|(a, b)| (a - b).abs() < 1e-4));
    }

    #[test]
    fn an_action_at_its_bound_has_a_finite_latent() {
        assert!(latent_actions(&[1.0])[0].is_finite());
    }
}
