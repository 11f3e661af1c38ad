//! One update in parts: draw and score paths, weigh them by their residuals, and back-propagate.

use burn::tensor::Tensor;

use super::options::LogZ;
use super::{Finetuner, Report, Sources};
use crate::nets::{host, matrix, vector};
use crate::noise::Noise;
use crate::rtb;
use crate::sequential::SequentialModel;

/// Paths of one source with their numbers.
pub(super) struct Batch<M: SequentialModel> {
    pub path: M::Path,
    /// log q of the steps with their graph, [paths, T]; none when the graph is built in chunks later.
    tracked: Option<Tensor<2>>,
    /// log q − log p of each step, [paths, T].
    gaps: Vec<f64>,
    log_posterior: Vec<f64>,
    log_prior: Vec<f64>,
    /// log r times the temperature.
    pub values: Vec<f64>,
    log_reward: Vec<f64>,
    pub per_condition: usize,
}

/// Batches whose paths share their conditions: a group is what all batches hold of one condition.
pub(super) struct Set<M: SequentialModel> {
    pub batches: Vec<Batch<M>>,
    conditions: Option<M::Condition>,
}

/// Weights of ∇log q of every step, by set and batch, [paths, T] each, and what the value network learns from.
pub(super) struct Weighed {
    pub report: Report,
    pub weights: Vec<Vec<Vec<f64>>>,
    pub value: Vec<(Tensor<2>, Vec<f64>)>,
}

impl<M: SequentialModel> Set<M> {
    fn total(&self) -> usize {
        self.batches.iter().map(|b| b.per_condition).sum()
    }

    fn groups(&self) -> usize {
        self.batches[0].values.len() / self.batches[0].per_condition
    }

    fn paths(&self) -> usize {
        self.total() * self.groups()
    }

    /// Puts per-path numbers of the batches into the order of groups.
    fn gather(&self, numbers: &[Vec<f64>]) -> Vec<f64> {
        let mut out = Vec::with_capacity(self.paths());
        for c in 0..self.groups() {
            for (batch, n) in self.batches.iter().zip(numbers) {
                out.extend_from_slice(&n[c * batch.per_condition..(c + 1) * batch.per_condition]);
            }
        }
        out
    }

    /// The inverse of [`Self::gather`].
    fn scatter(&self, grouped: &[f64]) -> Vec<Vec<f64>> {
        let mut out = vec![Vec::new(); self.batches.len()];
        for group in grouped.chunks_exact(self.total()) {
            let mut rest = group;
            for (batch, out) in self.batches.iter().zip(&mut out) {
                let (own, others) = rest.split_at(batch.per_condition);
                out.extend_from_slice(own);
                rest = others;
            }
        }
        out
    }

    fn log_weights(&self) -> Vec<Vec<f64>> {
        self.batches
            .iter()
            .map(|b| rtb::log_weights(&b.log_posterior, &b.log_prior, &b.log_reward))
            .collect()
    }
}

impl<M: SequentialModel> Finetuner<M> {
    /// Whether the graph of the first scoring is the one that is back-propagated.
    fn eager(&self) -> bool {
        self.options.chunk == 0 && self.options.sampled_steps == 0
    }

    /// Scores a path under both models; `scores` are those of `scored` where they are known already.
    fn batch(
        &self,
        tracked: &M,
        path: M::Path,
        scores: [Option<Tensor<2>>; 2],
        (values, per_condition): (Vec<f64>, usize),
    ) -> Batch<M> {
        let steps = self.prior.num_steps();
        let [posterior, prior] = scores;
        let scorer = if self.eager() {
            tracked
        } else {
            &self.posterior
        };
        let posterior = posterior.unwrap_or_else(|| scorer.step_log_probs(&path, 0..steps));
        let prior = prior.unwrap_or_else(|| self.prior.step_log_probs(&path, 0..steps));
        let wide = |t: Tensor<2>| -> Vec<f64> { host(t).iter().map(|&v| f64::from(v)).collect() };
        let (q, p) = (wide(posterior.clone().detach()), wide(prior));
        let sums = |v: &[f64]| v.chunks_exact(steps).map(|row| row.iter().sum()).collect();
        Batch {
            path,
            tracked: self.eager().then_some(posterior),
            log_posterior: sums(&q),
            log_prior: sums(&p),
            gaps: q.iter().zip(&p).map(|(q, p)| q - p).collect(),
            log_reward: values.iter().map(|v| v / self.temperature).collect(),
            values,
            per_condition,
        }
    }

