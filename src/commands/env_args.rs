//! The options with which environments are made.

use std::path::PathBuf;

use clap::Args;
use tiltrl_envs::{Engine, EnvOptions, Margin};

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
        let own = EnvOptions {
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
        let options = asked.options_or(own.clone());
        assert_eq!(options.model, own.model);
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
