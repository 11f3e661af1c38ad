//! Episodes on an NVIDIA card: physics there, and the policy's actions too where the card's kernel takes the policy.
//!
//! Episode i begins and draws its noise as on the processor ([`crate::rollout`]). Without the feature `cuda` there is no [`Card`] and
//! nobody comes here.

use std::time::Duration;

use tiltrl_envs::EnvOptions;
use tiltrl_policies::agent::Policy;

use crate::data::Recorder;
use crate::device::Card;
use crate::error::Error;
use crate::rollout::Episode;

/// Who chooses the actions, and where.
#[derive(Clone, Copy)]
pub enum Acting<'a> {
    /// The card, by these numbers.
    #[cfg(feature = "cuda")]
    Card(&'a tiltrl_envs::gpu::policy::PolicyTables),
    /// The processor; observations and actions go back and forth at every step.
    Processor(&'a dyn Policy),
}

/// Which episodes are played.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    /// Id of the environment.
    pub env: &'a str,
    /// Engine and margin rule.
    pub options: &'a EnvOptions,
    /// How many; all of them side by side.
    pub episodes: usize,
    /// The seed of their starts and noise.
    pub seed: u64,
}

/// Returns episodes `0 … episodes − 1` in order; `recorders`, when given, gets one recording each, and the processor must act.
///
/// # Errors
/// When the card has no kernels for environment, engine or policy, or what its driver answers.
#[cfg(feature = "cuda")]
pub fn rollout(
    card: Card,
    task: Task<'_>,
    acting: Acting<'_>,
    recorders: Option<&mut Vec<Recorder>>,
) -> Result<Vec<Episode>, Error> {
    let refused = |e| card.refused(&e);
    let driver = tiltrl_envs::gpu::cuda::Cuda::new().map_err(refused)?;
    on_driver(Box::new(driver), card, task, acting, recorders)
}

/// As with the feature; nobody comes here without it.
///
/// # Errors
/// Always.
#[cfg(not(feature = "cuda"))]
pub fn rollout(
    card: Card,
    _: Task<'_>,
    _: Acting<'_>,
    _: Option<&mut Vec<Recorder>>,
) -> Result<Vec<Episode>, Error> {
    Err(absent(card))
}

/// Returns how many environment steps a second the card makes under random actions, each held for some steps: drawing actions and
/// carrying them to the card is no part of the time, beginning new episodes is.
///
/// # Errors
/// As for [`rollout`].
#[cfg(feature = "cuda")]
pub fn steps_per_second(
    card: Card,
    env: &str,
    options: &EnvOptions,
    count: usize,
    span: Duration,
) -> Result<f64, Error> {
    let driver = tiltrl_envs::gpu::cuda::Cuda::new().map_err(|e| card.refused(&e))?;
    on_card::measured(Box::new(driver), card, env, options, count, span)
}

/// As with the feature; nobody comes here without it.
///
/// # Errors
/// Always.
#[cfg(not(feature = "cuda"))]
pub fn steps_per_second(
    card: Card,
    _: &str,
    _: &EnvOptions,
    _: usize,
    _: Duration,
) -> Result<f64, Error> {
    Err(absent(card))
}

#[cfg(not(feature = "cuda"))]
fn absent(card: Card) -> Error {
    Error::Run(format!("cuda:{}: this build has no cuda", card.ordinal))
}

#[cfg(feature = "cuda")]
pub use on_card::on_driver;

#[cfg(feature = "cuda")]
mod on_card {
    use std::time::{Duration, Instant};
    use tiltrl_envs::gpu::driver::Driver;
    use tiltrl_envs::gpu::program::Program;
    use tiltrl_envs::gpu::{DeviceEnvs, GpuError, Mode, Status};
    use tiltrl_envs::random::Stream;
    use tiltrl_envs::{Engine, Margin, Step};

    use super::{Acting, Card, EnvOptions, Episode, Error, Policy, Recorder, Task};
    use crate::rollout::{episodes_by, noise_of, start_seeds};

    /// Returns how the card computes physics: f64 or f32 with the bytes of the processor's engine of that kind, or fast.
    ///
    /// # Errors
    /// [`Error::Usage`] for an engine that is none of ours.
    fn mode(card: Card, options: &EnvOptions) -> Result<Mode, Error> {
        match options.engine {
            Engine::Embedded if card.fast => Ok(Mode::Fast),
            Engine::Embedded => Ok(Mode::F64),
            Engine::EmbeddedF32 => Ok(Mode::F32),
            _ => Err(Error::Usage(format!(
                "--device cuda:{}: a card computes the embedded engine, found --engine {}\n  hint: leave --engine out, or --device",
                card.ordinal, options.engine
            ))),
        }
    }

