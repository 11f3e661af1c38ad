//! The fine-tuner: what it holds, and how it is set up.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::options::{Exploration, LogZ, Options, ReplayOptions};
use super::replay::Replay;
use super::value::ValueNet;
use crate::noise::Noise;
use crate::optimizer::Optimizer;
use crate::rtb::Shaping;
use crate::sequential::{ConditionFeatures, Explore, SequentialModel, StateFeatures};
use crate::weights;

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

pub(super) type ExploreOf<M> =
    fn(&M, &<M as SequentialModel>::Condition, f64, &mut Noise) -> <M as SequentialModel>::Path;
pub(super) type FeaturesOfCondition<M> = fn(&M, &<M as SequentialModel>::Condition) -> Tensor<2>;
pub(super) type FeaturesOfState<M> = fn(&M, &<M as SequentialModel>::Path, usize) -> Tensor<2>;

/// What a value network is a function of.
pub(super) enum Learned<M: SequentialModel> {
    LogZ(ValueNet, FeaturesOfCondition<M>),
    States(ValueNet, FeaturesOfState<M>),
}

impl<M: SequentialModel> Learned<M> {
    pub(super) fn net(&self) -> &ValueNet {
        match self {
            Self::LogZ(net, _) | Self::States(net, _) => net,
        }
    }

    pub(super) fn net_mut(&mut self) -> &mut ValueNet {
        match self {
            Self::LogZ(net, _) | Self::States(net, _) => net,
        }
    }
}

/// A frozen prior and the posterior that learns from it.
pub struct Finetuner<M: SequentialModel, O: Optimizer> {
    pub(super) prior: M,
    pub(super) posterior: M,
    pub(super) optimizer: O,
    pub(super) mixture: Mixture,
    pub(super) shaping: Shaping,
    pub(super) options: Options,
    pub(super) alpha: f64,
    pub(super) explore: Option<ExploreOf<M>>,
    pub(super) learned: Option<Learned<M>>,
    pub(super) replay: Replay<M>,
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
    pub fn alpha(&self) -> f64 {
        self.alpha
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

    /// Returns the fine-tuner with this temperature α > 0 (1 unless set).
    pub fn with_alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
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
        self.learned = match (options.sub_trajectory > 0, options.log_z) {
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
}
