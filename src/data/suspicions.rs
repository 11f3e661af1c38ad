//! What looks wrong in a file that can be read.

use std::path::Path;

use rayon::prelude::*;

use super::dataset::Source;
use super::ends::Ends;
use super::error::DataError;
use super::notes::{Note, NoteKind};
use super::options::Environment;

/// No quantity of a control task is as large: fill values (1e30, 9.97e36) and lost exponents are.
const LARGEST_MEANT: f32 = 1e15;
/// A value this many times as large as nearly all (99 %) of its column is pointed out.
const OUTLIER: f32 = 1e6;
/// Values of a column that are looked at to tell what is usual.
const SAMPLED: usize = 4096;
/// Rows of zeros at the end that cannot be by chance.
const LEAST_ZERO_ROWS: usize = 2;

/// Returns the number of rows before the zeros at the end, which an array made in advance leaves there.
pub(super) fn rows_used(
    path: &Path,
    observations: &[f32],
    actions: &[f32],
    rewards: &[f32],
    ends: &Ends,
    notes: &mut Vec<Note>,
) -> usize {
    let rows = rewards.len();
    let (observation_dim, action_dim) = (observations.len() / rows, actions.len() / rows);
    let zeros = |values: &[f32], width: usize, row: usize| {
        values[row * width..(row + 1) * width]
            .iter()
            .all(|&value| value == 0.0)
    };
    let is_empty = |row: usize| {
        zeros(observations, observation_dim, row)
            && zeros(actions, action_dim, row)
            && rewards[row] == 0.0
            && !ends.terminals[row]
            && !ends.timeouts[row]
    };
    let used = (0..rows)
        .rev()
        .find(|&row| !is_empty(row))
        .map_or(0, |row| row + 1);
    if rows - used < LEAST_ZERO_ROWS {
        return rows;
    }
    let text = "the file ends in rows of zeros (arrays made in advance and never filled): left out";
    notes.push(Note::new(
        NoteKind::Dropped,
        path,
        text,
        &(used..rows).collect::<Vec<_>>(),
    ));
    used
}

/// Points out values that are far from all others of their column, and refuses those that cannot be meant.
pub(super) fn extremes(
    path: &Path,
    key: &str,
    values: &[f32],
    width: usize,
    notes: &mut Vec<Note>,
) -> Result<(), DataError> {
    if let Some(position) = values
        .par_iter()
        .position_first(|value| value.abs() > LARGEST_MEANT)
    {
        return Err(DataError::Absurd {
            path: path.to_path_buf(),
            key: key.to_string(),
            row: position / width,
            column: position % width,
            value: values[position],
        });
    }
    let limits: Vec<f32> = (usual(values, width).iter())
        .map(|usual| usual * OUTLIER)
        .collect();
    let rows: Vec<usize> = (values.par_chunks_exact(width).enumerate())
        .filter(|(_, row)| {
            row.iter()
                .zip(&limits)
                .any(|(value, limit)| value.abs() > *limit)
        })
        .map(|(row, _)| row)
        .collect();
    if let Some(&row) = rows.first() {
        let values = &values[row * width..(row + 1) * width];
        let column = (0..width).find(|&column| values[column].abs() > limits[column]);
        let column = column.unwrap_or(0);
        let text = format!(
            "`{key}` holds values a million times as large as usual, {:e} in column {column} first: is it a fill value?",
            values[column]
        );
        notes.push(Note::new(NoteKind::Warning, path, text, &rows));
    }
    Ok(())
}

/// Returns for each column the size below which 99 % of its values lie, at least 1e-3.
fn usual(values: &[f32], width: usize) -> Vec<f32> {
    let stride = (values.len() / width / SAMPLED).max(1);
    // The rows are visited once: they may lie on a disk.
    let sampled: Vec<&[f32]> = values.chunks_exact(width).step_by(stride).collect();
    let sampled = sampled.concat();
    let column = |column: usize| {
        let sizes = sampled.iter().skip(column).step_by(width);
        let mut sizes: Vec<f32> = sizes.map(|value| value.abs()).collect();
        sizes.sort_by(f32::total_cmp);
        let place = (sizes.len() * 99 / 100).min(sizes.len().saturating_sub(2));
        sizes.get(place).map_or(1e-3, |size| size.max(1e-3))
    };
    (0..width).map(column).collect()
}

