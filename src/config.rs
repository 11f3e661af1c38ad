//! The configuration of a run: one struct per stage, presets, and `--set key=value`.

use serde::{Deserialize, Serialize};
use tiltrl_envs::EnvOptions;
use tiltrl_policies::finetune::{Mixture, Options};
use tiltrl_policies::iql::IqlConfig;
use tiltrl_policies::kernels::math::Activation;
use tiltrl_policies::rtb::Shaping;
use tiltrl_policies::schedule::{Prediction, ScheduleKind};

use crate::error::{Error, nearest};

/// Everything that decides what a run does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the preset this came from.
    pub preset: String,
    /// Environment id, see `tiltrl envs`.
    pub env: String,
    /// File names of the data set under the data folder, when `--data` is not given.
    pub data_files: Vec<String>,
    /// Diffusion prior.
    pub prior: PriorConfig,
    /// Critic.
    pub critic: IqlConfig,
    /// RTB fine-tuning.
    pub finetune: FinetuneConfig,
    /// Evaluation.
    pub evaluation: EvaluationConfig,
}

/// Training of the diffusion prior.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorConfig {
    /// Denoising steps T.
    pub num_steps: usize,
    /// Noise schedule; must be memoryless.
    pub schedule: ScheduleKind,
    /// What the network predicts.
    pub prediction: Prediction,
    /// Hidden widths.
    pub hidden: Vec<usize>,
    /// Non-linearity.
    pub activation: Activation,
    /// Updates.
    pub updates: u64,
    /// Actions per update.
    pub batch_size: usize,
    /// Step size of Adam.
    pub learning_rate: f32,
    /// Decay of the exponential moving average of the weights.
    pub ema_decay: f32,
}

/// RTB fine-tuning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinetuneConfig {
    /// Updates.
    pub updates: u64,
    /// States per update.
    pub states: usize,
    /// Paths per state, by source.
    pub paths: Mixture,
    /// Step size of Adam.
    pub learning_rate: f32,
    /// Joint gradient norm limit; 0 = none.
    pub max_gradient_norm: f32,
    /// Temperature α in units of the prior's mean standard deviation of Q within a state.
    pub temperature: f64,
    /// Dead zone and Huber cap of δ.
    pub shaping: Shaping,
    /// Let the posterior learn the variance of its steps.
    pub learned_variance: bool,
    /// Let the posterior follow the critic's gradient, by a learned scale that starts at zero.
    pub guidance: bool,
    /// Variants: learned log Z, exploration, replay, subsampled or chunked steps, segments, KL budget.
    pub options: Options,
}

/// Evaluation during training and at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationConfig {
    /// Episodes of each policy at the end.
    pub episodes: usize,
    /// Episodes of each evaluation during fine-tuning.
    pub episodes_in_training: usize,
    /// Evaluations during fine-tuning.
    pub evaluations_in_training: u64,
    /// N of each best-of-N baseline.
    pub best_of: Vec<usize>,
    /// Physics engine: embedded, embedded-f32, mujoco, mujoco:PATH, gymnasium:PYTHON.
    #[serde(default = "embedded")]
    pub engine: String,
    /// Contact margin rule: max, sum, or default (the engine's).
    #[serde(default = "default_margin")]
    pub margin: String,
    /// The MJCF file of a robot of your own, for ant-v4, ant-v5, humanoid-v4 and humanoid-v5; empty = the environment's robot.
    #[serde(default)]
    pub mjcf: String,
}

fn embedded() -> String {
    "embedded".into()
}

fn default_margin() -> String {
    "default".into()
}

impl EvaluationConfig {
    /// Returns how the environments of the evaluations are made.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown engine or margin rule.
    pub fn options(&self) -> Result<EnvOptions, Error> {
        let usage = |key: &'static str| {
            move |e: tiltrl_envs::EnvError| Error::Usage(format!("evaluation.{key}: {e}"))
        };
        let margin = match self.margin.as_str() {
            "default" => None,
            rule => Some(rule.parse().map_err(usage("margin"))?),
        };
        Ok(EnvOptions {
            engine: self.engine.parse().map_err(usage("engine"))?,
            margin,
            model: (!self.mjcf.is_empty()).then(|| self.mjcf.clone().into()),
        })
    }
}

/// The nine locomotion sets.
pub const LOCOMOTION: [&str; 3] = ["halfcheetah", "hopper", "walker2d"];
/// The three qualities of data.
pub const QUALITIES: [&str; 3] = ["medium", "medium-replay", "medium-expert"];

