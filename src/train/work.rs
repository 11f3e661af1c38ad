//! What every stage of a seed works with.

use tiltrl_policies::Compute;

use super::training_data::TrainingData;
use crate::config::Config;
use crate::console::Console;
use crate::run::RunDir;

/// One seed of a run: settings, data, where it is written and computed.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    /// Settings.
    pub config: &'a Config,
    /// Transitions in the coordinates that networks see.
    pub data: &'a TrainingData,
    /// The seed.
    pub seed: u64,
    /// Its folder, whose lock is held.
    pub dir: &'a RunDir,
    /// Where networks are computed.
    pub compute: &'a Compute,
    /// Where progress is shown.
    pub console: Console,
    /// Whether numbers are written for TensorBoard too.
    pub tensorboard: bool,
}
