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
    /// Rewards of the standardised problem, see [`Values`].
    pub rewards: Vec<f32>,
    /// 1 where the episode ended for good.
    pub terminals: Vec<f32>,
    /// Whether the next row goes on with the same episode.
    pub continues: Vec<bool>,
    /// Fitted normalisation.
    pub coordinates: Coordinates,
    /// Units of the critic.
    pub values: Values,
}

/// Units of the critic: it learns (Q − mean)/std, so that its targets have unit size on any task.
///
/// (Q − c)/σ obeys a Bellman equation of its own, with rewards (r − (1 − γ) c)/σ, and (r − c)/σ at terminals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Values {
    /// c: mean discounted return to go of the data.
    pub mean: f64,
    /// σ: its standard deviation.
    pub std: f64,
}

impl Material {
    /// Prepares a data set.
    ///
    /// # Errors
    /// When it holds no transition.
    pub fn new(dataset: &Dataset, discount: f64) -> Result<Self, Error> {
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
        let terminals = transitions.terminals;
        let mut rewards: Vec<f64> = transitions.rewards.iter().map(|&r| f64::from(r)).collect();
        let values = Values::fit(&rewards, &terminals, &continues, discount);
        for (reward, &terminal) in rewards.iter_mut().zip(&terminals) {
            let shift = if terminal { 1.0 } else { 1.0 - discount };
            *reward = (*reward - shift * values.mean) / values.std;
        }
        Ok(Self {
            observation_dim,
            action_dim,
            observations,
            next_observations,
            actions,
            latents,
            rewards: rewards.iter().map(|&r| r as f32).collect(),
            terminals: terminals.iter().map(|&t| f32::from(u8::from(t))).collect(),
            values,
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

impl Values {
    /// Fits mean and deviation to the discounted returns to go of rows in recorded order.
    ///
    /// Where a recording stops without a terminal its rewards are taken to go on at the data's mean.
    fn fit(rewards: &[f64], terminals: &[bool], continues: &[bool], discount: f64) -> Self {
        let count = rewards.len() as f64;
        let beyond = rewards.iter().sum::<f64>() / count / (1.0 - discount);
        let mut to_go = vec![0.0; rewards.len()];
        for row in (0..rewards.len()).rev() {
            let next = match (terminals[row], continues[row]) {
                (true, _) => 0.0,
                (false, true) => to_go[row + 1],
                (false, false) => beyond,
            };
            to_go[row] = rewards[row] + discount * next;
        }
        let mean = to_go.iter().sum::<f64>() / count;
        let variance = to_go.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
        Self {
            mean,
            std: variance.sqrt().max(1e-6),
        }
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
