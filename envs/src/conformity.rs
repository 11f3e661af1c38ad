//! The promises of [`Env`], as a check that anyone can run on an environment of their own.

use crate::env::{Env, EnvSpec, Step};
use crate::random::Stream;

const EPISODES: u64 = 4;
const TIMESTEPS: usize = 60;
/// Observations are rounded to f32, which may carry them past a bound by this share.
const ROUNDING: f64 = 1e-6;

/// Tests whether the environments that `make` makes keep the promises of [`Env`].
///
/// The checks: shapes agree with the specification; observations and rewards are finite and observations within their
/// bounds; an episode depends on its seed and actions alone (a second instance, and one that has played another episode
/// before, give the same bytes); seeds matter; an action beyond [−1, 1] moves the system as its nearest bound does.
///
/// # Errors
/// Every broken promise in a sentence.
///
/// ```
/// tiltrl_envs::conformity::check(&|| tiltrl_envs::make("pendulum-v1").expect("known id")).expect("conforms");
/// ```
pub fn check(make: &dyn Fn() -> Box<dyn Env>) -> Result<(), Vec<String>> {
    let mut broken = Vec::new();
    let spec = make().spec().clone();
    check_spec(&spec, &mut broken);
    let episodes: Vec<Episode> = (0..EPISODES)
        .map(|seed| play(&mut *make(), seed, &|x| x))
        .collect();
    for episode in &episodes {
        check_values(&spec, episode, &mut broken);
    }
    check_determinism(make, &episodes, &mut broken);
    if episodes
        .windows(2)
        .all(|pair| pair[0].observations[0] == pair[1].observations[0])
    {
        broken.push("reset: every seed gives the same first observation".into());
    }
    check_clipping(make, &mut broken);
    broken.dedup();
    if broken.is_empty() {
        Ok(())
    } else {
        Err(broken)
    }
}

/// What an episode gave.
#[derive(PartialEq)]
struct Episode {
    seed: u64,
    observations: Vec<Vec<f32>>,
    steps: Vec<Step>,
}

/// Plays the episode of a seed under actions that belong to the seed, each changed by `change`.
fn play(env: &mut dyn Env, seed: u64, change: &dyn Fn(f32) -> f32) -> Episode {
    let (width, action_dim) = (env.spec().observation_dim, env.spec().action_dim);
    let timesteps = TIMESTEPS.min(env.spec().horizon);
    let mut stream = Stream::new(seed ^ 0x5EED);
    let mut observation = vec![f32::NAN; width];
    env.reset(seed, &mut observation);
    let mut episode = Episode {
        seed,
        observations: vec![observation],
        steps: Vec::new(),
    };
    for _ in 0..timesteps {
        let action: Vec<f32> = (0..action_dim)
            .map(|_| change(stream.uniform(-1.0, 1.0) as f32))
            .collect();
        let mut observation = vec![f32::NAN; width];
        let step = env.step(&action, &mut observation);
        episode.observations.push(observation);
        episode.steps.push(step);
        if step.terminated {
            break;
        }
    }
    episode
}

fn check_spec(spec: &EnvSpec, broken: &mut Vec<String>) {
    if spec.id.is_empty() {
        broken.push("spec: the id is empty".into());
    }
    if spec.observation_dim == 0 || spec.action_dim == 0 || spec.horizon == 0 {
        broken.push("spec: observation_dim, action_dim and horizon must be positive".into());
    }
    for (what, components, dim) in [
        ("observation", &spec.observation, spec.observation_dim),
        ("action", &spec.action, spec.action_dim),
    ] {
        if components.len() != dim {
            let described = components.len();
            broken.push(format!(
                "spec: {what} has {dim} components, {described} are described"
            ));
        }
        for component in components {
            let ordered = component.low < component.high;
            if !ordered {
                broken.push(format!(
                    "spec: bounds of {what} `{}` are empty",
                    component.name
                ));
            }
        }
    }
}

fn check_values(spec: &EnvSpec, episode: &Episode, broken: &mut Vec<String>) {
    for observation in &episode.observations {
        for (k, &value) in observation.iter().enumerate() {
            if !value.is_finite() {
                broken.push(format!(
                    "observation {k} is not finite (or was never written)"
                ));
            } else if let Some(component) = spec.observation.get(k) {
                let value = f64::from(value);
                let slack = ROUNDING * value.abs().max(1.0);
                if value < component.low - slack || value > component.high + slack {
                    let (low, high) = (component.low, component.high);
                    broken.push(format!(
                        "observation {k} = {value} is outside [{low}, {high}]"
                    ));
                }
            }
        }
    }
    if episode.steps.iter().any(|step| !step.reward.is_finite()) {
        broken.push(format!("episode {}: a reward is not finite", episode.seed));
    }
}

fn check_determinism(
    make: &dyn Fn() -> Box<dyn Env>,
    episodes: &[Episode],
    broken: &mut Vec<String>,
) {
    let mut used = make();
    // Backwards, so that another episode comes before each than in the first pass.
    for episode in episodes.iter().rev() {
        let seed = episode.seed;
        if play(&mut *make(), seed, &|x| x) != *episode {
            broken.push(format!(
                "episode {seed}: a second instance gives another episode"
            ));
        } else if play(&mut *used, seed, &|x| x) != *episode {
            broken.push(format!(
                "episode {seed} depends on what was played before it"
            ));
        }
    }
}

fn check_clipping(make: &dyn Fn() -> Box<dyn Env>, broken: &mut Vec<String>) {
    let bound = play(&mut *make(), 1, &f32::signum);
    let beyond = play(&mut *make(), 1, &|x| 3.0 * x.signum());
    if bound.observations != beyond.observations {
        broken.push("an action of ±3 moves the system otherwise than one of ±1".into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classic::Pendulum;

    /// A pendulum that breaks one promise.
    struct Broken {
        inner: Pendulum,
        fault: Fault,
        episodes: usize,
    }

    #[derive(Clone, Copy)]
    enum Fault {
        None,
        Remembers,
        IgnoresSeed,
        Unwritten,
        Unclipped,
    }

    impl Env for Broken {
        fn spec(&self) -> &EnvSpec {
            self.inner.spec()
        }
        fn reset(&mut self, seed: u64, observation: &mut [f32]) {
            self.episodes += 1;
            let seed = if matches!(self.fault, Fault::IgnoresSeed) {
                0
            } else {
                seed
            };
            self.inner.reset(seed, observation);
        }
        fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Step {
            let mut step = self.inner.step(action, observation);
            match self.fault {
                Fault::Remembers => step.reward -= self.episodes as f64,
                Fault::Unwritten => observation[1] = f32::NAN,
                Fault::Unclipped => observation[2] *= action[0].abs(),
                Fault::None | Fault::IgnoresSeed => {}
            }
            step
        }
    }

    fn complaints(fault: Fault) -> Vec<String> {
        check(&|| {
            Box::new(Broken {
                inner: Pendulum::new(),
                fault,
                episodes: 0,
            })
        })
        .err()
        .unwrap_or_default()
    }

    #[test]
    fn each_broken_promise_is_noticed_and_a_sound_environment_passes() {
        assert_eq!(complaints(Fault::None), Vec::<String>::new());
        for (fault, word) in [
            (Fault::Remembers, "depends on what was played before"),
            (Fault::IgnoresSeed, "every seed gives the same"),
            (Fault::Unwritten, "observation 1 is not finite"),
            (Fault::Unclipped, "±3"),
        ] {
            let complaints = complaints(fault);
            assert!(
                complaints.iter().any(|c| c.contains(word)),
                "{word}: {complaints:?}"
            );
        }
    }
}
