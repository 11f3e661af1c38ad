//! The certificate of a run's posterior, at states of its data.

use std::path::Path;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use tiltrl_policies::agent::Critic;
use tiltrl_tilt::certificate::{
    Certified, ConditionCertificate, ResidualCounts, Sampling, Thresholds, Verdict,
    certify_conditions,
};
use tiltrl_tilt::host::{host, matrix};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::reward::Reward;

use super::finetune::Posterior;
use super::prior::Prior;
use super::reward::values;
use super::tail_certificate::TailCertificate;
use super::training_data::TrainingData;
use crate::error::Error;

/// Contents of certificate.json: one seed's posterior at states of its data.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Certificate {
    /// Whether it passes, with the thresholds.
    pub verdict: Verdict,
    /// Numbers of each state.
    pub states: Vec<ConditionCertificate>,
    /// Residuals of all paths; none in files of earlier versions.
    pub residuals: Option<ResidualCounts>,
    /// α as a price: reward per nat; none in files of earlier versions.
    #[serde(default)]
    pub price: Option<f64>,
    /// That of the policy tail-N, where the config asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<TailCertificate>,
}

impl Certificate {
    /// Judges states under the thresholds of this version.
    pub fn new(states: Vec<ConditionCertificate>, residuals: Option<ResidualCounts>) -> Self {
        Self {
            verdict: Verdict::of(&states, Thresholds::default()),
            states,
            residuals,
            price: None,
            tail: None,
        }
    }

    /// Reads certificate.json; files of earlier versions hold the states alone and are judged anew.
    ///
    /// # Errors
    /// When the file is missing or is no certificate.
    pub fn read(path: &Path) -> Result<Self, Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Stored {
            Whole(Certificate),
            States(Vec<ConditionCertificate>),
        }
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        match serde_json::from_str(&text) {
            Ok(Stored::Whole(certificate)) => Ok(certificate),
            Ok(Stored::States(states)) => Ok(Self::new(states, None)),
            Err(e) => Err(Error::Run(format!(
                "{}: not a certificate: {e}\n  hint: delete it and repeat the command of the run, which makes it again",
                path.display()
            ))),
        }
    }

    /// Puts several seeds together and judges them as one.
    pub fn joined(seeds: &[Self]) -> Self {
        let states = seeds.iter().flat_map(|c| c.states.iter().copied());
        let all: Option<Vec<_>> = seeds.iter().map(|c| c.residuals.as_ref()).collect();
        let residuals = all.map(|all| {
            let mut sum = ResidualCounts::default();
            all.iter().for_each(|r| sum.merge(r));
            sum
        });
        let prices: Option<Vec<f64>> = seeds.iter().map(|c| c.price).collect();
        let mean = |prices: Vec<f64>| prices.iter().sum::<f64>() / prices.len() as f64;
        let tails: Option<Vec<_>> = seeds.iter().map(|c| c.tail.as_ref()).collect();
        Self {
            tail: tails.and_then(|tails| TailCertificate::joined(&tails)),
            price: prices.filter(|p| !p.is_empty()).map(mean),
            ..Self::new(states.collect(), residuals)
        }
    }
}

/// States, and paths each way, of the certificate that ends a run. Few paths flatter a heavy tail of weights.
pub const SIZE: [usize; 2] = [64, 512];

/// Returns the certificate of `states` states of the data, from `paths` paths each way.
pub fn certificate(
    data: &TrainingData,
    prior: &Prior,
    critic: &dyn Critic,
    posterior: &Posterior,
    seed: u64,
    [states, paths]: [usize; 2],
) -> Certificate {
    let mut noise = Noise::keyed(seed, "certificate", 0);
    let rows = noise.indices(states, data.len());
    let value = |latent: &Tensor<2>, observations: &Tensor<2>| -> Vec<f64> {
        let observations = host(observations.clone());
        values(
            critic,
            &prior.coordinates,
            &observations,
            host(latent.clone()),
        )
    };
    let reward = Reward {
        value: &value,
        alpha: posterior.alpha,
    };
    let mut all = Certified::default();
    for chunk in rows.chunks(16) {
        let states = data.observations(chunk);
        let conditions = matrix(states, data.widths()[0], &prior.model.device());
        let asked = Sampling {
            conditions: &conditions,
            paths,
        };
        let models = (&posterior.model, &prior.model);
        all.append(certify_conditions(
            models.0, models.1, reward, asked, &mut noise,
        ));
    }
    Certificate {
        price: Some(posterior.alpha * data.values.std),
        ..Certificate::new(all.conditions, Some(all.residuals))
    }
}
