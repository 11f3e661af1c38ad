//! Fine-tuning any sequential model to p(x|s) · r(x, s)/Z(s) by relative trajectory balance.
//!
//! One group per condition holds paths from several sources: the posterior itself, the prior, samples from data noised
//! backwards, and a noisier behaviour. Every path carries its own reward, so off-policy paths teach too. log Z(s) is
//! the leave-one-out VarGrad estimate of the group, or a network. The gradient is exact: mean δ ∇log q. Variants
//! are in [`Options`]. Sources: arXiv:2405.20971 (RTB), arXiv:2509.01632 (Trust-PCL), arXiv:2402.05098 (off-policy).

mod batch;
mod options;
mod replay;
mod value;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::checkpoint::Checkpoint;
use crate::error::PolicyError;
use crate::kernels::adam::{Adam, AdamConfig};
use crate::nets::{host, vector};
use crate::noise::Noise;
use crate::rtb::Shaping;
use crate::sequential::SequentialModel;

use batch::{Batch, Set, Weighed};
pub use options::{Exploration, KlBudget, LogZ, Options, ReplayOptions};
pub use replay::{Entry, Replay, Replayed};
pub use value::ValueNet;

/// How paths are drawn and residuals shaped.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mixture {
    /// Paths per condition from the posterior.
    pub on_policy: usize,
    /// Paths per condition from the prior.
    pub prior: usize,
    /// Paths per condition noised backwards from given samples.
    pub data: usize,
}

impl Mixture {
    /// Returns the paths per condition.
    pub fn total(&self) -> usize {
        self.on_policy + self.prior + self.data
    }
}

/// Numbers of one update, averaged over its paths or conditions.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Report {
    /// ½ mean δ².
    pub loss: f64,
    /// Mean of log Z(s).
    pub log_z: f64,
    /// Mean log q − log p of on-policy paths, in nats.
    pub path_kl: f64,
    /// ESS/N of the on-policy paths, averaged over conditions.
    pub ess: f64,
    /// Mean log-reward of on-policy samples.
    pub log_reward: f64,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
}

/// A frozen prior and the posterior that learns from it.
pub struct Finetuner<M: SequentialModel> {
    /// The frozen prior.
    pub prior: M,
    /// The posterior, equal to the prior at the start.
    pub posterior: M,
    /// Optimizer of the posterior.
    pub optimizer: Adam,
    /// Paths per condition.
    pub mixture: Mixture,
    /// Dead zone and cap.
    pub shaping: Shaping,
    /// Variants.
    pub options: Options,
    /// log r = value / temperature; 1 unless set. A KL budget moves it.
    pub temperature: f64,
    /// log Z(s), or with segments the log-value of states, if learned.
    pub value: Option<ValueNet>,
    /// Good samples of earlier updates.
    pub replay: Replay<M>,
}

/// A gradient of the loss, with what else an update learns from.
pub struct Gradient<M: SequentialModel> {
    /// With respect to the posterior's parameters.
    pub posterior: Vec<f32>,
    /// Numbers of the update.
    pub report: Report,
    value: Vec<(Tensor<2>, Vec<f64>)>,
    fresh: Batch<M>,
    conditions: M::Condition,
}

/// Scores samples: `(sample, c)` → one value per row; each condition has c consecutive rows.
pub type Values<'a, S> = dyn Fn(&S, usize) -> Vec<f64> + 'a;

/// Where conditions, data and values of an update come from.
#[derive(Clone, Copy)]
struct Sources<'a, M: SequentialModel> {
    condition: &'a dyn Fn(usize) -> M::Condition,
    data: &'a dyn Fn(usize) -> M::Sample,
    value: &'a Values<'a, M::Sample>,
}

/// Returns Σ over steps of [paths, steps] log-probabilities, in f64.
pub fn path_sums(step_log_probs: Tensor<2>) -> Vec<f64> {
    let steps = step_log_probs.dims()[1];
    host(step_log_probs)
        .chunks_exact(steps)
        .map(|row| row.iter().map(|&v| f64::from(v)).sum())
        .collect()
}

impl<M: SequentialModel> Finetuner<M> {
    /// Returns a fine-tuner whose posterior equals `prior`.
    pub fn new(prior: M, optimizer: AdamConfig, mixture: Mixture, shaping: Shaping) -> Self {
        let count = prior.parameters().dims()[0];
        let posterior = prior.clone();
        Self {
            prior,
            posterior,
            optimizer: Adam::new(optimizer, count),
            mixture,
            shaping,
            temperature: 1.0,
            value: None,
            replay: Replay::new(ReplayOptions::default()),
            options: Options::default(),
        }
    }

    /// Returns the fine-tuner with variants; `seed` draws the initial weights of a value network.
    pub fn with_options(mut self, options: Options, seed: u64) -> Self {
        let [condition, state] = self.prior.feature_widths();
        let device = self.prior.parameters().device().inner();
        let inputs = match (options.segment > 0, options.log_z) {
            (true, _) => Some(state),
            (false, LogZ::Learned) => Some(condition),
            (false, LogZ::VarGrad | LogZ::Robust) => None,
        };
        self.value = inputs.map(|n| ValueNet::new(n, options.value_hidden, seed, &device));
        self.replay = Replay::new(options.replay);
        self.options = options;
        self
    }

