//! `tiltrl benchmark`: several presets and seeds, several at a time or by Slurm, in one table and one picture.

use std::path::PathBuf;

use clap::Args;
use tiltrl_plots::{IntervalRow, Intervals, intervals};

use super::many::{Mode, SlurmArgs, said_failed};
use super::output::{print, refuse_existing, write_json};
use super::request::RunRequest;
use crate::config::Source;
use crate::console::Console;
use crate::device::Compute;
use crate::error::Error;
use crate::files::write_atomically;
use crate::jobs::{Job, Listed, Local, State, Task, listed, missing, run_all, runs_csv};
use crate::report::{Summary, load, markdown};
use crate::run::{Lock, RunDir};

/// Arguments of `tiltrl benchmark`.
#[derive(Args)]
pub struct BenchmarkArgs {
    /// Presets, comma-separated; see `tiltrl presets`.
    #[arg(long, value_delimiter = ',', required_unless_present = "configs")]
    presets: Vec<String>,
    /// Config files of your own, comma-separated, in place of presets or beside them.
    #[arg(long, value_delimiter = ',', value_name = "FILES")]
    configs: Vec<PathBuf>,
    /// What is trained, comma-separated: rtb or baselines, see `tiltrl algorithms`.
    #[arg(long, value_delimiter = ',', default_value = "rtb")]
    algorithm: Vec<String>,
    /// Updates of every stage where nothing else is said: quick, default or full.
    #[arg(long, value_name = "NAME")]
    budget: Option<String>,
    /// Folder of the presets' data files.
    #[arg(long, default_value = "data")]
    data_dir: PathBuf,
    /// Seeds of every run, comma-separated.
    #[arg(long, value_delimiter = ',', default_value = "1,2,3")]
    seeds: Vec<u64>,
    /// Runs at a time, each on --threads threads (1 unless given). With --slurm: elements of the array at a time.
    #[arg(long)]
    jobs: Option<usize>,
    /// Overrides, as finetune.alpha_in_std=0.5; may be repeated.
    #[arg(long = "set")]
    set: Vec<String>,
    /// Folder of all runs: OUT/PRESET/seed-N, for a baseline OUT/PRESET-NAME/seed-N, OUT/benchmark.md, .json, .svg, .png, .csv.
    #[arg(long, default_value = "runs/benchmark")]
    out: PathBuf,
    /// Also write the table as JSON here.
    #[arg(long)]
    json: Option<PathBuf>,
    #[command(flatten)]
    slurm: SlurmArgs,
}

/// `tiltrl benchmark`: every (preset, seed) is a `tiltrl run` of its own; finished ones are not repeated.
///
/// # Errors
/// When a run fails (the others go on first) or a file cannot be written.
pub fn benchmark(
    args: &BenchmarkArgs,
    threads: usize,
    console: Console,
    device: &str,
) -> Result<(), Error> {
    if let Some(path) = &args.json {
        refuse_existing(path, "--json")?;
    }
    Compute::named(device)?;
    let own = Own {
        args,
        threads: threads.max(1),
        console,
        device,
    };
    let experiments = experiments(args)?;
    let jobs = jobs(own, &experiments)?;
    let all = match args.slurm.mode(args.jobs) {
        Mode::Here => {
            run_here(own, &seeds_first(&experiments, &args.seeds))?;
            None
        }
        Mode::Slurm(settings) => {
            let table = table_words(own);
            if !args.slurm.submit(
                "benchmark",
                &args.out,
                &jobs,
                own.threads,
                &table,
                &settings,
            )? {
                return Ok(());
            }
            Some(listed(&args.out, &jobs)?)
        }
        Mode::Table => Some(listed(&args.out, &jobs)?),
    };
    write(own, &experiments, all.as_deref())
}

