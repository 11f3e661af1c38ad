//! What a critic says about actions of one state: Q − V, learned apart from V.
//!
//! Most of Q's spread is between states, and a network that fits it tells actions of one state apart badly: off the data
//! it gives an action the value of the states where such actions are common. Here networks regress to r + γ V(s') − V(s) alone,
//! and to a low label on the prior's own samples. Where prior and data agree the second only rescales and
//! shifts; where the prior strays from the data it is what the networks learn. V cancels in the posterior.

use burn::tensor::Device;

use crate::error::PolicyError;
use crate::iql::IqlConfig;
use crate::kernels::adam::{Adam, AdamConfig};
use crate::kernels::math::Activation;
use crate::kernels::mlp::MlpSpec;
use crate::nets::{Mlp, host, matrix, vector};
use crate::noise::Noise;

/// Networks of the advantage, with their optimizers.
pub struct Advantage {
    /// Networks: [observation, action] → 1.
    pub nets: Vec<Mlp>,
    /// One optimizer each.
    pub optimizers: Vec<Adam>,
    /// Size of the networks' unit, in the critic's units: the deviation of the targets.
    pub unit: f64,
    /// The label of the prior's samples, in the networks' unit.
    pub floor: f32,
}

/// Rows of one update: observations normalised, actions in [-1, 1].
pub struct Labelled<'a> {
    /// [rows, observation_dim + action_dim]
    pub inputs: Vec<f32>,
    /// `[rows]`, in the networks' unit
    pub labels: &'a [f32],
}

impl Advantage {
    /// Returns untrained networks of the critic's shape.
    pub fn new(config: &IqlConfig, dims: [usize; 2], seed: u64, device: &Device) -> Self {
        let mut noise = Noise::keyed(seed, "advantage-init", 0);
        let spec = || MlpSpec {
            sizes: [vec![dims[0] + dims[1]], config.hidden.clone(), vec![1]].concat(),
            activation: Activation::Relu,
            layer_norm: config.layer_norm,
        };
        let nets: Vec<Mlp> = (0..config.ensemble.max(2))
            .map(|_| Mlp::new(spec(), 1.0, &mut noise, device))
            .collect();
        let adam = AdamConfig {
            learning_rate: config.learning_rate,
            weight_decay: 0.0,
            max_gradient_norm: 0.0,
        };
        let optimizers = nets
            .iter()
            .map(|net| Adam::new(adam.clone(), net.spec.num_parameters()))
            .collect();
        Self {
            nets,
            optimizers,
            unit: 1.0,
            floor: -config.caution as f32,
        }
    }

    /// Does one step of every network towards the labels and returns the mean squared error.
    ///
    /// # Errors
    /// [`PolicyError::NonFinite`]; nothing is changed then.
    pub fn update(&mut self, batch: &Labelled<'_>) -> Result<f64, PolicyError> {
        let device = self.nets[0].parameters.device().inner();
        let width = self.nets[0].spec.inputs();
        let inputs = matrix(batch.inputs.clone(), width, &device);
        let labels = matrix(batch.labels.to_vec(), 1, &device);
        let mut steps = Vec::new();
        let mut total = 0.0;
        for net in &self.nets {
            let net = net.tracked();
            let error = net.forward(inputs.clone()) - labels.clone();
            let loss = (error.clone() * error).mean();
            total += f64::from(host(loss.clone())[0]) / self.nets.len() as f64;
            let gradients = loss.backward();
            steps.push(host(net.parameters.grad(&gradients).expect("tracked")));
        }
        if !total.is_finite() {
            return Err(PolicyError::NonFinite {
                stage: "critic",
                what: "loss of the advantage",
                update: self.optimizers[0].count,
            });
        }
        for ((net, optimizer), gradient) in
            self.nets.iter_mut().zip(&mut self.optimizers).zip(steps)
        {
            let mut parameters = host(net.parameters.clone());
            optimizer.step(&mut parameters, &gradient);
            net.parameters = vector(parameters, &device);
        }
        Ok(total)
    }
}

/// Returns the minimum of an ensemble, or its mean − lcb · std.
pub fn conservative(values: impl Iterator<Item = f64> + Clone, lcb: f64) -> f64 {
    if lcb <= 0.0 {
        return values.fold(f64::INFINITY, f64::min);
    }
    let (mut n, mut sum) = (0.0, 0.0);
    values.clone().for_each(|v| (n, sum) = (n + 1.0, sum + v));
    let mean = sum / n;
    mean - lcb * (values.map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt()
}
