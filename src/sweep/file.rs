//! The file of a sweep, and its check: every fault at once, before anything is trained.

use std::path::Path;

use toml::{Table, Value};

use super::pulls::Settings;
use super::reader::Reader;
use super::space::Configuration;
use crate::config::{Config, Source, value_at};
use crate::error::Error;

/// Tables and keys of the file.
const KEYS: [&str; 9] = [
    "preset", "config", "seeds", "search", "draws", "seed", "set", "values", "pulls",
];
/// Keys of [pulls].
const PULLS: [&str; 6] = [
    "policy",
    "policies",
    "pulls",
    "trials",
    "exploration",
    "seed",
];

/// A file of a sweep, read and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// Preset or file that the configurations change.
    pub source: Source,
    /// Seeds of every configuration.
    pub seeds: Vec<u64>,
    /// Overrides that all configurations share.
    pub fixed: Vec<String>,
    /// Keys that differ, sorted.
    pub keys: Vec<String>,
    /// The configurations, none twice, each with its config.
    pub configurations: Vec<(Configuration, Config)>,
    /// Draws of a random search that repeated an earlier one and are left out.
    pub repeated: usize,
    /// The policy whose final episodes are compared.
    pub policy: String,
    /// The curve over pulls.
    pub pulls: Settings,
}

impl Sweep {
    /// Reads a sweep's file and checks every configuration of it.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read; [`Error::Usage`] with the file and, one per line, each key with what was expected
    /// and what was found.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, folder).map_err(|faults| {
            let count = match faults.len() {
                1 => "1 fault".to_string(),
                n => format!("{n} faults"),
            };
            Error::Usage(format!(
                "{}: {count} in the sweep\n  {}\n  hint: docs/many-machines.md has an example; `tiltrl config PRESET` prints every key with its meaning and range",
                path.display(),
                faults.join("\n  ")
            ))
        })
    }

    fn parse(text: &str, folder: &Path) -> Result<Self, Vec<String>> {
        let table: Table = toml::from_str(text).map_err(|e| vec![format!("not TOML: {e}")])?;
        let mut reader = Reader {
            table,
            faults: Vec::new(),
        };
        reader.no_strangers("", &KEYS);
        let source = reader.source(folder);
        let seeds = reader.seeds();
        let (mut policy, pulls) = reader.pulls();
        let fixed = reader.fixed();
        let space = reader.space();
        let mut keys: Vec<String> = Vec::new();
        if let Some(first) = space.found.first() {
            keys.extend(first.settings.iter().map(|(key, _)| key.clone()));
        }
        reader.no_overlap(&keys, &fixed);
        let mut configurations = Vec::new();
        if let Some(source) = &source {
            for end in &space.ends {
                reader.checked(source, &fixed, end);
            }
            for configuration in space.found {
                if let Some(config) = reader.checked(source, &fixed, &configuration) {
                    configurations.push((configuration, config));
                }
            }
        }
        if let (true, Some((_, config))) = (reader.faults.is_empty(), configurations.first()) {
            if policy.is_empty() {
                policy = config.final_policies().pop().unwrap_or_default();
            }
            if let Some((_, config)) = configurations
                .iter()
                .find(|(_, config)| !config.final_policies().contains(&policy))
            {
                reader.unknown_policy(&policy, config);
            }
        }
        match source {
            Some(source) if reader.faults.is_empty() => Ok(Self {
                source,
                seeds,
                fixed,
                keys,
                configurations,
                repeated: space.repeated,
                policy,
                pulls,
            }),
            _ => Err(reader.faults),
        }
    }
}

impl Reader {
    fn source(&mut self, folder: &Path) -> Option<Source> {
        let (preset, config) = (
            self.table.get("preset").cloned(),
            self.table.get("config").cloned(),
        );
        match (preset, config) {
            (Some(Value::String(name)), None) => Some(Source::Preset(name)),
            (None, Some(Value::String(file))) => Some(Source::File(folder.join(file))),
            (Some(Value::String(_)), Some(found)) => {
                self.fault("config", "none beside `preset`", Some(&found));
                None
            }
            (Some(found), _) => {
                self.fault("preset", "the name of a preset", Some(&found));
                None
            }
            (None, found) => {
                self.fault(
                    "preset",
                    "the name of a preset, or `config`, a file beside this one",
                    found.as_ref(),
                );
                None
            }
        }
    }

