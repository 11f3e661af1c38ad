//! Many environments that run on by themselves, with Gymnasium's three ways to begin the next episode.
//!
//! Rollouts that choose their episodes use [`EnvBatch`]; this is for training loops that only want the next step.

use crate::batch::EnvBatch;
use crate::env::{EnvSpec, Step};
use crate::error::EnvError;
use crate::options::EnvOptions;

/// When the next episode begins after one has ended (`gymnasium.vector.AutoresetMode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Autoreset {
    /// On the next call of `step`, which ignores that environment's action and returns a reward of zero.
    NextStep,
    /// In the same call: the observation is the next episode's first, the last one is in `final_observations`.
    SameStep,
    /// Never: the caller resets; stepping an environment that has ended is an error of the caller.
    Disabled,
}

/// What a step of all environments gave; row k belongs to environment k.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorStep {
    /// What is seen after the step, `[num_envs, observation_dim]`.
    pub observations: Vec<f32>,
    /// Rewards of the step, `[num_envs]`.
    pub rewards: Vec<f64>,
    /// Whether the task ended, `[num_envs]`.
    pub terminated: Vec<bool>,
    /// Whether the episode was cut at its horizon and the task had not ended, `[num_envs]`.
    pub truncated: Vec<bool>,
    /// Where an episode ended under [`Autoreset::SameStep`], its last observation; else zeros, `[num_envs, observation_dim]`.
    pub final_observations: Vec<f32>,
}

/// Environments that run on by themselves. Episode n of environment k has the seed base + k + n·num_envs.
pub struct VectorEnv {
    batch: EnvBatch,
    mode: Autoreset,
    base_seed: u64,
    episodes: Vec<u64>,
    ages: Vec<usize>,
    ended: Vec<bool>,
    running: Vec<usize>,
    steps: Vec<Step>,
    actions: Vec<f32>,
    rows: Vec<f32>,
    last: VectorStep,
}

impl VectorEnv {
    /// `num_envs` environments of the id; call [`Self::reset`] first.
    ///
    /// # Errors
    /// As [`crate::make_with`].
    pub fn new(
        id: &str,
        options: &EnvOptions,
        num_envs: usize,
        mode: Autoreset,
    ) -> Result<Self, EnvError> {
        let batch = EnvBatch::new(id, options, num_envs)?;
        let (width, action_dim) = (batch.spec().observation_dim, batch.spec().action_dim);
        Ok(Self {
            batch,
            mode,
            base_seed: 0,
            episodes: vec![0; num_envs],
            ages: vec![0; num_envs],
            ended: vec![true; num_envs],
            running: Vec::with_capacity(num_envs),
            steps: vec![Step::default(); num_envs],
            actions: vec![0.0; num_envs * action_dim],
            rows: vec![0.0; num_envs * width],
            last: VectorStep {
                observations: vec![0.0; num_envs * width],
                rewards: vec![0.0; num_envs],
                terminated: vec![false; num_envs],
                truncated: vec![false; num_envs],
                final_observations: vec![0.0; num_envs * width],
            },
        })
    }

    /// What is fixed about the environments.
    pub fn spec(&self) -> &EnvSpec {
        self.batch.spec()
    }

    /// Begins the first episodes of a base seed and returns their observations, `[num_envs, observation_dim]`.
    pub fn reset(&mut self, base_seed: u64) -> &[f32] {
        self.base_seed = base_seed;
        self.episodes.fill(0);
        for k in 0..self.ended.len() {
            self.begin(k);
        }
        &self.last.observations
    }

    /// Begins the next episode of one environment: what a caller does under [`Autoreset::Disabled`].
    pub fn reset_one(&mut self, env: usize) -> &[f32] {
        self.begin(env);
        let width = self.spec().observation_dim;
        &self.last.observations[env * width..][..width]
    }

    fn begin(&mut self, env: usize) {
        let width = self.batch.spec().observation_dim;
        let num_envs = self.ended.len() as u64;
        let offset = (env as u64).wrapping_add(self.episodes[env].wrapping_mul(num_envs));
        let row = &mut self.last.observations[env * width..][..width];
        self.batch
            .reset(&[env], &[self.base_seed.wrapping_add(offset)], row);
        self.episodes[env] += 1;
        self.ages[env] = 0;
        self.ended[env] = false;
    }

