//! d3rlpy's HDF5 files: version 1 holds one array per quantity, version 2 one per quantity and episode.
//!
//! Version 2: the scalar `num_episodes`, and for episode i `observations_i` [L, observation_dim] (or a tuple, `observations_i_0`, … put
//! after one another), `actions_i`, `rewards_i` and the scalar `terminated_i`; the last row of an episode that is not terminated
//! was ended by the clock, and what was seen after it is not in the file. Reference: d3rlpy 2.8, `d3rlpy/dataset/io.py`.

use std::collections::HashMap;
use std::path::Path;

use hdf5_pure::Dataset as Stored;

use super::column::{Column, floats, spread, zeros};
use super::dataset::Dataset;
use super::ends::Ends;
use super::error::DataError;
use super::faults::Faults;
use super::file::DataFile;
use super::options::ReadOptions;
use super::read::{hash_file, read_arrays};
use super::recording::Recording;

pub(super) const VERSION_1: &str = "d3rlpy 1 HDF5";
pub(super) const VERSION_2: &str = "d3rlpy 2 HDF5";

/// Returns whether an HDF5 file has all of these names at its top.
fn holds(path: &Path, keys: &[&str]) -> bool {
    let is_hdf5 = hdf5_pure::is_hdf5(path).unwrap_or(false);
    is_hdf5 && DataFile::open(path).is_ok_and(|file| keys.iter().all(|key| file.holds(key)))
}

pub(super) fn recognises_1(path: &Path, _head: &[u8]) -> bool {
    holds(
        path,
        &["observations", "episode_terminals", "discrete_action"],
    )
}

pub(super) fn recognises_2(path: &Path, _head: &[u8]) -> bool {
    holds(path, &["columns", "num_episodes"])
}

const DISCRETE: &str =
    "its actions are whole numbers (a discrete action space); expected vectors of real numbers";

/// Reads a file of version 1.
///
/// # Errors
/// [`DataError::Format`] for discrete actions, else as for D4RL's layout.
pub(super) fn read_1(path: &Path, options: &ReadOptions) -> Result<Dataset, DataError> {
    let discrete = DataFile::open(path)?.required("discrete_action")?;
    if discrete.flags()?.contains(&true) {
        let format = VERSION_1;
        return Err(Faults { path, format }.of(DISCRETE));
    }
    read_arrays(&[path.to_path_buf()], options)
}

/// The arrays of a file that no episode has taken yet.
struct Arrays<'a> {
    file: &'a DataFile,
    found: HashMap<String, Stored>,
}

impl Arrays<'_> {
    fn take(&mut self, key: &str) -> Result<Column, DataError> {
        match self.found.remove(key) {
            Some(array) => self.file.column(key, array),
            // A link, or nothing: the error lists what there is.
            None => self.file.required(key),
        }
    }
}

/// One episode's arrays.
struct Episode {
    observations: Vec<Column>,
    actions: Column,
    rewards: Column,
    terminated: Column,
}

/// Reads a file of version 2.
///
/// # Errors
/// [`DataError::Format`] for discrete actions and arrays that do not fit each other, else as for D4RL's layout.
pub(super) fn read_2(path: &Path, options: &ReadOptions) -> Result<Dataset, DataError> {
    let (sha256, found) = rayon::join(|| hash_file(path), || recording(path, options.in_memory));
    let mut recording = found?;
    recording.sha256 = sha256?;
    recording.into_dataset(options)
}

/// Returns the arrays of all episodes, checked against each other.
fn episodes(file: &DataFile, faults: &Faults<'_>) -> Result<Vec<Episode>, DataError> {
    let count = file.required("num_episodes")?.values()?;
    let whole = |&count: &f32| (0.0..1e7).contains(&count) && count.fract() == 0.0;
    let count = count.first().filter(|count| whole(count));
    let count = *count.ok_or_else(|| faults.of("`num_episodes` is no number of episodes"))?;
    let mut arrays = Arrays {
        found: file.arrays()?,
        file,
    };
    let episodes = (0..count as usize)
        .map(|index| Episode::find(&mut arrays, index, faults))
        .collect::<Result<Vec<_>, _>>()?;
    let more = format!("rewards_{}", count as usize);
    if file.holds(&more) {
        return Err(faults.of(format!(
            "`num_episodes` says {count}, but there is `{more}` as well"
        )));
    }
    Ok(episodes)
}

