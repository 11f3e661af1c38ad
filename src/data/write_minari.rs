//! Writing Minari's layout, so that a folder is either complete or not there.

use std::fs;
use std::path::{Path, PathBuf};

use hdf5_pure::{AttrValue, Datatype, FileBuilder, GroupBuilder};
use serde_json::json;

use super::dataset::Dataset;
use super::error::DataError;
use super::fragments::{Fragment, Last, fragments};
use super::matrix::Matrix;
use super::minari::{MAIN, METADATA};
use super::notes::Note;
use super::units::ActionBounds;
use super::write::{add_flags, add_numbers, bool_type, check, create_whole, finish};

/// The version of Minari whose layout this is; its later versions read it.
const VERSION: &str = "0.5.0";

/// Episodes and steps that were written, and what was said about them.
#[derive(Debug)]
pub struct Written {
    /// Episodes.
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
/// observation more than steps: what the data do not hold of that is in the notes. Memory: about one copy of the data set.
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
    let builder = build(path, dataset, &fragments)?;
    create_whole(&data.join(MAIN), |file| finish(builder, file))?;
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

fn build(path: &Path, dataset: &Dataset, fragments: &[Fragment]) -> Result<FileBuilder, DataError> {
    let (mut builder, flags) = (FileBuilder::new(), bool_type(path)?);
    for (index, fragment) in fragments.iter().enumerate() {
        let mut group = builder.create_group(&format!("episode_{index}"));
        fill(&mut group, dataset, fragment, &flags);
        group.set_attr("id", AttrValue::I64(index as i64));
        builder.add_group(group.finish());
    }
    Ok(builder)
}

fn fill(group: &mut GroupBuilder, dataset: &Dataset, fragment: &Fragment, flags: &Datatype) {
    let Fragment {
        rows,
        last,
        terminal,
    } = fragment.clone();
    let steps = rows.len();
    let of = |array: &Matrix| -> Vec<f32> {
        let width = array.ncols();
        array.values()[rows.start * width..rows.end * width].to_vec()
    };
    let mut observations = of(&dataset.observations);
    observations.extend(match (last, &dataset.next_observations) {
        (Last::Successor(row), Some(next)) => next.row(row),
        (Last::Successor(row) | Last::Observation(row), _) => dataset.observations.row(row),
    });
    let mut actions = of(&dataset.actions);
    if let Some(bounds) = &dataset.action_bounds {
        bounds.from_unit(&mut actions);
    }
    let at_end =
        |set: bool| -> Vec<bool> { (1..=steps).map(|step| set && step == steps).collect() };
    add_numbers(
        group.create_dataset("observations"),
        &observations,
        &[steps + 1, dataset.observations.ncols()],
    );
    add_numbers(
        group.create_dataset("actions"),
        &actions,
        &[steps, dataset.actions.ncols()],
    );
    add_numbers(
        group.create_dataset("rewards"),
        &dataset.rewards[rows],
        &[steps],
    );
    add_flags(
        group.create_dataset("terminations"),
        &at_end(terminal),
        flags,
    );
    add_flags(
        group.create_dataset("truncations"),
        &at_end(!terminal),
        flags,
    );
    group.set_attr("total_steps", AttrValue::I64(steps as i64));
}
