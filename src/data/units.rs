//! The units of actions: files in newton metres, environments in shares of their bounds.

use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tiltrl_policies::agent::ACTION_CLIP;

use super::error::DataError;
use super::matrix::Matrix;
use super::notes::{Note, NoteKind};
use super::options::Environment;

/// How far beyond its bound, as a share of it, an action may lie through rounding alone.
const ROUNDING: f32 = 1e-3;

/// The bounds of each action entry in the units of a file; −1 … 1 in a [`Dataset`](super::Dataset) stands for them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionBounds {
    /// Smallest value of each entry, `[action_dim]`.
    pub low: Vec<f32>,
    /// Largest value of each entry, `[action_dim]`.
    pub high: Vec<f32>,
}

impl ActionBounds {
    /// Returns bounds ±`bound` for `action_dim` entries.
    pub fn symmetric(bound: f32, action_dim: usize) -> Self {
        Self {
            low: vec![-bound; action_dim],
            high: vec![bound; action_dim],
        }
    }

    /// Returns whether the units are those of a [`Dataset`](super::Dataset) already.
    pub fn is_unit(&self) -> bool {
        self.low.iter().all(|&low| low == -1.0) && self.high.iter().all(|&high| high == 1.0)
    }

    /// Scales row-major actions from the file's units to −1 … 1.
    pub fn to_unit(&self, actions: &mut [f32]) {
        self.map(actions, |action, low, high| {
            2.0 * (action - low) / (high - low) - 1.0
        });
    }

    /// Scales row-major actions from −1 … 1 to the file's units: undoes [`Self::to_unit`].
    pub fn from_unit(&self, actions: &mut [f32]) {
        self.map(actions, |action, low, high| {
            low + 0.5 * (action + 1.0) * (high - low)
        });
    }

    fn map(&self, actions: &mut [f32], rule: impl Fn(f64, f64, f64) -> f64) {
        if self.is_unit() {
            return;
        }
        for row in actions.chunks_exact_mut(self.low.len()) {
            for ((action, &low), &high) in row.iter_mut().zip(&self.low).zip(&self.high) {
                *action = rule(f64::from(*action), f64::from(low), f64::from(high)) as f32;
            }
        }
    }

    /// Rows with an entry beyond the bounds by more than `slack` of their width's half.
    fn beyond(&self, actions: &[f32], slack: f32) -> Vec<usize> {
        let width = self.low.len();
        let outside = |row: &[f32]| {
            (row.iter().zip(&self.low).zip(&self.high)).any(|((&action, &low), &high)| {
                let slack = slack * 0.5 * (high - low);
                action < low - slack || action > high + slack
            })
        };
        (actions.chunks_exact(width).enumerate())
            .filter(|(_, row)| outside(row))
            .map(|(row, _)| row)
            .collect()
    }

    fn words(&self) -> String {
        let (low, high) = (self.low[0], self.high[0]);
        let all = |values: &[f32], first: f32| values.iter().all(|&value| value == first);
        match all(&self.low, low) && all(&self.high, high) {
            true if low == -high => format!("±{high}"),
            true => format!("{low} … {high}"),
            false => format!("{:?} … {:?}", self.low, self.high),
        }
    }
}

/// What is known of the units of one file's actions.
pub(super) struct Units<'a> {
    pub(super) path: &'a Path,
    pub(super) action_dim: usize,
    /// Bounds that the file states.
    pub(super) stated: Option<ActionBounds>,
    pub(super) environment: Option<&'a Environment>,
}

impl Units<'_> {
    /// Scales the file's actions to −1 … 1 and returns the bounds, or `None` where actions go beyond
    /// ±1 and nothing tells their unit.
    pub(super) fn scale(
        &self,
        actions: &mut [f32],
        notes: &mut Vec<Note>,
    ) -> Result<Option<ActionBounds>, DataError> {
        let (path, width) = (self.path, self.action_dim);
        let (bounds, source, text) = self.decide(actions);
        notes.extend(text.map(|text| Note::new(NoteKind::Understood, path, text, &[])));
        let rows = bounds.beyond(actions, ROUNDING);
        if !rows.is_empty() {
            let Some(source) = source else {
                notes.push(unknown_unit(path, actions, width, &rows));
                return Ok(None);
            };
            return Err(out_of_bounds(path, actions, &bounds, &rows, source));
        }
        let rounded = bounds.beyond(actions, 0.0);
        if !rounded.is_empty() {
            let text = format!(
                "actions beyond the bounds {} by less than 0.1 % were set to the bound",
                bounds.words()
            );
            notes.push(Note::new(NoteKind::Clipped, path, text, &rounded));
            for row in actions.chunks_exact_mut(width) {
                for ((action, &low), &high) in row.iter_mut().zip(&bounds.low).zip(&bounds.high) {
                    *action = action.clamp(low, high);
                }
            }
        }
        bounds.to_unit(actions);
        Ok(Some(bounds))
    }

    /// Returns the bounds, who says so, and what is to be said about it.
    fn decide(&self, actions: &[f32]) -> (ActionBounds, Option<&str>, Option<String>) {
        let unit = ActionBounds::symmetric(1.0, self.action_dim);
        if let Some(stated) = &self.stated {
            let text = format!(
                "actions are in units with bounds {}, as the file's attributes say, and scaled to ±1",
                stated.words()
            );
            let text = (!stated.is_unit()).then_some(text);
            return (stated.clone(), Some("its attributes"), text);
        }
        let Some(Environment {
            id,
            action_bound: bound,
            ..
        }) = self.environment
        else {
            return (unit, None, None);
        };
        let own = ActionBounds::symmetric(*bound, self.action_dim);
        let within = |bounds: &ActionBounds| bounds.beyond(actions, ROUNDING).is_empty();
        let scaled = format!("they are in units of {id} with bounds ±{bound}, and scaled to ±1");
        if *bound > 1.0 && within(&unit) {
            let text = format!(
                "actions lie within ±1, and those of {id} are also recorded with bounds ±{bound}: taken as shares of \
                 the bound. If they are not, give the file the attribute action_bound = {bound}"
            );
            return (unit, Some(id), Some(text));
        }
        if *bound > 1.0 {
            return (
                own,
                Some(id),
                Some(format!("actions go beyond ±1: {scaled}")),
            );
        }
        if *bound < 1.0 && within(&own) {
            let text = format!(
                "actions lie within ±{bound}: {scaled}. If they are shares of the bound, give the file the attribute \
                 action_bound = 1"
            );
            return (own, Some(id), Some(text));
        }
        (unit, Some(id), None)
    }
}

