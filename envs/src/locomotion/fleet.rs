//! Many environments of one task, stepped eight at a time with vector instructions, or sixteen in f32.

use super::task::{Precision, Task};
use crate::env::EnvSpec;
use crate::fleet::{Fleet, StepBuffers, for_each_part};
use crate::planar::engine::State;
use std::sync::Arc;

/// Robots that step together: what fills one AVX-512 register.
const LANES: usize = 8;
const LANES_F32: usize = 16;

/// Many robots under one task's rules.
pub struct LocomotionFleet<const N: usize> {
    task: Arc<Task<N>>,
    states: Vec<State<N, 1>>,
}

impl<const N: usize> LocomotionFleet<N> {
    /// `num_envs` robots in the drawn pose.
    pub fn new(task: Arc<Task<N>>, num_envs: usize) -> Self {
        let states = vec![task.drawn_pose(); num_envs];
        Self { task, states }
    }
}

impl<const N: usize> Fleet for LocomotionFleet<N> {
    fn len(&self) -> usize {
        self.states.len()
    }

    fn spec(&self) -> &EnvSpec {
        &self.task.spec
    }

    fn reset(&mut self, index: usize, seed: u64, observation: &mut [f32]) {
        self.states[index] = self.task.start(seed);
        self.task
            .observe(&self.states[index], observation, |x| x as f32);
    }

    fn step(&mut self, indices: &[usize], buffers: StepBuffers<'_>) {
        let task = &self.task;
        let lanes = match task.precision {
            Precision::F64 => LANES,
            Precision::F32 => LANES_F32,
        };
        for_each_part(
            &mut self.states,
            0,
            indices,
            buffers,
            lanes,
            &|states, offset, indices, buffers| {
                match (task.precision, indices.len()) {
                    (Precision::F64, 1) => task.step::<1, f64>(states, offset, indices, buffers),
                    (Precision::F64, _) => {
                        task.step::<LANES, f64>(states, offset, indices, buffers)
                    }
                    (Precision::F32, 1) => task.step::<1, f32>(states, offset, indices, buffers),
                    (Precision::F32, _) => {
                        task.step::<LANES_F32, f32>(states, offset, indices, buffers)
                    }
                };
            },
        );
    }
}
