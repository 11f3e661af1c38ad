//! Jobs handed to Slurm: arrays, whose elements are lines of the ledger, and a job after them that writes the table.

use std::path::Path;
use std::process::{Command, Stdio};

use super::job::{Job, check_folders, program};
use super::ledger::{Ledger, Submitted, ranges};
use super::local::reason;
use super::plan::{Plan, Settings};
use super::scripts;
use super::state::State;
use crate::console::note;
use crate::error::Error;
use crate::files::write_atomically;
use crate::run::{Lock, shell};

/// Elements of one array. Slurm's default allows indices up to 1000.
const ELEMENTS: usize = 1000;

/// What a submission came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Submission {
    /// It in words: counts, commands, numbers of jobs.
    pub said: String,
    /// Whether every job was done already.
    pub done: bool,
}

/// Submits what is not done, running or waiting.
///
/// # Errors
/// When a folder holds another run, a file cannot be written, there is no sbatch, or it refuses: what was submitted before is in
/// the ledger, and the same call goes on from there.
pub fn submit(plan: &Plan<'_>) -> Result<Submission, Error> {
    plan.settings.check()?;
    check_folders(plan.jobs)?;
    let folder = plan.out.join("slurm");
    // Two calls at once: the second waits, and finds in the queue what the first submitted.
    let _lock = Lock::wait(&folder)?;
    let folder = std::path::absolute(&folder).map_err(Error::io(&folder))?;
    let mut ledger = Ledger::open(&folder)?;
    let numbers = write_files(plan, &folder, &mut ledger)?;
    let queue = queue(&ledger.arrays);
    let (mut open, mut done, mut running, mut damaged) = (Vec::new(), 0, 0, Vec::new());
    for (job, &number) in plan.jobs.iter().zip(&numbers) {
        match State::of(job) {
            State::Done => done += 1,
            State::Running(_) => running += 1,
            _ if queue.iter().any(|element| element.line == number) => {}
            // Its run would end with the same words at once.
            State::Damaged(why) => damaged.push(format!(
                "not submitted: {} cannot go on: {why}\n",
                job.dir.path.display()
            )),
            _ => open.push(number),
        }
    }
    let all = plan.jobs.len();
    let mut said = format!(
        "{all} runs: {done} done, {running} running, {} in the queue, {} to submit\n",
        all - done - running - damaged.len() - open.len(),
        open.len()
    );
    said += &damaged.concat();
    if !open.is_empty() {
        said += &submit_all(plan, &folder, &open, (&mut ledger, &queue))?;
    }
    Ok(Submission {
        said,
        done: done == all,
    })
}

/// Writes ledger and scripts, and returns the line of each job.
fn write_files(plan: &Plan<'_>, folder: &Path, ledger: &mut Ledger) -> Result<Vec<usize>, Error> {
    for name in ["said", "logs"] {
        let inner = folder.join(name);
        std::fs::create_dir_all(&inner).map_err(Error::io(&inner))?;
    }
    let here = Path::new(".");
    let here = std::path::absolute(here).map_err(Error::io(here))?;
    let start = [
        program()?.display().to_string(),
        "--threads".into(),
        plan.threads.to_string(),
        "--quiet".into(),
    ];
    let numbers = ledger.lines_of(plan.jobs, &start)?;
    let array = scripts::array(plan, folder, &here);
    write_atomically(&folder.join("array.sh"), array.as_bytes())?;
    let table = scripts::table(plan, &start, &here);
    write_atomically(&folder.join("table.sh"), table.as_bytes())?;
    Ok(numbers)
}

fn submit_all(
    plan: &Plan<'_>,
    folder: &Path,
    open: &[usize],
    (ledger, queue): (&mut Ledger, &[Element]),
) -> Result<String, Error> {
    let (settings, mut said) = (plan.settings, String::new());
    let mut after: Vec<u64> = queue.iter().map(|element| element.job).collect();
    for array in arrays(open, settings, folder) {
        said += &format!("{}\n", shell(&array.words));
        if settings.dry_run {
            continue;
        }
        let id = sbatch(&array.words)?;
        ledger.submitted(id, array.offset)?;
        said += &format!("submitted as job {id}\n");
        after.push(id);
    }
    after.sort_unstable();
    after.dedup();
    let words = table_words(folder, &after, settings.dry_run);
    said += &format!("{}\n", shell(&words));
    if !settings.dry_run {
        said += &format!(
            "submitted as job {}: the table, after all others\n",
            sbatch(&words)?
        );
    }
    Ok(said)
}

/// One array: what is added to an index to find its line, and the words that submit it.
struct Array {
    offset: usize,
    words: Vec<String>,
}

/// Cuts lines of the ledger into arrays.
fn arrays(lines: &[usize], settings: &Settings, folder: &Path) -> Vec<Array> {
    let mut offsets: Vec<usize> = lines
        .iter()
        .map(|line| (line - 1) / ELEMENTS * ELEMENTS)
        .collect();
    offsets.sort_unstable();
    offsets.dedup();
    let of = |offset: usize| {
        let own = lines
            .iter()
            .filter(|&&line| (line - 1) / ELEMENTS * ELEMENTS == offset);
        let indices: Vec<usize> = own.map(|line| line - offset).collect();
        let limit = settings.at_once.map_or(String::new(), |n| format!("%{n}"));
        let mut words = start(folder, "%A_%a.txt");
        words.push(format!("--array={}{limit}", ranges(&indices)));
        words.push(folder.join("array.sh").display().to_string());
        words.push(offset.to_string());
        Array { offset, words }
    };
    offsets.into_iter().map(of).collect()
}

