//! `--horizon` and `--both-flags`: how data are read, as arguments of every command that takes `--data`.

use clap::Args;
use tiltrl_envs::EnvSpec;

use crate::config::DataConfig;
use crate::data::{BothFlags, Environment, ReadOptions};
use crate::error::Error;

/// How data are read, where the files leave it open.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct ReadingArgs {
    /// Timesteps after which the clock ended an episode, for files that do not say (key data.horizon).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub horizon: Option<u64>,
    /// What a row with both flags means: terminal (the task ended), or timeout (terminals = done was stored) (key
    /// data.both_flags).
    #[arg(long, value_name = "terminal|timeout")]
    pub both_flags: Option<BothFlags>,
}

impl ReadingArgs {
    /// Returns the overrides of a run's config that these arguments stand for.
    pub fn overrides(&self) -> Vec<String> {
        let horizon = self.horizon.map(|n| format!("data.horizon={n}"));
        let both = self
            .both_flags
            .map(|rule| format!("data.both_flags=\"{rule}\""));
        horizon.into_iter().chain(both).collect()
    }

    /// Returns what a reader is told; `spec` is the environment that the data are for.
    pub fn options(&self, spec: Option<&EnvSpec>) -> ReadOptions {
        ReadOptions {
            horizon: self.horizon.map(|horizon| horizon as usize),
            environment: spec.map(Environment::of),
            both_flags: self.both_flags.unwrap_or_default(),
            ..ReadOptions::default()
        }
    }

    /// Refuses another reading of the data than that of a run, by key.
    ///
    /// # Errors
    /// [`Error::Run`] with every key that differs and both values.
    pub fn check(&self, run: &DataConfig) -> Result<(), Error> {
        let mut lines = Vec::new();
        if let Some(asked) = self.horizon.filter(|&asked| asked != run.horizon as u64) {
            let own = run.horizon;
            lines.push(format!(
                "data.horizon: {own} in the folder, {asked} asked for"
            ));
        }
        if let Some(asked) = self.both_flags.filter(|&asked| asked != run.both_flags) {
            let own = run.both_flags;
            lines.push(format!(
                "data.both_flags: \"{own}\" in the folder, \"{asked}\" asked for"
            ));
        }
        if lines.is_empty() {
            return Ok(());
        }
        Err(Error::Run(format!(
            "the run read its data in another way\n  {}\n  hint: leave the option out: the data are read as the run read them",
            lines.join("\n  ")
        )))
    }
}
