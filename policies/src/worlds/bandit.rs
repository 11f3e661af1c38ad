//! F5: a contextual bandit. μ(u|s) is a mixture on a line whose centres move with the state; Q is quadratic in u.

use std::sync::Arc;

use super::grid::Marginal;
use super::mixture::{GaussianMixture, GaussianReward};
use super::model::exact_model;
use super::problem::{Mode, Problem, Settings, nearest};
use crate::agent::baselines::Tilt;
use crate::fast::HostField;
use crate::models::Schedule;

/// Q(s, u) = height(s) − ½ curvature (u − best(s))², μ(u|s) = Σ w_k N(centre_k + slope_k s, std²), s in [-1, 1].
#[derive(Clone, Debug)]
pub struct Bandit {
    /// Weights of the components.
    pub weights: Vec<f64>,
    /// Centre and slope of each component.
    pub centres: Vec<[f64; 2]>,
    /// Standard deviation of each component.
    pub std: f64,
    /// Best action at s = 0 and its slope.
    pub best: [f64; 2],
    /// Curvature of Q, > 0.
    pub curvature: f64,
    /// Slope of the height: max Q(s, ·) = height · s.
    pub height: f64,
}

impl Bandit {
    /// Returns the prior of a state.
    pub(crate) fn prior(&self, s: f64) -> GaussianMixture {
        GaussianMixture {
            weights: self.weights.clone(),
            means: self
                .centres
                .iter()
                .map(|[c, slope]| vec![c + slope * s])
                .collect(),
            std: self.std,
        }
    }

    /// Returns exp(Q(s, ·)/α) of a state as a Gaussian reward.
    pub(crate) fn reward(&self, s: f64, alpha: f64) -> GaussianReward {
        GaussianReward {
            centre: vec![self.best[0] + self.best[1] * s],
            width: (alpha / self.curvature).sqrt(),
            log_scale: self.height * s / alpha,
        }
    }

    /// Returns (log Z, posterior) of a state at temperature α for the sampler of this schedule.
    pub(crate) fn posterior(&self, s: f64, alpha: f64, schedule: &Schedule) -> (f64, Marginal) {
        let reward = self.reward(s, alpha);
        let marginal = self.prior(s).marginal(schedule);
        marginal.tilted(|u| reward.log(&[u]))
    }
}

/// The noise that the exact prior's denoiser predicts.
fn exact_epsilon(world: Bandit, schedule: &Schedule) -> Arc<HostField> {
    let levels = schedule.alpha_bar.clone();
    Arc::new(move |x: &[f32], steps: &[usize], s: &[f32]| {
        let rows = x.iter().zip(steps).zip(s);
        rows.map(|((&x, &k), &s)| {
            let level = levels[levels.len() - 1 - k];
            let mixture = world.prior(f64::from(s));
            mixture.epsilon(&[f64::from(x)], level)[0] as f32
        })
        .collect()
    })
}

/// Returns the problem of a bandit with temperature `alpha`, evaluated at the given states.
pub fn bandit(
    name: &str,
    world: &Bandit,
    alpha: f64,
    states: &[f64],
    settings: Settings,
) -> Problem {
    let schedule = settings.schedule.clone();
    let (mut log_z, mut samplers, mut modes) = (Vec::new(), Vec::new(), Vec::new());
    for &s in states {
        let (z, posterior) = world.posterior(s, alpha, &schedule);
        let (_, of_data) = world.prior(s).tilted(&world.reward(s, alpha));
        let owner = |u: f64| nearest(of_data.means.iter().map(Vec::as_slice), &[u]);
        let mass = |i: usize| posterior.mass(|u| owner(u) == i);
        let of_state = of_data.means.iter().enumerate();
        modes.push(
            of_state
                .map(|(i, c)| Mode::new(c.clone(), mass(i)))
                .collect(),
        );
        log_z.push(z);
        samplers.push(posterior.sampler());
    }
    let exact = exact_epsilon(world.clone(), &schedule);
    let (of_reward, of_slope) = (world.clone(), world.clone());
    Problem {
        name: name.into(),
        tilt: Tilt {
            prior: exact_model([1, 1], schedule, exact, &settings),
            log_reward: Arc::new(move |u, s| {
                let rows = u.iter().zip(s);
                rows.map(|(&u, &s)| of_reward.reward(f64::from(s), alpha).log(&[f64::from(u)]))
                    .collect()
            }),
            gradient: Arc::new(move |u, s| {
                let rows = u.iter().zip(s);
                rows.map(|(&u, &s)| {
                    let reward = of_slope.reward(f64::from(s), alpha);
                    ((reward.centre[0] - f64::from(u)) / (reward.width * reward.width)) as f32
                })
                .collect()
            }),
        },
        width: 1,
        draw: Arc::new(|rows, noise| {
            (0..rows)
                .map(|_| (2.0 * noise.uniform() - 1.0) as f32)
                .collect()
        }),
        conditions: states.iter().map(|&s| s as f32).collect(),
        log_z,
        exact: Arc::new(move |state, count, noise| {
            (0..count)
                .map(|_| samplers[state](noise.uniform()))
                .collect()
        }),
        modes,
    }
}
