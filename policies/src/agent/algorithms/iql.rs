//! Implicit Q-learning with its policy (Kostrikov et al. 2021, arXiv:2110.06169): the critic of [`crate::agent::iql`], one step and no
//! ensemble, and a Gaussian policy extracted by advantage-weighted regression. The policy acts by its mean.
//!
//! Policy: N(tanh(f(s)), σ²), σ the same in every state; it ascends min(e^{β (Q − V)}, 100) log π(a|s) on the data.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tiltrl_tilt::TiltError;
use tiltrl_tilt::checkpoint::Checkpoint;
use tiltrl_tilt::host::vector;
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::optimizer::AdamConfig;

use super::batch::{Batch, join};
use super::keys::{
    BATCH, DISCOUNT, HIDDEN, LAYER_NORM, NORMALIZE, RATE, REWARD_SCALE, TARGET_RATE, UPDATE_COUNT,
    key,
};
use crate::agent::algorithm::{AlgorithmKind, PolicyLearner, Trains, not_finite};
use crate::agent::coordinates::Normalizer;
use crate::agent::critic::{LearnerShape, object, parse};
use crate::agent::iql::losses;
use crate::agent::setting::Range;
use crate::agent::transitions::Transitions;
use crate::fast::{Activation, MlpSpec, NetworkPass, Networks};
use crate::nets::initial;

/// Largest weight of a transition.
const LARGEST_WEIGHT: f32 = 100.0;
/// Bounds of log σ.
const LOG_STD: [f32; 2] = [-20.0, 2.0];

/// Settings, the authors'.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IqlSettings {
    pub updates: u64,
    pub batch_size: usize,
    pub hidden: Vec<usize>,
    pub layer_norm: bool,
    pub learning_rate: f64,
    pub expectile: f64,
    pub beta: f64,
    pub discount: f64,
    pub target_rate: f64,
    pub normalize: bool,
    pub reward_scale: String,
}

impl Default for IqlSettings {
    fn default() -> Self {
        Self {
            updates: 100_000,
            batch_size: 256,
            hidden: vec![256, 256],
            layer_norm: false,
            learning_rate: 3e-4,
            expectile: 0.7,
            beta: 3.0,
            discount: 0.99,
            target_rate: 0.005,
            normalize: true,
            reward_scale: "range".into(),
        }
    }
}

/// The line of the table.
pub(super) const KIND: AlgorithmKind = AlgorithmKind {
    name: "iql",
    summary: "implicit Q-learning with a Gaussian policy by advantage-weighted regression",
    settings: || {
        let beta = "Inverse temperature β of the weights e^{β (Q − V)}";
        vec![
            UPDATE_COUNT,
            BATCH,
            HIDDEN,
            LAYER_NORM,
            RATE,
            key(
                "expectile",
                Range::Between(0.0, 1.0),
                "Expectile τ to which V regresses",
            ),
            key("beta", Range::Number(0.0, 1e6), beta),
            DISCOUNT,
            TARGET_RATE,
            NORMALIZE,
            REWARD_SCALE,
        ]
    },
    defaults: || object(&IqlSettings::default()),
    changes: "",
    trains: Trains::Policy(|settings, shape, observation| {
        Ok(Box::new(IqlPolicy::new(
            parse(settings)?,
            shape,
            observation,
        )))
    }),
};

/// Networks by index: twin Q, V, the mean before tanh, log σ.
const Q: [usize; 2] = [0, 1];
const V: usize = 2;
const MEAN: usize = 3;
const SPREAD: usize = 4;

/// Twin Q with slow copies, V and the policy.
pub(super) struct IqlPolicy {
    config: IqlSettings,
    widths: [usize; 2],
    seed: u64,
    observation: Normalizer,
    networks: Networks,
    batch: Batch,
    joined: Vec<f32>,
    /// Input of the network for log σ, which sees nothing: its bias is the parameter.
    nothing: Vec<f32>,
}

