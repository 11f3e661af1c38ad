//! Other ways to the same posterior, on the same prior and reward: what RTB must be compared with.
//!
//! All of them tilt a [`Tilt`]; closed-form worlds and control differ in nothing else.
//!
//! | baseline | needs ∇ log r | trains | function |
//! |---|---|---|---|
//! | best-of-n | no | no | [`best_of`] |
//! | self-normalised importance resampling | no | no | [`resample`] |
//! | twisted SMC, systematic resampling | no | no | [`twisted_smc`] |
//! | guidance by the reward's gradient | yes | no | [`guided`] |
//! | REINFORCE + KL, correctly specified | no | yes | [`Method::Reinforce`] |
//! | AWR-weighted denoising | no | yes | [`Method::WeightedDenoising`] |
//! | adjoint matching | yes | yes | [`Method::AdjointMatching`] |

mod adjoint;
mod guidance;
mod learner;
mod reinforce;
mod resampling;
mod tilt;
mod weighted;

pub use self::{
    guidance::guided,
    learner::{Learner, Method},
    resampling::{Particles, best_of, resample, twisted_smc},
    tilt::Tilt,
};
pub(crate) use resampling::systematic;
