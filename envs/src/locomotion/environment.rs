//! One locomotion environment.

use super::task::{Precision, Task};
use crate::env::{Env, EnvSpec, Joints, Stateful, Step};
use crate::fleet::StepBuffers;
use crate::planar::drawing::runner;
use crate::planar::engine::{Effort, State};
use crate::planar::lanes::Lanes;
use crate::render::Scene;
use std::slice;
use std::sync::Arc;

/// A robot that runs under a task's rules.
#[derive(Clone, Debug)]
pub struct Locomotion<const N: usize> {
    task: Arc<Task<N>>,
    state: State<N, 1>,
    effort: Effort,
}

impl<const N: usize> Locomotion<N> {
    /// An environment of this task in the drawn pose.
    pub fn new(task: Arc<Task<N>>) -> Self {
        let state = task.drawn_pose();
        Self {
            task,
            state,
            effort: Effort::default(),
        }
    }

    /// The task that it shares with its siblings.
    pub fn task(&self) -> &Arc<Task<N>> {
        &self.task
    }

    /// The work that the last step took.
    pub fn effort(&self) -> Effort {
        self.effort
    }

    /// Forgets the acceleration from which the solver would start: the state before and after is the same to the
    /// eye, but the solver works harder and the last digits can differ.
    pub fn forget_guess(&mut self) {
        self.state.guess = [Lanes::ZERO; N];
    }
}

impl<const N: usize> Env for Locomotion<N> {
    fn spec(&self) -> &EnvSpec {
        &self.task.spec
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) {
        self.state = self.task.start(seed);
        self.task.observe(&self.state, observation, |x| x as f32);
    }

    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Step {
        assert_eq!(observation.len(), self.task.spec.observation_dim);
        let mut step = Step::default();
        let buffers = StepBuffers {
            actions: action,
            observations: observation,
            steps: slice::from_mut(&mut step),
        };
        let state = slice::from_mut(&mut self.state);
        self.effort = match self.task.precision {
            Precision::F64 => self.task.step::<1, f64>(state, 0, &[0], buffers),
            Precision::F32 => self.task.step::<1, f32>(state, 0, &[0], buffers),
        };
        step
    }
}

impl<const N: usize> Stateful for Locomotion<N> {
    fn state_dims(&self) -> [usize; 2] {
        [N, N]
    }

    fn set_state(&mut self, position: &[f64], velocity: &[f64]) {
        assert_eq!(
            [position.len(), velocity.len()],
            [N, N],
            "state of {}",
            self.task.spec.id
        );
        self.state = State::ZERO;
        for k in 0..N {
            self.state.position[k] = Lanes([position[k]]);
            self.state.velocity[k] = Lanes([velocity[k]]);
        }
    }

    fn state(&self) -> Joints {
        let numbers = |values: &[Lanes<1>; N]| values.iter().map(|x| x.0[0]).collect();
        Joints {
            position: numbers(&self.state.position),
            velocity: numbers(&self.state.velocity),
        }
    }

    fn observe(&self, observation: &mut [f64]) {
        self.task.observe(&self.state, observation, |x| x);
    }

    fn scene(&self) -> Scene {
        runner(self.task.robot, &self.task.model, &self.state().position)
    }
}
