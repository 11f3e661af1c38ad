//! Names of a run's policies, as commands take and print them.

use tiltrl_policies::agent::Trains;
use tiltrl_policies::agent::baselines::Method;

use crate::config::{Config, known};
use crate::error::{Error, nearest};

/// A choice among several samples of the prior.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Among {
    /// What all choices of its kind are called, as `best-of-N`.
    pub family: &'static str,
    /// N, the samples of each action.
    pub samples: usize,
}

/// A policy of a run, by name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PolicyName {
    /// `prior`: one sample of the prior.
    Prior,
    /// `posterior`: one sample of the last posterior.
    Posterior,
    /// `posterior-best`: one sample of the posterior with the highest return in training.
    Best,
    /// `posterior-mean`: the last posterior without the noise of its last step, as IDQL, Diffusion-QL and BDPO act.
    Mean,
    /// `posterior-best-of-N`: the last posterior's sample of highest Q out of N, as BDPO and DAC act (with N = 10).
    PosteriorBestOf(usize),
    /// `tail-N`: the last posterior whose last three steps are drawn N times, one end kept with probability ∝ its weight.
    Tail(usize),
    /// `best-of-N`: the prior's sample of highest Q out of N.
    BestOf(usize),
    /// `resample-N`: one of N samples of the prior, drawn with probability ∝ exp(Q/α).
    Resample(usize),
    /// `smc-N`: one of N particles of twisted SMC on the prior, with Q at the predicted sample as the twist.
    Smc(usize),
    /// `guidance` or `guidance-W`: the prior led by W (1 unless given) times ∇ Q/α at the predicted sample.
    Guidance(f64),
    /// `reinforce` and the like, see [`Method`]: trained on demand.
    Trained(Method),
    /// `bc`, `td3bc`, `rebrac`, `iql`, `idql`, `diffusion-ql`: the policy of a run of that algorithm.
    Algorithm(&'static str),
}

/// Returns the policy of a run that trains the algorithm of this name; none for one that makes a posterior.
fn algorithm(name: &str) -> Option<PolicyName> {
    let kind = known(name)?;
    let own = !matches!(kind.trains, Trains::Posterior);
    own.then_some(PolicyName::Algorithm(kind.name))
}

/// Returns the names of all policies, for errors.
fn all_names() -> String {
    format!(
        "prior, posterior, posterior-best, posterior-mean, posterior-best-of-N, tail-N, best-of-N, resample-N, smc-N, guidance, guidance-W, {}; `all` stands for every kind; a run of a baseline has the policy of its name",
        Method::ALL.map(Method::name).join(", ")
    )
}

impl PolicyName {
    /// Returns what a run with this config acts by, unless another policy is named.
    pub fn of_config(config: &Config) -> Self {
        algorithm(&config.algorithm).unwrap_or(Self::Posterior)
    }

    /// Returns one policy of every kind, with choices among 2 to 64 samples: what `all` stands for.
    pub fn every_kind() -> Vec<Self> {
        let counts = [2, 4, 8, 16, 32, 64];
        let mut all = vec![Self::Prior, Self::Posterior, Self::Mean];
        all.extend([Self::PosteriorBestOf(10), Self::Tail(8)]);
        all.extend(counts.map(Self::BestOf));
        all.extend(counts.map(Self::Resample));
        all.extend([Self::Smc(16), Self::Guidance(1.0)]);
        all.extend(Method::ALL.map(Self::Trained));
        all
    }

    /// Reads a list of names, in which `all` stands for one of every kind.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown name, with the nearest.
    pub fn list(names: &[String]) -> Result<Vec<Self>, Error> {
        let mut found: Vec<Self> = Vec::new();
        for name in names {
            let these = match name.as_str() {
                "all" => Self::every_kind(),
                other => vec![other.parse()?],
            };
            for name in these {
                if !found.contains(&name) {
                    found.push(name);
                }
            }
        }
        Ok(found)
    }

