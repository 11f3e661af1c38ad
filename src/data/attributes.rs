//! The attributes at the top of an HDF5 file.

use std::collections::HashMap;
use std::path::Path;

use hdf5_pure::AttrValue;

use super::error::DataError;
use super::explain::explain;
use super::file::DataFile;
use super::units::ActionBounds;

/// Returns the text attributes at the top of a data file, sorted by name: what the recording
/// program said about environment, physics and recipe.
///
/// # Errors
/// Those of opening the file; attributes that are not one text each are left out.
pub fn read_attributes(path: &Path) -> Result<Vec<(String, String)>, DataError> {
    DataFile::open(path)?.texts()
}

impl DataFile {
    fn attributes(&self) -> Result<HashMap<String, AttrValue>, DataError> {
        let attributes = self.file.root().attrs();
        attributes.map_err(|error| explain(&self.path, "", &error))
    }

    /// Returns the text attributes at the top of the file, sorted by name.
    pub(super) fn texts(&self) -> Result<Vec<(String, String)>, DataError> {
        let mut pairs: Vec<(String, String)> = (self.attributes()?.iter())
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_string())))
            .collect();
        pairs.sort();
        Ok(pairs)
    }

    /// Returns the bounds of the actions that the file states: `action_bound`, or `action_low` and
    /// `action_high`, as one number or one per entry; or Minari's `action_space`.
    ///
    /// # Errors
    /// [`DataError::WrongShape`] where they are not finite, not ordered or not one per entry.
    pub(super) fn action_bounds(
        &self,
        action_dim: usize,
    ) -> Result<Option<ActionBounds>, DataError> {
        let attributes = self.attributes()?;
        let numbers = |name: &str| match attributes.get(name) {
            None => Ok(None),
            Some(value) => numbers(value)
                .map(Some)
                .ok_or_else(|| DataError::WrongType {
                    path: self.path.clone(),
                    key: format!("attribute {name}"),
                    expected: "numbers",
                    found: value.type_name().to_string(),
                }),
        };
        let negated = |values: Vec<f64>| values.into_iter().map(|value| -value).collect();
        let space = attributes.get("action_space").and_then(AttrValue::as_str);
        let (name, low, high) = match (numbers("action_low")?, numbers("action_high")?) {
            (Some(low), Some(high)) => ("action_low", low, high),
            (Some(alone), None) | (None, Some(alone)) => {
                return Err(DataError::WrongShape {
                    path: self.path.clone(),
                    key: "attributes action_low, action_high".to_string(),
                    expected: "both of them, or neither".to_string(),
                    found: format!("one alone, {alone:?}"),
                    hint: "",
                });
            }
            (None, None) => match (numbers("action_bound")?, space.and_then(box_space)) {
                (Some(high), _) => ("action_bound", negated(high.clone()), high),
                (None, Some((low, high))) => ("action_space", low, high),
                (None, None) => return Ok(None),
            },
        };
        bounds(
            &self.path,
            &format!("attribute {name}"),
            low,
            high,
            action_dim,
        )
        .map(Some)
    }
}

/// Returns the bounds of actions from numbers that a file states, one for all entries or one for each.
///
/// # Errors
/// [`DataError::WrongShape`] where they are not finite, not ordered or not one per entry.
pub(super) fn bounds(
    path: &Path,
    key: &str,
    low: Vec<f64>,
    high: Vec<f64>,
    action_dim: usize,
) -> Result<ActionBounds, DataError> {
    let spread = |values: &[f64]| -> Option<Vec<f32>> {
        let all = match *values {
            [one] => vec![one; action_dim],
            _ => values.to_vec(),
        };
        (all.len() == action_dim).then(|| all.iter().map(|&value| value as f32).collect())
    };
    if let (Some(low), Some(high)) = (spread(&low), spread(&high))
        && low
            .iter()
            .zip(&high)
            .all(|(low, high)| low.is_finite() && high.is_finite() && low < high)
    {
        return Ok(ActionBounds { low, high });
    }
    Err(DataError::WrongShape {
        path: path.to_path_buf(),
        key: key.to_string(),
        expected: format!("[1] or [{action_dim}], finite, the lower bound below the upper"),
        found: format!("{low:?} … {high:?}"),
        hint: "",
    })
}

/// Returns the numbers of an attribute, `None` for a text.
fn numbers(value: &AttrValue) -> Option<Vec<f64>> {
    Some(match value {
        AttrValue::F64(value) => vec![*value],
        AttrValue::F32(value) => vec![f64::from(*value)],
        AttrValue::I64(value) => vec![*value as f64],
        AttrValue::I32(value) => vec![f64::from(*value)],
        AttrValue::F64Array(values) => values.clone(),
        AttrValue::F32Array(values) => values.iter().map(|&value| f64::from(value)).collect(),
        AttrValue::I64Array(values) => values.iter().map(|&value| value as f64).collect(),
        _ => return None,
    })
}

/// Returns the bounds of a space that Gymnasium's serialisation calls a Box.
fn box_space(text: &str) -> Option<(Vec<f64>, Vec<f64>)> {
    let space: serde_json::Value = serde_json::from_str(text).ok()?;
    let side = |name: &str| -> Option<Vec<f64>> {
        space
            .get(name)?
            .as_array()?
            .iter()
            .map(serde_json::Value::as_f64)
            .collect()
    };
    Some((side("low")?, side("high")?))
}
