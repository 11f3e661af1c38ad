//! Observations with mean 0 and deviation 1.

use crate::env::{Component, Env, EnvSpec, Step};

/// Mean and variance of a stream of vectors, component by component (B. Welford, 1962).
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    count: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Moments {
    /// No vector yet; `dim` components.
    pub fn new(dim: usize) -> Self {
        Self {
            count: 0.0,
            mean: vec![0.0; dim],
            squares: vec![0.0; dim],
        }
    }

    /// Takes one vector in.
    pub fn push(&mut self, vector: &[f32]) {
        self.count += 1.0;
        for (k, &value) in vector.iter().enumerate() {
            let offset = f64::from(value) - self.mean[k];
            self.mean[k] += offset / self.count;
            self.squares[k] += offset * (f64::from(value) - self.mean[k]);
        }
    }

    /// The mean of a component.
    pub fn mean(&self, component: usize) -> f64 {
        self.mean[component]
    }

    /// The standard deviation of a component; 1 before the second vector.
    pub fn deviation(&self, component: usize) -> f64 {
        if self.count < 2.0 {
            1.0
        } else {
            (self.squares[component] / self.count).sqrt()
        }
    }
}

/// An environment whose observations are (o − mean)/(deviation + 1e-8).
///
/// While it learns its moments an observation depends on the episodes before it, which breaks a promise of [`Env`]; a
/// frozen one keeps them all.
pub struct NormalizeObservation {
    inner: Box<dyn Env>,
    spec: EnvSpec,
    moments: Moments,
    frozen: bool,
}

impl NormalizeObservation {
    /// Learns the moments from every observation that passes.
    pub fn learning(inner: Box<dyn Env>) -> Self {
        let moments = Moments::new(inner.spec().observation_dim);
        Self::new(inner, moments, false)
    }

    /// Uses these moments and never changes them.
    pub fn frozen(inner: Box<dyn Env>, moments: Moments) -> Self {
        Self::new(inner, moments, true)
    }

    fn new(inner: Box<dyn Env>, moments: Moments, frozen: bool) -> Self {
        let mut spec = inner.spec().clone();
        assert_eq!(
            moments.mean.len(),
            spec.observation_dim,
            "moments of the observation"
        );
        for component in &mut spec.observation {
            *component = Component::unbounded(format!("{}, normalised", component.name), "");
        }
        Self {
            inner,
            spec,
            moments,
            frozen,
        }
    }

    /// The moments so far.
    pub fn moments(&self) -> &Moments {
        &self.moments
    }

    fn normalize(&mut self, observation: &mut [f32]) {
        if !self.frozen {
            self.moments.push(observation);
        }
        for (k, value) in observation.iter_mut().enumerate() {
            let centred = f64::from(*value) - self.moments.mean(k);
            *value = (centred / (self.moments.deviation(k) + 1e-8)) as f32;
        }
    }
}

impl Env for NormalizeObservation {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) {
        self.inner.reset(seed, observation);
        self.normalize(observation);
    }

    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Step {
        let step = self.inner.step(action, observation);
        self.normalize(observation);
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classic::Pendulum;

    #[test]
    fn the_moments_are_those_of_the_numbers() {
        let mut moments = Moments::new(1);
        for value in [1.0, 2.0, 6.0] {
            moments.push(&[value]);
        }
        assert_eq!(moments.mean(0), 3.0);
        assert!((moments.deviation(0) - (14.0_f64 / 3.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn a_frozen_normalisation_conforms_and_a_learning_one_does_not() {
        let mut moments = Moments::new(3);
        moments.push(&[0.0, 0.0, -4.0]);
        moments.push(&[1.0, 1.0, 4.0]);
        let pendulum = || Box::new(Pendulum::new());
        crate::conformity::check(&|| {
            Box::new(NormalizeObservation::frozen(pendulum(), moments.clone()))
        })
        .expect("conforms");
        let broken =
            crate::conformity::check(&|| Box::new(NormalizeObservation::learning(pendulum())));
        assert!(broken.is_err());
    }
}
