//! Minari's layout: a folder with `metadata.json` and `main_data.hdf5`, in it one group per episode.
//!
//! An episode of L steps has L actions, rewards, terminations and truncations, and L + 1 observations; Dict and Tuple spaces are groups
//! of arrays, flattened as `spaces` says. Reference: Farama Foundation, Minari 0.5, `minari/dataset/_storages/hdf5_storage.py`.

use std::path::{Path, PathBuf};

use hdf5_pure::Group;
use serde_json::Value;

use super::column::{Column, floats, spread, zeros};
use super::dataset::Dataset;
use super::ends::Ends;
use super::error::DataError;
use super::faults::Faults;
use super::file::DataFile;
use super::notes::{Note, NoteKind};
use super::options::ReadOptions;
use super::read::hash_files;
use super::recording::Recording;
use super::spaces::{Leaf, leaves};
use super::units::ActionBounds;

/// The name of the format.
pub(super) const NAME: &str = "Minari";
/// What stands before the name of a data set in Minari's own folder.
const PREFIX: &str = "minari:";
pub(super) const METADATA: &str = "metadata.json";
pub(super) const MAIN: &str = "main_data.hdf5";

/// Returns the name of a data set in Minari's own folder, where a path is written `minari:NAME`.
pub fn minari_name(path: &Path) -> Option<&str> {
    path.to_str()?.strip_prefix(PREFIX)
}

/// Returns Minari's own folder: `MINARI_DATASETS_PATH`, or `~/.minari/datasets`.
///
/// # Errors
/// [`DataError::Format`] where neither that variable nor `HOME` is set.
pub fn minari_root() -> Result<PathBuf, DataError> {
    let own = std::env::var_os("MINARI_DATASETS_PATH").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".minari/datasets"));
    own.or_else(home).ok_or_else(|| {
        let (path, format) = (Path::new(PREFIX), NAME);
        let reason = "neither MINARI_DATASETS_PATH nor HOME says where Minari keeps its data";
        Faults { path, format }.of(reason)
    })
}

