//! Deterministic policies tanh(f(s)), with or without critics: what BC, TD3+BC and ReBRAC share.
//!
//! Critics: twin Q regress to r + γ (min Q′(s′, a′) − c ‖a′ − a′_data‖²), with a′ the slow policy's action plus clipped noise
//! (Fujimoto et al. 2018, arXiv:1802.09477). Policy: it descends p ‖π(s) − a‖² − w Q(s, π(s)) / mean |Q|, the mean held fixed.

use std::path::Path;

use tiltrl_tilt::TiltError;
use tiltrl_tilt::checkpoint::Checkpoint;
use tiltrl_tilt::host::vector;
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::optimizer::AdamConfig;

use super::batch::{Batch, join};
use crate::agent::algorithm::{PolicyLearner, not_finite};
use crate::agent::coordinates::Normalizer;
use crate::agent::critic::LearnerShape;
use crate::agent::transitions::Transitions;
use crate::fast::{Activation, MlpSpec, NetworkPass, Networks};
use crate::nets::initial;

/// What sets the algorithms apart.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub updates: u64,
    pub batch_size: usize,
    pub hidden: Vec<usize>,
    pub layer_norm: bool,
    pub learning_rate: f32,
    pub discount: f64,
    pub target_rate: f32,
    pub policy_noise: f32,
    pub noise_clip: f32,
    pub policy_every: u64,
    pub normalize: bool,
    /// p: weight of Σ_d (π − a)².
    pub actor_penalty: f32,
    /// c: weight of Σ_d (a′ − a′_data)² in the target.
    pub critic_penalty: f32,
    /// w: weight of Q / mean |Q|; 0 = no critics.
    pub value_weight: f32,
    /// The policy ascends the lowest Q, not the first.
    pub lowest: bool,
    /// Scale of the last layers' initial weights: policy, critics.
    pub last_scales: [f32; 2],
}

const POLICY: usize = 0;
const CRITICS: [usize; 2] = [1, 2];

/// A policy, twin Q, and their slow copies.
pub(super) struct Deterministic {
    plan: Plan,
    widths: [usize; 2],
    seed: u64,
    observation: Normalizer,
    networks: Networks,
    batch: Batch,
    buffers: Buffers,
}

#[derive(Default)]
struct Buffers {
    next: Vec<Vec<f32>>,
    joined: Vec<f32>,
    next_joined: Vec<f32>,
    targets: Vec<f32>,
}

impl Deterministic {
    pub(super) fn new(plan: Plan, shape: &LearnerShape, observation: &Normalizer) -> Self {
        let mut noise = Noise::keyed(shape.seed, "policy-init", 0);
        let mut networks = Networks::new(&shape.compute.engine);
        let mut push = |inputs: usize, outputs: usize, layer_norm: bool, scale: f32| {
            let spec = MlpSpec {
                sizes: [vec![inputs], plan.hidden.clone(), vec![outputs]].concat(),
                activation: Activation::Relu,
                layer_norm,
            };
            let parameters = vector(initial(&spec, scale, &mut noise), &shape.compute.device);
            networks.push(
                spec,
                parameters,
                AdamConfig::plain(plan.learning_rate),
                plan.value_weight > 0.0,
            );
        };
        let [observation_dim, action_dim] = [shape.observation_dim, shape.action_dim];
        push(observation_dim, action_dim, false, plan.last_scales[0]);
        if plan.value_weight > 0.0 {
            for _ in CRITICS {
                let inputs = observation_dim + action_dim;
                push(inputs, 1, plan.layer_norm, plan.last_scales[1]);
            }
        }
        Self {
            plan,
            widths: [observation_dim, action_dim],
            seed: shape.seed,
            observation: observation.clone(),
            networks,
            batch: Batch::default(),
            buffers: Buffers::default(),
        }
    }

