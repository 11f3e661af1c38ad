//! Policies: batches of observations in, batches of actions out.

use burn::tensor::Device;
use ndarray::{Array2, ArrayView2};

use crate::acting::FrozenPolicy;
use crate::gaussian::GaussianDiffusion;
use crate::iql::Iql;
use crate::nets::{host, matrix};
use crate::noise::Noise;
use crate::normalizer::Normalizer;

/// Anything that acts.
pub trait Policy: Sync {
    /// Returns actions [rows, action_dim] in [-1, 1] for observations [rows, observation_dim].
    ///
    /// Row i draws from stream i of `noise` alone.
    fn act(&self, observations: ArrayView2<'_, f32>, noise: &mut Noise) -> Array2<f32>;
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
    /// Turns latent samples [rows · action_dim] into actions in (-1, 1).
    pub fn actions(&self, mut latent: Vec<f32>) -> Vec<f32> {
        self.action.invert(&mut latent);
        for u in &mut latent {
            *u = u.tanh();
        }
        latent
    }
}

/// How an action is chosen among samples of the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Choice {
    /// One sample: what the model says.
    Sample,
    /// The sample of highest Q out of n.
    BestOf(usize),
    /// One of n, drawn with probability ∝ exp(Q/α): self-normalised importance resampling.
    Resample(usize, f64),
}

/// A diffusion model with its coordinates and, for choices by value, a critic.
pub struct DiffusionPolicy<'a> {
    /// The model.
    pub model: &'a GaussianDiffusion,
    /// Its coordinates.
    pub coordinates: &'a Coordinates,
    /// The critic, needed unless the choice is `Sample`.
    pub critic: Option<&'a Iql>,
    /// How an action is chosen.
    pub choice: Choice,
}

impl DiffusionPolicy<'_> {
    fn pick(
        &self,
        observations: &[f32],
        candidates: &[f32],
        count: usize,
        noise: &mut Noise,
    ) -> Vec<usize> {
        let critic = self.critic.expect("a choice by value needs a critic");
        let values = critic.advantage_of(observations, candidates);
        let draws = match self.choice {
            Choice::Resample(..) => noise.uniforms(),
            _ => Vec::new(),
        };
        values
            .chunks_exact(count)
            .enumerate()
            .map(|(row, q)| {
                let best = (0..count).fold(0, |best, i| if q[i] > q[best] { i } else { best });
                let Choice::Resample(_, alpha) = self.choice else {
                    return best;
                };
                let weights: Vec<f64> = q.iter().map(|v| ((v - q[best]) / alpha).exp()).collect();
                let mut left = draws[row] * weights.iter().sum::<f64>();
                weights
                    .iter()
                    .position(|w| {
                        left -= w;
                        left < 0.0
                    })
                    .unwrap_or(count - 1)
            })
            .collect()
    }
}

impl Policy for DiffusionPolicy<'_> {
    fn act(&self, observations: ArrayView2<'_, f32>, noise: &mut Noise) -> Array2<f32> {
        let device: Device = self.model.net.parameters.device().inner();
        let (rows, width) = observations.dim();
        let count = match self.choice {
            Choice::Sample => 1,
            Choice::BestOf(n) | Choice::Resample(n, _) => n.max(1),
        };
        let mut normalized: Vec<f32> = observations.iter().copied().collect();
        self.coordinates.observation.apply(&mut normalized);
        let mut repeated = Vec::with_capacity(rows * count * width);
        for row in normalized.chunks_exact(width) {
            for _ in 0..count {
                repeated.extend_from_slice(row);
            }
        }
        let dim = self.model.dim;
        let latent = match FrozenPolicy::of(self.model) {
            Some(frozen) => frozen.sample(&repeated, noise),
            None => {
                let condition = matrix(repeated.clone(), width, &device);
                host(self.model.sample_by_tensors(&condition, noise))
            }
        };
        let candidates = self.coordinates.actions(latent);
        let actions = if self.choice == Choice::Sample {
            candidates
        } else {
            let picks = self.pick(&repeated, &candidates, count, noise);
            picks
                .iter()
                .enumerate()
                .flat_map(|(row, &i)| {
                    candidates[(row * count + i) * dim..(row * count + i + 1) * dim].to_vec()
                })
                .collect()
        };
        Array2::from_shape_vec((rows, dim), actions).expect("one action per row")
    }
}
