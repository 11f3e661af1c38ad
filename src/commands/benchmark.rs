//! `tiltrl benchmark`: several presets and seeds, several at a time, in one table and one picture.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tiltrl_plots::{IntervalRow, Intervals, intervals};
use tiltrl_policies::checkpoint::write_atomically;

use super::inspect::{print, write_json};
use super::plot::summary;
use crate::config::preset;
use crate::error::Error;
use crate::report::{Summary, markdown};

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
pub fn benchmark(args: &BenchmarkArgs, threads: usize) -> Result<(), Error> {
    for name in &args.presets {
        preset(name)?.with_overrides(&args.set)?;
    }
    let seeds_first = args
        .seeds
        .iter()
        .flat_map(|seed| args.presets.iter().map(move |p| (p.clone(), vec![*seed])));
    run_all(args, threads.max(1), &seeds_first.collect::<Vec<_>>())?;
    // Every seed is finished now: this writes each preset's summary and pictures once more, over all of them.
    let together = args.presets.iter().map(|p| (p.clone(), args.seeds.clone()));
    run_all(args, threads.max(1), &together.collect::<Vec<_>>())?;
    let summaries: Vec<Summary> = args
        .presets
        .iter()
        .map(|name| summary(&args.out.join(name)))
        .collect::<Result<_, _>>()?;
    let table = markdown(&summaries);
    write_atomically(&args.out.join("benchmark.md"), table.as_bytes())?;
    let json = serde_json::to_string_pretty(&summaries).expect("plain data");
    write_atomically(&args.out.join("benchmark.json"), json.as_bytes())?;
    print(&table);
    for file in intervals(&figure(&summaries), &args.out.join("benchmark"))? {
        print(&format!("wrote {}", file.display()));
    }
    write_json(args.json.as_deref(), &summaries)
}

/// Runs the list in its order, `jobs` at a time.
fn run_all(args: &BenchmarkArgs, threads: usize, list: &[(String, Vec<u64>)]) -> Result<(), Error> {
    let bar = ProgressBar::new(list.len() as u64);
    let style =
        ProgressStyle::with_template("{prefix:>10} [{bar:30}] {pos}/{len} runs, {elapsed} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix("benchmark");
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..args.jobs.max(1) {
            scope.spawn(|| {
                while let Some((name, seeds)) = list.get(next.fetch_add(1, Ordering::Relaxed)) {
                    bar.set_message(format!("{name} {seeds:?}"));
                    if let Err(error) = run_one(args, threads, name, seeds)
                        && let Ok(mut failed) = failed.lock()
                    {
                        failed.push(format!("{name}, seeds {seeds:?}: {error}"));
                    }
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish();
    let failed = failed.into_inner().unwrap_or_default();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Error::Run(failed.join("\n")))
}

fn run_one(args: &BenchmarkArgs, threads: usize, name: &str, seeds: &[u64]) -> Result<(), Error> {
    let program = std::env::current_exe().map_err(|e| Error::Run(format!("own program: {e}")))?;
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    let mut command = Command::new(program);
    command
        .args(["--threads", &threads.to_string(), "run", "--preset", name])
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
                low: a.mean_low,
                high: a.mean_high,
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