    /// One step of the critics; returns the mean squared error and the mean target.
    fn learn_critics(&mut self, noise: &mut Noise, decay: f32) -> Option<[f64; 2]> {
        let (plan, [_, dim]) = (&self.plan, self.widths);
        let Buffers {
            next,
            joined,
            next_joined,
            targets,
        } = &mut self.buffers;
        let batch = &self.batch.of;
        let pass = |network, target, train, input| NetworkPass {
            network,
            target,
            train,
            input,
        };
        let policy = pass(POLICY, true, false, &batch.next_observations);
        self.networks.outputs_into(&[policy], next);
        let actions = &mut next[0];
        let rows = batch.rewards.len();
        let draws = noise.normals(rows, dim);
        for (action, draw) in actions.iter_mut().zip(draws) {
            let shift = (plan.policy_noise * draw).clamp(-plan.noise_clip, plan.noise_clip);
            *action = (action.tanh() + shift).clamp(-1.0, 1.0);
        }
        targets.clear();
        let pairs = actions
            .chunks_exact(dim)
            .zip(self.batch.next_actions.chunks_exact(dim));
        for ((action, data), known) in pairs.zip(&self.batch.known) {
            let distance: f32 = action.iter().zip(data).map(|(a, b)| (a - b).powi(2)).sum();
            targets.push(-plan.critic_penalty * known * distance);
        }
        join(&batch.observations, &batch.actions, self.widths, joined);
        join(&batch.next_observations, actions, self.widths, next_joined);
        let (joined, next_joined): (&[f32], &[f32]) = (joined, next_joined);
        let online = CRITICS.map(|q| pass(q, false, true, joined));
        let slow = CRITICS.map(|q| pass(q, true, false, next_joined));
        let passes = [online[0], online[1], slow[0], slow[1]];
        self.networks.learn(&passes, decay, |outputs, gradients| {
            let mut mean = 0.0f64;
            for (row, target) in targets.iter_mut().enumerate() {
                let lowest = outputs[2][row].min(outputs[3][row]) + *target;
                *target = batch.rewards[row] + batch.discounts[row] * lowest;
                mean += f64::from(*target) / rows as f64;
            }
            let mut loss = 0.0f64;
            for (output, gradient) in outputs[..2].iter().zip(gradients) {
                for ((gradient, q), target) in gradient.iter_mut().zip(*output).zip(&*targets) {
                    let error = q - target;
                    loss += f64::from(error * error) / rows as f64;
                    *gradient = 2.0 * error / rows as f32;
                }
            }
            loss.is_finite().then_some([loss, mean])
        })
    }

    /// One step of the policy; returns the mean squared distance to the data's actions, summed over their entries, and mean |Q|.
    fn learn_policy(&mut self, decay: f32) -> Option<[f64; 2]> {
        let (plan, widths) = (&self.plan, self.widths);
        let batch = &self.batch.of;
        let rows = batch.rewards.len();
        let critics: &[usize] = match (plan.value_weight > 0.0, plan.lowest) {
            (false, _) => &[],
            (true, false) => &CRITICS[..1],
            (true, true) => &CRITICS,
        };
        let pass = NetworkPass {
            network: POLICY,
            target: false,
            train: true,
            input: &batch.observations,
        };
        let mut size = 0.0f64;
        let squash = |output: &[f32], input: &mut Vec<f32>| {
            input.clear();
            let rows = batch.observations.chunks_exact(widths[0]);
            for (o, u) in rows.zip(output.chunks_exact(widths[1])) {
                input.extend_from_slice(o);
                input.extend(u.iter().map(|u| u.tanh()));
            }
        };
        let found = self.networks.learn_through(
            pass,
            critics,
            decay,
            squash,
            |outputs, gradients| size = ascend(outputs, gradients, plan.value_weight),
            |output, through, gradient| {
                let distance = descend(output, through, gradient, (batch, widths), plan);
                distance.is_finite().then_some(distance / rows as f64)
            },
        );
        found.map(|distance| [distance, size])
    }
}

