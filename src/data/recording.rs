//! One file's rows as the reader of a format found them, made into a data set with the checks that all formats share.

use std::path::PathBuf;

use super::dataset::{Dataset, Interruptions, Source, matrix};
use super::ends::Ends;
use super::error::DataError;
use super::notes::Note;
use super::options::ReadOptions;
use super::settle::{Values, check_numbers, settle};
use super::suspicions;
use super::units::{ActionBounds, clip_note};

/// What the reader of a format found in one file, row-major, actions in the units of the file.
pub(super) struct Recording {
    pub(super) path: PathBuf,
    /// Hash of everything that was read.
    pub(super) sha256: String,
    /// Widths of observations and actions.
    pub(super) widths: (usize, usize),
    pub(super) observations: Vec<f32>,
    pub(super) actions: Vec<f32>,
    pub(super) rewards: Vec<f32>,
    pub(super) next_observations: Option<Vec<f32>>,
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
    /// Refuses numbers that are not finite, and notes those that are suspicious.
    fn check_values(&mut self) -> Result<(), DataError> {
        let (path, notes) = (&self.path, &mut self.notes);
        let (observation_dim, action_dim) = self.widths;
        check_numbers(
            path,
            "observations",
            &self.observations,
            observation_dim,
            notes,
        )?;
        check_numbers(path, "actions", &self.actions, action_dim, notes)?;
        check_numbers(path, "rewards", &self.rewards, 1, notes)?;
        if let Some(next) = &self.next_observations {
            check_numbers(path, "next_observations", next, observation_dim, notes)?;
        }
        Ok(())
    }

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
        self.check_values()?;
        let values = Values {
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
        let cut = |mut values: Vec<f32>, width: usize| {
            values.truncate(used * width);
            matrix(values, width)
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
}
