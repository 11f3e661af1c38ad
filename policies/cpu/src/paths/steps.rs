//! All steps of one shard of rows: drawn, or scored where the states are given.

use std::ops::Range;
use std::sync::Arc;

use super::compiled::{HostField, MOST_ROWS_PER_SHARD, PathSampler};
use super::kept::KeptShard;
use super::waves::waves;
use crate::pass::{self, sized};
use crate::product::{Operand, matmul};
use crate::rows;

/// One shard's part of the paths.
pub(super) struct Shard<'a> {
    /// States before and after every step. Where they are drawn, each after the first holds the noise of its step.
    pub states: Vec<&'a mut [f32]>,
    pub condition: &'a [f32],
    pub steps: Range<usize>,
    /// Factor of σ; none when the states are given.
    pub scale: Option<f32>,
    /// [rows, steps], or empty.
    pub scores: &'a mut [f32],
    pub kept: Option<&'a mut KeptShard>,
}

/// One row's gradient of the reward, and its exact part of the denoiser's output.
type Known<'a> = [Option<&'a [f32]>; 2];

/// Numbers of one step that all its rows share.
struct StepNumbers {
    /// Of x, of the network's output, and σ.
    factors: [f32; 3],
    /// Of the exact part.
    exact: f32,
    log_sigma_limit: Option<f32>,
    scale: Option<f32>,
}

impl PathSampler {
    /// Gain and shift of the first layer, or nothing.
    pub(super) fn first_norm(&self) -> &[f32] {
        let first = self.spec.layers()[0];
        let values = self.parameters.values();
        first
            .norm
            .map_or(&[][..], |start| &values[start..first.end])
    }

    pub(super) fn run(&self, shard: Shard<'_>) {
        let Shard {
            mut states,
            condition,
            steps,
            scale,
            scores,
            kept,
        } = shard;
        let rows = states[0].len() / self.diffusion.dim;
        let (width, outputs) = (self.biases[0].len(), self.spec.outputs());
        // Given states are independent of each other: several steps are one batch.
        let together = match scale {
            Some(_) => 1,
            None => (MOST_ROWS_PER_SHARD / rows.max(1)).max(1),
        };
        let mut base = vec![0.0; rows * width];
        if let Some(weight) = &self.condition_weight {
            let left = Operand::plain(condition);
            matmul(rows, left, weight, &mut base, false);
        }
        let mut spare = None;
        let keep = kept.is_some();
        let kept = kept.unwrap_or_else(|| spare.insert(self.engine.shards().take()));
        if keep {
            sized(&mut kept.slopes, steps.len() * rows * outputs);
        }
        let (mut out, mut x) = (vec![0.0; together * rows * outputs], Vec::new());
        for start in (0..steps.len()).step_by(together) {
            let group = start..(start + together).min(steps.len());
            x.clear();
            states[group.clone()]
                .iter()
                .for_each(|s| x.extend_from_slice(s));
            let out = &mut out[..group.len() * rows * outputs];
            let keep_at = keep.then_some(start * rows);
            let of_group = (steps.start + start, group.len());
            self.outputs(&x, &base, of_group, out, (kept, keep_at));
            for index in group {
                let part = (index - start) * rows..(index - start + 1) * rows;
                let (before, after) = states.split_at_mut(index + 1);
                let slopes = index * rows * outputs..(index + 1) * rows * outputs;
                self.step(
                    steps.start + index,
                    (before[index], condition, after[0]),
                    &out[part.start * outputs..part.end * outputs],
                    (scale, scores.get_mut(index..), steps.len()),
                    if keep {
                        &mut kept.slopes[slopes]
                    } else {
                        &mut []
                    },
                );
            }
        }
        if let Some(spare) = spare {
            self.engine.shards().give_back(spare);
        }
    }

