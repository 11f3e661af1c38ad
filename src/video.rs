//! Films of a policy: one episode of a built-in environment as an animated GIF. The same episode gives the same bytes.

use ndarray::ArrayView2;
use tiltrl_envs::render::{Frame, GifWriter, draw};
use tiltrl_envs::{EnvOptions, make_stateful};
use tiltrl_policies::agent::Policy;
use tiltrl_tilt::noise::Noise;

use crate::error::Error;
use crate::rollout::{episode_noise, start_seed};

/// Seconds that a frame should show at least: faster than this looks the same and costs bytes.
const FRAME: f64 = 0.04;

/// What is filmed.
#[derive(Clone, Copy, Debug)]
pub struct Film {
    /// Frames at most; the episode may end before.
    pub frames: usize,
    /// Pixels of the longer side.
    pub size: usize,
    /// Timesteps that pass before the first frame.
    pub skip: usize,
    /// Seed of the rollout; the film shows its episode 0.
    pub seed: u64,
}

/// Returns the bytes of a GIF that shows episode 0 of a rollout of `policy`, as [`crate::rollout::rollout`] plays it.
///
/// # Errors
/// When the environment is unknown or cannot be drawn.
pub fn film(
    policy: &dyn Policy,
    env: &str,
    options: &EnvOptions,
    film: Film,
) -> Result<Vec<u8>, Error> {
    let mut env = make_stateful(env, options)?;
    let spec = env.spec().clone();
    let every = (FRAME / spec.timestep).round().max(1.0) as usize;
    let mut noise: Noise = episode_noise(film.seed, &[0]);
    let mut observation = vec![0.0; spec.observation_dim];
    env.reset(start_seed(film.seed, 0), &mut observation);
    let mut frames = Vec::new();
    let last = spec.horizon.min(film.skip + every * film.frames);
    for timestep in 0..last {
        if timestep >= film.skip && (timestep - film.skip).is_multiple_of(every) {
            frames.push(picture(&env.scene(), film.size));
        }
        let view = ArrayView2::from_shape((1, spec.observation_dim), &observation)
            .expect("one row of observations");
        let action: Vec<f32> = policy.act(view, &mut noise).into_iter().collect();
        if env.step(&action, &mut observation).terminated {
            break;
        }
    }
    encode(&frames, every as f64 * spec.timestep)
}

fn picture(scene: &tiltrl_envs::render::Scene, size: usize) -> Frame {
    let longer = scene.size[0].max(scene.size[1]);
    let pixels = |metres: f64| (size as f64 * metres / longer).round().max(1.0) as usize;
    draw(scene, pixels(scene.size[0]), pixels(scene.size[1]))
}

fn encode(frames: &[Frame], seconds: f64) -> Result<Vec<u8>, Error> {
    let Some(first) = frames.first() else {
        return Err(Error::Usage(
            "--video: the episode ended before the first frame".into(),
        ));
    };
    let failed = |e: tiltrl_envs::render::RenderError| Error::Run(format!("--video: {e}"));
    let mut bytes = Vec::new();
    let mut gif = GifWriter::new(&mut bytes, first.width, first.height, seconds).map_err(failed)?;
    for frame in frames {
        gif.push(frame).map_err(failed)?;
    }
    drop(gif);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Scripted;

    #[test]
    fn a_film_of_each_small_task_has_the_same_bytes_twice_and_others_for_another_seed() {
        for id in ["invertedpendulum-v4", "reacher-v4", "pointmaze-umaze-v1"] {
            let filmed = |seed| {
                let policy = Scripted::of(id, 0.2).expect("written");
                let what = Film {
                    frames: 12,
                    size: 100,
                    skip: 2,
                    seed,
                };
                film(&policy, id, &EnvOptions::default(), what).expect("drawable")
            };
            let first = filmed(1);
            assert_eq!(&first[..6], b"GIF89a");
            assert_eq!(first, filmed(1), "{id}");
            assert_ne!(first, filmed(2), "{id}");
        }
    }
}
