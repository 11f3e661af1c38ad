//! Many environments of one kind, stepped together on rayon's current pool.
//!
//! The bytes that come out depend on the seeds and actions alone: not on the number of threads, the number of
//! environments or which of them step together.

use crate::env::{Env, EnvSpec, Step};
use crate::error::EnvError;
use crate::fleet::{Boxes, Fleet, StepBuffers};
use crate::options::EnvOptions;
use crate::registry;

/// Many environments of one kind.
///
/// ```
/// use tiltrl_envs::{EnvBatch, EnvOptions, Step};
///
/// let mut batch = EnvBatch::new("pendulum-v1", &EnvOptions::default(), 2)?;
/// let mut observations = [0.0; 2 * 3];
/// batch.reset(&[0, 1], &[7, 8], &mut observations);
/// let mut steps = [Step::default(); 2];
/// batch.step(&[0, 1], &[0.5, -0.5], &mut observations, &mut steps);
/// assert!(steps.iter().all(|step| step.reward <= 0.0 && !step.terminated));
/// # Ok::<(), tiltrl_envs::EnvError>(())
/// ```
pub struct EnvBatch {
    fleet: Box<dyn Fleet>,
}

impl EnvBatch {
    /// `num_envs` environments of the id. Nothing has been reset yet.
    ///
    /// # Errors
    /// As [`crate::make_with`].
    ///
    /// # Panics
    /// If `num_envs` is zero.
    pub fn new(id: &str, options: &EnvOptions, num_envs: usize) -> Result<Self, EnvError> {
        assert!(num_envs > 0, "a batch needs at least one environment");
        Ok(Self {
            fleet: registry::make_fleet(id, options, num_envs)?,
        })
    }

    /// A batch of environments made elsewhere; they must be of one kind.
    ///
    /// # Panics
    /// If there is none, or if two differ in id or dimensions.
    pub fn from_envs(envs: Vec<Box<dyn Env>>) -> Self {
        Self {
            fleet: Box::new(Boxes::new(envs)),
        }
    }

    /// Number of environments.
    pub fn len(&self) -> usize {
        self.fleet.len()
    }

    /// Whether there is no environment.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is fixed about the environments.
    pub fn spec(&self) -> &EnvSpec {
        self.fleet.spec()
    }

    /// Starts the episode of `seeds[k]` in environment `indices[k]` and writes row k of `observations`.
    ///
    /// # Shapes
    /// seeds: `[indices]`; observations: [indices, observation_dim].
    ///
    /// # Panics
    /// If a shape or an index is wrong.
    pub fn reset(&mut self, indices: &[usize], seeds: &[u64], observations: &mut [f32]) {
        let width = self.spec().observation_dim;
        assert_eq!(seeds.len(), indices.len(), "one seed per index");
        assert_eq!(
            observations.len(),
            indices.len() * width,
            "observations [indices, {width}]"
        );
        for (k, (&index, &seed)) in indices.iter().zip(seeds).enumerate() {
            self.fleet
                .reset(index, seed, &mut observations[k * width..][..width]);
        }
    }

    /// Steps environment `indices[k]` with row k of `actions`; writes row k of `observations` and `steps[k]`.
    ///
    /// # Shapes
    /// indices strictly increasing; actions: [indices, action_dim]; observations: [indices, observation_dim];
    /// steps: `[indices]`.
    ///
    /// # Panics
    /// If a shape or an index is wrong.
    pub fn step(
        &mut self,
        indices: &[usize],
        actions: &[f32],
        observations: &mut [f32],
        steps: &mut [Step],
    ) {
        let (width, action_dim) = (self.spec().observation_dim, self.spec().action_dim);
        assert!(
            indices.windows(2).all(|pair| pair[0] < pair[1]),
            "indices must increase strictly"
        );
        assert!(
            indices.last().is_none_or(|&last| last < self.len()),
            "index out of range"
        );
        assert_eq!(
            actions.len(),
            indices.len() * action_dim,
            "actions [indices, {action_dim}]"
        );
        assert_eq!(
            observations.len(),
            indices.len() * width,
            "observations [indices, {width}]"
        );
        assert_eq!(steps.len(), indices.len(), "one step per index");
        if !indices.is_empty() {
            self.fleet.step(
                indices,
                StepBuffers {
                    actions,
                    observations,
                    steps,
                },
            );
        }
    }
}
