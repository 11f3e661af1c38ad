//! Which columns of a table (CSV, Parquet) are what: by their names, or by a small TOML file beside the table.
//!
//! docs/formats.md has the names and the keys. A table whose columns are not clear is refused with the list of them.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::attributes::bounds;
use super::ends::{EPISODE, NAMES, Name};
use super::error::DataError;
use super::faults::Faults;
use super::units::ActionBounds;

/// What the columns of a table may be called that has no TOML file, with and without numbers.
const OBSERVATIONS: [&str; 3] = ["observations", "observation", "obs"];
const ACTIONS: [&str; 3] = ["actions", "action", "act"];
const NEXT: [&str; 3] = ["next_observations", "next_observation", "next_obs"];
const REWARDS: [&str; 2] = ["rewards", "reward"];
const EPISODES: [&str; 3] = ["episode", "episode_id", "episode_index"];

/// Numbers of the columns in their table, by what they are.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub(super) observations: Vec<usize>,
    pub(super) actions: Vec<usize>,
    pub(super) rewards: usize,
    pub(super) next_observations: Vec<usize>,
    pub(super) flags: Vec<(&'static Name, usize)>,
    /// The column that numbers the episodes.
    pub(super) episode: Option<usize>,
    pub(super) bounds: Option<(Vec<f64>, Vec<f64>)>,
}

/// One name or number, or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T: Clone> OneOrMany<T> {
    fn all(&self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one.clone()],
            Self::Many(many) => many.clone(),
        }
    }
}

/// The TOML file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mapping {
    observations: OneOrMany<String>,
    actions: OneOrMany<String>,
    rewards: String,
    next_observations: Option<OneOrMany<String>>,
    terminals: Option<String>,
    timeouts: Option<String>,
    ends: Option<String>,
    episode: Option<String>,
    action_low: Option<OneOrMany<f64>>,
    action_high: Option<OneOrMany<f64>>,
}

/// Returns the place of the TOML file of a table: its name and `.toml`.
pub(super) fn beside(path: &Path) -> PathBuf {
    path.with_added_extension("toml")
}

/// Returns what the columns `names` of a table are.
///
/// # Errors
/// [`DataError::Format`] with the columns that there are, where it is not clear.
pub(super) fn find(faults: &Faults<'_>, names: &[String]) -> Result<Columns, DataError> {
    let twice = (1..names.len()).find(|&at| names[..at].contains(&names[at]));
    if let Some(at) = twice {
        return Err(faults.of(format!("two columns are called `{}`", names[at])));
    }
    let file = beside(faults.path);
    if !file.is_file() {
        return by_name(names).map_err(|reason| {
            faults.of(format!(
                "its columns are [{}]: {reason}. Hint: say it in the file {}, as\n  observations = [\"position\", \"speed_*\"]\n  \
                 actions = [\"torque_*\"]\n  rewards = \"reward\"\n  terminals = \"terminated\"\n  timeouts = \"truncated\"",
                names.join(", "),
                file.display()
            ))
        });
    }
    let text =
        std::fs::read_to_string(&file).map_err(|error| DataError::io(&file, "read", error))?;
    let here = Faults {
        path: &file,
        ..*faults
    };
    let mapping: Mapping = toml::from_str(&text).map_err(|error| here.of(error.to_string()))?;
    by_mapping(&mapping, names).map_err(|reason| {
        here.of(format!(
            "{reason}; the columns of the table are [{}]",
            names.join(", ")
        ))
    })
}

