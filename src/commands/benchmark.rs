//! `tiltrl benchmark`: several presets and seeds, several at a time, in one table and one picture.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Args;
use tiltrl_plots::{IntervalRow, Intervals, intervals};

use super::output::{print, refuse_existing, write_json};
use crate::config::Source;
use crate::console::Console;
use crate::device::Compute;
use crate::error::Error;
use crate::files::write_atomically;
use crate::report::{Summary, load, markdown};
use crate::run::Lock;

/// Arguments of `tiltrl benchmark`.
#[derive(Args)]
pub struct BenchmarkArgs {
    /// Presets, comma-separated; see `tiltrl presets`.
    #[arg(long, value_delimiter = ',', required = true)]
    presets: Vec<String>,
    /// What is trained, comma-separated: rtb or baselines, see `tiltrl algorithms`.
    #[arg(long, value_delimiter = ',', default_value = "rtb")]
    algorithm: Vec<String>,
    /// Updates of every stage where nothing else is said: quick, default or full.
    #[arg(long, value_name = "NAME")]
    budget: Option<String>,
    /// Folder of the presets' data files.
    #[arg(long, default_value = "data")]
    data_dir: PathBuf,
    /// Seeds, comma-separated.
    #[arg(long, value_delimiter = ',', default_value = "1,2,3")]
    seeds: Vec<u64>,
    /// Runs at a time, each on --threads threads (1 unless given).
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Overrides, as finetune.temperature=0.5; may be repeated.
    #[arg(long = "set")]
    set: Vec<String>,
    /// Folder of all runs: OUT/PRESET/seed-N, for a baseline OUT/PRESET-NAME/seed-N, OUT/benchmark.md, .json, .svg, .png, .csv.
    #[arg(long, default_value = "runs/benchmark")]
    out: PathBuf,
    /// Also write the table as JSON here.
    #[arg(long)]
    json: Option<PathBuf>,
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
    let all = entries(args);
    for entry in &all {
        let set = entry.overrides(args);
        Source::Preset(entry.preset.clone()).config(&set)?;
    }
    let of_seed = |seed: u64| all.iter().map(move |e| (e.clone(), vec![seed]));
    let seeds_first = args.seeds.iter().flat_map(|&seed| of_seed(seed));
    let own = Own {
        args,
        threads: threads.max(1),
        console,
        device,
    };
    run_all(own, &seeds_first.collect::<Vec<_>>())?;
    // Every seed is finished now: this writes each preset's summary and pictures once more, over all of them.
    let together = all.iter().map(|e| (e.clone(), args.seeds.clone()));
    run_all(own, &together.collect::<Vec<_>>())?;
    let summaries: Vec<Summary> = all
        .iter()
        .map(|entry| load(&args.out.join(entry.folder())))
        .collect::<Result<_, _>>()?;
    let _lock = Lock::wait(&args.out)?;
    let table = markdown(&summaries);
    write_atomically(&args.out.join("benchmark.md"), table.as_bytes())?;
    let json = serde_json::to_string_pretty(&summaries).map_err(|e| Error::Run(e.to_string()))?;
    write_atomically(&args.out.join("benchmark.json"), json.as_bytes())?;
    print(&table);
    for file in intervals(&figure(&summaries), &args.out.join("benchmark"))? {
        print(&format!("wrote {}", file.display()));
    }
    write_json(args.json.as_deref(), &summaries)
}

/// A preset trained by an algorithm.
#[derive(Clone, Debug)]
struct Entry {
    preset: String,
    algorithm: String,
}

impl Entry {
    fn folder(&self) -> String {
        match self.algorithm.as_str() {
            "rtb" => self.preset.clone(),
            name => format!("{}-{name}", self.preset),
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

/// Every preset with every algorithm.
fn entries(args: &BenchmarkArgs) -> Vec<Entry> {
    let of_preset = |preset: &String| {
        let preset = preset.clone();
        args.algorithm.iter().map(move |algorithm| Entry {
            preset: preset.clone(),
            algorithm: algorithm.clone(),
        })
    };
    args.presets.iter().flat_map(of_preset).collect()
}

/// What this process was asked for.
#[derive(Clone, Copy)]
struct Own<'a> {
    args: &'a BenchmarkArgs,
    threads: usize,
    console: Console,
    device: &'a str,
}

/// Runs the list in its order, `jobs` at a time.
fn run_all(own: Own<'_>, list: &[(Entry, Vec<u64>)]) -> Result<(), Error> {
    let progress = own.console.progress("benchmark", list.len() as u64, 0);
    let done = AtomicUsize::new(0);
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..own.args.jobs.max(1) {
            scope.spawn(|| {
                while let Some((entry, seeds)) = list.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let name = entry.folder();
                    if let Err(error) = run_one(own, entry, seeds)
                        && let Ok(mut failed) = failed.lock()
                    {
                        failed.push(format!("{name}, seeds {seeds:?}: {error}"));
                    }
                    let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                    progress.say(done as u64, &format!("{name}, seeds {seeds:?}"));
                }
            });
        }
    });
    progress.finish();
    let failed = failed.into_inner().unwrap_or_default();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Error::Run(failed.join("\n")))
}

fn run_one(own: Own<'_>, entry: &Entry, seeds: &[u64]) -> Result<(), Error> {
    let args = own.args;
    let program = std::env::current_exe().map_err(|e| Error::Run(format!("own program: {e}")))?;
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    let mut command = Command::new(program);
    command
        .args(["--threads", &own.threads.to_string(), "--quiet"])
        .args(["--device", own.device, "run", "--preset", &entry.preset])
        .args(["--seeds", &seeds.join(",")])
        .arg("--data-dir")
        .arg(&args.data_dir)
        .arg("--out")
        .arg(args.out.join(entry.folder()))
        .stdin(Stdio::null());
    for value in entry.overrides(args) {
        command.args(["--set", &value]);
    }
    let output = command
        .output()
        .map_err(|e| Error::Run(format!("cannot start a run: {e}")))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let reason = text.find("error:").map_or(text.as_str(), |at| &text[at..]);
    Err(Error::Run(reason.trim().to_string()))
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
