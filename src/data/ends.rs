//! Where episodes end: the names that recorders give it, and what each of them means.

use std::path::Path;

use super::error::DataError;
use super::hints::nearest;
use super::notes::{Note, NoteKind};
use super::options::BothFlags;

/// What an array says about the ends of episodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A flag: the task ended.
    Terminal,
    /// A flag: the clock ended.
    Timeout,
    /// A flag: the episode ended, of either cause.
    End,
    /// For each episode the number of the row after its last.
    EndIndices,
    /// A flag: the episode began here.
    Start,
    /// Rows of another kind than ours, and why.
    Refused(&'static str),
}

/// A name for the ends of episodes.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) key: &'static str,
    pub(super) meaning: Meaning,
    source: &'static str,
}

impl Name {
    /// What the flags mean once there is one per row.
    fn flag(&self) -> Meaning {
        match self.meaning {
            Meaning::EndIndices | Meaning::Start => Meaning::End,
            meaning => meaning,
        }
    }
}

const fn name(key: &'static str, meaning: Meaning, source: &'static str) -> Name {
    Name {
        key,
        meaning,
        source,
    }
}

const RLDS: Meaning = Meaning::Refused(
    "RLDS keeps an episode's last observation as a row of its own, whose action and reward mean nothing",
);

/// The names that are understood, by source.
pub(super) const NAMES: [Name; 15] = [
    name("terminals", Meaning::Terminal, "D4RL"),
    name("terminated", Meaning::Terminal, "Gymnasium"),
    name("terminations", Meaning::Terminal, "Gymnasium, Minari"),
    name("timeouts", Meaning::Timeout, "D4RL"),
    name("truncated", Meaning::Timeout, "Gymnasium"),
    name("truncations", Meaning::Timeout, "Gymnasium, Minari"),
    name("done", Meaning::End, "Gym before 0.26"),
    name("dones", Meaning::End, "Gym before 0.26"),
    name("episode_terminals", Meaning::End, "d3rlpy"),
    name(
        "episode_ends",
        Meaning::EndIndices,
        "diffusion policy's buffers",
    ),
    name("episode_starts", Meaning::Start, "Stable-Baselines3"),
    name("is_first", RLDS, "RLDS"),
    name("is_last", RLDS, "RLDS"),
    name("is_terminal", RLDS, "RLDS"),
    name(
        "discount",
        Meaning::Refused("a discount is no flag; store `terminals` = (discount == 0)"),
        "dm_env",
    ),
];

/// A column of a table that is the same within an episode and another in the next.
pub(super) static EPISODE: Name =
    name("episode", Meaning::End, "a table that numbers its episodes");

/// The flags under one name, one per row.
pub(super) struct Found {
    pub(super) name: &'static Name,
    pub(super) flags: Vec<bool>,
}

/// The ends of one file's episodes.
pub(super) struct Ends {
    pub(super) terminals: Vec<bool>,
    pub(super) timeouts: Vec<bool>,
    /// Whether the file tells where the clock ended.
    pub(super) told: bool,
}

/// Returns the names among `keys` that tell where episodes end; `present` is what a message lists.
///
/// # Errors
/// [`DataError::EndsUnclear`] for rows of another kind, [`DataError::MissingKey`] where too little is told or a name misspelt.
pub(super) fn known(
    path: &Path,
    keys: &[&str],
    present: &[String],
) -> Result<Vec<&'static Name>, DataError> {
    let holds = |key: &str| keys.contains(&key);
    let missing = |key: &str, nearest: Option<String>| DataError::MissingKey {
        path: path.to_path_buf(),
        key: key.to_string(),
        present: present.to_vec(),
        nearest,
    };
    let mut found: Vec<&'static Name> = Vec::new();
    for name in NAMES.iter().filter(|name| holds(name.key)) {
        match name.meaning {
            // A file that has D4RL's keys as well is read by those.
            Meaning::Refused(_) if holds("terminals") => {}
            Meaning::Refused(reason) => {
                return Err(DataError::EndsUnclear {
                    path: path.to_path_buf(),
                    key: name.key.to_string(),
                    reason: reason.to_string(),
                });
            }
            _ => found.push(name),
        }
    }
    let told = |meanings: &[Meaning]| found.iter().any(|name| meanings.contains(&name.meaning));
    let both = [Meaning::End, Meaning::EndIndices, Meaning::Start];
    if told(&both) || (told(&[Meaning::Terminal]) && told(&[Meaning::Timeout])) {
        return Ok(found);
    }
    if let Some((key, meant)) = keys.iter().find_map(|key| Some((*key, misspelt(key)?))) {
        let absent = if holds(meant.key) {
            "timeouts"
        } else {
            meant.key
        };
        return Err(missing(absent, Some(key.to_string())));
    }
    if told(&[Meaning::Terminal]) {
        return Ok(found);
    }
    Err(missing("terminals", nearest("terminals", present)))
}

