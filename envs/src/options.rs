//! How an environment is made: the engine, the margin rule, a model of the user's.

use crate::error::EnvError;
use crate::planar::Margin;
use std::path::PathBuf;

/// What computes the physics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Engine {
    /// The engine in this crate: nothing to install.
    #[default]
    Embedded,
    /// The same in f32: faster in batches, right to fewer digits (locomotion only).
    EmbeddedF32,
    /// MuJoCo, loaded at run time from this path (`None`: the usual places).
    Mujoco(Option<PathBuf>),
    /// Python's Gymnasium in a process of its own; the path is a Python program that has `gymnasium`.
    Gymnasium(PathBuf),
}

impl std::str::FromStr for Engine {
    type Err = EnvError;

    /// `embedded`, `embedded-f32`, `mujoco`, `mujoco:PATH`, `gymnasium` (the Python `python3`) or `gymnasium:PYTHON`.
    fn from_str(text: &str) -> Result<Self, EnvError> {
        match text.split_once(':') {
            None if text == "embedded" => Ok(Self::Embedded),
            None if text == "embedded-f32" => Ok(Self::EmbeddedF32),
            None if text == "mujoco" => Ok(Self::Mujoco(None)),
            Some(("mujoco", path)) if !path.is_empty() => Ok(Self::Mujoco(Some(path.into()))),
            None if text == "gymnasium" => Ok(Self::Gymnasium("python3".into())),
            Some(("gymnasium", path)) if !path.is_empty() => Ok(Self::Gymnasium(path.into())),
            _ => Err(EnvError::UnknownChoice {
                what: "engine",
                given: text.into(),
                choices: "embedded, embedded-f32, mujoco, mujoco:PATH, gymnasium:PYTHON",
            }),
        }
    }
}

impl std::fmt::Display for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded"),
            Self::EmbeddedF32 => f.write_str("embedded-f32"),
            Self::Mujoco(None) => f.write_str("mujoco"),
            Self::Mujoco(Some(path)) => write!(f, "mujoco:{}", path.display()),
            Self::Gymnasium(python) => write!(f, "gymnasium:{}", python.display()),
        }
    }
}

impl std::fmt::Display for Margin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Max => "max",
            Self::Sum => "sum",
        })
    }
}

impl std::str::FromStr for Margin {
    type Err = EnvError;

    /// `max` or `sum`.
    fn from_str(text: &str) -> Result<Self, EnvError> {
        match text {
            "max" => Ok(Self::Max),
            "sum" => Ok(Self::Sum),
            _ => Err(EnvError::UnknownChoice {
                what: "margin rule",
                given: text.into(),
                choices: "max, sum",
            }),
        }
    }
}

/// How to make an environment. [`Default`] is the embedded engine under the margin rule of D4RL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EnvOptions {
    /// The contact margin rule; `None`: [`Margin::Max`], D4RL's.
    pub margin: Option<Margin>,
    /// What computes the physics.
    pub engine: Engine,
    /// A model of the user's own (MJCF) for the ids of [`crate::mjcf_ids`].
    pub model: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_and_margin_rules_are_read_from_text() {
        assert_eq!("embedded".parse::<Engine>().expect("ok"), Engine::Embedded);
        assert_eq!(
            "mujoco".parse::<Engine>().expect("ok"),
            Engine::Mujoco(None)
        );
        let at_path = "mujoco:/opt/a:b.so".parse::<Engine>().expect("ok");
        assert_eq!(at_path, Engine::Mujoco(Some("/opt/a:b.so".into())));
        let python = "gymnasium:.venv/bin/python".parse::<Engine>().expect("ok");
        assert_eq!(python, Engine::Gymnasium(".venv/bin/python".into()));
        assert_eq!("sum".parse::<Margin>().expect("ok"), Margin::Sum);
        for text in [
            "embedded",
            "embedded-f32",
            "mujoco",
            "mujoco:/opt/a:b.so",
            "gymnasium:python3",
        ] {
            assert_eq!(text.parse::<Engine>().expect("ok").to_string(), text);
        }
        for wrong in ["", "mujoco:", "bullet"] {
            let error = wrong.parse::<Engine>().expect_err("must fail").to_string();
            assert!(error.contains("mujoco:PATH"), "{error}");
        }
    }
}
