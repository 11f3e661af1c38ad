//! How many jobs stand, as a list: what is missing, in words and as CSV.

use std::path::Path;

use super::job::Job;
use super::slurm::{Known, known};
use super::state::State;
use crate::error::Error;
use crate::files::csv_cell;

/// A job, how it stands, and the last error it gave, if one is known.
#[derive(Clone, Debug)]
pub struct Listed<'a> {
    /// The job as it was planned.
    pub job: &'a Job,
    /// How it stands.
    pub state: State,
    /// Its last error.
    pub reason: Option<String>,
}

/// Returns how each job stands: by its folder, by Slurm's queue and by the last error in the ledger, where there is one.
///
/// # Errors
/// When the ledger cannot be read.
pub fn listed<'a>(out: &Path, jobs: &'a [Job]) -> Result<Vec<Listed<'a>>, Error> {
    let known = known(out, jobs)?;
    let of = |(job, known): (&'a Job, Known)| {
        let state = match (State::of(job), known.element) {
            (found, Some(element)) if found.is_open() => State::Waiting(element),
            (found, _) => found,
        };
        let reason = known.reason;
        Listed { job, state, reason }
    };
    Ok(jobs.iter().zip(known).map(of).collect())
}

/// Returns what is missing as Markdown, one line per job; nothing where all is done.
pub fn missing(all: &[Listed<'_>]) -> Option<String> {
    let open: Vec<&Listed<'_>> = all.iter().filter(|l| l.state != State::Done).collect();
    if open.is_empty() {
        return None;
    }
    let mut out = format!(
        "Missing: {} of {} runs.\n\n| run | seed | state |\n|---|---|---|\n",
        open.len(),
        all.len()
    );
    for l in open {
        out += &format!("| {} | {} | {} |\n", l.job.name, l.job.seed, l.text());
    }
    Some(out)
}

impl Listed<'_> {
    /// Returns the state with the last error, in one line that a cell of a Markdown table can hold.
    pub fn text(&self) -> String {
        let shown = match (&self.state, &self.reason) {
            (State::Died(_) | State::NotStarted, Some(reason)) => {
                let line = reason.lines().next().unwrap_or_default();
                format!("{}: {line}", self.state)
            }
            (state, _) => state.to_string(),
        };
        shown.replace('|', "\\|")
    }
}

/// Returns the jobs as CSV: name, seed, state, folder.
pub fn runs_csv(all: &[Listed<'_>]) -> String {
    let mut out = "run,seed,state,folder\n".to_string();
    for l in all {
        let folder = l.job.dir.path.display().to_string();
        out += &format!(
            "{},{},{},{}\n",
            csv_cell(&l.job.name),
            l.job.seed,
            csv_cell(&l.text()),
            csv_cell(&folder)
        );
    }
    out
}
