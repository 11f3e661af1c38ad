//! What every stage of a seed works with.

use tiltrl_envs::EnvBatch;
use tiltrl_policies::Compute;
use tiltrl_policies::agent::Policy;

use super::training_data::TrainingData;
use crate::card::{self, Acting, Task};
use crate::config::Config;
use crate::console::Console;
use crate::device::Card;
use crate::error::Error;
use crate::rollout::{Episode, rollout_in};
use crate::run::RunDir;

/// One seed of a run: settings, data, where it is written and computed.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    /// Resolved config of the run.
    pub config: &'a Config,
    /// Transitions in the coordinates that networks see.
    pub data: &'a TrainingData,
    /// Seed that everything drawn depends on.
    pub seed: u64,
    /// Its folder, whose lock is held.
    pub dir: &'a RunDir,
    /// Where networks are computed.
    pub compute: &'a Compute,
    /// The card that plays episodes, if one does.
    pub card: Option<Card>,
    /// Where progress is shown.
    pub console: Console,
    /// Whether numbers are written for TensorBoard too.
    pub tensorboard: bool,
}

impl Work<'_> {
    /// Returns one episode of a policy in each environment of the batch, or as many on the card.
    ///
    /// # Errors
    /// When the card refuses.
    pub fn episodes(
        &self,
        batch: &mut EnvBatch,
        policy: &dyn Policy,
        seed: u64,
    ) -> Result<Vec<Episode>, Error> {
        let Some(card) = self.card else {
            return Ok(rollout_in(batch, policy, seed, None));
        };
        let task = Task {
            env: &self.config.env,
            options: &self.config.evaluation.options()?,
            episodes: batch.len(),
            seed,
        };
        card::rollout(card, task, Acting::Processor(policy), None)
    }
}
