//! `tiltrl sweep`: configurations of one experiment, in one table, and the curve over pulls.

use std::path::{Path, PathBuf};

use clap::Args;
use tiltrl_plots::curve as draw;

use super::many::{Mode, SlurmArgs, said_failed};
use super::output::print;
use super::request::RunRequest;
use crate::console::{Console, note};
use crate::device::Compute;
use crate::error::Error;
use crate::files::write_atomically;
use crate::jobs::{
    Job, Listed, Local, State, Task, check_folders, listed, missing, run_all, runs_csv,
};
use crate::run::{Lock, RunDir};
use crate::sweep::{
    Line, Lines, Sweep, curve, lines, markdown, pulls_csv, pulls_figure, sweep_csv,
};

/// Arguments of `tiltrl sweep`.
#[derive(Args)]
pub struct SweepArgs {
    /// The sweep, a TOML file; docs/many-machines.md has an example.
    file: PathBuf,
    /// Data file, or minari:NAME; repeat to concatenate. Without it the config's names are looked up in --data-dir.
    #[arg(long)]
    data: Vec<PathBuf>,
    /// Folder of the config's data files.
    #[arg(long, default_value = "data")]
    data_dir: PathBuf,
    /// Runs at a time, each on --threads threads (1 unless given). With --slurm: elements of the array at a time.
    #[arg(long)]
    jobs: Option<usize>,
    /// Folder of all runs: OUT/CONFIGURATION/seed-N, OUT/sweep.md, .csv, pulls.svg, .png, .csv; default runs/FILE.
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    slurm: SlurmArgs,
}

/// `tiltrl sweep`: every (configuration, seed) is a `tiltrl run` of its own; finished ones are not repeated.
///
/// # Errors
/// When the file has faults, a run fails (the others go on first, and the table is written) or a file cannot be written.
pub fn sweep(
    args: &SweepArgs,
    threads: usize,
    console: Console,
    device: &str,
) -> Result<(), Error> {
    Compute::named(device)?;
    let sweep = Sweep::read(&args.file)?;
    let stem = args.file.file_stem().unwrap_or_default();
    let default = || Path::new("runs").join(stem);
    let out = args.out.clone().unwrap_or_else(default);
    let jobs = jobs(args, &sweep, &out, device);
    if sweep.repeated > 0 {
        note(&format!(
            "note: {} of the draws repeated an earlier one: {} configurations are left",
            sweep.repeated,
            sweep.configurations.len()
        ));
    }
    let threads = threads.max(1);
    let mut outcome = Ok(());
    match args.slurm.mode(args.jobs) {
        Mode::Table => {}
        Mode::Slurm(settings) => {
            let table = table_words(args, &out, device);
            if !args
                .slurm
                .submit("sweep", &out, &jobs, threads, &table, &settings)?
            {
                return Ok(());
            }
        }
        Mode::Here => {
            check_folders(&jobs)?;
            let local = Local {
                title: "sweep",
                at_once: args.jobs.unwrap_or(1),
                threads,
                console,
            };
            outcome = run_here(local, &jobs, &sweep);
        }
    }
    let all = listed(&out, &jobs)?;
    write(&sweep, &all, &out)?;
    outcome
}

/// Seeds first: a table of one seed each comes before the second seed of the first configuration.
fn run_here(local: Local, jobs: &[Job], sweep: &Sweep) -> Result<(), Error> {
    let seeds = sweep.seeds.len();
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by_key(|at| at % seeds);
    let open = order.into_iter().map(|at| &jobs[at]);
    let open = open.filter(|job| State::of(job) != State::Done);
    let task = |job: &Job| Task {
        label: format!("{}, seed {}", job.name, job.seed),
        words: job.words.clone(),
    };
    let tasks: Vec<Task> = open.map(task).collect();
    said_failed(&tasks, &run_all(local, &tasks))
}

