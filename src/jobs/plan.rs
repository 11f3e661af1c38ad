//! What is to be submitted, and what is asked of Slurm.

use std::path::Path;

use super::job::Job;
use crate::error::Error;

/// What is asked of Slurm.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Write the files and print the commands, and submit nothing.
    pub dry_run: bool,
    /// Elements at a time; none = as many as Slurm gives.
    pub at_once: Option<usize>,
    /// Partition to submit to; none = the cluster's default.
    pub partition: Option<String>,
    /// Time limit of an element, as Slurm writes it.
    pub time: Option<String>,
    /// Memory of an element, as Slurm writes it.
    pub mem: Option<String>,
    /// Further `#SBATCH` lines.
    pub lines: Vec<String>,
}

/// What is to be submitted.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// The command: "benchmark" or "sweep".
    pub title: &'a str,
    /// Its folder; the ledger is in `slurm` below it.
    pub out: &'a Path,
    /// All jobs, done or not.
    pub jobs: &'a [Job],
    /// Threads of each.
    pub threads: usize,
    /// Words of the command that writes the table, without the program's name.
    pub table: &'a [String],
    /// What is asked of Slurm.
    pub settings: &'a Settings,
}

impl Settings {
    /// Refuses lines that would break the scripts; all faults at once.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the option, what was expected and what was found.
    pub fn check(&self) -> Result<(), Error> {
        let mut faults = Vec::new();
        let named = [
            ("--partition", &self.partition),
            ("--time", &self.time),
            ("--mem", &self.mem),
        ];
        for (option, value) in named {
            if let Some(value) = value
                && (value.is_empty() || value.contains(char::is_whitespace))
            {
                faults.push(format!("{option}: expected one word, found `{value}`"));
            }
        }
        for line in &self.lines {
            let own = [
                "--array",
                "-a",
                "--output",
                "-o",
                "--dependency",
                "-d",
                "--requeue",
                "--no-requeue",
            ];
            let word = line.split(['=', ' ']).next().unwrap_or_default();
            if !line.starts_with('-') || line.contains(['\n', '\r']) {
                faults.push(format!(
                    "--sbatch: expected an option of sbatch, as \"--account=x\", found `{line}`"
                ));
            } else if own.contains(&word) {
                faults.push(format!(
                    "--sbatch: {word} is set by this command, found `{line}`"
                ));
            }
        }
        if self.at_once == Some(0) {
            faults.push("--jobs: expected at least 1, found 0".into());
        }
        if faults.is_empty() {
            return Ok(());
        }
        Err(Error::Usage(faults.join("\n")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_the_settings_are_told_together() {
        let settings = Settings {
            at_once: Some(0),
            time: Some("1 day".into()),
            lines: vec!["--array=1".into(), "account=x".into(), "--account=x".into()],
            ..Settings::default()
        };
        let text = settings.check().expect_err("four").to_string();
        for words in [
            "--jobs: expected",
            "--time: expected one word, found `1 day`",
            "--array is set",
            "found `account=x`",
        ] {
            assert!(text.contains(words), "{text}");
        }
        assert_eq!(text.lines().count(), 4);
    }
}
