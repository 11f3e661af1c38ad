//! Jobs on this machine, several at a time.

use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::job::program;
use crate::console::Console;
use crate::error::Error;

/// How jobs are done here.
#[derive(Clone, Copy, Debug)]
pub struct Local {
    /// What the progress is of.
    pub title: &'static str,
    /// Processes at a time.
    pub at_once: usize,
    /// Threads of each.
    pub threads: usize,
    /// Where progress is shown.
    pub console: Console,
}

/// One call of this program.
#[derive(Clone, Debug)]
pub struct Task {
    /// What progress and errors call it.
    pub label: String,
    /// Words of its command line, without the program's name.
    pub words: Vec<String>,
}

/// Does the tasks in their order, so many at a time, and returns for each why it failed, if it did: the others go on.
pub fn run_all(local: Local, tasks: &[Task]) -> Vec<Option<String>> {
    let progress = local.console.progress(local.title, tasks.len() as u64, 0);
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failed = Mutex::new(vec![None; tasks.len()]);
    std::thread::scope(|scope| {
        for _ in 0..local.at_once.clamp(1, tasks.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(task) = tasks.get(at) else { break };
                    if let Err(error) = run_one(local, task)
                        && let Ok(mut failed) = failed.lock()
                    {
                        failed[at] = Some(error.to_string());
                    }
                    let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                    progress.say(done as u64, &task.label);
                }
            });
        }
    });
    progress.finish();
    failed.into_inner().unwrap_or_default()
}

fn run_one(local: Local, task: &Task) -> Result<(), Error> {
    let output = Command::new(program()?)
        .args(["--threads", &local.threads.to_string(), "--quiet"])
        .args(&task.words)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| Error::Run(format!("cannot start a run: {e}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let found = reason(&said).unwrap_or_else(|| format!("{}: {}", output.status, said.trim()));
    Err(Error::Run(found))
}

/// Returns the error in what a run said; none where there is none.
pub(super) fn reason(said: &str) -> Option<String> {
    let at = said.find("error:")?;
    Some(said[at..].trim().to_string())
}
