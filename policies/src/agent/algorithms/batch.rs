//! A batch of transitions with the data's next actions, in buffers that outlive the update.

use crate::agent::coordinates::Normalizer;
use crate::agent::transitions::{TransitionBatch, Transitions};

/// A batch, row-major.
#[derive(Default)]
pub(super) struct Batch {
    /// Observations, actions, rewards, next observations and weights of the bootstrap.
    pub of: TransitionBatch,
    /// The action that the data took next, [rows, action_dim]; zeros where none is known.
    pub next_actions: Vec<f32>,
    /// 1 where the next action is known, else 0, `[rows]`.
    pub known: Vec<f32>,
}

impl Batch {
    /// Fills the batch with one-step transitions; `raw` undoes the normalisation of observations.
    pub(super) fn fill(
        &mut self,
        transitions: &Transitions,
        rows: &[usize],
        discount: f64,
        raw: Option<&Normalizer>,
    ) {
        let (observation_dim, action_dim) = (transitions.observation_dim, transitions.action_dim);
        self.clear();
        let TransitionBatch {
            observations,
            actions,
            rewards,
            next_observations,
            discounts,
        } = &mut self.of;
        let row_of = |values: &'_ [f32], width: usize, row: usize, to: &mut Vec<f32>| {
            to.extend_from_slice(&values[row * width..(row + 1) * width]);
        };
        for &row in rows {
            row_of(
                &transitions.observations,
                observation_dim,
                row,
                observations,
            );
            row_of(&transitions.actions, action_dim, row, actions);
            let next = &transitions.next_observations;
            row_of(next, observation_dim, row, next_observations);
            let one = transitions.return_from(row, 1, discount);
            rewards.push(one.sum);
            discounts.push(one.discount);
            let goes_on = transitions.continues[row] && !transitions.terminals[row];
            self.known.push(if goes_on { 1.0 } else { 0.0 });
            if goes_on {
                row_of(
                    &transitions.actions,
                    action_dim,
                    row + 1,
                    &mut self.next_actions,
                );
            } else {
                let length = self.next_actions.len() + action_dim;
                self.next_actions.resize(length, 0.0);
            }
        }
        if let Some(normalizer) = raw {
            normalizer.invert(observations);
            normalizer.invert(next_observations);
        }
    }

    fn clear(&mut self) {
        for buffer in [
            &mut self.of.observations,
            &mut self.of.actions,
            &mut self.of.rewards,
            &mut self.of.next_observations,
            &mut self.of.discounts,
            &mut self.next_actions,
            &mut self.known,
        ] {
            buffer.clear();
        }
    }
}

/// Writes [observation, action] rows to `out`.
pub(super) fn join(observations: &[f32], actions: &[f32], widths: [usize; 2], out: &mut Vec<f32>) {
    out.clear();
    let rows = observations.chunks_exact(widths[0]);
    for (o, a) in rows.zip(actions.chunks_exact(widths[1])) {
        out.extend_from_slice(o);
        out.extend_from_slice(a);
    }
}
