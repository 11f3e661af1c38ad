//! Stores of environments that are stepped together.

use crate::env::{Env, EnvSpec, Step};

/// What a batched step reads and writes; row k belongs to the k-th of the chosen environments.
pub struct StepBuffers<'a> {
    /// Actions in [−1, 1], [chosen, action_dim].
    pub actions: &'a [f32],
    /// Written: what is seen after the step, [chosen, observation_dim].
    pub observations: &'a mut [f32],
    /// Written: rewards and ends, [chosen].
    pub steps: &'a mut [Step],
}

/// A store of environments of one kind that knows how to step many of them.
pub trait Fleet: Send {
    /// Number of environments.
    fn len(&self) -> usize;
    /// What is fixed about them.
    fn spec(&self) -> &EnvSpec;
    /// Starts the episode of `seed` in environment `index`.
    fn reset(&mut self, index: usize, seed: u64, observation: &mut [f32]);
    /// Steps the environments `indices`, strictly increasing.
    fn step(&mut self, indices: &[usize], buffers: StepBuffers<'_>);
}

/// Environments behind the [`Env`] trait.
pub struct Boxes(Vec<Box<dyn Env>>);

impl Boxes {
    /// Keeps environments made elsewhere; they must be of one kind.
    ///
    /// # Panics
    /// If there is none, or if two differ in id or dimensions.
    pub fn new(envs: Vec<Box<dyn Env>>) -> Self {
        let first = envs
            .first()
            .expect("a batch needs at least one environment")
            .spec();
        let kind = (first.id.clone(), first.observation_dim, first.action_dim);
        for env in &envs {
            let spec = env.spec();
            assert!(
                kind == (spec.id.clone(), spec.observation_dim, spec.action_dim),
                "a batch holds one kind of environment: {} and {}",
                kind.0,
                spec.id
            );
        }
        Self(envs)
    }
}

impl Fleet for Boxes {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn spec(&self) -> &EnvSpec {
        self.0[0].spec()
    }

    fn reset(&mut self, index: usize, seed: u64, observation: &mut [f32]) {
        self.0[index].reset(seed, observation);
    }

    fn step(&mut self, indices: &[usize], buffers: StepBuffers<'_>) {
        let (width, action_dim) = (self.spec().observation_dim, self.spec().action_dim);
        // A few parts per thread: enough to level out slow environments, few enough to cost nothing beside fast ones.
        let part = (indices.len() / (4 * rayon::current_num_threads())).max(1);
        for_each_part(
            &mut self.0,
            0,
            indices,
            buffers,
            part,
            &|envs, offset, indices, buffers| {
                for (k, &index) in indices.iter().enumerate() {
                    let action = &buffers.actions[k * action_dim..][..action_dim];
                    let observation = &mut buffers.observations[k * width..][..width];
                    buffers.steps[k] = envs[index - offset].step(action, observation);
                }
            },
        );
    }
}

/// Splits a step in halves over rayon's pool until a part has at most `part` environments, and does `work(store,
/// offset, indices, buffers)` on each part: `store` starts at index `offset`. Nothing is locked or allocated.
pub fn for_each_part<T: Send>(
    store: &mut [T],
    offset: usize,
    indices: &[usize],
    buffers: StepBuffers<'_>,
    part: usize,
    work: &(impl Fn(&mut [T], usize, &[usize], StepBuffers<'_>) + Sync),
) {
    if indices.len() <= part {
        work(store, offset, indices, buffers);
        return;
    }
    // A multiple of `part` on the left, so that only the last part can be short.
    let middle = (indices.len().div_ceil(part) / 2 * part).max(part);
    let boundary = indices[middle];
    let (left_store, right_store) = store.split_at_mut(boundary - offset);
    let (left_indices, right_indices) = indices.split_at(middle);
    let action_dim = buffers.actions.len() / indices.len();
    let width = buffers.observations.len() / indices.len();
    let (left_actions, right_actions) = buffers.actions.split_at(middle * action_dim);
    let (left_observations, right_observations) = buffers.observations.split_at_mut(middle * width);
    let (left_steps, right_steps) = buffers.steps.split_at_mut(middle);
    let left = StepBuffers {
        actions: left_actions,
        observations: left_observations,
        steps: left_steps,
    };
    let right = StepBuffers {
        actions: right_actions,
        observations: right_observations,
        steps: right_steps,
    };
    rayon::join(
        || for_each_part(left_store, offset, left_indices, left, part, work),
        || for_each_part(right_store, boundary, right_indices, right, part, work),
    );
}
