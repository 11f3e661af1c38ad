//! Training of a prior: the denoising loss, and the step variances that fit the trained network.

use burn::tensor::Tensor;
use tiltrl_tilt::host::{host, matrix};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::sequential::SequentialModel;

use super::GaussianDiffusion;
use crate::models::schedule::Prediction;
use crate::nets::Denoiser;

/// Noised samples and what a network is to answer, [rows · dim] each.
struct Noised {
    states: Vec<f32>,
    targets: Vec<f32>,
}

impl<N: Denoiser> GaussianDiffusion<N> {
    /// Returns the denoising loss on samples [rows · dim]: mean squared error of v or ε at random times.
    pub fn denoising_loss(
        &self,
        sample: &[f32],
        condition: &Tensor<2>,
        noise: &mut Noise,
    ) -> Tensor<1> {
        let (steps, device) = (self.num_steps(), self.device());
        let chosen = noise.indices(sample.len() / self.dim, steps);
        let noised = self.noised(sample, &chosen, noise);
        let states = matrix(noised.states, self.dim, &device);
        let outputs = self.denoiser.outputs_at(&states, &chosen, steps, condition);
        let error = self.head(outputs) - matrix(noised.targets, self.dim, &device);
        (error.clone() * error).mean()
    }

    /// Returns −log p of the reverse steps that lead to samples [rows, dim] noised backwards, per value and without the constants of
    /// the steps: the bound that maximum likelihood lowers, means and variances alike.
    pub fn path_loss(
        &self,
        sample: &Tensor<2>,
        condition: &Tensor<2>,
        noise: &mut Noise,
    ) -> Tensor<1> {
        let [rows, dim] = sample.dims();
        let path = self.path_to(condition, sample, noise);
        let scores = self.step_log_probs(&path, 0..self.num_steps());
        scores.sum() * (-1.0 / (rows * dim) as f64)
    }

    /// The first `dim` outputs.
    fn head(&self, outputs: Tensor<2>) -> Tensor<2> {
        let [rows, columns] = outputs.dims();
        if columns == self.dim {
            return outputs;
        }
        outputs.slice([0..rows, 0..self.dim])
    }

    /// Noises each sample to the time of its step.
    fn noised(&self, sample: &[f32], steps: &[usize], noise: &mut Noise) -> Noised {
        let epsilon = noise.normals(steps.len(), self.dim);
        let mut targets = Vec::with_capacity(sample.len());
        let mut states = Vec::with_capacity(sample.len());
        let rows = sample
            .chunks_exact(self.dim)
            .zip(epsilon.chunks_exact(self.dim));
        for ((x, e), step) in rows.zip(steps) {
            let level = self.schedule.alpha_bar[self.num_steps() - step];
            let (signal, spread) = (level.sqrt() as f32, (1.0 - level).sqrt() as f32);
            let pairs = x.iter().zip(e);
            states.extend(pairs.clone().map(|(x, e)| signal * x + spread * e));
            targets.extend(pairs.map(|(x, e)| match self.schedule.prediction {
                Prediction::Velocity => signal * e - spread * x,
                Prediction::Epsilon => *e,
            }));
        }
        Noised { states, targets }
    }

    /// Returns the model with the step variances that are optimal for the network, estimated on samples [rows · dim].
    pub fn with_fitted_variance(
        &self,
        sample: &[f32],
        condition: &Tensor<2>,
        noise: &mut Noise,
    ) -> Self {
        let rows = sample.len() / self.dim;
        let steps = self.num_steps();
        let residual = (1..=steps).map(|t| {
            let at = vec![steps - t; rows];
            let noised = self.noised(sample, &at, noise);
            let states = matrix(noised.states, self.dim, &self.device());
            let outputs = self.denoiser.outputs_at(&states, &at, steps, condition);
            let out = host(self.head(outputs));
            let errors = out.iter().zip(&noised.targets);
            let squares = errors.map(|(o, y)| f64::from(o - y).powi(2));
            let mse = squares.sum::<f64>() / out.len() as f64;
            let level = self.schedule.alpha_bar[t];
            // Error of the predicted sample: (1 − ᾱ) for v, (1 − ᾱ)/ᾱ for ε.
            match self.schedule.prediction {
                Prediction::Velocity => mse * (1.0 - level),
                Prediction::Epsilon => (mse * (1.0 - level) / level).min(1.0),
            }
        });
        let residual: Vec<f64> = residual.collect();
        let mut schedule = (*self.schedule).clone();
        schedule.fit_variance(&residual);
        self.clone().with_schedule(schedule)
    }
}