fn recording(path: &Path, in_memory: usize) -> Result<Recording, DataError> {
    let (file, format) = (DataFile::open(path)?, VERSION_2);
    let faults = Faults { path, format };
    let episodes = episodes(&file, &faults)?;
    let Some(first) = episodes.first() else {
        return Err(DataError::Empty {
            path: path.to_path_buf(),
        });
    };
    let widths = first.widths();
    let odd = episodes
        .iter()
        .position(|episode| episode.widths() != widths);
    if let Some(index) = odd {
        return Err(faults.of(format!(
            "episode {index} has observations and actions of widths {:?}, the first episode {widths:?}",
            episodes[index].widths()
        )));
    }
    let rows = episodes.iter().map(Episode::steps).sum();
    let mut recording = Recording {
        path: path.to_path_buf(),
        sha256: String::new(),
        widths,
        observations: floats(path, "observations", rows, widths.0, in_memory)?,
        actions: floats(path, "actions", rows, widths.1, in_memory)?,
        rewards: zeros(path, "rewards", rows, 1)?,
        next_observations: None,
        ends: Ends {
            terminals: vec![false; rows],
            timeouts: vec![false; rows],
            told: true,
        },
        stated_bounds: None,
        keys: vec!["columns".into(), "num_episodes".into(), "…_0".into()],
        texts: Vec::new(),
        notes: Vec::new(),
    };
    let mut start = 0;
    for episode in &episodes {
        episode.read(start, &mut recording)?;
        start += episode.steps();
    }
    Ok(recording)
}

impl Episode {
    fn find(from: &mut Arrays<'_>, index: usize, faults: &Faults<'_>) -> Result<Self, DataError> {
        let part = |part: usize| format!("observations_{index}_{part}");
        let parts = (0..).take_while(|&number| from.found.contains_key(&part(number)));
        let keys: Vec<String> = match parts.count() {
            0 => vec![format!("observations_{index}")],
            parts => (0..parts).map(part).collect(),
        };
        let observations = (keys.iter())
            .map(|key| from.take(key))
            .collect::<Result<Vec<_>, _>>()?;
        let mut take = |key: &str| from.take(&format!("{key}_{index}"));
        let (actions, rewards) = (take("actions")?, take("rewards")?);
        if actions.is_whole() {
            return Err(faults.of(DISCRETE));
        }
        let (steps, width) = rewards.dim();
        let fits = |column: &Column| column.dim().0 == steps && column.dim().1 > 0 && width == 1;
        let odd = (observations.iter().chain([&actions])).find(|column| !fits(column));
        if let Some(odd) = odd {
            return Err(faults.of(format!(
                "`{}` has the shape {:?} and `{}` {:?}; expected as many rows of both, and one reward a row",
                odd.key(),
                odd.shape(),
                rewards.key(),
                rewards.shape()
            )));
        }
        Ok(Self {
            observations,
            actions,
            rewards,
            terminated: take("terminated")?,
        })
    }

    fn steps(&self) -> usize {
        self.rewards.dim().0
    }

    fn widths(&self) -> (usize, usize) {
        let widths = self.observations.iter().map(|column| column.dim().1);
        (widths.sum(), self.actions.dim().1)
    }

    fn read(&self, start: usize, to: &mut Recording) -> Result<(), DataError> {
        let rows = |width: usize| start * width..(start + self.steps()) * width;
        let observations = &mut to.observations[rows(to.widths.0)];
        let mut at = 0;
        for column in &self.observations {
            let (values, width) = (column.values()?, column.dim().1);
            spread(&values, width, at, observations, to.widths.0);
            at += width;
        }
        self.actions.read_into(&mut to.actions[rows(to.widths.1)])?;
        self.rewards.read_into(&mut to.rewards[rows(1)])?;
        let terminated = self.terminated.flags()?.contains(&true);
        if let Some(last) = (start + self.steps())
            .checked_sub(1)
            .filter(|_| self.steps() > 0)
        {
            to.ends.terminals[last] = terminated;
            to.ends.timeouts[last] = !terminated;
        }
        Ok(())
    }
}
