//! The gradient of a critic as the guidance term of a posterior (arXiv:2405.20971, eq. 11).
//!
//! log r(x, s) = Q(s, tanh(u))/α with u = std · x + mean. The gradient is taken at the noisy state itself, on the host:
//! nothing flows back into the critic. How much of it enters a step is learned, from zero.

use std::sync::Arc;

use crate::gaussian::ExactDenoiser;
use crate::iql::Iql;
use crate::kernels::mlp::{MlpSpec, backward, forward};
use crate::nets::host;
use crate::policy::Coordinates;

/// Rows whose gradient is longer are scaled to this length, so that no far state throws a path away.
pub const LONGEST: f32 = 20.0;

/// The critic's target networks as plain numbers.
struct Members {
    networks: Vec<(Arc<MlpSpec>, Vec<f32>)>,
    lcb: f64,
    action_dim: usize,
}

impl Members {
    /// ∂Q/∂a [rows, action_dim] of the conservative Q, from inputs [observation, action].
    fn action_gradient(&self, input: &[f32], rows: usize) -> Vec<f32> {
        let passes: Vec<_> = self
            .networks
            .iter()
            .map(|(spec, parameters)| forward(spec, parameters, input, true))
            .collect();
        let width = input.len() / rows.max(1);
        let mut out = vec![0.0f32; rows * self.action_dim];
        for (index, (spec, parameters)) in self.networks.iter().enumerate() {
            let share: Vec<f32> = (0..rows)
                .map(|row| {
                    let values: Vec<f64> = passes.iter().map(|p| f64::from(p.0[row])).collect();
                    self.share(index, &values) as f32
                })
                .collect();
            let kept = passes[index].1.as_ref().expect("asked to keep activations");
            let gradient = backward(spec, parameters, input, kept, &share, true).1;
            let gradient = gradient.expect("asked for the input's gradient");
            for (to, from) in out
                .chunks_exact_mut(self.action_dim)
                .zip(gradient.chunks_exact(width))
            {
                for (t, f) in to.iter_mut().zip(&from[width - self.action_dim..]) {
                    *t += f;
                }
            }
        }
        out
    }

    /// ∂Q/∂q_i of the conservative Q = min q, or mean q − lcb · std q.
    fn share(&self, index: usize, values: &[f64]) -> f64 {
        if self.lcb <= 0.0 {
            let lowest =
                (0..values.len()).fold(0, |b, i| if values[i] < values[b] { i } else { b });
            return f64::from(u8::from(lowest == index));
        }
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let std = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        1.0 / n - self.lcb * (values[index] - mean) / (n * std.max(1e-9))
    }
}

/// Returns ∇_x log r of latent states [rows, action_dim] given normalised observations, for
/// [`Kernel::guidance`](crate::gaussian::Kernel::guidance).
pub fn critic_gradient(critic: &Iql, coordinates: &Coordinates, alpha: f64) -> Arc<ExactDenoiser> {
    let members = Members {
        networks: critic
            .advantage
            .as_ref()
            .map_or(&critic.target, |a| &a.nets)
            .iter()
            .map(|net| (net.spec.clone(), host(net.parameters.clone())))
            .collect(),
        lcb: critic.config.lcb,
        action_dim: critic.action_dim,
    };
    let unit = critic.advantage.as_ref().map_or(1.0, |a| a.unit);
    let latent = coordinates.action.clone();
    Arc::new(move |x: &[f32], _: &[usize], observations: &[f32]| {
        let dim = members.action_dim;
        let rows = x.len() / dim;
        let mut actions = x.to_vec();
        latent.invert(&mut actions);
        actions.iter_mut().for_each(|u| *u = u.tanh());
        let width = observations.len() / rows.max(1);
        let mut input = Vec::with_capacity(rows * (width + dim));
        for (o, a) in observations
            .chunks_exact(width)
            .zip(actions.chunks_exact(dim))
        {
            input.extend_from_slice(o);
            input.extend_from_slice(a);
        }
        let mut gradient = members.action_gradient(&input, rows);
        for (g, a) in gradient
            .chunks_exact_mut(dim)
            .zip(actions.chunks_exact(dim))
        {
            for ((g, a), std) in g.iter_mut().zip(a).zip(&latent.std) {
                *g *= (1.0 - a * a) * std * (unit / alpha) as f32;
            }
            let length = g.iter().map(|v| v * v).sum::<f32>().sqrt();
            if length > LONGEST {
                g.iter_mut().for_each(|v| *v *= LONGEST / length);
            }
        }
        gradient
    })
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::iql::IqlConfig;
    use crate::noise::Noise;
    use crate::normalizer::Normalizer;

    /// Central differences of log r agree with the gradient, for the minimum and for the lower confidence bound.
    #[test]
    fn the_gradient_is_that_of_the_reward() {
        for lcb in [0.0, 1.0] {
            let config = IqlConfig {
                updates: 0,
                batch_size: 1,
                hidden: vec![16, 16],
                layer_norm: true,
                learning_rate: 1e-3,
                expectile: 0.7,
                discount: 0.9,
                num_steps: 1,
                target_rate: 0.1,
                ensemble: 3,
                lcb,
                advantage_updates: 0,
                caution: 1.0,
            };
            let critic = Iql::new(config, 3, 2, 7, &Device::flex());
            let coordinates = Coordinates {
                observation: Normalizer {
                    mean: vec![0.0; 3],
                    std: vec![1.0; 3],
                },
                action: Normalizer {
                    mean: vec![0.2, -0.1],
                    std: vec![0.7, 1.3],
                },
            };
            let alpha = 0.05;
            let gradient = critic_gradient(&critic, &coordinates, alpha);
            let mut noise = Noise::keyed(3, "guidance-test", 0);
            let (x, observations) = (noise.normals(5, 2), noise.normals(5, 3));
            let found = gradient(&x, &[0; 5], &observations);
            let log_r =
                |x: &[f32]| critic.value_of(&observations, &coordinates.actions(x.to_vec()));
            for i in 0..x.len() {
                let (mut up, mut down) = (x.clone(), x.clone());
                up[i] += 1e-3;
                down[i] -= 1e-3;
                let slope = (log_r(&up)[i / 2] - log_r(&down)[i / 2]) / 2e-3 / alpha;
                let error = (slope - f64::from(found[i])).abs();
                assert!(error < 0.05 * slope.abs().max(1.0), "{slope} {}", found[i]);
            }
        }
    }
}
