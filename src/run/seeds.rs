//! Which seeds of a run are ready.

use std::path::Path;

use super::folder::{RunDir, seeds_in};
use super::results::Results;
use crate::config::Config;
use crate::error::Error;

/// Returns whether every stage of the seed is done, as its config stands.
pub fn is_finished(dir: &RunDir) -> bool {
    let certified = dir.path.join("certificate.json").exists();
    let complete = |config: Config| {
        let judged = certified || !config.has_posterior();
        Ok(judged && Results::read(dir)?.is_complete(&config))
    };
    dir.state("results").exists() && dir.config().and_then(complete).unwrap_or(false)
}

/// Seeds of a run, sorted by whether they are ready for what is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Seeds {
    /// Ready ones, ascending; at least one.
    pub ready: Vec<u64>,
    /// Seeds that are not ready, ascending.
    pub rest: Vec<u64>,
}

impl Seeds {
    /// Returns the seeds of a run that are finished, beside those that are not.
    ///
    /// # Errors
    /// When the folder holds no run, or no seed of it is finished.
    pub fn finished(folder: &Path) -> Result<Self, Error> {
        Self::with(folder, "is finished", is_finished)
    }

    /// Returns the seeds of a run for which `ready` holds, beside the others.
    ///
    /// # Errors
    /// When the folder holds no run, or there is none of the former; `what` says what they lack.
    pub fn with(folder: &Path, what: &str, ready: impl Fn(&RunDir) -> bool) -> Result<Self, Error> {
        let (ready, rest): (Vec<u64>, Vec<u64>) = seeds_in(folder)?
            .into_iter()
            .partition(|&seed| ready(&RunDir::of_seed(folder, seed)));
        if !ready.is_empty() {
            return Ok(Self { ready, rest });
        }
        let dir = RunDir::of_seed(folder, rest[0]);
        let old = dir.path.join("final.csv").exists() && !dir.state("results").exists();
        let hint = if old {
            "it was made by an earlier version, which kept its results elsewhere: make it again with another --out"
        } else {
            "repeat the command that started it; it goes on from the last checkpoint"
        };
        Err(Error::Run(format!(
            "{}: no seed of this run {what} (seeds {rest:?} are under way)\n  hint: {hint}",
            folder.display()
        )))
    }
}
