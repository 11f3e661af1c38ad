//! A user's own MJCF file as an environment: run forward, stay healthy, spare the motors, by the rules of Gymnasium's Ant
//! or Humanoid.
//!
//! Needs a model whose first positions are x, y, z (a free joint) or x, z, angle (a planar root), and motors with the control
//! range of the rules. Left out: what Gymnasium reads from MuJoCo's own structures (contact forces, and for Humanoid
//! inertias, link velocities and motor forces); Gymnasium has options without them, named in [`MjcfRules`].

use super::library::{Data, Library, Model};
use super::mjcf_rules::{MjcfRules, Velocity};
use crate::env::{Component, Env, EnvSpec, Rules, Step};
use crate::error::EnvError;
use crate::random::Stream;
use crate::scores;
use std::path::Path;

/// A model from an MJCF file under [`MjcfRules`].
pub struct MjcfEnv {
    spec: EnvSpec,
    rules: MjcfRules,
    data: Data,
    drawn: Vec<f64>,
    controls: Vec<f64>,
}

impl MjcfEnv {
    /// The environment of a file on the MuJoCo at `library` (`None`: the usual places).
    ///
    /// # Errors
    /// If the library or the file cannot be loaded, or if the rules name a position that the model lacks.
    pub fn new(file: &Path, library: Option<&Path>, rules: MjcfRules) -> Result<Self, EnvError> {
        let library = Library::open(library)?;
        let model = Model::from_file(&library, file)?;
        let last = rules
            .healthy
            .map_or(0, |(index, _)| index)
            .max(rules.hidden_positions);
        if last >= model.num_positions || model.num_controls == 0 {
            return Err(EnvError::MujocoModel {
                id: file.display().to_string(),
                reason: format!(
                    "the rules need more than {last} positions and a motor; it has {} and {}",
                    model.num_positions, model.num_controls
                ),
            });
        }
        let mut data = Data::new(&model);
        let drawn = data.position().to_vec();
        let controls = vec![0.0; model.num_controls];
        data.step(&controls, rules.frame_skip);
        let timestep = data.time();
        let spec = spec(&rules, &model, timestep, &file.display().to_string());
        Ok(Self {
            spec,
            rules,
            data,
            drawn,
            controls,
        })
    }

    /// Puts the model into a state and forgets what MuJoCo's solver remembered.
    ///
    /// # Panics
    /// If a length is not the model's.
    pub fn set_state(&mut self, position: &[f64], velocity: &[f64]) {
        self.data.set_state(position, velocity);
    }

    /// Joint positions and velocities.
    pub fn state(&self) -> [&[f64]; 2] {
        [self.data.position(), self.data.velocity()]
    }

    fn write(&self, observation: &mut [f32]) {
        assert_eq!(
            observation.len(),
            self.spec.observation_dim,
            "length of the observation"
        );
        let seen = &self.data.position()[self.rules.hidden_positions..];
        for (slot, value) in observation
            .iter_mut()
            .zip(seen.iter().chain(self.data.velocity()))
        {
            *slot = *value as f32;
        }
    }

    fn is_healthy(&self) -> bool {
        let Some((index, [low, high])) = self.rules.healthy else {
            return true;
        };
        let height = self.data.position()[index];
        let finite = self
            .data
            .position()
            .iter()
            .chain(self.data.velocity())
            .all(|x| x.is_finite());
        finite && low <= height && height <= high
    }
}

impl Env for MjcfEnv {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) {
        let mut stream = Stream::new(seed);
        let noise = self.rules.start_noise;
        let position: Vec<f64> = self
            .drawn
            .iter()
            .map(|x| x + stream.uniform(-noise, noise))
            .collect();
        let velocity: Vec<f64> = self
            .data
            .velocity()
            .iter()
            .map(|_| match self.rules.start_velocity {
                Velocity::Uniform => stream.uniform(-noise, noise),
                Velocity::Normal => noise * stream.normal(),
            })
            .collect();
        self.data.set_state(&position, &velocity);
        self.write(observation);
    }

    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Step {
        assert_eq!(action.len(), self.controls.len(), "length of the action");
        let before = self.data.first_body_place()[0];
        let mut squares = 0.0_f32;
        for (control, &component) in self.controls.iter_mut().zip(action) {
            *control = self.rules.control_limit * f64::from(component).clamp(-1.0, 1.0);
            squares += (self.rules.control_limit as f32 * component).powi(2);
        }
        self.data.step(&self.controls, self.rules.frame_skip);
        self.write(observation);
        let healthy = self.is_healthy();
        let forward_velocity = (self.data.first_body_place()[0] - before) / self.spec.timestep;
        let cost = f64::from(self.rules.control_cost * squares);
        let alive = healthy || self.rules.bonus_on_last_step;
        let bonus = if alive { self.rules.alive_bonus } else { 0.0 };
        Step {
            reward: self.rules.forward_weight * forward_velocity + bonus - cost,
            terminated: !healthy,
        }
    }
}

fn spec(rules: &MjcfRules, model: &Model, timestep: f64, file: &str) -> EnvSpec {
    let positions = (rules.hidden_positions..model.num_positions)
        .map(|k| Component::unbounded(format!("position {k}"), ""));
    let velocities =
        (0..model.num_velocities).map(|k| Component::unbounded(format!("velocity {k}"), ""));
    let limit = rules.control_limit;
    EnvSpec {
        id: rules.id.clone(),
        observation_dim: model.num_positions - rules.hidden_positions + model.num_velocities,
        action_dim: model.num_controls,
        horizon: rules.horizon,
        timestep,
        engine: "mujoco".into(),
        engine_version: model.library().version(),
        margin: None,
        reference: rules.id.starts_with("ant-").then_some(scores::ANT),
        observation: positions.chain(velocities).collect(),
        action: (0..model.num_controls)
            .map(|k| Component::bounded(format!("control {k}"), "", [-limit, limit]))
            .collect(),
        rules: words(rules, file),
    }
}

fn words(rules: &MjcfRules, file: &str) -> Rules {
    let noise = rules.start_noise;
    let velocities = match rules.start_velocity {
        Velocity::Uniform => format!("velocities uniform within ±{noise}"),
        Velocity::Normal => format!("velocities normal with deviation {noise}"),
    };
    let last = if rules.bonus_on_last_step {
        ""
    } else {
        " (not on the step that terminates)"
    };
    Rules {
        summary: format!("Run forward with the model of {file}."),
        reward: format!(
            "{}·forward velocity of the first body + {}{last} − {}·Σ control²",
            rules.forward_weight, rules.alive_bonus, rules.control_cost
        ),
        start: format!("positions moved by a uniform number within ±{noise}, {velocities}"),
        termination: match rules.healthy {
            Some((index, [low, high])) => format!("unless {low} ≤ position {index} ≤ {high}"),
            None => "never".into(),
        },
        versions: rules.versions.clone(),
        source: file.into(),
    }
}
