//! The log of a stage: numbers by update, kept as JSON, which a resumed run and the pictures read, and as CSV for people.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::folder::RunDir;
use super::state::{damaged, read_state, write_state};
use crate::error::Error;
use crate::files::write_atomically;

/// Named numbers by update.
#[derive(Clone, Debug)]
pub struct Log {
    json: PathBuf,
    csv: PathBuf,
    stored: Stored,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Stored {
    columns: Vec<String>,
    rows: Vec<LogEntry>,
}

/// What is not finite is stored as null.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
struct LogEntry(u64, Vec<Option<f64>>);

/// Returns a number with twelve significant digits: few enough that text and number stand for each other exactly.
pub fn rounded(value: f64) -> f64 {
    format!("{value:.11e}").parse().unwrap_or(value)
}

impl Log {
    /// Opens the log of a stage that goes on after `update`; later rows are forgotten and will be repeated.
    ///
    /// # Errors
    /// When there should be a log and is none, or it cannot be read: both name the file.
    pub fn resume(dir: &RunDir, name: &str, columns: &[&str], update: u64) -> Result<Self, Error> {
        let columns: Vec<String> = columns.iter().map(|c| (*c).to_string()).collect();
        let mut log = if update > 0 {
            Self::read(dir, name)?
        } else {
            let rows = Vec::new();
            Self::at(
                dir,
                name,
                Stored {
                    columns: columns.clone(),
                    rows,
                },
            )
        };
        if log.stored.columns != columns {
            return Err(Error::Run(format!(
                "{}: expected the columns {}, found {}\n  hint: it is of another version; use another --out",
                log.json.display(),
                columns.join(", "),
                log.stored.columns.join(", ")
            )));
        }
        log.stored.rows.retain(|row| row.0 <= update);
        Ok(log)
    }

    /// Reads the log of a stage.
    ///
    /// # Errors
    /// When it is missing or cannot be read: both name the file.
    pub fn read(dir: &RunDir, name: &str) -> Result<Self, Error> {
        let path = dir.state(name);
        let mut stored: Stored = read_state(&path)?;
        let width = stored.columns.len();
        if stored.rows.iter().any(|row| row.1.len() != width) {
            return Err(damaged(&path, "a row of another width"));
        }
        for value in stored.rows.iter_mut().flat_map(|row| &mut row.1).flatten() {
            *value = rounded(*value);
        }
        Ok(Self::at(dir, name, stored))
    }

    fn at(dir: &RunDir, name: &str, stored: Stored) -> Self {
        Self {
            json: dir.state(name),
            csv: dir.path.join(format!("{name}.csv")),
            stored,
        }
    }

    /// Appends the numbers of an update, in the order of the columns.
    pub fn push(&mut self, update: u64, values: &[f64]) {
        let finite = |v: &f64| v.is_finite().then(|| rounded(*v));
        let values = values.iter().map(finite).collect();
        self.stored.rows.push(LogEntry(update, values));
    }

    /// Returns the names of the columns.
    pub fn names(&self) -> &[String] {
        &self.stored.columns
    }

    /// Returns the updates and the numbers of a column; NaN where one is missing.
    pub fn column(&self, name: &str) -> Option<(Vec<f64>, Vec<f64>)> {
        let at = self.stored.columns.iter().position(|c| c == name)?;
        let rows = self.stored.rows.iter();
        Some(
            rows.map(|r| (r.0 as f64, r.1[at].unwrap_or(f64::NAN)))
                .unzip(),
        )
    }

    /// Returns the update of the last row; none where there is no row.
    pub fn last_update(&self) -> Option<u64> {
        self.stored.rows.last().map(|row| row.0)
    }

    /// Returns the names of the numbers.
    pub fn columns(&self) -> &[String] {
        &self.stored.columns
    }

    /// Returns the updates with their numbers, in the order of the columns; none where one is missing.
    pub fn rows(&self) -> impl Iterator<Item = (u64, &[Option<f64>])> {
        self.stored.rows.iter().map(|row| (row.0, &row.1[..]))
    }

    /// Writes JSON and CSV.
    ///
    /// # Errors
    /// When one cannot be written; the older file is then left as it was.
    pub fn save(&self) -> Result<(), Error> {
        write_state(&self.json, &self.stored)?;
        let mut text = format!("update,{}\n", self.stored.columns.join(","));
        for LogEntry(update, values) in &self.stored.rows {
            let _ = write!(text, "{update}");
            for value in values {
                let _ = write!(text, ",{:.6}", value.unwrap_or(f64::NAN));
            }
            text.push('\n');
        }
        write_atomically(&self.csv, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_log_has_the_same_bytes_and_a_damaged_one_is_an_error() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let dir = RunDir {
            path: folder.path().to_path_buf(),
        };
        let fill = |log: &mut Log, from: u64| {
            for update in from..20 {
                let x = (update as f64 + 0.1).sin() * 10f64.powi(update as i32 - 10);
                log.push(update, &[x, if update == 3 { f64::NAN } else { -x / 3.0 }]);
            }
            log.save().expect("writable");
        };
        let bytes = |name: &str| std::fs::read(folder.path().join(name)).expect("written");
        let mut log = Log::resume(&dir, "prior", &["loss", "other"], 0).expect("new");
        fill(&mut log, 0);
        let first = (bytes("log/prior.json"), bytes("prior.csv"));
        let mut log = Log::resume(&dir, "prior", &["loss", "other"], 12).expect("there");
        fill(&mut log, 13);
        assert!(first == (bytes("log/prior.json"), bytes("prior.csv")));
        let error = Log::resume(&dir, "prior", &["loss"], 12).expect_err("columns");
        assert!(error.to_string().contains("expected the columns loss"));
        std::fs::write(folder.path().join("prior.csv"), "nonsense").expect("writable");
        Log::read(&dir, "prior").expect("the CSV is not read");
        for text in ["", "{", "{\"columns\":[\"a\"],\"rows\":[[1,[]]]}", "[]"] {
            std::fs::write(dir.state("prior"), text).expect("writable");
            let error = Log::resume(&dir, "prior", &["loss", "other"], 12).expect_err(text);
            assert!(error.to_string().contains("log/prior.json"), "{error}");
        }
        let error = Log::resume(&dir, "critic", &["loss"], 5).expect_err("missing");
        assert!(error.to_string().contains("log/critic.json"), "{error}");
    }
}
