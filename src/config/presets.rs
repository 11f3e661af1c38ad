//! Presets: files beside this one, each the differences to the file that it extends. A user's own file is read the same way.
//!
//! Differences and not complete files, because nineteen copies of fifty settings would hide the three that matter.

use std::path::Path;

use toml::{Table, Value};

use super::algorithm::{self, adapt, complete_file};
use super::check::{checked, with_faults};
use super::critic::{make_way, settle};
use super::overrides::{override_all, override_faults};
use super::print::commented;
use super::settings::Config;
use super::tables::overlay;
use crate::error::{Error, nearest};

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        /// Name and text of every built-in file; the first is no experiment but what the others extend.
        const FILES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../presets/", $name, ".toml")))),*];
    };
}

files!(
    "base",
    "quickstart",
    "halfcheetah-medium",
    "halfcheetah-medium-v2",
    "halfcheetah-medium-replay",
    "halfcheetah-medium-replay-v2",
    "halfcheetah-medium-expert",
    "halfcheetah-medium-expert-v2",
    "hopper-medium",
    "hopper-medium-v2",
    "hopper-medium-replay",
    "hopper-medium-replay-v2",
    "hopper-medium-expert",
    "hopper-medium-expert-v2",
    "walker2d-medium",
    "walker2d-medium-v2",
    "walker2d-medium-replay",
    "walker2d-medium-replay-v2",
    "walker2d-medium-expert",
    "walker2d-medium-expert-v2",
);

/// Files that extend each other may be so deep.
const DEPTH: usize = 8;

/// Where an experiment comes from: the name of a preset or a file of the user's.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A built-in file.
    Preset(String),
    /// A file of the same format.
    File(std::path::PathBuf),
}

impl Default for Source {
    fn default() -> Self {
        Self::Preset("quickstart".into())
    }
}

impl Source {
    /// Returns the source that a word names: a preset where there is one of that name, else a file.
    pub fn of(word: &str) -> Self {
        let is_path = word.ends_with(".toml") || word.contains(std::path::MAIN_SEPARATOR);
        if is_path || (text_of(word).is_none() && Path::new(word).is_file()) {
            Self::File(word.into())
        } else {
            Self::Preset(word.into())
        }
    }

    /// Returns the name of the source: that of the preset, or the file's without its ending.
    pub fn name(&self) -> String {
        match self {
            Self::Preset(name) => name.clone(),
            Self::File(path) => path
                .file_stem()
                .map_or("run".into(), |stem| stem.to_string_lossy().into_owned()),
        }
    }

    /// Returns the resolved and checked config with overrides.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown preset, key or value (all values outside their ranges at once); [`Error::Io`] when the
    /// file cannot be read.
    pub fn config(&self, overrides: &[String]) -> Result<Config, Error> {
        let (table, origin) = self.resolved(overrides)?;
        checked(table, &origin)
    }

    /// Returns the resolved config with overrides, or all that is wrong with it, one entry per fault.
    ///
    /// # Errors
    /// The faults, each with its key; a file that cannot be read is one.
    pub fn config_or_faults(&self, overrides: &[String]) -> Result<Config, Vec<String>> {
        let (mut table, origin) = self.settled(overrides).map_err(|e| vec![e.to_string()])?;
        // An override that cannot be is left out, so that the others are still looked at.
        let mut faults = override_faults(&mut table, overrides);
        match with_faults(table) {
            Ok(Ok(config)) if faults.is_empty() => return Ok(config),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => faults.push(format!("{origin}: {error}")),
            Err(others) => faults.extend(others),
        }
        Err(faults)
    }

    /// Returns the resolved config as a commented file.
    ///
    /// # Errors
    /// As for [`Self::config`].
    pub fn commented(&self, overrides: &[String]) -> Result<String, Error> {
        let (table, origin) = self.resolved(overrides)?;
        checked(table.clone(), &origin)?;
        Ok(commented(&table))
    }

