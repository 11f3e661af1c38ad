//! Environments on the command line: the list, one's page, the conformity check, and the options with which they are made.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;
use tiltrl_envs::{
    Engine, EnvOptions, Margin, conformity, docs, ids, make_with, mjcf_ids, registered_ids,
    spec_of, spec_with,
};

use super::output::{print, write_json};
use crate::error::Error;
use crate::files::write_atomically;

/// What computes the physics.
#[derive(Args, Clone, Debug, Default)]
pub struct EngineArgs {
    /// Engine: embedded (default), embedded-f32, mujoco, mujoco:PATH, gymnasium, gymnasium:PYTHON.
    #[arg(long)]
    engine: Option<Engine>,
    /// Contact margin rule of the embedded engine: max (D4RL's, default) or sum (MuJoCo from 3.6.0).
    #[arg(long)]
    margin: Option<Margin>,
}

/// What computes the physics, and of which robot.
#[derive(Args, Clone, Debug, Default)]
pub struct EnvArgs {
    #[command(flatten)]
    engine: EngineArgs,
    /// Your own MJCF model, for ant-v4, ant-v5, humanoid-v4 and humanoid-v5; MuJoCo moves it.
    #[arg(long, value_name = "FILE")]
    mjcf: Option<PathBuf>,
}

impl EnvArgs {
    /// Returns the options; a model without an engine means MuJoCo from the usual places.
    pub fn options(&self) -> EnvOptions {
        EnvOptions {
            margin: self.engine.margin,
            engine: self.engine_or_default().unwrap_or_default(),
            model: self.mjcf.clone(),
        }
    }

    /// Returns the engine asked for; a model alone asks for MuJoCo.
    fn engine_or_default(&self) -> Option<Engine> {
        let implied = self.mjcf.as_ref().map(|_| Engine::Mujoco(None));
        self.engine.engine.clone().or(implied)
    }

    /// Returns the options if anything was asked for, and `otherwise` if not. Its model stays unless another is named.
    pub fn options_or(&self, otherwise: EnvOptions) -> EnvOptions {
        if self.is_default() {
            return otherwise;
        }
        let model = self.mjcf.clone().or(otherwise.model);
        let implied = model.as_ref().map(|_| otherwise.engine);
        EnvOptions {
            margin: self.engine.margin,
            engine: self.engine_or_default().or(implied).unwrap_or_default(),
            model,
        }
    }

    /// Returns whether nothing was asked for.
    pub fn is_default(&self) -> bool {
        self.engine.engine.is_none() && self.engine.margin.is_none() && self.mjcf.is_none()
    }

    /// Returns the overrides of a run's config that these arguments stand for. A model's path is made absolute, so that the
    /// run can be evaluated from another folder.
    pub fn overrides(&self) -> Vec<String> {
        // Quoted as TOML: a path may hold anything.
        let entry =
            |key: &str, text: String| format!("evaluation.{key}={}", toml::Value::String(text));
        let engine = self
            .engine_or_default()
            .map(|engine| entry("engine", engine.to_string()));
        let margin = self
            .engine
            .margin
            .map(|margin| entry("margin", margin.to_string()));
        let model = self.mjcf.as_ref().map(|file| {
            let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            entry("mjcf", file.display().to_string())
        });
        engine.into_iter().chain(margin).chain(model).collect()
    }
}

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
pub fn envs(args: &EnvsArgs) -> Result<(), Error> {
    match &args.action {
        None => list(args.json.as_deref()),
        Some(Action::Show(one)) => {
            let spec = spec_with(&one.id, &one.env.options())?;
            print(docs::markdown(&spec).trim_end());
            Ok(())
        }
        Some(Action::Check(one)) => check(one),
        Some(Action::Docs { folder }) => write_pages(folder),
    }
}

fn list(json: Option<&Path>) -> Result<(), Error> {
    #[derive(Serialize)]
    struct Row {
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
        rows.push(Row {
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
    for (name, text) in docs::pages() {
        write_atomically(&folder.join(name), text.as_bytes())?;
    }
    print(&format!(
        "wrote {} pages to {}",
        docs::pages().len(),
        folder.display()
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::preset;

    #[test]
    fn a_runs_engine_margin_rule_and_model_reach_its_config_and_back() {
        let options_of = |args: &EnvArgs| {
            let config = preset("hopper-medium").expect("known");
            let changed = config.with_overrides(&args.overrides()).expect("fits");
            changed.evaluation.options().expect("valid")
        };
        let args = |engine: Option<&str>, margin, mjcf: Option<&str>| EnvArgs {
            engine: EngineArgs {
                engine: engine.map(|text| text.parse().expect("ok")),
                margin,
            },
            mjcf: mjcf.map(PathBuf::from),
        };
        for args in [
            args(None, None, None),
            args(Some("mujoco:/a \"b\"/libmujoco.so"), None, None),
            args(None, Some(Margin::Sum), None),
            args(None, None, Some("/my \"ant\".xml")),
            args(Some("mujoco:/lib.so"), None, Some("/ant.xml")),
        ] {
            assert_eq!(options_of(&args), args.options());
        }
        let relative = options_of(&args(None, None, Some("ant.xml")));
        assert_eq!(relative.engine, Engine::Mujoco(None));
        assert!(relative.model.expect("a model").is_absolute());
    }

    #[test]
    fn another_engine_keeps_a_runs_model() {
        let of_run = EnvOptions {
            model: Some("/ant.xml".into()),
            engine: Engine::Mujoco(None),
            margin: None,
        };
        let asked = EnvArgs {
            engine: EngineArgs {
                engine: Some("mujoco:/lib.so".parse().expect("ok")),
                margin: None,
            },
            mjcf: None,
        };
        let options = asked.options_or(of_run.clone());
        assert_eq!(options.model, of_run.model);
        assert_eq!(options.engine, Engine::Mujoco(Some("/lib.so".into())));
    }

    #[test]
    fn a_run_from_before_the_options_reads_as_the_default() {
        let config = preset("quickstart").expect("known");
        let text = toml::to_string(&config).expect("serialises");
        let old: String = text
            .lines()
            .filter(|l| {
                !["engine", "margin", "mjcf"]
                    .iter()
                    .any(|key| l.starts_with(key))
            })
            .map(|l| format!("{l}\n"))
            .collect();
        assert!(old.len() < text.len());
        assert_eq!(
            toml::from_str::<crate::config::Config>(&old).expect("reads"),
            config
        );
    }
}
