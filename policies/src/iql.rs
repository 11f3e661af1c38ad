//! Implicit Q-learning (Kostrikov et al. 2021, arXiv:2110.06169): a critic that never queries unseen actions.
//!
//! V regresses to the lower of two target Q by expectile; Q regresses to r + γ (1 − terminal) V(s'), or to the
//! n-step return of the data. Terminals cut the bootstrap, timeouts do not. Leaves out policy extraction: that is what the posterior is for.

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::advantage::{Advantage, conservative};
use crate::error::PolicyError;
use crate::iql_host::{self, Scratch};
use crate::kernels::adam::{Adam, AdamConfig, moving_average};
use crate::kernels::host::HostVector;
use crate::kernels::math::Activation;
use crate::kernels::mlp::MlpSpec;
use crate::nets::{Mlp, host, matrix, vector};
use crate::noise::Noise;

/// Hyperparameters of [`Iql`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IqlConfig {
    /// Updates.
    pub updates: u64,
    /// Transitions per update.
    pub batch_size: usize,
    /// Hidden widths of Q and V.
    pub hidden: Vec<usize>,
    /// Layer normalisation in Q and V.
    pub layer_norm: bool,
    /// Step size of Adam.
    pub learning_rate: f32,
    /// Expectile τ in (0.5, 1).
    pub expectile: f64,
    /// Discount γ.
    pub discount: f64,
    /// Rewards summed before the bootstrap (n-step return of the data's policy); 1 is plain IQL.
    pub num_steps: usize,
    /// Share of the online parameters that enters the targets per update.
    pub target_rate: f32,
    /// Q networks (≥ 2).
    pub ensemble: usize,
    /// Q = mean − lcb · std over the ensemble; with 0, the minimum.
    pub lcb: f64,
    /// Updates of the advantage networks afterwards; 0 = compare actions by Q itself.
    pub advantage_updates: u64,
    /// How far below zero the advantage of actions that only the prior knows is put, in deviations of its targets.
    pub caution: f64,
}

/// A batch of transitions on the host, row-major; observations normalised, actions in [-1, 1].
pub struct Transitions<'a> {
    /// [rows, observation_dim]
    pub observations: &'a [f32],
    /// [rows, action_dim]
    pub actions: &'a [f32],
    /// `[rows]`, scaled: Σ γ^j r over the steps up to the bootstrap
    pub rewards: &'a [f32],
    /// [rows, observation_dim], where the bootstrap looks
    pub next_observations: &'a [f32],
    /// `[rows]`, weight of the bootstrap: γ^steps, or 0 where the episode ended for good
    pub discounts: &'a [f32],
}

/// Losses of one update.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct IqlReport {
    /// Mean squared Bellman error, summed over the ensemble.
    pub q_loss: f64,
    /// Expectile loss.
    pub v_loss: f64,
    /// Mean of V on the batch.
    pub value: f64,
}

/// Twin (or more) Q, V, target networks and their optimizers.
pub struct Iql {
    /// Settings.
    pub config: IqlConfig,
    /// Online Q networks: [observation, action] → 1.
    pub q: Vec<Mlp>,
    /// Target Q networks.
    pub target: Vec<Mlp>,
    /// V: observation → 1.
    pub v: Mlp,
    /// One optimizer per Q, then V's.
    pub optimizers: Vec<Adam>,
    /// Width of an observation.
    pub observation_dim: usize,
    /// Width of an action.
    pub action_dim: usize,
    /// Networks that compare actions of one state, once they are trained.
    pub advantage: Option<Advantage>,
    pub(crate) scratch: Scratch,
}

impl Iql {
    /// Returns an untrained critic.
    pub fn new(
        config: IqlConfig,
        observation_dim: usize,
        action_dim: usize,
        seed: u64,
        device: &Device,
    ) -> Self {
        let mut noise = Noise::keyed(seed, "critic-init", 0);
        let spec = |inputs: usize| MlpSpec {
            sizes: [vec![inputs], config.hidden.clone(), vec![1]].concat(),
            activation: Activation::Relu,
            layer_norm: config.layer_norm,
        };
        let q: Vec<Mlp> = (0..config.ensemble.max(2))
            .map(|_| Mlp::new(spec(observation_dim + action_dim), 1.0, &mut noise, device))
            .collect();
        let v = Mlp::new(spec(observation_dim), 1.0, &mut noise, device);
        let adam = AdamConfig {
            learning_rate: config.learning_rate,
            weight_decay: 0.0,
            max_gradient_norm: 0.0,
        };
        let optimizers = q
            .iter()
            .chain([&v])
            .map(|net| Adam::new(adam.clone(), net.spec.num_parameters()))
            .collect();
        Self {
            config,
            target: q.clone(),
            q,
            v,
            optimizers,
            observation_dim,
            action_dim,
            advantage: None,
            scratch: Scratch::default(),
        }
    }

    fn device(&self) -> Device {
        self.v.parameters.device().inner()
    }