    /// Returns the family and the number of samples, for choices among several.
    pub fn choice_among(self) -> Option<Among> {
        let among = |family, samples| Among { family, samples };
        match self {
            Self::BestOf(n) => Some(among("best-of-N", n)),
            Self::Resample(n) => Some(among("resample-N", n)),
            _ => None,
        }
    }
}

impl std::str::FromStr for PolicyName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let count = |prefix: &str| {
            let rest = text.strip_prefix(prefix)?;
            rest.parse::<usize>().ok().filter(|&n| n > 0)
        };
        let weight = |prefix: &str| {
            let rest = text.strip_prefix(prefix)?.parse::<f64>().ok();
            rest.filter(|w| w.is_finite() && *w > 0.0)
        };
        let fixed = [
            ("prior", Self::Prior),
            ("posterior", Self::Posterior),
            ("posterior-best", Self::Best),
            ("posterior-mean", Self::Mean),
            ("guidance", Self::Guidance(1.0)),
        ];
        let found = fixed.iter().find(|(n, _)| *n == text);
        if let Some(name) = found.map(|(_, name)| *name).or(algorithm(text)) {
            return Ok(name);
        }
        let trained = Method::ALL.into_iter().find(|m| m.name() == text);
        let counted = count("best-of-").map(Self::BestOf);
        counted
            .or(count("tail-").map(Self::Tail))
            .or(count("posterior-best-of-").map(Self::PosteriorBestOf))
            .or(count("resample-").map(Self::Resample))
            .or(count("smc-").map(Self::Smc))
            .or(weight("guidance-").map(Self::Guidance))
            .or(trained.map(Self::Trained))
            .ok_or_else(|| {
                let counted = [
                    "best-of-16",
                    "posterior-best-of-10",
                    "tail-8",
                    "resample-16",
                    "smc-16",
                ];
                let fixed = fixed.iter().map(|(n, _)| *n);
                let known = fixed.chain(Method::ALL.map(Method::name)).chain(counted);
                let hint = nearest(text, known)
                    .map_or(String::new(), |n| format!("; did you mean `{n}`?"));
                Error::Usage(format!(
                    "unknown policy `{text}`{hint}\n  policies: {}",
                    all_names()
                ))
            })
    }
}

impl std::fmt::Display for PolicyName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Prior => f.write_str("prior"),
            Self::Posterior => f.write_str("posterior"),
            Self::Best => f.write_str("posterior-best"),
            Self::Mean => f.write_str("posterior-mean"),
            Self::Tail(n) => write!(f, "tail-{n}"),
            Self::PosteriorBestOf(n) => write!(f, "posterior-best-of-{n}"),
            Self::BestOf(n) => write!(f, "best-of-{n}"),
            Self::Resample(n) => write!(f, "resample-{n}"),
            Self::Smc(n) => write!(f, "smc-{n}"),
            Self::Guidance(1.0) => f.write_str("guidance"),
            Self::Guidance(w) => write!(f, "guidance-{w}"),
            Self::Trained(method) => f.write_str(method.name()),
            Self::Algorithm(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_printing_and_typos_get_the_nearest() {
        for text in [
            "prior",
            "posterior",
            "posterior-best",
            "posterior-mean",
            "posterior-best-of-10",
            "tail-8",
            "best-of-4",
            "resample-8",
            "smc-16",
            "guidance",
            "guidance-0.5",
            "reinforce",
            "adjoint-matching",
            "weighted-denoising",
            "td3bc",
            "diffusion-ql",
        ] {
            let name: PolicyName = text.parse().expect("known");
            assert_eq!(name.to_string(), text);
        }
        let error = "posteriour".parse::<PolicyName>().expect_err("typo");
        assert!(error.to_string().contains("`posterior`"), "{error}");
        for wrong in ["rtb", "best-of-0", "smc-", "guidance-x", "guidance--1"] {
            assert!(wrong.parse::<PolicyName>().is_err(), "{wrong}");
        }
        let list = PolicyName::list(&["prior".into(), "all".into()]).expect("known");
        assert_eq!(list.len(), PolicyName::every_kind().len());
    }
}