impl IqlPolicy {
    pub(super) fn new(config: IqlSettings, shape: &LearnerShape, observation: &Normalizer) -> Self {
        let mut noise = Noise::keyed(shape.seed, "policy-init", 0);
        let mut networks = Networks::new(&shape.compute.engine);
        let widths = [shape.observation_dim, shape.action_dim];
        let mut push = |sizes: Vec<usize>, layer_norm: bool, scale: f32, followed: bool| {
            let spec = MlpSpec {
                sizes,
                activation: Activation::Relu,
                layer_norm,
            };
            let parameters = vector(initial(&spec, scale, &mut noise), &shape.compute.device);
            let adam = AdamConfig::plain(config.learning_rate as f32);
            networks.push(spec, parameters, adam, followed);
        };
        let sizes = |inputs, outputs| [vec![inputs], config.hidden.clone(), vec![outputs]].concat();
        for _ in Q {
            push(
                sizes(widths[0] + widths[1], 1),
                config.layer_norm,
                1.0,
                true,
            );
        }
        push(sizes(widths[0], 1), config.layer_norm, 1.0, false);
        push(sizes(widths[0], widths[1]), false, 1.0, false);
        push(vec![1, widths[1]], false, 0.0, false);
        Self {
            config,
            widths,
            seed: shape.seed,
            observation: observation.clone(),
            networks,
            batch: Batch::default(),
            joined: Vec::new(),
            nothing: Vec::new(),
        }
    }

    /// One step of every network; returns the losses of Q, of V and of the policy, mean V and mean weight.
    fn learn(&mut self) -> Option<[f64; 5]> {
        let batch = &self.batch.of;
        let (config, dim, rows) = (&self.config, self.widths[1], batch.rewards.len());
        self.nothing.resize(rows, 0.0);
        join(
            &batch.observations,
            &batch.actions,
            self.widths,
            &mut self.joined,
        );
        let pass = |network, target, train, input| NetworkPass {
            network,
            target,
            train,
            input,
        };
        let joined: &[f32] = &self.joined;
        // In the order that `losses` reads, then the policy's.
        let passes = [
            pass(Q[0], false, true, joined),
            pass(Q[1], false, true, joined),
            pass(V, false, true, &batch.observations),
            pass(Q[0], true, false, joined),
            pass(Q[1], true, false, joined),
            pass(V, false, false, &batch.next_observations),
            pass(MEAN, false, true, &batch.observations),
            pass(SPREAD, false, true, &self.nothing),
        ];
        let (expectile, decay) = (config.expectile as f32, 1.0 - config.target_rate as f32);
        self.networks.learn(&passes, decay, |outputs, gradients| {
            let (of_critic, of_policy) = gradients.split_at_mut(3);
            let found = losses(&outputs[..6], of_critic, batch, expectile);
            let mut policy = [0.0; 2];
            let [mean_gradient, spread_gradient] = of_policy else {
                return None;
            };
            for row in 0..rows {
                let lowest = outputs[3][row].min(outputs[4][row]);
                let weight = (config.beta as f32 * (lowest - outputs[V][row])).exp();
                let weight = weight.min(LARGEST_WEIGHT);
                let at = row * dim..(row + 1) * dim;
                let loss = regress(
                    weight / rows as f32,
                    [&outputs[6][at.clone()], &outputs[7][at.clone()]],
                    &batch.actions[at.clone()],
                    [&mut mean_gradient[at.clone()], &mut spread_gradient[at]],
                );
                policy[0] += loss;
                policy[1] += f64::from(weight) / rows as f64;
            }
            let all = [found.q, found.v, policy[0], found.value, policy[1]];
            all.iter().all(|x| x.is_finite()).then_some(all)
        })
    }
}

