//! A job: one seed of one experiment, and the command line that does it.

use std::path::PathBuf;

use crate::config::Config;
use crate::error::Error;
use crate::run::{RunDir, allowed_changes};

/// One seed of one experiment.
#[derive(Clone, Debug)]
pub struct Job {
    /// Name of the experiment, as tables show it.
    pub name: String,
    /// Seed of the run.
    pub seed: u64,
    /// Folder of the seed.
    pub dir: RunDir,
    /// What is asked for.
    pub config: Config,
    /// Words of its command line, without the program's name.
    pub words: Vec<String>,
}

/// Returns the path of this program, which the jobs start.
///
/// # Errors
/// When the system does not tell.
pub(crate) fn program() -> Result<PathBuf, Error> {
    std::env::current_exe().map_err(|e| Error::Run(format!("own program: {e}")))
}

/// Refuses, before anything is started, folders that hold runs with another config; all of them at once.
///
/// # Errors
/// [`Error::Run`] that names every such folder and key. A damaged folder is no error here: its state says what is wrong.
pub fn check_folders(jobs: &[Job]) -> Result<(), Error> {
    let fault = |job: &Job| {
        let found = job.dir.config().ok()?;
        allowed_changes(&job.dir.path, &found, &job.config).err()
    };
    let faults: Vec<String> = jobs
        .iter()
        .filter_map(fault)
        .map(|e| e.to_string())
        .collect();
    if faults.is_empty() {
        return Ok(());
    }
    Err(Error::Run(faults.join("\n")))
}
