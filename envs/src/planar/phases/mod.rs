//! What each phase of a simulation step costs, for whoever makes it faster.
//!
//! `cargo test --release -p tiltrl-envs --features phases phases -- --ignored --nocapture` prints, per robot, the operations and nanoseconds of
//! each phase and the share of the core's peak. Eight robots go together (sixteen in f32), in states from episodes with
//! uniform random actions, as in the benchmark.

mod counted;
mod peak;

use super::constraints::Constraints;
use super::contact;
use super::description::{Integrator, Margin};
use super::dynamics::mass_and_force;
use super::engine::{State, advance};
use super::kinematics::Kinematics;
use super::lanes::{Lanes, Real};
use super::model::{Joint, Model, Motion};
use crate::dispatch::{self, Work};
use crate::env::Step;
use crate::fleet::StepBuffers;
use crate::locomotion::{Task, Variant, half_cheetah, hopper, walker2d};
use crate::random::Stream;
use counted::{Counted, Operations, count};
use peak::Peak;
use std::hint::black_box;
use std::time::Instant;

const ROBOTS: usize = 16;
const SNAPSHOTS: usize = 64;
const ROUNDS: usize = 40;
/// Best of so many measurements.
const REPEATS: usize = 15;
const PHASES: [&str; 5] = [
    "kinematics",
    "mass and force",
    "finding contacts",
    "solver, integrator",
    "whole step",
];
/// Operations of one sine and cosine, counted in `trigonometry.rs`: it computes in f64 whatever the engine does.
const SINE_AND_COSINE: u64 = 54;

/// Robots in the middle of an environment step, and their motors' forces.
struct Snapshot<const N: usize, const L: usize, T: Real> {
    state: State<N, L, T>,
    force: [Lanes<L, T>; N],
}

impl<const N: usize> Snapshot<N, ROBOTS, f64> {
    /// The robots from `first` on, as other numbers.
    fn part<const L: usize, T: Real>(&self, first: usize) -> Snapshot<N, L, T> {
        let narrow = |whole: &[Lanes<ROBOTS>; N]| {
            whole.map(|x| Lanes(std::array::from_fn(|lane| T::of(x.0[first + lane]))))
        };
        Snapshot {
            state: State {
                position: narrow(&self.state.position),
                velocity: narrow(&self.state.velocity),
                guess: narrow(&self.state.guess),
            },
            force: narrow(&self.force),
        }
    }
}

/// Moments of sixteen robots under random actions, who begin anew when they fall.
fn snapshots<const N: usize>(task: &Task<N>) -> Vec<Snapshot<N, ROBOTS, f64>> {
    let mut stream = Stream::new(3);
    let mut states: Vec<_> = (0..ROBOTS as u64).map(|seed| task.start(seed)).collect();
    let indices: Vec<usize> = (0..ROBOTS).collect();
    let mut observations = vec![0.0; ROBOTS * task.spec.observation_dim];
    let mut steps = vec![Step::default(); ROBOTS];
    let mut taken = Vec::new();
    for t in 1..=100 + 7 * SNAPSHOTS {
        let actions: Vec<f32> = (0..ROBOTS * task.spec.action_dim)
            .map(|_| stream.uniform(-1.0, 1.0) as f32)
            .collect();
        if t > 100 && t % 7 == 0 {
            taken.push(midway(task, &states, &actions));
        }
        let (observations, steps) = (&mut observations, &mut steps);
        let buffers = StepBuffers {
            actions: &actions,
            observations,
            steps,
        };
        task.step::<ROBOTS, f64>(&mut states, 0, &indices, buffers);
        for k in 0..ROBOTS {
            if steps[k].terminated {
                states[k] = task.start((t * ROBOTS + k) as u64);
            }
        }
    }
    taken
}

