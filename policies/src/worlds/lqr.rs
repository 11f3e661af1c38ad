//! F6: a linear-quadratic regulator with a Gaussian behaviour policy.
//!
//! s' = A s + B a + w, w ~ N(0, w² I), reward −½(sᵀ C s + R a²), discount γ, behaviour a ~ N(k·s, b²). Q of the
//! behaviour is quadratic (a Lyapunov fixed point), so π*(a|s) ∝ μ(a|s) exp(Q(s, a)/α) is Gaussian, linear in s,
//! and its return and KL are exact.

use std::sync::Arc;

use super::LinearGaussian;
use super::linear_gaussian::epsilon_of_gaussian;
use super::model::exact_model;
use super::problem::{Mode, Problem, Settings};
use crate::agent::baselines::Tilt;
use crate::fast::HostField;
use crate::models::Schedule;

/// Two states, one action.
#[derive(Clone, Debug)]
pub struct Lqr {
    /// Matrix A of s' = A s + B a + w ε.
    pub transition: [[f64; 2]; 2],
    /// Column B of the action in it.
    pub input: [f64; 2],
    /// Standard deviation w of the process noise.
    pub noise: f64,
    /// Diagonal of C.
    pub state_cost: [f64; 2],
    /// Weight R of a² in the cost.
    pub action_cost: f64,
    /// Discount γ of a timestep.
    pub discount: f64,
    /// Gain k of the behaviour.
    pub gain: [f64; 2],
    /// Standard deviation b of the behaviour.
    pub std: f64,
}

/// A policy N(gain · s, variance).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LinearPolicy {
    /// Action per state, the row of gains.
    pub gain: [f64; 2],
    /// Variance of the action.
    pub variance: f64,
}

/// V(s) = −½ sᵀ P s − constant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quadratic {
    /// Symmetric matrix P.
    pub(super) matrix: [[f64; 2]; 2],
    /// Cost that noise brings, whatever the state.
    pub(super) constant: f64,
}

impl Lqr {
    /// Returns the exact value of a linear policy.
    pub(crate) fn value(&self, policy: LinearPolicy) -> Quadratic {
        let k = policy.gain;
        // Closed loop A + B k.
        let m: [[f64; 2]; 2] = std::array::from_fn(|i| {
            std::array::from_fn(|j| self.transition[i][j] + self.input[i] * k[j])
        });
        let mut p = [[0.0; 2]; 2];
        for _ in 0..20_000 {
            let next: [[f64; 2]; 2] = std::array::from_fn(|i| {
                std::array::from_fn(|j| {
                    let cost = if i == j { self.state_cost[i] } else { 0.0 };
                    let mut sum = cost + self.action_cost * k[i] * k[j];
                    for a in 0..2 {
                        for b in 0..2 {
                            sum += self.discount * m[a][i] * p[a][b] * m[b][j];
                        }
                    }
                    sum
                })
            });
            let change = (0..4).map(|i| (next[i / 2][i % 2] - p[i / 2][i % 2]).abs());
            let done = change.fold(0.0, f64::max) < 1e-13;
            p = next;
            if done {
                break;
            }
        }
        let bpb = self.quadratic(&p, self.input);
        let spread = self.noise * self.noise * (p[0][0] + p[1][1]);
        let per_step = 0.5
            * (policy.variance * (self.action_cost + self.discount * bpb) + self.discount * spread);
        Quadratic {
            matrix: p,
            constant: per_step / (1.0 - self.discount),
        }
    }

    fn quadratic(&self, p: &[[f64; 2]; 2], x: [f64; 2]) -> f64 {
        (0..4).map(|i| x[i / 2] * p[i / 2][i % 2] * x[i % 2]).sum()
    }

    /// Returns the expected return of a policy from s ~ N(0, I).
    #[cfg(test)]
    fn expected_return(&self, policy: LinearPolicy) -> f64 {
        let v = self.value(policy);
        -0.5 * (v.matrix[0][0] + v.matrix[1][1]) - v.constant
    }

    /// Returns the behaviour policy of a sampler of this schedule: its own mean and variance at finite T.
    pub(crate) fn behaviour(&self, schedule: &Schedule) -> LinearPolicy {
        // The recursion is linear in the mean of the data.
        let [slope, variance, _] = self.chain(1.0).marginal(schedule);
        LinearPolicy {
            gain: self.gain.map(|k| slope * k),
            variance,
        }
    }

