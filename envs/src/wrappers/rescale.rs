//! Actions in other units.

use crate::env::{Env, EnvSpec, Step};

/// An environment that takes actions between `low` and `high` and passes them on in [−1, 1]:
/// a = 2·(u − low)/(high − low) − 1. It is for a policy that acts in physical units; what lies outside is clamped.
pub struct RescaleAction {
    inner: Box<dyn Env>,
    low: Vec<f32>,
    high: Vec<f32>,
    scaled: Vec<f32>,
}

impl RescaleAction {
    /// The environment with these bounds of each action component.
    ///
    /// # Panics
    /// If there is not one pair of bounds per component, or one is empty.
    pub fn new(inner: Box<dyn Env>, low: Vec<f32>, high: Vec<f32>) -> Self {
        let dim = inner.spec().action_dim;
        assert_eq!(
            [low.len(), high.len()],
            [dim, dim],
            "one bound per action component"
        );
        assert!(
            low.iter().zip(&high).all(|(low, high)| low < high),
            "bounds must not be empty"
        );
        Self {
            inner,
            scaled: vec![0.0; dim],
            low,
            high,
        }
    }

    /// The environment with its physical bounds, as its specification gives them.
    pub fn physical(inner: Box<dyn Env>) -> Self {
        let bounds = |pick: fn(&crate::env::Component) -> f64| {
            inner
                .spec()
                .action
                .iter()
                .map(|component| pick(component) as f32)
                .collect()
        };
        let (low, high) = (
            bounds(|component| component.low),
            bounds(|component| component.high),
        );
        Self::new(inner, low, high)
    }
}

impl Env for RescaleAction {
    fn spec(&self) -> &EnvSpec {
        self.inner.spec()
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) {
        self.inner.reset(seed, observation);
    }

    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Step {
        assert_eq!(action.len(), self.scaled.len(), "length of the action");
        for (k, scaled) in self.scaled.iter_mut().enumerate() {
            let share = (action[k] - self.low[k]) / (self.high[k] - self.low[k]);
            *scaled = (2.0 * share - 1.0).clamp(-1.0, 1.0);
        }
        self.inner.step(&self.scaled, observation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classic::Pendulum;

    #[test]
    fn two_newton_metres_are_the_full_action_of_the_pendulum() {
        let mut physical = RescaleAction::physical(Box::new(Pendulum::new()));
        let mut plain = Pendulum::new();
        let (mut a, mut b) = ([0.0; 3], [0.0; 3]);
        for (torque, action) in [(2.0, 1.0), (-1.0, -0.5), (9.0, 1.0)] {
            physical.reset(3, &mut a);
            plain.reset(3, &mut b);
            assert_eq!(
                physical.step(&[torque], &mut a),
                plain.step(&[action], &mut b)
            );
            assert_eq!(a, b);
        }
    }
}
