//! The temperature of an agent whose posterior was trained for a range of them.

use crate::agent::{Agent, PolicyName};
use crate::error::Error;
use crate::train::dial::Dialled;
use crate::train::finetune::Posterior;
use crate::train::prior::Prior;

impl Agent {
    /// Sets the temperature α, a price in reward per nat, of all that acts by it: the posterior and its variants, the choices among
    /// samples of the prior by exp(Q/α), and guidance. Returns it in words, in both units.
    ///
    /// # Errors
    /// When the posterior has no dial or is not trained, or α is outside the range of the dial.
    pub fn set_alpha(&mut self, price: f64) -> Result<String, Error> {
        let dialled = self.dialled()?.clone();
        let alpha = dialled.dial.alpha_of(price)?;
        self.turn(&dialled, alpha)?;
        Ok(dialled.dial.words(alpha))
    }

    /// As [`Self::set_alpha`], by an α in the critic's units that lies in the range.
    ///
    /// # Errors
    /// When the prior cannot have the posterior's shape.
    pub(crate) fn turn(&mut self, dialled: &Dialled, alpha: f64) -> Result<(), Error> {
        self.posterior = Some(Posterior {
            model: dialled.at(alpha),
            alpha,
            dialled: Some(dialled.clone()),
        });
        self.best = match (&self.dialled_best, self.best.take()) {
            (Some(best), _) => Some(best.at(alpha)),
            (None, best) => best,
        };
        self.follow_posterior()
    }

    /// Returns the posterior for a range of temperatures.
    ///
    /// # Errors
    /// When it has no dial, or is not trained.
    pub(crate) fn dialled(&self) -> Result<&Dialled, Error> {
        let Some(posterior) = &self.posterior else {
            return Err(self.missing(&PolicyName::Posterior, "posterior"));
        };
        posterior.dialled.as_ref().ok_or_else(|| {
            Error::Usage(format!(
                "{}: its posterior was trained for one α alone and has no dial\n  hint: `--set finetune.dial=[0.25,4.0]` trains one for a range",
                self.folder.display()
            ))
        })
    }

    /// Returns prior and coordinates as the stages of a run hold them.
    pub(crate) fn as_prior(&self) -> Option<Prior> {
        Some(Prior {
            model: self.prior.clone()?,
            coordinates: self.coordinates.clone(),
            action_bounds: self.action_bounds.clone(),
        })
    }
}
