//! Our environments behind the trait of the crate `gymnasium-rs`, and its environments behind ours (feature `gymnasium-rs`).
//!
//! Its trait has seeds of 32 bits, rewards in f32 and a truncation flag. Left out: discrete actions (a control toolkit has
//! none) and its info maps, which stay empty. See docs/decisions/0007.

use crate::env::{Component, Env, EnvSpec, Rules, Step};
use crate::error::EnvError;
use gymnasium_rs::core::{Env as TheirEnv, Info, Options, Reward, Space};
use ndarray_015::{Array1, Array3};

/// One of our environments as `gymnasium_rs::core::Env`.
pub struct ToGymnasium {
    env: Box<dyn Env>,
    next_seed: u64,
    age: usize,
}

impl ToGymnasium {
    /// The environment; a reset without a seed begins the episodes 0, 1, 2, …
    pub fn new(env: Box<dyn Env>) -> Self {
        Self {
            env,
            next_seed: 0,
            age: 0,
        }
    }
}

impl TheirEnv<Array1<f32>, Array1<f32>> for ToGymnasium {
    fn observation_space(&self) -> Space {
        let bounds = |bound: fn(&Component) -> f64| -> Array1<f32> {
            let components = &self.env.spec().observation;
            components.iter().map(|c| bound(c) as f32).collect()
        };
        Space::Box {
            low: bounds(|c| c.low),
            high: bounds(|c| c.high),
        }
    }

    /// [−1, 1] in every component, as our actions are.
    fn action_space(&self) -> Space {
        let dim = self.env.spec().action_dim;
        Space::Box {
            low: Array1::from_elem(dim, -1.0),
            high: Array1::from_elem(dim, 1.0),
        }
    }

    fn reset(&mut self, seed: Option<i32>, _options: Options) -> (Array1<f32>, Info) {
        // As Gymnasium: a seed also decides the episodes that follow without one.
        if let Some(seed) = seed {
            self.next_seed = u64::from(seed.cast_unsigned());
        }
        let mut observation = vec![0.0; self.env.spec().observation_dim];
        self.env.reset(self.next_seed, &mut observation);
        self.next_seed = self.next_seed.wrapping_add(1);
        self.age = 0;
        (observation.into(), Info::new())
    }

    fn step(&mut self, action: Array1<f32>) -> (Array1<f32>, Reward, bool, bool, Info) {
        let mut observation = vec![0.0; self.env.spec().observation_dim];
        let step = self.env.step(&action.to_vec(), &mut observation);
        self.age += 1;
        let truncated = !step.terminated && self.age >= self.env.spec().horizon;
        let reward = step.reward as f32;
        (
            observation.into(),
            reward,
            step.terminated,
            truncated,
            Info::new(),
        )
    }

    /// Nothing: pictures come from [`crate::render`].
    fn render(&self) -> Option<Array3<u8>> {
        None
    }

    fn close(&mut self) {}
}

/// An environment of `gymnasium-rs` with boxes as its spaces, as one of ours.
pub struct FromGymnasium<G> {
    env: G,
    spec: EnvSpec,
    low: Vec<f32>,
    high: Vec<f32>,
}

impl<G: TheirEnv<Array1<f32>, Array1<f32>>> FromGymnasium<G> {
    /// The environment under an id of the caller's; `horizon` steps are an episode.
    ///
    /// # Errors
    /// If a space is discrete or the action space has no bounds.
    pub fn new(env: G, id: &str, horizon: usize) -> Result<Self, EnvError> {
        let unfit = |reason: &str| EnvError::Unsupported {
            id: id.into(),
            option: "adapter",
            reason: reason.into(),
        };
        let (
            Space::Box { low, high },
            Space::Box {
                low: least,
                high: most,
            },
        ) = (env.action_space(), env.observation_space())
        else {
            return Err(unfit("its spaces must be boxes"));
        };
        if !low.iter().chain(&high).all(|bound| bound.is_finite()) {
            return Err(unfit("its action space must be bounded"));
        }
        let components = |what: &str, low: &Array1<f32>, high: &Array1<f32>| -> Vec<Component> {
            let bounds = low.iter().zip(high).enumerate();
            bounds
                .map(|(k, (&low, &high))| {
                    let bounds = [f64::from(low), f64::from(high)];
                    Component::bounded(format!("{what} {k}"), "", bounds)
                })
                .collect()
        };
        let spec = EnvSpec {
            id: id.into(),
            observation_dim: least.len(),
            action_dim: low.len(),
            horizon,
            timestep: 1.0,
            engine: "gymnasium-rs".into(),
            engine_version: "0.1".into(),
            margin: None,
            reference: None,
            observation: components("observation", &least, &most),
            action: components("action", &low, &high),
            rules: Rules {
                summary: format!("{id} of gymnasium-rs."),
                source: "gymnasium-rs".into(),
                ..Rules::default()
            },
        };
        Ok(Self {
            env,
            spec,
            low: low.to_vec(),
            high: high.to_vec(),
        })
    }
}

impl<G: TheirEnv<Array1<f32>, Array1<f32>> + Send> Env for FromGymnasium<G> {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    /// Seeds that agree in their lowest 32 bits begin the same episode: the trait has no more.
    fn reset(&mut self, seed: u64, observation: &mut [f32]) {
        let (first, _) = self.env.reset_seed((seed as u32).cast_signed());
        observation.copy_from_slice(&first.to_vec());
    }

    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Step {
        assert_eq!(action.len(), self.spec.action_dim, "length of the action");
        let scaled: Array1<f32> = (action.iter().enumerate())
            .map(|(k, component)| {
                let share = 0.5 * (component.clamp(-1.0, 1.0) + 1.0);
                self.low[k] + share * (self.high[k] - self.low[k])
            })
            .collect();
        // Their truncation is left out: the rollout cuts at the horizon.
        let (next, reward, terminated, _, _) = self.env.step(scaled);
        observation.copy_from_slice(&next.to_vec());
        Step {
            reward: f64::from(reward),
            terminated,
        }
    }
}
