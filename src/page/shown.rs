//! A run as a report shows it.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::error::Error;
use crate::report::{Summary, load};
use crate::run::{RunDir, is_finished, seeds_in};

/// A run as the page shows it.
pub struct Shown {
    /// What it is called on the page: the shortest end of its path that no other run shares.
    pub name: String,
    /// Folder of the run.
    pub folder: PathBuf,
    /// Its returns with their intervals.
    pub summary: Summary,
    /// The config that it was trained with.
    pub config: Config,
    /// Seeds in the folder that the table does not hold.
    pub left_out: Vec<u64>,
}

impl Shown {
    /// Reads runs.
    ///
    /// # Errors
    /// When one is not finished, or a file is missing or damaged.
    pub fn all(folders: &[PathBuf]) -> Result<Vec<Self>, Error> {
        let named = folders.iter().zip(names(folders));
        named
            .map(|(folder, name)| Self::load(folder, name))
            .collect()
    }

    fn load(folder: &Path, name: String) -> Result<Self, Error> {
        let summary = load(folder)?;
        let seed = *summary.seeds.first().ok_or_else(|| {
            Error::Run(format!("{}: summary.json names no seed", folder.display()))
        })?;
        let left_out = seeds_in(folder)?
            .into_iter()
            .filter(|seed| !summary.seeds.contains(seed))
            .collect();
        for &seed in &summary.seeds {
            if !is_finished(&RunDir::of_seed(folder, seed)) {
                return Err(Error::Run(format!(
                    "{}: summary.json holds seed {seed}, which is not finished any more\n  hint: repeat the command that started the run; it writes the table",
                    folder.display()
                )));
            }
        }
        Ok(Self {
            name,
            folder: folder.to_path_buf(),
            config: RunDir::of_seed(folder, seed).config()?,
            summary,
            left_out,
        })
    }
}

/// The shortest ends of paths that tell all of them apart; the whole paths where they are equal.
fn names(folders: &[PathBuf]) -> Vec<String> {
    let end = |path: &PathBuf, parts: usize| -> String {
        let all: Vec<_> = path.components().collect();
        let from = all.len().saturating_sub(parts);
        let end: PathBuf = all[from..].iter().collect();
        end.display().to_string()
    };
    for parts in 1..8 {
        let names: Vec<String> = folders.iter().map(|f| end(f, parts)).collect();
        let mut apart = names.clone();
        apart.sort();
        apart.dedup();
        if apart.len() == names.len() {
            return names;
        }
    }
    folders.iter().map(|f| f.display().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_named_by_what_tells_them_apart() {
        let of = |list: &[&str]| names(&list.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(of(&["runs/a", "runs/b"]), ["a", "b"]);
        assert_eq!(of(&["one/run", "two/run"]), ["one/run", "two/run"]);
        assert_eq!(of(&["run", "run"]), ["run", "run"]);
    }
}