/// Writes and prints the table of what is finished, and of what is missing where `all` says so.
fn write(own: Own<'_>, experiments: &[Entry], all: Option<&[Listed<'_>]>) -> Result<(), Error> {
    let args = own.args;
    let together = experiments
        .iter()
        .map(|entry| (entry, ready(own, entry, all)));
    let together: Vec<(&Entry, Vec<u64>)> = together.filter(|(_, s)| !s.is_empty()).collect();
    // This writes each preset's summary and pictures once more, over all seeds that are finished.
    run_here(own, &together)?;
    let summaries: Vec<Summary> = together
        .iter()
        .map(|(entry, _)| load(&args.out.join(entry.name())))
        .collect::<Result<_, _>>()?;
    let _lock = Lock::wait(&args.out)?;
    let mut table = if summaries.is_empty() {
        String::new()
    } else {
        markdown(&summaries)
    };
    if let Some(all) = all {
        write_atomically(&args.out.join("runs.csv"), runs_csv(all).as_bytes())?;
        if let Some(missing) = missing(all) {
            let gap = if table.is_empty() { "" } else { "\n" };
            table = format!("{table}{gap}{missing}");
        }
    }
    write_atomically(&args.out.join("benchmark.md"), table.as_bytes())?;
    let json = serde_json::to_string_pretty(&summaries).map_err(|e| Error::Run(e.to_string()))?;
    write_atomically(&args.out.join("benchmark.json"), json.as_bytes())?;
    print(&table);
    if !summaries.is_empty() {
        for file in intervals(&figure(&summaries), &args.out.join("benchmark"))? {
            print(&format!("wrote {}", file.display()));
        }
    }
    write_json(args.json.as_deref(), &summaries)
}

/// The seeds of an experiment that are finished; all of them where nothing is known, as after runs that did not fail.
fn ready(own: Own<'_>, entry: &Entry, all: Option<&[Listed<'_>]>) -> Vec<u64> {
    let name = entry.name();
    let done = |seed: &&u64| {
        all.is_none_or(|all| {
            let found = all
                .iter()
                .find(|l| l.job.name == name && l.job.seed == **seed);
            found.is_some_and(|l| l.state == State::Done)
        })
    };
    own.args.seeds.iter().filter(done).copied().collect()
}

/// What this process was asked for.
#[derive(Clone, Copy)]
struct Own<'a> {
    args: &'a BenchmarkArgs,
    threads: usize,
    console: Console,
    device: &'a str,
}

/// An experiment trained by an algorithm.
#[derive(Clone, Debug)]
struct Entry {
    source: Source,
    algorithm: String,
}

impl Entry {
    /// Its name in tables, and that of its folder.
    fn name(&self) -> String {
        match self.algorithm.as_str() {
            "rtb" => self.source.name(),
            name => format!("{}-{name}", self.source.name()),
        }
    }

    fn overrides(&self, args: &BenchmarkArgs) -> Vec<String> {
        let mut set = Vec::new();
        if self.algorithm != "rtb" {
            set.push(format!("algorithm={}", self.algorithm));
        }
        set.extend(args.budget.iter().map(|budget| format!("budget={budget}")));
        // Settings of another algorithm's are none of this one's.
        let own = format!("baseline.{}.", self.algorithm);
        let others = |entry: &&String| !entry.starts_with("baseline.") || entry.starts_with(&own);
        set.extend(args.set.iter().filter(others).cloned());
        set
    }
}

/// Every experiment with every algorithm, presets first; no two of one name, which is that of their folder.
fn experiments(args: &BenchmarkArgs) -> Result<Vec<Entry>, Error> {
    let presets = args.presets.iter().cloned().map(Source::Preset);
    let sources = presets.chain(args.configs.iter().cloned().map(Source::File));
    let mut all: Vec<Entry> = Vec::new();
    for source in sources {
        for algorithm in &args.algorithm {
            let entry = Entry {
                source: source.clone(),
                algorithm: algorithm.clone(),
            };
            let name = entry.name();
            if matches!(source, Source::File(_)) && all.iter().any(|other| other.name() == name) {
                return Err(Error::Usage(format!(
                    "--configs: expected files of different names, as their runs lie in OUT/NAME, found `{name}` twice"
                )));
            }
            all.push(entry);
        }
    }
    Ok(all)
}

