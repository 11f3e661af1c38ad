//! The folder of a seed: resolved config, provenance, state, checkpoints; everything written atomically.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::changes;
use super::state::{damaged, read_state, write_state};
use crate::config::{Config, rename};
use crate::console::note;
use crate::device::{ARITHMETIC_OF_OLD, hint_for};
use crate::error::Error;
use crate::files::write_atomically;

/// What a run was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Version of TiltRL.
    pub tiltrl: String,
    /// SHA-256 of the data.
    pub data_sha256: String,
    /// Name of the physics engine that played.
    pub engine: String,
    /// Version of that engine.
    pub engine_version: String,
    /// Contact margin rule, where the engine has one.
    pub margin_rule: String,
    /// Arithmetic of the matrix products, which the last bits depend on; "f32" in runs older than the field.
    #[serde(default = "f32_arithmetic")]
    pub arithmetic: String,
    /// Device of the networks; "cpu" in runs older than the field.
    #[serde(default = "cpu")]
    pub device: String,
    /// Seed of this run.
    pub seed: u64,
}

fn f32_arithmetic() -> String {
    ARITHMETIC_OF_OLD.into()
}

/// What runs older than the field computed on.
fn cpu() -> String {
    "cpu".into()
}

#[derive(Serialize, Deserialize, PartialEq)]
struct RunFile {
    provenance: Provenance,
    config: Config,
}

/// The directory of one seed.
#[derive(Clone, Debug)]
pub struct RunDir {
    /// Where the seed's files lie.
    pub path: PathBuf,
}

impl RunDir {
    /// Opens or creates the directory of a seed, of which the caller holds the lock, and checks that what is there belongs to
    /// the same run. More updates and more final episodes are taken over (docs/runs.md).
    ///
    /// # Errors
    /// When it holds another config, other data or another version (each key is named), or a file cannot be read or written:
    /// nothing is ever overwritten.
    pub fn open(path: &Path, config: &Config, provenance: &Provenance) -> Result<Self, Error> {
        let dir = Self {
            path: path.to_path_buf(),
        };
        let file = path.join("run.toml");
        let changed = if file.exists() {
            let found = dir.file()?;
            same_origin(&file, &found.provenance, provenance)?;
            let changes = changes::allowed(path, &found.config, config)?;
            if let Some(said) = changes::apply(path, &changes)? {
                note(&said);
            }
            !changes.is_empty()
        } else {
            let folder = path.join("checkpoints");
            std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
            if dir.checkpoint("prior").exists() {
                return Err(Error::Run(format!(
                    "{}: no such file, though there are checkpoints beside it: nothing says what they were trained for\n  hint: restore it, or use another --out",
                    file.display()
                )));
            }
            true
        };
        if changed {
            let wanted = RunFile {
                provenance: provenance.clone(),
                config: config.clone(),
            };
            let text = toml::to_string(&wanted).map_err(|e| Error::Run(e.to_string()))?;
            write_atomically(&file, text.as_bytes())?;
        }
        Ok(dir)
    }

    /// Returns the directory of a seed, which may not exist.
    pub fn of_seed(folder: &Path, seed: u64) -> Self {
        Self {
            path: folder.join(format!("seed-{seed}")),
        }
    }

    /// Returns the resolved config of an existing run.
    ///
    /// # Errors
    /// When run.toml is missing or cannot be read.
    pub fn config(&self) -> Result<Config, Error> {
        Ok(self.file()?.config)
    }

    /// Returns what an existing run was made from.
    ///
    /// # Errors
    /// When run.toml is missing or cannot be read.
    pub fn provenance(&self) -> Result<Provenance, Error> {
        Ok(self.file()?.provenance)
    }

    fn file(&self) -> Result<RunFile, Error> {
        let file = self.path.join("run.toml");
        let text = std::fs::read_to_string(&file).map_err(|e| {
            Error::Run(format!(
                "{}: {e}\n  hint: {}",
                file.display(),
                where_runs_are(&self.path)
            ))
        })?;
        read(&text).map_err(|e| damaged(&file, &e.to_string()))
    }

    /// Returns the path of a state file: what a resumed run, tables and pictures read back.
    pub fn state(&self, name: &str) -> PathBuf {
        self.path.join("log").join(format!("{name}.json"))
    }

    /// Returns the path of a checkpoint.
    pub fn checkpoint(&self, name: &str) -> PathBuf {
        self.path
            .join("checkpoints")
            .join(format!("{name}.safetensors"))
    }

    /// Adds seconds to a stage's time in timing.json and returns its total.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn add_seconds(&self, stage: &str, seconds: f64) -> Result<f64, Error> {
        let mut all = self.seconds()?;
        let total = all.entry(stage.to_string()).or_insert(0.0);
        *total += seconds;
        let total = *total;
        write_state(&self.path.join("timing.json"), &all)?;
        Ok(total)
    }

    /// Returns the seconds of each stage so far; none before the first.
    ///
    /// # Errors
    /// When timing.json is there and cannot be read.
    pub fn seconds(&self) -> Result<BTreeMap<String, f64>, Error> {
        let path = self.path.join("timing.json");
        if !path.exists() {
            return Ok(BTreeMap::new());
        }
        read_state(&path)
    }
}