    fn inputs(&self, observations: &[f32], actions: &[f32]) -> Tensor<2> {
        let mut joined = Vec::new();
        let widths = [self.observation_dim, self.action_dim];
        iql_host::join(observations, actions, widths, &mut joined);
        matrix(
            joined,
            self.observation_dim + self.action_dim,
            &self.device(),
        )
    }

    /// Returns the conservative Q of each row from the target networks: their minimum, or mean − lcb · std.
    ///
    /// # Shapes
    /// `observations` [rows, observation_dim] normalised, `actions` [rows, action_dim] in [-1, 1] → `[rows]`.
    pub fn value_of(&self, observations: &[f32], actions: &[f32]) -> Vec<f64> {
        self.conservative_of(&self.target, 1.0, observations, actions)
    }

    /// Returns what the posterior tilts by: the advantage of each row, or its Q where no advantage is trained.
    ///
    /// Both have the same differences between actions of one state, up to what they learned.
    ///
    /// # Shapes
    /// As for [`Self::value_of`].
    pub fn advantage_of(&self, observations: &[f32], actions: &[f32]) -> Vec<f64> {
        match &self.advantage {
            Some(a) => self.conservative_of(&a.nets, a.unit, observations, actions),
            None => self.value_of(observations, actions),
        }
    }

    fn conservative_of(
        &self,
        nets: &[Mlp],
        unit: f64,
        observations: &[f32],
        actions: &[f32],
    ) -> Vec<f64> {
        let members = self.outputs(nets, observations, actions);
        (0..members[0].len())
            .map(|row| {
                let values = members.iter().map(|m| f64::from(m[row]) * unit);
                conservative(values, self.config.lcb)
            })
            .collect()
    }

    /// Returns r + γ V(s') − V(s) of each row, in the critic's units.
    pub fn advantage_targets(&self, batch: &Transitions<'_>) -> Vec<f32> {
        let states = batch.observations.to_vec();
        let base = host(
            self.v
                .forward(matrix(states, self.observation_dim, &self.device())),
        );
        let backup = self.backup(batch);
        backup.iter().zip(base).map(|(b, v)| b - v).collect()
    }

    /// Outputs of networks of one shape, each [rows].
    fn outputs(&self, nets: &[Mlp], observations: &[f32], actions: &[f32]) -> Vec<Vec<f32>> {
        let shared: Option<Vec<HostVector>> = nets
            .iter()
            .map(|net| HostVector::share(&net.parameters))
            .collect();
        if let Some(shared) = shared {
            let mut joined = Vec::new();
            let widths = [self.observation_dim, self.action_dim];
            iql_host::join(observations, actions, widths, &mut joined);
            return iql_host::evaluate(&nets[0].spec, &shared, &joined);
        }
        let input = self.inputs(observations, actions);
        nets.iter()
            .map(|net| host(net.forward(input.clone())))
            .collect()
    }

    /// Does one update of V, Q and the targets.
    ///
    /// # Errors
    /// [`PolicyError::NonFinite`] when a loss is not finite; nothing is changed then.
    pub fn update(&mut self, batch: &Transitions<'_>) -> Result<IqlReport, PolicyError> {
        let count = self.optimizers[0].count;
        let report = if self.device() == Device::flex() {
            iql_host::update(self, batch)
        } else {
            self.update_portable(batch)
        };
        report.ok_or(PolicyError::NonFinite {
            stage: "critic",
            what: "loss",
            update: count,
        })
    }

    /// The same update in plain burn operations: the path of other backends. `None` when a loss is not finite.
    fn update_portable(&mut self, batch: &Transitions<'_>) -> Option<IqlReport> {
        let device = self.device();
        let rows = batch.rewards.len();
        let observations = matrix(batch.observations.to_vec(), self.observation_dim, &device);
        let backup = matrix(self.backup(batch), 1, &device);
        let input = self.inputs(batch.observations, batch.actions);
        let lowest = self
            .target
            .iter()
            .map(|net| host(net.forward(input.clone())))
            .reduce(|a, b| a.iter().zip(&b).map(|(x, y)| x.min(*y)).collect())
            .expect("at least two networks");
        let mut report = IqlReport::default();
        let v = self.v.tracked();
        let value = v.forward(observations);
        let current = host(value.clone());
        let weights: Vec<f32> = lowest
            .iter()
            .zip(&current)
            .map(|(q, v)| {
                if q > v {
                    self.config.expectile as f32
                } else {
                    1.0 - self.config.expectile as f32
                }
            })
            .collect();
        let error = matrix(lowest, 1, &device) - value;
        let v_loss = (error.clone() * error * matrix(weights, 1, &device)).mean();
        report.value = current.iter().map(|&x| f64::from(x)).sum::<f64>() / rows as f64;
        report.v_loss = f64::from(host(v_loss.clone())[0]);
        let mut pending = vec![(self.q.len(), v, v_loss)];
        for (i, net) in self.q.iter().enumerate() {
            let net = net.tracked();
            let error = net.forward(input.clone()) - backup.clone();
            let loss = (error.clone() * error).mean();
            report.q_loss += f64::from(host(loss.clone())[0]);
            pending.push((i, net, loss));
        }
        if !(report.q_loss.is_finite() && report.v_loss.is_finite()) {
            return None;
        }
        for (i, net, loss) in pending {
            self.descend(i, &net, &loss);
        }
        self.move_targets();
        Some(report)
    }

