//! Tables of values by dotted names.

use toml::{Table, Value};

/// Returns the value at a dotted name.
pub fn slot<'a>(table: &'a Table, name: &str) -> Option<&'a Value> {
    let (first, rest) = match name.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (name, None),
    };
    match (table.get(first)?, rest) {
        (Value::Table(inner), Some(rest)) => slot(inner, rest),
        (value, None) => Some(value),
        _ => None,
    }
}

/// Returns every value that is no table, with its dotted name.
pub fn leaves(table: &Table) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for (name, value) in table {
        match value {
            Value::Table(inner) => found.extend(
                leaves(inner)
                    .into_iter()
                    .map(|(rest, value)| (format!("{name}.{rest}"), value)),
            ),
            value => found.push((name.clone(), value)),
        }
    }
    found
}

/// Lays the values of `upper` over those of `lower`.
pub fn overlay(lower: &mut Table, upper: Table) {
    for (name, value) in upper {
        match (lower.get_mut(&name), value) {
            (Some(Value::Table(below)), Value::Table(above)) => overlay(below, above),
            (_, value) => {
                lower.insert(name, value);
            }
        }
    }
}
