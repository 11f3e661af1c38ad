//! The kernels' text of the small systems, of robots that balance or reach and of mazes, compiled for the CPU, against the Rust
//! environments: byte for byte.
#![allow(clippy::unwrap_used)]
#![allow(unsafe_code)]

#[path = "support/episodes.rs"]
mod episodes;
#[path = "support/states.rs"]
mod states;
#[path = "support/twin.rs"]
mod twin;

use episodes::{env, play};
use states::{STATES, column, random_actions};
use tiltrl_envs::gpu::Mode;
use tiltrl_envs::gpu::program::Program;
use tiltrl_envs::random::Stream;
use tiltrl_envs::{Engine, Joints, Margin};
use twin::Twin;

#[test]
fn episodes_of_the_classic_systems_are_the_cpus() {
    if !twin::compiler() {
        return;
    }
    for (id, [terminated, truncated]) in [
        ("pendulum-v1", [0, 40]),
        ("cartpole-swingup-v0", [10, 0]),
        ("mountaincar-continuous-v0", [0, 8]),
    ] {
        let program = Program::of(id, Margin::Max).unwrap();
        let ends = play(&program, Mode::F64, id);
        eprintln!(
            "{id}: {} terminated, {} cut at the horizon",
            ends[0], ends[1]
        );
        assert!(
            ends[0] >= terminated && ends[1] >= truncated,
            "{id}: {ends:?}"
        );
    }
}

#[test]
fn ten_thousand_random_states_of_the_classic_systems_step_with_the_cpus_bytes() {
    if !twin::compiler() {
        return;
    }
    // How far the states reach: angles of many turns, speeds up to the bounds, the goal and the walls.
    for (id, reach) in [
        ("pendulum-v1", &[100.0, 8.0][..]),
        ("cartpole-swingup-v0", &[2.5, 100.0, 10.0, 20.0]),
        ("mountaincar-continuous-v0", &[1.2, 0.07]),
    ] {
        let program = Program::of(id, Margin::Max).unwrap();
        let mut twin = Twin::new(&program, Mode::F64, STATES);
        let mut other = env(id, Engine::Embedded, None);
        let mut stream = Stream::new(29);
        let actions = random_actions(&mut stream, STATES);
        let mut states = Vec::new();
        for k in 0..STATES {
            // Numbers of f32: the mountain car has no others.
            let draw = |reach: &f64| f64::from(stream.uniform(-reach, *reach) as f32);
            let state: Vec<f64> = reach.iter().map(draw).collect();
            twin.set_rows(k, &state);
            states.push(state);
        }
        twin.advance(&actions);
        let mut seen = vec![0.0; program.observation_dim()];
        let mut terminated = 0;
        for (k, state) in states.iter().enumerate() {
            let (position, velocity) = state.split_at(state.len() / 2);
            other.set_state(position, velocity);
            let step = other.step(&actions[k..=k], &mut seen);
            let Joints { position, velocity } = other.state();
            assert_eq!(
                twin.rows(k),
                [position, velocity].concat(),
                "{id} {state:?}"
            );
            assert_eq!(twin.observation(k), seen, "{id} {state:?}");
            assert_eq!(
                (twin.rewards[k], twin.status[k] == 1),
                (step.reward, step.terminated),
                "{id} {state:?}"
            );
            terminated += usize::from(step.terminated);
        }
        assert_eq!(terminated > 50, id != "pendulum-v1", "{id}: {terminated}");
    }
}

