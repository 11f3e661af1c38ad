//! `--set key=value`: overrides of a config.

use toml::{Table, Value};

use super::algorithm;
use super::check::checked;
use super::critic::settle;
use super::keys::all_names;
use super::renamed::present_name;
use super::settings::Config;
use super::tables::slot;
use crate::error::{Error, nearest};

impl Config {
    /// Returns the config with `--set key=value` overrides (TOML values, dotted keys), checked.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown key (with the nearest), a value of the wrong type or a value outside its range;
    /// all values outside their ranges are named at once.
    pub fn with_overrides(self, overrides: &[String]) -> Result<Self, Error> {
        let mut table = Table::try_from(&self).map_err(|e| Error::Usage(e.to_string()))?;
        settle(&mut table, overrides).map_err(Error::Usage)?;
        algorithm::settle(&mut table, overrides).map_err(Error::Usage)?;
        override_all(&mut table, overrides)?;
        let origin = if overrides.is_empty() {
            self.preset
        } else {
            "--set".to_string()
        };
        checked(table, &origin)
    }
}

/// Applies overrides to a complete table.
///
/// # Errors
/// [`Error::Usage`] for an unknown key or a value of the wrong type; several are named at once.
pub fn override_all(table: &mut Table, overrides: &[String]) -> Result<(), Error> {
    let faults = override_faults(table, overrides);
    if faults.is_empty() {
        return Ok(());
    }
    Err(Error::Usage(faults.join("\n")))
}

/// Applies overrides to a complete table and returns what is wrong with them, one entry per fault.
pub(super) fn override_faults(table: &mut Table, overrides: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    for entry in overrides {
        match entry.split_once('=') {
            None => faults.push(format!(
                "--set {entry}: expected key=value, as in finetune.alpha_in_std=0.5"
            )),
            Some((key, text)) => {
                let (key, text) = (key.trim(), text.trim());
                let fault = other_critics(table, key).map_or_else(|| set(table, key, text), Err);
                faults.extend(fault.err());
            }
        }
    }
    faults
}

/// Says so where a key is another kind of critic's or another algorithm's.
fn other_critics(table: &Table, key: &str) -> Option<String> {
    let own = slot(table, "critic.kind").and_then(Value::as_str)?;
    if slot(table, key).is_some() || !all_names().iter().any(|name| name == key) {
        return None;
    }
    if key.starts_with("baseline.") {
        let own = slot(table, "algorithm").and_then(Value::as_str)?;
        return Some(format!(
            "--set {key}: the algorithm `{own}` has no such key"
        ));
    }
    Some(format!("--set {key}: the critic `{own}` has no such key"))
}

fn set(table: &mut Table, key: &str, text: &str) -> Result<(), String> {
    let (path, last) = key.rsplit_once('.').unwrap_or(("", key));
    let mut inner = table;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        known(inner, key, part)?;
        inner = match inner.get_mut(part) {
            Some(Value::Table(next)) => next,
            _ => {
                return Err(format!(
                    "--set {key}: `{part}` holds a plain value, no keys"
                ));
            }
        };
    }
    known(inner, key, last)?;
    let Some(old) = inner.get_mut(last) else {
        return Ok(());
    };
    let parsed: Table = toml::from_str(&format!("v = {text}"))
        .or_else(|_| toml::from_str(&format!("v = {text:?}")))
        .map_err(|e| format!("--set {key}={text}: {e}"))?;
    let mut new = parsed["v"].clone();
    if let (Value::Float(_), Value::Integer(i)) = (&*old, &new) {
        new = Value::Float(*i as f64);
    }
    if old.type_str() != new.type_str() {
        return Err(format!(
            "--set {key}={text}: expected a {}, found a {}",
            old.type_str(),
            new.type_str()
        ));
    }
    *old = new;
    Ok(())
}

fn known(table: &Table, key: &str, part: &str) -> Result<(), String> {
    if table.contains_key(part) {
        return Ok(());
    }
    if let Some(now) = present_name(key) {
        return Err(format!("--set {key}: no such key; it is `{now}` now"));
    }
    let hint = nearest(part, table.keys().map(String::as_str))
        .map_or(String::new(), |n| format!("; did you mean `{n}`?"));
    let keys: Vec<_> = table.keys().cloned().collect();
    Err(format!(
        "--set {key}: unknown key `{part}`{hint}\n  keys here: {}",
        keys.join(", ")
    ))
}
