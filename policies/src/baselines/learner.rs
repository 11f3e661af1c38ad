//! Baselines that train: one optimizer loop, one surrogate per method.

use burn::tensor::Tensor;

use super::{Tilt, adjoint, reinforce, weighted};
use crate::checkpoint::Checkpoint;
use crate::error::PolicyError;
use crate::gaussian::GaussianDiffusion;
use crate::kernels::adam::{Adam, AdamConfig};
use crate::nets::{host, vector};
use crate::noise::Noise;
use crate::sequential::SequentialModel;
use crate::solve::{Recipe, decay, repeated};
use crate::worlds::Problem;

/// How a trained baseline learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// REINFORCE with the log-reward and the path-KL, each step weighed by the cost still to come.
    Reinforce,
    /// Regression of the control on the lean adjoint; variances stay those of the prior.
    AdjointMatching,
    /// Denoising of prior samples with weights ∝ r in their group.
    WeightedDenoising,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 3] = [
        Self::Reinforce,
        Self::AdjointMatching,
        Self::WeightedDenoising,
    ];

    /// Returns the name that commands and folders use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reinforce => "reinforce",
            Self::AdjointMatching => "adjoint-matching",
            Self::WeightedDenoising => "weighted-denoising",
        }
    }

    /// Returns the model that the method trains, from a prior that may have outputs for more than the mean.
    pub fn model(self, prior: &GaussianDiffusion) -> GaussianDiffusion {
        match self {
            Self::AdjointMatching => prior.narrowed(),
            Self::Reinforce | Self::WeightedDenoising => prior.clone(),
        }
    }
}

/// A baseline in training.
pub struct Learner {
    /// What is tilted.
    pub tilt: Tilt,
    /// How.
    pub method: Method,
    /// The model that learns; the prior's distribution at the start.
    pub model: GaussianDiffusion,
    /// Its optimizer; `count` is the number of updates done.
    pub optimizer: Adam,
    /// Consecutive rows of a condition batch that share their condition.
    pub paths: usize,
}

impl Learner {
    /// Returns a learner at its start; `model` is the prior, perhaps widened.
    pub fn new(
        tilt: Tilt,
        (method, model): (Method, &GaussianDiffusion),
        adam: AdamConfig,
        paths: usize,
    ) -> Self {
        let model = method.model(model);
        let count = model.parameters().dims()[0];
        Self {
            tilt,
            method,
            model,
            optimizer: Adam::new(adam, count),
            paths,
        }
    }

    /// Does one update with `paths` rows per condition and returns the norm of the gradient before clipping.
    ///
    /// # Errors
    /// [`PolicyError::NonFinite`]; nothing is then changed.
    pub fn update(&mut self, condition: &Tensor<2>, noise: &mut Noise) -> Result<f64, PolicyError> {
        let device = self.model.parameters().device();
        let tracked = self
            .model
            .with_parameters(self.model.parameters().autodiff().require_grad());
        let loss = match self.method {
            Method::Reinforce => {
                reinforce::surrogate(&self.tilt, &tracked, condition, self.paths, noise)
            }
            Method::AdjointMatching => adjoint::surrogate(&self.tilt, &tracked, condition, noise),
            Method::WeightedDenoising => {
                weighted::surrogate(&self.tilt, &tracked, condition, self.paths, noise)
            }
        };
        let gradients = loss.backward();
        let gradient = host(tracked.parameters().grad(&gradients).expect("tracked"));
        if !gradient.iter().all(|g| g.is_finite()) {
            return Err(PolicyError::NonFinite {
                stage: self.method.name(),
                what: "gradient",
                update: self.optimizer.count,
            });
        }
        let mut parameters = host(self.model.parameters());
        let norm = self.optimizer.step(&mut parameters, &gradient);
        self.model = self.model.with_parameters(vector(parameters, &device));
        Ok(norm)
    }

    /// Stores parameters and optimizer.
    pub fn put(&self, checkpoint: &mut Checkpoint) {
        let values = host(self.model.parameters());
        checkpoint.tensors.insert("parameters".into(), values);
        checkpoint.put_optimizer("", &self.optimizer);
    }

    /// Restores what [`Self::put`] stored.
    ///
    /// # Errors
    /// [`PolicyError::Checkpoint`] when something is missing or has another length.
    pub fn get(
        &mut self,
        path: &std::path::Path,
        checkpoint: &Checkpoint,
    ) -> Result<(), PolicyError> {
        let old = self.model.parameters();
        let values = checkpoint.tensor(path, "parameters", old.dims()[0])?;
        checkpoint.get_optimizer(path, "", &mut self.optimizer)?;
        self.model = self.model.with_parameters(vector(values, &old.device()));
        Ok(())
    }
}

/// Fine-tunes a world's prior and returns the model.
///
/// # Errors
/// [`PolicyError::NonFinite`].
pub fn train(
    problem: &Problem,
    recipe: &Recipe,
    method: Method,
) -> Result<GaussianDiffusion, PolicyError> {
    let adam = AdamConfig {
        learning_rate: recipe.learning_rate,
        weight_decay: 0.0,
        max_gradient_norm: recipe.max_gradient_norm,
    };
    let paths = recipe.paths.total();
    let mut learner = Learner::new(problem.tilt(), (method, &problem.prior), adam, paths);
    for update in 0..recipe.updates {
        let mut noise = Noise::keyed(recipe.seed, method.name(), update);
        let rows = (problem.draw)(recipe.conditions, &mut noise);
        let condition = repeated(&rows, problem.width, paths);
        learner.optimizer.config.learning_rate =
            recipe.learning_rate * decay(update, recipe.updates);
        learner.update(&condition, &mut noise)?;
    }
    Ok(learner.model)
}