    /// r + γ (1 − terminal) V(s') of each row.
    fn backup(&self, batch: &Transitions<'_>) -> Vec<f32> {
        let next = batch.next_observations.to_vec();
        let next_value = host(
            self.v
                .forward(matrix(next, self.observation_dim, &self.device())),
        );
        (0..batch.rewards.len())
            .map(|i| batch.rewards[i] + batch.discounts[i] * next_value[i])
            .collect()
    }

    /// One optimizer step of network `i` (V comes after the Q networks).
    fn descend(&mut self, i: usize, tracked: &Mlp, loss: &Tensor<1>) {
        let gradient = host(tracked.parameters.grad(&loss.backward()).expect("tracked"));
        let device = self.device();
        let slot = self.q.get_mut(i).unwrap_or(&mut self.v);
        let mut parameters = host(slot.parameters.clone());
        self.optimizers[i].step(&mut parameters, &gradient);
        slot.parameters = vector(parameters, &device);
    }

    fn move_targets(&mut self) {
        let (device, rate) = (self.device(), self.config.target_rate);
        for (target, online) in self.target.iter_mut().zip(&self.q) {
            let mut average = host(target.parameters.clone());
            moving_average(&mut average, &host(online.parameters.clone()), 1.0 - rate);
            target.parameters = vector(average, &device);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> IqlConfig {
        IqlConfig {
            updates: 0,
            batch_size: 64,
            hidden: vec![32],
            layer_norm: false,
            learning_rate: 3e-3,
            expectile: 0.5,
            discount: 0.9,
            num_steps: 1,
            target_rate: 0.02,
            ensemble: 2,
            lcb: 0.0,
            advantage_updates: 0,
            caution: 1.0,
        }
    }

    /// One state that leads to itself with reward 1: Q = 1/(1 − γ) = 10; cut by a terminal: Q = 1.
    fn fixed_point(terminal: f32) -> f64 {
        let mut critic = Iql::new(config(), 1, 1, 1, &Device::flex());
        let (ones, zeros) = (vec![1.0; 64], vec![0.0; 64]);
        let discounts = vec![0.9 * (1.0 - terminal); 64];
        let batch = Transitions {
            observations: &ones,
            actions: &zeros,
            rewards: &ones,
            next_observations: &ones,
            discounts: &discounts,
        };
        for _ in 0..2500 {
            critic.update(&batch).expect("finite");
        }
        critic.value_of(&[1.0], &[0.0])[0]
    }

    #[test]
    fn both_paths_do_the_same_update_whatever_the_number_of_threads() {
        let (rows, observation_dim, action_dim) = (300, 5, 2);
        let mut noise = Noise::keyed(3, "critic-paths", 0);
        let [o, next, a] = [5, 5, 2].map(|width| noise.normals(rows, width));
        let rewards = noise.normals(rows, 1);
        let discounts = vec![0.9; rows];
        let batch = Transitions {
            observations: &o,
            actions: &a,
            rewards: &rewards,
            next_observations: &next,
            discounts: &discounts,
        };
        let fresh = || {
            let config = IqlConfig {
                layer_norm: true,
                ensemble: 3,
                expectile: 0.7,
                ..config()
            };
            Iql::new(config, observation_dim, action_dim, 1, &Device::flex())
        };
        let parameters = |critic: &Iql| -> Vec<f32> {
            let all = critic.q.iter().chain([&critic.v]).chain(&critic.target);
            all.flat_map(|net| host(net.parameters.clone())).collect()
        };
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let mut critic = fresh();
            pool.build().expect("pool").install(|| {
                let losses = [critic.update(&batch), critic.update(&batch)];
                let losses = losses.map(|r| r.expect("finite").q_loss);
                (losses, parameters(&critic), critic.value_of(&o, &a))
            })
        };
        let one = run(1);
        assert_eq!(one, run(2));
        let mut portable = fresh();
        let losses = [(); 2].map(|()| portable.update_portable(&batch).expect("finite").q_loss);
        let near = |a: f64, b: f64, by: f64| assert!((a - b).abs() < by, "{a} {b}");
        near(losses[0], one.0[0], 1e-5);
        near(losses[1], one.0[1], 1e-4);
        // Adam's first steps are ±the learning rate: a gradient of nearly zero may go either way.
        let far = parameters(&portable)
            .iter()
            .zip(&one.1)
            .filter(|(x, y)| (*x - *y).abs() > 1e-4)
            .count();
        assert!(far * 200 < one.1.len(), "{far} of {}", one.1.len());
    }

    #[test]
    fn silent_failure_27_terminals_cut_the_bootstrap_and_timeouts_do_not() {
        assert!((fixed_point(1.0) - 1.0).abs() < 0.05);
        assert!((fixed_point(0.0) - 10.0).abs() < 0.5);
    }
}