    /// Draws one group per condition from all sources.
    pub(super) fn draw(&self, tracked: &M, sources: Sources<'_, M>, noise: &mut Noise) -> Set<M> {
        let sampler = if self.eager() {
            tracked
        } else {
            &self.posterior
        };
        let counts = [
            self.mixture.on_policy,
            self.mixture.prior,
            self.mixture.data,
            self.options.exploration.paths,
        ];
        let mut batches = Vec::new();
        for (source, count) in counts.into_iter().enumerate().filter(|(_, c)| *c > 0) {
            let rows = (sources.condition)(count);
            let (path, scores) = match source {
                0 => {
                    let (path, scores) = sampler.sample_path(&rows, noise);
                    (path, [Some(scores), None])
                }
                1 => {
                    let (path, scores) = self.prior.sample_path(&rows, noise);
                    (path, [None, Some(scores)])
                }
                2 => {
                    let path = self.prior.path_to(&rows, &(sources.data)(count), noise);
                    (path, [None, None])
                }
                _ => {
                    let scale = self.options.exploration.scale_at(self.optimizer.count);
                    (self.posterior.explore(&rows, scale, noise), [None, None])
                }
            };
            let values = (sources.value)(&self.prior.sample_of(&path), count);
            batches.push(self.batch(tracked, path, scores, (values, count)));
        }
        Set {
            batches,
            conditions: Some((sources.condition)(1)),
        }
    }

    /// Draws replayed samples, noised backwards anew and scored anew under both models.
    pub(super) fn replayed(&self, tracked: &M, noise: &mut Noise) -> Option<Set<M>> {
        let replayed = self.replay.draw(noise)?;
        let path = self
            .prior
            .path_to(&replayed.condition, &replayed.samples, noise);
        let count = replayed.values.len() / self.options.replay.groups;
        let rows: Vec<usize> = (0..self.options.replay.groups).map(|g| g * count).collect();
        let conditions = crate::sequential::Rows::pick(&replayed.condition, &rows);
        let batch = self.batch(tracked, path, [None, None], (replayed.values, count));
        Some(Set {
            batches: vec![batch],
            conditions: Some(conditions),
        })
    }

    /// Computes δ and hands every step of every path its gradient weight.
    pub(super) fn weigh(&self, sets: &[Set<M>], noise: &mut Noise) -> Weighed {
        let all: usize = sets.iter().map(Set::paths).sum();
        let mut out = Weighed {
            report: self.measure(&sets[0]),
            weights: Vec::new(),
            value: Vec::new(),
        };
        for (i, set) in sets.iter().enumerate() {
            let share = set.paths() as f64 / all as f64;
            let (loss, log_z) = if self.options.segment > 0 {
                self.weigh_segments(set, share, noise, &mut out)
            } else {
                self.weigh_paths(set, share, &mut out)
            };
            out.report.loss += share * loss;
            if i == 0 {
                out.report.log_z = log_z;
            }
        }
        out
    }

