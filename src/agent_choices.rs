//! The policies of a trained agent, by their names.

use tiltrl_policies::agent::{Choice, DiffusionPolicy, Policy, SteeredPolicy, Steering};
use tiltrl_policies::models::GaussianDiffusion;

use crate::agent::Agent;
use crate::error::Error;
use crate::policy_name::PolicyName;
use crate::train::tail_certificate::tail_of;

/// How a policy acts: the model that it samples, and how it chooses among samples.
#[derive(Clone, Copy)]
pub struct Sampling<'a> {
    /// What is sampled.
    pub model: &'a GaussianDiffusion,
    /// Which of the samples acts.
    pub choice: Choice,
}

impl Agent {
    /// Returns the model that a policy samples and how it chooses; none for policies that are steered while they sample.
    ///
    /// # Errors
    /// When a stage that it needs was not trained.
    pub fn model(&self, name: PolicyName) -> Result<Option<Sampling<'_>>, Error> {
        let missing = |stage: &str| self.missing(&name, stage);
        let posterior = || self.posterior.as_ref().ok_or_else(|| missing("posterior"));
        let prior = || self.prior.as_ref().ok_or_else(|| missing("prior"));
        let (model, choice) = match name {
            PolicyName::Prior => (prior()?, Choice::Sample),
            PolicyName::Posterior => (&posterior()?.model, Choice::Sample),
            PolicyName::Best => (
                self.best.as_ref().ok_or_else(|| missing("posterior"))?,
                Choice::Sample,
            ),
            PolicyName::Mean => (
                self.mean.as_ref().ok_or_else(|| missing("posterior"))?,
                Choice::Sample,
            ),
            PolicyName::PosteriorBestOf(n) => (&posterior()?.model, Choice::BestOf(n)),
            PolicyName::BestOf(n) => (prior()?, Choice::BestOf(n)),
            PolicyName::Resample(n) => (prior()?, Choice::Resample(n, posterior()?.alpha)),
            PolicyName::Smc(_) | PolicyName::Guidance(_) | PolicyName::Tail(_) => return Ok(None),
            PolicyName::Algorithm(_) if name != self.own => return Err(missing("training")),
            PolicyName::Algorithm(_) if self.learned.is_some() => return Ok(None),
            PolicyName::Algorithm(_) => (prior()?, Choice::BestOf(self.samples)),
            PolicyName::Trained(method) => {
                let found = self.baselines.iter().find(|b| b.method == method);
                (
                    &found.ok_or_else(|| missing("training"))?.model,
                    Choice::Sample,
                )
            }
        };
        if choice != Choice::Sample && self.critic.is_none() {
            return Err(missing("critic"));
        }
        Ok(Some(Sampling { model, choice }))
    }

    /// Returns the policy of that name.
    ///
    /// # Errors
    /// When a stage that it needs was not trained.
    pub fn policy(&self, name: PolicyName) -> Result<Box<dyn Policy + '_>, Error> {
        let model = self.model(name)?;
        if let (PolicyName::Algorithm(_), Some(learned)) = (name, &self.learned) {
            return Ok(Box::new(learned));
        }
        if let Some(Sampling { model, choice }) = model {
            return Ok(Box::new(DiffusionPolicy {
                model,
                coordinates: &self.coordinates,
                critic: self.critic.as_deref(),
                choice,
            }));
        }
        let steering = match (name, &self.posterior) {
            (PolicyName::Guidance(weight), _) => Steering::Guidance(weight),
            (PolicyName::Smc(n), _) => Steering::Smc(n),
            (PolicyName::Tail(ends), Some(posterior)) => {
                Steering::Tail(&posterior.model, tail_of(ends))
            }
            _ => return Err(self.missing(&name, "posterior")),
        };
        let tilt = self.tilt.as_ref();
        Ok(Box::new(SteeredPolicy {
            tilt: tilt.ok_or_else(|| self.missing(&name, "posterior"))?,
            coordinates: &self.coordinates,
            steering,
        }))
    }
}
