//! Baselines that train: one optimizer loop, one surrogate per method.

use burn::tensor::Tensor;

use tiltrl_tilt::TiltError;
use tiltrl_tilt::checkpoint::Checkpoint;
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::optimizer::{self, AdamConfig, Optimizer, Stepped};
use tiltrl_tilt::sequential::SequentialModel;
use tiltrl_tilt::weights;

use super::tilt::Tilt;
use super::{adjoint, reinforce, weighted};
use crate::fast::HostAdam;
use crate::models::GaussianDiffusion;

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
    /// All methods, in the order of the table.
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
    pub(super) fn model(self, prior: &GaussianDiffusion) -> GaussianDiffusion {
        match self {
            Self::AdjointMatching => {
                let plain = prior.step().plain();
                prior.reshaped(plain).expect("a perceptron drops outputs")
            }
            Self::Reinforce | Self::WeightedDenoising => prior.clone(),
        }
    }
}

/// A baseline in training.
pub struct Learner {
    /// What is tilted.
    pub tilt: Tilt,
    /// Which surrogate it descends.
    pub method: Method,
    /// The model that learns; the prior's distribution at the start.
    pub model: GaussianDiffusion,
    optimizer: HostAdam,
    /// Consecutive rows of a condition batch that share their condition.
    pub paths: usize,
}

impl Learner {
    /// Returns a learner at its start; `model` is the prior, perhaps widened.
    pub fn new(
        tilt: Tilt,
        method: Method,
        model: &GaussianDiffusion,
        adam: AdamConfig,
        paths: usize,
    ) -> Self {
        Self {
            tilt,
            method,
            model: method.model(model),
            optimizer: HostAdam::new(adam),
            paths,
        }
    }

    /// Does one update with `paths` rows per condition and returns the norm of the gradient before clipping.
    ///
    /// # Errors
    /// [`TiltError::NonFinite`]; nothing is then changed.
    pub fn update(&mut self, condition: &Tensor<2>, noise: &mut Noise) -> Result<f64, TiltError> {
        let tracked = self.model.tracked();
        let loss = match self.method {
            Method::Reinforce => {
                reinforce::surrogate(&self.tilt, &tracked, condition, self.paths, noise)
            }
            Method::AdjointMatching => adjoint::surrogate(&self.tilt, &tracked, condition, noise),
            Method::WeightedDenoising => {
                weighted::surrogate(&self.tilt, &tracked, condition, self.paths, noise)
            }
        };
        let gradient = weights::gradient(tracked.weights(), &loss.backward());
        if !optimizer::norm(&gradient).is_finite() {
            return Err(TiltError::NonFinite {
                stage: self.method.name(),
                what: "gradient",
                update: self.count(),
            });
        }
        let parameters = weights::tensors(self.model.weights());
        let Stepped { parameters, norm } = self.optimizer.step(parameters, gradient);
        let shape = self.model.weights().clone();
        self.model = self
            .model
            .with_weights(weights::with_tensors(shape, parameters));
        Ok(norm)
    }

    /// Returns how many updates were done.
    pub fn count(&self) -> u64 {
        self.optimizer.count()
    }

    /// Sets the step size of the next updates.
    pub fn set_learning_rate(&mut self, rate: f32) {
        self.optimizer.set_learning_rate(rate);
    }

    /// Stores parameters and optimizer.
    pub fn put(&self, checkpoint: &mut Checkpoint) {
        weights::put(checkpoint, "policy", self.model.weights());
        self.optimizer.put(checkpoint, "");
    }

    /// Restores what [`Self::put`] stored.
    ///
    /// # Errors
    /// [`TiltError::Checkpoint`] when something is missing or has another length.
    pub fn get(
        &mut self,
        path: &std::path::Path,
        checkpoint: &Checkpoint,
    ) -> Result<(), TiltError> {
        let old = self.model.weights().clone();
        let lengths: Vec<usize> = weights::tensors(&old).iter().map(|t| t.dims()[0]).collect();
        self.optimizer.get(checkpoint, path, "", &lengths)?;
        let restored = weights::get(checkpoint, path, "policy", old)?;
        self.model = self.model.with_weights(restored);
        Ok(())
    }
}
