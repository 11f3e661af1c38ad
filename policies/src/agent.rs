//! What acts: critics, policies, the coordinates they work in, and other ways to the same posterior.

mod advantage;
mod algorithm;
mod algorithms;
pub mod baselines;
mod coordinates;
mod critic;
mod critics;
mod ensemble;
mod guidance;
mod iql;
mod policy;
mod setting;
mod soft;
mod tail;
mod transitions;

pub use self::{
    algorithm::{AlgorithmKind, PolicyLearner, Trains},
    coordinates::{ACTION_CLIP, Coordinates, Normalizer, latent_actions},
    critic::{Critic, CriticKind, LearnerShape, Lesson, ValueNetworks},
    guidance::critic_gradient,
    policy::{Choice, DiffusionPolicy, Policy, SteeredPolicy, Steering},
    setting::{ROWS, Range, Setting, UPDATES},
    tail::{Tail, tailed},
    transitions::{Numbers, Transitions, gather},
};
