//! `tiltrl tilt NAME`: a prior on real data, tilted by the fine-tuner of control and held to an exact posterior.

use std::path::{Path, PathBuf};

use clap::Args;

use super::output::print;
use crate::console::{Console, note};
use crate::device::Compute;
use crate::error::{Error, nearest};
use crate::run::{Lock, RunDir};
use crate::systems::folder::{Finished, Seed, run_seed, write_results};
use crate::systems::outcome::Row;
use crate::systems::request::{Request, Settings, System};
use crate::systems::{SYSTEMS, figures, table};

/// Arguments of `tiltrl tilt`.
#[derive(Args)]
pub struct TiltArgs {
    /// The system; without one, all are listed with their settings.
    name: Option<String>,
    /// Folder of the run; default runs/tilt-NAME. The same command goes on there after a kill.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Seeds of the run, comma-separated.
    #[arg(long, alias = "seed", value_delimiter = ',', default_value = "1")]
    seeds: Vec<u64>,
    /// The user's folder of data, for systems that need one.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Less work: for a first look, and for CI.
    #[arg(long)]
    quick: bool,
    /// Only tasks whose name contains this.
    #[arg(long, value_name = "WORD")]
    only: Option<String>,
    /// Overrides, as updates=500; may be repeated.
    #[arg(long = "set")]
    set: Vec<String>,
}

/// `tiltrl tilt`.
///
/// # Errors
/// For an unknown system or setting; when a row misses its bound; those of the system.
pub fn tilt(args: &TiltArgs, device: &str, console: Console) -> Result<(), Error> {
    let Some(name) = &args.name else {
        list();
        return Ok(());
    };
    let system = find(name)?;
    let settings = Settings::resolve(system, args.quick, &args.set)?;
    if let Some(word) = &args.only
        && !system.tasks.iter().any(|t| t.contains(word.as_str()))
    {
        return Err(Error::Usage(format!(
            "--only {word}: no task of `{name}` is so named\n  hint: it has {}",
            system.tasks.join(", ")
        )));
    }
    let default = || PathBuf::from("runs").join(format!("tilt-{name}"));
    let folder = args.out.clone().unwrap_or_else(default);
    let compute = Compute::named(device)?;
    let _lock = Lock::take(&folder)?;
    let mut seeds: Vec<Seed> = Vec::new();
    for &seed in &args.seeds {
        let request = Request {
            seed,
            settings: settings.clone(),
            quick: args.quick,
            only: args.only.clone(),
            data: args.data.clone(),
            compute: compute.handle.clone(),
            console,
            dir: RunDir::of_seed(&folder, seed),
        };
        if console != Console::Quiet {
            note(&format!(
                "{name}, seed {seed}: {}",
                request.dir.path.display()
            ));
        }
        let Finished { rows, notes } = run_seed(system, &request, &compute.recorded())?;
        seeds.push((seed, rows, notes));
    }
    finish(system, &settings, &folder, &seeds)
}

fn list() {
    for system in SYSTEMS {
        print(&format!("{:<14} {}", system.name, system.summary));
        for setting in system.settings {
            let [low, high] = setting.range;
            print(&format!(
                "  --set {}={} (quick {}; {low} to {high}): {}",
                setting.key, setting.value, setting.quick, setting.meaning
            ));
        }
    }
}

fn find(name: &str) -> Result<&'static System, Error> {
    let found = SYSTEMS.iter().find(|system| system.name == name);
    found.copied().ok_or_else(|| {
        let names = || SYSTEMS.iter().map(|system| system.name);
        let near = nearest(name, names()).map_or(String::new(), |n| format!("; did you mean {n}?"));
        Error::Usage(format!(
            "no system is named `{name}`{near}\n  hint: there are {}",
            names().collect::<Vec<_>>().join(", ")
        ))
    })
}

/// Prints and stores the table, draws what is drawn of all seeds, and fails when a row missed its bound.
fn finish(
    system: &System,
    settings: &Settings,
    folder: &Path,
    seeds: &[Seed],
) -> Result<(), Error> {
    let rows: Vec<Vec<Row>> = seeds.iter().map(|(_, rows, _)| rows.clone()).collect();
    let mut text = table::lines(&rows, system.distance);
    let mut notes: Vec<&String> = Vec::new();
    for said in seeds.iter().flat_map(|(_, _, notes)| notes) {
        if !notes.contains(&said) {
            notes.push(said);
        }
    }
    text.extend(notes.into_iter().cloned());
    text.iter().for_each(|line| print(line));
    write_results(folder, system, settings, seeds, &text)?;
    scatter(&rows, folder)?;
    print(&format!(
        "pictures, logs and results.json: {}",
        folder.display()
    ));
    let of_seed = |(seed, rows, _): &Seed| table::OfSeed {
        seed: *seed,
        rows: rows.clone(),
    };
    let missed = table::missed(&seeds.iter().map(of_seed).collect::<Vec<_>>());
    if missed.is_empty() {
        return Ok(());
    }
    Err(Error::Run(format!("missed:\n  {}", missed.join("\n  "))))
}

/// Draws reward against diversity of each task, from the first seed.
fn scatter(rows: &[Vec<Row>], folder: &Path) -> Result<(), Error> {
    let Some(first) = rows.first() else {
        return Ok(());
    };
    let mut tasks: Vec<&str> = first.iter().map(|row| row.task.as_str()).collect();
    tasks.dedup();
    for task in tasks {
        let own: Vec<&Row> = first.iter().filter(|row| row.task == task).collect();
        let stem = format!("reward-diversity-{}", crate::systems::train::slug(task));
        let title = format!("Reward against diversity: {task}");
        if let Some(picture) = figures::reward_against_diversity(&stem, &title, &own) {
            picture.draw(folder)?;
        }
    }
    Ok(())
}
