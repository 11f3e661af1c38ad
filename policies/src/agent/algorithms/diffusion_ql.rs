//! Diffusion-QL (Wang et al. 2022, arXiv:2208.06193): a diffusion policy whose denoising loss gets a Q term through the sampled chain.
//!
//! Critic: twin Q on one sample of the slow policy. Policy: denoising loss − η Q₁(s, a)/mean |Q₂|, the two Q in random order. It acts
//! by the sample of highest lowest slow Q out of `samples`. The policy's gradient goes through burn's graph on fused perceptrons.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use tiltrl_tilt::TiltError;
use tiltrl_tilt::checkpoint::Checkpoint;
use tiltrl_tilt::host::{host, matrix, vector};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::optimizer::{AdamConfig, Optimizer};

use super::batch::{Batch, join};
use super::diffusion_steps::{Chain, inputs};
use super::keys::{
    BATCH, DISCOUNT, HIDDEN, LAYER_NORM, NORMALIZE, RATE, REWARD_SCALE, TARGET_RATE, UPDATE_COUNT,
    key,
};
use crate::agent::algorithm::{AlgorithmKind, PolicyLearner, Trains, not_finite};
use crate::agent::baselines::best_of;
use crate::agent::coordinates::Normalizer;
use crate::agent::critic::{LearnerShape, object, parse};
use crate::agent::setting::Range;
use crate::agent::transitions::Transitions;
use crate::fast::{Activation, HostAdam, MlpSpec, NetworkPass, Networks};
use crate::nets::initial;

/// The slow policy begins to follow after so many updates, and then moves every few.
const SLOW: [u64; 2] = [1000, 5];

/// Settings, the authors'; the gradient's limit is chosen per task, see the presets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DiffusionQl {
    pub updates: u64,
    pub batch_size: usize,
    pub hidden: Vec<usize>,
    pub layer_norm: bool,
    pub learning_rate: f64,
    pub num_steps: usize,
    pub eta: f64,
    pub max_gradient_norm: f64,
    pub samples: usize,
    pub discount: f64,
    pub target_rate: f64,
    pub normalize: bool,
    pub reward_scale: String,
}

impl Default for DiffusionQl {
    fn default() -> Self {
        Self {
            updates: 100_000,
            batch_size: 256,
            hidden: vec![256, 256, 256],
            layer_norm: false,
            learning_rate: 3e-4,
            num_steps: 5,
            eta: 1.0,
            max_gradient_norm: 9.0,
            samples: 50,
            discount: 0.99,
            target_rate: 0.005,
            normalize: false,
            reward_scale: "raw".into(),
        }
    }
}

/// The line of the table.
pub(super) const KIND: AlgorithmKind = AlgorithmKind {
    name: "diffusion-ql",
    summary: "Diffusion-QL: denoising loss with a Q term through the sampled chain, acting by the best of several samples",
    settings: || {
        let eta = "Weight η of the Q term against the denoising loss";
        vec![
            UPDATE_COUNT,
            BATCH,
            HIDDEN,
            LAYER_NORM,
            RATE,
            key("num_steps", Range::Count(2, 1000), "Denoising steps T"),
            key("eta", Range::Number(0.0, 1e6), eta),
            key(
                "max_gradient_norm",
                Range::Number(0.0, f64::INFINITY),
                "Limit of each network's gradient norm; 0 = none",
            ),
            key(
                "samples",
                Range::Count(1, 65_536),
                "Samples per action, of which the one of highest Q is taken",
            ),
            DISCOUNT,
            TARGET_RATE,
            NORMALIZE,
            REWARD_SCALE,
        ]
    },
    defaults: || object(&DiffusionQl::default()),
    changes: "",
    trains: Trains::Policy(|settings, shape, observation| {
        Ok(Box::new(Learner::new(parse(settings)?, shape, observation)))
    }),
};

const CRITICS: [usize; 2] = [0, 1];

/// Policy with slow copy, twin Q with slow copies.
struct Learner {
    config: DiffusionQl,
    widths: [usize; 2],
    seed: u64,
    observation: Normalizer,
    device: Device,
    chain: Chain,
    policy: Tensor<1>,
    /// The slow policy's parameters.
    slow: Vec<Vec<f32>>,
    optimizer: HostAdam,
    critics: Networks,
    batch: Batch,
    joined: [Vec<f32>; 2],
}

