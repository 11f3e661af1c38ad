//! One file of a data set: its columns found and checked against each other.

use std::path::{Path, PathBuf};

use super::column::{Column, floats, zeros};
use super::container::Container;
use super::ends::{self, Meaning, Name};
use super::error::DataError;
use super::notes::{Note, NoteKind};
use super::options::ReadOptions;
use super::scratch::Floats;
use super::suspicions;
use super::units::ActionBounds;

/// The columns of one file, found and checked against each other, not yet decoded.
pub(super) struct Plan {
    pub(super) path: PathBuf,
    pub(super) rows: usize,
    pub(super) observations: Column,
    pub(super) actions: Column,
    pub(super) rewards: Column,
    pub(super) next_observations: Option<Column>,
    pub(super) ends: Vec<(&'static Name, Column)>,
    pub(super) stated_bounds: Option<ActionBounds>,
    /// Other files into which links lead.
    pub(super) linked_files: Vec<PathBuf>,
    pub(super) keys: Vec<String>,
    pub(super) notes: Vec<Note>,
}

/// The values of all files, row-major.
pub(super) struct Arrays {
    pub(super) widths: (usize, usize),
    pub(super) observations: Floats,
    pub(super) actions: Floats,
    pub(super) rewards: Vec<f32>,
    pub(super) next_observations: Option<Floats>,
}

impl Arrays {
    pub(super) fn new(
        path: &Path,
        rows: usize,
        widths: (usize, usize),
        with_next_observations: bool,
        in_memory: usize,
    ) -> Result<Self, DataError> {
        let observations = floats(path, "observations", rows, widths.0, in_memory)?;
        let actions = floats(path, "actions", rows, widths.1, in_memory)?;
        let rewards = zeros(path, "rewards", rows, 1)?;
        let next_observations = with_next_observations
            .then(|| floats(path, "next_observations", rows, widths.0, in_memory))
            .transpose()?;
        Ok(Self {
            widths,
            observations,
            actions,
            rewards,
            next_observations,
        })
    }

    /// Keeps the first `rows` rows.
    pub(super) fn truncate(&mut self, rows: usize) {
        self.observations.truncate(rows * self.widths.0);
        self.actions.truncate(rows * self.widths.1);
        self.rewards.truncate(rows);
        if let Some(next_observations) = &mut self.next_observations {
            next_observations.truncate(rows * self.widths.0);
        }
    }
}

impl Plan {
    pub(super) fn new(path: &Path, options: &ReadOptions) -> Result<Self, DataError> {
        let file = Container::open(path)?;
        let observations = file.required("observations")?;
        let actions = file.required("actions")?;
        let mut plan = Self {
            path: path.to_path_buf(),
            stated_bounds: file.action_bounds(width(&actions))?,
            observations,
            actions,
            rewards: file.required("rewards")?,
            next_observations: file.optional("next_observations")?,
            ends: find_ends(&file)?,
            rows: 0,
            linked_files: Vec::new(),
            keys: file.names(),
            notes: Vec::new(),
        };
        plan.check_shapes()?;
        plan.note_links();
        plan.note_unread(&file);
        if let Some(environment) = &options.environment {
            let widths = [width(&plan.observations), width(&plan.actions)];
            suspicions::check_widths(path, widths, environment)?;
            suspicions::other_name(path, &file.texts()?, environment, &mut plan.notes);
        }
        Ok(plan)
    }

    fn columns(&self) -> impl Iterator<Item = &Column> {
        [&self.observations, &self.actions, &self.rewards]
            .into_iter()
            .chain(&self.next_observations)
            .chain(self.ends.iter().map(|(_, column)| column))
    }

    fn note_links(&mut self) {
        let mut linked = Vec::new();
        for column in self.columns() {
            if let Some(file) = &column.linked_file {
                let text = format!("`{}` is a link into {}", column.key(), file.display());
                linked.push((
                    file.clone(),
                    Note::new(NoteKind::Understood, &self.path, text, &[]),
                ));
            }
        }
        for (file, note) in linked {
            self.notes.push(note);
            if !self.linked_files.contains(&file) {
                self.linked_files.push(file);
            }
        }
    }