/// Fills the gradient of −w Q/mean |Q| with respect to the critics' outputs, Q being the lowest of them, and returns mean |Q|.
fn ascend(outputs: &[&[f32]], gradients: &mut [&mut [f32]], weight: f32) -> f64 {
    let Some(first) = outputs.first() else {
        return f64::NAN;
    };
    let rows = first.len();
    let choose = |row: usize| {
        let lower = |b: usize, i: usize| {
            if outputs[i][row] < outputs[b][row] {
                i
            } else {
                b
            }
        };
        (0..outputs.len()).fold(0, lower)
    };
    let sizes = (0..rows).map(|row| f64::from(outputs[choose(row)][row].abs()));
    let size = sizes.sum::<f64>() / rows as f64;
    let slope = -weight / (size.max(1e-8) as f32 * rows as f32);
    for row in 0..rows {
        let chosen = choose(row);
        for (member, gradient) in gradients.iter_mut().enumerate() {
            gradient[row] = if member == chosen { slope } else { 0.0 };
        }
    }
    size
}

/// Fills the gradient with respect to the policy's output before tanh, and returns Σ over rows of ‖π − a‖².
fn descend(
    output: &[f32],
    through: &[&[f32]],
    gradient: &mut [f32],
    (batch, [observation_dim, dim]): (&crate::agent::transitions::TransitionBatch, [usize; 2]),
    plan: &Plan,
) -> f64 {
    let width = observation_dim + dim;
    let pull = 2.0 * plan.actor_penalty / batch.rewards.len() as f32;
    let mut distance = 0.0f64;
    for (i, ((g, u), data)) in gradient
        .iter_mut()
        .zip(output)
        .zip(&batch.actions)
        .enumerate()
    {
        let (row, d) = (i / dim, i % dim);
        let action = u.tanh();
        let error = action - data;
        distance += f64::from(error * error);
        let back: f32 = through
            .iter()
            .map(|t| t[row * width + observation_dim + d])
            .sum();
        *g = (back + pull * error) * (1.0 - action * action);
    }
    distance
}

impl PolicyLearner for Deterministic {
    fn updates(&self) -> u64 {
        self.plan.updates
    }

    fn figures(&self) -> Vec<&'static str> {
        match self.plan.value_weight > 0.0 {
            true => vec!["q_loss", "q", "distance", "q_size"],
            false => vec!["distance"],
        }
    }

    fn update(&mut self, transitions: &Transitions, update: u64) -> Result<Vec<f64>, TiltError> {
        let mut noise = Noise::keyed(self.seed, "policy-update", update);
        let rows = noise.indices(self.plan.batch_size, transitions.count());
        let raw = (!self.plan.normalize).then_some(&self.observation);
        self.batch.fill(transitions, &rows, self.plan.discount, raw);
        let moves = (update + 1).is_multiple_of(self.plan.policy_every);
        // Targets move with the policy.
        let decay = if moves {
            1.0 - self.plan.target_rate
        } else {
            1.0
        };
        let bad = || not_finite(update);
        if self.plan.value_weight <= 0.0 {
            let [distance, _] = self.learn_policy(0.0).ok_or_else(bad)?;
            return Ok(vec![distance]);
        }
        let [loss, q] = self.learn_critics(&mut noise, decay).ok_or_else(bad)?;
        let [distance, size] = match moves {
            true => self.learn_policy(decay).ok_or_else(bad)?,
            false => [f64::NAN; 2],
        };
        Ok(vec![loss, q, distance, size])
    }

    fn act(&self, observations: &[f32], _: &mut Noise) -> Vec<f32> {
        let mut own = Vec::new();
        let input = if self.plan.normalize {
            observations
        } else {
            own.extend_from_slice(observations);
            self.observation.invert(&mut own);
            &own
        };
        let pass = NetworkPass {
            network: POLICY,
            target: false,
            train: false,
            input,
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
