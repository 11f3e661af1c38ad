//! The data of a run, prepared once: normalised observations, latent actions, scaled rewards.

use tiltrl_policies::normalizer::{Normalizer, latent_actions};
use tiltrl_policies::policy::Coordinates;

use crate::data::Dataset;
use crate::error::Error;

/// Transitions in the coordinates that networks see, row-major.
pub struct Material {
    /// Width of an observation.
    pub observation_dim: usize,
    /// Width of an action.
    pub action_dim: usize,
    /// Normalised observations.
    pub observations: Vec<f32>,
    /// Normalised next observations.
    pub next_observations: Vec<f32>,
    /// Actions in [-1, 1].
    pub actions: Vec<f32>,
    /// Standardised atanh of the actions.
    pub latents: Vec<f32>,
    /// Rewards times 1000/(largest − smallest episode return), as IQL scales locomotion.
    pub rewards: Vec<f32>,
    /// 1 where the episode ended for good.
    pub terminals: Vec<f32>,
    /// Whether the next row goes on with the same episode.
    pub continues: Vec<bool>,
    /// Fitted normalisation.
    pub coordinates: Coordinates,
}

impl Material {
    /// Prepares a data set.
    ///
    /// # Errors
    /// When it holds no transition.
    pub fn new(dataset: &Dataset) -> Result<Self, Error> {
        let returns = dataset.episode_returns();
        let transitions = dataset.transitions();
        if transitions.is_empty() {
            return Err(Error::Run(
                "the data set holds no transition\n  hint: see `tiltrl data FILE`".into(),
            ));
        }
        let (observation_dim, action_dim) = (
            transitions.observations.ncols(),
            transitions.actions.ncols(),
        );
        let mut observations: Vec<f32> = transitions.observations.into_iter().collect();
        let mut next_observations: Vec<f32> = transitions.next_observations.into_iter().collect();
        let actions: Vec<f32> = transitions.actions.into_iter().collect();
        let continues = continues(&observations, &next_observations, observation_dim);
        let mut latents = latent_actions(&actions);
        let coordinates = Coordinates {
            observation: Normalizer::fit(&observations, observation_dim),
            action: Normalizer::fit(&latents, action_dim),
        };
        coordinates.observation.apply(&mut observations);
        coordinates.observation.apply(&mut next_observations);
        coordinates.action.apply(&mut latents);
        let (low, high) = returns
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &r| {
                (l.min(r), h.max(r))
            });
        let scale = if high - low > 1e-6 {
            1000.0 / (high - low)
        } else {
            1.0
        };
        Ok(Self {
            observation_dim,
            action_dim,
            observations,
            next_observations,
            actions,
            latents,
            rewards: transitions
                .rewards
                .iter()
                .map(|&r| (f64::from(r) * scale) as f32)
                .collect(),
            terminals: transitions
                .terminals
                .iter()
                .map(|&t| f32::from(u8::from(t)))
                .collect(),
            continues,
            coordinates,
        })
    }

    /// Returns (Σ γ^j r, row whose successor is the bootstrap, γ^steps or 0 after a terminal) of the
    /// return over at most `steps` steps from `row`; it ends early where the episode ends.
    pub fn multi_step(&self, row: usize, steps: usize, discount: f64) -> (f32, usize, f32) {
        let (mut sum, mut weight, mut last) = (0.0, 1.0, row);
        for j in 0..steps {
            last = row + j;
            sum += weight * f64::from(self.rewards[last]);
            weight *= discount;
            if self.terminals[last] > 0.0 {
                return (sum as f32, last, 0.0);
            }
            if !self.continues[last] {
                break;
            }
        }
        (sum as f32, last, weight as f32)
    }

    /// Returns the number of transitions.
    pub fn len(&self) -> usize {
        self.rewards.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rewards.is_empty()
    }
}

/// Tells for each row whether its successor is the next row: exact equality of the recorded observations.
fn continues(observations: &[f32], next_observations: &[f32], width: usize) -> Vec<bool> {
    let successors = next_observations.chunks_exact(width);
    let mut following = observations.chunks_exact(width).skip(1);
    successors
        .map(|next| following.next().is_some_and(|o| o == next))
        .collect()
}

/// Gathers rows of `width` values, each `repeat` times.
pub fn gather(values: &[f32], width: usize, rows: &[usize], repeat: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(rows.len() * width * repeat);
    for &row in rows {
        for _ in 0..repeat {
            out.extend_from_slice(&values[row * width..(row + 1) * width]);
        }
    }
    out
}
