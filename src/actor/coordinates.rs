//! What is around an actor's network: how observations are normalised, and what its actions stand for.

use tiltrl_envs::Component;

use super::imported::Normalizer;
use super::reading::Reading;
use crate::data::{DataError, Environment};

/// What `VecNormalize` adds to variances, and to what it clips, unless told otherwise.
const EPSILON: f64 = 1e-8;
const CLIP: f64 = 10.0;

impl Reading<'_> {
    pub(super) fn normalizer(&mut self) -> Result<Option<Normalizer>, DataError> {
        let width = self.env.observation_dim;
        let why = format!("{width} numbers are an observation of {}", self.env.id);
        let mean = self.file.numbers("obs_mean", width, &why)?;
        let var = self.file.numbers("obs_var", width, &why)?;
        let epsilon = self.file.number("obs_epsilon")?;
        let clip = self.file.number("obs_clip")?;
        let (mean, var) = match (mean, var) {
            (Some(mean), Some(var)) => (mean, var),
            (None, None) if epsilon.is_none() && clip.is_none() => return Ok(None),
            (Some(_), None) => return Err(self.file.missing("obs_var")),
            _ => return Err(self.file.missing("obs_mean")),
        };
        let by_library = if self.family.stable_baselines {
            CLIP
        } else {
            f64::INFINITY
        };
        let clip = clip.unwrap_or_else(|| {
            if by_library.is_finite() {
                let said = format!("normalised observations clipped to ±{by_library}");
                self.assumed.push(said);
            }
            by_library
        });
        let epsilon = epsilon.unwrap_or_else(|| {
            self.assumed.push(format!("obs_epsilon {EPSILON:e}"));
            EPSILON
        });
        if clip <= 0.0 {
            return Err(self.file.error(
                "obs_clip",
                "a number above 0",
                &clip.to_string(),
                "leave it out for the library's own.",
            ));
        }
        match var.iter().find(|&&var| var < 0.0 || var + epsilon <= 0.0) {
            Some(var) => {
                let hint = "variances are wanted, not logarithms; obs_epsilon is added to each.";
                Err(self
                    .file
                    .error("obs_var", "variances above 0", &var.to_string(), hint))
            }
            None => Ok(Some(Normalizer {
                mean,
                var,
                epsilon,
                clip,
            })),
        }
    }

    /// The bounds of the actor's actions: its own, or those that its library would have.
    pub(super) fn bounds(&mut self) -> Result<[Vec<f64>; 2], DataError> {
        let dim = self.env.action_dim;
        let why = format!("{dim} numbers are an action of {}", self.env.id);
        let low = self.file.numbers("action_low", dim, &why)?;
        let high = self.file.numbers("action_high", dim, &why)?;
        match (low, high) {
            (Some(low), Some(high)) => {
                if let Some(at) = (0..dim).find(|&at| low[at] >= high[at]) {
                    let found = format!("{} and {} in entry {at}", low[at], high[at]);
                    return Err(self.file.error(
                        "action_low",
                        "less than action_high",
                        &found,
                        "swap them.",
                    ));
                }
                Ok([low, high])
            }
            (Some(_), None) => Err(self.file.missing("action_high")),
            (None, Some(_)) => Err(self.file.missing("action_low")),
            (None, None) if self.family.stable_baselines => {
                self.assumed.push(format!(
                    "actions within the action space of {}",
                    self.env.id
                ));
                Ok(self.environment())
            }
            (None, None) => {
                self.assumed
                    .push("actions within −1 … 1, without an action scaler".into());
                Ok([vec![-1.0; dim], vec![1.0; dim]])
            }
        }
    }

    /// The bounds of the environment's action space as Gymnasium has it: there torques stand before a gear, so that these are not
    /// those of [`EnvSpec::action`](tiltrl_envs::EnvSpec::action), unless Gymnasium itself stated them.
    pub(super) fn environment(&self) -> [Vec<f64>; 2] {
        let parts = &self.env.action;
        let ordered = |part: &Component| {
            part.low.is_finite() && part.high.is_finite() && part.low < part.high
        };
        if self.env.engine.starts_with("gymnasium") && parts.iter().all(ordered) {
            let low = parts.iter().map(|part| part.low).collect();
            return [low, parts.iter().map(|part| part.high).collect()];
        }
        let bound = f64::from(Environment::of(self.env).action_bound);
        [-bound, bound].map(|bound| vec![bound; self.env.action_dim])
    }
}
