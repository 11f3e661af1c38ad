//! The quickstart's own offline data: swing-up on Pendulum by controllers of mixed quality.

use ndarray::{Array2, ArrayView2};
use tiltrl_policies::agent::Policy;
use tiltrl_tilt::noise::Noise;

use crate::data::{Dataset, Recorder};
use crate::error::Error;
use crate::rollout::rollout;

/// Pumps energy into the pendulum and balances it near the top, with a chance of random actions.
///
/// Observations are (cos θ, sin θ, θ̇) with θ = 0 upright; the action is torque / 2.
pub struct SwingUp {
    /// Probability of a uniform action at each timestep.
    pub randomness: f64,
    /// Strength of the controller's torque, in (0, 1].
    pub strength: f64,
}

impl SwingUp {
    pub(crate) fn torque(observation: [f64; 3]) -> f64 {
        let [cosine, sine, speed] = observation;
        if cosine > 0.85 {
            return (-(10.0 * sine + 2.5 * speed) / 2.0).clamp(-1.0, 1.0);
        }
        // Energy per unit inertia is ½ θ̇² + 15 cos θ; upright at rest it is 15.
        let missing = 15.0 - (0.5 * speed * speed + 15.0 * cosine);
        (missing * speed.signum()).clamp(-1.0, 1.0)
    }
}

impl Policy for SwingUp {
    fn act(&self, observations: ArrayView2<'_, f32>, noise: &mut Noise) -> Array2<f32> {
        let (choice, uniform) = (noise.uniforms(), noise.uniforms());
        let actions = observations
            .rows()
            .into_iter()
            .enumerate()
            .map(|(i, o)| {
                if choice[i] < self.randomness {
                    return (2.0 * uniform[i] - 1.0) as f32;
                }
                (self.strength * Self::torque([f64::from(o[0]), f64::from(o[1]), f64::from(o[2])]))
                    as f32
            })
            .collect();
        Array2::from_shape_vec((observations.nrows(), 1), actions).expect("one action per row")
    }
}

/// Acts uniformly at random.
pub struct Uniform {
    /// Width of an action.
    pub action_dim: usize,
}

impl Policy for Uniform {
    fn act(&self, observations: ArrayView2<'_, f32>, noise: &mut Noise) -> Array2<f32> {
        let rows = observations.nrows();
        let columns: Vec<Vec<f64>> = (0..self.action_dim).map(|_| noise.uniforms()).collect();
        Array2::from_shape_fn((rows, self.action_dim), |(r, c)| {
            (2.0 * columns[c][r] - 1.0) as f32
        })
    }
}

/// Records 240 episodes of Pendulum by controllers of four qualities.
///
/// # Errors
/// When the environment cannot be made.
pub fn mixed_pendulum(seed: u64) -> Result<Dataset, Error> {
    let mut recorders: Vec<Recorder> = Vec::new();
    for (i, (randomness, strength)) in [(1.0, 1.0), (0.7, 0.8), (0.5, 0.9), (0.3, 1.0)]
        .into_iter()
        .enumerate()
    {
        let policy = SwingUp {
            randomness,
            strength,
        };
        rollout(
            &policy,
            "pendulum-v1",
            60,
            seed.wrapping_add(i as u64),
            Some(&mut recorders),
        )?;
    }
    let mut recorders = recorders.into_iter();
    let mut all = recorders
        .next()
        .ok_or_else(|| Error::Run("no episode was recorded".into()))?;
    for recorder in recorders {
        all.append(recorder);
    }
    Ok(all.finish())
}
