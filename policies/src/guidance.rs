//! The gradient of a critic as the guidance term of a posterior (arXiv:2405.20971, eq. 11).
//!
//! log r(x, s) = Q(s, tanh(u))/α with u = std · x + mean. The gradient is taken at the noisy state itself, on the host:
//! nothing flows back into the critic. How much of it enters a step is learned, from zero.

use std::sync::Arc;

use crate::gaussian::ExactDenoiser;
use crate::iql::Iql;
use crate::kernels::mlp::rows_per_shard;
use crate::kernels::parallel::for_each;
use crate::kernels::pass::{self, Net, Workspace};
use crate::kernels::train::Packing;
use crate::nets::{Mlp, host};
use crate::policy::Coordinates;

/// Rows whose gradient is longer are scaled to this length, so that no far state throws a path away.
pub const LONGEST: f32 = 20.0;

/// A network with its weights packed once, for both directions.
struct Member {
    packing: Packing,
    parameters: Vec<f32>,
}

impl Member {
    fn new(net: &Mlp) -> Self {
        let parameters = host(net.parameters.clone());
        let mut packing = Packing::new(&net.spec);
        packing.pack(&parameters, false);
        packing.pack_for_input(&parameters);
        Self {
            packing,
            parameters,
        }
    }

    fn net(&self) -> Net<'_> {
        self.packing.net(&self.parameters)
    }
}

/// The critic's target networks.
struct Members {
    networks: Vec<Member>,
    lcb: f64,
    action_dim: usize,
}

impl Members {
    /// ∂Q/∂a [rows, action_dim] of the conservative Q, from inputs [observation, action].
    fn action_gradient(&self, input: &[f32], rows: usize) -> Vec<f32> {
        let width = input.len() / rows.max(1);
        let mut out = vec![0.0f32; rows * self.action_dim];
        let shard = rows_per_shard(rows);
        let jobs = input.chunks((shard * width).max(1));
        let jobs = jobs.zip(out.chunks_mut(shard * self.action_dim)).collect();
        for_each(jobs, |(input, out)| self.shard(input, width, out));
        out
    }

    fn shard(&self, input: &[f32], width: usize, out: &mut [f32]) {
        let rows = input.len() / width;
        let passes = self.networks.iter().map(|member| {
            let (mut work, mut values) = (Workspace::take(), vec![0.0; rows]);
            pass::forward(member.net(), input, &mut values, &mut work, true);
            (work, values)
        });
        let mut passes: Vec<_> = passes.collect();
        let shares: Vec<Vec<f32>> = (0..self.networks.len())
            .map(|index| {
                let of_row = |row: usize| {
                    let values: Vec<f64> = passes.iter().map(|p| f64::from(p.1[row])).collect();
                    self.share(index, &values) as f32
                };
                (0..rows).map(of_row).collect()
            })
            .collect();
        let mut gradient = vec![0.0; input.len()];
        for ((member, (work, _)), share) in self.networks.iter().zip(&mut passes).zip(&shares) {
            let kept = (work, (0, false));
            pass::backward_at(member.net(), input, kept, share, &mut gradient, &mut []);
            let rows = gradient.chunks_exact(width);
            for (to, from) in out.chunks_exact_mut(self.action_dim).zip(rows) {
                for (t, f) in to.iter_mut().zip(&from[width - self.action_dim..]) {
                    *t += f;
                }
            }
        }
        passes.into_iter().for_each(|(work, _)| work.give_back());
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
            .map(Member::new)
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
