//! The data of a run, prepared once: normalised observations, latent actions, scaled rewards.

use tiltrl_policies::normalizer::{Normalizer, latent_actions};
use tiltrl_policies::policy::Coordinates;

use crate::data::{Dataset, clip_actions};
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
    /// Actions in [-1, 1], after the clip of [`clip_actions`]: what critic and prior both see.
    pub actions: Vec<f32>,
    /// Entries of `actions` that the clip changed.
    pub clipped: usize,
    /// Standardised atanh of `actions`.
    pub latents: Vec<f32>,
    /// Rewards of the standardised problem, see [`Values`].
    pub rewards: Vec<f32>,
    /// 1 where the episode ended for good.
    pub terminals: Vec<f32>,
    /// Whether the next row goes on with the same episode, as the data say.
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
    /// When it holds no transition, or actions beyond [-1, 1].
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
        let mut actions: Vec<f32> = transitions.actions.into_iter().collect();
        check_actions(&actions, action_dim)?;
        let clipped = clip_actions(&mut actions);
        let continues = transitions.continues;
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
            clipped,
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

    /// Returns [`Self::multi_step`] of several rows: their sums, bootstrap rows and bootstrap weights.
    pub fn multi_steps(
        &self,
        rows: &[usize],
        steps: usize,
        discount: f64,
    ) -> (Vec<f32>, Vec<usize>, Vec<f32>) {
        let (mut sums, mut last, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        for &row in rows {
            let (sum, end, weight) = self.multi_step(row, steps, discount);
            sums.push(sum);
            last.push(end);
            weights.push(weight);
        }
        (sums, last, weights)
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

/// Refuses actions that are no shares of their bounds: clipped, they would be other actions.
fn check_actions(actions: &[f32], width: usize) -> Result<(), Error> {
    let beyond = |row: &&[f32]| row.iter().any(|action| action.abs() > 1.0);
    let rows = actions.chunks_exact(width).filter(beyond).count();
    if rows == 0 {
        return Ok(());
    }
    Err(Error::Run(format!(
        "expected actions in [-1, 1], found {:.1} % of the rows ({rows}) beyond\n  hint: give the file the attribute \
         action_bound with the bound of its units, or name an environment that has them; see docs/data.md",
        100.0 * rows as f64 / (actions.len() / width) as f64
    )))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Two episodes: three rows that end in a terminal, two that end by the clock.
    fn material() -> Material {
        Material {
            observation_dim: 1,
            action_dim: 1,
            observations: vec![0.0, 1.0, 2.0, 10.0, 11.0],
            next_observations: vec![1.0, 2.0, 3.0, 11.0, 12.0],
            actions: vec![0.0; 5],
            clipped: 0,
            latents: vec![0.0; 5],
            rewards: vec![1.0, 2.0, 4.0, 8.0, 16.0],
            terminals: vec![0.0, 0.0, 1.0, 0.0, 0.0],
            continues: vec![true, true, false, true, false],
            coordinates: Coordinates {
                observation: Normalizer::fit(&[0.0, 1.0], 1),
                action: Normalizer::fit(&[0.0, 1.0], 1),
            },
            values: Values {
                mean: 0.0,
                std: 1.0,
            },
        }
    }

    #[test]
    fn returns_over_several_steps_stop_at_the_end_of_the_episode() {
        let m = material();
        assert_eq!(m.multi_step(0, 1, 0.5), (1.0, 0, 0.5));
        assert_eq!(m.multi_step(0, 2, 0.5), (2.0, 1, 0.25));
        assert_eq!(
            m.multi_step(0, 9, 0.5),
            (3.0, 2, 0.0),
            "a terminal cuts the bootstrap"
        );
        assert_eq!(
            m.multi_step(3, 9, 0.5),
            (16.0, 4, 0.25),
            "the clock does not"
        );
        assert_eq!(m.multi_step(2, 1, 0.5), (4.0, 2, 0.0));
    }

    /// Standardised returns to go obey the Bellman equation of the standardised rewards.
    #[test]
    fn standardised_values_obey_their_own_bellman_equation() {
        let rewards: [f64; 3] = [1.0, 2.0, 4.0];
        let (terminals, continues) = ([false, false, true], [true, true, false]);
        let discount = 0.9;
        let values = Values::fit(&rewards, &terminals, &continues, discount);
        let to_go = [1.0 + 0.9 * (2.0 + 0.9 * 4.0), 2.0 + 0.9 * 4.0, 4.0];
        let standard = |v: f64| (v - values.mean) / values.std;
        assert!(to_go.iter().map(|&v| standard(v)).sum::<f64>().abs() < 1e-12);
        for i in 0..3 {
            let shift = if terminals[i] { 1.0 } else { 1.0 - discount };
            let reward = (rewards[i] - shift * values.mean) / values.std;
            let next = if terminals[i] {
                0.0
            } else {
                standard(to_go[i + 1])
            };
            assert!((standard(to_go[i]) - reward - discount * next).abs() < 1e-12);
        }
    }
}