    /// Steps all environments. `actions`: `[num_envs, action_dim]`.
    ///
    /// # Panics
    /// If the shape is wrong or, under [`Autoreset::Disabled`], an environment has ended and was not reset.
    pub fn step(&mut self, actions: &[f32]) -> &VectorStep {
        let (width, action_dim) = (self.spec().observation_dim, self.spec().action_dim);
        let num_envs = self.ended.len();
        assert_eq!(
            actions.len(),
            num_envs * action_dim,
            "actions [{num_envs}, {action_dim}]"
        );
        self.last.rewards.fill(0.0);
        self.last.terminated.fill(false);
        self.last.truncated.fill(false);
        self.last.final_observations.fill(0.0);
        self.running.clear();
        for env in 0..num_envs {
            if !self.ended[env] {
                let slot = self.running.len() * action_dim;
                let action = &actions[env * action_dim..][..action_dim];
                self.actions[slot..][..action_dim].copy_from_slice(action);
                self.running.push(env);
            } else {
                assert!(
                    self.mode == Autoreset::NextStep,
                    "environment {env} must be reset"
                );
                self.begin(env);
            }
        }
        let count = self.running.len();
        self.batch.step(
            &self.running,
            &self.actions[..count * action_dim],
            &mut self.rows[..count * width],
            &mut self.steps[..count],
        );
        for row in 0..count {
            self.settle(row, width);
        }
        &self.last
    }

    /// Files the result of the row-th environment that ran.
    fn settle(&mut self, row: usize, width: usize) {
        let (env, step) = (self.running[row], self.steps[row]);
        let observation = row * width..(row + 1) * width;
        let place = env * width..(env + 1) * width;
        self.last.observations[place.clone()].copy_from_slice(&self.rows[observation.clone()]);
        self.ages[env] += 1;
        let truncated = !step.terminated && self.ages[env] >= self.batch.spec().horizon;
        self.last.rewards[env] = step.reward;
        self.last.terminated[env] = step.terminated;
        self.last.truncated[env] = truncated;
        self.ended[env] = step.terminated || truncated;
        if self.ended[env] && self.mode == Autoreset::SameStep {
            self.last.final_observations[place].copy_from_slice(&self.rows[observation]);
            self.begin(env);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pendulums(mode: Autoreset) -> VectorEnv {
        let mut vector =
            VectorEnv::new("pendulum-v1", &EnvOptions::default(), 2, mode).expect("known id");
        vector.reset(10);
        for _ in 0..199 {
            let step = vector.step(&[0.1, 0.2]);
            assert!(!step.truncated[0] && step.rewards[0] < 0.0);
        }
        vector
    }

    fn first_observation(seed: u64) -> Vec<f32> {
        let mut observation = vec![0.0; 3];
        crate::make("pendulum-v1")
            .expect("known id")
            .reset(seed, &mut observation);
        observation
    }

    #[test]
    fn same_step_returns_the_new_first_and_the_old_last_observation() {
        let mut vector = pendulums(Autoreset::SameStep);
        let step = vector.step(&[0.1, 0.2]).clone();
        assert_eq!(
            (step.truncated, step.terminated),
            (vec![true; 2], vec![false; 2])
        );
        assert_eq!(step.observations[..3], first_observation(12));
        assert_eq!(step.observations[3..], first_observation(13));
        assert_ne!(step.final_observations[..3], step.observations[..3]);
        assert!(!vector.step(&[0.1, 0.2]).truncated[0]);
    }

    #[test]
    fn next_step_resets_one_call_later_for_a_reward_of_zero() {
        let mut vector = pendulums(Autoreset::NextStep);
        let last = vector.step(&[0.1, 0.2]).clone();
        assert!(last.truncated[0]);
        assert_ne!(last.observations[..3], first_observation(12));
        let reset = vector.step(&[0.1, 0.2]).clone();
        assert_eq!((reset.rewards[0], reset.truncated[0]), (0.0, false));
        assert_eq!(reset.observations[..3], first_observation(12));
        assert!(vector.step(&[0.1, 0.2]).rewards[0] < 0.0);
    }

    #[test]
    #[should_panic(expected = "environment 0 must be reset")]
    fn disabled_leaves_the_reset_to_the_caller() {
        let mut vector = pendulums(Autoreset::Disabled);
        assert!(vector.step(&[0.1, 0.2]).truncated[0]);
        vector.step(&[0.1, 0.2]);
    }
}
