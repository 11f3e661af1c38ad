//! Data sets of files that were read one by one, put after one another.

use std::path::Path;

use super::dataset::{Dataset, Source};
use super::error::DataError;
use super::matrix::Matrix;
use super::notes::{Note, NoteKind};
use super::options::ReadOptions;
use super::read::hash_file;
use super::suspicions::{check_widths, duplicates};

/// Checks what the reader of a registered format gave, and names its source.
pub(super) fn whole(
    path: &Path,
    format: &'static str,
    mut found: Dataset,
    options: &ReadOptions,
) -> Result<Dataset, DataError> {
    let fault = |reason: String| DataError::Format {
        path: path.to_path_buf(),
        format,
        reason,
    };
    let rows = found.len();
    if rows == 0 {
        return Err(DataError::Empty {
            path: path.to_path_buf(),
        });
    }
    let next = found.next_observations.as_ref();
    let counts = [
        ("observations", found.observations.nrows()),
        ("actions", found.actions.nrows()),
        ("next_observations", next.map_or(rows, Matrix::nrows)),
        ("terminals", found.terminals.len()),
        ("timeouts", found.timeouts.len()),
    ];
    for (key, count) in counts {
        if count != rows {
            return Err(fault(format!(
                "its reader gave {rows} rewards and {count} rows of {key}"
            )));
        }
    }
    let values = found.observations.iter().chain(&found.actions);
    let mut values = values
        .chain(&found.rewards)
        .chain(next.into_iter().flatten());
    if let Some(value) = values.find(|value| !value.is_finite()) {
        return Err(fault(format!(
            "its reader gave the number {value}; expected finite ones"
        )));
    }
    if let Some(environment) = &options.environment {
        let widths = [found.observations.ncols(), found.actions.ncols()];
        check_widths(path, widths, environment)?;
    }
    if found.sources.is_empty() {
        found.sources.push(Source {
            path: path.to_path_buf(),
            sha256: hash_file(path)?,
            transitions: rows,
        });
    }
    Ok(found)
}

/// Puts data sets after one another; nothing reaches from one into the next.
///
/// # Errors
/// When widths differ, or some have `next_observations` and others have not.
pub(super) fn join(all: Vec<Dataset>, in_memory: usize) -> Result<Dataset, DataError> {
    let mut all = all.into_iter();
    let Some(mut joined) = all.next() else {
        return Err(DataError::Empty {
            path: "(no file given)".into(),
        });
    };
    for other in all {
        append(&mut joined, other, in_memory)?;
    }
    duplicates(&joined.sources, &mut joined.notes);
    Ok(joined)
}

fn append(joined: &mut Dataset, other: Dataset, in_memory: usize) -> Result<(), DataError> {
    let (first, path) = (path_of(joined), path_of(&other));
    let stack = |key: &str, above: &mut Matrix, below: &Matrix| {
        if above.ncols() == below.ncols() {
            return (above.append(below, in_memory))
                .map_err(|error| DataError::io(&path, "put into a scratch file", error));
        }
        Err(DataError::WrongShape {
            path: path.clone(),
            key: key.to_string(),
            expected: format!("[N, {}], as in {}", above.ncols(), first.display()),
            found: format!("{:?}", below.dim()),
            hint: " Hint: files of different environments do not concatenate.",
        })
    };
    let start = joined.len();
    match (&mut joined.next_observations, &other.next_observations) {
        (Some(above), Some(below)) => stack("next_observations", above, below)?,
        (None, None) => {}
        (Some(_), None) => {
            return Err(DataError::MixedNextObservations {
                with: first,
                without: path,
            });
        }
        (None, Some(_)) => {
            return Err(DataError::MixedNextObservations {
                with: path,
                without: first,
            });
        }
    }
    stack(
        "observations",
        &mut joined.observations,
        &other.observations,
    )?;
    stack("actions", &mut joined.actions, &other.actions)?;
    joined.rewards.extend(other.rewards);
    joined.terminals.extend(other.terminals);
    joined.timeouts.extend(other.timeouts);
    let shifted = |rows: Vec<usize>| rows.into_iter().map(move |row| start + row);
    let (own, others) = (&mut joined.interruptions, other.interruptions);
    own.no_transition.extend(shifted(others.no_transition));
    own.breaks.extend(shifted(others.breaks));
    joined.notes.extend(other.notes);
    if joined.action_bounds != other.action_bounds {
        let text =
            "its actions have other bounds than the first file's; each was scaled by its own";
        joined
            .notes
            .push(Note::new(NoteKind::Warning, &path, text, &[]));
    }
    if other.action_bounds.is_none() {
        joined.action_bounds = None;
    }
    joined.sources.extend(other.sources);
    Ok(())
}

fn path_of(dataset: &Dataset) -> std::path::PathBuf {
    let source = dataset.sources.first();
    source.map_or_else(|| "data".into(), |source| source.path.clone())
}