    /// Does one update and reports it.
    ///
    /// `condition(c)` repeats each condition c times, consecutively; `data(c)` gives as many samples in the same order
    /// (unused when the mixture holds none); `value(sample, c)` scores samples laid out that way: log r times the
    /// temperature.
    ///
    /// # Errors
    /// [`PolicyError::NonFinite`] when loss or gradient is not finite; nothing is then changed.
    pub fn update(
        &mut self,
        condition: &dyn Fn(usize) -> M::Condition,
        data: &dyn Fn(usize) -> M::Sample,
        value: &Values<'_, M::Sample>,
        noise: &mut Noise,
    ) -> Result<Report, PolicyError> {
        let gradient = self.gradient(condition, data, value, noise)?;
        let device = self.posterior.parameters().device().inner();
        let mut parameters = host(self.posterior.parameters());
        let gradient_norm = self.optimizer.step(&mut parameters, &gradient.posterior);
        self.posterior = self.posterior.with_parameters(vector(parameters, &device));
        if let Some(net) = &mut self.value {
            let rate = self.optimizer.config.learning_rate * self.options.value_rate;
            let (features, weights): (Vec<_>, Vec<_>) = gradient.value.into_iter().unzip();
            net.learn(&Tensor::cat(features, 0), &weights.concat(), rate);
        }
        if self.options.replay.groups > 0 {
            let samples = self.prior.sample_of(&gradient.fresh.path);
            let (values, count) = (&gradient.fresh.values, gradient.fresh.per_condition);
            self.replay
                .store(&gradient.conditions, &samples, values, count);
        }
        let budget = self.options.kl_budget;
        self.temperature = budget.next(self.temperature, gradient.report.path_kl);
        Ok(Report {
            gradient_norm,
            ..gradient.report
        })
    }

    /// Returns the gradient of one update's loss and changes nothing; arguments as for [`Self::update`].
    ///
    /// # Errors
    /// [`PolicyError::NonFinite`].
    pub fn gradient(
        &self,
        condition: &dyn Fn(usize) -> M::Condition,
        data: &dyn Fn(usize) -> M::Sample,
        value: &Values<'_, M::Sample>,
        noise: &mut Noise,
    ) -> Result<Gradient<M>, PolicyError> {
        let sources = Sources {
            condition,
            data,
            value,
        };
        let non_finite = |what| PolicyError::NonFinite {
            stage: "finetune",
            what,
            update: self.optimizer.count,
        };
        let parameters = self.posterior.parameters().autodiff().require_grad();
        let tracked = self.posterior.with_parameters(parameters);
        let main = self.draw(&tracked, sources, noise);
        let sets: Vec<Set<M>> = std::iter::once(main)
            .chain(self.replayed(&tracked, noise))
            .collect();
        let weighed = self.weigh(&sets, noise);
        if !weighed.report.loss.is_finite() {
            return Err(non_finite("loss"));
        }
        let Weighed {
            report,
            weights,
            value,
        } = weighed;
        let posterior = self.backward(&tracked, &sets, &weights, noise);
        if !posterior.iter().all(|g| g.is_finite()) {
            return Err(non_finite("gradient"));
        }
        let main = sets.into_iter().next().expect("the first set is drawn");
        let fresh = main.batches.into_iter().next().expect("a source is set");
        Ok(Gradient {
            posterior,
            report,
            value,
            conditions: condition(fresh.per_condition),
            fresh,
        })
    }

    /// Stores posterior, optimizers, value network and temperature; the replay is not stored, a resumed run refills it.
    pub fn put(&self, checkpoint: &mut Checkpoint) {
        let mut insert = |name: &str, values: Vec<f32>| {
            checkpoint.tensors.insert(name.into(), values);
        };
        insert("parameters", host(self.posterior.parameters()));
        if let Some(value) = &self.value {
            insert("value", host(value.net.parameters.clone()));
        }
        checkpoint.put_optimizer("", &self.optimizer);
        if let Some(value) = &self.value {
            checkpoint.put_optimizer("_value", &value.optimizer);
        }
        // The bits: JSON numbers need not come back exactly.
        let bits = format!("{:016x}", self.temperature.to_bits());
        checkpoint
            .settings
            .insert("temperature_bits".into(), bits.into());
    }

    /// Restores what [`Self::put`] stored, bit by bit.
    ///
    /// # Errors
    /// [`PolicyError::Checkpoint`] when something is missing or has another length.
    pub fn get(
        &mut self,
        path: &std::path::Path,
        checkpoint: &Checkpoint,
    ) -> Result<(), PolicyError> {
        let device = self.posterior.parameters().device().inner();
        let count = self.posterior.parameters().dims()[0];
        let values = checkpoint.tensor(path, "parameters", count)?;
        checkpoint.get_optimizer(path, "", &mut self.optimizer)?;
        if let Some(value) = &mut self.value {
            let count = value.net.spec.num_parameters();
            value.net.parameters = vector(checkpoint.tensor(path, "value", count)?, &device);
            checkpoint.get_optimizer(path, "_value", &mut value.optimizer)?;
        }
        let bits = checkpoint.settings.get("temperature_bits");
        let bits = bits.and_then(serde_json::Value::as_str);
        if let Some(bits) = bits.and_then(|b| u64::from_str_radix(b, 16).ok()) {
            self.temperature = f64::from_bits(bits);
        }
        self.posterior = self.posterior.with_parameters(vector(values, &device));
        Ok(())
    }
}
