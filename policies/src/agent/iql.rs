//! Implicit Q-learning (Kostrikov et al. 2021, arXiv:2110.06169): a critic that never queries unseen actions.
//!
//! V regresses to the lowest of the target Q by expectile; Q regresses to r + γ (1 − terminal) V(s'), or to the
//! n-step return of the data. Terminals cut the bootstrap, timeouts do not. Leaves out policy extraction: that is what the posterior is for.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tiltrl_tilt::TiltError;
use tiltrl_tilt::checkpoint::Checkpoint;
use tiltrl_tilt::host::vector;
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::optimizer::{AdamConfig, cosine_decay};

use super::critic::{Critic, CriticKind, LearnerShape, Lesson, ValueNetworks, object, parse};
use super::ensemble::{action_gradient, conservative_rows, value_networks};
use super::setting::{ROWS, Range, Setting, UPDATES};
use super::transitions::{TransitionBatch, joined};
use crate::fast::{Activation, MlpSpec, NetworkPass, Networks};
use crate::nets::initial;

/// Settings of [`Iql`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IqlConfig {
    /// Updates until it is trained.
    pub updates: u64,
    /// Transitions per update.
    pub batch_size: usize,
    /// Hidden widths of Q and V.
    pub hidden: Vec<usize>,
    /// Layer normalisation in Q and V.
    pub layer_norm: bool,
    /// Step size of Adam.
    pub learning_rate: f32,
    /// Expectile τ in (0, 1).
    pub expectile: f64,
    /// Discount γ of a timestep, in (0, 1).
    pub discount: f64,
    /// Rewards summed before the bootstrap (n-step return of the data's policy); 1 is plain IQL.
    pub n_step: usize,
    /// Share of the online parameters that enters the targets per update.
    pub target_rate: f32,
    /// Q networks (≥ 2).
    pub ensemble: usize,
    /// Q = mean − lcb · std over the ensemble; with 0, the minimum.
    pub lcb: f64,
}

impl Default for IqlConfig {
    fn default() -> Self {
        Self {
            updates: 25_000,
            batch_size: 256,
            hidden: vec![256, 256],
            layer_norm: true,
            learning_rate: 3e-4,
            expectile: 0.7,
            discount: 0.99,
            n_step: 5,
            target_rate: 0.005,
            ensemble: 2,
            lcb: 0.0,
        }
    }
}

/// The line of the table.
pub(super) const KIND: CriticKind = CriticKind {
    name: "iql",
    summary: "implicit Q-learning: expectile regression on the data's actions alone",
    settings,
    growing: &["updates"],
    defaults: || object(&IqlConfig::default()),
    fault: |_| None,
    make: |settings, shape| Ok(Box::new(Iql::new(parse(settings)?, shape))),
};

#[rustfmt::skip]
pub(super) fn settings() -> Vec<Setting> {
    let setting = |key, range, meaning| Setting { key, meaning, range };
    vec![
        setting("updates", Range::Count(1, UPDATES), "Updates"),
        setting("batch_size", Range::Count(2, ROWS), "Transitions per update"),
        setting("hidden", Range::Counts(1, 1, 16_384), "Hidden widths of Q and V"),
        setting("layer_norm", Range::Flag, "Layer normalisation in Q and V"),
        setting("learning_rate", Range::Above(0.0, f64::INFINITY), "Step size of Adam at the start; it falls along a cosine to 2 % of it"),
        setting("expectile", Range::Between(0.0, 1.0), "Expectile τ to which V regresses; above 0.5 is optimistic"),
        setting("discount", Range::Between(0.0, 1.0), "Discount γ"),
        setting("n_step", Range::Count(1, 1000), "Rewards summed before the bootstrap; 1 is plain IQL"),
        setting("target_rate", Range::Above(0.0, 1.0), "Share of the online weights that enters the targets per update"),
        setting("ensemble", Range::Count(2, 64), "Networks for Q"),
        setting("lcb", Range::Number(0.0, 1000.0), "Q = mean − lcb · std over the networks; 0 = their minimum"),
    ]
}

/// Twin (or more) Q with slow copies, and V.
pub(super) struct Iql {
    config: IqlConfig,
    observation_dim: usize,
    action_dim: usize,
    /// Q networks first, then V.
    networks: Networks,
}

