//! An actor of Stable-Baselines3 or d3rlpy: what it computes.
//!
//! h = the hidden layers of (s − m)/√(v + ε), μ = W h + b; a deterministic action is tanh μ or μ, a drawn one tanh(μ + σ ξ),
//! μ + σ ξ, or tanh μ + σ ξ clipped. tanh's −1 … 1 stands for the bounds of actions; μ alone is clipped to them.

use super::activation::Activation;
use super::linear::Linear;

/// PyTorch's term in the root of layer normalisation.
const NORM_EPSILON: f64 = 1e-5;

/// One hidden layer, with gain and shift of the layer normalisation behind its activation.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub(super) linear: Linear,
    pub(super) norm: Option<[Vec<f32>; 2]>,
}

/// How observations are normalised.
#[derive(Debug, Clone)]
pub(super) struct Normalizer {
    pub(super) mean: Vec<f64>,
    pub(super) var: Vec<f64>,
    pub(super) epsilon: f64,
    /// Largest magnitude that is let through.
    pub(super) clip: f64,
}

/// Standard deviation of a Gaussian actor.
#[derive(Debug, Clone)]
pub(super) enum Spread {
    /// The actor is deterministic.
    None,
    /// Its logarithm as a layer, clamped.
    Layer(Linear, [f32; 2]),
    /// The same for all observations.
    Fixed(Vec<f32>),
}

/// From what a network gives to −1 … 1 of an environment; entry by entry.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    /// Whether the mean goes through tanh.
    pub(super) tanh: bool,
    /// Whether noise is added behind it.
    pub(super) noise_outside: bool,
    /// Bounds of the actor's actions, low and high, in the units of the space that it was trained in.
    pub(super) actor: [Vec<f64>; 2],
    /// ... of the environment's, in the same units.
    pub(super) environment: [Vec<f64>; 2],
}

/// An actor that another library trained, for one environment.
#[derive(Debug, Clone)]
pub struct ImportedActor {
    pub(super) normalizer: Option<Normalizer>,
    pub(super) hidden: Vec<Layer>,
    pub(super) activation: Activation,
    pub(super) mean: Linear,
    pub(super) spread: Spread,
    pub(super) scale: Scale,
    pub(super) notes: Vec<String>,
}

impl ImportedActor {
    /// Returns the number of entries of an observation.
    pub fn observation_dim(&self) -> usize {
        let first = self.hidden.first();
        first.map_or(self.mean.inputs, |layer| layer.linear.inputs)
    }

    /// Returns the number of entries of an action.
    pub fn action_dim(&self) -> usize {
        self.mean.outputs()
    }

    /// Returns whether it has a distribution to draw from.
    pub fn is_gaussian(&self) -> bool {
        !matches!(self.spread, Spread::None)
    }

    /// Returns what was assumed because the file does not state it, and what of the file was left out.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Writes the action for `observation` to `action`, entries in -1 … 1, which stand for the environment's bounds.
    ///
    /// `noise` draws standard normal numbers, one per action entry in order; without it, or for a deterministic actor, the action
    /// is the mean's.
    ///
    /// # Panics
    /// If `observation` or `action` has another length than this actor's dimensions.
    pub fn act(
        &self,
        observation: &[f32],
        noise: Option<&mut dyn FnMut() -> f64>,
        action: &mut [f32],
    ) {
        assert_eq!(observation.len(), self.observation_dim(), "observation_dim");
        assert_eq!(action.len(), self.action_dim(), "action_dim");
        let mut values = match &self.normalizer {
            Some(normalizer) => normalizer.apply(observation),
            None => observation.to_vec(),
        };
        for layer in &self.hidden {
            values = layer.linear.apply(&values, |x| self.activation.apply(x));
            if let Some(norm) = &layer.norm {
                normalize(&mut values, norm);
            }
        }
        let mean = self.mean.apply(&values, |x| x);
        let mut shake = vec![0.0; mean.len()];
        if let Some(draw) = noise {
            let std = self.spread.of(&values, mean.len());
            (shake.iter_mut().zip(&std)).for_each(|(shake, std)| *shake = std * draw() as f32);
        }
        for (entry, action) in action.iter_mut().enumerate() {
            *action = self.scale.apply(entry, mean[entry], shake[entry]);
        }
    }
}

impl Normalizer {
    fn apply(&self, observation: &[f32]) -> Vec<f32> {
        let moments = self.mean.iter().zip(&self.var);
        (observation.iter().zip(moments))
            .map(|(&x, (mean, var))| (f64::from(x) - mean) / (var + self.epsilon).sqrt())
            .map(|x| x.clamp(-self.clip, self.clip) as f32)
            .collect()
    }
}

impl Spread {
    /// Standard deviations behind the last hidden values; none is 0.
    fn of(&self, values: &[f32], dim: usize) -> Vec<f32> {
        match self {
            Self::None => vec![0.0; dim],
            Self::Layer(linear, [low, high]) => {
                linear.apply(values, |x| x.clamp(*low, *high).exp())
            }
            Self::Fixed(std) => std.clone(),
        }
    }
}

impl Scale {
    fn apply(&self, entry: usize, mean: f32, shake: f32) -> f32 {
        let at = |bounds: &[Vec<f64>; 2]| [bounds[0][entry], bounds[1][entry]];
        let (actor, environment) = (at(&self.actor), at(&self.environment));
        let squashed = match (self.tanh, self.noise_outside) {
            (true, false) => (mean + shake).tanh(),
            (true, true) => (mean.tanh() + shake).clamp(-1.0, 1.0),
            (false, _) => mean + shake,
        };
        let [low, high] = actor;
        let own = if !self.tanh {
            f64::from(squashed).clamp(low, high)
        } else if actor == environment {
            // The one's −1 … 1 is the other's.
            return squashed;
        } else {
            low + 0.5 * (f64::from(squashed) + 1.0) * (high - low)
        };
        let [low, high] = environment;
        (2.0 * (own - low) / (high - low) - 1.0).clamp(-1.0, 1.0) as f32
    }
}

/// Layer normalisation: mean 0 and variance 1 over the values, then gain and shift.
fn normalize(values: &mut [f32], [gain, shift]: &[Vec<f32>; 2]) {
    let count = values.len() as f64;
    let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
    let squares = values.iter().map(|&x| (f64::from(x) - mean).powi(2));
    let scale = 1.0 / (squares.sum::<f64>() / count + NORM_EPSILON).sqrt();
    for ((value, gain), shift) in values.iter_mut().zip(gain).zip(shift) {
        *value = ((f64::from(*value) - mean) * scale) as f32 * gain + shift;
    }
}
