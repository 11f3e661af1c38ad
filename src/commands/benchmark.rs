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
    /// Folder of all runs: OUT/PRESET/seed-N, OUT/benchmark.md, .json, .svg, .png, .csv.
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
    for name in &args.presets {
        Source::Preset(name.clone()).config(&args.set)?;
    }
    let seeds_first = args
        .seeds
        .iter()
        .flat_map(|seed| args.presets.iter().map(move |p| (p.clone(), vec![*seed])));
    let own = Own {
        args,
        threads: threads.max(1),
        console,
        device,
    };
    run_all(own, &seeds_first.collect::<Vec<_>>())?;
    // Every seed is finished now: this writes each preset's summary and pictures once more, over all of them.
    let together = args.presets.iter().map(|p| (p.clone(), args.seeds.clone()));
    run_all(own, &together.collect::<Vec<_>>())?;
    let summaries: Vec<Summary> = args
        .presets
        .iter()
        .map(|name| load(&args.out.join(name)))
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

/// What this process was asked for.
#[derive(Clone, Copy)]
struct Own<'a> {
    args: &'a BenchmarkArgs,
    threads: usize,
    console: Console,
    device: &'a str,
}

/// Runs the list in its order, `jobs` at a time.
fn run_all(own: Own<'_>, list: &[(String, Vec<u64>)]) -> Result<(), Error> {
    let progress = own.console.progress("benchmark", list.len() as u64, 0);
    let done = AtomicUsize::new(0);
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..own.args.jobs.max(1) {
            scope.spawn(|| {
                while let Some((name, seeds)) = list.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = run_one(own, name, seeds)
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

fn run_one(own: Own<'_>, name: &str, seeds: &[u64]) -> Result<(), Error> {
    let args = own.args;
    let program = std::env::current_exe().map_err(|e| Error::Run(format!("own program: {e}")))?;
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    let mut command = Command::new(program);
    command
        .args(["--threads", &own.threads.to_string(), "--quiet"])
        .args(["--device", own.device, "run", "--preset", name])
        .args(["--seeds", &seeds.join(",")])
        .arg("--data-dir")
        .arg(&args.data_dir)
        .arg("--out")
        .arg(args.out.join(name))
        .stdin(Stdio::null());
    for entry in &args.set {
        command.args(["--set", entry]);
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
    let rows = summaries.iter().flat_map(|s| {
        s.lines.iter().map(|l| {
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
        title: "Posterior, prior and best-of-N".into(),
        subtitle: "mean over seeds and episodes, 95 % stratified bootstrap interval".into(),
        x_label: unit.into(),
        rows: rows.collect(),
    }
}