    fn chain(&self, mean: f64) -> LinearGaussian {
        LinearGaussian {
            mean,
            std: self.std,
            b: 0.0,
            c: 0.0,
            dim: 1,
        }
    }

    /// Returns Q(s, a) = constant(s) + slope(s) a − ½ curvature a² of a policy: (constant, slope, curvature).
    pub(crate) fn action_value(&self, value: &Quadratic, s: [f64; 2]) -> [f64; 3] {
        let p = &value.matrix;
        let next: [f64; 2] =
            std::array::from_fn(|i| self.transition[i][0] * s[0] + self.transition[i][1] * s[1]);
        let pb: [f64; 2] =
            std::array::from_fn(|i| p[i][0] * self.input[0] + p[i][1] * self.input[1]);
        let cost = self.state_cost[0] * s[0] * s[0] + self.state_cost[1] * s[1] * s[1];
        let spread = self.noise * self.noise * (p[0][0] + p[1][1]);
        let constant = -0.5 * cost
            - 0.5 * self.discount * (self.quadratic(p, next) + spread)
            - self.discount * value.constant;
        [
            constant,
            -self.discount * (pb[0] * next[0] + pb[1] * next[1]),
            self.action_cost + self.discount * self.quadratic(p, self.input),
        ]
    }

    /// Returns π* ∝ behaviour · exp(Q/α), exactly.
    pub(crate) fn posterior(&self, behaviour: LinearPolicy, alpha: f64) -> LinearPolicy {
        let value = self.value(behaviour);
        let variance_of = |curvature: f64| 1.0 / (1.0 / behaviour.variance + curvature / alpha);
        let [_, first, curvature] = self.action_value(&value, [1.0, 0.0]);
        let [_, second, _] = self.action_value(&value, [0.0, 1.0]);
        let variance = variance_of(curvature);
        let gain = [(behaviour.gain[0], first), (behaviour.gain[1], second)]
            .map(|(k, slope)| variance * (k / behaviour.variance + slope / alpha));
        LinearPolicy { gain, variance }
    }

    /// Returns log Z(s) = log E_behaviour exp(Q(s, a)/α).
    pub(crate) fn log_z(&self, behaviour: LinearPolicy, alpha: f64, s: [f64; 2]) -> f64 {
        let value = self.value(behaviour);
        let [constant, slope, curvature] = self.action_value(&value, s);
        let mean = behaviour.gain[0] * s[0] + behaviour.gain[1] * s[1];
        let (b, c, v) = (slope / alpha, curvature / alpha, behaviour.variance);
        let shrink = 1.0 + c * v;
        constant / alpha - 0.5 * shrink.ln()
            + (b * b * v + 2.0 * b * mean - c * mean * mean) / (2.0 * shrink)
    }

    /// Returns KL(π* ‖ behaviour) at a state, in nats.
    #[cfg(test)]
    fn kl(&self, policy: LinearPolicy, behaviour: LinearPolicy, s: [f64; 2]) -> f64 {
        let gap = (policy.gain[0] - behaviour.gain[0]) * s[0]
            + (policy.gain[1] - behaviour.gain[1]) * s[1];
        let ratio = policy.variance / behaviour.variance;
        0.5 * (ratio - 1.0 - ratio.ln() + gap * gap / behaviour.variance)
    }

    /// The noise that the exact prior's denoiser predicts.
    fn exact_epsilon(self, levels: Vec<f64>) -> Arc<HostField> {
        Arc::new(move |x: &[f32], steps: &[usize], s: &[f32]| {
            let rows = x.iter().zip(steps).zip(s.chunks_exact(2));
            rows.map(|((&x, &k), s)| {
                let level = levels[levels.len() - 1 - k];
                let mean = self.gain[0] * f64::from(s[0]) + self.gain[1] * f64::from(s[1]);
                epsilon_of_gaussian(f64::from(x), level, mean, self.std * self.std) as f32
            })
            .collect()
        })
    }

