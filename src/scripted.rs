//! Controllers written by hand for the small tasks: data to learn from, and baselines that need no training.
//!
//! Balancing is linear feedback a = −K·s, K the discrete linear-quadratic regulator of the task linearised upright
//! (state cost 1 on the cart, 10 on each pole's angle, 0.1 on velocities; action cost 1, for two poles 10). Swing-ups pump
//! energy first. The reacher pulls its tip by a spring along the arm's Jacobian; the ball follows the shortest way of cells.

use ndarray::{Array2, ArrayView2};
use tiltrl_envs::classic::maze_layouts::{LARGE, Layout, MEDIUM, UMAZE};
use tiltrl_policies::agent::Policy;
use tiltrl_tilt::noise::Noise;

use crate::error::Error;
use crate::quickstart::SwingUp;

/// Feedback on (x, θ, ẋ, θ̇) of InvertedPendulum, an action of one being 3 units of control.
const ONE_POLE: [f64; 4] = [-0.554_769, -3.950_652, -0.651_604, -0.618_932];
/// Feedback on (x, θ₁, θ₂, ẋ, θ̇₁, θ̇₂) of InvertedDoublePendulum.
const TWO_POLES: [f64; 6] = [
    0.122_939, 0.998_139, 4.116_871, 0.189_130, 0.587_258, 0.612_456,
];
/// Feedback on (x, θ, ẋ, θ̇) of the cart-pole near upright.
const CART_POLE: [f64; 4] = [-0.856_533, -6.952_345, -1.048_321, -1.671_057];
/// Lengths of the reacher's arms, m.
const ARM: [f64; 2] = [0.1, 0.11];

/// What a controller does.
#[derive(Clone, Copy, Debug)]
enum Law {
    SwingUpPendulum,
    SwingUpCartPole,
    RockCar,
    BalanceOne,
    BalanceTwo,
    Reach,
    Follow(Layout),
}

/// A hand-written controller of one task, with a chance of random actions.
#[derive(Clone, Copy, Debug)]
pub struct Scripted {
    law: Law,
    randomness: f64,
}

impl Scripted {
    /// Returns the controller of an environment, or `None` where nobody wrote one; `randomness` is the probability of a
    /// uniform action at each timestep.
    pub fn of(env: &str, randomness: f64) -> Option<Self> {
        let (task, _version) = env.rsplit_once('-')?;
        let law = match task {
            "pendulum" => Law::SwingUpPendulum,
            "cartpole-swingup" => Law::SwingUpCartPole,
            "mountaincar-continuous" => Law::RockCar,
            "invertedpendulum" => Law::BalanceOne,
            "inverteddoublependulum" => Law::BalanceTwo,
            "reacher" => Law::Reach,
            "pointmaze-umaze" | "pointmaze-umaze-dense" => Law::Follow(UMAZE),
            "pointmaze-medium" | "pointmaze-medium-dense" => Law::Follow(MEDIUM),
            "pointmaze-large" | "pointmaze-large-dense" => Law::Follow(LARGE),
            _ => return None,
        };
        Some(Self { law, randomness })
    }

    fn action(&self, s: &[f64]) -> [f64; 2] {
        match self.law {
            Law::SwingUpPendulum => [SwingUp::torque([s[0], s[1], s[2]]), 0.0],
            Law::SwingUpCartPole => [swing_up_cart_pole(s), 0.0],
            Law::RockCar => [if s[1] < 0.0 { -1.0 } else { 1.0 }, 0.0],
            Law::BalanceOne => [feedback(&ONE_POLE, s), 0.0],
            Law::BalanceTwo => {
                let angles = [0, 1].map(|pole| s[1 + pole].atan2(s[3 + pole]));
                let state = [s[0], angles[0], angles[1], s[5], s[6], s[7]];
                [feedback(&TWO_POLES, &state), 0.0]
            }
            Law::Reach => reach(s),
            Law::Follow(layout) => follow(&layout, s),
        }
    }

    fn action_dim(&self) -> usize {
        match self.law {
            Law::Reach | Law::Follow(_) => 2,
            _ => 1,
        }
    }
}

impl Policy for Scripted {
    fn act(&self, observations: ArrayView2<'_, f32>, noise: &mut Noise) -> Array2<f32> {
        let dim = self.action_dim();
        let choice = noise.uniforms();
        let columns: Vec<Vec<f64>> = (0..dim).map(|_| noise.uniforms()).collect();
        let mut actions = Array2::zeros((observations.nrows(), dim));
        for (row, observation) in observations.rows().into_iter().enumerate() {
            let state: Vec<f64> = observation.iter().map(|&x| f64::from(x)).collect();
            let planned = self.action(&state);
            for k in 0..dim {
                let random = choice[row] < self.randomness;
                let value = if random {
                    2.0 * columns[k][row] - 1.0
                } else {
                    planned[k]
                };
                actions[[row, k]] = value.clamp(-1.0, 1.0) as f32;
            }
        }
        actions
    }
}

