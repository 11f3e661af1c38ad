//! The rows of one file once they are decoded: their ends completed, their successors and actions checked.

use std::path::Path;

use rayon::prelude::*;

use super::ends::{self, Ends};
use super::error::DataError;
use super::notes::{Note, NoteKind};
use super::options::ReadOptions;
use super::successors::Successors;
use super::suspicions;
use super::units::{ActionBounds, Units};

/// What one file gave besides its values; rows are counted from 0 in the file.
pub(super) struct Settled {
    pub(super) terminals: Vec<bool>,
    pub(super) timeouts: Vec<bool>,
    pub(super) no_transition: Vec<usize>,
    pub(super) breaks: Vec<usize>,
    pub(super) bounds: Option<ActionBounds>,
    pub(super) notes: Vec<Note>,
}

/// The values of one file, row-major, and what it says about them.
pub(super) struct Decoded<'a> {
    pub(super) path: &'a Path,
    /// The names in the file, for messages.
    pub(super) keys: &'a [String],
    /// Widths of observations and actions.
    pub(super) widths: (usize, usize),
    pub(super) observations: &'a [f32],
    pub(super) actions: &'a mut [f32],
    pub(super) rewards: &'a [f32],
    pub(super) next: Option<&'a [f32]>,
    pub(super) stated_bounds: Option<ActionBounds>,
}

/// Returns the timesteps after which the clock ended an episode, where that is known.
pub(super) fn horizon(options: &ReadOptions) -> Option<usize> {
    let own = (options.environment.as_ref()).map(|environment| environment.horizon);
    options.horizon.or(own)
}

/// Refuses values that are no finite numbers or cannot be meant, and points out those that look wrong.
pub(super) fn check_numbers(
    path: &Path,
    key: &str,
    values: &[f32],
    width: usize,
    notes: &mut Vec<Note>,
) -> Result<(), DataError> {
    match values.par_iter().position_first(|value| !value.is_finite()) {
        None => suspicions::extremes(path, key, values, width, notes),
        Some(position) => Err(DataError::NotFinite {
            path: path.to_path_buf(),
            key: key.to_string(),
            row: position / width,
            column: position % width,
            value: values[position],
        }),
    }
}

/// Completes the ends, finds rows whose successor is not what followed, and scales the actions to −1 … 1. The rows that
/// are used are the first `terminals.len()` of the result.
pub(super) fn settle(
    values: Decoded<'_>,
    mut ends: Ends,
    options: &ReadOptions,
    mut notes: Vec<Note>,
) -> Result<Settled, DataError> {
    let (observation_dim, action_dim) = values.widths;
    let used = cut_zeros(&values, &mut ends, &mut notes)?;
    let Decoded { path, keys, .. } = values;
    let observations = &values.observations[..used * observation_dim];
    let successors = values.next.map(|next| {
        let next = &next[..used * observation_dim];
        Successors::new(observations, next, observation_dim)
    });
    complete_ends(
        (path, keys),
        &mut ends,
        successors.as_ref(),
        options,
        &mut notes,
    )?;
    let (no_transition, breaks) = successors.map_or((Vec::new(), Vec::new()), |successors| {
        let lost = successors.reset_rows(path, &ends, &values.rewards[..used], &mut notes);
        let breaks = successors.contradictions(path, &ends, &lost, &mut notes);
        (lost, breaks)
    });
    let units = Units {
        path,
        action_dim,
        stated: values.stated_bounds,
        environment: options.environment.as_ref(),
    };
    let bounds = units.scale(&mut values.actions[..used * action_dim], &mut notes)?;
    Ok(Settled {
        terminals: ends.terminals,
        timeouts: ends.timeouts,
        no_transition,
        breaks,
        bounds,
        notes,
    })
}

/// Returns the number of rows before the zeros at the file's end, and cuts `ends` to them.
fn cut_zeros(
    values: &Decoded<'_>,
    ends: &mut Ends,
    notes: &mut Vec<Note>,
) -> Result<usize, DataError> {
    let used = suspicions::rows_used(
        values.path,
        values.observations,
        values.actions,
        values.rewards,
        ends,
        notes,
    );
    if used == 0 {
        return Err(DataError::Empty {
            path: values.path.to_path_buf(),
        });
    }
    ends.terminals.truncate(used);
    ends.timeouts.truncate(used);
    Ok(used)
}

/// Sets the ends that the file's flags do not tell, and refuses a file without any.
fn complete_ends(
    (path, keys): (&Path, &[String]),
    ends: &mut Ends,
    successors: Option<&Successors<'_>>,
    options: &ReadOptions,
    notes: &mut Vec<Note>,
) -> Result<(), DataError> {
    ends::settle_both(path, ends, options.both_flags, notes);
    if let Some(horizon) = options.horizon {
        let text = format!(
            "a timeout was set after every {horizon} timesteps without an end, as --horizon asks"
        );
        mark(path, horizon, text, ends, notes);
    }
    if let (false, Some(successors)) = (ends.told, successors) {
        successors.mark_breaks(path, ends, notes);
    }
    let none = !ends.terminals.iter().chain(&ends.timeouts).any(|&end| end);
    let untold = !ends.told && successors.is_none();
    match (&options.environment, options.horizon) {
        (Some(environment), None) if none || untold => {
            let text = format!(
                "no key tells where the clock ended: a timeout was set after every {} timesteps without an end, \
                 the horizon of {}",
                environment.horizon, environment.id
            );
            mark(path, environment.horizon, text, ends, notes);
        }
        (None, None) if untold && !none => {
            let text = "no key tells where the clock ended: only terminals end episodes. If the clock ended some, \
                        name the environment (--env) or the horizon (--horizon N)";
            notes.push(Note::new(NoteKind::Warning, path, text, &[]));
        }
        _ => {}
    }
    suspicions::check_ends(path, keys.to_vec(), ends, horizon(options))?;
    if let Some(environment) = &options.environment {
        suspicions::too_long(path, ends, environment, notes);
    }
    Ok(())
}

fn mark(path: &Path, horizon: usize, text: String, ends: &mut Ends, notes: &mut Vec<Note>) {
    let rows = ends::mark_every(horizon.max(1), &ends.terminals, &mut ends.timeouts);
    notes.push(Note::new(NoteKind::Understood, path, text, &rows));
}
