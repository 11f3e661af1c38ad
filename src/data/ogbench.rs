//! OGBench's npz files: trajectories of T steps in T + 1 rows, and the rows that OGBench's loader makes of them.
//!
//! | layout | told by | rows of a trajectory | ends |
//! |---|---|---|---|
//! | published | neither of the two below | T + 1; `terminals` is 1 in the extra one | the row before it |
//! | compact | `valids` | T + 1; `valids` is 0 in the extra one | the row before it |
//! | regular | `next_observations` | T | `terminals` is 1 |
//!
//! A trajectory's end is the clock's. The task's ends are rows whose `masks` are 0, as single-task data sets have them. Reference:
//! Park et al., OGBench (arXiv 2410.20092), `ogbench/utils.py` and `relabel_utils.py`.

use std::path::Path;

use super::column::Column;
use super::dataset::Dataset;
use super::ends::Ends;
use super::error::DataError;
use super::faults::Faults;
use super::notes::{Note, NoteKind};
use super::npz::{Npz, is_npz};
use super::options::ReadOptions;
use super::read::hash_file;
use super::recording::Recording;

pub(super) const NAME: &str = "OGBench npz";

const NO_REWARDS: &str = "it holds no `rewards`: a data set of many goals. Hint: a single task has some; with Python, \
    `_, data, _ = ogbench.make_env_and_datasets('cube-single-play-singletask-v0')` (any name with -singletask), then \
    `numpy.savez('FILE.npz', **data)`";

/// Returns whether an npz has the marks of OGBench: `masks` or `valids`, or `terminals` without rewards.
pub(super) fn recognises(path: &Path, head: &[u8]) -> bool {
    is_npz(path, head)
        && Npz::open(path).is_ok_and(|npz| {
            let basic = ["observations", "actions", "terminals"]
                .iter()
                .all(|key| npz.holds(key));
            let marked = npz.holds("masks") || npz.holds("valids");
            basic && !npz.holds("timeouts") && (marked || !npz.holds("rewards"))
        })
}

/// Reads a file of OGBench's.
///
/// # Errors
/// [`DataError::Format`] without rewards and where rows do not fit each other, else as for D4RL's layout.
pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Dataset, DataError> {
    let (sha256, found) = rayon::join(|| hash_file(path), || recording(path, options.in_memory));
    let mut recording = found?;
    recording.sha256 = sha256?;
    recording.into_dataset(options)
}

fn recording(path: &Path, in_memory: usize) -> Result<Recording, DataError> {
    let (npz, format) = (Npz::open(path)?, NAME);
    let faults = Faults { path, format };
    if !npz.holds("rewards") {
        return Err(faults.of(NO_REWARDS));
    }
    let observations = npz.required("observations")?;
    let rows = observations.dim().0;
    let fitting = |key: &str, column: Column| match column.dim() {
        (found, _) if found == rows => Ok(column),
        _ => Err(faults.of(format!(
            "`{key}` has the shape {:?}; expected {rows} rows, as `observations` has",
            column.shape()
        ))),
    };
    let required = |key: &str| fitting(key, npz.required(key)?);
    let flags = |key: &str| -> Result<Option<Vec<bool>>, DataError> {
        let column = npz
            .column(key)?
            .map(|column| fitting(key, column))
            .transpose()?;
        column.map(|column| column.flags()).transpose()
    };
    let actions = required("actions")?;
    let widths = (observations.dim().1, actions.dim().1);
    check_kinds(&observations, &actions, &faults)?;
    let ended = required("terminals")?.flags()?;
    let next = npz
        .column("next_observations")?
        .map(|column| fitting("next_observations", column));
    let next = next.transpose()?;
    let valids = flags("valids")?;
    let masks = flags("masks")?;
    let mut recording = Recording {
        path: path.to_path_buf(),
        sha256: String::new(),
        widths,
        observations: observations.floats(in_memory)?,
        actions: actions.floats(in_memory)?,
        rewards: required("rewards")?.values()?,
        next_observations: next.map(|next| next.floats(in_memory)).transpose()?,
        ends: Ends {
            terminals: masks.iter().flatten().map(|mask| !mask).collect(),
            timeouts: ended.clone(),
            told: true,
        },
        stated_bounds: npz.action_bounds(widths.1)?,
        keys: npz.names.clone(),
        texts: Vec::new(),
        notes: Vec::new(),
    };
    recording.ends.terminals.resize(rows, false);
    if recording.next_observations.is_none() {
        let extra = valids.map_or(ended, |valids| valids.iter().map(|valid| !valid).collect());
        leave_out(&mut recording, &extra, &faults)?;
    }
    settle_masks(&mut recording, masks.is_some());
    Ok(recording)
}

