//! `tiltrl verify`: RTB from scratch on closed-form worlds, against the exact posterior.
//!
//! Every row trains a prior whose posterior is known, and compares. A row passes when it meets its stated requirement;
//! the negative control passes when it FAILS as predicted.

mod compare;
mod shapes;
mod strings;
mod suite;
mod world_result;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use tiltrl_plots::{Cloud, Clouds, clouds};

use super::output::{print, refuse_existing, write_json};
use crate::error::Error;

pub use compare::compare;
use world_result::WorldResult;

/// Arguments of `tiltrl verify`.
#[derive(Clone, Debug, Default)]
pub struct Request<'a> {
    /// Where the table goes as JSON.
    pub json: Option<&'a Path>,
    /// Where the pictures go.
    pub out: Option<PathBuf>,
    /// Only worlds whose name contains this.
    pub only: Option<String>,
}

/// Trains on the suite, prints the table, draws the planar posteriors, and fails when a row misses its requirement.
///
/// # Errors
/// [`Error::Run`] when a row fails.
pub fn verify(request: &Request<'_>) -> Result<(), Error> {
    if let Some(path) = request.json {
        refuse_existing(path, "--json")?;
    }
    let clock = Instant::now();
    let mut tasks = suite::tasks();
    if let Some(word) = &request.only {
        tasks.retain(|task| task.name.contains(word.as_str()));
        if tasks.is_empty() {
            return Err(Error::Usage(format!("--only {word}: no such world")));
        }
    }
    let rows = run(tasks)?;
    print(&format!(
        "{:<40} {:>8} {:>6} {:>7} {:>15} {:>6} {:>6} {:>7}  as expected",
        "world", "|Δlog Z|", "ESS/N", "modes", "energy/floor", "TV", "shift", "seconds"
    ));
    rows.iter().for_each(|row| print(&row.line()));
    print(
        "exact rows: |Δlog Z| < 0.02, ESS/N > 0.9, largest relative error of a mode's mass (modes of 5 % and more) < 10 %;\n\
         shapes: |Δlog Z| < 0.02, energy distance < 2 sampling floors; strings: |Δlog Z| < 0.02, TV < 0.05;\n\
         the control must tilt by 0.55 ± 0.08 of what it should: 45 % too weakly",
    );
    print(&format!(
        "{:.0} seconds in all",
        clock.elapsed().as_secs_f64()
    ));
    write_json(request.json, &rows)?;
    if let Some(folder) = &request.out {
        draw(&rows, folder)?;
    }
    let missed: Vec<&str> = rows
        .iter()
        .filter(|r| !r.passed)
        .map(|r| r.world.as_str())
        .collect();
    if missed.is_empty() {
        return Ok(());
    }
    Err(Error::Run(format!(
        "not as expected: {}",
        missed.join(", ")
    )))
}

/// Runs tasks on two threads; each world's numbers depend on its seeds alone.
fn run(tasks: Vec<suite::Task>) -> Result<Vec<WorldResult>, Error> {
    let count = tasks.len();
    let queue = Mutex::new(tasks.into_iter().enumerate());
    let done: Mutex<Vec<(usize, Result<WorldResult, Error>)>> = Mutex::new(Vec::new());
    let work = || {
        loop {
            let next = queue.lock().expect("no task panics").next();
            let Some((index, task)) = next else { return };
            let row = (task.run)(&task.name);
            done.lock().expect("no task panics").push((index, row));
        }
    };
    // The calling thread belongs to the pool: it works too.
    std::thread::scope(|scope| {
        for _ in 1..rayon::current_num_threads().min(count) {
            scope.spawn(work);
        }
        work();
    });
    let mut rows = done.into_inner().expect("no task panics");
    rows.sort_by_key(|(index, _)| *index);
    rows.into_iter().map(|(_, row)| row).collect()
}

fn draw(rows: &[WorldResult], folder: &Path) -> Result<(), Error> {
    let panels: Vec<Cloud> = rows
        .iter()
        .filter_map(|row| row.pictures.as_ref().map(|p| (row, p)))
        .flat_map(|(row, [model, exact])| {
            let cloud = |what: &str, points: &[[f64; 2]]| Cloud {
                title: format!("{}, {what}", row.world),
                points: points.to_vec(),
            };
            [cloud("RTB", model), cloud("exact", exact)]
        })
        .collect();
    if panels.is_empty() {
        return Ok(());
    }
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let figure = Clouds {
        title: "Posteriors beside the truth".into(),
        subtitle: "1,000 samples each, tiltrl verify".into(),
        panels,
        columns: 2,
        bounds: [-2.6, 2.6, -2.6, 2.6],
    };
    for file in clouds(&figure, &folder.join("verify-posteriors"))? {
        print(&format!("wrote {}", file.display()));
    }
    Ok(())
}
