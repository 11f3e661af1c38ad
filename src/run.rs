//! A run directory: resolved config, provenance, logs, checkpoints; everything written atomically.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tiltrl_policies::checkpoint::write_atomically;
use tiltrl_policies::kernels::arithmetic;

use crate::config::Config;
use crate::error::Error;

/// What a run was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Version of TiltRL.
    pub tiltrl: String,
    /// SHA-256 of the data.
    pub data_sha256: String,
    /// Physics engine.
    pub engine: String,
    /// Its version.
    pub engine_version: String,
    /// Contact margin rule, where the engine has one.
    pub margin_rule: String,
    /// Arithmetic of the matrix products, which the last bits depend on; "f32" in runs older than the field.
    #[serde(default = "f32_arithmetic")]
    pub arithmetic: String,
    /// Seed of this run.
    pub seed: u64,
}

fn f32_arithmetic() -> String {
    arithmetic::F32.into()
}

#[derive(Serialize, Deserialize, PartialEq)]
struct RunFile {
    provenance: Provenance,
    config: Config,
}

/// The directory of one seed.
#[derive(Clone, Debug)]
pub struct RunDir {
    /// Its path.
    pub path: PathBuf,
}

impl RunDir {
    /// Opens or creates the directory of a seed and checks that what is there belongs to the same run.
    ///
    /// # Errors
    /// When it holds another config, other data or another version: nothing is ever overwritten.
    pub fn open(path: &Path, config: &Config, provenance: &Provenance) -> Result<Self, Error> {
        let file = path.join("run.toml");
        let wanted = RunFile {
            provenance: provenance.clone(),
            config: config.clone(),
        };
        if file.exists() {
            let text = std::fs::read_to_string(&file).map_err(Error::io(&file))?;
            let found: RunFile = toml::from_str(&text).map_err(|e| {
                Error::Run(format!(
                    "{}: cannot be read: {e}\n  hint: use another --out",
                    file.display()
                ))
            })?;
            let was = &found.provenance.arithmetic;
            if *was != provenance.arithmetic {
                return Err(Error::Run(format!(
                    "{}: arithmetic = \"{was}\", and this process has \"{}\": the run would not go on as it began\n  hint: {}",
                    file.display(),
                    provenance.arithmetic,
                    if was == arithmetic::F32 {
                        format!("set {}={was}, or use another --out", arithmetic::VARIABLE)
                    } else {
                        format!(
                            "unset {}, continue it on a CPU with a matrix unit (AMX), or use another --out",
                            arithmetic::VARIABLE
                        )
                    }
                )));
            }
            if found != wanted {
                return Err(Error::Run(format!(
                    "{}: the directory holds a run with another config, data or version\n  hint: use another --out, or delete {} to start over",
                    file.display(),
                    path.display()
                )));
            }
        } else {
            std::fs::create_dir_all(path.join("checkpoints")).map_err(Error::io(path))?;
            let text = toml::to_string(&wanted).map_err(|e| Error::Run(e.to_string()))?;
            write_atomically(&file, text.as_bytes())?;
        }
        Ok(Self {
            path: path.to_path_buf(),
        })
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
        let text = std::fs::read_to_string(&file).map_err(Error::io(&file))?;
        toml::from_str(&text)
            .map_err(|e| Error::Run(format!("{}: cannot be read: {e}", file.display())))
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
    /// When the file cannot be written.
    pub fn add_seconds(&self, stage: &str, seconds: f64) -> Result<f64, Error> {
        let path = self.path.join("timing.json");
        let mut all = self.seconds();
        let total = all.entry(stage.to_string()).or_insert(0.0);
        *total += seconds;
        let total = *total;
        write_atomically(
            &path,
            serde_json::to_string_pretty(&all)
                .expect("plain data")
                .as_bytes(),
        )?;
        Ok(total)
    }

    /// Returns the seconds of each stage so far.
    pub fn seconds(&self) -> std::collections::BTreeMap<String, f64> {
        std::fs::read_to_string(self.path.join("timing.json"))
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default()
    }
}

/// Returns the seeds that a run's folder holds, ascending.
///
/// # Errors
/// When the folder cannot be read or holds none.
pub fn seeds_in(folder: &Path) -> Result<Vec<u64>, Error> {
    let entries = std::fs::read_dir(folder).map_err(Error::io(folder))?;
    let mut seeds: Vec<u64> = entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            name.strip_prefix("seed-")?.parse().ok()
        })
        .collect();
    seeds.sort_unstable();
    if seeds.is_empty() {
        return Err(Error::Run(format!(
            "{}: holds no run (no folder seed-N)\n  hint: `tiltrl run --out {}` makes one",
            folder.display(),
            folder.display()
        )));
    }
    Ok(seeds)
}

/// A CSV file whose first column is the update; kept whole in memory and written atomically.
pub struct CsvLog {
    path: PathBuf,
    header: String,
    rows: Vec<(u64, String)>,
}

impl CsvLog {
    /// Opens the log and forgets rows after update `keep`, so that a resumed run repeats them.
    pub fn resume(path: PathBuf, header: &str, keep: u64) -> Self {
        let mut rows = Vec::new();
        for line in std::fs::read_to_string(&path)
            .unwrap_or_default()
            .lines()
            .skip(1)
        {
            let update = line
                .split(',')
                .next()
                .and_then(|u| u.parse().ok())
                .unwrap_or(u64::MAX);
            if update <= keep {
                rows.push((update, line.to_string()));
            }
        }
        Self {
            path,
            header: header.to_string(),
            rows,
        }
    }

    /// Forgets every row: nothing of the stage is kept, not even what stands at update 0.
    pub fn clear(&mut self) {
        self.rows.clear();
    }

    /// Appends a row; `values` follow the update.
    pub fn push(&mut self, update: u64, values: &str) {
        self.rows.push((update, format!("{update},{values}")));
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When it cannot be written; the older file is then left as it was.
    pub fn save(&self) -> Result<(), Error> {
        let mut text = format!("{}\n", self.header);
        for (_, row) in &self.rows {
            let _ = writeln!(text, "{row}");
        }
        Ok(write_atomically(&self.path, text.as_bytes())?)
    }
}

/// Reads a CSV written by [`CsvLog`] as columns of text.
pub fn read_csv(path: &Path) -> Result<(Vec<String>, Vec<Vec<String>>), Error> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    let mut lines = text
        .lines()
        .map(|l| l.split(',').map(str::to_string).collect::<Vec<_>>());
    let header = lines.next().unwrap_or_default();
    Ok((header, lines.collect()))
}
