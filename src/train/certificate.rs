//! The certificate of a run's posterior, at states of its data.

use burn::tensor::Device;
use tiltrl_policies::certificate::{ConditionCertificate, PathScores, certify};
use tiltrl_policies::finetune::path_sums;
use tiltrl_policies::gaussian::GaussianDiffusion;
use tiltrl_policies::iql::Iql;
use tiltrl_policies::nets::{host, matrix};
use tiltrl_policies::noise::Noise;
use tiltrl_policies::sequential::SequentialModel;

use super::finetune::Posterior;
use super::material::{Material, gather};
use super::prior::Prior;
use super::reward::values;

/// Returns the certificate of each of `states` states of the data, from `paths` paths each way.
pub fn certificate(
    material: &Material,
    prior: &Prior,
    critic: &Iql,
    posterior: &Posterior,
    seed: u64,
    [states, paths]: [usize; 2],
) -> Vec<ConditionCertificate> {
    let device: Device = prior.model.net.parameters.device();
    let mut noise = Noise::keyed(seed, "certificate", 0);
    let rows = noise.indices(states, material.len());
    let steps = prior.model.num_steps();
    let mut all = Vec::with_capacity(states);
    for chunk in rows.chunks(16) {
        let observations = gather(
            &material.observations,
            material.observation_dim,
            chunk,
            paths,
        );
        let condition = matrix(observations.clone(), material.observation_dim, &device);
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
            let scores = |s: &'_ [Vec<f64>; 3]| -> ConditionCertificate {
                let posterior = PathScores {
                    log_posterior: &q[0],
                    log_prior: &q[1],
                    log_reward: &q[2],
                };
                certify(
                    &posterior,
                    &PathScores {
                        log_posterior: &s[0],
                        log_prior: &s[1],
                        log_reward: &s[2],
                    },
                )
            };
            all.push(scores(&p));
        }
    }
    all
}
