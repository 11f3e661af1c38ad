//! Relative trajectory balance: turns a prior that makes samples by a path of random steps into the posterior
//! p(x|s) · r(x, s)/Z(s) (Venkatraman et al. 2024, arXiv:2405.20971; Hu et al. 2024, arXiv:2310.04363).
//!
//! This is the method and nothing else: it knows burn's tensors, no network, no engine and no environment. A model of yours
//! implements [`SequentialModel`]; [`finetune::Finetuner`] tilts it; [`certificate`] says how close it came;
//! [`conformity::check`] tells whether the model keeps the rules that the method relies on.
#![forbid(unsafe_code)]

pub mod certificate;
pub mod checkpoint;
pub mod conformity;
pub mod error;
pub mod finetune;
pub mod host;
pub mod noise;
pub mod optimizer;
pub mod reward;
pub mod rtb;
pub mod score;
pub mod sequential;
pub mod weights;

pub use error::TiltError;
pub use noise::Noise;
pub use sequential::{Scored, SequentialModel};
