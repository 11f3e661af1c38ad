//! Actors of any file as policies.

use std::path::Path;

use ndarray::{Array2, ArrayView2};
use tiltrl_envs::EnvSpec;
use tiltrl_policies::agent::Policy;
use tiltrl_tilt::noise::Noise;

use super::flat::FlatActor;
use super::imported::ImportedActor;
use super::tensors::has_ending;
use crate::data::DataError;
use crate::error::Error;

/// Endings of the libraries' own files, which hold Python objects.
const PICKLES: [&str; 6] = ["zip", "pt", "pth", "d3", "pkl", "onnx"];

/// An actor of any file.
#[derive(Debug, Clone)]
pub enum Actor {
    /// Of a flat file.
    Flat(FlatActor),
    /// Of another library's weights.
    Imported(ImportedActor),
}

impl Actor {
    /// Reads an actor for an environment, by the file's ending.
    ///
    /// # Errors
    /// When the file cannot be read or does not fit the environment.
    pub fn read(file: &Path, env: &EnvSpec) -> Result<Self, Error> {
        if has_ending(file, &["safetensors", "npz"]) {
            return Ok(Self::Imported(ImportedActor::read(file, env)?));
        }
        if has_ending(file, &PICKLES) && file.exists() {
            return Err(DataError::ActorFile {
                path: file.to_path_buf(),
                key: String::new(),
                expected: "a file of weights (.safetensors, .npz) or a flat one".into(),
                found: "a library's own file by its ending".into(),
                hint: "docs/actors.md has lines of Python that write the weights from it.".into(),
            }
            .into());
        }
        let actor = FlatActor::read(file)?;
        if [actor.observation_dim(), actor.action_dim()] != [env.observation_dim, env.action_dim] {
            return Err(Error::Run(format!(
                "{}: expected an actor for {} ({} → {}), found {} → {}",
                file.display(),
                env.id,
                env.observation_dim,
                env.action_dim,
                actor.observation_dim(),
                actor.action_dim()
            )));
        }
        Ok(Self::Flat(actor))
    }

    /// Returns whether it has a distribution to draw from.
    pub fn is_gaussian(&self) -> bool {
        match self {
            Self::Flat(_) => true,
            Self::Imported(actor) => actor.is_gaussian(),
        }
    }

    /// Returns what was assumed or left out when it was read.
    pub fn notes(&self) -> &[String] {
        match self {
            Self::Flat(_) => &[],
            Self::Imported(actor) => actor.notes(),
        }
    }

    fn act(&self, observation: &[f32], noise: Option<&mut dyn FnMut() -> f64>, action: &mut [f32]) {
        match self {
            Self::Flat(actor) => actor.act(observation, noise, action),
            Self::Imported(actor) => actor.act(observation, noise, action),
        }
    }

    fn action_dim(&self) -> usize {
        match self {
            Self::Flat(actor) => actor.action_dim(),
            Self::Imported(actor) => actor.action_dim(),
        }
    }
}

/// An actor that acts in an environment.
#[derive(Debug, Clone)]
pub struct ActorPolicy {
    /// The network and its distribution.
    pub actor: Actor,
    /// Whether actions are drawn; else they are the mean's.
    pub drawn: bool,
}

impl Policy for ActorPolicy {
    fn act(&self, observations: ArrayView2<'_, f32>, noise: &mut Noise) -> Array2<f32> {
        let (rows, dim) = (observations.nrows(), self.actor.action_dim());
        let mut draws = noise.normals(rows, dim).into_iter().map(f64::from);
        let mut actions = Array2::zeros((rows, dim));
        for (observation, mut action) in observations.rows().into_iter().zip(actions.rows_mut()) {
            let observation: Vec<f32> = observation.to_vec();
            let mut own = vec![0.0; dim];
            let mut draw = || draws.next().unwrap_or(0.0);
            let noise: Option<&mut dyn FnMut() -> f64> =
                if self.drawn { Some(&mut draw) } else { None };
            self.actor.act(&observation, noise, &mut own);
            action.iter_mut().zip(own).for_each(|(a, v)| *a = v);
        }
        actions
    }
}
