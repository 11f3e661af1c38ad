//! The data of a run, prepared once: normalised observations, latent actions, scaled rewards.

use tiltrl_policies::agent::{Coordinates, Normalizer, latent_actions};
use tiltrl_policies::agent::{Transitions, gather};

use crate::config::Config;
use crate::data::{ActionBounds, Dataset, Floats, clip_actions};
use crate::error::Error;

/// Transitions in the coordinates that networks see, row-major.
pub struct TrainingData {
    /// What the critic learns from; actions are those of [`clip_actions`], which prior and critic both see.
    pub transitions: Transitions,
    /// Entries of the actions that the clip changed.
    pub clipped: usize,
    /// Standardised atanh of the actions.
    pub latents: Floats,
    /// Normalisation fitted to the data: means and standard deviations of observations and latents.
    pub coordinates: Coordinates,
    /// What −1 … 1 of the actions stood for in the files, where that is known.
    pub action_bounds: Option<ActionBounds>,
    /// Units of the critic.
    pub values: ValueUnits,
}

/// Units of the critic: it learns (Q − mean)/std, so that its targets have unit size on any task.
///
/// (Q − c)/σ obeys a Bellman equation of its own, with rewards (r − (1 − γ) c)/σ, and (r − c)/σ at terminals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ValueUnits {
    /// c: mean discounted return to go of the data.
    pub mean: f64,
    /// σ: its standard deviation.
    pub std: f64,
}

impl TrainingData {
    /// Prepares a data set.
    ///
    /// # Errors
    /// When it holds no transition, or actions beyond [-1, 1].
    pub fn new(dataset: &Dataset, discount: f64) -> Result<Self, Error> {
        Self::in_units(dataset, discount, None)
    }

    /// Prepares a data set for what a config trains: a baseline's policy learns from rewards as they were recorded, or times
    /// 1000 / (highest − lowest return of an episode) where its `reward_scale` is "range".
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn of_config(dataset: &Dataset, config: &Config) -> Result<Self, Error> {
        let own = config.own_settings();
        let std = match own.get("reward_scale").and_then(|scale| scale.as_str()) {
            Some("range") => {
                let returns = dataset.episode_returns();
                let highest = returns.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let lowest = returns.iter().copied().fold(f64::INFINITY, f64::min);
                (highest - lowest).max(1e-6) / 1000.0
            }
            _ => 1.0,
        };
        let units = ValueUnits { mean: 0.0, std };
        let units = config.is_one_policy().then_some(units);
        Self::in_units(dataset, config.discount(), units)
    }

    /// Prepares a data set; `units` are fitted unless they are given.
    fn in_units(
        dataset: &Dataset,
        discount: f64,
        units: Option<ValueUnits>,
    ) -> Result<Self, Error> {
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
        let mut observations = transitions.observations.into_values();
        let mut next_observations = transitions.next_observations.into_values();
        let mut actions = transitions.actions.into_values();
        check_actions(&actions, action_dim)?;
        let clipped = clip_actions(&mut actions);
        let continues = transitions.continues;
        let mut latents = latents_of(&actions);
        let coordinates = Coordinates {
            observation: Normalizer::fit(&observations, observation_dim),
            action: Normalizer::fit(&latents, action_dim),
        };
        coordinates.observation.apply(&mut observations);
        coordinates.observation.apply(&mut next_observations);
        coordinates.action.apply(&mut latents);
        let terminals = transitions.terminals;
        let mut rewards: Vec<f64> = transitions.rewards.iter().map(|&r| f64::from(r)).collect();
        let values =
            units.unwrap_or_else(|| ValueUnits::fit(&rewards, &terminals, &continues, discount));
        for (reward, &terminal) in rewards.iter_mut().zip(&terminals) {
            let shift = if terminal { 1.0 } else { 1.0 - discount };
            *reward = (*reward - shift * values.mean) / values.std;
        }
        Ok(Self {
            transitions: Transitions {
                observation_dim,
                action_dim,
                observations: observations.into(),
                next_observations: next_observations.into(),
                actions: actions.into(),
                rewards: rewards.iter().map(|&r| r as f32).collect(),
                terminals,
                continues,
            },
            clipped,
            latents,
            values,
            coordinates,
            action_bounds: dataset.action_bounds.clone(),
        })
    }

    /// Returns the widths of an observation and of an action.
    pub fn widths(&self) -> [usize; 2] {
        let transitions = &self.transitions;
        [transitions.observation_dim, transitions.action_dim]
    }

    /// Returns normalised observations of the given rows, [rows, observation_dim].
    pub fn observations(&self, rows: &[usize]) -> Vec<f32> {
        gather(&self.transitions.observations, self.widths()[0], rows)
    }

    /// Returns latent actions of the given rows, [rows, action_dim].
    pub fn latents(&self, rows: &[usize]) -> Vec<f32> {
        gather(&self.latents, self.widths()[1], rows)
    }

    /// Returns the number of transitions.
    pub fn len(&self) -> usize {
        self.transitions.rewards.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.transitions.rewards.is_empty()
    }
}

impl ValueUnits {
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

/// Returns the latents of actions, where the actions lie.
fn latents_of(actions: &Floats) -> Floats {
    let mut latents = actions.clone();
    for block in latents.chunks_mut(1 << 16) {
        block.copy_from_slice(&latent_actions(block));
    }
    latents
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Standardised returns to go obey the Bellman equation of the standardised rewards.
    #[test]
    fn standardised_values_obey_their_own_bellman_equation() {
        let rewards: [f64; 3] = [1.0, 2.0, 4.0];
        let (terminals, continues) = ([false, false, true], [true, true, false]);
        let discount = 0.9;
        let values = ValueUnits::fit(&rewards, &terminals, &continues, discount);
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
