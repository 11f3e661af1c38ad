//! Sequential models: how steps are drawn and scored. The network is an argument.

mod autoregressive;
mod gaussian;
mod masked;
mod schedule;
mod strings;

pub use self::{
    autoregressive::Autoregressive,
    gaussian::{GaussianDiffusion, GaussianPath, LOG_SIGMA_LIMIT, Moments, StepShape, Units},
    masked::{MaskedDiffusion, MaskedLoss},
    schedule::{Prediction, Schedule, ScheduleKind},
    strings::{Enumerated, StringPath, Strings, enumerated_posterior, total_variation},
};