    /// Warns of arrays that may tell the ends where nothing else tells the clock's.
    fn note_unread(&mut self, file: &Container) {
        if self
            .ends
            .iter()
            .any(|(name, _)| name.meaning != Meaning::Terminal)
        {
            return;
        }
        for key in (file.keys().iter()).filter(|key| ends::sounds_like_ends(key)) {
            let text = format!(
                "`{key}` may tell where episodes end, but the name is not known and not read; see docs/data.md"
            );
            self.notes
                .push(Note::new(NoteKind::Warning, &self.path, text, &[]));
        }
    }

    fn check_shapes(&mut self) -> Result<(), DataError> {
        let &[rows, observation_dim @ (1..=u64::MAX)] = self.observations.shape() else {
            return Err(self.wrong_shape(&self.observations, "[N, observation_dim]".to_string()));
        };
        if rows == 0 {
            return Err(DataError::Empty {
                path: self.path.clone(),
            });
        }
        if !matches!(self.actions.shape(), &[found, 1..=u64::MAX] if found == rows) {
            return Err(self.wrong_shape(
                &self.actions,
                format!("[{rows}, action_dim], one row per row of `observations`"),
            ));
        }
        if let Some(next) = &self.next_observations
            && next.shape() != [rows, observation_dim]
        {
            return Err(self.wrong_shape(
                next,
                format!("[{rows}, {observation_dim}], as `observations`"),
            ));
        }
        for column in std::iter::once(&self.rewards).chain(self.flag_columns()) {
            if column.shape() != [rows] && column.shape() != [rows, 1] {
                return Err(self.wrong_shape(
                    column,
                    format!("[{rows}] or [{rows}, 1], one value per row of `observations`"),
                ));
            }
        }
        self.rows = usize::try_from(rows).map_err(|_| DataError::TooLarge {
            path: self.path.clone(),
            key: "observations".to_string(),
            wanted: rows,
            allowed: usize::MAX as u64,
        })?;
        Ok(())
    }

    fn flag_columns(&self) -> impl Iterator<Item = &Column> {
        let per_row = |(name, _): &&(&Name, Column)| name.meaning != Meaning::EndIndices;
        self.ends.iter().filter(per_row).map(|(_, column)| column)
    }

    pub(super) fn wrong_shape(&self, column: &Column, expected: String) -> DataError {
        let hint = match column.shape() {
            [_] => " Hint: with h5py, array.reshape(N, -1) makes it two-dimensional.",
            [] | [_, _] => " Hint: rows are timesteps; is one array cut short or transposed?",
            _ => " Hint: flatten everything but the first dimension.",
        };
        DataError::WrongShape {
            path: self.path.clone(),
            key: column.key().to_string(),
            expected,
            found: format!("{:?}", column.shape()),
            hint,
        }
    }

    pub(super) fn check_concatenates(&self, first: &Plan) -> Result<(), DataError> {
        let pairs = [
            (&self.observations, &first.observations),
            (&self.actions, &first.actions),
        ];
        for (column, model) in pairs {
            if width(column) != width(model) {
                return Err(DataError::WrongShape {
                    path: self.path.clone(),
                    key: column.key().to_string(),
                    expected: format!("[N, {}], as in {}", width(model), first.path.display()),
                    found: format!("{:?}", column.shape()),
                    hint: " Hint: files of different environments do not concatenate.",
                });
            }
        }
        match (&self.next_observations, &first.next_observations) {
            (Some(_), None) => Err(DataError::MixedNextObservations {
                with: self.path.clone(),
                without: first.path.clone(),
            }),
            (None, Some(_)) => Err(DataError::MixedNextObservations {
                with: first.path.clone(),
                without: self.path.clone(),
            }),
            _ => Ok(()),
        }
    }
}

/// Returns the arrays that say where episodes end, by any name that is understood.
fn find_ends(file: &Container) -> Result<Vec<(&'static Name, Column)>, DataError> {
    let keys = file.keys();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    (ends::known(file.path(), &keys, &file.names())?.into_iter())
        .map(|name| Ok((name, file.required(name.key)?)))
        .collect()
}

/// Number of values in a row of `column`.
pub(super) fn width(column: &Column) -> usize {
    column
        .shape()
        .get(1)
        .map_or(1, |&width| usize::try_from(width).unwrap_or(usize::MAX))
}