/// Refuses pictures and discrete actions.
fn check_kinds(
    observations: &Column,
    actions: &Column,
    faults: &Faults<'_>,
) -> Result<(), DataError> {
    let whole = actions.is_whole();
    if !whole && observations.shape().len() == 2 && actions.dim().1 > 0 {
        return Ok(());
    }
    Err(faults.of(format!(
        "observations of shape {:?} and actions of shape {:?}{}; expected vectors of real numbers",
        observations.shape(),
        actions.shape(),
        if whole { ", whole numbers" } else { "" }
    )))
}

/// Leaves out the extra row of each trajectory, which becomes the successor of the row before it.
fn leave_out(
    recording: &mut Recording,
    extra: &[bool],
    faults: &Faults<'_>,
) -> Result<(), DataError> {
    if extra.last() != Some(&true) {
        return Err(faults.of("its last row is not the end of a trajectory: cut short?"));
    }
    if let Some(row) = (0..extra.len()).find(|&row| extra[row] && (row == 0 || extra[row - 1])) {
        return Err(faults.of(format!(
            "row {row} ends a trajectory without a step; expected one row more than steps in each trajectory"
        )));
    }
    let kept: Vec<usize> = (0..extra.len()).filter(|&row| !extra[row]).collect();
    let after: Vec<usize> = kept.iter().map(|row| row + 1).collect();
    let width = recording.widths.0;
    recording.next_observations = Some(recording.observations.gather(&after, width));
    recording.observations.compact(&kept, width);
    recording.actions.compact(&kept, recording.widths.1);
    recording.rewards = kept.iter().map(|&row| recording.rewards[row]).collect();
    recording.ends.timeouts = after.iter().map(|&row| extra[row]).collect();
    recording.ends.terminals = kept
        .iter()
        .map(|&row| recording.ends.terminals[row])
        .collect();
    let text = format!(
        "{} trajectories end in a row of their own, in which nothing was done: it is the successor of the row before it",
        extra.len() - kept.len()
    );
    recording
        .notes
        .push(Note::new(NoteKind::Understood, &recording.path, text, &[]));
    Ok(())
}

/// Says what the masks mean, and where they end an episode before the trajectory's end.
fn settle_masks(recording: &mut Recording, masked: bool) {
    let (path, ends) = (&recording.path, &mut recording.ends);
    if !masked {
        let text =
            "there are no `masks`: every trajectory's end is the clock's, and the task never ends";
        recording
            .notes
            .push(Note::new(NoteKind::Understood, path, text, &[]));
        return;
    }
    let within: Vec<usize> = (0..ends.terminals.len())
        .filter(|&row| ends.terminals[row] && !ends.timeouts[row])
        .collect();
    // The mask says that nothing is to be expected after the row, whatever ended the trajectory.
    (ends.timeouts.iter_mut().zip(&ends.terminals))
        .for_each(|(timeout, terminal)| *timeout &= !terminal);
    if !within.is_empty() {
        let text = "`masks` is 0 before the trajectory's end: the task ends there, and what follows counts as another episode";
        recording
            .notes
            .push(Note::new(NoteKind::Understood, path, text, &within));
    }
}
