//! The gradient of a critic as the guidance term of a posterior (arXiv:2405.20971, eq. 11).
//!
//! log r(x, s) = Q(s, tanh(u))/α with u = std · x + mean. The gradient is taken at the noisy state itself, on the host:
//! nothing flows back into the critic. How much of it enters a step is learned, from zero.

use std::sync::Arc;

use super::coordinates::Coordinates;
use super::critic::Critic;
use crate::fast::HostField;

/// Rows whose gradient is longer are scaled to this length, so that no far state throws a path away.
pub(crate) const LONGEST: f32 = 20.0;

/// Returns ∇_x log r of latent states [rows, action_dim] given normalised observations, for
/// [`StepShape::guidance`](crate::models::StepShape::guidance).
pub fn critic_gradient(
    critic: &Arc<dyn Critic>,
    coordinates: &Coordinates,
    alpha: f64,
) -> Arc<HostField> {
    let (critic, latent) = (critic.clone(), coordinates.action.clone());
    Arc::new(move |x: &[f32], _: &[usize], observations: &[f32]| {
        let dim = latent.mean.len();
        let mut actions = x.to_vec();
        latent.invert(&mut actions);
        actions.iter_mut().for_each(|u| *u = u.tanh());
        let mut gradient = critic.gradient(observations, &actions);
        let rows = gradient.chunks_exact_mut(dim);
        for (g, a) in rows.zip(actions.chunks_exact(dim)) {
            for ((g, a), std) in g.iter_mut().zip(a).zip(&latent.std) {
                *g *= (1.0 - a * a) * std / alpha as f32;
            }
            let length = g.iter().map(|v| v * v).sum::<f32>().sqrt();
            if length > LONGEST {
                g.iter_mut().for_each(|v| *v *= LONGEST / length);
            }
        }
        gradient
    })
}
