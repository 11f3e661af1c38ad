//! A policy as plain numbers: layers, steps, coordinates.

use tiltrl_policies::agent::Choice;
use tiltrl_policies::agent::Coordinates;
use tiltrl_policies::fast::{Activation, MlpSpec};
use tiltrl_policies::models::{GaussianDiffusion, LOG_SIGMA_LIMIT, Units};
use tiltrl_policies::nets::{Perceptron, embedding};
use tiltrl_tilt::host::host;
use tiltrl_tilt::sequential::SequentialModel;

use crate::agent::{Agent, PolicyName};
use crate::agent_choices::Sampling;
use crate::data::ActionBounds;
use crate::error::Error;

/// One layer: z = x W + b, then, on hidden layers with normalisation, gain · (z − mean)/√(variance + 1e-5) + shift.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Inputs and outputs.
    pub shape: [usize; 2],
    /// W [inputs, outputs], row-major.
    pub weight: Vec<f32>,
    /// The offset b, `[outputs]`.
    pub bias: Vec<f32>,
    /// Gain and shift, `[outputs]` each.
    pub norm: Option<[Vec<f32>; 2]>,
}

/// A perceptron: the activation follows every layer but the last.
#[derive(Clone, Debug)]
pub struct Network {
    /// From input to output.
    pub layers: Vec<Layer>,
    /// The hidden layers' non-linearity.
    pub activation: Activation,
}

impl Network {
    fn new(spec: &MlpSpec, parameters: &[f32]) -> Self {
        let layers = spec.layers().into_iter().map(|at| {
            let outputs = at.shape[1];
            let norm = |n: usize| {
                let (gain, shift) = parameters[n..n + 2 * outputs].split_at(outputs);
                [gain.to_vec(), shift.to_vec()]
            };
            Layer {
                shape: at.shape,
                weight: parameters[at.weight..at.bias].to_vec(),
                bias: parameters[at.bias..at.bias + outputs].to_vec(),
                norm: at.norm.map(norm),
            }
        });
        Self {
            layers: layers.collect(),
            activation: spec.activation,
        }
    }

    /// Returns the activation as configs name it.
    pub fn activation_name(&self) -> &'static str {
        match self.activation {
            Activation::Relu => "relu",
            Activation::Silu => "silu",
            Activation::Mish => "mish",
            Activation::Gelu => "gelu",
        }
    }
}

/// The choice of the candidate with the highest value among several.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Candidates per observation.
    pub count: usize,
    /// Networks of the critic: [normalised observation, action] → one value.
    pub networks: Vec<Network>,
    /// Value = mean − lcb · std over the networks; with 0, their minimum.
    pub lcb: f64,
}

/// Everything that a policy computes with.
#[derive(Clone, Debug)]
pub struct PolicyNumbers {
    /// Normalisation of observations, and of latent actions u = atanh(a).
    pub coordinates: Coordinates,
    /// What −1 … 1 stood for in the data's files, where that is known.
    pub bounds: Option<ActionBounds>,
    /// The denoiser: [state, time embedding, normalised observation] → outputs.
    pub network: Network,
    /// Embedding of each step's time, in the order of steps.
    pub embedding: Vec<Vec<f32>>,
    /// Weight of the state in the mean of each step.
    pub state: Vec<f32>,
    /// Weight of the network's first outputs in it.
    pub output: Vec<f32>,
    /// Standard deviation of each step.
    pub sigma: Vec<f32>,
    /// ᾱ of t = 0 … T.
    pub alpha_bar: Vec<f32>,
    /// c, where σ is multiplied by exp(c tanh(o/c)) with o the second outputs.
    pub log_sigma_limit: Option<f32>,
    /// The choice among several samples, if there is one.
    pub selection: Option<Selection>,
}

impl PolicyNumbers {
    /// Returns the numbers of a policy of an agent.
    ///
    /// # Errors
    /// When the policy is not trained, or is none that leaves: steered or resampled ones, posteriors with guidance, and
    /// best-of-N over a critic that is no ensemble of perceptrons.
    pub fn of(agent: &Agent, name: PolicyName) -> Result<Self, Error> {
        let refused = |why: &str| {
            Error::Usage(format!(
                "--policy {name}: {why}\n  hint: prior, posterior, posterior-best and best-of-N leave"
            ))
        };
        let found = agent.model(name)?;
        if found.is_none() && matches!(name, PolicyName::Algorithm(_)) {
            return Err(refused("it is a network of a baseline, which stays here"));
        }
        let Some(Sampling { model, choice }) = found else {
            return Err(refused(
                "it is steered by the critic's gradient while it samples",
            ));
        };
        if model.step().guidance.is_some() {
            return Err(refused(
                "it was trained with finetune.guidance, whose gradient no file holds",
            ));
        }
        let count = match choice {
            Choice::Sample => None,
            Choice::BestOf(n) => Some(n.max(1)),
            Choice::Resample(..) => return Err(refused("it draws among samples at random")),
        };
        let Some(denoiser) = model.weights().get::<Perceptron>() else {
            return Err(refused(
                "its network is no perceptron, and only those are written",
            ));
        };
        let mut found = Self::of_model(model, &denoiser, &agent.coordinates);
        found.bounds.clone_from(&agent.action_bounds);
        if let Some(count) = count {
            let networks = agent.critic.as_ref().and_then(|critic| critic.networks());
            let networks =
                networks.ok_or_else(|| refused("this critic is no ensemble of perceptrons"))?;
            let one = |values: &Vec<f32>| Network::new(&networks.spec, values);
            found.selection = Some(Selection {
                count,
                networks: networks.parameters.iter().map(one).collect(),
                lcb: networks.lcb,
            });
        }
        Ok(found)
    }

    /// Returns the numbers of a model over a perceptron.
    pub fn of_model(
        model: &GaussianDiffusion,
        denoiser: &Perceptron,
        coordinates: &Coordinates,
    ) -> Self {
        let schedule = model.schedule();
        let steps = 0..schedule.sigma.len();
        let count = steps.len();
        let net = denoiser.net();
        let output = |k: usize| match model.step().units {
            Units::Denoiser => schedule.coefficients(k)[1] as f32,
            Units::Sigma => schedule.sigma[k] as f32,
        };
        Self {
            coordinates: coordinates.clone(),
            bounds: None,
            network: Network::new(net.spec(), &host(net.parameters())),
            embedding: steps
                .clone()
                .map(|k| embedding(k, count).to_vec())
                .collect(),
            state: steps
                .clone()
                .map(|k| schedule.coefficients(k)[0] as f32)
                .collect(),
            output: steps.map(output).collect(),
            sigma: schedule.sigma.iter().map(|&s| s as f32).collect(),
            alpha_bar: schedule.alpha_bar.iter().map(|&a| a as f32).collect(),
            log_sigma_limit: model
                .step()
                .learned_variance
                .then_some(LOG_SIGMA_LIMIT as f32),
            selection: None,
        }
    }

    /// Returns widths of an observation and an action.
    pub fn widths(&self) -> [usize; 2] {
        [
            self.coordinates.observation.mean.len(),
            self.coordinates.action.mean.len(),
        ]
    }
}