/// −gain · state, the control of a linear feedback.
fn feedback(gain: &[f64], state: &[f64]) -> f64 {
    -gain.iter().zip(state).map(|(k, s)| k * s).sum::<f64>()
}

/// Pumps the pole's energy towards that of standing upright and catches it there; keeps the cart near the middle.
fn swing_up_cart_pole(s: &[f64]) -> f64 {
    let (x, cosine, sine, velocity, spin) = (s[0], s[1], s[2], s[3], s[4]);
    let angle = sine.atan2(cosine);
    if angle.abs() < 0.35 && spin.abs() < 4.0 {
        return feedback(&CART_POLE, &[x, angle, velocity, spin]);
    }
    // Energy per pole mass and half length, zero upright at rest: (2/3)·l·ω² + g·(cos θ − 1) with l = 0.5, g = 9.81.
    let energy = spin * spin / 3.0 + 9.81 * (cosine - 1.0);
    (0.3 * energy * spin * cosine).clamp(-0.8, 0.8) - 0.25 * x - 0.2 * velocity
}

/// Torques of a spring and damper between fingertip and target.
fn reach(s: &[f64]) -> [f64; 2] {
    let (upper, lower) = (s[2].atan2(s[0]), s[3].atan2(s[1]));
    let (a, b) = (upper.sin_cos(), (upper + lower).sin_cos());
    let gap = [s[8], s[9]];
    let elbow = [-ARM[1] * b.0, ARM[1] * b.1];
    let shoulder = [elbow[0] - ARM[0] * a.0, elbow[1] + ARM[0] * a.1];
    let pull = |column: [f64; 2], speed: f64| {
        -8.0 * (column[0] * gap[0] + column[1] * gap[1]) - 0.02 * speed
    };
    [pull(shoulder, s[6]), pull(elbow, s[7])]
}

/// Force towards the next cell on the shortest way to the goal.
fn follow(layout: &Layout, s: &[f64]) -> [f64; 2] {
    let free = layout.free_cells();
    let (cells, goal) = (free.cells, free.goal);
    let index = |place: [f64; 2]| {
        let near = |cell: &[f64; 2]| (cell[0] - place[0]).powi(2) + (cell[1] - place[1]).powi(2);
        (0..cells.len()).min_by(|&i, &j| near(&cells[i]).total_cmp(&near(&cells[j])))
    };
    let (Some(here), Some(end)) = (index([s[0], s[1]]), index(goal)) else {
        return [0.0; 2];
    };
    let mut distance = vec![usize::MAX; cells.len()];
    distance[end] = 0;
    // As many sweeps as there are cells reach everything.
    for _ in 0..cells.len() {
        for i in 0..cells.len() {
            for j in 0..cells.len() {
                let apart = (cells[i][0] - cells[j][0]).abs() + (cells[i][1] - cells[j][1]).abs();
                if apart == 1.0 && distance[j] != usize::MAX {
                    distance[i] = distance[i].min(distance[j] + 1);
                }
            }
        }
    }
    let beside = |&i: &usize| {
        (cells[i][0] - cells[here][0]).abs() + (cells[i][1] - cells[here][1]).abs() <= 1.0
    };
    let next = (0..cells.len()).filter(beside).min_by_key(|&i| distance[i]);
    let aim = next.map_or(goal, |i| cells[i]);
    [0, 1].map(|k| 1.5 * (aim[k] - s[k]) - 0.6 * s[2 + k])
}

/// Returns the hand-written controller of an environment.
///
/// # Errors
/// When nobody wrote one.
pub fn scripted(env: &str, randomness: f64) -> Result<Box<dyn Policy>, Error> {
    Scripted::of(env, randomness)
        .map(|policy| Box::new(policy) as Box<dyn Policy>)
        .ok_or_else(|| {
            Error::Usage(format!(
                "no controller was written for {env}; use --actor FILE"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::rollout;

    fn mean_return(env: &str) -> f64 {
        let policy = Scripted::of(env, 0.0).expect("written");
        let episodes = rollout(&policy, env, 8, 3, None).expect("known id");
        episodes.iter().map(|e| e.episode_return).sum::<f64>() / 8.0
    }

    #[test]
    fn the_balancers_never_fall_and_the_others_do_their_task() {
        for (env, least) in [
            ("invertedpendulum-v4", 1000.0),
            ("inverteddoublependulum-v4", 9000.0),
            ("reacher-v4", -8.0),
            ("cartpole-swingup-v0", 300.0),
            ("mountaincar-continuous-v0", 50.0),
            // The mazes: what D4RL counts as an expert's.
            ("pointmaze-umaze-v1", 161.86),
            ("pointmaze-large-v1", 273.99),
            ("pendulum-v1", -400.0),
        ] {
            let mean = mean_return(env);
            assert!(mean >= least, "{env}: {mean}");
        }
    }

    #[test]
    fn nobody_wrote_a_controller_for_the_runners() {
        assert!(Scripted::of("hopper-v4", 0.0).is_none());
    }
}