/// The robots two simulation steps into their next environment step.
fn midway<const N: usize>(
    task: &Task<N>,
    states: &[State<N, 1>],
    actions: &[f32],
) -> Snapshot<N, ROBOTS, f64> {
    let together =
        |number: &dyn Fn(&State<N, 1>) -> f64| Lanes(std::array::from_fn(|k| number(&states[k])));
    let mut state = State {
        position: std::array::from_fn(|k| together(&|robot| robot.position[k].0[0])),
        velocity: std::array::from_fn(|k| together(&|robot| robot.velocity[k].0[0])),
        guess: std::array::from_fn(|k| together(&|robot| robot.guess[k].0[0])),
    };
    let mut force = [Lanes::ZERO; N];
    for (m, motor) in task.model.motors.iter().enumerate() {
        force[motor.dof] = Lanes(std::array::from_fn(|robot| {
            motor.gear * f64::from(actions[robot * task.spec.action_dim + m])
        }));
    }
    advance(&task.model, &mut state, &force, 2);
    Snapshot { state, force }
}

/// Evaluates the first `phases` phases on every snapshot, `rounds` times.
struct Evaluate<'a, const N: usize, const L: usize, T: Real> {
    model: &'a Model<N>,
    snapshots: &'a [Snapshot<N, L, T>],
    phases: usize,
    rounds: usize,
}

impl<const N: usize, const L: usize, T: Real> Work for Evaluate<'_, N, L, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let mut kinematics = Kinematics::new();
        let mut constraints = Constraints::new();
        let mut mass = [[Lanes::ZERO; N]; N];
        let (model, phases) = (self.model, self.phases);
        for _ in 0..self.rounds {
            for snapshot in self.snapshots {
                let Snapshot { state, force } = black_box(snapshot);
                let (position, velocity) = (&state.position, &state.velocity);
                kinematics.update(model, position, velocity);
                if phases > 1 {
                    let force =
                        mass_and_force(model, &kinematics, position, velocity, force, &mut mass);
                    black_box(force);
                }
                if phases > 2 {
                    contact::find(model, &kinematics, position, velocity, &mut constraints);
                }
                black_box((&kinematics, &mass, &constraints));
            }
        }
    }
}

/// One whole simulation step of every snapshot, `rounds` times.
fn step_all<const N: usize, const L: usize, T: Real>(
    model: &Model<N>,
    snapshots: &[Snapshot<N, L, T>],
    rounds: usize,
) {
    for _ in 0..rounds {
        for snapshot in snapshots {
            let Snapshot { mut state, force } = *black_box(snapshot);
            advance(model, &mut state, &force, 1);
            black_box(state);
        }
    }
}

/// From "one evaluation of the first k phases" (k = 1, 2, 3) and "the whole step" to each phase's part of the step, and the
/// whole. The solver's includes the integrator.
fn parts([a, b, c, whole]: [f64; 4], evaluations: f64) -> [f64; 5] {
    let [b, c] = [b - a, c - b];
    let [a, b, c] = [a, b, c].map(|phase| phase * evaluations);
    [a, b, c, whole - a - b - c, whole]
}

/// What a simulation step takes per robot, phase by phase.
struct Cost {
    arithmetic: [f64; 5],
    divisions: [f64; 5],
    comparisons: [f64; 5],
    nanoseconds: [f64; 5],
}

impl Cost {
    /// Of `L` robots together, computed in `T`.
    fn measure<const N: usize, const L: usize, T: Real>(
        task: &Task<N>,
        snapshots: &[Snapshot<N, ROBOTS, f64>],
    ) -> Self {
        let counts = operations::<N, L, T>(&task.model, &groups(snapshots));
        let robots = (snapshots.len() * ROBOTS) as f64;
        let share = |kind: fn(&Operations) -> u64| {
            let of_each = std::array::from_fn(|k| kind(&counts[k]) as f64 / robots);
            parts(of_each, evaluations(&task.model) as f64)
        };
        Self {
            arithmetic: share(|count| count.arithmetic),
            divisions: share(|count| count.divisions),
            comparisons: share(|count| count.comparisons),
            nanoseconds: times::<N, L, T>(&task.model, &groups(snapshots)),
        }
    }

    /// Billions of operations a second in a phase.
    fn rate(&self, phase: usize) -> f64 {
        self.arithmetic[phase] / self.nanoseconds[phase]
    }
}

/// The robots in groups of `L`, as other numbers.
fn groups<const N: usize, const L: usize, T: Real>(
    snapshots: &[Snapshot<N, ROBOTS, f64>],
) -> Vec<Snapshot<N, L, T>> {
    let of_one = |snapshot: &Snapshot<N, ROBOTS, f64>| {
        let parts = (0..ROBOTS / L).map(|group| snapshot.part(group * L));
        parts.collect::<Vec<_>>()
    };
    snapshots.iter().flat_map(of_one).collect()
}