/// Returns the names of all presets.
pub fn preset_names() -> Vec<String> {
    let mut names = vec!["quickstart".to_string()];
    for env in LOCOMOTION {
        for quality in QUALITIES {
            names.push(format!("{env}-{quality}"));
            names.push(format!("{env}-{quality}-v2"));
        }
    }
    names
}

fn base(preset: &str, env: &str) -> Config {
    Config {
        preset: preset.into(),
        env: env.into(),
        data_files: Vec::new(),
        prior: PriorConfig {
            num_steps: 10,
            schedule: ScheduleKind::Cosine,
            prediction: Prediction::Velocity,
            hidden: vec![256, 256, 256],
            activation: Activation::Silu,
            updates: 15_000,
            batch_size: 256,
            learning_rate: 5e-4,
            ema_decay: 0.999,
        },
        critic: IqlConfig {
            updates: 25_000,
            batch_size: 256,
            hidden: vec![256, 256],
            layer_norm: true,
            learning_rate: 3e-4,
            expectile: 0.7,
            discount: 0.99,
            num_steps: 5,
            target_rate: 0.005,
            ensemble: 2,
            lcb: 0.0,
            advantage_updates: 0,
            caution: 1.0,
        },
        finetune: FinetuneConfig {
            updates: 3_000,
            states: 32,
            paths: Mixture {
                on_policy: 8,
                prior: 0,
                data: 0,
            },
            learning_rate: 1e-3,
            max_gradient_norm: 1.0,
            temperature: 0.5,
            shaping: Shaping {
                dead_zone: 0.0,
                huber: 20.0,
            },
            learned_variance: true,
            guidance: false,
            options: Options::default(),
        },
        evaluation: EvaluationConfig {
            episodes: 20,
            episodes_in_training: 10,
            evaluations_in_training: 20,
            best_of: vec![16, 64],
            engine: embedded(),
            margin: default_margin(),
            mjcf: String::new(),
        },
    }
}

/// Returns the preset `name`.
///
/// # Errors
/// [`Error::Usage`] with the nearest name.
pub fn preset(name: &str) -> Result<Config, Error> {
    if name == "quickstart" {
        let mut config = base(name, "pendulum-v1");
        config.prior.hidden = vec![128, 128];
        config.prior.updates = 8_000;
        config.critic.hidden = vec![128, 128];
        config.critic.updates = 10_000;
        config.critic.discount = 0.97;
        config.finetune.updates = 2_000;
        config.finetune.temperature = 0.1;
        config.evaluation = EvaluationConfig {
            episodes: 128,
            episodes_in_training: 32,
            evaluations_in_training: 10,
            best_of: vec![16],
            ..config.evaluation
        };
        return Ok(config);
    }
    let plain = name.strip_suffix("-v2").unwrap_or(name);
    for env in LOCOMOTION {
        for quality in QUALITIES {
            if plain == format!("{env}-{quality}") {
                let mut config = base(name, &format!("{env}-v4"));
                if quality == "medium-expert" {
                    // Two behaviours far apart: Q itself misjudges actions between them (decision 0008).
                    config.critic.advantage_updates = 10_000;
                    config.finetune.temperature = 1.0;
                }
                let d4rl = name.ends_with("-v2");
                config.data_files = match (d4rl, quality) {
                    (true, _) => vec![format!("{env}_{}-v2.hdf5", quality.replace('-', "_"))],
                    (false, "medium-expert") => {
                        vec![format!("{env}-medium.hdf5"), format!("{env}-expert.hdf5")]
                    }
                    _ => vec![format!("{plain}.hdf5")],
                };
                return Ok(config);
            }
        }
    }
    let names = preset_names();
    let hint = nearest(name, names.iter().map(String::as_str))
        .map_or(String::new(), |n| format!("; did you mean `{n}`?"));
    Err(Error::Usage(format!(
        "unknown preset `{name}`{hint}\n  presets: {}",
        names.join(", ")
    )))
}