#[test]
fn episodes_of_balancing_robots_and_of_mazes_are_the_cpus() {
    if !twin::compiler() {
        return;
    }
    // At least so many that the task ended, and that the time limit cut.
    for (id, margin, least) in [
        ("invertedpendulum-v4", Margin::Max, [100, 0]),
        ("invertedpendulum-v5", Margin::Max, [100, 0]),
        ("inverteddoublependulum-v4", Margin::Max, [100, 0]),
        ("inverteddoublependulum-v5", Margin::Max, [100, 0]),
        ("reacher-v4", Margin::Max, [0, 176]),
        ("reacher-v5", Margin::Max, [0, 176]),
        ("pointmaze-umaze-v1", Margin::Max, [0, 24]),
        ("pointmaze-umaze-dense-v1", Margin::Sum, [0, 24]),
        ("pointmaze-medium-dense-v1", Margin::Max, [0, 8]),
        ("pointmaze-large-v1", Margin::Sum, [0, 8]),
    ] {
        let program = Program::of(id, margin).unwrap();
        let ends = play(&program, Mode::F64, id);
        eprintln!("{id}: {ends:?} terminated and cut at the horizon");
        assert!(ends[0] >= least[0] && ends[1] >= least[1], "{id}: {ends:?}");
        assert_eq!(ends[0] == 0, least[0] == 0, "{id}: {ends:?}");
    }
}

/// What a step of [`steps_have_the_cpus_bytes`] did.
#[derive(Default)]
struct Seen {
    terminated: usize,
    /// Speeds that changed by more than `jump`.
    jumps: usize,
}

/// Steps `STATES` random states once on the twin and on the CPU: states, observations, rewards and ends must be the same. States
/// are uniform within ± `reach` of `middle`, positions first; `more` follows the positions on the CPU and the guess on the twin.
fn steps_have_the_cpus_bytes(
    (id, margin): (&str, Margin),
    (middle, reach, more): (&[f64], &[f64], &[f64]),
    jump: f64,
) -> Seen {
    let program = Program::of(id, margin).unwrap();
    let mut twin = Twin::new(&program, Mode::F64, STATES);
    let mut other = env(id, Engine::Embedded, program.spec().margin);
    let (mut stream, joints) = (Stream::new(29), reach.len() / 2);
    let actions = random_actions(&mut stream, STATES * program.action_dim());
    let mut starts = Vec::new();
    for k in 0..STATES {
        let pairs = middle.iter().zip(reach);
        let state: Vec<f64> = pairs.map(|(m, r)| m + stream.uniform(-r, *r)).collect();
        let more: Vec<f64> = more.iter().map(|r| stream.uniform(-r, *r)).collect();
        let (position, velocity) = state.split_at(joints);
        let guess = vec![0.0; joints];
        let mut rows = [&state[..], &guess, &more].concat();
        if !more.is_empty() {
            rows.extend(position);
        }
        twin.set_rows(k, &rows);
        starts.push(([position, &more].concat(), velocity.to_vec()));
    }
    twin.advance(&actions);
    let mut observation = vec![0.0; program.observation_dim()];
    let mut seen = Seen::default();
    for (k, (position, velocity)) in starts.iter().enumerate() {
        other.set_state(position, velocity);
        let step = other.step(&column(&actions, k, STATES), &mut observation);
        let Joints {
            position: moved,
            velocity: faster,
        } = other.state();
        let rows = twin.rows(k);
        let name = format!("{id} {margin} {position:?} {velocity:?}");
        assert_eq!(
            rows[..2 * joints],
            [moved, faster.clone()].concat(),
            "{name}"
        );
        assert_eq!(twin.observation(k), observation, "{name}");
        assert_eq!(
            (twin.rewards[k], twin.status[k] == 1),
            (step.reward, step.terminated),
            "{name}"
        );
        seen.terminated += usize::from(step.terminated);
        let changes = faster.iter().zip(velocity).map(|(a, b)| (a - b).abs());
        seen.jumps += changes.filter(|change| *change > jump).count();
    }
    seen
}

