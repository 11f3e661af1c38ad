//! A user's own MJCF file as an environment: run forward, stay healthy, spare the motors, by the rules of Gymnasium's Ant
//! or Humanoid.
//!
//! Needs a model whose first positions are x, y, z (a free joint) or x, z, angle (a planar root), and motors with the control
//! range of the rules.

use super::data::Data;
use super::library::{Library, Model};
use super::mjcf_rules::{HealthyRange, MjcfRules, Progress, Velocity};
use super::mjcf_spec;
use super::readings::{self, Place, Reading};
use crate::env::{Env, EnvSpec, Step};
use crate::error::EnvError;
use crate::random::Stream;
use std::path::Path;

/// A model from an MJCF file under [`MjcfRules`].
pub struct MjcfEnv {
    spec: EnvSpec,
    rules: MjcfRules,
    data: Data,
    drawn: Vec<f64>,
    controls: Vec<f64>,
    /// Where the rules' `observed` stand.
    observed: Vec<Place>,
    /// Where the contact forces stand, if they are observed or cost.
    contact_forces: Option<Place>,
    /// Where the centres of mass stand, if they are paid.
    centres: Option<Place>,
}

impl MjcfEnv {
    /// The environment of a file on the MuJoCo at `library` (`None`: the usual places).
    ///
    /// # Errors
    /// If the library or the file cannot be loaded, if the rules name a position that the model lacks, or if they need a
    /// [`Reading`] that is not found in this MuJoCo.
    pub fn new(file: &Path, library: Option<&Path>, rules: MjcfRules) -> Result<Self, EnvError> {
        let library = Library::open(library)?;
        let model = Model::from_file(&library, file)?;
        let refused = |reason: String| EnvError::MujocoModel {
            id: file.display().to_string(),
            reason,
        };
        let last = rules
            .healthy
            .map_or(0, |range| range.position)
            .max(rules.hidden_positions);
        if last >= model.num_positions || model.num_controls == 0 {
            return Err(refused(format!(
                "the rules need more than {last} positions and a motor; it has {} and {}",
                model.num_positions, model.num_controls
            )));
        }
        let mut data = Data::new(&model);
        let drawn = data.position().to_vec();
        let controls = vec![0.0; model.num_controls];
        data.step(&controls, rules.frame_skip);
        let timestep = data.time();
        let find = |wanted: &[Reading]| {
            readings::find(&model, wanted)
                .map_err(|reason| refused(not_shown(&library, &rules.id, &reason)))
        };
        let wanted: Vec<Reading> = rules.observed.iter().map(|part| part.reading).collect();
        let observed = if wanted.is_empty() {
            Vec::new()
        } else {
            find(&wanted)?
        };
        let one = |needed: bool, reading: Reading| -> Result<Option<Place>, EnvError> {
            needed.then(|| Ok(find(&[reading])?[0])).transpose()
        };
        let touched = wanted.contains(&Reading::ContactForce) || rules.contact_cost > 0.0;
        let spec = mjcf_spec::write(
            &rules,
            &model,
            &observed,
            timestep,
            &file.display().to_string(),
        );
        Ok(Self {
            contact_forces: one(touched, Reading::ContactForce)?,
            centres: one(
                rules.progress == Progress::CentreOfMass,
                Reading::SubtreeCentre,
            )?,
            observed,
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

    /// The observation in full precision.
    ///
    /// # Panics
    /// If it is not `observation_dim` long.
    pub fn observe(&self, observation: &mut [f64]) {
        self.write(observation, |x| x);
    }

    fn write<T>(&self, observation: &mut [T], narrow: impl Fn(f64) -> T) {
        assert_eq!(
            observation.len(),
            self.spec.observation_dim,
            "length of the observation"
        );
        let positions = &self.data.position()[self.rules.hidden_positions..];
        let state = positions.iter().chain(self.data.velocity()).copied();
        let clip = self.rules.contact_clip;
        let parts = self.rules.observed.iter().zip(&self.observed);
        let readings = parts.flat_map(|(part, place)| {
            let limit = match part.reading {
                Reading::ContactForce => clip,
                _ => f64::INFINITY,
            };
            let numbers = &place.read(&self.data)[part.skip..];
            numbers.iter().map(move |x| x.clamp(-limit, limit))
        });
        for (slot, value) in observation.iter_mut().zip(state.chain(readings)) {
            *slot = narrow(value);
        }
    }

    fn is_healthy(&self) -> bool {
        let Some(HealthyRange {
            position,
            low,
            high,
        }) = self.rules.healthy
        else {
            return true;
        };
        let height = self.data.position()[position];
        let finite = self
            .data
            .position()
            .iter()
            .chain(self.data.velocity())
            .all(|x| x.is_finite());
        let within = if self.rules.healthy_at_bounds {
            low <= height && height <= high
        } else {
            low < height && height < high
        };
        finite && within
    }

    /// How far forward the robot is, m.
    fn way(&self) -> f64 {
        match &self.centres {
            Some(place) => place.read(&self.data)[0],
            None => self.data.first_body_place()[0],
        }
    }

    fn control_cost(&self, action: &[f32]) -> f64 {
        let limit = self.rules.control_limit;
        if self.rules.control_cost_in_f32 {
            let squares: f32 = action.iter().map(|x| (limit as f32 * x).powi(2)).sum();
            f64::from(self.rules.control_cost as f32 * squares)
        } else {
            self.rules.control_cost * self.controls.iter().map(|x| x * x).sum::<f64>()
        }
    }

    fn contact_cost(&self) -> f64 {
        let clip = self.rules.contact_clip;
        let squares: f64 = self
            .contact_forces
            .iter()
            .flat_map(|place| place.read(&self.data))
            .map(|x| x.clamp(-clip, clip).powi(2))
            .sum();
        (self.rules.contact_cost * squares).min(self.rules.contact_cost_limit)
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
        self.write(observation, |x| x as f32);
    }

    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Step {
        assert_eq!(action.len(), self.controls.len(), "length of the action");
        let before = self.way();
        for (control, &component) in self.controls.iter_mut().zip(action) {
            let limit = self.rules.control_limit;
            // Gymnasium's actions are f32.
            *control = f64::from(limit as f32 * component.clamp(-1.0, 1.0));
        }
        self.data.step(&self.controls, self.rules.frame_skip);
        if self.contact_forces.is_some() {
            self.data.compute_contact_forces();
        }
        self.write(observation, |x| x as f32);
        let healthy = self.is_healthy();
        let forward_velocity = (self.way() - before) / self.spec.timestep;
        let alive = healthy || self.rules.bonus_on_last_step;
        let bonus = if alive { self.rules.alive_bonus } else { 0.0 };
        let costs = self.control_cost(action) + self.contact_cost();
        Step {
            reward: self.rules.forward_weight * forward_velocity + bonus - costs,
            terminated: !healthy,
        }
    }
}

/// Why an environment that needs such readings cannot be made.
fn not_shown(library: &Library, id: &str, reason: &str) -> String {
    let version = library.version();
    format!("{id} needs what MuJoCo {version} does not show: {reason}; ant-v4 does without")
}
