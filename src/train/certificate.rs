//! The certificate of a run's posterior, at states of its data.

use std::path::Path;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use tiltrl_policies::certificate::{
    ConditionCertificate, PathScores, ResidualCounts, Thresholds, Verdict, certify,
};
use tiltrl_policies::finetune::path_sums;
use tiltrl_policies::gaussian::GaussianDiffusion;
use tiltrl_policies::iql::Iql;
use tiltrl_policies::nets::{host, matrix};
use tiltrl_policies::noise::Noise;
use tiltrl_policies::sequential::SequentialModel;

use super::finetune::Posterior;
use super::prior::Prior;
use super::reward::values;
use super::training_data::{TrainingData, gather};
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
}

impl Certificate {
    /// Judges states under the thresholds of this version.
    pub fn new(states: Vec<ConditionCertificate>, residuals: Option<ResidualCounts>) -> Self {
        Self {
            verdict: Verdict::of(&states, Thresholds::default()),
            states,
            residuals,
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
        Self::new(states.collect(), residuals)
    }
}

/// Returns the certificate of `states` states of the data, from `paths` paths each way.
pub fn certificate(
    data: &TrainingData,
    prior: &Prior,
    critic: &Iql,
    posterior: &Posterior,
    seed: u64,
    [states, paths]: [usize; 2],
) -> Certificate {
    let device: Device = prior.model.net.parameters.device();
    let mut noise = Noise::keyed(seed, "certificate", 0);
    let rows = noise.indices(states, data.len());
    let steps = prior.model.num_steps();
    let mut all = Vec::with_capacity(states);
    let mut residuals = ResidualCounts::default();
    for chunk in rows.chunks(16) {
        let observations = gather(&data.observations, data.observation_dim, chunk, paths);
        let condition = matrix(observations.clone(), data.observation_dim, &device);
        let mut score = |model: &GaussianDiffusion| {
            let (path, _) = model.sample_path(&condition, &mut noise);
            let q = path_sums(posterior.model.step_log_probs(&path, 0..steps));
            let p = path_sums(prior.model.step_log_probs(&path, 0..steps));
            let latent = host(model.sample_of(&path));
            let r: Vec<f64> = values(critic, &prior.coordinates, &observations, latent)
                .iter()
                .map(|v| v / posterior.alpha)
                .collect();
            [q, p, r]
        };
        let (from_q, from_p) = (score(&posterior.model), score(&prior.model));
        for i in 0..chunk.len() {
            let part = |s: &'_ [Vec<f64>; 3]| -> [Vec<f64>; 3] {
                std::array::from_fn(|j| s[j][i * paths..(i + 1) * paths].to_vec())
            };
            let (q, p) = (part(&from_q), part(&from_p));
            let (of_posterior, of_prior) = (scores(&q), scores(&p));
            all.push(certify(&of_posterior, &of_prior));
            residuals.add(&of_posterior);
        }
    }
    Certificate::new(all, Some(residuals))
}

fn scores([posterior, prior, reward]: &[Vec<f64>; 3]) -> PathScores<'_> {
    PathScores {
        log_posterior: posterior,
        log_prior: prior,
        log_reward: reward,
    }
}