fn share(rows: usize, actions: &[f32], action_dim: usize) -> f64 {
    100.0 * rows as f64 / (actions.len() / action_dim) as f64
}

fn unknown_unit(path: &Path, actions: &[f32], action_dim: usize, rows: &[usize]) -> Note {
    let text = format!(
        "{:.1} % of the rows have actions beyond ±1 and nothing tells their unit: name the environment (--env), \
         or give the file the attribute action_bound; training refuses them as they are",
        share(rows.len(), actions, action_dim)
    );
    Note::new(NoteKind::Warning, path, text, rows)
}

fn out_of_bounds(
    path: &Path,
    actions: &[f32],
    bounds: &ActionBounds,
    rows: &[usize],
    source: &str,
) -> DataError {
    let width = bounds.low.len();
    let first = &actions[rows[0] * width..(rows[0] + 1) * width];
    DataError::OutOfBounds {
        path: path.to_path_buf(),
        bounds: bounds.words(),
        source_of_bounds: source.to_string(),
        share: share(rows.len(), actions, width),
        rows: rows.len(),
        row: rows[0],
        value: first.iter().copied().fold(0.0, |worst: f32, value| {
            if value.abs() > worst.abs() {
                value
            } else {
                worst
            }
        }),
    }
}

/// Sets actions beyond ±[`ACTION_CLIP`] to it, as the prior's atanh needs, and returns how many there were.
///
/// The one clip of the whole pipeline: what comes out of it is what prior and critic both learn from.
pub fn clip_actions(actions: &mut [f32]) -> usize {
    actions
        .par_iter_mut()
        .filter(|action| action.abs() > ACTION_CLIP)
        .map(|action| *action = action.clamp(-ACTION_CLIP, ACTION_CLIP))
        .count()
}

/// Returns the note about what [`clip_actions`] will do to these actions; `None` where that is nothing.
pub(super) fn clip_note(actions: &Matrix) -> Option<Note> {
    let count = actions
        .iter()
        .filter(|action| action.abs() > ACTION_CLIP)
        .count();
    (count > 0).then(|| Note {
        kind: NoteKind::Clipped,
        path: None,
        text: format!(
            "{count} of {} action entries ({:.2} %) lie beyond ±{ACTION_CLIP}: prior and critic both see them there",
            actions.values().len(),
            100.0 * count as f64 / actions.values().len() as f64
        ),
        count: 0,
        rows: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_there_and_back_gives_the_actions_back() {
        let bounds = ActionBounds {
            low: vec![-2.0, 0.0],
            high: vec![2.0, 10.0],
        };
        let wanted = [-2.0, 0.0, 2.0, 10.0, 0.5, 5.0, -1.25, 1.0];
        let mut actions = wanted;
        bounds.to_unit(&mut actions);
        assert_eq!(actions[..6], [-1.0, -1.0, 1.0, 1.0, 0.25, 0.0]);
        bounds.from_unit(&mut actions);
        for (found, wanted) in actions.iter().zip(wanted) {
            assert!((found - wanted).abs() < 1e-6, "{found} {wanted}");
        }
    }

    #[test]
    fn the_clip_counts_what_it_changes() {
        let mut actions = [0.0, 1.0, -1.0, 0.5, ACTION_CLIP];
        assert_eq!(clip_actions(&mut actions), 2);
        assert_eq!(actions, [0.0, ACTION_CLIP, -ACTION_CLIP, 0.5, ACTION_CLIP]);
        assert_eq!(clip_actions(&mut actions), 0);
    }
}
