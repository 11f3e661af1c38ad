//! A wrapper that cuts episodes after another number of steps.

use crate::env::{Env, EnvSpec, Step};

/// An environment whose episodes are cut after another number of steps. The cut is a truncation, so it stands in the
/// specification and the rollout makes it; a step still says `terminated` only where the task ended.
pub struct TimeLimit {
    inner: Box<dyn Env>,
    spec: EnvSpec,
}

impl TimeLimit {
    /// The environment with this horizon.
    ///
    /// # Panics
    /// If the horizon is zero.
    pub fn new(inner: Box<dyn Env>, horizon: usize) -> Self {
        assert!(horizon > 0, "an episode has at least one step");
        let spec = EnvSpec {
            horizon,
            ..inner.spec().clone()
        };
        Self { inner, spec }
    }
}

impl Env for TimeLimit {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) {
        self.inner.reset(seed, observation);
    }

    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Step {
        self.inner.step(action, observation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classic::Pendulum;

    #[test]
    fn only_the_horizon_changes() {
        let limited = TimeLimit::new(Box::new(Pendulum::new()), 50);
        assert_eq!(limited.spec().horizon, 50);
        assert_eq!(limited.spec().id, "pendulum-v1");
        crate::conformity::check(&|| Box::new(TimeLimit::new(Box::new(Pendulum::new()), 50)))
            .expect("conforms");
    }
}
