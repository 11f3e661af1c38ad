//! Whole episodes of a closed loop on the card's twin against the processor's.

use tiltrl::card::{Acting, Task, on_driver};
use tiltrl::data::Recorder;
use tiltrl::device::Card;
use tiltrl::envs::gpu::Mode;
use tiltrl::envs::{Engine, EnvBatch, EnvOptions};
use tiltrl::policies::fast::Activation;
use tiltrl::quickstart::Uniform;
use tiltrl::rollout::{Episode, rollout_in};
use tiltrl::stats::mean;

use crate::policies::{Made, driver};
use crate::twin;

const CARD: Card = Card {
    ordinal: 0,
    fast: false,
};

fn task<'a>(env: &'a str, options: &'a EnvOptions, episodes: usize) -> Task<'a> {
    Task {
        env,
        options,
        episodes,
        seed: 4,
    }
}

#[test]
fn environments_on_the_card_and_actions_from_the_processor_are_the_processors_episodes() {
    if !twin::compiler() {
        return;
    }
    for (env, engine, mode) in [
        ("hopper-v4", Engine::Embedded, Mode::F64),
        ("hopper-v4", Engine::EmbeddedF32, Mode::F32),
        ("pendulum-v1", Engine::Embedded, Mode::F64),
    ] {
        let options = EnvOptions {
            engine,
            ..EnvOptions::default()
        };
        let action_dim = tiltrl::envs::spec_of(env).unwrap().action_dim;
        let policy = Uniform { action_dim };
        let (mut here, mut there): (Vec<Recorder>, Vec<Recorder>) = Default::default();
        let mut batch = EnvBatch::new(env, &options, 30).unwrap();
        let want = rollout_in(&mut batch, &policy, 4, Some(&mut here));
        let acting = Acting::Processor(&policy);
        let task = task(env, &options, 30);
        let found = on_driver(driver(env, mode), CARD, task, acting, Some(&mut there)).unwrap();
        assert_eq!(found, want, "{env} {mode}");
        let rows = |all: Vec<Recorder>| -> Vec<_> {
            let data = all.into_iter().map(Recorder::finish);
            data.map(|d| (d.observations, d.actions, d.rewards))
                .collect()
        };
        assert_eq!(rows(here), rows(there), "{env} {mode}");
    }
}

/// Returns of a policy on the processor and on the card.
fn both(env: &str, made: &Made, episodes: usize) -> [Vec<Episode>; 2] {
    let options = EnvOptions::default();
    let mut batch = EnvBatch::new(env, &options, episodes).unwrap();
    let want = rollout_in(&mut batch, &made.policy(), 4, None);
    let tables = made.tables();
    let acting = Acting::Card(&tables);
    let task = task(env, &options, episodes);
    let found = on_driver(driver(env, Mode::F64), CARD, task, acting, None).unwrap();
    [want, found]
}

#[test]
fn a_closed_loop_on_the_card_earns_what_it_earns_on_the_processor() {
    if !twin::compiler() {
        return;
    }
    // Pendulum forgets a rounding error of an action; what it earns is the same number but for that.
    let made = Made::new("pendulum-v1", &[64, 64], Activation::Silu, true);
    let [want, found] = both("pendulum-v1", &made, 50);
    let mut worst = 0.0_f64;
    for (a, b) in want.iter().zip(&found) {
        assert_eq!((a.length, a.terminated), (b.length, b.terminated));
        worst = worst.max((a.episode_return - b.episode_return).abs());
    }
    eprintln!("pendulum-v1: returns apart by {worst:.1e} at most");
    assert!(worst < 0.05, "{worst}");
    // Hopper falls after some steps: lengths are the same where no fall hangs on a rounding error.
    let made = Made::new("hopper-v4", &[64, 64], Activation::Silu, true);
    let [want, found] = both("hopper-v4", &made, 100);
    let same = want
        .iter()
        .zip(&found)
        .filter(|(a, b)| a.length == b.length);
    let (same, all) = (same.count(), |e: &[Episode]| {
        mean(&e.iter().map(|e| e.episode_return).collect::<Vec<_>>())
    });
    eprintln!(
        "hopper-v4: {same} of 100 lengths are the same, {} and {}",
        all(&want),
        all(&found)
    );
    assert!(same > 80 && want.iter().all(|e| e.terminated), "{same}");
    assert!((all(&want) - all(&found)).abs() < 0.05 * all(&want).abs());
}

#[test]
fn what_a_card_cannot_do_is_refused_with_what_can_be_done() {
    let policy = Uniform { action_dim: 2 };
    let refused = |env: &str, engine: Engine| {
        let options = EnvOptions {
            engine,
            ..EnvOptions::default()
        };
        let fake = Box::new(crate::fake::Fake::new());
        let acting = Acting::Processor(&policy);
        let error = on_driver(fake, CARD, task(env, &options, 3), acting, None).unwrap_err();
        (error.exit_code(), error.to_string())
    };
    let (code, text) = refused("ant-v5", Engine::Embedded);
    assert!(
        code == 1 && text.contains("--device cuda:0") && text.contains("no kernels"),
        "{text}"
    );
    let (code, text) = refused("hopper-v4", Engine::Mujoco(None));
    assert!(code == 2 && text.contains("leave --engine out"), "{text}");
}
