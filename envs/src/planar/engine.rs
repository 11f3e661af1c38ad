//! Steps `L` robots at once: forward dynamics and time integration.

use super::constraints::Constraints;
use super::contact;
use super::description::Integrator;
use super::dynamics::mass_and_force;
use super::kinematics::Kinematics;
use super::lanes::{Lanes, Real};
use super::model::Model;
use super::solver::minimise;
use super::tree::Matrix;
use crate::dispatch::{self, Work};

/// The whole state of `L` robots. The guess is part of it: with another one the last digits differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State<const N: usize, const L: usize, T: Real = f64> {
    /// Joint positions, m or rad.
    pub position: [Lanes<L, T>; N],
    /// Joint velocities, m/s or rad/s.
    pub velocity: [Lanes<L, T>; N],
    /// The last solved acceleration, from which the solver starts (MuJoCo's qacc_warmstart).
    pub guess: [Lanes<L, T>; N],
}

impl<const N: usize, const L: usize, T: Real> State<N, L, T> {
    /// Every joint at zero and at rest.
    pub const ZERO: Self = Self {
        position: [Lanes::ZERO; N],
        velocity: [Lanes::ZERO; N],
        guess: [Lanes::ZERO; N],
    };
}

/// What a call did besides moving the state.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<const N: usize, const L: usize, T: Real = f64> {
    /// The force of limits and contacts on each joint at the last evaluation (MuJoCo's qfrc_constraint).
    pub constraint_force: [Lanes<L, T>; N],
    /// The joint positions of the last evaluation: with Runge–Kutta the last stage's, not the final ones.
    pub evaluated_position: [Lanes<L, T>; N],
    /// How much work it took.
    pub effort: Effort,
}

/// How much work a call took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Forward dynamics evaluations.
    pub evaluations: usize,
    /// Newton steps over all evaluations (of the slowest lane each).
    pub newton_steps: usize,
}

struct Scratch<const N: usize, const L: usize, T: Real = f64> {
    kinematics: Kinematics<N, L, T>,
    constraints: Constraints<N, L, T>,
    mass: Matrix<N, L, T>,
    force: [Lanes<L, T>; N],
    position: [Lanes<L, T>; N],
    effort: Effort,
}

/// Advances the state by `num_steps` simulation steps under constant motor forces (one per joint, N or N·m), with the
/// widest vector instructions at hand.
pub fn advance<const N: usize, const L: usize, T: Real>(
    model: &Model<N>,
    state: &mut State<N, L, T>,
    motor_force: &[Lanes<L, T>; N],
    num_steps: usize,
) -> Outcome<N, L, T> {
    if L > 1 && !dispatch::has_vectors() {
        return one_by_one(model, state, motor_force, num_steps);
    }
    let work = Advance {
        model,
        state,
        motor_force,
        num_steps,
    };
    if L == 1 {
        dispatch::run_alone(work)
    } else {
        dispatch::run_on_vectors(work)
    }
}

/// As [`advance`], each robot alone: the same bytes.
fn one_by_one<const N: usize, const L: usize, T: Real>(
    model: &Model<N>,
    state: &mut State<N, L, T>,
    motor_force: &[Lanes<L, T>; N],
    num_steps: usize,
) -> Outcome<N, L, T> {
    let mut all = Outcome {
        constraint_force: [Lanes::ZERO; N],
        evaluated_position: [Lanes::ZERO; N],
        effort: Effort::default(),
    };
    for lane in 0..L {
        let of = |values: &[Lanes<L, T>; N]| values.map(|x| Lanes([x.0[lane]]));
        let mut alone = State {
            position: of(&state.position),
            velocity: of(&state.velocity),
            guess: of(&state.guess),
        };
        let outcome = advance::<N, 1, T>(model, &mut alone, &of(motor_force), num_steps);
        for k in 0..N {
            state.position[k].0[lane] = alone.position[k].0[0];
            state.velocity[k].0[lane] = alone.velocity[k].0[0];
            state.guess[k].0[lane] = alone.guess[k].0[0];
            all.constraint_force[k].0[lane] = outcome.constraint_force[k].0[0];
            all.evaluated_position[k].0[lane] = outcome.evaluated_position[k].0[0];
        }
        let effort = &mut all.effort;
        effort.evaluations = outcome.effort.evaluations;
        effort.newton_steps = effort.newton_steps.max(outcome.effort.newton_steps);
    }
    all
}

