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
mod value;
mod weigh;

use std::path::Path;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::checkpoint::Checkpoint;
use crate::error::TiltError;
use crate::noise::Noise;
use crate::optimizer::Optimizer;
use crate::reward::Reward;
use crate::rtb::Shaping;
use crate::sequential::{ConditionFeatures, Explore, SequentialModel, StateFeatures};
use crate::weights;

use draw::{Drawn, Set};
pub use options::{Exploration, KlBudget, LogZ, Options, ReplayOptions};
pub use replay::{Replay, Replayed};
use value::ValueNet;
use weigh::Weighed;

/// How many paths per condition come from each source.
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

    /// Returns a mixture of `paths` paths of the posterior itself.
    pub fn on_policy(paths: usize) -> Self {
        Self {
            on_policy: paths,
            prior: 0,
            data: 0,
        }
    }
}

/// What one update learns from.
pub struct Batch<M: SequentialModel> {
    /// Conditions, one row per group of paths.
    pub conditions: M::Condition,
    /// [`Mixture::data`] consecutive samples per condition; none when the mixture holds none.
    pub data: Option<M::Sample>,
}

impl<M: SequentialModel> Batch<M> {
    /// Returns a batch without data.
    pub fn new(conditions: M::Condition) -> Self {
        Self {
            conditions,
            data: None,
        }
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

type ExploreOf<M> =
    fn(&M, &<M as SequentialModel>::Condition, f64, &mut Noise) -> <M as SequentialModel>::Path;
type FeaturesOfCondition<M> = fn(&M, &<M as SequentialModel>::Condition) -> Tensor<2>;
type FeaturesOfState<M> = fn(&M, &<M as SequentialModel>::Path, usize) -> Tensor<2>;

/// What a value network is a function of.
enum Learned<M: SequentialModel> {
    LogZ(ValueNet, FeaturesOfCondition<M>),
    States(ValueNet, FeaturesOfState<M>),
}

impl<M: SequentialModel> Learned<M> {
    fn net(&self) -> &ValueNet {
        match self {
            Self::LogZ(net, _) | Self::States(net, _) => net,
        }
    }

    fn net_mut(&mut self) -> &mut ValueNet {
        match self {
            Self::LogZ(net, _) | Self::States(net, _) => net,
        }
    }
}

/// A frozen prior and the posterior that learns from it.
pub struct Finetuner<M: SequentialModel, O: Optimizer> {
    prior: M,
    posterior: M,
    optimizer: O,
    mixture: Mixture,
    shaping: Shaping,
    options: Options,
    temperature: f64,
    explore: Option<ExploreOf<M>>,
    learned: Option<Learned<M>>,
    replay: Replay<M>,
}

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
    /// Returns the frozen prior.
    pub fn prior(&self) -> &M {
        &self.prior
    }

    /// Returns the posterior as it stands.
    pub fn posterior(&self) -> &M {
        &self.posterior
    }

    /// Returns the posterior.
    pub fn into_posterior(self) -> M {
        self.posterior
    }

    /// Returns α: log r = value / α. A KL budget moves it.
    pub fn temperature(&self) -> f64 {
        self.temperature
    }

    /// Returns how many updates were done.
    pub fn count(&self) -> u64 {
        self.optimizer.count()
    }

    /// Returns the samples kept for replay.
    pub fn replay(&self) -> &Replay<M> {
        &self.replay
    }

    /// Returns what the network for log Z(s) says of each condition; none where log Z(s) is not learned.
    pub fn learned_log_z(&self, conditions: &M::Condition) -> Option<Vec<f64>> {
        match &self.learned {
            Some(Learned::LogZ(net, features)) => {
                Some(net.values(&features(&self.prior, conditions)))
            }
            _ => None,
        }
    }

    /// Sets the step size of the next updates.
    pub fn set_learning_rate(&mut self, learning_rate: f32) {
        self.optimizer.set_learning_rate(learning_rate);
    }

    /// Returns the fine-tuner at temperature α > 0 (1 unless set).
    pub fn at_temperature(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self
    }

    /// Returns the fine-tuner with dead zone and cap.
    pub fn shaped(mut self, shaping: Shaping) -> Self {
        self.shaping = shaping;
        self
    }

    /// Returns the fine-tuner with paths from a noisier behaviour.
    pub fn exploring(mut self, exploration: Exploration) -> Self
    where
        M: Explore,
    {
        self.options.exploration = exploration;
        self.explore = Some(M::explore);
        self
    }

    /// Returns the fine-tuner with the variants that `options` ask for; `seed` draws the initial weights of a value network.
    pub fn with_options(mut self, options: Options, seed: u64) -> Self
    where
        M: Explore + ConditionFeatures + StateFeatures,
    {
        let device = weights::device(self.prior.weights());
        let net = |inputs| ValueNet::new(inputs, options.value_hidden, seed, &device);
        self.learned = match (options.segment > 0, options.log_z) {
            (true, _) => Some(Learned::States(
                net(self.prior.state_width()),
                M::state_features,
            )),
            (false, LogZ::Learned) => Some(Learned::LogZ(
                net(self.prior.condition_width()),
                M::condition_features,
            )),
            (false, LogZ::VarGrad | LogZ::Robust) => None,
        };
        self.explore = Some(M::explore);
        self.replay = Replay::new(options.replay);
        self.options = options;
        self
    }

    /// Returns the fine-tuner with replay of good samples of earlier updates.
    pub fn replaying(mut self, replay: ReplayOptions) -> Self {
        self.replay = Replay::new(replay);
        self.options.replay = replay;
        self
    }

    /// Does one update and reports it; `value` is log r times the temperature.
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
        let (stepped, gradient_norm) = self.optimizer.step(parameters, gradient.posterior);
        self.posterior = self
            .posterior
            .with_weights(weights::with_tensors(empty, stepped));
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
        self.temperature = budget.next(self.temperature, gradient.report.path_kl);
        Ok(Report {
            gradient_norm,
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
            temperature: self.temperature,
        };
        let tracked = self.posterior.tracked();
        let main = self.draw(&tracked, batch, reward, noise);
        let replayed = self.draw_replayed(&tracked, noise);
        let sets: Vec<Set<M>> = std::iter::once(main).chain(replayed).collect();
        let Weighed {
            report,
            weights,
            value,
        } = self.weigh(&sets, noise);
        if !report.loss.is_finite() {
            return Err(non_finite("loss"));
        }
        let posterior = self.backward(&tracked, &sets, &weights, noise);
        if !crate::optimizer::norm(&posterior).is_finite() {
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

    /// Stores posterior, optimizers, value network and temperature; the replay is not stored, a resumed run refills it.
    pub fn put(&self, checkpoint: &mut Checkpoint) {
        weights::put(checkpoint, "posterior", self.posterior.weights());
        self.optimizer.put(checkpoint, "");
        if let Some(learned) = &self.learned {
            learned.net().put(checkpoint);
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
        let bits = checkpoint.settings.get("temperature_bits");
        let bits = bits.and_then(serde_json::Value::as_str);
        if let Some(bits) = bits.and_then(|b| u64::from_str_radix(b, 16).ok()) {
            self.temperature = f64::from_bits(bits);
        }
        self.posterior = self.posterior.with_weights(restored);
        Ok(())
    }
}
