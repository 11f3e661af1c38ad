//! The solver's guess is part of the state: dropping it must be noticed.

use tiltrl_envs::locomotion::{Locomotion, Variant, half_cheetah, hopper, walker2d};
use tiltrl_envs::planar::Margin;
use tiltrl_envs::{Env, Stateful};

/// Newton steps per forward evaluation over 300 steps, and the last observation.
fn effort<const N: usize>(env: &mut Locomotion<N>, forget: bool) -> (f64, Vec<f64>) {
    let mut observation = vec![0.0; env.spec().observation_dim];
    env.reset(3, &mut observation);
    let (mut evaluations, mut newton_steps) = (0, 0);
    for t in 0..300 {
        if forget {
            env.forget_guess();
        }
        let action: Vec<f32> = (0..env.spec().action_dim)
            .map(|k| ((t * 7 + k * 3) % 11) as f32 / 5.0 - 1.0)
            .collect();
        env.step(&action, &mut observation);
        evaluations += env.effort().evaluations;
        newton_steps += env.effort().newton_steps;
    }
    let mut last = vec![0.0; observation.len()];
    env.observe(&mut last);
    (newton_steps as f64 / evaluations as f64, last)
}

fn check<const N: usize>(mut env: Locomotion<N>, at_most: f64) {
    let id = env.spec().id.clone();
    let (kept, last) = effort(&mut env, false);
    let (dropped, other) = effort(&mut env, true);
    eprintln!("{id}: {kept:.3} Newton steps per evaluation, {dropped:.3} without the guess");
    assert!(kept < at_most, "{id}: {kept}");
    // Dropping it once per environment step changes the number of Newton steps by less than 1 % either way, since the
    // first of several evaluations alone starts from zero; so only the digits decide.
    assert!(dropped < at_most, "{id}: {dropped}");
    assert_ne!(last, other, "{id}: the guess reaches the last digits");
}

#[test]
fn dropping_the_guess_changes_the_last_digits() {
    check(Locomotion::new(half_cheetah(Variant::V4, Margin::Max)), 2.0);
    check(Locomotion::new(hopper(Variant::V4, Margin::Max)), 2.0);
    check(Locomotion::new(walker2d(Variant::V4, Margin::Max)), 2.0);
}

/// A hash of the bits of 120 steps (FNV-1a).
fn fingerprint(id: &str) -> u64 {
    let mut env = tiltrl_envs::make(id).unwrap();
    let mut observation = vec![0.0; env.spec().observation_dim];
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bits: u64| hash = (hash ^ bits).wrapping_mul(0x0100_0000_01b3);
    for episode in 0..4 {
        env.reset(episode, &mut observation);
        for t in 0..30 {
            let action: Vec<f32> = (0..env.spec().action_dim)
                .map(|k| ((t * 7 + k * 3) % 11) as f32 / 5.0 - 1.0)
                .collect();
            let step = env.step(&action, &mut observation);
            add(step.reward.to_bits());
            observation.iter().for_each(|x| add(u64::from(x.to_bits())));
            if step.terminated {
                break;
            }
        }
    }
    hash
}

/// Any change of these numbers changes everybody's results and belongs in the changelog.
#[test]
fn the_bytes_are_pinned() {
    let pinned = [
        ("halfcheetah-v4", 0x8af6_7d82_e6b2_c749),
        ("hopper-v4", 0x8548_67a0_83e5_4d48),
        ("walker2d-v4", 0x195a_be3e_a4bd_4e48),
    ];
    for (id, want) in pinned {
        let got = fingerprint(id);
        assert_eq!(got, want, "{id}: {got:#x}");
    }
}