struct Advance<'a, const N: usize, const L: usize, T: Real = f64> {
    model: &'a Model<N>,
    state: &'a mut State<N, L, T>,
    motor_force: &'a [Lanes<L, T>; N],
    num_steps: usize,
}

impl<const N: usize, const L: usize, T: Real> Work for Advance<'_, N, L, T> {
    type Output = Outcome<N, L, T>;

    #[inline(always)]
    fn run(self) -> Outcome<N, L, T> {
        simulate(self.model, self.state, self.motor_force, self.num_steps)
    }
}

#[inline(always)]
fn simulate<const N: usize, const L: usize, T: Real>(
    model: &Model<N>,
    state: &mut State<N, L, T>,
    motor_force: &[Lanes<L, T>; N],
    num_steps: usize,
) -> Outcome<N, L, T> {
    let mut scratch = Scratch {
        kinematics: Kinematics::new(),
        constraints: Constraints::new(),
        mass: [[Lanes::ZERO; N]; N],
        force: [Lanes::ZERO; N],
        position: [Lanes::ZERO; N],
        effort: Effort::default(),
    };
    for _ in 0..num_steps {
        simulation_step(model, state, motor_force, &mut scratch);
    }
    let mut constraint_force = model.tree.multiply(&scratch.mass, &state.guess);
    for k in 0..N {
        constraint_force[k] -= scratch.force[k];
    }
    Outcome {
        constraint_force,
        evaluated_position: scratch.position,
        effort: scratch.effort,
    }
}

/// One step of the model's integrator. Both rules evaluate the forces at a list of stages; a stage starts from the
/// state that begins the step, moved by the previous stage's velocity and acceleration.
#[inline(always)]
fn simulation_step<const N: usize, const L: usize, T: Real>(
    model: &Model<N>,
    state: &mut State<N, L, T>,
    motor_force: &[Lanes<L, T>; N],
    scratch: &mut Scratch<N, L, T>,
) {
    let step = model.timestep;
    let (reach, share): (&[f64], &[f64]) = match model.integrator {
        Integrator::Euler => (&[0.0], &[1.0]),
        Integrator::RungeKutta4 => (
            &[0.0, 0.5, 0.5, 1.0],
            &[1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0],
        ),
    };
    let (start_position, start_velocity) = (state.position, state.velocity);
    let mut mean_velocity = [Lanes::ZERO; N];
    let mut mean_acceleration = [Lanes::ZERO; N];
    let (mut position, mut velocity) = (start_position, start_velocity);
    for stage in 0..reach.len() {
        if stage > 0 {
            let length = step * reach[stage];
            for k in 0..N {
                position[k] = start_position[k] + velocity[k] * length;
                velocity[k] = start_velocity[k] + state.guess[k] * length;
            }
        }
        evaluate(
            model,
            &position,
            &velocity,
            motor_force,
            scratch,
            &mut state.guess,
        );
        for k in 0..N {
            mean_velocity[k] += velocity[k] * share[stage];
            mean_acceleration[k] += state.guess[k] * share[stage];
        }
    }
    if model.integrator == Integrator::Euler {
        implicit_damping(model, scratch, &mut mean_acceleration);
        for k in 0..N {
            state.velocity[k] += mean_acceleration[k] * step;
            state.position[k] += state.velocity[k] * step;
        }
    } else {
        for k in 0..N {
            state.position[k] += mean_velocity[k] * step;
            state.velocity[k] += mean_acceleration[k] * step;
        }
    }
}