/// Losses of one update.
pub(super) struct Losses {
    pub(super) q: f64,
    pub(super) v: f64,
    pub(super) value: f64,
}

impl Iql {
    /// Returns an untrained critic.
    pub(super) fn new(config: IqlConfig, shape: &LearnerShape) -> Self {
        let mut noise = Noise::keyed(shape.seed, "critic-init", 0);
        let mut networks = Networks::new(&shape.compute.engine);
        let mut push = |inputs: usize, followed: bool| {
            let spec = MlpSpec {
                sizes: [vec![inputs], config.hidden.clone(), vec![1]].concat(),
                activation: Activation::Relu,
                layer_norm: config.layer_norm,
            };
            let values = initial(&spec, 1.0, &mut noise);
            let parameters = vector(values, &shape.compute.device);
            networks.push(
                spec,
                parameters,
                AdamConfig::plain(config.learning_rate),
                followed,
            );
        };
        for _ in 0..config.ensemble.max(2) {
            push(shape.observation_dim + shape.action_dim, true);
        }
        push(shape.observation_dim, false);
        Self {
            config,
            observation_dim: shape.observation_dim,
            action_dim: shape.action_dim,
            networks,
        }
    }

    fn ensemble(&self) -> usize {
        self.networks.len() - 1
    }

    fn joined(&self, observations: &[f32], actions: &[f32]) -> Vec<f32> {
        joined(
            observations,
            actions,
            [self.observation_dim, self.action_dim],
        )
    }

    /// The Q networks that learn on one input.
    fn trained<'a>(&self, input: &'a [f32]) -> Vec<NetworkPass<'a>> {
        let pass = |network| NetworkPass {
            network,
            target: false,
            train: true,
            input,
        };
        (0..self.ensemble()).map(pass).collect()
    }

    /// The target networks on one input.
    fn targets<'a>(&self, input: &'a [f32]) -> Vec<NetworkPass<'a>> {
        let pass = |network| NetworkPass {
            network,
            target: true,
            train: false,
            input,
        };
        (0..self.ensemble()).map(pass).collect()
    }

    /// V on one input.
    fn v<'a>(&self, input: &'a [f32], train: bool) -> NetworkPass<'a> {
        NetworkPass {
            network: self.ensemble(),
            target: false,
            train,
            input,
        }
    }

    /// Returns r + γ V(s') − V(s) of each row of a batch, in the critic's units.
    pub(super) fn temporal_differences(&self, batch: &TransitionBatch) -> Vec<f32> {
        let passes = [
            self.v(&batch.observations, false),
            self.v(&batch.next_observations, false),
        ];
        let found = self.networks.evaluate(&passes);
        let row = |i: usize| batch.rewards[i] + batch.discounts[i] * found[1][i] - found[0][i];
        (0..batch.rewards.len()).map(row).collect()
    }

    /// Does one step: V at `observations` towards values given, Q towards r + γ V(s') on a batch; `None` when a loss is not finite:
    /// nothing is changed then.
    pub(super) fn learn_towards(
        &mut self,
        batch: &TransitionBatch,
        observations: &[f32],
        wanted: &[f32],
        rate: f32,
    ) -> Option<Losses> {
        self.networks.set_learning_rate(rate);
        let joined = self.joined(&batch.observations, &batch.actions);
        let n = self.ensemble();
        let mut passes = self.trained(&joined);
        passes.push(self.v(observations, true));
        passes.push(self.v(&batch.next_observations, false));
        let decay = 1.0 - self.config.target_rate;
        self.networks.learn(&passes, decay, |outputs, gradients| {
            let (v, q) = gradients.split_last_mut().expect("V is trained");
            let mut found = bellman(outputs, q, outputs[n + 1], batch);
            let rows = wanted.len() as f64;
            for ((value, wanted), gradient) in outputs[n].iter().zip(wanted).zip(v.iter_mut()) {
                let error = value - wanted;
                found.value += f64::from(*value) / rows;
                found.v += f64::from(error * error) / rows;
                *gradient = 2.0 * error / rows as f32;
            }
            (found.q.is_finite() && found.v.is_finite()).then_some(found)
        })
    }

    /// Does one step of all networks on a batch; `None` when a loss is not finite: nothing is changed then.
    fn learn(&mut self, batch: &TransitionBatch) -> Option<Losses> {
        let joined = self.joined(&batch.observations, &batch.actions);
        let mut passes = self.trained(&joined);
        passes.push(self.v(&batch.observations, true));
        passes.extend(self.targets(&joined));
        passes.push(self.v(&batch.next_observations, false));
        let (expectile, decay) = (self.config.expectile as f32, 1.0 - self.config.target_rate);
        self.networks.learn(&passes, decay, |outputs, gradients| {
            let found = losses(outputs, gradients, batch, expectile);
            (found.q.is_finite() && found.v.is_finite()).then_some(found)
        })
    }
}

