//! A data set cut into episodes of L steps and L + 1 observations, as layouts want them that store no successors.

use std::ops::Range;

use super::dataset::Dataset;
use super::notes::{Note, NoteKind};

/// What was seen after a fragment's last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    /// The recorded successor of this row.
    Successor(usize),
    /// The observation of this row.
    Observation(usize),
}

/// Rows that follow each other, and the observation after the last of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fragment {
    pub(super) rows: Range<usize>,
    pub(super) last: Last,
    /// The task ended; otherwise the fragment is cut there.
    pub(super) terminal: bool,
}

/// Returns the fragments of a data set in order, and says what the layout cannot hold.
pub(super) fn fragments(dataset: &Dataset) -> (Vec<Fragment>, Vec<Note>) {
    let mut cut = Cutter {
        dataset,
        fragments: Vec::new(),
        dropped: Vec::new(),
        repeated: Vec::new(),
        opened: Vec::new(),
    };
    let lost = mask(&dataset.interruptions.no_transition, dataset.len());
    let broken = mask(&dataset.interruptions.breaks, dataset.len());
    for source in dataset.source_ranges() {
        let (mut start, end) = (source.start, source.end);
        for row in source {
            let ended = dataset.terminals[row] || dataset.timeouts[row];
            if ended || lost[row] || broken[row] || row + 1 == end {
                if !ended && !lost[row] && !broken[row] {
                    cut.opened.push(row);
                }
                cut.push(start..row + 1, lost[row]);
                start = row + 1;
            }
        }
    }
    cut.finish()
}

fn mask(rows: &[usize], count: usize) -> Vec<bool> {
    let mut mask = vec![false; count];
    rows.iter().for_each(|&row| mask[row] = true);
    mask
}

struct Cutter<'a> {
    dataset: &'a Dataset,
    fragments: Vec<Fragment>,
    dropped: Vec<usize>,
    repeated: Vec<usize>,
    opened: Vec<usize>,
}

impl Cutter<'_> {
    /// Adds rows that end with the last of them; `lost`: what is recorded as its successor is not what followed.
    fn push(&mut self, mut rows: Range<usize>, lost: bool) {
        let last = rows.end - 1;
        let terminal = self.dataset.terminals[last];
        let recorded = self.dataset.next_observations.is_some() && !lost;
        let last = match (recorded, terminal) {
            (true, _) => Last::Successor(last),
            (false, true) => {
                self.repeated.push(last);
                Last::Observation(last)
            }
            // What was seen after the row is not known: it is where the fragment ends.
            (false, false) => {
                self.dropped.push(last);
                rows.end = last;
                Last::Observation(last)
            }
        };
        if !rows.is_empty() {
            self.fragments.push(Fragment {
                rows,
                last,
                terminal,
            });
        }
    }

    fn finish(self) -> (Vec<Fragment>, Vec<Note>) {
        let rounded = self.rounded();
        let texts = [
            (
                NoteKind::Dropped,
                "the observation after the row is not in the data: its action and reward are left out, and its episode \
                 ends in its observation",
                self.dropped,
            ),
            (
                NoteKind::Repaired,
                "the task ended and the last observation is not in the data: the one before stands for it (nothing \
                 follows it, so it is never used)",
                self.repeated,
            ),
            (
                NoteKind::Understood,
                "the data end without an end of the episode: it is cut there (truncated)",
                self.opened,
            ),
            (
                NoteKind::Repaired,
                "the recorded successor differs from the next row's observation, which is written in its place",
                rounded,
            ),
        ];
        let note = |(kind, text, rows): (NoteKind, &str, Vec<usize>)| {
            let count = rows.len();
            (count > 0).then(|| Note {
                kind,
                path: None,
                text: text.to_string(),
                count,
                rows: rows.into_iter().take(8).collect(),
            })
        };
        (self.fragments, texts.into_iter().filter_map(note).collect())
    }

    /// Rows within a fragment whose recorded successor is not the next row's observation to the last digit.
    fn rounded(&self) -> Vec<usize> {
        let Some(next) = &self.dataset.next_observations else {
            return Vec::new();
        };
        let within = |fragment: &Fragment| fragment.rows.start..fragment.rows.end - 1;
        let differs = |&row: &usize| next.row(row) != self.dataset.observations.row(row + 1);
        (self.fragments.iter().flat_map(within))
            .filter(differs)
            .collect()
    }
}
