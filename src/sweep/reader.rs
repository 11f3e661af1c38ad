//! The values of a sweep's file, and the faults that are found on the way.

use toml::{Table, Value};

use crate::config::value_at;
use crate::error::nearest;

/// Faults as they are found; each begins with its key.
pub(super) struct Reader {
    /// What the file says.
    pub(super) table: Table,
    /// What is wrong with it.
    pub(super) faults: Vec<String>,
}

impl Reader {
    pub(super) fn fault(&mut self, key: &str, expected: &str, found: Option<&Value>) {
        let found = found.map_or("nothing".to_string(), Value::to_string);
        self.faults
            .push(format!("{key}: expected {expected}, found {found}"));
    }

    pub(super) fn no_strangers(&mut self, inside: &str, known: &[&str]) {
        let table = match inside {
            "" => Some(&self.table),
            name => self.table.get(name).and_then(Value::as_table),
        };
        let names: Vec<String> = table.into_iter().flat_map(|t| t.keys().cloned()).collect();
        for name in names.iter().filter(|name| !known.contains(&name.as_str())) {
            let hint = nearest(name, known.iter().copied())
                .map_or(String::new(), |n| format!("; did you mean `{n}`?"));
            let dot = if inside.is_empty() { "" } else { "." };
            self.faults
                .push(format!("{inside}{dot}{name}: no such key{hint}"));
        }
    }

    /// A whole number of a table, or its default.
    pub(super) fn count(&mut self, inside: &str, name: &str, range: [u64; 2], default: u64) -> u64 {
        let key = if inside.is_empty() {
            name.to_string()
        } else {
            format!("{inside}.{name}")
        };
        let Some(found) = value_at(&self.table, &key).cloned() else {
            return default;
        };
        let number = found.as_integer().and_then(|i| u64::try_from(i).ok());
        match number.filter(|n| (range[0]..=range[1]).contains(n)) {
            Some(number) => number,
            None => {
                self.fault(&key, &format!("{} to {}", range[0], range[1]), Some(&found));
                default
            }
        }
    }

    /// Keys and values of [set] or [values], dotted or nested, sorted.
    pub(super) fn entries(&mut self, inside: &str) -> Vec<(String, Value)> {
        let mut found = Vec::new();
        match self.table.get(inside).cloned() {
            None => {}
            Some(Value::Table(table)) => leaves("", &table, &mut found),
            other => self.fault(inside, "a table of keys", other.as_ref()),
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        for key in ["preset", "env", "recipe", "data_files"] {
            if inside == "values" && found.iter().any(|(name, _)| name == key) {
                self.faults.push(format!("values.{key}: expected a key whose values can be compared; runs on other tasks or data are no configurations of one experiment: use `tiltrl benchmark`"));
            }
        }
        for pair in found.windows(2) {
            if pair[0].0 == pair[1].0 {
                self.faults.push(format!(
                    "{inside}.{}: expected once, found twice, dotted in quotes and as a table",
                    pair[0].0
                ));
            }
        }
        found
    }
}

/// Whether a table is a range of a random search, and not keys below a dot.
fn is_range(table: &Table) -> bool {
    ["min", "max", "scale"]
        .iter()
        .any(|key| table.get(*key).is_some_and(|v| !v.is_table()))
}

fn leaves(above: &str, table: &Table, found: &mut Vec<(String, Value)>) {
    for (name, value) in table {
        let key = if above.is_empty() {
            name.clone()
        } else {
            format!("{above}.{name}")
        };
        match value {
            Value::Table(inner) if !is_range(inner) => leaves(&key, inner, found),
            value => found.push((key, value.clone())),
        }
    }
}