    /// Environments on a card. The classic systems have one mode, whose bytes are the processor's.
    fn environments(
        driver: Box<dyn Driver>,
        card: Card,
        env: &str,
        options: &EnvOptions,
        count: usize,
    ) -> Result<DeviceEnvs, Error> {
        let asked = mode(card, options)?;
        let margin = options.margin.unwrap_or(Margin::Max);
        let program = Program::of(env, margin);
        let has = program.is_none_or(|program| program.modes().contains(&asked));
        let mode = if has { asked } else { Mode::F64 };
        let made = DeviceEnvs::new(driver, card.ordinal, env, margin, mode, count);
        made.map_err(|e| card.refused(&e))
    }

    /// As [`super::steps_per_second`], through any driver.
    pub(super) fn measured(
        driver: Box<dyn Driver>,
        card: Card,
        env: &str,
        options: &EnvOptions,
        count: usize,
        span: Duration,
    ) -> Result<f64, Error> {
        const HOLD: usize = 5;
        let mut envs = environments(driver, card, env, options, count)?;
        let mut stream = Stream::new(3);
        let numbers = count * envs.program().action_dim();
        let mut draw = |_| {
            (0..numbers)
                .map(|_| stream.uniform(-1.0, 1.0) as f32)
                .collect()
        };
        let actions: Vec<Vec<f32>> = (0..8).map(&mut draw).collect();
        let mut measure = || -> Result<f64, GpuError> {
            envs.reset(0)?;
            let (mut passed, mut turns) = (Duration::ZERO, 0_usize);
            while passed < span {
                envs.set_actions(&actions[turns % actions.len()])?;
                envs.wait()?;
                let clock = Instant::now();
                for _ in 0..HOLD {
                    envs.step()?;
                    envs.begin_ended()?;
                }
                envs.wait()?;
                passed += clock.elapsed();
                turns += 1;
            }
            Ok((turns * HOLD * count) as f64 / passed.as_secs_f64())
        };
        measure().map_err(|e| card.refused(&e))
    }

    /// As [`super::rollout`], through any driver.
    ///
    /// # Errors
    /// As [`super::rollout`].
    pub fn on_driver(
        driver: Box<dyn Driver>,
        card: Card,
        task: Task<'_>,
        acting: Acting<'_>,
        recorders: Option<&mut Vec<Recorder>>,
    ) -> Result<Vec<Episode>, Error> {
        let refused = |e: GpuError| card.refused(&e);
        let mut envs = environments(driver, card, task.env, task.options, task.episodes)?;
        let seeds = start_seeds(task.seed, task.episodes);
        match acting {
            Acting::Card(tables) => {
                let keys = noise_of(task.seed, task.episodes).keys();
                envs.set_policy(tables, &keys).map_err(refused)?;
                let played = envs.play(&seeds, &keys).map_err(refused)?;
                let episode = |e: tiltrl_envs::gpu::DeviceEpisode| Episode {
                    episode_return: e.episode_return,
                    length: e.length,
                    terminated: e.terminated,
                };
                Ok(played.into_iter().map(episode).collect())
            }
            Acting::Processor(policy) => {
                by_processor(&mut envs, &seeds, policy, task.seed, recorders).map_err(refused)
            }
        }
    }

    /// Physics on the card, actions from the processor.
    fn by_processor(
        envs: &mut DeviceEnvs,
        seeds: &[u64],
        policy: &dyn Policy,
        seed: u64,
        recorders: Option<&mut Vec<Recorder>>,
    ) -> Result<Vec<Episode>, GpuError> {
        let spec = envs.program().spec();
        let (count, dim, width) = (seeds.len(), spec.action_dim, spec.observation_dim);
        envs.reset_to(seeds)?;
        let columns = envs.observations()?;
        let first = (0..count * width).map(|k| columns[k % width * count + k / width]);
        let first: Vec<f32> = first.collect();
        let mut all = vec![0.0f32; count * dim];
        let step = |active: &[usize], actions: &[f32], next: &mut [f32], steps: &mut [Step]| {
            for (&index, action) in active.iter().zip(actions.chunks_exact(dim)) {
                for (k, a) in action.iter().enumerate() {
                    all[k * count + index] = *a;
                }
            }
            envs.set_actions(&all)?;
            envs.step()?;
            let (columns, rewards) = (envs.observations()?, envs.rewards()?);
            let statuses = envs.statuses()?;
            let rows = next.chunks_exact_mut(width).zip(steps);
            for (&index, (row, step)) in active.iter().zip(rows) {
                for (k, value) in row.iter_mut().enumerate() {
                    *value = columns[k * count + index];
                }
                step.reward = rewards[index];
                step.terminated = statuses[index] == Status::Terminated;
            }
            Ok(())
        };
        episodes_by(&spec, first, policy, seed, recorders, step)
    }
}