/// Fills the gradients of the losses with respect to the outputs of Q … and V, from outputs of Q …, V, targets … and V(s').
pub(super) fn losses(
    outputs: &[&[f32]],
    gradients: &mut [&mut [f32]],
    batch: &TransitionBatch,
    expectile: f32,
) -> Losses {
    let (n, rows) = (gradients.len() - 1, batch.rewards.len());
    let scale = 2.0 / rows as f32;
    let values = outputs[n];
    let (v, q) = gradients.split_last_mut().expect("V is trained");
    let mut found = bellman(outputs, q, outputs[2 * n + 1], batch);
    let count = rows as f64;
    for row in 0..rows {
        let lowest = outputs[n + 1..2 * n + 1].iter().map(|target| target[row]);
        let error = lowest.fold(f32::INFINITY, f32::min) - values[row];
        let weight = if error > 0.0 {
            expectile
        } else {
            1.0 - expectile
        };
        found.value += f64::from(values[row]) / count;
        found.v += f64::from(weight * error * error) / count;
        v[row] = -scale * weight * error;
    }
    found
}

/// Fills the gradients of (Q − r − γ V(s'))², Q being the first outputs, and returns that loss; V's part of it is 0.
fn bellman(
    outputs: &[&[f32]],
    gradients: &mut [&mut [f32]],
    next: &[f32],
    batch: &TransitionBatch,
) -> Losses {
    let rows = batch.rewards.len();
    let scale = 2.0 / rows as f32;
    let mut found = Losses {
        q: 0.0,
        v: 0.0,
        value: 0.0,
    };
    for (q, gradient) in outputs.iter().zip(gradients) {
        for row in 0..rows {
            let error = q[row] - (batch.rewards[row] + batch.discounts[row] * next[row]);
            found.q += f64::from(error * error) / rows as f64;
            gradient[row] = scale * error;
        }
    }
    found
}

impl Critic for Iql {
    fn updates(&self) -> u64 {
        self.config.updates
    }

    fn figures(&self) -> Vec<&'static str> {
        vec!["q_loss", "v_loss", "value"]
    }

    fn update(&mut self, lesson: &Lesson<'_>, update: u64) -> Result<Vec<f64>, TiltError> {
        let share = cosine_decay(update, self.config.updates);
        self.networks
            .set_learning_rate(self.config.learning_rate * share);
        let mut noise = Noise::keyed(lesson.seed, "critic-update", update);
        let rows = noise.indices(self.config.batch_size, lesson.transitions.count());
        let (timesteps, discount) = (self.config.n_step, self.config.discount);
        let batch = lesson.transitions.batch(&rows, timesteps, discount);
        let losses = self.learn(&batch).ok_or(TiltError::NonFinite {
            stage: "critic",
            what: "loss",
            update,
        })?;
        Ok(vec![losses.q, losses.v, losses.value])
    }

    fn values(&self, observations: &[f32], actions: &[f32]) -> Vec<f64> {
        let input = self.joined(observations, actions);
        let members = self.networks.evaluate(&self.targets(&input));
        conservative_rows(&members, self.config.lcb)
    }

    fn gradient(&self, observations: &[f32], actions: &[f32]) -> Vec<f32> {
        let input = self.joined(observations, actions);
        let passes = self.targets(&input);
        action_gradient(&self.networks, &passes, self.action_dim, self.config.lcb)
    }

    fn networks(&self) -> Option<ValueNetworks> {
        let members = 0..self.ensemble();
        Some(value_networks(
            &self.networks,
            members,
            true,
            self.config.lcb,
        ))
    }

    fn save(&self, checkpoint: &mut Checkpoint) {
        self.networks.put(checkpoint, "critic");
    }

    fn load(&mut self, checkpoint: &Checkpoint, path: &Path) -> Result<(), TiltError> {
        self.networks.get(checkpoint, path, "critic")
    }
}