impl Learner {
    fn new(config: DiffusionQl, shape: &LearnerShape, observation: &Normalizer) -> Self {
        let mut noise = Noise::keyed(shape.seed, "policy-init", 0);
        let widths = [shape.observation_dim, shape.action_dim];
        let spec = |inputs: usize, outputs: usize, layer_norm: bool| MlpSpec {
            sizes: [vec![inputs], config.hidden.clone(), vec![outputs]].concat(),
            activation: Activation::Mish,
            layer_norm,
        };
        let adam = AdamConfig {
            max_gradient_norm: config.max_gradient_norm as f32,
            ..AdamConfig::plain(config.learning_rate as f32)
        };
        let own = Arc::new(spec(inputs(widths), widths[1], false));
        let values = initial(&own, 1.0, &mut noise);
        let mut critics = Networks::new(&shape.compute.engine);
        for _ in CRITICS {
            let of_critic = spec(widths[0] + widths[1], 1, config.layer_norm);
            let parameters = vector(initial(&of_critic, 1.0, &mut noise), &shape.compute.device);
            critics.push(of_critic, parameters, adam.clone(), true);
        }
        Self {
            chain: Chain::new(config.num_steps, own, &shape.compute.engine, widths),
            policy: vector(values.clone(), &shape.compute.device),
            slow: vec![values],
            optimizer: HostAdam::new(adam),
            critics,
            config,
            widths,
            seed: shape.seed,
            observation: observation.clone(),
            device: shape.compute.device.clone(),
            batch: Batch::default(),
            joined: Default::default(),
        }
    }

    /// Normal numbers of one sampling of the chain.
    fn normals(&self, rows: usize, noise: &mut Noise) -> Vec<f32> {
        let steps = (0..self.chain.len()).flat_map(|_| noise.normals(rows, self.widths[1]));
        steps.collect()
    }

    fn learn_critics(&mut self, noise: &mut Noise) -> Option<[f64; 2]> {
        let rows = self.batch.of.rewards.len();
        let normals = self.normals(rows, noise);
        let batch = &self.batch.of;
        let next = matrix(
            batch.next_observations.clone(),
            self.widths[0],
            &self.device,
        );
        let slow = vector(self.slow[0].clone(), &self.device);
        let actions = host(self.chain.sample(&slow, &next, &normals));
        let [joined, next_joined] = &mut self.joined;
        join(&batch.observations, &batch.actions, self.widths, joined);
        join(&batch.next_observations, &actions, self.widths, next_joined);
        let (joined, next_joined): (&[f32], &[f32]) = (joined, next_joined);
        let pass = |network, target, input| NetworkPass {
            network,
            target,
            train: !target,
            input,
        };
        let passes = [
            pass(0, false, joined),
            pass(1, false, joined),
            pass(0, true, next_joined),
            pass(1, true, next_joined),
        ];
        let decay = 1.0 - self.config.target_rate as f32;
        self.critics.learn(&passes, decay, |outputs, gradients| {
            let (mut loss, mut mean) = (0.0f64, 0.0f64);
            for row in 0..rows {
                let lowest = outputs[2][row].min(outputs[3][row]);
                let target = batch.rewards[row] + batch.discounts[row] * lowest;
                mean += f64::from(target) / rows as f64;
                for (output, gradient) in outputs.iter().zip(&mut *gradients) {
                    let error = output[row] - target;
                    loss += f64::from(error * error) / rows as f64;
                    gradient[row] = 2.0 * error / rows as f32;
                }
            }
            loss.is_finite().then_some([loss, mean])
        })
    }

    /// One step of the policy; returns the denoising loss and the Q term.
    fn learn_policy(&mut self, update: u64, noise: &mut Noise) -> Option<[f64; 2]> {
        let batch = &self.batch.of;
        let (rows, dim) = (batch.rewards.len(), self.widths[1]);
        let observations = matrix(batch.observations.clone(), self.widths[0], &self.device);
        let tracked = self.policy.clone().autodiff().require_grad();
        let steps = noise.indices(rows, self.chain.len());
        let wanted = noise.normals(rows, dim);
        let mut states = batch.actions.clone();
        self.chain.noise(&mut states, &wanted, &steps);
        let states = matrix(states, dim, &self.device);
        let found = self.chain.epsilon(&tracked, states, &steps, &observations);
        let error = found - matrix(wanted, dim, &self.device);
        let denoising = (error.clone() * error).mean();
        let first = usize::from(noise.uniform() < 0.5);
        let normals = self.normals(rows, noise);
        let sample = self.chain.sample(&tracked, &observations, &normals);
        let actions = host(sample.clone());
        let (term, slope) = self.ascent(&actions, first);
        let pull = (sample * matrix(slope, dim, &self.device)).sum();
        let loss = denoising.clone() + pull;
        let value = f64::from(host(denoising)[0]);
        if !(value + term).is_finite() {
            return None;
        }
        let gradient = tracked.grad(&loss.backward());
        let moves = update >= SLOW[0] && update.is_multiple_of(SLOW[1]);
        let decay = if moves {
            1.0 - self.config.target_rate as f32
        } else {
            1.0
        };
        let parameters = vec![self.policy.clone()];
        let mut stepped =
            self.optimizer
                .step_averaged(parameters, vec![gradient], &mut self.slow, decay);
        self.policy = stepped.parameters.remove(0);
        Some([value, term])
    }