/// Returns the folder that `minari:NAME` stands for; other paths as they are.
///
/// # Errors
/// [`DataError::Format`] where there is no such folder.
pub(super) fn resolve(path: &Path) -> Result<PathBuf, DataError> {
    let Some(name) = minari_name(path) else {
        return Ok(path.to_path_buf());
    };
    let root = minari_root()?;
    let folder = root.join(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    Err(Faults { path, format: NAME }.of(format!(
        "it is not in Minari's folder {}. Hint: `minari download {name}` brings it there, `minari list local` lists what is",
        root.display()
    )))
}

/// Returns the folder that holds the two files: the path itself, its folder `data`, or the folder of the file `main_data.hdf5`.
fn folder(path: &Path) -> Option<PathBuf> {
    let inner = path.join("data");
    if path.is_dir() {
        let holds = |folder: &Path| folder.join(METADATA).is_file();
        return [path.to_path_buf(), inner]
            .into_iter()
            .find(|folder| holds(folder));
    }
    let parent = path.parent()?;
    (path.file_name()? == MAIN && parent.join(METADATA).is_file()).then(|| parent.to_path_buf())
}

/// Returns whether the path is a folder of Minari's, or the file in it.
pub(super) fn recognises(path: &Path, _head: &[u8]) -> bool {
    folder(path).is_some()
}

/// Reads a folder of Minari's.
///
/// # Errors
/// [`DataError::Format`] where the two files do not fit each other or hold no vectors, else as for D4RL's layout.
pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Dataset, DataError> {
    let faults = Faults { path, format: NAME };
    let folder = folder(path).ok_or_else(|| faults.of(format!("there is no {METADATA}")))?;
    let (metadata, main) = (folder.join(METADATA), folder.join(MAIN));
    let metadata = Metadata::read(&metadata, &faults)?;
    let (sha256, found) = rayon::join(
        || hash_files(&main, &[folder.join(METADATA)]),
        || Episodes::find(&main, &metadata, &faults)?.read(path, &metadata, options.in_memory),
    );
    let mut recording = found?;
    recording.sha256 = sha256?;
    recording.into_dataset(options)
}

/// What `metadata.json` says.
struct Metadata {
    observations: Vec<Leaf>,
    actions: Vec<Leaf>,
    episodes: usize,
    steps: usize,
    texts: Vec<(String, String)>,
}

impl Metadata {
    fn read(path: &Path, faults: &Faults<'_>) -> Result<Self, DataError> {
        let text = std::fs::read_to_string(path).map_err(|e| DataError::io(path, "read", e))?;
        let all: Value = serde_json::from_str(&text)
            .map_err(|error| faults.of(format!("{METADATA} is no JSON: {error}")))?;
        let text = |name: &str| all.get(name).and_then(Value::as_str);
        if text("data_format").is_some_and(|format| format != "hdf5") {
            return Err(faults.of(
                "its episodes are stored as Arrow; expected HDF5. Hint: create the data set with data_format=\"hdf5\"",
            ));
        }
        let space = |name: &str| {
            let text = text(name).ok_or_else(|| {
                faults.of(format!(
                    "{METADATA} has no `{name}`; expected the space that Minari ≥ 0.5 writes there"
                ))
            })?;
            leaves(text).map_err(|reason| faults.of(format!("`{name}` of {METADATA}: {reason}")))
        };
        let count = |name: &str| {
            let count = all.get(name).and_then(Value::as_u64);
            count
                .and_then(|count| usize::try_from(count).ok())
                .ok_or_else(|| faults.of(format!("{METADATA} has no number `{name}`")))
        };
        let env = text("env_spec").and_then(|spec| {
            let spec: Value = serde_json::from_str(spec).ok()?;
            Some(("env".to_string(), spec.get("id")?.as_str()?.to_string()))
        });
        Ok(Self {
            observations: space("observation_space")?,
            actions: space("action_space")?,
            episodes: count("total_episodes")?,
            steps: count("total_steps")?,
            texts: env.into_iter().collect(),
        })
    }
}

/// The arrays of all episodes, found and checked against each other, not yet decoded.
struct Episodes {
    all: Vec<Episode>,
}

struct Episode {
    steps: usize,
    observations: Vec<Column>,
    actions: Vec<Column>,
    rewards: Column,
    terminations: Column,
    truncations: Column,
}

impl Episodes {
    fn find(main: &Path, metadata: &Metadata, faults: &Faults<'_>) -> Result<Self, DataError> {
        let file = DataFile::open(main)?;
        let mut groups = file.groups()?;
        groups.retain(|name, _| name.starts_with("episode_"));
        if groups.len() != metadata.episodes {
            return Err(faults.of(format!(
                "{METADATA} says {} episodes, {MAIN} holds {}: is one of them from another copy, or cut short?",
                metadata.episodes,
                groups.len()
            )));
        }
        let episode = |index: usize| {
            let name = format!("episode_{index}");
            let group = groups.get(&name).ok_or_else(|| {
                faults.of(format!("expected the group `{name}` in {MAIN}, found none"))
            })?;
            Episode::find(&file, &name, group, metadata, faults)
        };
        let all = (0..metadata.episodes)
            .map(episode)
            .collect::<Result<Vec<_>, _>>()?;
        let steps: usize = all.iter().map(|episode| episode.steps).sum();
        if steps != metadata.steps {
            return Err(faults.of(format!(
                "{METADATA} says {} steps, the episodes of {MAIN} hold {steps}",
                metadata.steps
            )));
        }
        Ok(Self { all })
    }

    fn read(
        &self,
        path: &Path,
        metadata: &Metadata,
        in_memory: usize,
    ) -> Result<Recording, DataError> {
        let width = |leaves: &[Leaf]| leaves.iter().map(|leaf| leaf.width).sum::<usize>();
        let widths = (width(&metadata.observations), width(&metadata.actions));
        let rows = metadata.steps;
        let mut recording = Recording {
            path: path.to_path_buf(),
            sha256: String::new(),
            widths,
            observations: floats(path, "observations", rows, widths.0, in_memory)?,
            actions: floats(path, "actions", rows, widths.1, in_memory)?,
            rewards: zeros(path, "rewards", rows, 1)?,
            next_observations: Some(floats(
                path,
                "next_observations",
                rows,
                widths.0,
                in_memory,
            )?),
            ends: Ends {
                terminals: Vec::with_capacity(rows),
                timeouts: Vec::with_capacity(rows),
                told: true,
            },
            stated_bounds: stated(&Faults { path, format: NAME }, &metadata.actions)?,
            keys: vec!["episode_0/".to_string()],
            texts: metadata.texts.clone(),
            notes: Vec::new(),
        };
        note_order(
            path,
            "observations",
            &metadata.observations,
            &mut recording.notes,
        );
        note_order(path, "actions", &metadata.actions, &mut recording.notes);
        let mut start = 0;
        for episode in &self.all {
            episode.read(start, metadata, &mut recording)?;
            start += episode.steps;
        }
        self.settle_flags(&mut recording);
        Ok(recording)
    }

    /// Sees to it that an episode ends where its recording does, and says where flags tell otherwise.
    fn settle_flags(&self, recording: &mut Recording) {
        let (ends, mut start) = (&mut recording.ends, 0);
        let (mut untold, mut within) = (Vec::new(), Vec::new());
        for episode in &self.all {
            let last = start + episode.steps - 1;
            within.extend((start..last).filter(|&row| ends.terminals[row] || ends.timeouts[row]));
            if !ends.terminals[last] && !ends.timeouts[last] {
                ends.timeouts[last] = true;
                untold.push(last);
            }
            start = last + 1;
        }
        let path = &recording.path;
        if !untold.is_empty() {
            let text = "the last step of an episode has no flag: a timeout is set there";
            recording
                .notes
                .push(Note::new(NoteKind::Understood, path, text, &untold));
        }
        if !within.is_empty() {
            let text = "a flag is set before the last step of an episode: the episode ends there, and another begins";
            recording
                .notes
                .push(Note::new(NoteKind::Warning, path, text, &within));
        }
    }
}

/// Returns the bounds of the action space, where every entry has some.
fn stated(faults: &Faults<'_>, actions: &[Leaf]) -> Result<Option<ActionBounds>, DataError> {
    let side = |pick: fn(&Leaf) -> &[Option<f64>]| -> Option<Vec<f32>> {
        let all = actions.iter().flat_map(|leaf| pick(leaf).iter());
        all.map(|bound| bound.map(|bound| bound as f32)).collect()
    };
    let (Some(low), Some(high)) = (side(|leaf| &leaf.low), side(|leaf| &leaf.high)) else {
        return Ok(None);
    };
    if low.iter().zip(&high).all(|(low, high)| low < high) {
        return Ok(Some(ActionBounds { low, high }));
    }
    Err(faults.of(format!(
        "its action space goes from {low:?} to {high:?}; expected the lower bound below the upper"
    )))
}

/// Says in which order the arrays of a space became one vector, where there are several.
fn note_order(path: &Path, key: &str, leaves: &[Leaf], notes: &mut Vec<Note>) {
    if leaves.len() < 2 {
        return;
    }
    let mut at = 0;
    let parts: Vec<String> = leaves
        .iter()
        .map(|leaf| {
            at += leaf.width;
            format!(
                "{}–{} {}",
                at - leaf.width,
                at - 1,
                leaf.place.trim_start_matches('/')
            )
        })
        .collect();
    let text = format!("`{key}` flattened as Gymnasium does: {}", parts.join(", "));
    notes.push(Note::new(NoteKind::Understood, path, text, &[]));
}

impl Episode {
    fn find(
        file: &DataFile,
        name: &str,
        group: &Group,
        metadata: &Metadata,
        faults: &Faults<'_>,
    ) -> Result<Self, DataError> {
        let find = |key: &str| {
            let place = format!("{name}/{key}");
            let missing = || {
                faults.of(format!(
                    "expected the array `{place}` in {MAIN}, found none"
                ))
            };
            file.below(name, group, key)?.ok_or_else(missing)
        };
        let rewards = find("rewards")?;
        let steps = rewards.dim().0;
        let check = |column: Column, rows: usize, width: usize| {
            match column.dim() {
            found if found == (rows, width) && rows > 0 => Ok(column),
            _ => Err(faults.of(format!(
                "`{}` has the shape {:?}; expected {rows} rows of {width} numbers, as its episode has {steps} steps",
                column.key(),
                column.shape(),
            ))),
        }
        };
        let all = |key: &str, leaves: &[Leaf], rows: usize| {
            let leaf =
                |leaf: &Leaf| check(find(&format!("{key}{}", leaf.place))?, rows, leaf.width);
            leaves.iter().map(leaf).collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            steps,
            observations: all("observations", &metadata.observations, steps + 1)?,
            actions: all("actions", &metadata.actions, steps)?,
            rewards: check(rewards, steps, 1)?,
            terminations: check(find("terminations")?, steps, 1)?,
            truncations: check(find("truncations")?, steps, 1)?,
        })
    }

    /// Decodes the episode into the rows of `to` from `start` on.
    fn read(&self, start: usize, metadata: &Metadata, to: &mut Recording) -> Result<(), DataError> {
        let (observation_dim, action_dim) = to.widths;
        let rows = |width: usize| start * width..(start + self.steps) * width;
        let observations = &mut to.observations[rows(observation_dim)];
        let mut at = 0;
        for (column, leaf) in self.observations.iter().zip(&metadata.observations) {
            let values = column.values()?;
            spread(&values, leaf.width, at, observations, observation_dim);
            if let Some(next) = &mut to.next_observations {
                let next = &mut next[rows(observation_dim)];
                spread(&values[leaf.width..], leaf.width, at, next, observation_dim);
            }
            at += leaf.width;
        }
        let actions = &mut to.actions[rows(action_dim)];
        at = 0;
        for (column, leaf) in self.actions.iter().zip(&metadata.actions) {
            spread(&column.values()?, leaf.width, at, actions, action_dim);
            at += leaf.width;
        }
        self.rewards.read_into(&mut to.rewards[rows(1)])?;
        to.ends.terminals.extend(self.terminations.flags()?);
        to.ends.timeouts.extend(self.truncations.flags()?);
        Ok(())
    }
}
