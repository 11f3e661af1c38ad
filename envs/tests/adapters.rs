//! The adapters to other crates' traits: `cargo test -p tiltrl-envs --features burn-rl,gymnasium-rs --test adapters`.
#![allow(clippy::unwrap_used)]

use burn_rl::Environment;
use gymnasium_rs::core::{Env as TheirEnv, Space};
use gymnasium_rs::wrappers::timelimit::TimeLimitWrapper;
use ndarray_015::{Array1, arr1};
use tiltrl_envs::burn_rl::BurnEnvironment;
use tiltrl_envs::gymnasium_rs::{FromGymnasium, ToGymnasium};
use tiltrl_envs::{Env, EnvError, conformity, make};

/// What an episode of a seed gives under a fixed action: observations, rewards, and where it terminated.
fn alone(id: &str, seed: u64, action: &[f32], steps: usize) -> Vec<(Vec<f32>, f64, bool)> {
    let mut env = make(id).unwrap();
    let mut observation = vec![0.0; env.spec().observation_dim];
    env.reset(seed, &mut observation);
    (0..steps)
        .map(|_| {
            let step = env.step(action, &mut observation);
            (observation.clone(), step.reward, step.terminated)
        })
        .collect()
}

#[test]
fn burn_rl_steps_the_same_episodes_and_tells_truncation_from_an_end() {
    let mut env = BurnEnvironment::<200>::new(make("pendulum-v1").unwrap(), 5);
    for (step, (observation, reward, _)) in
        alone("pendulum-v1", 5, &[0.3], 200).into_iter().enumerate()
    {
        let result = env.step(vec![0.3]);
        assert_eq!((&result.next_state, result.reward), (&observation, reward));
        assert_eq!((result.done, result.truncated), (false, step == 199));
        assert_eq!(env.state(), observation);
    }
    env.reset();
    assert_eq!(
        env.step(vec![0.3]).next_state,
        alone("pendulum-v1", 6, &[0.3], 1)[0].0
    );

    let mut hopper = BurnEnvironment::<1000>::new(make("hopper-v4").unwrap(), 1);
    let fall = (0..1000)
        .map(|_| hopper.step(vec![1.0; 3]))
        .find(|r| r.done || r.truncated)
        .unwrap();
    assert!(
        fall.done && !fall.truncated,
        "a hopper under full torque falls"
    );
}

#[test]
#[should_panic(expected = "MAX_STEPS of pendulum-v1")]
fn burn_rl_must_be_told_the_horizon() {
    BurnEnvironment::<100>::new(make("pendulum-v1").unwrap(), 0);
}

#[test]
fn gymnasium_rs_steps_the_same_episodes_and_its_wrapper_fits() {
    let mut env = ToGymnasium::new(make("pendulum-v1").unwrap());
    let Space::Box { low, high } = TheirEnv::action_space(&env) else {
        panic!("a box")
    };
    assert_eq!((low, high), (arr1(&[-1.0]), arr1(&[1.0])));
    let mut limited = TimeLimitWrapper::new(&mut env, 20);
    limited.reset_seed(5);
    for (step, (observation, reward, _)) in
        alone("pendulum-v1", 5, &[0.3], 20).into_iter().enumerate()
    {
        let (next, earned, terminated, truncated, _) = TheirEnv::step(&mut limited, arr1(&[0.3]));
        assert_eq!((next.to_vec(), earned), (observation, reward as f32));
        assert_eq!((terminated, truncated), (false, step == 19));
    }
    // Without a seed the next episode follows.
    assert_eq!(limited.reset_default().0, limited.reset_seed(6).0);
}

#[test]
fn what_went_to_gymnasium_rs_and_back_conforms_and_is_the_same() {
    let there_and_back = || {
        let there = ToGymnasium::new(make("hopper-v4").unwrap());
        FromGymnasium::new(there, "hopper-and-back", 1000).unwrap()
    };
    conformity::check(&|| Box::new(there_and_back())).unwrap();
    let mut env = there_and_back();
    let mut observation = vec![0.0; 11];
    env.reset(3, &mut observation);
    for (want, reward, terminated) in alone("hopper-v4", 3, &[0.2, -0.4, 0.1], 15) {
        let step = env.step(&[0.2, -0.4, 0.1], &mut observation);
        assert!(
            want.iter()
                .zip(&observation)
                .all(|(a, b)| (a - b).abs() < 1e-4)
        );
        assert!((step.reward - reward).abs() < 1e-4);
        assert_eq!(step.terminated, terminated);
    }
}

/// An environment of theirs whose action is one of two.
struct Coin;

impl TheirEnv<Array1<f32>, Array1<f32>> for Coin {
    fn observation_space(&self) -> Space {
        Space::Discrete(2)
    }
    fn action_space(&self) -> Space {
        Space::Discrete(2)
    }
    fn reset(
        &mut self,
        _: Option<i32>,
        _: gymnasium_rs::core::Options,
    ) -> (Array1<f32>, gymnasium_rs::core::Info) {
        unreachable!("refused before")
    }
    fn step(&mut self, _: Array1<f32>) -> (Array1<f32>, f32, bool, bool, gymnasium_rs::core::Info) {
        unreachable!("refused before")
    }
    fn render(&self) -> Option<ndarray_015::Array3<u8>> {
        None
    }
    fn close(&mut self) {}
}

#[test]
fn discrete_spaces_are_refused() {
    let error = FromGymnasium::new(Coin, "coin", 10).err().unwrap();
    assert!(matches!(error, EnvError::Unsupported { .. }));
    assert!(error.to_string().contains("boxes"), "{error}");
}