fn table_words(folder: &Path, after: &[u64], dry_run: bool) -> Vec<String> {
    let mut ids: Vec<String> = after.iter().map(u64::to_string).collect();
    if dry_run {
        ids.push("JOBID".into());
    }
    let mut words = start(folder, "table_%j.txt");
    words.push(format!("--dependency=afterany:{}", ids.join(":")));
    words.push(folder.join("table.sh").display().to_string());
    words
}

/// The first words of a submission. A percent sign in the path of the log is doubled, as Slurm reads patterns there.
fn start(folder: &Path, log: &str) -> Vec<String> {
    let logs = folder.join("logs").display().to_string().replace('%', "%%");
    let output = format!("--output={logs}/{log}");
    ["sbatch", "--parsable", &output].map(String::from).to_vec()
}

/// Submits, and returns the job's number.
fn sbatch(words: &[String]) -> Result<u64, Error> {
    let output = Command::new("sbatch")
        .args(&words[1..])
        .stdin(Stdio::null())
        .output()
        .map_err(|e| Error::Run(format!(
            "sbatch: {e}\n  hint: Slurm's commands have to be on the PATH (Debian: slurm-client), on a machine that may submit; --dry-run writes the files and prints the commands alone; without --slurm the runs are done here"
        )))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_string();
    let (said, error) = (text(&output.stdout), text(&output.stderr));
    if !output.status.success() {
        return Err(Error::Run(format!(
            "sbatch refused: {error}{said}\n  command: {}\n  hint: --partition, --time, --mem and --sbatch \"--OPTION=VALUE\" say what your cluster asks for; the same command submits what is left",
            shell(words)
        )));
    }
    let id = said.split(';').next().unwrap_or_default().trim();
    id.parse().map_err(|_| Error::Run(format!(
        "sbatch --parsable: expected the number of a job, found `{said}`{error}\n  command: {}\n  hint: the job may be in the queue; submitting it twice does no harm",
        shell(words)
    )))
}

/// An element of an array that Slurm still has.
struct Element {
    job: u64,
    index: usize,
    line: usize,
}

/// Asks Slurm which elements of the arrays wait or run. Where it gives no answer none is taken to, which is said.
fn queue(arrays: &[Submitted]) -> Vec<Element> {
    let mut found = Vec::new();
    if arrays.is_empty() {
        return found;
    }
    let ids: Vec<String> = arrays.iter().map(|a| a.job.to_string()).collect();
    let asked = Command::new("squeue")
        .args([
            "--noheader",
            "--array",
            "--format=%F %K",
            "--jobs",
            &ids.join(","),
        ])
        .stdin(Stdio::null())
        .output();
    let output = match asked {
        Ok(output) => output,
        Err(error) => {
            note(&format!(
                "note: squeue: {error}; what waits in the queue may be submitted twice, which does no harm"
            ));
            return found;
        }
    };
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    // A job that ended long ago is unknown: no trouble.
    if !output.status.success() && !error.contains("Invalid job id") {
        note(&format!(
            "note: squeue failed: {}; what waits in the queue may be submitted twice, which does no harm",
            error.trim()
        ));
    }
    for text in String::from_utf8_lossy(&output.stdout).lines() {
        let mut numbers = text.split_whitespace().map(str::parse::<u64>);
        if let (Some(Ok(job)), Some(Ok(index))) = (numbers.next(), numbers.next())
            && let Some(array) = arrays.iter().find(|known| known.job == job)
        {
            let index = index as usize;
            found.push(Element {
                job,
                index,
                line: array.offset + index,
            });
        }
    }
    found
}

/// What Slurm and the ledger know of a job.
#[derive(Default)]
pub(super) struct Known {
    /// The element that waits or runs, as JOB_INDEX.
    pub(super) element: Option<String>,
    /// The error that its last try ended with.
    pub(super) reason: Option<String>,
}

/// Returns what is known of each job; without a ledger nothing is.
///
/// # Errors
/// When the ledger cannot be read.
pub(super) fn known(out: &Path, jobs: &[Job]) -> Result<Vec<Known>, Error> {
    let folder = out.join("slurm");
    let ledger = Ledger::open(&folder)?;
    let queue = queue(&ledger.arrays);
    let of = |job: &Job| {
        let Some(line) = ledger.line_of(job) else {
            return Known::default();
        };
        let waits = queue.iter().find(|e| e.line == line);
        let said = std::fs::read_to_string(folder.join(format!("said/{line}.txt")));
        Known {
            element: waits.map(|e| format!("{}_{}", e.job, e.index)),
            reason: said.ok().and_then(|text| reason(&text)),
        }
    };
    Ok(jobs.iter().map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_have_at_most_a_thousand_elements_and_find_their_lines() {
        let settings = Settings {
            at_once: Some(8),
            ..Settings::default()
        };
        let lines: Vec<usize> = (1..=1003).filter(|n| *n != 2).collect();
        let found = arrays(&lines, &settings, Path::new("/a b/50%/slurm"));
        let words: Vec<String> = found.iter().map(|a| shell(&a.words)).collect();
        assert_eq!(
            words,
            [
                "sbatch --parsable '--output=/a b/50%%/slurm/logs/%A_%a.txt' --array=1,3-1000%8 '/a b/50%/slurm/array.sh' 0",
                "sbatch --parsable '--output=/a b/50%%/slurm/logs/%A_%a.txt' --array=1-3%8 '/a b/50%/slurm/array.sh' 1000",
            ]
        );
        assert_eq!(found[1].offset, 1000);
    }
}