    fn resolved(&self, overrides: &[String]) -> Result<(Table, String), Error> {
        let (mut table, origin) = self.settled(overrides)?;
        override_all(&mut table, overrides)?;
        Ok((table, origin))
    }

    /// The table with what it extends and what the overrides choose, without the overrides' values; and where it came from.
    fn settled(&self, overrides: &[String]) -> Result<(Table, String), Error> {
        let (text, origin) = match self {
            Self::Preset(name) => {
                let known = text_of(name).filter(|_| name != "base");
                let text = known.ok_or_else(|| unknown(name))?;
                (text.to_string(), format!("preset {name}"))
            }
            Self::File(path) => (
                std::fs::read_to_string(path).map_err(Error::io(path))?,
                path.display().to_string(),
            ),
        };
        let usage = |e| Error::Usage(format!("{origin}: {e}"));
        let own = toml::from_str::<Table>(&text).ok();
        let mut table = if let Self::Preset(_) = self {
            let mut table = read(&text, &origin, DEPTH, &|_, _| Ok(()))?;
            adapt(&mut table, &Table::new(), overrides).map_err(usage)?;
            table
        } else {
            if own.as_ref().is_some_and(|own| !own.contains_key("extends")) {
                complete_file(overrides).map_err(usage)?;
            }
            let laid = |lower: &mut Table, own: &Table| adapt(lower, own, overrides);
            read(&text, &origin, DEPTH, &laid)?
        };
        if own.is_some_and(|own| !own.contains_key("preset")) {
            table.insert("preset".into(), Value::String(self.name()));
        }
        settle(&mut table, overrides).map_err(usage)?;
        algorithm::settle(&mut table, overrides).map_err(usage)?;
        Ok((table, origin))
    }
}

fn text_of(name: &str) -> Option<&'static str> {
    let found = FILES.iter().find(|(known, _)| *known == name);
    found.map(|(_, text)| *text)
}

/// Changes what a file extends, given the file itself.
type Adapt<'a> = &'a dyn Fn(&mut Table, &Table) -> Result<(), String>;

/// Reads a file and what it extends; `adapt` changes the latter before the file is laid over it.
fn read(text: &str, origin: &str, depth: usize, adapt: Adapt<'_>) -> Result<Table, Error> {
    let mut table: Table =
        toml::from_str(text).map_err(|e| Error::Usage(format!("{origin}: not TOML: {e}")))?;
    let below = match table.remove("extends") {
        None => return Ok(table),
        Some(Value::String(name)) => name,
        Some(other) => {
            return Err(Error::Usage(format!(
                "{origin}: extends: expected the name of a preset, found {other}"
            )));
        }
    };
    let under = text_of(&below).ok_or_else(|| unknown(&below))?;
    if depth == 0 {
        return Err(Error::Usage(format!(
            "{origin}: files extend each other in a circle"
        )));
    }
    let mut whole = read(under, &below, depth - 1, &|_, _| Ok(()))?;
    adapt(&mut whole, &table).map_err(|e| Error::Usage(format!("{origin}: {e}")))?;
    make_way(&mut whole, &table).map_err(|e| Error::Usage(format!("{origin}: {e}")))?;
    overlay(&mut whole, table);
    Ok(whole)
}

/// Returns the names of all presets.
pub fn preset_names() -> Vec<String> {
    let names = FILES.iter().map(|(name, _)| (*name).to_string());
    names.filter(|name| name != "base").collect()
}

/// Returns the preset `name`.
///
/// # Errors
/// [`Error::Usage`] with the nearest name.
pub fn preset(name: &str) -> Result<Config, Error> {
    Source::Preset(name.into()).config(&[])
}

