//! What can go wrong in an experiment, in words that name the thing and what to do.

use std::path::PathBuf;

use tiltrl_envs::EnvError;

/// An error of the command line or of a run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Wrong usage: unknown preset, key or value.
    #[error("{0}")]
    Usage(String),
    /// Reading or writing a file failed.
    #[error("{path}: {source}")]
    Io {
        /// File that was read or written.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A run directory or a state that does not fit.
    #[error("{0}")]
    Run(String),
    /// Data cannot be read, written or meant.
    #[error(transparent)]
    Data(#[from] crate::data::DataError),
    /// An environment cannot be made or moved.
    #[error("{}", env_text(.0))]
    Env(#[from] EnvError),
    /// Weights cannot be used, or training failed.
    #[error(transparent)]
    Policy(#[from] tiltrl_tilt::TiltError),
    /// A picture cannot be drawn or written.
    #[error(transparent)]
    Plot(#[from] tiltrl_plots::PlotError),
}

impl Error {
    /// Returns 2 for wrong usage, 1 for everything else.
    pub fn exit_code(&self) -> u8 {
        if matches!(self, Self::Usage(_)) { 2 } else { 1 }
    }

    /// Returns a closure that wraps an I/O error with its path.
    pub fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io {
            path: path.to_path_buf(),
            source,
        }
    }
}

/// Returns what an environment's error says, with a hint that fits what really failed.
fn env_text(error: &EnvError) -> String {
    let EnvError::Python { python, id, reason } = error else {
        let hint = match error {
            EnvError::UnknownId { .. } => "\n  hint: `tiltrl envs` lists them",
            _ => "",
        };
        return format!("{error}{hint}");
    };
    let python = python.display();
    let has = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    let hint = if has(&["No module named 'gymnasium'"]) {
        format!("`{python} -m pip install gymnasium`")
    } else if has(&["os error 2", "os error 13", "os error 8"]) {
        "name a Python program that can be started, as --engine gymnasium:.venv/bin/python".into()
    } else if has(&["NotFound", "Unregistered", "DeprecatedEnv"]) {
        format!(
            "`{python} -c 'import gymnasium; print(*gymnasium.registry)'` lists the ids it knows"
        )
    } else if has(&["DependencyNotInstalled", "No module named"]) {
        format!("Gymnasium is there, but `{id}` needs more; install what it names for {python}")
    } else if has(&["only Box spaces", "must be bounded"]) {
        "this engine takes environments whose actions and observations are bounded boxes of numbers"
            .into()
    } else {
        "the program's own words, if it said any, stand above".into()
    };
    format!("cannot start `{id}` with {python}: {reason}\n  hint: {hint}")
}

/// Returns the candidate nearest to `word`, if any is near.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|c| (strsim::jaro_winkler(word, c), c))
        .filter(|(score, _)| *score > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_python_that_fails_is_not_always_told_to_install_gymnasium() {
        let text = |reason: &str| {
            Error::from(EnvError::Python {
                python: "python3".into(),
                id: "Pendulum-v1".into(),
                reason: reason.into(),
            })
            .to_string()
        };
        let module = "ModuleNotFoundError: No module named 'gymnasium'";
        assert!(text(module).contains("python3 -m pip install gymnasium"));
        for (reason, words) in [
            (
                "No such file or directory (os error 2)",
                "name a Python program",
            ),
            (
                "NameNotFound: Environment `Pendulun` doesn't exist.",
                "gymnasium.registry",
            ),
            (
                "DependencyNotInstalled: MuJoCo is not installed",
                "needs more",
            ),
            (
                "TypeError: only Box spaces are supported, not Discrete(2)",
                "bounded boxes",
            ),
            ("it did not introduce itself but said ``", "own words"),
        ] {
            let said = text(reason);
            assert!(said.contains(reason) && said.contains(words), "{said}");
            assert!(!said.contains("pip install gymnasium"), "{said}");
        }
    }
}