/// Nanoseconds per robot, the best of several interleaved measurements.
fn times<const N: usize, const L: usize, T: Real>(
    model: &Model<N>,
    snapshots: &[Snapshot<N, L, T>],
) -> [f64; 5] {
    let mut best = [f64::INFINITY; 4];
    for _ in 0..REPEATS {
        for (phases, best) in best.iter_mut().enumerate() {
            let start = Instant::now();
            if phases < 3 {
                dispatch::run_on_vectors(Evaluate {
                    model,
                    snapshots,
                    phases: phases + 1,
                    rounds: ROUNDS,
                });
            } else {
                step_all(model, snapshots, ROUNDS);
            }
            let robots = (ROUNDS * snapshots.len() * L) as f64;
            *best = best.min(start.elapsed().as_secs_f64() * 1e9 / robots);
        }
    }
    parts(best, evaluations(model) as f64)
}

/// Operations on all snapshots: of the first, first two and first three phases once, and of the whole step.
fn operations<const N: usize, const L: usize, T: Real>(
    model: &Model<N>,
    snapshots: &[Snapshot<N, L, Counted<T>>],
) -> [Operations; 4] {
    let turns = |joint: &&Joint| matches!(joint.motion, Motion::Hinge { .. });
    let hinges = model.joints.iter().filter(turns).count();
    std::array::from_fn(|phases| {
        let mut operations = count(|| match phases {
            3 => step_all(model, snapshots, 1),
            _ => Evaluate {
                model,
                snapshots,
                phases: phases + 1,
                rounds: 1,
            }
            .run(),
        });
        let evaluations = if phases == 3 { evaluations(model) } else { 1 };
        let angles = hinges * evaluations * snapshots.len() * L;
        operations.arithmetic += SINE_AND_COSINE * angles as u64;
        operations
    })
}

/// Force evaluations of one simulation step.
fn evaluations<const N: usize>(model: &Model<N>) -> usize {
    match model.integrator {
        Integrator::Euler => 1,
        Integrator::RungeKutta4 => 4,
    }
}

fn print<const N: usize>(task: &Task<N>, peaks: Option<[Peak; 2]>) {
    let taken = snapshots(task);
    let alone = Cost::measure::<N, 1, f64>(task, &taken);
    let vectorised = [
        Cost::measure::<N, 8, f64>(task, &taken),
        Cost::measure::<N, 16, f32>(task, &taken),
    ];
    eprintln!(
        "\n{}, {} force evaluation(s) a simulation step; alone {:.0} ns",
        task.spec.id,
        evaluations(&task.model),
        alone.nanoseconds[4],
    );
    let columns = "    op  div   cmp      ns GFLOP/s fused  apart";
    eprintln!("per robot       op alone {columns} | {columns}");
    for (phase, name) in PHASES.iter().enumerate() {
        let [f64_line, f32_line] = [0, 1].map(|k| {
            let rate = vectorised[k].rate(phase);
            let share = peaks.map_or([0.0; 2], |peaks| {
                [rate / peaks[k].fused, rate / peaks[k].apart]
            });
            format!(
                "{:>6.0} {:>4.0} {:>5.0} {:>7.1} {rate:>6.1} {:>5.1}% {:>5.1}%",
                vectorised[k].arithmetic[phase],
                vectorised[k].divisions[phase],
                vectorised[k].comparisons[phase],
                vectorised[k].nanoseconds[phase],
                100.0 * share[0],
                100.0 * share[1],
            )
        });
        eprintln!(
            "{name:<18} {:>6.0} {f64_line} | {f32_line}",
            alone.arithmetic[phase]
        );
    }
}

#[test]
#[ignore = "a measurement"]
fn phases_of_a_simulation_step() {
    let peaks = peak::measure();
    if let Some([f64_peak, f32_peak]) = peaks {
        eprintln!("peak of one core, GFLOP/s: f64 {f64_peak:.1?}, f32 {f32_peak:.1?}");
    }
    print(&half_cheetah(Variant::V4, Margin::Max), peaks);
    print(&hopper(Variant::V4, Margin::Max), peaks);
    print(&walker2d(Variant::V4, Margin::Max), peaks);
}