    fn seeds(&mut self) -> Vec<u64> {
        let found = self.table.get("seeds").cloned();
        let Some(value) = &found else {
            return vec![1];
        };
        let number = |v: &Value| v.as_integer().and_then(|i| u64::try_from(i).ok());
        let list = value
            .as_array()
            .and_then(|list| list.iter().map(number).collect::<Option<Vec<u64>>>());
        match list {
            Some(mut list) if !list.is_empty() => {
                let mut seen = Vec::new();
                list.retain(|seed| {
                    let new = !seen.contains(seed);
                    seen.push(*seed);
                    new
                });
                list
            }
            _ => {
                self.fault(
                    "seeds",
                    "a list of whole numbers from 0, at least one",
                    found.as_ref(),
                );
                vec![1]
            }
        }
    }

    fn pulls(&mut self) -> (String, Settings) {
        self.no_strangers("pulls", &PULLS);
        if self.table.get("pulls").is_some_and(|v| !v.is_table()) {
            let found = self.table.get("pulls").cloned();
            self.fault("pulls", "a table", found.as_ref());
        }
        let mut exploration = 2.0;
        let found = value_at(&self.table, "pulls.exploration").cloned();
        match found
            .as_ref()
            .map(|v| v.as_float().or(v.as_integer().map(|i| i as f64)))
        {
            None => {}
            Some(Some(x)) if (0.0..=1e6).contains(&x) => exploration = x,
            Some(_) => self.fault("pulls.exploration", "0 to 1000000", found.as_ref()),
        }
        let mut policy = String::new();
        let found = value_at(&self.table, "pulls.policy").cloned();
        match &found {
            None => {}
            Some(Value::String(name)) => policy.clone_from(name),
            Some(_) => self.fault(
                "pulls.policy",
                "the name of a policy, as \"posterior\"",
                found.as_ref(),
            ),
        }
        let pulls = Settings {
            policies: self.count("pulls", "policies", [1, 1000], 8) as usize,
            pulls: self.count("pulls", "pulls", [1, 100_000], 200) as usize,
            trials: self.count("pulls", "trials", [2, 1_000_000], 10_000) as usize,
            exploration,
            seed: self.count("pulls", "seed", [0, i64::MAX as u64], 0),
        };
        (policy, pulls)
    }

    fn unknown_policy(&mut self, policy: &str, config: &Config) {
        let expected = format!("one of {}", config.final_policies().join(", "));
        self.fault(
            "pulls.policy",
            &expected,
            Some(&Value::String(policy.into())),
        );
    }

    fn fixed(&mut self) -> Vec<String> {
        let entries = self.entries("set");
        entries
            .into_iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect()
    }

    fn no_overlap(&mut self, keys: &[String], fixed: &[String]) {
        for key in keys {
            if fixed
                .iter()
                .any(|entry| entry.split('=').next() == Some(key))
            {
                self.faults.push(format!(
                    "set.{key}: expected in [set] or in [values], found in both"
                ));
            }
        }
    }

    /// The config of a configuration, or its faults where they are new.
    fn checked(&mut self, source: &Source, fixed: &[String], of: &Configuration) -> Option<Config> {
        let set = [fixed, &of.overrides()].concat();
        let faults = match source.config_or_faults(&set) {
            Ok(config) => return Some(config),
            Err(faults) => faults,
        };
        for fault in faults {
            let text = fault.strip_prefix("--set ").unwrap_or(&fault);
            let key = text.split([':', '=']).next().unwrap_or_default();
            let is = |entry: &String| entry.split('=').next() == Some(key);
            let place = if of.settings.iter().any(|(name, _)| name == key) {
                "values."
            } else if fixed.iter().any(is) {
                "set."
            } else {
                ""
            };
            let text = format!("{place}{}", text.replace('\n', "; "));
            if !self.faults.contains(&text) {
                self.faults.push(text);
            }
        }
        None
    }
}

#[cfg(test)]
#[path = "tests_file.rs"]
mod tests;