/// Returns whether `key` is one character or two away from a name that is understood, and which.
fn misspelt(key: &str) -> Option<&'static Name> {
    let known = NAMES.iter().any(|name| name.key == key);
    let near = |name: &&Name| name.key.len() > 7 && strsim::levenshtein(name.key, key) <= 2;
    if known { None } else { NAMES.iter().find(near) }
}

/// Returns whether a name that is not understood sounds like the ends of episodes.
pub(super) fn sounds_like_ends(key: &str) -> bool {
    let parts = [
        "done",
        "trunc",
        "timeout",
        "terminat",
        "episode_end",
        "is_end",
        "last",
        "reset",
    ];
    let key = key.to_lowercase();
    parts.iter().any(|part| key.contains(part)) && NAMES.iter().all(|name| name.key != key)
}

/// Returns one flag per row from the row numbers after each episode's last (`ends`).
pub(super) fn flags_of_indices(ends: &[f32], rows: usize) -> Result<Vec<bool>, String> {
    let mut flags = vec![false; rows];
    let mut before = 0;
    for &end in ends {
        let row = end as usize;
        if end.fract() != 0.0 || row <= before || row > rows {
            return Err(format!(
                "holds {end} after {before}, in a file of {rows} rows"
            ));
        }
        flags[row - 1] = true;
        before = row;
    }
    if before == rows {
        Ok(flags)
    } else {
        Err(format!("ends at row {before}, in a file of {rows} rows"))
    }
}

/// Returns one flag per row, set where the next row is a start.
pub(super) fn flags_of_starts(starts: &[bool]) -> Vec<bool> {
    let mut flags: Vec<bool> = starts.iter().skip(1).copied().collect();
    flags.resize(starts.len(), false);
    flags
}

/// Returns the ends that the arrays `found` describe together; `horizon`, where it is known, tells the
/// clock's end from the task's in files that have one flag for both.
pub(super) fn combine(
    path: &Path,
    found: &[Found],
    horizon: Option<usize>,
    notes: &mut Vec<Note>,
) -> Result<Ends, DataError> {
    for one in found.iter().filter(|one| one.name.source != "D4RL") {
        let (kind, rows) = (NoteKind::Understood, rows(&one.flags));
        notes.push(Note::new(kind, path, words(one), &rows));
    }
    let terminals = agreed(path, found, Meaning::Terminal)?;
    let timeouts = agreed(path, found, Meaning::Timeout)?;
    let ends = agreed(path, found, Meaning::End)?;
    let and_not = |ends: &[bool], other: &[bool]| -> Vec<bool> {
        ends.iter()
            .zip(other)
            .map(|(&end, &other)| end && !other)
            .collect()
    };
    let both = |terminals, timeouts| {
        Ok(Ends {
            terminals,
            timeouts,
            told: true,
        })
    };
    match (terminals, timeouts, ends) {
        (Some(terminals), Some(mut timeouts), ends) => {
            let more = and_not(&and_not(&ends.unwrap_or_default(), &terminals), &timeouts);
            let rows = rows(&more);
            if !rows.is_empty() {
                let text = "an end without terminal or timeout counts as a timeout";
                notes.push(Note::new(NoteKind::Understood, path, text, &rows));
                rows.iter().for_each(|&row| timeouts[row] = true);
            }
            both(terminals, timeouts)
        }
        (Some(terminals), None, Some(ends)) => {
            let timeouts = and_not(&ends, &terminals);
            both(terminals, timeouts)
        }
        (None, Some(timeouts), Some(ends)) => both(and_not(&ends, &timeouts), timeouts),
        (None, None, Some(ends)) => by_length(path, found, &ends, horizon, notes),
        (Some(terminals), None, None) => Ok(Ends {
            timeouts: vec![false; terminals.len()],
            terminals,
            told: false,
        }),
        (None, _, None) => Err(DataError::MissingKey {
            path: path.to_path_buf(),
            key: "terminals".to_string(),
            present: found.iter().map(|one| one.name.key.to_string()).collect(),
            nearest: None,
        }),
    }
}

