//! The folder of a tilted system: what it was made from, rows of finished seeds, tables and pictures.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::outcome::{Outcome, Row};
use super::request::{Request, Settings, System};
use crate::error::Error;
use crate::files::write_atomically;
use crate::run::{read_state, write_state};

/// What a seed was made from; another call goes on only where all of it is the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Origin {
    tiltrl: String,
    system: String,
    seed: u64,
    device: String,
    arithmetic: String,
    quick: bool,
    only: String,
    data: String,
    settings: std::collections::BTreeMap<String, f64>,
}

impl Origin {
    fn entries(&self) -> Vec<(String, String)> {
        let mut all = vec![
            ("version of tiltrl".into(), self.tiltrl.clone()),
            ("system".into(), self.system.clone()),
            ("seed".into(), self.seed.to_string()),
            ("device".into(), self.device.clone()),
            ("arithmetic".into(), self.arithmetic.clone()),
            ("quick".into(), self.quick.to_string()),
            ("only".into(), self.only.clone()),
            ("data".into(), self.data.clone()),
        ];
        let settings = self.settings.iter();
        all.extend(settings.map(|(k, v)| (format!("settings.{k}"), v.to_string())));
        all
    }
}

/// What a seed came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finished {
    /// Rows of its table.
    pub rows: Vec<Row>,
    /// What is said below it.
    pub notes: Vec<String>,
}

/// Runs one seed in its folder, or reads it back where it is finished; draws its pictures.
///
/// # Errors
/// When the folder holds another run (each key is named), and those of the system.
pub fn run_seed(system: &System, request: &Request, device: &str) -> Result<Finished, Error> {
    let folder = &request.dir.path;
    let checkpoints = folder.join("checkpoints");
    std::fs::create_dir_all(&checkpoints).map_err(Error::io(&checkpoints))?;
    let data = request.data.as_ref();
    let origin = Origin {
        tiltrl: env!("CARGO_PKG_VERSION").into(),
        system: system.name.into(),
        seed: request.seed,
        device: device.into(),
        arithmetic: request.compute.engine.arithmetic().to_string(),
        quick: request.quick,
        only: request.only.clone().unwrap_or_default(),
        data: data.map_or(String::new(), |d| d.display().to_string()),
        settings: request.settings.0.iter().cloned().collect(),
    };
    same(&folder.join("tilt.toml"), &origin)?;
    let finished = folder.join("rows.json");
    if finished.exists() {
        return read_state(&finished);
    }
    let Outcome {
        rows,
        pictures,
        notes,
    } = (system.run)(request).inspect_err(|_| forget_untrained(folder))?;
    for picture in &pictures {
        picture.draw(folder)?;
    }
    let finished_seed = Finished { rows, notes };
    write_state(&finished, &finished_seed)?;
    Ok(finished_seed)
}

/// Removes the origin of a seed that failed before its first checkpoint, so that a corrected call may use the folder.
fn forget_untrained(folder: &Path) {
    let mut entries = std::fs::read_dir(folder.join("checkpoints"))
        .into_iter()
        .flatten();
    if entries.next().is_none() {
        // A file that stays only asks for another folder.
        let _ = std::fs::remove_file(folder.join("tilt.toml"));
    }
}

/// Writes the origin, or compares it with what is there.
fn same(file: &Path, wanted: &Origin) -> Result<(), Error> {
    if !file.exists() {
        let text = toml::to_string(wanted).map_err(|e| Error::Run(e.to_string()))?;
        return write_atomically(file, text.as_bytes());
    }
    let text = std::fs::read_to_string(file).map_err(Error::io(file))?;
    let found: Origin = toml::from_str(&text).map_err(|e| {
        Error::Run(format!(
            "{}: damaged: {e}\n  hint: restore it, or use another --out",
            file.display()
        ))
    })?;
    let (was, now) = (found.entries(), wanted.entries());
    let mut lines = Vec::new();
    for (key, new) in &now {
        let old = was.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
        if old != Some(new.as_str()) {
            let said = |text: Option<&str>| {
                let text = text.filter(|text| !text.is_empty());
                text.unwrap_or("nothing").to_string()
            };
            let (old, new) = (said(old), said(Some(new)));
            lines.push(format!("{key}: {old} in the folder, {new} now"));
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    Err(Error::Run(format!(
        "{}: the folder holds another run\n  {}\n  hint: use another --out",
        file.display(),
        lines.join("\n  ")
    )))
}

#[derive(Serialize)]
struct Results<'a> {
    system: &'a str,
    distance: &'a str,
    settings: &'a Settings,
    seeds: Vec<OfSeed<'a>>,
}

#[derive(Serialize)]
struct OfSeed<'a> {
    seed: u64,
    rows: &'a [Row],
    notes: &'a [String],
}

/// Rows and notes of a seed.
pub type Seed = (u64, Vec<Row>, Vec<String>);

/// Writes `results.json` and `table.txt` of all seeds.
///
/// # Errors
/// When one cannot be written.
pub fn write_results(
    folder: &Path,
    system: &System,
    settings: &Settings,
    seeds: &[Seed],
    table: &[String],
) -> Result<(), Error> {
    let results = Results {
        system: system.name,
        distance: system.distance,
        settings,
        seeds: seeds
            .iter()
            .map(|(seed, rows, notes)| OfSeed {
                seed: *seed,
                rows,
                notes,
            })
            .collect(),
    };
    let text = serde_json::to_string_pretty(&results).map_err(|e| Error::Run(e.to_string()))?;
    write_atomically(&folder.join("results.json"), text.as_bytes())?;
    let text = format!("{}\n", table.join("\n"));
    write_atomically(&folder.join("table.txt"), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_kept_from_its_first_checkpoint_on() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (origin, checkpoints) = (
            folder.path().join("tilt.toml"),
            folder.path().join("checkpoints"),
        );
        std::fs::create_dir(&checkpoints).expect("a folder");
        std::fs::write(&origin, "").expect("written");
        std::fs::write(checkpoints.join("prior"), "").expect("written");
        forget_untrained(folder.path());
        assert!(origin.exists());
        std::fs::remove_file(checkpoints.join("prior")).expect("it is there");
        forget_untrained(folder.path());
        assert!(!origin.exists());
    }
}
