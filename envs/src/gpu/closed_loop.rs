//! Observation → denoising → step without leaving the device: whole episodes of a policy, whose results are read at the end.

use super::actor::{Actor, NoiseKey};
use super::environments::{Array, DeviceEnvs, Status};
use super::error::GpuError;
use super::policy::PolicyTables;

/// Steps between two looks at how many episodes go on: a look waits for the device.
const STEPS_BETWEEN_LOOKS: usize = 32;

/// A finished episode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeviceEpisode {
    /// Sum of rewards.
    pub episode_return: f64,
    /// Number of environment steps.
    pub length: usize,
    /// Ended by the task, not by the horizon.
    pub terminated: bool,
}

impl DeviceEnvs {
    /// Puts a policy on the device. Environment k draws its noise from the ChaCha8 stream of `keys[k]`: for each action first x_0, then
    /// the noise of each step, as a CPU stream of that key gives it.
    ///
    /// # Errors
    /// If the policy is of other widths than the environment or too wide for the kernels, if the device is full, or what the
    /// driver answers.
    ///
    /// # Panics
    /// If there is another number of keys than environments.
    pub fn set_policy(&mut self, tables: &PolicyTables, keys: &[NoiseKey]) -> Result<(), GpuError> {
        assert_eq!(keys.len(), self.len(), "one key for each environment");
        let spec = self.program().spec();
        if tables.widths() != [spec.observation_dim, spec.action_dim] {
            return Err(GpuError::Unsupported {
                id: spec.id,
                reason: format!("the policy has widths {:?}", tables.widths()),
                hint: "take a policy of this environment".into(),
            });
        }
        if let Some(mut old) = self.actor.take() {
            old.free(&mut *self.driver);
        }
        let device = self.device().to_string();
        self.actor = Some(Actor::new(&mut *self.driver, tables, keys, &device)?);
        Ok(())
    }

    /// Lets the policy on the device act: the actions of all running environments for the last observations.
    ///
    /// # Errors
    /// What the driver answers.
    ///
    /// # Panics
    /// Without [`Self::set_policy`].
    pub fn act(&mut self) -> Result<(), GpuError> {
        let places = [Array::Observations, Array::Actions, Array::Status].map(|a| self.at(a));
        let actor = self.actor.as_ref().expect("set_policy comes first");
        actor.act(&mut *self.driver, places)
    }

    /// Plays the episode of `seeds[k]` with the noise of `keys[k]` in environment k by the policy on the device, to the end.
    ///
    /// # Errors
    /// What the driver answers.
    ///
    /// # Panics
    /// Without [`Self::set_policy`], or if there is another number of seeds or keys than environments.
    pub fn play(
        &mut self,
        seeds: &[u64],
        keys: &[NoiseKey],
    ) -> Result<Vec<DeviceEpisode>, GpuError> {
        assert_eq!(keys.len(), self.len(), "one key for each environment");
        let actor = self.actor.as_ref().expect("set_policy comes first");
        actor.begin(&mut *self.driver, keys)?;
        self.reset_to(seeds)?;
        let horizon = self.program().spec().horizon;
        for step in 1..=horizon {
            self.act()?;
            self.step()?;
            let look = step % STEPS_BETWEEN_LOOKS == 0 && step < horizon;
            if look && !self.any_runs()? {
                break;
            }
        }
        self.episodes()
    }

    /// Whether an episode goes on.
    ///
    /// # Errors
    /// What the driver answers.
    pub fn any_runs(&mut self) -> Result<bool, GpuError> {
        Ok(self.statuses()?.contains(&Status::Running))
    }

    /// The episodes as far as they have come.
    ///
    /// # Errors
    /// What the driver answers.
    pub fn episodes(&mut self) -> Result<Vec<DeviceEpisode>, GpuError> {
        let (returns, ages, statuses) = (self.returns()?, self.ages()?, self.statuses()?);
        let all = returns.into_iter().zip(ages).zip(statuses);
        let episode = |((episode_return, age), status)| DeviceEpisode {
            episode_return,
            length: age as usize,
            terminated: status == Status::Terminated,
        };
        Ok(all.map(episode).collect())
    }
}
