//! Writing Minari's layout, so that a folder is either complete or not there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::dataset::Dataset;
use super::error::DataError;
use super::fragments::{Fragment, Last, fragments};
use super::hdf5_messages::{Attribute, Element};
use super::hdf5_writer::{Hdf5Writer, Member};
use super::minari::{MAIN, METADATA};
use super::notes::Note;
use super::units::ActionBounds;
use super::write::{check, create_whole, numbers};

/// The version of Minari whose layout this is; its later versions read it.
const VERSION: &str = "0.5.0";

/// Episodes and steps that were written, and what was said about them.
#[derive(Debug)]
pub struct Written {
    /// Number of episodes.
    pub episodes: usize,
    /// Steps of all of them.
    pub steps: usize,
    /// What the layout cannot hold.
    pub notes: Vec<Note>,
}

/// Writes `dataset` to a new folder at `path`, which gets `data/main_data.hdf5` and `data/metadata.json` as Minari 0.5 writes them.
///
/// `id` is its name as `minari.load_dataset` takes it, `description` a text for `minari show`. Actions are in the units of the file
/// that they came from, and their bounds are those of the action space; observations are a Box without bounds. An episode has one
/// observation more than steps: what the data do not hold of that is in the notes. Memory: as of [`write`](super::write()).
///
/// # Errors
/// As [`write`](super::write()); nothing is left behind.
pub fn write_minari(
    path: &Path,
    id: &str,
    dataset: &Dataset,
    description: &str,
) -> Result<Written, DataError> {
    check(path, dataset)?;
    if path.symlink_metadata().is_ok() {
        return Err(DataError::Exists {
            path: path.to_path_buf(),
        });
    }
    let (fragments, notes) = fragments(dataset);
    let written = Written {
        episodes: fragments.len(),
        steps: fragments.iter().map(|fragment| fragment.rows.len()).sum(),
        notes,
    };
    if fragments.is_empty() {
        return Err(DataError::Empty {
            path: path.to_path_buf(),
        });
    }
    let part = Part::beside(path)?;
    let data = part.0.join("data");
    fs::create_dir_all(&data).map_err(|source| DataError::io(&data, "create", source))?;
    create_whole(&data.join(MAIN), |file| fill(file, dataset, &fragments))?;
    let size = fs::metadata(data.join(MAIN)).map_or(0, |metadata| metadata.len());
    let metadata = json!({
        "total_episodes": written.episodes,
        "total_steps": written.steps,
        "data_format": "hdf5",
        "jpeg_encoding": true,
        "observation_space": space(dataset.observations.ncols(), None),
        "action_space": space(dataset.actions.ncols(), dataset.action_bounds.as_ref()),
        "dataset_id": id,
        "minari_version": VERSION,
        "description": description,
        "dataset_size": (size as f64 / 1e5).round() / 10.0,
    });
    create_whole(&data.join(METADATA), |file| {
        serde_json::to_writer(file, &metadata).map_err(Into::into)
    })?;
    fs::rename(&part.0, path).map_err(|source| DataError::io(path, "name", source))?;
    Ok(written)
}

/// A folder that is removed when dropped, unless it got another name.
struct Part(PathBuf);

impl Part {
    fn beside(path: &Path) -> Result<Self, DataError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let part = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
        // Left by a process of the same number that was killed.
        let _ = fs::remove_dir_all(&part);
        fs::create_dir_all(&part).map_err(|source| DataError::io(&part, "create", source))?;
        Ok(Self(part))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A Box of numbers as Minari writes it: JSON with Python's infinities.
fn space(width: usize, bounds: Option<&ActionBounds>) -> String {
    let side = |values: Option<&Vec<f32>>, free: &str| match values {
        Some(values) => format!("{values:?}"),
        None => format!("[{}]", vec![free; width].join(", ")),
    };
    format!(
        "{{\"type\": \"Box\", \"dtype\": \"float32\", \"shape\": [{width}], \"low\": {}, \"high\": {}}}",
        side(bounds.map(|bounds| &bounds.low), "-Infinity"),
        side(bounds.map(|bounds| &bounds.high), "Infinity")
    )
}

fn fill(file: &mut fs::File, dataset: &Dataset, fragments: &[Fragment]) -> io::Result<()> {
    let mut out = Hdf5Writer::new(file)?;
    let mut groups = Vec::with_capacity(fragments.len());
    for (index, fragment) in fragments.iter().enumerate() {
        let members = episode(&mut out, dataset, fragment)?;
        let attributes = [("total_steps", fragment.rows.len()), ("id", index)];
        let attributes = attributes.map(|(name, n)| (name.into(), Attribute::Integer(n as i64)));
        let group = out.group(members, &attributes)?;
        groups.push((format!("episode_{index}"), group));
    }
    let root = out.group(groups, &[])?;
    out.finish(root)
}

/// Writes the arrays of an episode.
fn episode(
    out: &mut Hdf5Writer,
    dataset: &Dataset,
    fragment: &Fragment,
) -> io::Result<Vec<Member>> {
    let (start, steps) = (fragment.rows.start, fragment.rows.len());
    let last = match (fragment.last, &dataset.next_observations) {
        (Last::Successor(row), Some(next)) => next.row(row),
        (Last::Successor(row) | Last::Observation(row), _) => dataset.observations.row(row),
    };
    let width = dataset.observations.ncols();
    let observations = out.dataset(Element::Number, &[steps + 1, width], &|rows| {
        let own = (start + rows.start) * width..(start + rows.end.min(steps)) * width;
        let mut bytes = numbers(&dataset.observations.values()[own], None);
        if rows.end > steps {
            bytes.extend(last.iter().flat_map(|value| value.to_le_bytes()));
        }
        bytes
    })?;
    let width = dataset.actions.ncols();
    let actions = out.dataset(Element::Number, &[steps, width], &|rows| {
        let own = (start + rows.start) * width..(start + rows.end) * width;
        numbers(
            &dataset.actions.values()[own],
            dataset.action_bounds.as_ref(),
        )
    })?;
    let rewards = out.dataset(Element::Number, &[steps], &|rows| {
        numbers(&dataset.rewards[start + rows.start..start + rows.end], None)
    })?;
    let mut at_end = |set: bool| {
        out.dataset(Element::Flag, &[steps], &|rows| {
            rows.map(|row| u8::from(set && row + 1 == steps)).collect()
        })
    };
    let (terminations, truncations) = (at_end(fragment.terminal)?, at_end(!fragment.terminal)?);
    let members = [
        ("observations", observations),
        ("actions", actions),
        ("rewards", rewards),
        ("terminations", terminations),
        ("truncations", truncations),
    ];
    Ok(members.map(|(name, at)| (name.to_string(), at)).to_vec())
}
