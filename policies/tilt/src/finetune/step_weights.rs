//! The middle of an update: δ of every path, and the weight of ∇log q of every step.

use burn::tensor::Tensor;

use super::draw::{Drawn, Set};
use super::options::LogZ;
use super::tuner::{FeaturesOfState, Finetuner, Learned, Report};
use super::value::ValueNet;
use crate::noise::Noise;
use crate::optimizer::Optimizer;
use crate::rtb;
use crate::sequential::SequentialModel;

/// Weights of ∇log q of every step, by set and source, [paths, T] each, and what the value network learns from.
pub(super) struct StepWeights {
    pub report: Report,
    pub weights: Vec<Vec<Vec<f64>>>,
    pub value: Vec<(Tensor<2>, Vec<f64>)>,
}

/// Loss and mean log Z of one set.
struct Balance {
    loss: f64,
    log_z: f64,
}

/// Residuals of the sub-trajectories of one source's paths, [paths, count], with the features of
/// the states that they start from.
struct SubTrajectories {
    residual: Vec<f64>,
    features: Vec<Tensor<2>>,
    start_value: f64,
}

impl<M: SequentialModel, O: Optimizer> Finetuner<M, O> {
    /// Computes δ and hands every step of every path its gradient weight.
    pub(super) fn step_weights(&self, sets: &[Set<M>], noise: &mut Noise) -> StepWeights {
        let all: usize = sets.iter().map(Set::paths).sum();
        let first = &sets[0].drawn[0].scores;
        let paths = first.values.len() as f64;
        let mut out = StepWeights {
            report: Report {
                path_kl: first.path_kl(),
                ess: sets[0].effective_share(),
                log_reward: first.log_reward.iter().sum::<f64>() / paths,
                ..Report::default()
            },
            weights: Vec::new(),
            value: Vec::new(),
        };
        for (i, set) in sets.iter().enumerate() {
            let share = set.paths() as f64 / all as f64;
            let balance = match &self.learned {
                Some(Learned::States(net, features)) => {
                    self.weights_of_sub_trajectories(set, (net, *features), share, noise, &mut out)
                }
                _ => self.weights_of_paths(set, share, &mut out),
            };
            out.report.loss += share * balance.loss;
            if i == 0 {
                out.report.log_z = balance.log_z;
            }
        }
        out
    }

    fn weights_of_paths(&self, set: &Set<M>, share: f64, out: &mut StepWeights) -> Balance {
        let total = set.total();
        let grouped = set.log_weights();
        let log_z = match &self.learned {
            Some(Learned::LogZ(net, features)) => {
                let features = features(&self.prior, &set.conditions);
                let values = net.values(&features);
                let repeat = |z: &f64| std::iter::repeat_n(*z, total);
                let log_z: Vec<f64> = values.iter().flat_map(repeat).collect();
                let residual = rtb::residual(&log_z, &grouped);
                let weights = rtb::gradient_weights(&residual, self.shaping);
                let groups = weights.chunks_exact(total);
                let sums = groups.map(|w| share * w.iter().sum::<f64>());
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
        Balance {
            loss: rtb::loss(&residual),
            log_z: log_z.iter().sum::<f64>() / log_z.len() as f64,
        }
    }

    /// Where sub-trajectories begin and end: the first is of a random length, so every state is a boundary at times.
    fn boundaries(&self, noise: &mut Noise) -> Vec<usize> {
        let steps = self.prior.num_steps();
        let first = 1 + noise.indices(1, self.options.sub_trajectory.min(steps))[0];
        let mut bounds = vec![0];
        bounds.extend((first..steps).step_by(self.options.sub_trajectory));
        bounds.push(steps);
        bounds
    }

    /// δ of each sub-trajectory = F(x_i) + Σ (log q − log p) − F(x_j), with F(x_T) = log r.
    fn sub_trajectories(
        &self,
        drawn: &Drawn<M>,
        (net, features): (&ValueNet, FeaturesOfState<M>),
        bounds: &[usize],
    ) -> SubTrajectories {
        let (steps, count) = (self.prior.num_steps(), bounds.len() - 1);
        let starts = bounds[..count].iter();
        let features: Vec<Tensor<2>> = starts
            .map(|&k| features(&self.prior, &drawn.path, k))
            .collect();
        let mut values: Vec<Vec<f64>> = features.iter().map(|f| net.values(f)).collect();
        let start_value = values[0].iter().sum::<f64>();
        values.push(drawn.scores.log_reward.clone());
        let gaps = drawn.scores.gaps();
        let mut residual = Vec::with_capacity(drawn.scores.values.len() * count);
        for (path, gaps) in gaps.chunks_exact(steps).enumerate() {
            for s in 0..count {
                let gap: f64 = gaps[bounds[s]..bounds[s + 1]].iter().sum();
                residual.push(values[s][path] + gap - values[s + 1][path]);
            }
        }
        SubTrajectories {
            residual,
            features,
            start_value,
        }
    }

    /// Sub-trajectory balance (the multi-step loss of Trust-PCL, arXiv:2509.01632).
    fn weights_of_sub_trajectories(
        &self,
        set: &Set<M>,
        net: (&ValueNet, FeaturesOfState<M>),
        share: f64,
        noise: &mut Noise,
        out: &mut StepWeights,
    ) -> Balance {
        let bounds = self.boundaries(noise);
        let (steps, count) = (self.prior.num_steps(), bounds.len() - 1);
        let (mut weights, mut losses, mut starts) = (Vec::new(), 0.0, 0.0);
        for drawn in &set.drawn {
            let paths = drawn.scores.values.len();
            let found = self.sub_trajectories(drawn, net, &bounds);
            starts += found.start_value;
            losses += rtb::loss(&found.residual) * (count * paths) as f64;
            // gradient_weights divides by paths · count of this source; the loss is a mean over the set's paths.
            let scale = share * (paths * count) as f64 / set.paths() as f64;
            let shaped = rtb::gradient_weights(&found.residual, self.shaping);
            let shaped: Vec<f64> = shaped.iter().map(|w| w * scale).collect();
            let mut by_step = vec![0.0; paths * steps];
            let rows = by_step.chunks_exact_mut(steps);
            for (row, shaped) in rows.zip(shaped.chunks_exact(count)) {
                for (s, &weight) in shaped.iter().enumerate() {
                    row[bounds[s]..bounds[s + 1]].fill(weight);
                }
            }
            weights.push(by_step);
            for (s, features) in found.features.into_iter().enumerate() {
                let own = |row: &[f64]| row[s] - if s > 0 { row[s - 1] } else { 0.0 };
                let rows = shaped.chunks_exact(count);
                out.value.push((features, rows.map(own).collect()));
            }
        }
        out.weights.push(weights);
        let paths = set.paths() as f64;
        Balance {
            loss: losses / paths,
            log_z: starts / paths,
        }
    }
}
