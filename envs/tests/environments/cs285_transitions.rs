//! The embedded engine against transitions that others recorded with MuJoCo (Berkeley's CS 285, experts' episodes).
//!
//! They stand beside the checkout and are not committed; without them the tests are skipped aloud.

use crate::support::npz::{rows_f32, rows_f64};
use crate::support::{make, shared};
use tiltrl_envs::Margin;

struct Transitions {
    observations: Vec<Vec<f64>>,
    actions: Vec<Vec<f32>>,
    rewards: Vec<Vec<f64>>,
    next_observations: Vec<Vec<f64>>,
}

fn read(id: &str) -> Option<Transitions> {
    let path = shared(&format!("oracles/cs285/{id}.npz"))?;
    Some(Transitions {
        observations: rows_f64(&path, "observations"),
        actions: rows_f32(&path, "actions"),
        rewards: rows_f64(&path, "rewards"),
        next_observations: rows_f64(&path, "next_observations"),
    })
}

/// Largest deviation of an observation and of a reward, and how many transitions were compared.
fn deviation(id: &str, margin: Margin) -> Option<(f64, f64, usize)> {
    let transitions = read(id)?;
    let mut env = make(id, Some(margin));
    let [nq, nv] = env.state_dims();
    let (mut worst, mut worst_reward, mut count) = (0.0_f64, 0.0_f64, 0);
    for (row, observation) in transitions.observations.iter().enumerate() {
        let velocity = &observation[nq - 1..];
        // A clipped velocity hides the state that it came from.
        if !id.starts_with("HalfCheetah") && velocity.iter().any(|v| v.abs() >= 10.0) {
            continue;
        }
        assert_eq!(velocity.len(), nv);
        let position = [&[0.0], &observation[..nq - 1]].concat();
        env.set_state(&position, velocity);
        let mut next = vec![0.0; observation.len()];
        let step = env.step(&transitions.actions[row], &mut vec![0.0; observation.len()]);
        env.observe(&mut next);
        for (got, want) in next.iter().zip(&transitions.next_observations[row]) {
            worst = worst.max((got - want).abs());
        }
        worst_reward = worst_reward.max((step.reward - transitions.rewards[row][0]).abs());
        count += 1;
    }
    eprintln!(
        "{id} {margin:?}: {count} transitions, observation {worst:e}, reward {worst_reward:e}"
    );
    Some((worst, worst_reward, count))
}

#[test]
fn recorded_transitions_are_reproduced() {
    for (id, usable) in [
        ("HalfCheetah-v4", 2000),
        ("Hopper-v4", 1644),
        ("Walker2d-v4", 216),
    ] {
        let Some((observation, reward, count)) = deviation(id, Margin::Max) else {
            return;
        };
        assert_eq!(count, usable, "{id}");
        assert!(observation < 1e-9, "{id}: {observation:e}");
        assert!(reward < 1e-6, "{id}: {reward:e}");
    }
}

#[test]
fn the_margin_rule_sum_does_not_reproduce_hopper() {
    let Some((observation, ..)) = deviation("Hopper-v4", Margin::Sum) else {
        return;
    };
    assert!(
        observation > 0.1,
        "the recordings were made under Max: {observation:e}"
    );
}