fn by_mapping(mapping: &Mapping, names: &[String]) -> Result<Columns, String> {
    let all = |key: &str, patterns: &OneOrMany<String>| -> Result<Vec<usize>, String> {
        let mut found = Vec::new();
        for pattern in patterns.all() {
            let matching = matching(&pattern, names);
            if matching.is_empty() {
                return Err(format!("{key}: no column is called `{pattern}`"));
            }
            found.extend(matching);
        }
        Ok(found)
    };
    let one = |key: &str, name: &str| {
        let at = names.iter().position(|column| column == name);
        at.ok_or_else(|| format!("{key}: no column is called `{name}`"))
    };
    let mut flags = Vec::new();
    for (key, stands_for, name) in [
        ("terminals", "terminals", &mapping.terminals),
        ("timeouts", "timeouts", &mapping.timeouts),
        ("ends", "dones", &mapping.ends),
    ] {
        let meant = NAMES.iter().find(|known| known.key == stands_for);
        if let (Some(name), Some(meant)) = (name, meant) {
            flags.push((meant, one(key, name)?));
        }
    }
    let next = mapping.next_observations.as_ref();
    let columns = Columns {
        observations: all("observations", &mapping.observations)?,
        actions: all("actions", &mapping.actions)?,
        rewards: one("rewards", &mapping.rewards)?,
        next_observations: next.map_or(Ok(Vec::new()), |next| all("next_observations", next))?,
        flags,
        episode: (mapping.episode.as_ref())
            .map(|name| one("episode", name))
            .transpose()?,
        bounds: match (&mapping.action_low, &mapping.action_high) {
            (Some(low), Some(high)) => Some((low.all(), high.all())),
            (None, None) => None,
            _ => return Err("action_low and action_high: expected both or none".to_string()),
        },
    };
    columns.check(names)?;
    Ok(columns)
}

/// Returns the columns that a name with `*` for any text fits: in the order of the numbers that the star stands for, or of the
/// table where it does not stand for numbers.
fn matching(pattern: &str, names: &[String]) -> Vec<usize> {
    let Some((start, end)) = pattern.split_once('*') else {
        return (0..names.len())
            .filter(|&at| names[at] == pattern)
            .collect();
    };
    let star = |name: &str| -> Option<String> {
        Some(name.strip_prefix(start)?.strip_suffix(end)?.to_string())
    };
    let found = (0..names.len()).filter_map(|at| Some((star(&names[at])?, at)));
    let found: Vec<(String, usize)> = found.collect();
    let numbers: Option<Vec<u64>> = found.iter().map(|(star, _)| star.parse().ok()).collect();
    let mut order: Vec<usize> = (0..found.len()).collect();
    if let Some(numbers) = numbers {
        order.sort_by_key(|&place| numbers[place]);
    }
    order.into_iter().map(|place| found[place].1).collect()
}

fn by_name(names: &[String]) -> Result<Columns, String> {
    let one = |called: &[&str]| {
        let all = (0..names.len()).filter(|&at| called.contains(&names[at].as_str()));
        all.collect::<Vec<_>>()
    };
    // A column of lists, or numbered columns.
    let vector = |called: &[&str]| -> Result<Vec<usize>, String> {
        let numbered = |name: &&str, dot: char| {
            let all = matching(&format!("{name}{dot}*"), names);
            let is_number = |&at: &usize| names[at][name.len() + 1..].parse::<u64>().is_ok();
            all.into_iter().filter(is_number).collect::<Vec<_>>()
        };
        let mut all: Vec<Vec<usize>> = (called.iter())
            .flat_map(|name| [numbered(name, '_'), numbered(name, '.')])
            .chain(one(called).into_iter().map(|at| vec![at]))
            .filter(|columns| !columns.is_empty())
            .collect();
        match all.len() {
            0 => Ok(Vec::new()),
            1 => Ok(all.remove(0)),
            _ => Err(format!("more than one could be the {}", called[0])),
        }
    };
    let single = |called: &[&str]| match one(called)[..] {
        [] => Ok(None),
        [at] => Ok(Some(at)),
        _ => Err(format!("more than one could be the {}", called[0])),
    };
    let need = |columns: Vec<usize>, called: &str| {
        let reason = format!("none is called `{called}`, `{called}_0` or the like");
        if columns.is_empty() {
            Err(reason)
        } else {
            Ok(columns)
        }
    };
    let flag =
        |name: &'static Name| Some((name, names.iter().position(|column| column == name.key)?));
    let columns = Columns {
        observations: need(vector(&OBSERVATIONS)?, "observations")?,
        actions: need(vector(&ACTIONS)?, "actions")?,
        rewards: single(&REWARDS)?.ok_or("none is called `rewards`")?,
        next_observations: vector(&NEXT)?,
        flags: NAMES.iter().filter_map(flag).collect(),
        episode: single(&EPISODES)?,
        bounds: None,
    };
    if columns.flags.is_empty() && columns.episode.is_none() {
        return Err(
            "none tells where episodes end (`terminals`, `timeouts`, `dones`, `episode`)"
                .to_string(),
        );
    }
    columns.check(names)?;
    Ok(columns)
}

