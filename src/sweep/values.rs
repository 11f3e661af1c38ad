//! The configurations that a sweep's file asks for.

use toml::{Table, Value};

use super::reader::Reader;
use super::space::{Choice, Configuration, drawn, grid};

/// Configurations of a sweep at most.
const MOST: usize = 10_000;

/// What a file asks for.
#[derive(Default)]
pub(super) struct Space {
    /// The configurations, none twice.
    pub(super) found: Vec<Configuration>,
    /// Draws that repeated an earlier one.
    pub(super) repeated: usize,
    /// Configurations at the ends of ranges: checked, not trained.
    pub(super) ends: Vec<Configuration>,
}

impl Reader {
    /// The configurations, and how many draws were repeats.
    pub(super) fn space(&mut self) -> Space {
        let search = self.table.get("search").cloned();
        let random = match search.as_ref().map(|v| v.as_str()) {
            None | Some(Some("grid")) => false,
            Some(Some("random")) => true,
            Some(_) => {
                self.fault("search", "\"grid\" or \"random\"", search.as_ref());
                false
            }
        };
        for key in ["draws", "seed"] {
            if !random && self.table.contains_key(key) {
                self.faults.push(format!(
                    "{key}: expected search = \"random\" beside it, found a grid"
                ));
            }
        }
        let draws = self.count("", "draws", [1, MOST as u64], 8);
        if random && !self.table.contains_key("draws") {
            self.fault("draws", "how many configurations are drawn", None);
        }
        let seed = self.count("", "seed", [0, i64::MAX as u64], 0);
        let before = self.faults.len();
        let mut keys = Vec::new();
        for (key, value) in self.entries("values") {
            if let Some(choice) = self.choice(&key, &value, random) {
                keys.push((key, choice));
            }
        }
        if keys.is_empty() && before == self.faults.len() {
            self.fault("values", "a table with at least one key", None);
        }
        if random {
            let all = (0..draws).map(|i| drawn(&keys, seed, i)).collect();
            return Space {
                ends: at_ends(&keys, seed),
                ..unique(all)
            };
        }
        let lists: Vec<(String, Vec<Value>)> = keys
            .into_iter()
            .map(|(key, c)| (key, c.extremes()))
            .collect();
        let count = lists
            .iter()
            .try_fold(1usize, |n, (_, list)| n.checked_mul(list.len()));
        if count.is_none_or(|n| n > MOST) {
            self.faults.push(format!(
                "values: expected a grid of at most {MOST} configurations, found more"
            ));
            return Space::default();
        }
        unique(grid(&lists))
    }

    fn choice(&mut self, key: &str, value: &Value, random: bool) -> Option<Choice> {
        let name = format!("values.{key}");
        match value {
            Value::Array(list) if !list.is_empty() => Some(Choice::Among(list.clone())),
            Value::Table(range) if random => match range_of(range) {
                Ok(choice) => Some(choice),
                Err(expected) => {
                    self.fault(&name, expected, Some(value));
                    None
                }
            },
            _ => {
                let range = if random {
                    ", or { min = A, max = B, scale = \"log\" }"
                } else {
                    ""
                };
                self.fault(
                    &name,
                    &format!("a list of values, at least one{range}"),
                    Some(value),
                );
                None
            }
        }
    }
}

/// The first draw with each key in turn at each end of its range.
fn at_ends(keys: &[(String, Choice)], seed: u64) -> Vec<Configuration> {
    let first = drawn(keys, seed, 0);
    let mut all = Vec::new();
    for (at, (_, choice)) in keys.iter().enumerate() {
        for value in choice.extremes() {
            let mut one = first.clone();
            one.settings[at].1 = value;
            all.push(one);
        }
    }
    all
}

/// Leaves out what came before.
fn unique(all: Vec<Configuration>) -> Space {
    let (count, mut seen) = (all.len(), Vec::new());
    let mut kept = all;
    kept.retain(|configuration| {
        let name = configuration.overrides();
        let new = !seen.contains(&name);
        seen.push(name);
        new
    });
    Space {
        repeated: count - kept.len(),
        found: kept,
        ends: Vec::new(),
    }
}

fn range_of(table: &Table) -> Result<Choice, &'static str> {
    const FORM: &str =
        "{ min = A, max = B } with A below B, and scale = \"log\" or \"linear\" if wanted";
    if table
        .keys()
        .any(|key| !["min", "max", "scale"].contains(&key.as_str()))
    {
        return Err(FORM);
    }
    let log = match table.get("scale").map(Value::as_str) {
        None | Some(Some("linear")) => false,
        Some(Some("log")) => true,
        _ => return Err(FORM),
    };
    let (Some(low), Some(high)) = (table.get("min"), table.get("max")) else {
        return Err(FORM);
    };
    let number = |v: &Value| v.as_float().or(v.as_integer().map(|i| i as f64));
    let (Some(a), Some(b)) = (number(low), number(high)) else {
        return Err(FORM);
    };
    if !(a < b && a.is_finite() && b.is_finite()) {
        return Err(FORM);
    }
    if log && a <= 0.0 {
        return Err("min above 0 with scale = \"log\"");
    }
    Ok(match (low, high) {
        (Value::Integer(low), Value::Integer(high)) => Choice::Whole {
            ends: [*low, *high],
            log,
        },
        _ => Choice::Real { ends: [a, b], log },
    })
}