impl Config {
    /// Applies `--set key=value` overrides (TOML values, dotted keys).
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown key (with the nearest) or a value of the wrong type.
    pub fn with_overrides(self, overrides: &[String]) -> Result<Self, Error> {
        let mut value = toml::Value::try_from(&self).map_err(|e| Error::Usage(e.to_string()))?;
        for entry in overrides {
            let (key, text) = entry.split_once('=').ok_or_else(|| {
                Error::Usage(format!(
                    "--set {entry}: expected key=value, as in finetune.temperature=0.5"
                ))
            })?;
            set(&mut value, key.trim(), text.trim())?;
        }
        let config: Self = value
            .try_into()
            .map_err(|e| Error::Usage(format!("--set: {e}")))?;
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), Error> {
        let demand = |holds: bool, what: &str| {
            if holds {
                Ok(())
            } else {
                Err(Error::Usage(what.to_string()))
            }
        };
        demand(
            (2..=1000).contains(&self.prior.num_steps),
            "prior.num_steps: expected 2 to 1000",
        )?;
        demand(
            self.finetune.paths.total() >= 2 && self.finetune.paths.on_policy >= 1,
            "finetune.paths: expected at least 2 paths per state, 1 of them on-policy",
        )?;
        demand(
            self.finetune.paths.data <= 1,
            "finetune.paths.data: a state of the data has one action; expected 0 or 1",
        )?;
        demand(
            self.finetune.temperature > 0.0,
            "finetune.temperature: expected a positive number",
        )?;
        demand(
            self.critic.expectile > 0.0 && self.critic.expectile < 1.0,
            "critic.expectile: expected a number in (0, 1)",
        )?;
        demand(
            self.critic.num_steps >= 1,
            "critic.num_steps: expected at least 1",
        )?;
        demand(
            self.critic.discount > 0.0 && self.critic.discount < 1.0,
            "critic.discount: expected a number in (0, 1)",
        )?;
        demand(
            self.evaluation.episodes > 0,
            "evaluation.episodes: expected at least 1",
        )?;
        self.evaluation.options()?;
        let sizes = [
            self.prior.batch_size,
            self.critic.batch_size,
            self.finetune.states,
        ];
        demand(
            sizes.iter().all(|&s| s > 0),
            "batch sizes: expected at least 1",
        )
    }
}

fn set(value: &mut toml::Value, key: &str, text: &str) -> Result<(), Error> {
    let mut slot = value;
    for part in key.split('.') {
        let table = slot.as_table_mut().ok_or_else(|| {
            Error::Usage(format!("--set {key}: `{part}` is inside a plain value"))
        })?;
        if !table.contains_key(part) {
            let hint = nearest(part, table.keys().map(String::as_str))
                .map_or(String::new(), |n| format!("; did you mean `{n}`?"));
            let keys: Vec<_> = table.keys().cloned().collect();
            return Err(Error::Usage(format!(
                "--set {key}: unknown key `{part}`{hint}\n  keys here: {}",
                keys.join(", ")
            )));
        }
        slot = table
            .get_mut(part)
            .ok_or_else(|| Error::Usage(key.to_string()))?;
    }
    let parsed: toml::Table = toml::from_str(&format!("v = {text}"))
        .or_else(|_| toml::from_str(&format!("v = {:?}", text)))
        .map_err(|e| Error::Usage(format!("--set {key}={text}: {e}")))?;
    let mut new = parsed["v"].clone();
    if let (toml::Value::Float(_), toml::Value::Integer(i)) = (&*slot, &new) {
        new = toml::Value::Float(*i as f64);
    }
    if slot.type_str() != new.type_str() {
        return Err(Error::Usage(format!(
            "--set {key}={text}: expected a {}, found a {}",
            slot.type_str(),
            new.type_str()
        )));
    }
    *slot = new;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_resolves_and_survives_toml() {
        for name in preset_names() {
            let config = preset(&name).expect("known");
            let text = toml::to_string(&config).expect("serialises");
            assert_eq!(toml::from_str::<Config>(&text).expect("parses"), config);
        }
    }

    #[test]
    fn unknown_names_get_the_nearest() {
        assert!(
            preset("hoper-medium")
                .expect_err("typo")
                .to_string()
                .contains("`hopper-medium`")
        );
        let wrong = preset("quickstart")
            .expect("known")
            .with_overrides(&["critic.expectil=0.8".into()]);
        assert!(wrong.expect_err("typo").to_string().contains("`expectile`"));
        let wrong = preset("quickstart")
            .expect("known")
            .with_overrides(&["critic.expectile=high".into()]);
        assert!(
            wrong
                .expect_err("type")
                .to_string()
                .contains("expected a float")
        );
    }

    #[test]
    fn overrides_take_integers_for_floats() {
        let config = preset("quickstart")
            .expect("known")
            .with_overrides(&["finetune.temperature=1".into()]);
        assert_eq!(config.expect("valid").finetune.temperature, 1.0);
    }
}
