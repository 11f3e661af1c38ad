//! Diffusion policies, critics and relative-trajectory-balance fine-tuning.
//!
//! A prior μ(a|s) is a [`sequential::SequentialModel`]; [`finetune::Finetuner`] turns it into the posterior
//! π(a|s) ∝ μ(a|s) exp(Q(s, a)/α) (Venkatraman et al. 2024, arXiv:2405.20971).

pub mod acting;
pub mod advantage;
pub mod autoregressive;

pub mod baselines;
pub mod certificate;
pub mod checkpoint;
pub mod error;
pub mod finetune;
pub mod gaussian;
pub mod guidance;
pub mod iql;
mod iql_host;
pub mod kernels;
pub mod masked;
pub mod nets;
pub mod noise;
pub mod normalizer;
pub mod policy;
pub mod rtb;
pub mod schedule;
pub mod sequential;
pub mod solve;
pub mod strings;
pub mod worlds;
