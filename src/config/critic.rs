//! The critic's part of a config: the name of a kind, and that kind's own settings.

use serde::{Deserialize, Serialize};
use serde_json::Map;
use tiltrl_policies::agent::CriticKind;
use toml::{Table, Value};

use crate::error::{Error, nearest};

/// Which critic, and its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CriticConfig {
    /// Name of the kind.
    pub kind: String,
    /// Keys of that kind, as its table of settings names them.
    #[serde(flatten)]
    pub settings: Table,
}

impl CriticConfig {
    /// Returns the kind.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown name, with the nearest.
    pub fn kind(&self) -> Result<CriticKind, Error> {
        named(&self.kind).map_err(Error::Usage)
    }

    /// Returns the settings as the critic reads them.
    pub fn values(&self) -> Map<String, serde_json::Value> {
        match serde_json::to_value(&self.settings) {
            Ok(serde_json::Value::Object(map)) => map,
            _ => Map::new(),
        }
    }

    /// Returns a setting that is a number; NaN where there is none.
    pub fn number(&self, key: &str) -> f64 {
        match self.settings.get(key) {
            Some(Value::Float(x)) => *x,
            Some(Value::Integer(i)) => *i as f64,
            _ => f64::NAN,
        }
    }

    /// Returns the discount γ, which every critic has.
    pub fn discount(&self) -> f64 {
        self.number("discount")
    }
}

fn named(name: &str) -> Result<CriticKind, String> {
    let known = CriticKind::all();
    let found = known.iter().find(|k| k.name == name).copied();
    found.ok_or_else(|| {
        let all: Vec<&str> = known.iter().map(|k| k.name).collect();
        let hint = nearest(name, all.iter().copied())
            .map_or(String::new(), |n| format!("; did you mean `{n}`?"));
        format!(
            "critic.kind: unknown critic `{name}`{hint}\n  critics: {}",
            all.join(", ")
        )
    })
}

/// Returns the kind of critic that a table names.
pub(super) fn kind_of(table: &Table) -> Result<CriticKind, String> {
    let critic = table.get("critic").and_then(Value::as_table);
    match critic.and_then(|c| c.get("kind")) {
        Some(Value::String(name)) => named(name),
        Some(other) => Err(format!("critic.kind: expected text, found {other}")),
        None => Err("critic.kind: missing; expected the name of a critic".into()),
    }
}

/// Takes from a lower file's critic the keys that the kind which an upper file chooses does not have.
pub(super) fn make_way(lower: &mut Table, upper: &Table) -> Result<(), String> {
    let chosen = upper.get("critic").and_then(|critic| critic.get("kind"));
    if chosen.is_none() {
        return Ok(());
    }
    let kind = kind_of(upper)?;
    if let Some(Value::Table(critic)) = lower.get_mut("critic") {
        keep_own(critic, &kind);
    }
    Ok(())
}

fn keep_own(critic: &mut Table, kind: &CriticKind) {
    let own: Vec<&str> = (kind.settings)().iter().map(|s| s.key).collect();
    critic.retain(|key, _| key == "kind" || own.contains(&key));
}

/// Gives the critic's table the keys of its kind: defaults where they are missing, and, where `--set` chose the kind, nothing of
/// another.
pub(super) fn settle(table: &mut Table, overrides: &[String]) -> Result<(), String> {
    let chosen = overrides.iter().find_map(|entry| {
        let (key, value) = entry.split_once('=')?;
        (key.trim() == "critic.kind").then(|| value.trim().trim_matches('"').to_string())
    });
    if let (Some(name), Some(Value::Table(critic))) = (&chosen, table.get_mut("critic")) {
        critic.insert("kind".into(), Value::String(name.clone()));
    }
    let kind = kind_of(table)?;
    let Some(Value::Table(critic)) = table.get_mut("critic") else {
        return Ok(());
    };
    if chosen.is_some() {
        keep_own(critic, &kind);
    }
    for (key, value) in (kind.defaults)() {
        if !critic.contains_key(&key)
            && let Ok(value) = Value::try_from(value)
        {
            critic.insert(key, value);
        }
    }
    Ok(())
}
