//! What each phase of a simulation step costs, for whoever makes it faster.
//!
//! `cargo test --release -p tiltrl-envs phases -- --ignored --nocapture` prints nanoseconds per robot and evaluation, eight
//! robots at a time in states from random motion.

use super::constraints::Constraints;
use super::contact;
use super::description::{Margin, RobotDescription};
use super::dynamics::mass_and_force;
use super::engine::{State, advance};
use super::kinematics::Kinematics;
use super::lanes::Lanes;
use super::model::Model;
use super::robots::{HALF_CHEETAH, HOPPER, WALKER2D};
use super::solver::minimise;
use crate::dispatch::{self, Work};
use crate::random::Stream;
use std::hint::black_box;
use std::time::Instant;

const LANES: usize = 8;
const ROUNDS: usize = 20_000;

/// Evaluates the first `phases` phases many times over.
struct Evaluate<'a, const N: usize> {
    model: &'a Model<N>,
    state: &'a State<N, LANES>,
    phases: usize,
}

impl<const N: usize> Work for Evaluate<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let mut kinematics = Kinematics::new();
        let mut constraints = Constraints::new();
        let mut mass = [[Lanes::ZERO; N]; N];
        let motors = [Lanes::ZERO; N];
        for _ in 0..ROUNDS {
            let state = black_box(self.state);
            let (position, velocity) = (&state.position, &state.velocity);
            kinematics.update(self.model, position, velocity);
            let mut force = motors;
            if self.phases > 1 {
                let pair = (position, velocity);
                force = mass_and_force(self.model, &kinematics, pair, &motors, &mut mass);
            }
            if self.phases > 2 {
                contact::find(
                    self.model,
                    &kinematics,
                    position,
                    velocity,
                    &mut constraints,
                );
            }
            let mut acceleration = state.guess;
            if self.phases > 3 {
                let tree = &self.model.tree;
                minimise(tree, &mass, &force, &mut constraints, &mut acceleration);
            }
            black_box((&kinematics, &mass, &force, &acceleration));
        }
    }
}

fn measure<const N: usize>(robot: &RobotDescription) {
    let model = super::compile::<N>(robot, Margin::Max);
    let mut state = State::<N, LANES>::ZERO;
    let mut stream = Stream::new(3);
    for k in 0..N {
        state.position[k] = Lanes::splat(model.joints[k].reference);
    }
    // Half a second of random motors: the robots have come down and stand in contact.
    for _ in 0..(0.5 / model.timestep) as usize / 10 {
        let mut force = [Lanes::ZERO; N];
        for motor in &model.motors {
            force[motor.dof] = Lanes([0.0; LANES].map(|_| motor.gear * stream.uniform(-1.0, 1.0)));
        }
        advance(&model, &mut state, &force, 10);
    }
    let mut before = 0.0;
    for (phases, name) in [
        (1, "kinematics"),
        (2, "mass and force"),
        (3, "contacts"),
        (4, "solver"),
    ] {
        let best = (0..5)
            .map(|_| {
                let start = Instant::now();
                dispatch::run(Evaluate {
                    model: &model,
                    state: &state,
                    phases,
                });
                start.elapsed().as_secs_f64() * 1e9 / (ROUNDS * LANES) as f64
            })
            .fold(f64::INFINITY, f64::min);
        eprintln!("{:<14} {name:<16} {:>6.1} ns", robot.name, best - before);
        before = best;
    }
}

#[test]
#[ignore = "a measurement"]
fn phases_of_a_simulation_step() {
    measure::<9>(&HALF_CHEETAH);
    measure::<6>(&HOPPER);
    measure::<9>(&WALKER2D);
}