    fn weigh_paths(&self, set: &Set<M>, share: f64, out: &mut Weighed) -> (f64, f64) {
        let total = set.total();
        let grouped = set.gather(&set.log_weights());
        let log_z = match (&self.value, &set.conditions) {
            (Some(net), Some(conditions)) if self.options.log_z == LogZ::Learned => {
                let features = self.prior.condition_features(conditions);
                let values = net.values(&features);
                let repeat = |z: &f64| std::iter::repeat_n(*z, total);
                let log_z: Vec<f64> = values.iter().flat_map(repeat).collect();
                let residual = rtb::residual(&log_z, &grouped);
                let weights = rtb::gradient_weights(&residual, self.shaping);
                let sums = weights
                    .chunks_exact(total)
                    .map(|w| share * w.iter().sum::<f64>());
                out.value.push((features, sums.collect()));
                log_z
            }
            _ if self.options.log_z == LogZ::Robust => {
                rtb::robust_log_z(&grouped, total, self.shaping.huber)
            }
            _ => rtb::vargrad_log_z(&grouped, total),
        };
        let residual = rtb::residual(&log_z, &grouped);
        let weights = rtb::gradient_weights(&residual, self.shaping);
        let steps = self.prior.num_steps();
        let spread = |w: Vec<f64>| -> Vec<f64> {
            w.iter()
                .flat_map(|w| std::iter::repeat_n(share * w, steps))
                .collect()
        };
        out.weights
            .push(set.scatter(&weights).into_iter().map(spread).collect());
        let mean = log_z.iter().sum::<f64>() / log_z.len() as f64;
        (rtb::loss(&residual), mean)
    }

    /// Sub-trajectory balance: δ of a segment = F(x_i) + Σ (log q − log p) − F(x_j), with F(x_T) = log r. The first
    /// segment is of a random length, so every state is a boundary at times.
    fn weigh_segments(
        &self,
        set: &Set<M>,
        share: f64,
        noise: &mut Noise,
        out: &mut Weighed,
    ) -> (f64, f64) {
        let net = self.value.as_ref().expect("with_options made it");
        let steps = self.prior.num_steps();
        let first = 1 + noise.indices(1, self.options.segment.min(steps))[0];
        let mut bounds = vec![0];
        bounds.extend((first..steps).step_by(self.options.segment));
        bounds.push(steps);
        let segments = bounds.len() - 1;
        let (mut weights, mut losses, mut starts) = (Vec::new(), 0.0, 0.0);
        for batch in &set.batches {
            let paths = batch.values.len();
            let features: Vec<Tensor<2>> = bounds[..segments]
                .iter()
                .map(|&k| self.prior.state_features(&batch.path, k))
                .collect();
            let mut values: Vec<Vec<f64>> = features.iter().map(|f| net.values(f)).collect();
            starts += values[0].iter().sum::<f64>();
            values.push(batch.log_reward.clone());
            let mut residual = Vec::with_capacity(paths * segments);
            for path in 0..paths {
                for s in 0..segments {
                    let row = path * steps;
                    let gap: f64 = batch.gaps[row + bounds[s]..row + bounds[s + 1]]
                        .iter()
                        .sum();
                    residual.push(values[s][path] + gap - values[s + 1][path]);
                }
            }
            losses += rtb::loss(&residual) * (segments * paths) as f64;
            // gradient_weights divides by paths · segments of this batch; the loss is a mean over the set's paths.
            let scale = share * (paths * segments) as f64 / set.paths() as f64;
            let shaped: Vec<f64> = rtb::gradient_weights(&residual, self.shaping)
                .iter()
                .map(|w| w * scale)
                .collect();
            let mut by_step = vec![0.0; paths * steps];
            for path in 0..paths {
                for s in 0..segments {
                    let row = path * steps;
                    by_step[row + bounds[s]..row + bounds[s + 1]].fill(shaped[path * segments + s]);
                }
            }
            weights.push(by_step);
            for (s, features) in features.into_iter().enumerate() {
                let own = |path: usize| {
                    let before = if s > 0 {
                        shaped[path * segments + s - 1]
                    } else {
                        0.0
                    };
                    shaped[path * segments + s] - before
                };
                out.value.push((features, (0..paths).map(own).collect()));
            }
        }
        out.weights.push(weights);
        let paths = set.paths() as f64;
        (losses / paths, starts / paths)
    }

