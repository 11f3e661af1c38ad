//! Our environments behind burn-rl's `Environment` (feature `burn-rl`), so that burn's training loops can step them.
//!
//! burn-rl's trait has the episode's length as a constant and knows no seed: the length is a type parameter here, and
//! episode n has the seed base + n. Left out: the other direction, since burn-rl ships no environments.

use crate::env::{Env, Step};
use burn_rl::{Environment, StepResult};

/// An environment that burn-rl can step for episodes of `MAX_STEPS` steps.
pub struct BurnEnvironment<const MAX_STEPS: usize> {
    env: Box<dyn Env>,
    next_seed: u64,
    observation: Vec<f32>,
    age: usize,
}

impl<const MAX_STEPS: usize> BurnEnvironment<MAX_STEPS> {
    /// The environment at the start of the episode `base_seed`.
    ///
    /// # Panics
    /// If `MAX_STEPS` is not the environment's horizon: burn-rl would cut episodes elsewhere than everybody else.
    pub fn new(env: Box<dyn Env>, base_seed: u64) -> Self {
        let spec = env.spec();
        assert_eq!(MAX_STEPS, spec.horizon, "MAX_STEPS of {}", spec.id);
        let observation = vec![0.0; spec.observation_dim];
        let mut started = Self {
            env,
            next_seed: base_seed,
            observation,
            age: 0,
        };
        started.reset();
        started
    }

    /// The environment behind the adapter.
    pub fn inner(&self) -> &dyn Env {
        &*self.env
    }
}

impl<const MAX_STEPS: usize> Environment for BurnEnvironment<MAX_STEPS> {
    /// The observation, `[observation_dim]`.
    type State = Vec<f32>;
    /// `[action_dim]`, in [−1, 1].
    type Action = Vec<f32>;

    const MAX_STEPS: usize = MAX_STEPS;

    fn state(&self) -> Vec<f32> {
        self.observation.clone()
    }

    fn step(&mut self, action: Vec<f32>) -> StepResult<Vec<f32>> {
        let Step { reward, terminated } = self.env.step(&action, &mut self.observation);
        self.age += 1;
        StepResult {
            next_state: self.observation.clone(),
            reward,
            done: terminated,
            truncated: !terminated && self.age >= MAX_STEPS,
        }
    }

    fn reset(&mut self) {
        self.env.reset(self.next_seed, &mut self.observation);
        self.next_seed = self.next_seed.wrapping_add(1);
        self.age = 0;
    }
}
