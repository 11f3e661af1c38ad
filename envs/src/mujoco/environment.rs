//! The locomotion tasks with MuJoCo as the engine.

use super::data::Data;
use super::library::{Library, Model};
use super::mjcf;
use crate::env::{Env, EnvSpec, Joints, Stateful, Step};
use crate::error::EnvError;
use crate::locomotion::{LocomotionRules, Task};
use crate::planar::drawing::runner;
use crate::render::Scene;
use std::path::Path;

/// Position and velocity with which a seed's episode starts.
type Start = Box<dyn Fn(u64) -> (Vec<f64>, Vec<f64>) + Send>;
/// The picture of a position.
type Draw = Box<dyn Fn(&[f64]) -> Scene + Send>;

/// A robot that MuJoCo moves under a task's rules.
pub struct MujocoLocomotion {
    spec: EnvSpec,
    rules: LocomotionRules,
    data: Data,
    controls: Vec<f64>,
    start: Start,
    draw: Draw,
    duration: f64,
}

impl MujocoLocomotion {
    /// The task on the MuJoCo at `library` (`None`: the usual places), its model written from the robot's description.
    ///
    /// # Errors
    /// If the library or the model cannot be loaded.
    pub fn new<const N: usize>(
        task: std::sync::Arc<Task<N>>,
        library: Option<&Path>,
    ) -> Result<Self, EnvError> {
        let library = Library::open(library)?;
        let robot = task.robot;
        let model = Model::from_text(&library, robot.name, &mjcf::write(robot))?;
        let mut spec = task.spec.clone();
        spec.engine = "mujoco".into();
        spec.engine_version = library.version();
        spec.margin = None;
        Ok(Self {
            controls: vec![0.0; spec.action_dim],
            spec,
            rules: task.rules,
            data: Data::new(&model),
            duration: task.model.timestep * task.rules.frame_skip as f64,
            draw: {
                let task = task.clone();
                Box::new(move |position| runner(robot, &task.model, position))
            },
            start: Box::new(move |seed| {
                let first = task.start(seed);
                (
                    first.position.map(|x| x.0[0]).to_vec(),
                    first.velocity.map(|x| x.0[0]).to_vec(),
                )
            }),
        })
    }

    fn write<T>(&self, observation: &mut [T], narrow: impl Fn(f64) -> T) {
        assert_eq!(
            observation.len(),
            self.spec.observation_dim,
            "length of the observation"
        );
        let positions = self.data.position()[1..].iter().copied();
        let velocities = self
            .data
            .velocity()
            .iter()
            .map(|&v| self.rules.observed_velocity(v));
        for (slot, value) in observation.iter_mut().zip(positions.chain(velocities)) {
            *slot = narrow(value);
        }
    }
}

impl Env for MujocoLocomotion {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) {
        let (position, velocity) = (self.start)(seed);
        self.data.set_state(&position, &velocity);
        self.write(observation, |x| x as f32);
    }

    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Step {
        assert_eq!(action.len(), self.controls.len(), "length of the action");
        let before = self.data.position()[0];
        for (control, &component) in self.controls.iter_mut().zip(action) {
            *control = f64::from(component);
        }
        self.data.step(&self.controls, self.rules.frame_skip);
        self.write(observation, |x| x as f32);
        let forward_velocity = (self.data.position()[0] - before) / self.duration;
        let healthy = self
            .rules
            .is_healthy(self.data.position(), self.data.velocity());
        let reward = self.rules.reward(forward_velocity, action, healthy);
        Step {
            reward,
            terminated: !healthy,
        }
    }
}

impl Stateful for MujocoLocomotion {
    fn state_dims(&self) -> [usize; 2] {
        [self.data.position().len(), self.data.velocity().len()]
    }

    fn set_state(&mut self, position: &[f64], velocity: &[f64]) {
        self.data.set_state(position, velocity);
    }

    fn state(&self) -> Joints {
        Joints {
            position: self.data.position().to_vec(),
            velocity: self.data.velocity().to_vec(),
        }
    }

    fn observe(&self, observation: &mut [f64]) {
        self.write(observation, |x| x);
    }

    fn scene(&self) -> Scene {
        (self.draw)(self.data.position())
    }
}
