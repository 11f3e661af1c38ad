//! What a network's outputs mean to a step.

use std::sync::Arc;

use crate::fast::HostField;

/// How the network's outputs enter a step. The default is a plain denoiser with fixed variances.
///
/// The outputs are `dim` for the mean, then `dim` offsets of log σ if the variance is learned, then one
/// scale of the guidance term if there is one. Outputs that are zero leave the step of the denoiser as it is.
#[derive(Clone, Default)]
pub struct StepShape {
    /// What the first `dim` outputs are.
    pub units: Units,
    /// σ of a step is σ_k exp(c tanh(o / c)) with o a network output and c = [`LOG_SIGMA_LIMIT`].
    pub learned_variance: bool,
    /// ∇ log r, which the network scales and adds to the mean in units of σ_k (arXiv:2405.20971, eq. 11). It comes
    /// from the host: no gradient reaches the reward.
    pub guidance: Option<Arc<HostField>>,
}

/// What the network's first outputs are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Units {
    /// Part of the denoiser's output.
    #[default]
    Denoiser,
    /// A shift of the step's mean in units of σ_k, beside an exact denoiser: ½‖o‖² is then the step's KL.
    Sigma,
}

/// Bound of |log σ − log σ_k| when the variance is learned.
pub const LOG_SIGMA_LIMIT: f64 = 2.0;

impl StepShape {
    /// Returns how many outputs the network of a model of `dim` values needs.
    pub(crate) fn outputs(&self, dim: usize) -> usize {
        dim + dim * usize::from(self.learned_variance) + usize::from(self.guidance.is_some())
    }

    /// Returns the same units with fixed variances and without guidance.
    pub(crate) fn plain(&self) -> Self {
        Self {
            units: self.units,
            ..Self::default()
        }
    }
}
