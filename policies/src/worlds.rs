//! Closed-form worlds: priors whose exact posterior and log Z are known at finite T.
//!
//! | world | prior | reward | what is exact |
//! |---|---|---|---|
//! | [`LinearGaussian`] (F1, F4) | N(m, s²), d copies | exp(b x − c x²/2) | all, by a scalar recursion |
//! | [`GaussianMixture`] (F2) | mixture on a line, or a square grid of modes | Gaussian · e^K, or a ratio of densities | all, by quadrature |
//! | [`bandit`] (F5) | mixture that moves with the state | exp(Q/α), Q quadratic | log Z(s) and π* for every α |
//! | [`Lqr`] (F6) | Gaussian behaviour | exp(Q/α), Q solves the Bellman equation | π*, its return and its KL |
//! | `shapes` | N(0, 1) in two dimensions | density of moons or rings over the sampler's marginal | log Z = K and samples |
//!
//! The target is always the SAMPLER's marginal at finite T times the reward, not the data's: a sampler of T steps
//! does not reproduce its data exactly.

mod bandit;
mod grid;
mod linear_gaussian;
mod lqr;
mod mixture;
mod model;
mod problem;
mod shapes;
mod solve;

pub use self::{
    bandit::{Bandit, bandit},
    linear_gaussian::LinearGaussian,
    lqr::Lqr,
    mixture::{GaussianMixture, GaussianReward, line, square},
    problem::{Mode, Problem, Settings},
    shapes::shape,
    solve::{Measured, Recipe, distances, measure, solve, train_baseline},
};