    /// Returns the problem with temperature `alpha`, evaluated at the given states.
    pub fn problem(
        &self,
        name: &str,
        alpha: f64,
        states: &[[f64; 2]],
        settings: Settings,
    ) -> Problem {
        let schedule = settings.schedule.clone();
        let behaviour = self.behaviour(&schedule);
        let (policy, value) = (self.posterior(behaviour, alpha), self.value(behaviour));
        let of_row = |s: &[f32]| [f64::from(s[0]), f64::from(s[1])];
        let exact = self.clone().exact_epsilon(schedule.alpha_bar.clone());
        let (of_reward, of_slope) = (self.clone(), self.clone());
        let means: Vec<f64> = states
            .iter()
            .map(|s| policy.gain[0] * s[0] + policy.gain[1] * s[1])
            .collect();
        Problem {
            name: name.into(),
            tilt: Tilt {
                prior: exact_model([1, 2], schedule, exact, &settings),
                log_reward: Arc::new(move |a, s| {
                    let rows = a.iter().zip(s.chunks_exact(2));
                    rows.map(|(&a, s)| {
                        let [constant, slope, curvature] =
                            of_reward.action_value(&value, of_row(s));
                        let a = f64::from(a);
                        (constant + slope * a - 0.5 * curvature * a * a) / alpha
                    })
                    .collect()
                }),
                gradient: Arc::new(move |a, s| {
                    let rows = a.iter().zip(s.chunks_exact(2));
                    rows.map(|(&a, s)| {
                        let [_, slope, curvature] = of_slope.action_value(&value, of_row(s));
                        ((slope - curvature * f64::from(a)) / alpha) as f32
                    })
                    .collect()
                }),
            },
            width: 2,
            draw: Arc::new(|rows, noise| noise.normals(rows, 2)),
            conditions: states.iter().flatten().map(|&v| v as f32).collect(),
            log_z: states
                .iter()
                .map(|&s| self.log_z(behaviour, alpha, s))
                .collect(),
            modes: means
                .iter()
                .map(|&m| vec![Mode::new(vec![m], 1.0)])
                .collect(),
            exact: Arc::new(move |state, count, noise| {
                let z = noise.normals(count, 1);
                let spread = policy.variance.sqrt();
                z.iter()
                    .map(|&z| means[state] + spread * f64::from(z))
                    .collect()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Prediction, ScheduleKind};
    use tiltrl_tilt::noise::Noise;

    fn world() -> Lqr {
        Lqr {
            transition: [[1.0, 0.2], [0.0, 0.95]],
            input: [0.02, 0.2],
            noise: 0.05,
            state_cost: [1.0, 0.1],
            action_cost: 0.1,
            discount: 0.95,
            gain: [-0.3, -0.4],
            std: 0.6,
        }
    }

    #[test]
    fn the_exact_return_is_that_of_episodes() {
        let world = world();
        let policy = LinearPolicy {
            gain: world.gain,
            variance: 0.36,
        };
        let mut noise = Noise::keyed(1, "lqr", 0);
        let episodes = 4000;
        let mut total = 0.0;
        for _ in 0..episodes {
            let draw = noise.normals(1, 2);
            let mut s = [f64::from(draw[0]), f64::from(draw[1])];
            let mut weight = 1.0;
            for _ in 0..200 {
                let z: Vec<f64> = noise.normals(1, 3).iter().map(|&v| f64::from(v)).collect();
                let a = policy.gain[0] * s[0] + policy.gain[1] * s[1] + 0.6 * z[0];
                let cost = s[0] * s[0] + 0.1 * s[1] * s[1] + 0.1 * a * a;
                total -= 0.5 * weight * cost;
                weight *= world.discount;
                s = std::array::from_fn(|i| {
                    world.transition[i][0] * s[0]
                        + world.transition[i][1] * s[1]
                        + world.input[i] * a
                        + world.noise * z[1 + i]
                });
            }
        }
        let exact = world.expected_return(policy);
        let mean = total / f64::from(episodes);
        assert!((mean / exact - 1.0).abs() < 0.04, "{mean} {exact}");
    }

    #[test]
    fn the_posterior_improves_on_the_behaviour_and_log_z_is_the_soft_value() {
        let (world, alpha) = (world(), 0.3);
        let schedule =
            Schedule::new(ScheduleKind::Cosine, 10, Prediction::Epsilon).expect("memoryless");
        let behaviour = world.behaviour(&schedule);
        let policy = world.posterior(behaviour, alpha);
        assert!(world.expected_return(policy) > world.expected_return(behaviour));
        for s in [[0.5, -1.0], [2.0, 0.3]] {
            // log Z = E_π* Q/α − KL(π* ‖ μ).
            let value = world.value(behaviour);
            let [constant, slope, curvature] = world.action_value(&value, s);
            let mean = policy.gain[0] * s[0] + policy.gain[1] * s[1];
            let second = policy.variance + mean * mean;
            let q = constant + slope * mean - 0.5 * curvature * second;
            let expected = q / alpha - world.kl(policy, behaviour, s);
            assert!((world.log_z(behaviour, alpha, s) - expected).abs() < 1e-9);
        }
    }
}