fn unknown(name: &str) -> Error {
    let names = preset_names();
    let hint = nearest(name, names.iter().map(String::as_str))
        .map_or(String::new(), |n| format!("; did you mean `{n}`?"));
    let file = if Path::new(name).exists() {
        format!("\n  hint: `--config {name}` reads a file")
    } else {
        String::new()
    };
    Error::Usage(format!(
        "unknown preset `{name}`{hint}\n  presets: {}{file}",
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_config_prints_is_a_config_of_the_same_values_and_prints_the_same() {
        let folder = tempfile::tempdir().expect("temporary folder");
        for name in preset_names() {
            let text = Source::Preset(name.clone()).commented(&[]).expect("valid");
            let path = folder.path().join(format!("{name}.toml"));
            std::fs::write(&path, &text).expect("writable");
            let file = Source::of(&path.display().to_string());
            assert_eq!(
                file.config(&[]).expect("valid"),
                preset(&name).expect("known")
            );
            assert_eq!(file.commented(&[]).expect("valid"), text);
        }
    }

    #[test]
    fn every_preset_survives_toml_and_sets_what_it_should() {
        for name in preset_names() {
            let config = preset(&name).expect("known");
            let text = toml::to_string(&config).expect("serialises");
            assert_eq!(toml::from_str::<Config>(&text).expect("parses"), config);
            assert_eq!(config.preset, name);
        }
        let d4rl = preset("hopper-medium-expert-v2").expect("known");
        assert_eq!(d4rl.data_files, ["hopper_medium_expert-v2.hdf5"]);
        assert_eq!(d4rl.critic.number("advantage_updates"), 15_000.0);
        assert_eq!(
            (d4rl.finetune.alpha_in_std, d4rl.finetune.states),
            (3.0, 32)
        );
        let own = preset("walker2d-medium-expert").expect("known");
        assert_eq!(
            own.data_files,
            ["walker2d-medium.hdf5", "walker2d-expert.hdf5"]
        );
        let quick = preset("quickstart").expect("known");
        assert_eq!(
            (quick.critic.discount(), quick.evaluation.episodes),
            (0.97, 128)
        );
        assert_eq!(quick.prior.learning_rate, 5e-4);
        assert_eq!(quick.finetune.options, Default::default());
    }

    #[test]
    fn a_users_file_may_hold_no_more_than_what_differs() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("mine.toml");
        std::fs::write(
            &path,
            "extends = \"hopper-medium\"\n[finetune]\nalpha_in_std = 1\n",
        )
        .expect("writable");
        let config = Source::File(path.clone()).config(&[]).expect("valid");
        assert_eq!(
            (config.preset.as_str(), config.env.as_str()),
            ("mine", "hopper-v4")
        );
        assert_eq!(config.finetune.alpha_in_std, 1.0);
        for (text, words) in [
            ("extends = \"hoper-medium\"", "did you mean `hopper-medium`"),
            ("extends = 3", "extends: expected the name of a preset"),
            (
                "extends = \"base\"\n[critic]\nexpectil = 0.8",
                "critic.expectile",
            ),
            ("env = \"hopper-v4\"", "critic.kind: missing"),
            ("env = ", "not TOML"),
        ] {
            std::fs::write(&path, text).expect("writable");
            let error = Source::File(path.clone()).config(&[]).expect_err(text);
            assert!(error.to_string().contains(words), "{text}: {error}");
            assert!(error.to_string().contains("mine.toml") || words.contains("did"));
        }
    }

    #[test]
    fn unknown_names_get_the_nearest() {
        let error = preset("hoper-medium").expect_err("typo").to_string();
        assert!(error.contains("`hopper-medium`"), "{error}");
        let quick = || preset("quickstart").expect("known");
        for (entry, words) in [
            ("critic.expectil=0.8", "`expectile`"),
            ("critic.expectile=high", "expected a float"),
        ] {
            let error = quick().with_overrides(&[entry.into()]).expect_err(entry);
            assert!(error.to_string().contains(words), "{error}");
        }
        let whole = quick().with_overrides(&["finetune.alpha_in_std=1".into()]);
        assert_eq!(whole.expect("valid").finetune.alpha_in_std, 1.0);
    }
}