fn jobs(own: Own<'_>, experiments: &[Entry]) -> Result<Vec<Job>, Error> {
    let mut jobs = Vec::new();
    let configs = experiments
        .iter()
        .map(|entry| entry.source.config(&entry.overrides(own.args)));
    let configs: Vec<_> = configs.collect::<Result<_, _>>()?;
    for &seed in &own.args.seeds {
        for (entry, config) in experiments.iter().zip(&configs) {
            jobs.push(Job {
                name: entry.name(),
                seed,
                dir: RunDir::of_seed(&own.args.out.join(entry.name()), seed),
                config: config.clone(),
                words: run_words(own, entry, &[seed], true),
            });
        }
    }
    Ok(jobs)
}

fn seeds_first<'a>(experiments: &'a [Entry], seeds: &[u64]) -> Vec<(&'a Entry, Vec<u64>)> {
    let of = |&seed: &u64| experiments.iter().map(move |entry| (entry, vec![seed]));
    seeds.iter().flat_map(of).collect()
}

/// The words of the `tiltrl run` of some seeds.
fn run_words(own: Own<'_>, entry: &Entry, seeds: &[u64], shared: bool) -> Vec<String> {
    let request = RunRequest {
        source: entry.source.clone(),
        data_dir: own.args.data_dir.clone(),
        seeds: seeds.to_vec(),
        set: entry.overrides(own.args),
        out: own.args.out.join(entry.name()),
        shared,
        device: Some(own.device.into()),
        ..RunRequest::default()
    };
    request.words()[1..].to_vec()
}

/// The words of this command with --table.
fn table_words(own: Own<'_>) -> Vec<String> {
    let (args, mut words) = (own.args, vec!["--device".to_string(), own.device.into()]);
    words.push("benchmark".into());
    let mut option = |name: &str, value: String| words.extend([name.to_string(), value]);
    if !args.presets.is_empty() {
        option("--presets", args.presets.join(","));
    }
    for file in &args.configs {
        option("--configs", file.display().to_string());
    }
    option("--algorithm", args.algorithm.join(","));
    if let Some(budget) = &args.budget {
        option("--budget", budget.clone());
    }
    option("--data-dir", args.data_dir.display().to_string());
    let seeds: Vec<String> = args.seeds.iter().map(u64::to_string).collect();
    option("--seeds", seeds.join(","));
    for entry in &args.set {
        option("--set", entry.clone());
    }
    option("--out", args.out.display().to_string());
    words.push("--table".into());
    words
}

/// Runs the list in its order, `jobs` at a time; every failure is named in the end.
fn run_here(own: Own<'_>, list: &[(&Entry, Vec<u64>)]) -> Result<(), Error> {
    let task = |(entry, seeds): &(&Entry, Vec<u64>)| Task {
        label: format!("{}, seeds {seeds:?}", entry.name()),
        words: run_words(own, entry, seeds, false),
    };
    let tasks: Vec<Task> = list.iter().map(task).collect();
    let local = Local {
        title: "benchmark",
        at_once: own.args.jobs.unwrap_or(1),
        threads: own.threads,
        console: own.console,
    };
    said_failed(&tasks, &run_all(local, &tasks))
}

fn figure(summaries: &[Summary]) -> Intervals {
    let scored = summaries
        .iter()
        .all(|s| s.lines.iter().all(|l| l.score.is_some()));
    let unit = if scored { "Normalised score" } else { "Return" };
    let rows = summaries.iter().enumerate().flat_map(|(at, s)| {
        let again = summaries[..at].iter().any(|other| other.preset == s.preset);
        // Several algorithms share the line of their data.
        let lines = s.lines.iter().filter(move |l| !again || l.policy != "data");
        lines.map(|l| {
            let a = l.score.as_ref().filter(|_| scored).unwrap_or(&l.returns);
            IntervalRow {
                group: s.preset.clone(),
                label: l.policy.clone(),
                point: a.mean,
                low: a.mean_low.unwrap_or(a.mean),
                high: a.mean_high.unwrap_or(a.mean),
            }
        })
    });
    Intervals {
        title: match summaries.iter().all(|s| s.algorithm == "rtb") {
            true => "Posterior, prior and best-of-N".into(),
            false => "Policies by algorithm".into(),
        },
        subtitle: "mean over seeds and episodes, 95 % stratified bootstrap interval".into(),
        x_label: unit.into(),
        rows: rows.collect(),
    }
}
