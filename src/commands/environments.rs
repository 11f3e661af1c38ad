//! Environments on the command line: the list, one's page, the conformity check, the measurement.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;
use tiltrl_envs::{conformity, docs, ids, make_with, mjcf_ids, registered_ids, spec_of, spec_with};

use super::bench::{BenchArgs, bench};
pub use super::env_args::EnvArgs;
use super::output::{print, write_json};
use crate::error::Error;
use crate::files::write_atomically;

/// Arguments of `tiltrl envs`.
#[derive(Args)]
pub struct EnvsArgs {
    #[command(subcommand)]
    action: Option<Action>,
    /// Also write the table as JSON here.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Action {
    /// Show one environment's page. Example: tiltrl envs show hopper-v4
    Show(OneArgs),
    /// Check that an environment keeps its promises. Example: tiltrl envs check ant-v4 --mjcf ant.xml
    Check(OneArgs),
    /// Measure environment steps a second. Example: tiltrl --device cuda:0 envs bench halfcheetah-v4 --count 65536
    Bench(BenchArgs),
    /// Write every page to a folder, as docs/environments. Example: tiltrl envs docs docs/environments
    Docs {
        /// The folder; pages in it are replaced.
        folder: PathBuf,
    },
}

#[derive(Args)]
struct OneArgs {
    /// Id, see `tiltrl envs`; with --engine gymnasium one of Gymnasium's.
    id: String,
    #[command(flatten)]
    env: EnvArgs,
}

/// `tiltrl envs` and what stands below it.
///
/// # Errors
/// When an environment is unknown or breaks a promise, or a file cannot be written.
pub fn envs(args: &EnvsArgs, device: &str) -> Result<(), Error> {
    match &args.action {
        None => list(args.json.as_deref()),
        Some(Action::Show(one)) => {
            let spec = spec_with(&one.id, &one.env.options())?;
            print(docs::markdown(&spec).trim_end());
            Ok(())
        }
        Some(Action::Check(one)) => check(one),
        Some(Action::Bench(args)) => bench(args, device),
        Some(Action::Docs { folder }) => write_pages(folder),
    }
}

fn list(json: Option<&Path>) -> Result<(), Error> {
    #[derive(Serialize)]
    struct EnvSummary {
        id: String,
        observation_dim: usize,
        action_dim: usize,
        horizon: usize,
        engine: String,
        margin: Option<String>,
        reference: Option<[f64; 2]>,
        reward: String,
        termination: String,
    }
    let mut rows = Vec::new();
    print(
        "id                         obs  act  horizon  engine         margin  returns of score 0, 100  ends",
    );
    let own = registered_ids();
    for id in ids().into_iter().chain(own.iter().map(String::as_str)) {
        let s = spec_of(id)?;
        let reference = s.reference.map(|r| [r.min, r.max]);
        let text = reference.map_or("-".to_string(), |[a, b]| format!("{a:.1}, {b:.1}"));
        let margin = s.margin.map(|m| m.to_string());
        print(&format!(
            "{:<26} {:>3} {:>4} {:>8}  {:<14} {:<7} {text:<24} {}",
            s.id,
            s.observation_dim,
            s.action_dim,
            s.horizon,
            s.engine,
            margin.as_deref().unwrap_or("-"),
            s.rules.termination
        ));
        rows.push(EnvSummary {
            id: s.id,
            observation_dim: s.observation_dim,
            action_dim: s.action_dim,
            horizon: s.horizon,
            engine: s.engine,
            margin,
            reference,
            reward: s.rules.reward,
            termination: s.rules.termination,
        });
    }
    print(&format!(
        "with a model of yours (--mjcf FILE) and MuJoCo: {}\nwith Python (--engine gymnasium:PYTHON): every id of Gymnasium's with Box spaces\nrules and tables of one: tiltrl envs show ID",
        mjcf_ids().join(", ")
    ));
    write_json(json, &rows)
}

fn check(one: &OneArgs) -> Result<(), Error> {
    let options = one.env.options();
    // Made once here, so that an unknown id is an error and not a panic in the middle of the check.
    let spec = make_with(&one.id, &options)?.spec().clone();
    let make = || make_with(&one.id, &options).expect("it was made a moment ago");
    match conformity::check(&make) {
        Ok(()) => {
            print(&format!(
                "{} on {} {} keeps its promises: shapes, bounds, finite numbers, episodes that depend on seed and actions alone, clipped actions",
                spec.id, spec.engine, spec.engine_version
            ));
            Ok(())
        }
        Err(broken) => Err(Error::Run(format!(
            "{} on {} {} breaks its promises:\n  {}",
            spec.id,
            spec.engine,
            spec.engine_version,
            broken.join("\n  ")
        ))),
    }
}

fn write_pages(folder: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let pages = docs::pages();
    for page in &pages {
        write_atomically(&folder.join(&page.name), page.text.as_bytes())?;
    }
    let count = pages.len();
    print(&format!("wrote {count} pages to {}", folder.display()));
    Ok(())
}
