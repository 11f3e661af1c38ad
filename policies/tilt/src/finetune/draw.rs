//! The first half of an update: paths from all sources, scored.

use super::tuner::{Batch, Finetuner};
use crate::noise::Noise;
use crate::optimizer::Optimizer;
use crate::reward::Reward;
use crate::rtb;
use crate::score::{Known, Paths, Scores, score};
use crate::sequential::{Batched, Scored, SequentialModel};

/// Paths of one source with their numbers.
pub(super) struct Drawn<M: SequentialModel> {
    pub path: M::Path,
    pub scores: Scores,
    pub per_condition: usize,
}

/// Paths that share their conditions: a group is what all sources hold of one condition.
pub(super) struct Set<M: SequentialModel> {
    pub drawn: Vec<Drawn<M>>,
    pub conditions: M::Condition,
}

/// Where paths come from.
#[derive(Clone, Copy)]
enum Source {
    OnPolicy,
    Prior,
    Data,
    Exploration,
}

impl<M: SequentialModel> Set<M> {
    /// Paths per group.
    pub fn total(&self) -> usize {
        self.drawn.iter().map(|d| d.per_condition).sum()
    }

    pub(crate) fn groups(&self) -> usize {
        self.drawn[0].scores.values.len() / self.drawn[0].per_condition
    }

    pub(crate) fn paths(&self) -> usize {
        self.total() * self.groups()
    }

    /// ℓ of all paths in the order of groups.
    pub fn log_weights(&self) -> Vec<f64> {
        let numbers: Vec<Vec<f64>> = self.drawn.iter().map(|d| d.scores.log_weights()).collect();
        let mut out = Vec::with_capacity(self.paths());
        for c in 0..self.groups() {
            for (drawn, n) in self.drawn.iter().zip(&numbers) {
                out.extend_from_slice(&n[c * drawn.per_condition..(c + 1) * drawn.per_condition]);
            }
        }
        out
    }

    /// Hands numbers in the order of groups back to the sources.
    pub(crate) fn scatter(&self, grouped: &[f64]) -> Vec<Vec<f64>> {
        let mut out = vec![Vec::new(); self.drawn.len()];
        for group in grouped.chunks_exact(self.total()) {
            let mut rest = group;
            for (drawn, out) in self.drawn.iter().zip(&mut out) {
                let (own, others) = rest.split_at(drawn.per_condition);
                out.extend_from_slice(own);
                rest = others;
            }
        }
        out
    }

    /// Mean ESS/N of the first source's groups.
    pub(crate) fn effective_share(&self) -> f64 {
        let first = &self.drawn[0];
        let weights = first.scores.log_weights();
        let shares = weights.chunks_exact(first.per_condition);
        shares.map(rtb::effective_share).sum::<f64>() / self.groups() as f64
    }
}

impl<M: SequentialModel, O: Optimizer> Finetuner<M, O> {
    /// Whether the graph of the first scoring is the one that is back-propagated.
    pub(super) fn keeps_graph(&self) -> bool {
        self.options.chunk == 0 && self.options.sampled_steps == 0
    }

    /// The posterior that samples and scores: the tracked one where its graph is kept.
    fn scorer<'a>(&'a self, tracked: &'a M) -> &'a M {
        if self.keeps_graph() {
            tracked
        } else {
            &self.posterior
        }
    }

    /// Draws one group per condition from all sources.
    pub(super) fn draw(
        &self,
        tracked: &M,
        batch: &Batch<M>,
        reward: Reward<'_, M>,
        noise: &mut Noise,
    ) -> Set<M> {
        let counts = [
            (Source::OnPolicy, self.mixture.on_policy),
            (Source::Prior, self.mixture.prior),
            (Source::Data, self.mixture.data),
            (Source::Exploration, self.options.exploration.paths),
        ];
        let mut drawn = Vec::new();
        for (source, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            let condition = batch.conditions.repeated(count);
            let (path, known) = self.path_from(source, tracked, batch, &condition, noise);
            let scorer = self.scorer(tracked);
            drawn.push(Drawn {
                scores: score(
                    scorer,
                    &self.prior,
                    reward,
                    Paths {
                        condition: &condition,
                        path: &path,
                    },
                    known,
                ),
                path,
                per_condition: count,
            });
        }
        Set {
            drawn,
            conditions: batch.conditions.clone(),
        }
    }

    fn path_from(
        &self,
        source: Source,
        tracked: &M,
        batch: &Batch<M>,
        condition: &M::Condition,
        noise: &mut Noise,
    ) -> (M::Path, Known) {
        match source {
            Source::OnPolicy => {
                let Scored { path, scores } = self.scorer(tracked).sample_path(condition, noise);
                let known = Known {
                    posterior: Some(scores),
                    prior: None,
                };
                (path, known)
            }
            Source::Prior => {
                let Scored { path, scores } = self.prior.sample_path(condition, noise);
                let known = Known {
                    posterior: None,
                    prior: Some(scores),
                };
                (path, known)
            }
            Source::Data => {
                let data = batch.data.as_ref();
                let data = data.expect("a mixture with data paths needs a batch with data");
                (self.prior.path_to(condition, data, noise), Known::default())
            }
            Source::Exploration => {
                let explore = self
                    .explore
                    .expect("exploration paths are set together with it");
                let scale = self.options.exploration.scale_at(self.optimizer.count());
                let path = explore(&self.posterior, condition, scale, noise);
                (path, Known::default())
            }
        }
    }

    /// Draws replayed samples, noised backwards anew and scored anew under both models.
    pub(super) fn draw_replayed(&self, tracked: &M, noise: &mut Noise) -> Option<Set<M>> {
        let replayed = self.replay.draw(noise)?;
        let path = self
            .prior
            .path_to(&replayed.condition, &replayed.samples, noise);
        let stored = |_: &M::Sample, _: &M::Condition| replayed.values.clone();
        let reward = Reward {
            value: &stored,
            alpha: self.alpha,
        };
        let scorer = self.scorer(tracked);
        let rows = Paths {
            condition: &replayed.condition,
            path: &path,
        };
        let scores = score(scorer, &self.prior, reward, rows, Known::default());
        Some(Set {
            drawn: vec![Drawn {
                per_condition: replayed.values.len() / self.options.replay.groups,
                scores,
                path,
            }],
            conditions: replayed.conditions,
        })
    }
}