#[test]
fn ten_thousand_random_states_of_balancing_robots_step_with_the_cpus_bytes() {
    if !twin::compiler() {
        return;
    }
    // Carts at the rail's ends, poles past their limits, arms of many turns with targets in the disc.
    for (name, reach, more, ends) in [
        (
            "invertedpendulum",
            &[1.1, 1.7, 5.0, 10.0][..],
            &[][..],
            true,
        ),
        (
            "inverteddoublependulum",
            &[1.1, 2.0, 3.0, 5.0, 10.0, 10.0],
            &[],
            true,
        ),
        ("reacher", &[100.0, 3.1, 30.0, 30.0], &[0.2, 0.2], false),
    ] {
        for version in ["v4", "v5"] {
            let id = format!("{name}-{version}");
            let middle = vec![0.0; reach.len()];
            let what = (&middle[..], reach, more);
            let seen = steps_have_the_cpus_bytes((&id, Margin::Max), what, 0.5);
            eprintln!("{id}: {} of {STATES} ended", seen.terminated);
            let some = seen.terminated > 1000 && seen.terminated < STATES;
            assert_eq!(some, ends, "{id}: {}", seen.terminated);
        }
    }
}

#[test]
fn ten_thousand_random_places_in_mazes_step_with_the_cpus_bytes() {
    if !twin::compiler() {
        return;
    }
    // All over the maze and a little beyond, inside walls too.
    for (id, margin, size) in [
        ("pointmaze-umaze-v1", Margin::Max, [5.0, 5.0]),
        ("pointmaze-umaze-dense-v1", Margin::Max, [5.0, 5.0]),
        ("pointmaze-umaze-dense-v1", Margin::Sum, [5.0, 5.0]),
        ("pointmaze-medium-v1", Margin::Sum, [8.0, 8.0]),
        ("pointmaze-large-dense-v1", Margin::Max, [9.0, 12.0]),
    ] {
        let [rows, columns] = size.map(|cells| 0.5 * cells);
        let middle = [rows - 0.7, columns - 0.7, 0.0, 0.0];
        let reach = [rows + 0.5, columns + 0.5, 6.0, 6.0];
        // A step's force moves the ball by a quarter of this; clamping the speed by one.
        let seen = steps_have_the_cpus_bytes((id, margin), (&middle, &reach, &[]), 1.3);
        eprintln!("{id} {margin}: {} speeds turned by walls", seen.jumps);
        assert!(seen.jumps > 1000 && seen.terminated == 0, "{id}");
    }
}

#[test]
fn twenty_thousand_starts_are_the_cpus_to_the_last_bit() {
    if !twin::compiler() {
        return;
    }
    const COUNT: usize = 20_000;
    for id in [
        "invertedpendulum-v4",
        "inverteddoublependulum-v4",
        "reacher-v4",
        "pointmaze-umaze-v1",
        "pointmaze-medium-v1",
        "pointmaze-large-v1",
    ] {
        let program = Program::of(id, Margin::Max).unwrap();
        let mut twin = Twin::new(&program, Mode::F64, COUNT);
        let seed = |k: usize| (k as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for k in 0..COUNT {
            twin.seeds[k] = seed(k);
        }
        twin.begin(1);
        let mut other = env(id, Engine::Embedded, program.spec().margin);
        let mut observation = vec![0.0; program.observation_dim()];
        let mut cells = std::collections::BTreeSet::new();
        for k in 0..COUNT {
            other.reset(seed(k), &mut observation);
            let Joints { position, velocity } = other.state();
            let rows = twin.rows(k);
            cells.insert([0, 1].map(|i| rows[i].round() as i64));
            let want = [position, velocity].concat();
            assert_eq!(rows[..want.len()], want, "{id} seed {}", seed(k));
            assert_eq!(twin.observation(k), observation, "{id} seed {}", seed(k));
        }
        // Every free cell of a maze is somebody's start.
        let want = match id {
            "pointmaze-umaze-v1" => 7,
            "pointmaze-medium-v1" => 26,
            "pointmaze-large-v1" => 46,
            _ => 1,
        };
        assert_eq!(cells.len(), want, "{id}");
    }
}