    /// The numbers of a report that do not depend on log Z.
    fn measure(&self, set: &Set<M>) -> Report {
        let first = &set.batches[0];
        let paths = first.values.len() as f64;
        let q = &first.log_posterior;
        let gaps = q.iter().zip(&first.log_prior).map(|(q, p)| q - p);
        let weights = rtb::log_weights(q, &first.log_prior, &first.log_reward);
        let shares = weights.chunks_exact(first.per_condition);
        Report {
            path_kl: gaps.sum::<f64>() / paths,
            ess: shares.map(rtb::effective_share).sum::<f64>() / set.groups() as f64,
            log_reward: first.log_reward.iter().sum::<f64>() / paths,
            ..Report::default()
        }
    }

    /// Returns Σ weights · ∇log q: at once from the graphs of the draw, or chunk by chunk with new ones.
    pub(super) fn backward(
        &self,
        tracked: &M,
        sets: &[Set<M>],
        weights: &[Vec<Vec<f64>>],
        noise: &mut Noise,
    ) -> Vec<f32> {
        let batches = || {
            let pairs = sets.iter().zip(weights);
            pairs.flat_map(|(set, w)| set.batches.iter().zip(w))
        };
        let steps = self.prior.num_steps();
        if self.eager() {
            let terms = batches().map(|(batch, w)| {
                let scores = batch.tracked.clone().expect("kept when eager");
                weighted_sum(scores, w)
            });
            let total = terms.reduce(|a, b| a + b).expect("a set holds paths");
            return gradient_of(tracked, total);
        }
        let mut sum = vec![0.0f32; tracked.parameters().dims()[0]];
        for (range, factor) in self.chunks(noise) {
            for (batch, w) in batches() {
                let part: Vec<f64> = w
                    .chunks_exact(steps)
                    .flat_map(|row| row[range.clone()].iter().map(|w| factor * w))
                    .collect();
                let scores = tracked.step_log_probs(&batch.path, range.clone());
                let gradient = gradient_of(tracked, weighted_sum(scores, &part));
                sum.iter_mut().zip(&gradient).for_each(|(s, g)| *s += g);
            }
        }
        sum
    }

    /// Returns the ranges of steps to back-propagate, with T over the number of sampled steps.
    fn chunks(&self, noise: &mut Noise) -> Vec<(std::ops::Range<usize>, f64)> {
        let steps = self.prior.num_steps();
        let sampled = self.options.sampled_steps.min(steps);
        if sampled == 0 {
            let chunk = self.options.chunk.clamp(1, steps);
            let starts = (0..steps).step_by(chunk);
            return starts.map(|s| (s..(s + chunk).min(steps), 1.0)).collect();
        }
        // The first draws of a Fisher–Yates shuffle: distinct steps, every subset equally likely.
        let mut noise = Noise::keyed(noise.seed(), "steps", self.optimizer.count);
        let mut order: Vec<usize> = (0..steps).collect();
        for i in 0..sampled {
            order.swap(i, i + noise.indices(1, steps - i)[0]);
        }
        let factor = steps as f64 / sampled as f64;
        order[..sampled]
            .iter()
            .map(|&k| (k..k + 1, factor))
            .collect()
    }
}

/// Returns Σ weights · scores, both [paths, steps].
fn weighted_sum(scores: Tensor<2>, weights: &[f64]) -> Tensor<1> {
    let columns = scores.dims()[1];
    let device = scores.device().inner();
    let weights = weights.iter().map(|&w| w as f32).collect();
    (scores * matrix(weights, columns, &device)).sum()
}

fn gradient_of<M: SequentialModel>(tracked: &M, surrogate: Tensor<1>) -> Vec<f32> {
    let gradients = surrogate.backward();
    let parameters = tracked.parameters();
    let gradient = parameters.grad(&gradients);
    host(gradient.unwrap_or_else(|| {
        vector(
            vec![0.0; parameters.dims()[0]],
            &parameters.device().inner(),
        )
    }))
}