impl Columns {
    /// The columns that are used, by number, with what each is.
    fn used(&self) -> Vec<(usize, &'static str)> {
        let several =
            |columns: &[usize], what| -> Vec<_> { columns.iter().map(|&at| (at, what)).collect() };
        let mut used = several(&self.observations, "observations");
        used.extend(several(&self.actions, "actions"));
        used.push((self.rewards, "rewards"));
        used.extend(several(&self.next_observations, "next_observations"));
        used.extend(self.flags.iter().map(|(name, at)| (*at, name.key)));
        used.extend(self.episode.map(|at| (at, EPISODE.key)));
        used
    }

    fn check(&self, names: &[String]) -> Result<(), String> {
        let used = self.used();
        for (place, (at, what)) in used.iter().enumerate() {
            if let Some((_, other)) = used[..place].iter().find(|(other, _)| other == at) {
                return Err(format!("`{}` would be both {other} and {what}", names[*at]));
            }
        }
        Ok(())
    }

    /// Says which columns are what, and which are not read.
    pub(super) fn words(&self, names: &[String]) -> String {
        let (mut parts, used) = (Vec::<(&str, Vec<&str>)>::new(), self.used());
        for (at, what) in &used {
            match parts.last_mut() {
                Some((last, columns)) if last == what => columns.push(&names[*at]),
                _ => parts.push((what, vec![&names[*at]])),
            }
        }
        let unused = (0..names.len()).filter(|at| used.iter().all(|(other, _)| other != at));
        let unused: Vec<&str> = unused.map(|at| names[at].as_str()).collect();
        if !unused.is_empty() {
            parts.push(("not read", unused));
        }
        let words = parts
            .iter()
            .map(|(what, columns)| format!("{what} = {}", columns.join(", ")));
        format!("columns: {}", words.collect::<Vec<_>>().join("; "))
    }

    /// Returns the bounds of the actions that the TOML file states.
    ///
    /// # Errors
    /// [`DataError::WrongShape`] where they are not finite, not ordered or not one per entry.
    pub(super) fn bounds(
        &self,
        path: &Path,
        action_dim: usize,
    ) -> Result<Option<ActionBounds>, DataError> {
        let stated = self.bounds.clone();
        stated
            .map(|(low, high)| bounds(&beside(path), "action_low", low, high, action_dim))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_string).collect()
    }

    #[test]
    fn numbers_of_a_star_sort_as_numbers_and_texts_as_they_stand() {
        let all = names("joint_10 joint_2 x joint_1 joint_left");
        assert_eq!(
            matching("joint_1*", &all),
            [0, 3],
            "not numbers: an empty one"
        );
        assert_eq!(matching("joint_*", &all), [0, 1, 3, 4]);
        assert_eq!(matching("joint_*", &all[..4]), [3, 1, 0]);
        assert_eq!(matching("x", &all), [2]);
    }

    #[test]
    fn names_that_are_not_clear_are_refused_with_the_reason() {
        for (text, reason) in [
            ("obs_0 obs_1 action reward done", None),
            ("observation action reward episode_index", None),
            (
                "obs_0 observations_0 action reward done",
                Some("more than one could be the observations"),
            ),
            (
                "obs_x action reward done",
                Some("none is called `observations`"),
            ),
            ("obs_0 reward done", Some("none is called `actions`")),
            ("obs_0 action done", Some("none is called `rewards`")),
            ("obs_0 action reward", Some("none tells where episodes end")),
        ] {
            let found = by_name(&names(text));
            assert_eq!(
                found.as_ref().err().map(String::as_str).is_some(),
                reason.is_some(),
                "{text}: {found:?}"
            );
            if let (Err(found), Some(reason)) = (found, reason) {
                assert!(found.contains(reason), "{text}: {found}");
            }
        }
    }
}
