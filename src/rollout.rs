//! Episodes of a policy in parallel environments.
//!
//! One batched `act` for all running episodes, one rayon sweep of the environments per timestep; finished episodes leave the
//! batch. Episode i draws its start and its noise from (seed, i) alone.

use std::convert::Infallible;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};
use tiltrl_envs::{EnvBatch, EnvOptions, EnvSpec, Step};
use tiltrl_policies::agent::Policy;
use tiltrl_tilt::noise::Noise;

use crate::data::{Ending, NextObservations, Recorder, Transition};
use crate::error::Error;

/// One finished episode.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// Sum of rewards.
    #[serde(rename = "return")]
    pub episode_return: f64,
    /// Timesteps until it ended.
    pub length: usize,
    /// Ended by the task, not by the horizon.
    pub terminated: bool,
}

/// Returns episodes `0 … episodes − 1` of `policy` in `env`, in order; `recorders`, when given, gets one recording each.
///
/// # Errors
/// When the environment cannot be made.
pub fn rollout(
    policy: &dyn Policy,
    env: &str,
    episodes: usize,
    seed: u64,
    recorders: Option<&mut Vec<Recorder>>,
) -> Result<Vec<Episode>, Error> {
    let mut batch = EnvBatch::new(env, &EnvOptions::default(), episodes)?;
    Ok(rollout_in(&mut batch, policy, seed, recorders))
}

/// Returns one episode of `policy` in each environment of the batch, in order; else as [`rollout`].
pub fn rollout_in(
    batch: &mut EnvBatch,
    policy: &dyn Policy,
    seed: u64,
    recorders: Option<&mut Vec<Recorder>>,
) -> Vec<Episode> {
    let (episodes, spec) = (batch.len(), batch.spec().clone());
    let all: Vec<usize> = (0..episodes).collect();
    let mut observations = vec![0.0f32; episodes * spec.observation_dim];
    batch.reset(&all, &start_seeds(seed, episodes), &mut observations);
    let step = |active: &[usize], actions: &[f32], next: &mut [f32], steps: &mut [Step]| {
        batch.step(active, actions, next, steps);
        Ok::<(), Infallible>(())
    };
    let Ok(played) = episodes_by(&spec, observations, policy, seed, recorders, step);
    played
}

/// Plays one episode for each row of first observations [episodes, observation_dim], by whatever moves the environments: `step` takes
/// the indices of the running episodes and their actions, and writes their observations and steps.
///
/// # Errors
/// What `step` answers.
pub(crate) fn episodes_by<E>(
    spec: &EnvSpec,
    mut observations: Vec<f32>,
    policy: &dyn Policy,
    seed: u64,
    mut recorders: Option<&mut Vec<Recorder>>,
    mut step: impl FnMut(&[usize], &[f32], &mut [f32], &mut [Step]) -> Result<(), E>,
) -> Result<Vec<Episode>, E> {
    let (width, dim) = (spec.observation_dim, spec.action_dim);
    let episodes = observations.len() / width;
    let mut active: Vec<usize> = (0..episodes).collect();
    let mut noise = noise_of(seed, episodes);
    if let Some(list) = recorders.as_deref_mut() {
        list.extend((0..episodes).map(|_| Recorder::new(width, dim, NextObservations::Omitted)));
    }
    let empty = Episode {
        episode_return: 0.0,
        length: 0,
        terminated: false,
    };
    let mut results = vec![empty; episodes];
    while !active.is_empty() {
        let view = ArrayView2::from_shape((active.len(), width), &observations)
            .expect("one row per episode");
        let actions: Vec<f32> = policy.act(view, &mut noise).into_iter().collect();
        let mut next = vec![0.0f32; active.len() * width];
        let mut steps = vec![Step::default(); active.len()];
        step(&active, &actions, &mut next, &mut steps)?;
        let mut running = Vec::with_capacity(active.len());
        for (row, (&index, step)) in active.iter().zip(&steps).enumerate() {
            let result = &mut results[index];
            result.episode_return += step.reward;
            result.length += 1;
            result.terminated = step.terminated;
            let truncated = result.length >= spec.horizon;
            if let Some(list) = recorders.as_deref_mut() {
                list[index].push(Transition {
                    observation: &observations[row * width..(row + 1) * width],
                    action: &actions[row * dim..(row + 1) * dim],
                    reward: step.reward as f32,
                    next_observation: &next[row * width..(row + 1) * width],
                    ending: Ending::of(step.terminated, truncated),
                });
            }
            running.push(!(step.terminated || truncated));
        }
        let mut flags = running.iter();
        active.retain(|_| *flags.next().unwrap_or(&true));
        noise.keep(&running);
        observations = next
            .chunks_exact(width)
            .zip(&running)
            .filter(|(_, r)| **r)
            .flat_map(|(o, _)| o.to_vec())
            .collect();
    }
    Ok(results)
}

/// Returns the seeds that start episodes `0 … episodes − 1`.
pub(crate) fn start_seeds(seed: u64, episodes: usize) -> Vec<u64> {
    let episodes = 0..episodes as u64;
    episodes.map(|i| start_seed(seed, i)).collect()
}

/// Returns the noise of episodes `0 … episodes − 1`.
pub(crate) fn noise_of(seed: u64, episodes: usize) -> Noise {
    let indices: Vec<u64> = (0..episodes as u64).collect();
    episode_noise(seed, &indices)
}

/// Returns the seed that starts an episode.
pub fn start_seed(seed: u64, episode: u64) -> u64 {
    Noise::keyed(seed, "episode-start", episode).seed()
}

/// Returns the noise with which these episodes are played, one stream each.
pub fn episode_noise(seed: u64, episodes: &[u64]) -> Noise {
    Noise::streams(seed, "episode-noise", episodes)
}