/// The jobs, those of one configuration beside each other.
fn jobs(args: &SweepArgs, sweep: &Sweep, out: &Path, device: &str) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (configuration, config) in &sweep.configurations {
        let name = configuration.name();
        for &seed in &sweep.seeds {
            let request = RunRequest {
                source: sweep.source.clone(),
                data: args.data.clone(),
                data_dir: args.data_dir.clone(),
                seeds: vec![seed],
                set: [sweep.fixed.clone(), configuration.overrides()].concat(),
                out: out.join(&name),
                shared: true,
                device: Some(device.into()),
                ..RunRequest::default()
            };
            jobs.push(Job {
                name: name.clone(),
                seed,
                dir: RunDir::of_seed(&request.out, seed),
                config: config.clone(),
                words: request.words()[1..].to_vec(),
            });
        }
    }
    jobs
}

/// The words of this command with --table.
fn table_words(args: &SweepArgs, out: &Path, device: &str) -> Vec<String> {
    let text = |path: &Path| path.display().to_string();
    let mut words = vec![
        "--device".to_string(),
        device.into(),
        "sweep".into(),
        text(&args.file),
    ];
    for file in &args.data {
        words.extend(["--data".into(), text(file)]);
    }
    words.extend(["--data-dir".into(), text(&args.data_dir)]);
    words.extend(["--out".into(), text(out), "--table".into()]);
    words
}

/// Writes and prints the table, what is missing, and the curve over pulls where there are enough policies.
fn write(sweep: &Sweep, all: &[Listed<'_>], out: &Path) -> Result<(), Error> {
    let _lock = Lock::wait(out)?;
    let Lines { lines, scored } = lines(&sweep.configurations, all, &sweep.policy)?;
    let unit = if scored { "normalised score" } else { "return" };
    let mut table = markdown(&lines, &sweep.keys, &sweep.policy, unit);
    if let Some(missing) = missing(all) {
        table += &format!("\n{missing}");
    }
    let put = |name: &str, text: &str| write_atomically(&out.join(name), text.as_bytes());
    put("sweep.md", &table)?;
    put("sweep.csv", &sweep_csv(&lines, &sweep.keys))?;
    put("runs.csv", &runs_csv(all))?;
    print(&table);
    pulls(sweep, &lines, out, unit)
}

fn pulls(sweep: &Sweep, lines: &[Line], out: &Path, unit: &str) -> Result<(), Error> {
    let policies: Vec<Vec<f64>> = lines.iter().flat_map(|l| l.episodes.clone()).collect();
    let mut settings = sweep.pulls;
    if policies.len() < settings.policies {
        print(&format!(
            "pulls        {} policies are finished, {} of them would be drawn at a time: no curve yet (pulls.policies in the sweep's file)",
            policies.len(),
            settings.policies
        ));
        return Ok(());
    }
    let found = match curve(&policies, &settings) {
        Ok(found) => found,
        Err(reason) => {
            print(&format!("pulls        no curve: {reason}"));
            return Ok(());
        }
    };
    settings.policies = settings.policies.min(policies.len());
    let figure = pulls_figure(&found, &settings, unit, policies.len());
    let files = draw(&figure, &out.join("pulls"))?;
    // Beside the picture lie the numbers of the curve, with what the picture does not show.
    write_atomically(&out.join("pulls.csv"), pulls_csv(&found).as_bytes())?;
    let last = settings.pulls;
    let interval = |t: usize| match &found.half_width {
        Some(half) => format!(" ± {:.1}", half[t]),
        None => String::new(),
    };
    print(&format!(
        "pulls        {} of {} policies: {:.1}{} drawn blindly, {:.1}{} after {last} pulls, {:.1} by all episodes",
        settings.policies,
        policies.len(),
        found.mean[0],
        interval(0),
        found.mean[last],
        interval(last),
        found.limit
    ));
    for file in files
        .iter()
        .filter(|f| f.extension().is_some_and(|e| e == "svg"))
    {
        print(&format!(
            "picture      {} (.png, .csv beside it)",
            file.display()
        ));
    }
    Ok(())
}