/// Tells the ends of one flag for both causes apart: an episode as long as the horizon was ended by the clock.
fn by_length(
    path: &Path,
    found: &[Found],
    ends: &[bool],
    horizon: Option<usize>,
    notes: &mut Vec<Note>,
) -> Result<Ends, DataError> {
    let key = (found.iter().find(|one| one.name.flag() == Meaning::End))
        .map_or("dones", |one| one.name.key);
    let Some(horizon) = horizon else {
        return Err(DataError::EndsUnclear {
            path: path.to_path_buf(),
            key: key.to_string(),
            reason: "one flag for the task's ends and the clock's: a critic must not treat the two alike".to_string(),
        });
    };
    let (mut terminals, mut timeouts) = (vec![false; ends.len()], vec![false; ends.len()]);
    let mut length = 0;
    for (row, &end) in ends.iter().enumerate() {
        length += 1;
        if end {
            terminals[row] = length < horizon;
            timeouts[row] = length >= horizon;
            length = 0;
        }
    }
    let text = format!(
        "`{key}` after {horizon} timesteps or more is taken for the clock's end, else for the task's"
    );
    notes.push(Note::new(
        NoteKind::Understood,
        path,
        text,
        &rows(&timeouts),
    ));
    Ok(Ends {
        terminals,
        timeouts,
        told: true,
    })
}

/// Returns what all arrays of one meaning say, `None` where there is none.
fn agreed(path: &Path, found: &[Found], meaning: Meaning) -> Result<Option<Vec<bool>>, DataError> {
    let mut all = found.iter().filter(|one| one.name.flag() == meaning);
    let Some(first) = all.next() else {
        return Ok(None);
    };
    for other in all {
        if let Some(row) = (0..first.flags.len()).find(|&row| first.flags[row] != other.flags[row])
        {
            return Err(DataError::EndsUnclear {
                path: path.to_path_buf(),
                key: other.name.key.to_string(),
                reason: format!("in row {row} it says otherwise than `{}`", first.name.key),
            });
        }
    }
    Ok(Some(first.flags.clone()))
}

fn words(found: &Found) -> String {
    let what = match found.name.meaning {
        Meaning::Terminal => "the task's ends",
        Meaning::Timeout => "the clock's ends (timeouts)",
        _ => "the ends of episodes, of either cause",
    };
    format!(
        "`{}` read as {what}, as {} stores them",
        found.name.key, found.name.source
    )
}

/// Settles what rows with both flags mean.
pub(super) fn settle_both(path: &Path, ends: &mut Ends, rule: BothFlags, notes: &mut Vec<Note>) {
    let both: Vec<usize> = (0..ends.terminals.len())
        .filter(|&row| ends.terminals[row] && ends.timeouts[row])
        .collect();
    if both.is_empty() {
        return;
    }
    let text = match rule {
        BothFlags::Terminal => {
            "terminal and timeout in one row: the task's end wins, its reward counts and nothing follows. \
             If the recorder stored terminals = done, so that the clock's ends are among them, \
             read with --both-flags timeout"
        }
        BothFlags::Timeout => "terminal and timeout in one row: the clock's end wins, as asked for",
    };
    notes.push(Note::new(NoteKind::Understood, path, text, &both));
    if rule == BothFlags::Timeout {
        both.iter().for_each(|&row| ends.terminals[row] = false);
    }
}

/// Sets a timeout on every `horizon`-th row since the last end and returns those rows.
pub(super) fn mark_every(horizon: usize, terminals: &[bool], timeouts: &mut [bool]) -> Vec<usize> {
    let (mut marked, mut timestep) = (Vec::new(), 0);
    for row in 0..terminals.len() {
        timestep += 1;
        let ended = terminals[row] || timeouts[row];
        if timestep == horizon && !ended {
            timeouts[row] = true;
            marked.push(row);
        }
        if timestep == horizon || ended {
            timestep = 0;
        }
    }
    marked
}

/// Returns the rows whose flag is set.
pub(super) fn rows(flags: &[bool]) -> Vec<usize> {
    (flags.iter().enumerate())
        .filter(|(_, flag)| **flag)
        .map(|(row, _)| row)
        .collect()
}