/// Reads run.toml, also that of an earlier version whose keys had other names.
fn read(text: &str) -> Result<RunFile, toml::de::Error> {
    let mut table: toml::Table = toml::from_str(text)?;
    if let Some(toml::Value::Table(config)) = table.get_mut("config") {
        rename(config);
    }
    table.try_into()
}

/// Says by name in what the origin of a run differs.
fn same_origin(file: &Path, found: &Provenance, wanted: &Provenance) -> Result<(), Error> {
    let was = &found.arithmetic;
    if *was != wanted.arithmetic {
        return Err(Error::Run(format!(
            "{}: arithmetic = \"{was}\", and this process has \"{}\": the run would not go on as it began\n  hint: {}",
            file.display(),
            wanted.arithmetic,
            hint_for(was)
        )));
    }
    let pairs = [
        ("version of tiltrl", &found.tiltrl, &wanted.tiltrl),
        (
            "sha256 of the data",
            &found.data_sha256,
            &wanted.data_sha256,
        ),
        ("engine", &found.engine, &wanted.engine),
        (
            "engine's version",
            &found.engine_version,
            &wanted.engine_version,
        ),
        ("margin rule", &found.margin_rule, &wanted.margin_rule),
        ("device", &found.device, &wanted.device),
    ];
    let differing = pairs.iter().filter(|(_, old, new)| old != new);
    let lines: Vec<String> = differing
        .map(|(what, old, new)| format!("{what}: {old} in the folder, {new} now"))
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    Err(Error::Run(format!(
        "{}: the folder holds another run\n  {}\n  hint: use another --out",
        file.display(),
        lines.join("\n  ")
    )))
}

/// Returns the seeds that a run's folder holds, ascending.
///
/// # Errors
/// When the folder cannot be read or holds none; a folder of one seed is named as such.
pub fn seeds_in(folder: &Path) -> Result<Vec<u64>, Error> {
    let entries = std::fs::read_dir(folder).map_err(|e| {
        Error::Run(format!(
            "{}: {e}\n  hint: {}",
            folder.display(),
            where_runs_are(folder)
        ))
    })?;
    let mut seeds: Vec<u64> = entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            name.strip_prefix("seed-")?.parse().ok()
        })
        .collect();
    seeds.sort_unstable();
    if seeds.is_empty() {
        return Err(Error::Run(format!(
            "{}: holds no run (no folder seed-N)\n  hint: {}",
            folder.display(),
            where_runs_are(folder)
        )));
    }
    Ok(seeds)
}

/// Says where a run is to be looked for when it is not at `folder`.
fn where_runs_are(folder: &Path) -> String {
    let is_seed = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix("seed-")
            .is_some_and(|n| n.parse::<u64>().is_ok())
    };
    let parent = folder.parent().unwrap_or(folder);
    if is_seed(folder) {
        return format!(
            "this is the folder of one seed; name the run's: {}",
            parent.display()
        );
    }
    let below = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let seeds: Vec<String> = below
        .map(|entry| entry.path())
        .filter(|path| is_seed(path))
        .map(|path| path.display().to_string())
        .collect();
    match seeds.first() {
        Some(seed) => format!("this is the folder of a run; name one of its seeds, as {seed}"),
        None => format!("`tiltrl run --out {}` makes a run there", folder.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;

    #[test]
    fn a_folder_whose_keys_had_other_names_is_read() {
        let provenance = Provenance {
            tiltrl: "0.1.0".into(),
            data_sha256: String::new(),
            engine: String::new(),
            engine_version: String::new(),
            margin_rule: String::new(),
            arithmetic: f32_arithmetic(),
            device: cpu(),
            seed: 1,
        };
        let set = ["finetune.alpha_in_std=0.75", "critic.n_step=2"].map(String::from);
        let config = Source::default().config(&set).expect("valid");
        let folder = tempfile::tempdir().expect("temporary folder");
        let dir = RunDir::open(folder.path(), &config, &provenance).expect("new");
        let file = folder.path().join("run.toml");
        let mut text = std::fs::read_to_string(&file).expect("written");
        for (now, then) in [
            ("\nalpha_in_std = 0.75\n", "\ntemperature = 0.75\n"),
            ("\nsub_trajectory = 0\n", "\nsegment = 0\n"),
            ("\nn_step = 2\n", "\nnum_steps = 2\n"),
        ] {
            assert!(text.contains(now), "{text}");
            text = text.replace(now, then);
        }
        std::fs::write(&file, text).expect("writable");
        assert_eq!(dir.config().expect("reads"), config);
        RunDir::open(folder.path(), &config, &provenance).expect("the same run");
    }
}