    /// The Q term −η mean Q_first/mean |Q_other| of actions, and its gradient with respect to them.
    fn ascent(&self, actions: &[f32], first: usize) -> (f64, Vec<f32>) {
        let [observation_dim, dim] = self.widths;
        let mut joined = Vec::new();
        join(
            &self.batch.of.observations,
            actions,
            self.widths,
            &mut joined,
        );
        let pass = |network| NetworkPass {
            network,
            target: false,
            train: false,
            input: &joined[..],
        };
        let rows = actions.len() / dim;
        let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / rows as f64;
        let other = self.critics.evaluate(&[pass(1 - first)]).remove(0);
        let size = mean(&mut other.iter().map(|q| f64::from(q.abs()))).max(1e-8);
        let weight = -self.config.eta / size;
        let mut term = 0.0;
        let back = self.critics.input_gradients(&[pass(first)], |outputs| {
            term = weight * mean(&mut outputs[0].iter().map(|&q| f64::from(q)));
            vec![vec![(weight / rows as f64) as f32; rows]]
        });
        let of_actions = back[0].chunks_exact(observation_dim + dim);
        let slope = of_actions.flat_map(|row| row[observation_dim..].to_vec());
        (term, slope.collect())
    }
}

impl PolicyLearner for Learner {
    fn updates(&self) -> u64 {
        self.config.updates
    }

    fn figures(&self) -> Vec<&'static str> {
        vec!["q_loss", "q", "denoising_loss", "q_term"]
    }

    fn update(&mut self, transitions: &Transitions, update: u64) -> Result<Vec<f64>, TiltError> {
        let mut noise = Noise::keyed(self.seed, "policy-update", update);
        let rows = noise.indices(self.config.batch_size, transitions.count());
        let raw = (!self.config.normalize).then_some(&self.observation);
        self.batch
            .fill(transitions, &rows, self.config.discount, raw);
        let bad = || not_finite(update);
        let [loss, q] = self.learn_critics(&mut noise).ok_or_else(bad)?;
        let [denoising, term] = self.learn_policy(update, &mut noise).ok_or_else(bad)?;
        Ok(vec![loss, q, denoising, term])
    }

    fn act(&self, observations: &[f32], noise: &mut Noise) -> Vec<f32> {
        let [width, dim] = self.widths;
        let count = self.config.samples;
        let mut input: Vec<f32> = observations
            .chunks_exact(width)
            .flat_map(|row| row.repeat(count))
            .collect();
        if !self.config.normalize {
            self.observation.invert(&mut input);
        }
        let rows = input.len() / width;
        let normals = self.normals(rows, noise);
        let conditions = matrix(input.clone(), width, &self.device);
        let candidates = host(self.chain.sample(&self.policy, &conditions, &normals));
        let mut joined = Vec::new();
        join(&input, &candidates, self.widths, &mut joined);
        let passes = CRITICS.map(|network| NetworkPass {
            network,
            target: true,
            train: false,
            input: &joined[..],
        });
        let values = self.critics.evaluate(&passes);
        let pairs = values[0].iter().zip(&values[1]);
        let lowest: Vec<f64> = pairs.map(|(a, b)| f64::from(a.min(*b))).collect();
        let picks = best_of(&lowest, count).into_iter();
        picks
            .flat_map(|row| candidates[row * dim..(row + 1) * dim].to_vec())
            .collect()
    }

    fn save(&self, checkpoint: &mut Checkpoint) {
        let own = [
            ("policy", host(self.policy.clone())),
            ("slow", self.slow[0].clone()),
        ];
        for (name, values) in own {
            checkpoint.tensors.insert(name.into(), values);
        }
        self.optimizer.put(checkpoint, "_policy");
        self.critics.put(checkpoint, "critic");
    }

    fn load(&mut self, checkpoint: &Checkpoint, path: &Path) -> Result<(), TiltError> {
        let length = self.slow[0].len();
        self.policy = vector(checkpoint.tensor(path, "policy", length)?, &self.device);
        self.slow = vec![checkpoint.tensor(path, "slow", length)?];
        self.optimizer.get(checkpoint, path, "_policy", &[length])?;
        self.critics.get(checkpoint, path, "critic")
    }
}
