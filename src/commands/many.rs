//! Arguments and steps that `benchmark` and `sweep` share: many runs, here or by Slurm.

use std::path::Path;

use clap::Args;

use super::output::print;
use crate::error::Error;
use crate::jobs::{Job, Plan, Settings, Task, submit};

/// Arguments of job arrays.
#[derive(Args)]
pub struct SlurmArgs {
    /// Submit the runs that are not done to Slurm, as an array of jobs with the table after them; see docs/many-machines.md.
    #[arg(long)]
    slurm: bool,
    /// Write the scripts and the ledger, print the sbatch commands, and submit nothing.
    #[arg(long, requires = "slurm")]
    dry_run: bool,
    /// Slurm's partition to submit to.
    #[arg(long, requires = "slurm", value_name = "NAME")]
    partition: Option<String>,
    /// Time limit of one run, as Slurm writes it: 4:00:00.
    #[arg(long, requires = "slurm", value_name = "TIME")]
    time: Option<String>,
    /// Memory of one run, as Slurm writes it: 4G.
    #[arg(long, requires = "slurm", value_name = "SIZE")]
    mem: Option<String>,
    /// A further option of sbatch, as "--account=NAME"; may be repeated.
    #[arg(
        long,
        requires = "slurm",
        value_name = "OPTION",
        allow_hyphen_values = true
    )]
    sbatch: Vec<String>,
    /// Train nothing: write the table of what is there, and say what is missing.
    #[arg(long, conflicts_with = "slurm")]
    table: bool,
}

/// Where the runs are done.
pub enum Mode {
    /// By processes of this machine.
    Here,
    /// By Slurm, as an array of jobs.
    Slurm(Settings),
    /// Nowhere: only the table is made.
    Table,
}

impl SlurmArgs {
    /// Returns what was asked for; `at_once` is --jobs.
    pub fn mode(&self, at_once: Option<usize>) -> Mode {
        if self.table {
            return Mode::Table;
        }
        if !self.slurm {
            return Mode::Here;
        }
        Mode::Slurm(Settings {
            dry_run: self.dry_run,
            at_once,
            partition: self.partition.clone(),
            time: self.time.clone(),
            mem: self.mem.clone(),
            lines: self.sbatch.clone(),
        })
    }

    /// Submits what is not done, says what was done, and returns whether nothing is left to do but the table.
    ///
    /// # Errors
    /// As for [`submit`].
    pub fn submit(
        &self,
        title: &str,
        out: &Path,
        jobs: &[Job],
        threads: usize,
        table: &[String],
        settings: &Settings,
    ) -> Result<bool, Error> {
        let plan = Plan {
            title,
            out,
            jobs,
            threads,
            table,
            settings,
        };
        let submission = submit(&plan)?;
        print(submission.said.trim_end());
        let what = "the same command with --table in place of --slurm and its options";
        if submission.done {
            return Ok(!settings.dry_run);
        }
        print(&format!("how it stands: {what}"));
        Ok(false)
    }
}

/// Names every task that failed.
///
/// # Errors
/// [`Error::Run`] when one did.
pub fn said_failed(tasks: &[Task], failed: &[Option<String>]) -> Result<(), Error> {
    let lines = tasks.iter().zip(failed).filter_map(|(task, failed)| {
        let reason = failed.as_ref()?;
        Some(format!("{}: {reason}", task.label))
    });
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() {
        return Ok(());
    }
    Err(Error::Run(lines.join("\n")))
}