/// −weight · log N(a; tanh(u), σ²) without its constant, and its gradients with respect to u and log σ.
fn regress(
    weight: f32,
    [before, log_std]: [&[f32]; 2],
    actions: &[f32],
    [mean_gradient, spread_gradient]: [&mut [f32]; 2],
) -> f64 {
    let mut loss = 0.0f64;
    for d in 0..actions.len() {
        let mean = before[d].tanh();
        let bounded = log_std[d].clamp(LOG_STD[0], LOG_STD[1]);
        let scaled = (actions[d] - mean) / bounded.exp();
        loss += f64::from(weight * (0.5 * scaled * scaled + bounded));
        mean_gradient[d] = -weight * scaled / bounded.exp() * (1.0 - mean * mean);
        let inside = bounded == log_std[d];
        spread_gradient[d] = if inside {
            weight * (1.0 - scaled * scaled)
        } else {
            0.0
        };
    }
    loss
}

impl PolicyLearner for IqlPolicy {
    fn updates(&self) -> u64 {
        self.config.updates
    }

    fn figures(&self) -> Vec<&'static str> {
        vec!["q_loss", "v_loss", "policy_loss", "value", "weight"]
    }

    fn update(&mut self, transitions: &Transitions, update: u64) -> Result<Vec<f64>, TiltError> {
        let mut noise = Noise::keyed(self.seed, "policy-update", update);
        let rows = noise.indices(self.config.batch_size, transitions.count());
        let raw = (!self.config.normalize).then_some(&self.observation);
        self.batch
            .fill(transitions, &rows, self.config.discount, raw);
        // The authors' schedule: the policy's step falls along a cosine to zero, the critic's stays.
        let share = update as f64 / self.config.updates as f64;
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * share).cos());
        for network in [MEAN, SPREAD] {
            let rate = self.config.learning_rate * cosine;
            self.networks.set_learning_rate_of(network, rate as f32);
        }
        self.learn()
            .map(|found| found.to_vec())
            .ok_or_else(|| not_finite(update))
    }

    fn act(&self, observations: &[f32], _: &mut Noise) -> Vec<f32> {
        let mut input = observations.to_vec();
        if !self.config.normalize {
            self.observation.invert(&mut input);
        }
        let pass = NetworkPass {
            network: MEAN,
            target: false,
            train: false,
            input: &input,
        };
        let mut actions = self.networks.evaluate(&[pass]).remove(0);
        actions.iter_mut().for_each(|a| *a = a.tanh());
        actions
    }

    fn save(&self, checkpoint: &mut Checkpoint) {
        self.networks.put(checkpoint, "policy");
    }

    fn load(&mut self, checkpoint: &Checkpoint, path: &Path) -> Result<(), TiltError> {
        self.networks.get(checkpoint, path, "policy")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_of_the_weighted_likelihood_is_that_of_differences() {
        let (before, log_std) = ([0.3f32, -1.1], [-0.4f32, 0.2]);
        let (actions, weight) = ([0.7f32, -0.2], 1.7);
        let mut own = [[0.0f32; 2]; 2];
        let [mean, spread] = &mut own;
        regress(weight, [&before, &log_std], &actions, [mean, spread]);
        let loss = |u: [f32; 2], s: [f32; 2]| {
            let mut unused = [[0.0f32; 2]; 2];
            let [a, b] = &mut unused;
            regress(weight, [&u, &s], &actions, [a, b])
        };
        let h = 1e-2f32;
        for d in 0..2 {
            let shifted = |values: [f32; 2], by: f32| {
                let mut values = values;
                values[d] += by;
                values
            };
            let of_mean = loss(shifted(before, h), log_std) - loss(shifted(before, -h), log_std);
            let of_spread = loss(before, shifted(log_std, h)) - loss(before, shifted(log_std, -h));
            for (numeric, found) in [(of_mean, own[0][d]), (of_spread, own[1][d])] {
                let numeric = numeric / f64::from(2.0 * h);
                assert!(
                    (numeric - f64::from(found)).abs() < 2e-3,
                    "{d}: {numeric} {found}"
                );
            }
        }
    }
}
