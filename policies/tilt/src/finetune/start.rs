//! From where a fine-tuning may start: a frozen prior, and a posterior that is the same distribution.

use burn::module::Module;

use super::options::{Options, ReplayOptions};
use super::replay::Replay;
use super::tuner::{Finetuner, Mixture};
use crate::error::TiltError;
use crate::host::host;
use crate::noise::Noise;
use crate::optimizer::Optimizer;
use crate::rtb::Shaping;
use crate::score::Known;
use crate::sequential::{Batched, Scored, SequentialModel};
use crate::weights;

/// Largest |log q − log p| of a path at the start, nats per ten steps: what f32 rounding leaves.
const TOLERANCE: f64 = 1e-3;
/// Rows of the condition that are tried.
const TRIED: usize = 8;

impl<M: SequentialModel, O: Optimizer> Finetuner<M, O> {
    /// Returns a fine-tuner of a posterior that starts as the same distribution as the frozen prior, perhaps with more outputs.
    ///
    /// Paths of a few rows of `conditions` are drawn and scored under both.
    ///
    /// # Errors
    /// [`TiltError::Start`] when the prior records gradients, when the two differ, or when the mixture holds fewer than two
    /// paths; it names the parameter and says what to do.
    pub fn new(
        prior: M,
        posterior: M,
        optimizer: O,
        mixture: Mixture,
        conditions: &M::Condition,
    ) -> Result<Self, TiltError> {
        if mixture.total() < 2 {
            return Err(TiltError::Start(format!(
                "a group needs at least 2 paths per condition, found {}\n  hint: raise one of the mixture's counts",
                mixture.total()
            )));
        }
        frozen(&prior)?;
        let posterior = posterior.with_weights(posterior.weights().valid());
        let rows: Vec<usize> = (0..conditions.count().min(TRIED)).collect();
        same(&prior, &posterior, &conditions.pick(&rows))?;
        Ok(Self {
            prior,
            posterior,
            optimizer,
            mixture,
            shaping: Shaping::default(),
            alpha: 1.0,
            explore: None,
            learned: None,
            replay: Replay::new(ReplayOptions::default()),
            options: Options::default(),
        })
    }
}

fn frozen<M: SequentialModel>(prior: &M) -> Result<(), TiltError> {
    let tracked = weights::tracked_names(prior.weights());
    let Some(name) = tracked.first() else {
        return Ok(());
    };
    Err(TiltError::Start(format!(
        "the prior must be frozen, and its parameter `{name}` records gradients ({} of its parameters do)\n  hint: pass `prior.with_weights(prior.weights().valid())`",
        tracked.len()
    )))
}

fn same<M: SequentialModel>(
    prior: &M,
    posterior: &M,
    condition: &M::Condition,
) -> Result<(), TiltError> {
    let steps = prior.num_steps();
    if posterior.num_steps() != steps {
        return Err(TiltError::Start(format!(
            "prior and posterior must have the same number of steps, found {steps} and {}",
            posterior.num_steps()
        )));
    }
    let mut noise = Noise::keyed(0, "start", 0);
    let Scored { path, scores } = posterior.sample_path(condition, &mut noise);
    let known = Known {
        posterior: Some(scores),
        prior: None,
    };
    let unscored = |_: &M::Sample, c: &M::Condition| vec![0.0; c.count()];
    let reward = crate::reward::Reward {
        value: &unscored,
        alpha: 1.0,
    };
    let paths = crate::score::Paths {
        condition,
        path: &path,
    };
    let scores = crate::score::score(posterior, prior, reward, paths, known);
    let (q, p) = (scores.log_posterior(), scores.log_prior());
    let gaps = q.iter().zip(&p).map(|(q, p)| (q - p).abs());
    let worst = gaps.fold(0.0, |worst: f64, gap| {
        if gap.is_nan() {
            f64::INFINITY
        } else {
            worst.max(gap)
        }
    });
    if worst <= TOLERANCE * (steps as f64 / 10.0).max(1.0) {
        return Ok(());
    }
    Err(TiltError::Start(format!(
        "the posterior must start as the prior, and a path has |log q − log p| = {worst:.3e} nats{}\n  hint: start from `prior.clone()`, or from the prior with new outputs whose weights are zero",
        differing(prior, posterior)
    )))
}

/// Names the first parameter in which two models of one shape differ.
fn differing<M: SequentialModel>(prior: &M, posterior: &M) -> String {
    let names = weights::names(posterior.weights());
    let all = |m: &M| weights::tensors(m.weights());
    let pairs = all(prior).into_iter().zip(all(posterior)).zip(names);
    for ((p, q), name) in pairs {
        let (p, q) = (host(p), host(q));
        if p.len() != q.len() {
            return format!(
                "; parameter `{name}` has {} values, the prior's {}",
                q.len(),
                p.len()
            );
        }
        if p != q {
            return format!("; parameter `{name}` differs from the prior's");
        }
    }
    String::new()
}
