//! How jobs stand, read from their folders.

use std::fmt;

use super::job::Job;
use crate::error::Error;
use crate::run::{Lock, Log, Results, RunDir, allowed_changes, is_finished};

/// How a job stands.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Its folder holds nothing.
    NotStarted,
    /// Slurm has it: the element, as JOB_INDEX.
    Waiting(String),
    /// A process holds its lock.
    Running(At),
    /// It began and no process holds its lock.
    Died(At),
    /// It was finished, and is asked for more since.
    Grows(String),
    /// Every stage is done.
    Done,
    /// Its folder cannot be read, or is of another config.
    Damaged(String),
}

/// The last checkpoint of a job; none before the first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct At(Option<(&'static str, u64)>);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((stage, update)) => write!(f, "at {stage} update {update}"),
            None => f.write_str("before its first checkpoint"),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted => f.write_str("not started"),
            Self::Waiting(element) => write!(f, "in Slurm's queue as {element}"),
            Self::Running(at) => write!(f, "running, {at}"),
            Self::Died(at) => write!(f, "died {at}"),
            Self::Grows(what) => write!(f, "to go on with {what}"),
            Self::Done => f.write_str("done"),
            Self::Damaged(why) => write!(f, "cannot go on: {why}"),
        }
    }
}

impl State {
    /// Returns how a job's folder stands.
    pub fn of(job: &Job) -> Self {
        let dir = &job.dir;
        let running = Lock::is_held(&dir.path);
        if !dir.path.join("run.toml").exists() {
            return if running {
                Self::Running(At::default())
            } else {
                Self::NotStarted
            };
        }
        Self::begun(job, running).unwrap_or_else(|error| Self::Damaged(first_line(&error)))
    }

    fn begun(job: &Job, running: bool) -> Result<Self, Error> {
        let dir = &job.dir;
        let found = dir.config()?;
        let at = last_checkpoint(dir)?;
        if running {
            return Ok(Self::Running(at));
        }
        let grown = allowed_changes(&dir.path, &found, &job.config)?;
        if dir.state("results").exists() {
            Results::read(dir)?;
        }
        if !is_finished(dir) {
            return Ok(Self::Died(at));
        }
        if grown.is_empty() {
            return Ok(Self::Done);
        }
        let keys: Vec<&str> = grown.iter().map(|change| change.key.as_str()).collect();
        Ok(Self::Grows(format!("more {}", keys.join(", "))))
    }

    /// Returns whether the job has to be started.
    pub fn is_open(&self) -> bool {
        !matches!(self, Self::Waiting(_) | Self::Running(_) | Self::Done)
    }
}

/// The last stage that has a log, and its last update.
fn last_checkpoint(dir: &RunDir) -> Result<At, Error> {
    for stage in ["finetune", "policy", "critic", "likelihood", "prior"] {
        if dir.state(stage).exists() {
            let last = Log::read(dir, stage)?.last_update();
            return Ok(At(last.map(|update| (stage, update))));
        }
    }
    Ok(At(None))
}

fn first_line(error: &Error) -> String {
    let text = error.to_string();
    let mut lines = text.lines().take_while(|line| !line.contains("hint:"));
    let first = lines.next().unwrap_or_default().to_string();
    lines.fold(first, |all, line| format!("{all}; {}", line.trim()))
}
