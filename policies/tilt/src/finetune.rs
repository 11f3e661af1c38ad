//! Fine-tuning any sequential model to p(x|s) · r(x, s)/Z(s) by relative trajectory balance.
//!
//! One group per condition holds paths from several sources: the posterior itself, the prior, samples from data noised
//! backwards, and a noisier behaviour. Every path carries its own reward, so off-policy paths teach too. log Z(s) is
//! the leave-one-out VarGrad estimate of the group, or a network. The gradient is exact: mean δ ∇log q. Variants
//! are in [`Options`]. Sources: arXiv:2405.20971 (RTB), arXiv:2509.01632 (Trust-PCL), arXiv:2402.05098 (off-policy).

mod backward;
mod draw;
mod options;
mod replay;
mod start;
mod step_weights;
mod tuner;
mod value;

use std::path::Path;

use burn::tensor::Tensor;

use crate::checkpoint::Checkpoint;
use crate::error::TiltError;
use crate::noise::Noise;
use crate::optimizer::Optimizer;
use crate::reward::Reward;
use crate::sequential::SequentialModel;
use crate::weights;

use draw::{Drawn, Set};
pub use options::{Exploration, KlBudget, LogZ, Options, ReplayOptions};
pub use replay::{Replay, Replayed};
use step_weights::StepWeights;
pub use tuner::{Batch, Finetuner, Mixture, Report};

/// A gradient of the loss, with what else an update learns from.
pub struct Gradient<M: SequentialModel> {
    /// Of each parameter of the posterior, in the order of [`weights::tensors`]; none where it is frozen.
    pub posterior: Vec<Option<Tensor<1>>>,
    /// Numbers of the update.
    pub report: Report,
    value: Vec<(Tensor<2>, Vec<f64>)>,
    fresh: Drawn<M>,
}

impl<M: SequentialModel, O: Optimizer> Finetuner<M, O> {
    /// Does one update and reports it; `value` is log r times α.
    ///
    /// # Errors
    /// [`TiltError::NonFinite`] when loss or gradient is not finite; nothing is then changed.
    pub fn update(
        &mut self,
        batch: &Batch<M>,
        value: &crate::reward::Value<'_, M>,
        noise: &mut Noise,
    ) -> Result<Report, TiltError> {
        let gradient = self.gradient(batch, value, noise)?;
        let parameters = weights::tensors(self.posterior.weights());
        // The posterior's own tensors may be stepped where they lie once nothing else holds them.
        let empty = self.posterior.weights().clone();
        let stepped = self.optimizer.step(parameters, gradient.posterior);
        self.posterior = self
            .posterior
            .with_weights(weights::with_tensors(empty, stepped.parameters));
        if let Some(learned) = &mut self.learned {
            let rate = self.optimizer.learning_rate() * self.options.value_rate;
            let (features, weights): (Vec<_>, Vec<_>) = gradient.value.into_iter().unzip();
            let features = Tensor::cat(features, 0);
            learned.net_mut().learn(&features, &weights.concat(), rate);
        }
        if self.options.replay.groups > 0 {
            let fresh = &gradient.fresh;
            let samples = self.prior.sample_of(&fresh.path);
            let (values, count) = (&fresh.scores.values, fresh.per_condition);
            self.replay
                .store(&batch.conditions, &samples, values, count);
        }
        let budget = self.options.kl_budget;
        self.alpha = budget.next(self.alpha, gradient.report.path_kl);
        Ok(Report {
            gradient_norm: stepped.norm,
            ..gradient.report
        })
    }

    /// Returns the gradient of one update's loss and changes nothing; arguments as for [`Self::update`].
    ///
    /// # Errors
    /// [`TiltError::NonFinite`].
    pub fn gradient(
        &self,
        batch: &Batch<M>,
        value: &crate::reward::Value<'_, M>,
        noise: &mut Noise,
    ) -> Result<Gradient<M>, TiltError> {
        let non_finite = |what| TiltError::NonFinite {
            stage: "finetune",
            what,
            update: self.optimizer.count(),
        };
        let reward = Reward {
            value,
            alpha: self.alpha,
        };
        let tracked = self.posterior.tracked();
        let main = self.draw(&tracked, batch, reward, noise);
        let replayed = self.draw_replayed(&tracked, noise);
        let sets: Vec<Set<M>> = std::iter::once(main).chain(replayed).collect();
        let StepWeights {
            report,
            weights,
            value,
        } = self.step_weights(&sets, noise);
        if !report.loss.is_finite() {
            return Err(non_finite("loss"));
        }
        let posterior = self.backward(&tracked, &sets, &weights, noise);
        if !crate::optimizer::finite(&posterior) {
            return Err(non_finite("gradient"));
        }
        let main = sets.into_iter().next().expect("the first set is drawn");
        Ok(Gradient {
            posterior,
            report,
            value,
            fresh: main.drawn.into_iter().next().expect("a source is set"),
        })
    }

    /// Stores posterior, optimizers, value network and α; the replay is not stored, a resumed run refills it.
    pub fn put(&self, checkpoint: &mut Checkpoint) {
        weights::put(checkpoint, "posterior", self.posterior.weights());
        self.optimizer.put(checkpoint, "");
        if let Some(learned) = &self.learned {
            learned.net().put(checkpoint);
        }
        // The bits: JSON numbers need not come back exactly.
        let bits = format!("{:016x}", self.alpha.to_bits());
        checkpoint.settings.insert("alpha_bits".into(), bits.into());
    }

    /// Restores what [`Self::put`] stored, bit by bit.
    ///
    /// # Errors
    /// [`TiltError::Checkpoint`] when something is missing or has another length.
    pub fn get(&mut self, path: &Path, checkpoint: &Checkpoint) -> Result<(), TiltError> {
        let old = self.posterior.weights().clone();
        let lengths: Vec<usize> = weights::tensors(&old).iter().map(|t| t.dims()[0]).collect();
        let restored = weights::get(checkpoint, path, "posterior", old)?;
        if checkpoint.update > 0 {
            self.optimizer.get(checkpoint, path, "", &lengths)?;
        }
        if let Some(learned) = &mut self.learned {
            learned.net_mut().get(checkpoint, path)?;
        }
        let stored = |key: &str| checkpoint.settings.get(key);
        // Versions before the present names wrote the second.
        let bits = stored("alpha_bits").or_else(|| stored("temperature_bits"));
        let bits = bits.and_then(serde_json::Value::as_str);
        if let Some(bits) = bits.and_then(|b| u64::from_str_radix(b, 16).ok()) {
            self.alpha = f64::from_bits(bits);
        }
        self.posterior = self.posterior.with_weights(restored);
        Ok(())
    }
}
