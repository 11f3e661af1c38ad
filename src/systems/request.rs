//! What a system is, and what is asked of it.

use std::path::PathBuf;

use serde::Serialize;
use tiltrl_policies::Compute;

use super::outcome::Outcome;
use crate::console::Console;
use crate::error::{Error, nearest};
use crate::run::RunDir;

/// A system of `tiltrl tilt`: data, a prior, and rewards whose exact posterior is known.
pub struct System {
    /// As the command names it.
    pub name: &'static str,
    /// What it is, in one line.
    pub summary: &'static str,
    /// What the column `distance` of its rows holds: "TV", "KL", "Fréchet".
    pub distance: &'static str,
    /// Its tasks, for `--only`.
    pub tasks: &'static [&'static str],
    /// What `--set` may change.
    pub settings: &'static [Setting],
    /// Trains or loads the prior, tilts it and compares; one seed.
    pub run: fn(&Request) -> Result<Outcome, Error>,
}

/// One number that `--set KEY=VALUE` may change.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// KEY of `--set KEY=VALUE`.
    pub key: &'static str,
    /// Its value where nothing is said.
    pub value: f64,
    /// Its value with `--quick`.
    pub quick: f64,
    /// Least and greatest value that make sense.
    pub range: [f64; 2],
    /// What it means.
    pub meaning: &'static str,
}

impl Setting {
    /// Returns a setting; arguments as the fields, `[value, quick]` together.
    pub const fn new(
        key: &'static str,
        [value, quick]: [f64; 2],
        range: [f64; 2],
        meaning: &'static str,
    ) -> Self {
        Self {
            key,
            value,
            quick,
            range,
            meaning,
        }
    }
}

/// Resolved settings, in the system's order.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Settings(pub Vec<(String, f64)>);

impl Settings {
    /// Resolves defaults and overrides `KEY=VALUE`.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown key, a value that is no number, or one out of range; it names the key.
    pub fn resolve(system: &System, quick: bool, overrides: &[String]) -> Result<Self, Error> {
        let default = |s: &Setting| (s.key.to_string(), if quick { s.quick } else { s.value });
        let mut all: Vec<(String, f64)> = system.settings.iter().map(default).collect();
        for text in overrides {
            let (key, value) = text.split_once('=').ok_or_else(|| {
                Error::Usage(format!("--set {text}: expected KEY=VALUE, as updates=500"))
            })?;
            let at = system.settings.iter().position(|s| s.key == key);
            let at = at.ok_or_else(|| unknown(system, key))?;
            let [low, high] = system.settings[at].range;
            let number = value.parse::<f64>().ok();
            let number = number.filter(|n| (low..=high).contains(n));
            all[at].1 = number.ok_or_else(|| {
                Error::Usage(format!(
                    "--set {text}: expected a number from {low} to {high}"
                ))
            })?;
        }
        Ok(Self(all))
    }

    /// Returns a number.
    ///
    /// # Panics
    /// When the system has no such setting.
    pub fn number(&self, key: &str) -> f64 {
        let found = self.0.iter().find(|(name, _)| name == key);
        found.expect("a system asks for its own settings").1
    }

    /// Returns a number of things.
    ///
    /// # Panics
    /// As [`Self::number`].
    pub fn count(&self, key: &str) -> usize {
        self.number(key).round().max(0.0) as usize
    }

    /// Returns whether a switch is on.
    ///
    /// # Panics
    /// As [`Self::number`].
    pub fn on(&self, key: &str) -> bool {
        self.number(key) > 0.5
    }
}

fn unknown(system: &System, key: &str) -> Error {
    let keys = || system.settings.iter().map(|s| s.key);
    let near = nearest(key, keys()).map_or(String::new(), |k| format!("; did you mean {k}?"));
    Error::Usage(format!(
        "--set {key}: `{}` has no such setting{near}\n  hint: it has {}",
        system.name,
        keys().collect::<Vec<_>>().join(", ")
    ))
}

/// What is asked of a system, for one seed.
pub struct Request {
    /// Seed of data that are made, of the prior, and of the posterior.
    pub seed: u64,
    /// Every setting with the value that holds.
    pub settings: Settings,
    /// Whether less work is asked for.
    pub quick: bool,
    /// Only tasks whose name contains this.
    pub only: Option<String>,
    /// The user's folder of data.
    pub data: Option<PathBuf>,
    /// Where tensors are computed.
    pub compute: Compute,
    /// Where progress is shown.
    pub console: Console,
    /// Folder of this seed: checkpoints, logs, pictures.
    pub dir: RunDir,
}

impl Request {
    /// Returns whether a task is asked for.
    pub fn wants(&self, task: &str) -> bool {
        let only = self.only.as_deref();
        only.is_none_or(|word| task.contains(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE_UP: System = System {
        name: "made-up",
        summary: "",
        distance: "TV",
        tasks: &[],
        settings: &[
            Setting::new("updates", [100.0, 10.0], [1.0, 1e6], "updates"),
            Setting::new("rate", [0.1, 0.1], [0.0, 1.0], "step size"),
        ],
        run: |_| Ok(Outcome::default()),
    };

    #[test]
    fn settings_resolve_and_mistakes_name_the_key() {
        let resolve = |quick, set: &[&str]| {
            let set: Vec<String> = set.iter().map(|s| (*s).to_string()).collect();
            Settings::resolve(&MADE_UP, quick, &set)
        };
        assert_eq!(resolve(false, &[]).expect("fine").count("updates"), 100);
        let quick = resolve(true, &["rate=0.5"]).expect("fine");
        assert_eq!((quick.count("updates"), quick.number("rate")), (10, 0.5));
        for (set, words) in [
            ("update=3", "did you mean updates"),
            ("rate=2", "from 0 to 1"),
            ("rate=NaN", "from 0 to 1"),
            ("rate=fast", "expected a number"),
            ("rate", "KEY=VALUE"),
        ] {
            let error = resolve(false, &[set]).expect_err(set);
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