/// Warns where an episode is longer than the environment's clock allows: an end is missing.
pub(super) fn too_long(path: &Path, ends: &Ends, environment: &Environment, notes: &mut Vec<Note>) {
    let (mut start, mut longest, mut rows) = (0, 0, Vec::new());
    for row in 0..ends.terminals.len() {
        if ends.terminals[row] || ends.timeouts[row] || row + 1 == ends.terminals.len() {
            let length = row + 1 - start;
            longest = longest.max(length);
            if length > environment.horizon {
                rows.push(start);
            }
            start = row + 1;
        }
    }
    if !rows.is_empty() {
        let text = format!(
            "episodes are longer than {}'s horizon of {} (the longest has {longest} timesteps): an end is missing, or \
             they were recorded with another horizon; they begin in",
            environment.id, environment.horizon
        );
        notes.push(Note::new(NoteKind::Warning, path, text, &rows));
    }
}

/// Warns where the file says that it is another environment's.
pub(super) fn other_name(
    path: &Path,
    attributes: &[(String, String)],
    environment: &Environment,
    notes: &mut Vec<Note>,
) {
    let names = ["env", "env_id", "env_name", "environment"];
    for (key, value) in attributes {
        if names.contains(&key.to_lowercase().as_str())
            && !value.eq_ignore_ascii_case(&environment.id)
        {
            let text = format!(
                "the file says {key} = {value}, and is read for {}: rewards, ends and observations may differ",
                environment.id
            );
            notes.push(Note::new(NoteKind::Warning, path, text, &[]));
        }
    }
}

/// Refuses widths that are not the environment's, and names a sibling that has them.
pub(super) fn check_widths(
    path: &Path,
    found: [usize; 2],
    environment: &Environment,
) -> Result<(), DataError> {
    let expected = [environment.observation_dim, environment.action_dim];
    if found == expected {
        return Ok(());
    }
    Err(DataError::OtherEnvironment {
        path: path.to_path_buf(),
        environment: environment.id.clone(),
        expected,
        found,
        sibling: sibling(&environment.id, found),
    })
}

/// Widths of environments whose robot is a model of the user's, as Gymnasium's documentation gives them.
const NOT_BUILT_IN: [(&str, [usize; 2]); 6] = [
    ("ant-v4", [27, 8]),
    ("ant-v5", [105, 8]),
    ("humanoid-v4", [376, 17]),
    ("humanoid-v5", [348, 17]),
    ("ant-v2 with contact forces", [111, 8]),
    ("pusher-v4", [23, 7]),
];

/// Returns another version of the environment whose observations and actions have these widths.
fn sibling(id: &str, widths: [usize; 2]) -> Option<String> {
    let family = |id: &str| id.split_once("-v").map_or(id, |(name, _)| name).to_string();
    let built_in = tiltrl_envs::ids()
        .into_iter()
        .filter(|other| family(other) == family(id));
    let fits = |other: &&str| {
        tiltrl_envs::spec_of(other)
            .is_ok_and(|spec| [spec.observation_dim, spec.action_dim] == widths)
    };
    let others = NOT_BUILT_IN
        .iter()
        .filter(|(other, dims)| family(other) == family(id) && *dims == widths);
    (built_in.into_iter().find(fits).map(str::to_string))
        .or_else(|| others.map(|(other, _)| (*other).to_string()).next())
}

/// Warns of files that are byte for byte the same.
pub(super) fn duplicates(sources: &[Source], notes: &mut Vec<Note>) {
    for (place, source) in sources.iter().enumerate() {
        if let Some(first) = sources[..place]
            .iter()
            .find(|first| first.sha256 == source.sha256)
        {
            let text = format!(
                "the same file as {} byte for byte: all of its {} rows count twice",
                first.path.display(),
                source.transitions
            );
            notes.push(Note::new(NoteKind::Warning, &source.path, text, &[]));
        }
    }
}

/// Refuses a data set without a single complete episode.
pub(super) fn check_ends(
    path: &Path,
    keys: Vec<String>,
    ends: &Ends,
    horizon: Option<usize>,
) -> Result<(), DataError> {
    if ends.terminals.iter().chain(&ends.timeouts).any(|&end| end) {
        return Ok(());
    }
    Err(DataError::NoEnds {
        path: path.to_path_buf(),
        keys,
        rows: ends.terminals.len(),
        horizon,
    })
}
