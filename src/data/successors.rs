//! Recorded successors against the rows that follow them.

use std::path::Path;

use super::ends::Ends;
use super::notes::{Note, NoteKind};

/// Two values are the same up to rounding within this share of their column's largest value.
const ROUNDING: f32 = 1e-5;
/// Two values beyond this share of their column's largest value belong to different states.
const APART: f32 = 1e-2;
/// How many times as far as a usual step an environment's reset reaches, at least.
const JUMP: f32 = 4.0;
/// Rows from which the usual step is taken.
const SAMPLED: usize = 4096;

/// Observations and recorded successors of one file, row-major.
pub(super) struct Successors<'a> {
    observations: &'a [f32],
    next: &'a [f32],
    width: usize,
    largest: Vec<f32>,
}

impl<'a> Successors<'a> {
    pub(super) fn new(observations: &'a [f32], next: &'a [f32], width: usize) -> Self {
        let mut largest = vec![f32::MIN_POSITIVE; width];
        for row in observations.chunks_exact(width) {
            for (largest, value) in largest.iter_mut().zip(row) {
                *largest = largest.max(value.abs());
            }
        }
        Self {
            observations,
            next,
            width,
            largest,
        }
    }

    fn rows(&self) -> usize {
        self.observations.len() / self.width
    }

    fn observation(&self, row: usize) -> &[f32] {
        &self.observations[row * self.width..(row + 1) * self.width]
    }

    fn next(&self, row: usize) -> &[f32] {
        &self.next[row * self.width..(row + 1) * self.width]
    }

    /// Largest difference of two states, each column as a share of its largest value.
    fn distance(&self, left: &[f32], right: &[f32]) -> f32 {
        (left.iter().zip(right).zip(&self.largest))
            .map(|((left, right), largest)| (left - right).abs() / largest)
            .fold(0.0, f32::max)
    }

    /// How far the recorded successor of `row` is from the next row's observation.
    fn gap(&self, row: usize) -> f32 {
        self.distance(self.next(row), self.observation(row + 1))
    }

    /// How far the recorded successor of `row` is from its own observation.
    fn step(&self, row: usize) -> f32 {
        self.distance(self.next(row), self.observation(row))
    }

    /// For files without flags: marks a timeout where a row is not terminal and its successor is not
    /// the next row's observation, up to rounding.
    pub(super) fn mark_breaks(&self, path: &Path, ends: &mut Ends, notes: &mut Vec<Note>) {
        let (mut found, mut rounded) = (Vec::new(), 0);
        for row in 0..self.rows().saturating_sub(1) {
            if ends.terminals[row] || ends.timeouts[row] {
                continue;
            }
            let gap = self.gap(row);
            if gap > ROUNDING {
                found.push(row);
            } else if gap > 0.0 {
                rounded += 1;
            }
        }
        found.iter().for_each(|&row| ends.timeouts[row] = true);
        let text = format!(
            "no key tells where the clock ended: a timeout is set where the recorded successor is not the next row's \
             observation; {rounded} successors within 1e-5 of their column's largest value count as the same"
        );
        notes.push(Note::new(NoteKind::Understood, path, text, &found));
    }

    /// Returns the rows whose recorded successor is not what followed, because the environment had been
    /// reset: the recorder of a vector environment that resets by itself stored the next episode's start.
    pub(super) fn reset_rows(
        &self,
        path: &Path,
        ends: &Ends,
        rewards: &[f32],
        notes: &mut Vec<Note>,
    ) -> Vec<usize> {
        let last = self.rows() - 1;
        let flagged = |row: usize| ends.terminals[row] || ends.timeouts[row];
        let ended: Vec<usize> = (0..last).filter(|&row| flagged(row)).collect();
        let same: Vec<usize> = ended
            .iter()
            .copied()
            .filter(|&row| self.gap(row) <= ROUNDING)
            .collect();
        if same.is_empty() {
            return Vec::new();
        }
        let after: Vec<usize> = same.iter().map(|row| row + 1).collect();
        let idle = |&row: &usize| rewards[row] == 0.0 && (row == last || !flagged(row));
        let usual = self.usual_step(ends);
        let jumps = |rows: &[usize]| self.median_step(rows.iter().copied()) > JUMP * usual;
        if same.len() == ended.len() && after.iter().all(idle) && jumps(&after) && !jumps(&same) {
            let text = "the row after an end only resets the environment (its action was ignored, its reward is 0): \
                        no transition";
            notes.push(Note::new(NoteKind::Dropped, path, text, &after));
            return after;
        }
        let clock = |row: usize| ends.timeouts[row] && !ends.terminals[row];
        let mut lost: Vec<usize> = same.iter().copied().filter(|&row| clock(row)).collect();
        if lost.is_empty() {
            return lost;
        }
        let timeouts = ended.iter().filter(|&&row| clock(row)).count();
        let mut text = "the recorded successor of a timeout is the next episode's first observation: no transition \
                        (the observation in which the episode ended is not in the file)"
            .to_string();
        if lost.len() == timeouts && clock(last) {
            text += "; the last row with them";
            lost.push(last);
        }
        notes.push(Note::new(NoteKind::Dropped, path, text, &lost));
        lost
    }

    /// Median step of rows within episodes.
    fn usual_step(&self, ends: &Ends) -> f32 {
        let stride = (self.rows() / SAMPLED).max(1);
        let within = |&row: &usize| {
            let calm = |row: usize| !ends.terminals[row] && !ends.timeouts[row];
            calm(row) && (row == 0 || calm(row - 1))
        };
        self.median_step((0..self.rows()).filter(within).step_by(stride))
    }

    fn median_step(&self, rows: impl Iterator<Item = usize>) -> f32 {
        let mut steps: Vec<f32> = rows.map(|row| self.step(row)).collect();
        steps.sort_by(f32::total_cmp);
        steps.get(steps.len() / 2).copied().unwrap_or(0.0)
    }

    /// For files with flags: says how many successors differ from the next row in the last digits, and
    /// returns the rows whose episode cannot go on with the next row although no flag ends it there.
    pub(super) fn contradictions(
        &self,
        path: &Path,
        ends: &Ends,
        lost: &[usize],
        notes: &mut Vec<Note>,
    ) -> Vec<usize> {
        let (mut apart, mut differing, mut most) = (Vec::new(), Vec::new(), 0.0_f32);
        for row in 0..self.rows() - 1 {
            if ends.terminals[row] || ends.timeouts[row] || lost.binary_search(&row).is_ok() {
                continue;
            }
            match self.gap(row) {
                gap if gap > APART => apart.push(row),
                gap if gap > 0.0 => {
                    differing.push(row);
                    most = most.max(gap);
                }
                _ => {}
            }
        }
        if !differing.is_empty() {
            let text = format!(
                "the recorded successor differs from the next row's observation by at most {most:.1e} of its column's \
                 largest value: the flags decide, and the episode goes on"
            );
            notes.push(Note::new(NoteKind::Understood, path, text, &differing));
        }
        if !apart.is_empty() {
            let text = "no flag ends the episode, but the recorded successor is another state than the next row's: \
                        returns over several steps stop there (are rows shuffled, or flags lost?)";
            notes.push(Note::new(NoteKind::Warning, path, text, &apart));
        }
        apart
    }
}