/// Forward dynamics: writes the acceleration at a state into `acceleration`, which holds the guess.
#[inline(always)]
fn evaluate<const N: usize, const L: usize, T: Real>(
    model: &Model<N>,
    position: &[Lanes<L, T>; N],
    velocity: &[Lanes<L, T>; N],
    motor_force: &[Lanes<L, T>; N],
    scratch: &mut Scratch<N, L, T>,
    acceleration: &mut [Lanes<L, T>; N],
) {
    let Scratch {
        kinematics,
        constraints,
        mass,
        force,
        position: seen,
        effort,
    } = scratch;
    *seen = *position;
    kinematics.update(model, position, velocity);
    *force = mass_and_force(model, kinematics, position, velocity, motor_force, mass);
    contact::find(model, kinematics, position, velocity, constraints);
    effort.evaluations += 1;
    effort.newton_steps += minimise(&model.tree, mass, force, constraints, acceleration);
}

/// Replaces a by (M + h·B)⁻¹·M·a: Euler with the joint damping B taken at the end of the step.
#[inline(always)]
fn implicit_damping<const N: usize, const L: usize, T: Real>(
    model: &Model<N>,
    scratch: &Scratch<N, L, T>,
    acceleration: &mut [Lanes<L, T>; N],
) {
    if !model.damped {
        return;
    }
    let mut damped = scratch.mass;
    *acceleration = model.tree.multiply(&damped, acceleration);
    for k in 0..N {
        damped[k][k] += Lanes::splat(model.timestep * model.joints[k].damping);
    }
    model.tree.factor(&mut damped);
    model.tree.solve(&damped, acceleration);
}

/// The mass matrix and the links' frames in a pose, at rest: what compiling a model needs.
pub(super) fn pose<const N: usize>(
    model: &Model<N>,
    position: &[Lanes<1>; N],
) -> (Matrix<N, 1>, Kinematics<N, 1>) {
    let mut kinematics = Kinematics::new();
    let rest = [Lanes::ZERO; N];
    kinematics.update(model, position, &rest);
    let mut mass = [[Lanes::ZERO; N]; N];
    mass_and_force(model, &kinematics, position, &rest, &rest, &mut mass);
    (mass, kinematics)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::{has_vectors, run_on_vectors};
    use crate::locomotion::{Variant, hopper};
    use crate::planar::description::Margin;

    /// What processors without vectors compute is what the others do. Eight hoppers fall, each with forces of its own.
    #[test]
    fn robots_one_by_one_move_as_robots_together() {
        if !has_vectors() {
            eprintln!("SKIPPED: this processor has no vectors to compare with");
            return;
        }
        let task = hopper(Variant::V4, Margin::Max);
        let start = task.start(3);
        let mut together = State::<6, 8>::ZERO;
        let mut force = [Lanes::<8>::ZERO; 6];
        for k in 0..6 {
            together.position[k] = Lanes::splat(start.position[k].0[0]);
            for lane in 0..8 {
                together.velocity[k].0[lane] = 0.1 * (lane as f64 - k as f64);
                force[k].0[lane] = if k < 3 {
                    0.0
                } else {
                    20.0 * lane as f64 - 60.0
                };
            }
        }
        let mut alone = together;
        for _ in 0..40 {
            let (model, num_steps) = (&task.model, 4);
            let one = one_by_one(model, &mut alone, &force, num_steps);
            let all = run_on_vectors(Advance {
                model,
                state: &mut together,
                motor_force: &force,
                num_steps,
            });
            assert_eq!(alone, together);
            assert_eq!(one.constraint_force, all.constraint_force);
            assert_eq!(one.evaluated_position, all.evaluated_position);
            assert_eq!(one.effort.evaluations, all.effort.evaluations);
        }
        let first = together.position.map(|x| x.0[0]);
        assert!((1..8).all(|lane| together.position.map(|x| x.0[lane]) != first));
    }
}
