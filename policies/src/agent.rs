//! What acts: critics, policies, the coordinates they work in, and other ways to the same posterior.

mod advantage;
mod algorithm;
pub mod algorithms;
pub mod baselines;
mod coordinates;
mod critic;
pub mod critics;
mod guidance;
mod iql;
mod policy;
mod setting;
mod tail;
mod transitions;

pub use self::{
    algorithm::{AlgorithmKind, AlgorithmShape, PolicyLearner, Trains},
    coordinates::{ACTION_CLIP, Coordinates, Normalizer, latent_actions},
    critic::{Critic, CriticKind, CriticShape, Lesson, ValueNetworks},
    guidance::critic_gradient,
    iql::{Iql, IqlConfig, cosine_decay},
    policy::{Choice, DiffusionPolicy, Policy, SteeredPolicy, Steering},
    setting::{LARGEST, ROWS, Range, Setting, UPDATES},
    tail::{Tail, TailPolicy, Tailed, tailed},
    transitions::{Numbers, Return, Transitions, gather},
};
