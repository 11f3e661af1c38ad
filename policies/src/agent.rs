//! What acts: critics, policies, the coordinates they work in, and other ways to the same posterior.

pub mod advantage;
pub mod algorithm;
pub mod algorithms;
pub mod baselines;
pub mod coordinates;
pub mod critic;
pub mod critics;
pub mod guidance;
pub mod iql;
pub mod policy;
pub mod setting;
pub mod transitions;