    /// The network's outputs for the states `x` of consecutive steps, step-major.
    fn outputs(
        &self,
        x: &[f32],
        base: &[f32],
        (first_step, count): (usize, usize),
        out: &mut [f32],
        (kept, keep): (&mut KeptShard, Option<usize>),
    ) {
        let (rows, width) = (x.len() / self.diffusion.dim / count, self.biases[0].len());
        let at = keep.unwrap_or(0);
        let part = at * width..(at + count * rows) * width;
        let z = &mut sized(&mut kept.z, part.end)[part.clone()];
        z.chunks_exact_mut(base.len().max(1))
            .for_each(|z| z.copy_from_slice(base));
        let left = Operand::plain(x);
        matmul(count * rows, left, &self.state_weight, z, true);
        if let Some(weight) = &self.wave_weight {
            let mut seen = std::mem::take(&mut kept.waves);
            waves(x, self.diffusion.dim, self.diffusion.waves, &mut seen);
            matmul(count * rows, Operand::plain(&seen), weight, z, true);
            kept.waves = seen;
        }
        let (hidden, inverse): (&mut [f32], &mut [f32]) = match keep {
            Some(_) => (
                &mut sized(&mut kept.hidden, part.end)[part],
                &mut sized(&mut kept.inverse, at + count * rows)[at..],
            ),
            None => Default::default(),
        };
        for i in 0..count {
            let of_step = i * rows * width..(i + 1) * rows * width;
            rows::forward(
                self.spec.activation,
                &self.biases[first_step + i],
                self.first_norm(),
                &mut z[of_step.clone()],
                hidden.get_mut(of_step).unwrap_or_default(),
                inverse
                    .get_mut(i * rows..(i + 1) * rows)
                    .unwrap_or_default(),
            );
        }
        let net = self.rest.net(&self.parameters.values()[self.rest_start..]);
        let input: &[f32] = if keep.is_some() { hidden } else { z };
        pass::forward_at(net, input, out, &mut kept.work, keep);
    }

    /// One step of all rows: the next state where it is drawn, the score and its slopes where they are wanted.
    fn step(
        &self,
        step: usize,
        (x, condition, next): (&[f32], &[f32], &mut [f32]),
        out: &[f32],
        (scale, mut scores, stride): (Option<f32>, Option<&mut [f32]>, usize),
        slopes: &mut [f32],
    ) {
        let (dim, outputs) = (self.diffusion.dim, self.spec.outputs());
        let of_step = &self.diffusion.steps[step];
        let numbers = StepNumbers {
            factors: [of_step.state, of_step.output, of_step.sigma],
            exact: of_step.exact,
            log_sigma_limit: self.diffusion.log_sigma_limit,
            scale,
        };
        let of_row = |function: &Arc<HostField>| function(x, &vec![step; x.len() / dim], condition);
        let along = self.diffusion.guidance.as_ref().map(of_row);
        let exact = self.diffusion.exact.as_ref().map(of_row);
        let mut slopes = slopes.chunks_exact_mut(outputs);
        let rows = x.chunks_exact(dim).zip(out.chunks_exact(outputs));
        for (row, ((x, out), next)) in rows.zip(next.chunks_exact_mut(dim)).enumerate() {
            let at = row * dim..(row + 1) * dim;
            let known = [&along, &exact].map(|values| values.as_ref().map(|v| &v[at.clone()]));
            let slopes = slopes.next().unwrap_or_default();
            let score = numbers.row((x, out, known), next, slopes);
            if let Some(slot) = scores.as_mut().and_then(|s| s.get_mut(row * stride)) {
                *slot = score;
            }
        }
    }
}

impl StepNumbers {
    /// One row: returns the score, without −½ log 2π and log σ_k.
    #[inline]
    fn row(
        &self,
        (x, out, [along, exact]): (&[f32], &[f32], Known<'_>),
        next: &mut [f32],
        slopes: &mut [f32],
    ) -> f32 {
        let [a, c, sigma] = self.factors;
        let (dim, learned) = (x.len(), self.log_sigma_limit.is_some());
        let limit = self.log_sigma_limit.unwrap_or(1.0);
        let push = along.map_or(0.0, |_| out[out.len() - 1]);
        let (mut score, mut push_slope) = (0.0, 0.0);
        for i in 0..dim {
            let mut mean = x[i] * a + out[i] * c;
            if let Some(exact) = exact {
                mean += exact[i] * self.exact;
            }
            if let Some(along) = along {
                mean += along[i] * push * sigma;
            }
            let bounded = if learned {
                (out[dim + i] / limit).tanh()
            } else {
                0.0
            };
            let log_scale = bounded * limit;
            let std = if learned {
                sigma * log_scale.exp()
            } else {
                sigma
            };
            if let Some(scale) = self.scale {
                next[i] = mean + next[i] * (std * scale);
            }
            let z = (mean - next[i]) / std;
            score -= 0.5 * z * z + log_scale;
            if slopes.is_empty() {
                continue;
            }
            slopes[i] = -z / std * c;
            if learned {
                slopes[dim + i] = (z * z - 1.0) * (1.0 - bounded * bounded);
            }
            if let Some(along) = along {
                push_slope -= z / std * sigma * along[i];
            }
        }
        if along.is_some()
            && let Some(last) = slopes.last_mut()
        {
            *last = push_slope;
        }
        score
    }
}
