//! Trained actors from a flat file: data generation and return oracles.
//!
//! A SAC/TQC actor with two hidden ReLU layers:
//!
//! h = relu(W₂ relu(W₁ s + b₁) + b₂), μ = W_μ h + b_μ, log σ = clamp(W_σ h + b_σ, −20, 2),
//! a = tanh(μ) or tanh(μ + σ ε).
//!
//! The file holds the layers latent_pi.0, latent_pi.2, mu, log_std one after the other; each is
//! i32 out, i32 in, f32 weights\[out\]\[in\], f32 bias\[out\], little-endian. Left out: training,
//! other shapes of networks.

use std::path::Path;

use super::linear::Linear;
use crate::data::DataError;

/// Layers in the order of the file.
const LAYERS: [&str; 4] = ["latent_pi.0", "latent_pi.2", "mu", "log_std"];
/// Wider layers than this do not occur; a header that says so is damaged.
const LARGEST_WIDTH: usize = 1 << 16;

/// An actor read from a flat file.
#[derive(Debug, Clone)]
pub struct FlatActor {
    first_hidden: Linear,
    second_hidden: Linear,
    mean: Linear,
    log_std: Linear,
}

impl FlatActor {
    /// Reads an actor.
    ///
    /// # Errors
    /// [`DataError::NotFound`] and [`DataError::Io`] from the disk; [`DataError::Actor`] for a file
    /// of another layout, with the layer at which it differs, and for weights that are not finite.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let bytes = std::fs::read(path).map_err(|source| DataError::io(path, "open", source))?;
        let mut reader = Reader {
            path,
            layer: LAYERS[0],
            rest: &bytes,
        };
        let first_hidden = reader.linear(LAYERS[0], None, None)?;
        let second_hidden = reader.linear(LAYERS[1], Some(first_hidden.outputs()), None)?;
        let hidden = Some(second_hidden.outputs());
        let mean = reader.linear(LAYERS[2], hidden, None)?;
        let log_std = reader.linear(LAYERS[3], hidden, Some(mean.outputs()))?;
        if !reader.rest.is_empty() {
            let found = format!("{} bytes more", reader.rest.len());
            return Err(reader.error("the end of the file after it", found));
        }
        Ok(Self {
            first_hidden,
            second_hidden,
            mean,
            log_std,
        })
    }

    /// Returns the number of entries of an observation.
    pub fn observation_dim(&self) -> usize {
        self.first_hidden.inputs
    }

    /// Returns the number of entries of an action.
    pub fn action_dim(&self) -> usize {
        self.mean.outputs()
    }

    /// Writes the action for `observation` to `action`, entries in [-1, 1].
    ///
    /// `noise` draws standard normal numbers, one per action entry in order; without it the action
    /// is the deterministic tanh(μ).
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
        let first = self.first_hidden.apply(observation, |value| value.max(0.0));
        let hidden = self.second_hidden.apply(&first, |value| value.max(0.0));
        let mean = self.mean.apply(&hidden, |value| value);
        match noise {
            None => action
                .iter_mut()
                .zip(&mean)
                .for_each(|(entry, mean)| *entry = mean.tanh()),
            Some(draw) => {
                let std = self
                    .log_std
                    .apply(&hidden, |value| value.clamp(-20.0, 2.0).exp());
                for ((entry, mean), std) in action.iter_mut().zip(&mean).zip(&std) {
                    *entry = (mean + std * draw() as f32).tanh();
                }
            }
        }
    }
}

/// The bytes of an actor file that are still to be read.
struct Reader<'a> {
    path: &'a Path,
    layer: &'static str,
    rest: &'a [u8],
}

impl Reader<'_> {
    fn linear(
        &mut self,
        layer: &'static str,
        inputs: Option<usize>,
        outputs: Option<usize>,
    ) -> Result<Linear, DataError> {
        self.layer = layer;
        let found_outputs = self.width("outputs", outputs)?;
        let found_inputs = self.width("inputs", inputs)?;
        let weights = self.floats(found_outputs * found_inputs)?;
        let bias = self.floats(found_outputs)?;
        Ok(Linear {
            inputs: found_inputs,
            weights,
            bias,
        })
    }

    fn width(&mut self, what: &str, expected: Option<usize>) -> Result<usize, DataError> {
        let bytes = self.take(4)?;
        let value = i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let width = usize::try_from(value)
            .ok()
            .filter(|width| (1..=LARGEST_WIDTH).contains(width));
        let wanted = match expected {
            Some(expected) => format!("{expected} {what}"),
            None => format!("between 1 and {LARGEST_WIDTH} {what}"),
        };
        match width {
            Some(width) if expected.is_none_or(|expected| expected == width) => Ok(width),
            _ => Err(self.error(&wanted, value.to_string())),
        }
    }

    fn floats(&mut self, count: usize) -> Result<Vec<f32>, DataError> {
        let bytes = self.take(count * 4)?;
        let values: Vec<f32> = bytes
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
            .collect();
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(self.error("finite weights", value.to_string())),
            None => Ok(values),
        }
    }

    fn take(&mut self, count: usize) -> Result<&[u8], DataError> {
        if self.rest.len() < count {
            let found = format!(
                "only {} (the file is truncated, or no actor)",
                self.rest.len()
            );
            return Err(self.error(&format!("{count} bytes"), found));
        }
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(taken)
    }

    fn error(&self, expected: &str, found: String) -> DataError {
        DataError::Actor {
            path: self.path.to_path_buf(),
            layer: self.layer,
            expected: expected.to_string(),
            found,
        }
    }
}
