//! Other ways to the same posterior, on the same prior and reward: what RTB must be compared with.
//!
//! | baseline | needs ∇ log r | trains | function |
//! |---|---|---|---|
//! | best-of-n | no | no | [`best_of`] |
//! | self-normalised importance resampling | no | no | [`resample`] |
//! | twisted SMC, systematic resampling | no | no | [`twisted_smc`] |
//! | guidance by the reward's gradient | yes | no | [`guided`] |
//! | REINFORCE + KL, correctly specified | no | yes | [`reinforce`] |
//! | AWR-weighted denoising | no | yes | [`weighted_denoising`] |
//! | adjoint matching | yes | yes | [`adjoint_matching`] |

mod adjoint;
mod guidance;
mod reinforce;
mod resampling;
mod weighted;

pub use adjoint::adjoint_matching;
pub use guidance::guided;
pub use reinforce::reinforce;
pub use resampling::{best_of, resample, systematic, twisted_smc};
pub use weighted::weighted_denoising;
