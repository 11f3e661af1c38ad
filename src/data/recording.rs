//! One file's rows as the reader of a format found them, made into a data set with the checks that all formats share.

use std::path::PathBuf;

use super::dataset::{Dataset, Interruptions, Source};
use super::ends::Ends;
use super::error::DataError;
use super::matrix::Matrix;
use super::notes::Note;
use super::options::ReadOptions;
use super::scratch::Floats;
use super::settle::{Decoded, check_numbers, settle};
use super::suspicions;
use super::units::{ActionBounds, clip_note};

/// What the reader of a format found in one file, row-major, actions in the units of the file.
pub(super) struct Recording {
    pub(super) path: PathBuf,
    /// Hash of everything that was read.
    pub(super) sha256: String,
    /// Widths of observations and actions.
    pub(super) widths: (usize, usize),
    pub(super) observations: Floats,
    pub(super) actions: Floats,
    pub(super) rewards: Vec<f32>,
    pub(super) next_observations: Option<Floats>,
    pub(super) ends: Ends,
    /// Bounds of the actions that the file states.
    pub(super) stated_bounds: Option<ActionBounds>,
    /// The names in the file, for messages.
    pub(super) keys: Vec<String>,
    /// What the file says of itself, as the environment's name.
    pub(super) texts: Vec<(String, String)>,
    pub(super) notes: Vec<Note>,
}

impl Recording {
    /// Returns the data set, its values checked, its ends completed and its actions scaled to −1 … 1.
    ///
    /// # Errors
    /// Those of a file in D4RL's layout with the same rows.
    pub(super) fn into_dataset(mut self, options: &ReadOptions) -> Result<Dataset, DataError> {
        let (path, (observation_dim, action_dim)) = (self.path.clone(), self.widths);
        if self.rewards.is_empty() {
            return Err(DataError::Empty { path });
        }
        if let Some(environment) = &options.environment {
            suspicions::check_widths(&path, [observation_dim, action_dim], environment)?;
            suspicions::other_name(&path, &self.texts, environment, &mut self.notes);
        }
        self.check()?;
        let values = Decoded {
            path: &path,
            keys: &self.keys,
            widths: self.widths,
            observations: &self.observations,
            actions: &mut self.actions,
            rewards: &self.rewards,
            next: self.next_observations.as_deref(),
            stated_bounds: self.stated_bounds,
        };
        let rows = settle(values, self.ends, options, self.notes)?;
        let used = rows.terminals.len();
        let cut = |mut values: Floats, width: usize| {
            values.truncate(used * width);
            Matrix::new(values, width)
        };
        let actions = cut(self.actions, action_dim);
        let mut notes = rows.notes;
        notes.extend(clip_note(&actions).filter(|_| rows.bounds.is_some()));
        self.rewards.truncate(used);
        Ok(Dataset {
            observations: cut(self.observations, observation_dim),
            actions,
            rewards: self.rewards,
            next_observations: (self.next_observations).map(|values| cut(values, observation_dim)),
            terminals: rows.terminals,
            timeouts: rows.timeouts,
            sources: vec![Source {
                path,
                sha256: self.sha256,
                transitions: used,
            }],
            action_bounds: rows.bounds,
            interruptions: Interruptions {
                no_transition: rows.no_transition,
                breaks: rows.breaks,
            },
            notes,
        })
    }

    /// Refuses values that are no finite numbers or cannot be meant.
    fn check(&mut self) -> Result<(), DataError> {
        let next = self.next_observations.as_deref().unwrap_or_default();
        for (key, values, width) in [
            ("observations", &*self.observations, self.widths.0),
            ("actions", &*self.actions, self.widths.1),
            ("rewards", &self.rewards, 1),
            ("next_observations", next, self.widths.0),
        ] {
            check_numbers(&self.path, key, values, width, &mut self.notes)?;
        }
        Ok(())
    }
}
