//! Paths of a model, drawn and scored: compiled on the CPU where the denoiser allows it, else step by step by tensors.

use std::ops::Range;

use burn::tensor::Tensor;
use tiltrl_tilt::host::{host, matrix};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::sequential::{Scored, SequentialModel};

use super::{GaussianDiffusion, GaussianPath, LOG_SIGMA_LIMIT, Units};
use crate::fast::{Diffusion, DiffusionStep, Keep};
use crate::nets::{Compiled, Denoiser};

impl<N: Denoiser> GaussianDiffusion<N> {
    /// Returns samples [rows, dim] without scoring them.
    pub fn sample(&self, condition: &Tensor<2>, noise: &mut Noise) -> Tensor<2> {
        match self.compiled() {
            Some(compiled) => {
                let samples = compiled.sampler.sample(&self.columns_of(condition), noise);
                matrix(samples, self.dim, &self.device())
            }
            None => {
                let mut path = self.exploration_by_tensors(condition, 1.0, noise);
                path.states.pop().expect("a path has states")
            }
        }
    }

    /// As [`SequentialModel::sample_path`], whatever the denoiser.
    pub(super) fn path_by_tensors(
        &self,
        condition: &Tensor<2>,
        noise: &mut Noise,
    ) -> Scored<GaussianPath> {
        let mut scores = Vec::new();
        let path = self.draw_path(condition, 1.0, noise, Some(&mut scores));
        let scores = Tensor::cat(scores, 1);
        Scored { path, scores }
    }

    /// As [`tiltrl_tilt::sequential::Explore::explore`], whatever the denoiser.
    pub(super) fn exploration_by_tensors(
        &self,
        condition: &Tensor<2>,
        scale: f64,
        noise: &mut Noise,
    ) -> GaussianPath {
        self.draw_path(condition, scale, noise, None)
    }

    /// Draws states step by step; scores, when wanted, get [paths, 1] of each step.
    fn draw_path(
        &self,
        condition: &Tensor<2>,
        scale: f64,
        noise: &mut Noise,
        mut scores: Option<&mut Vec<Tensor<2>>>,
    ) -> GaussianPath {
        let rows = condition.dims()[0];
        let start = matrix(noise.normals(rows, self.dim), self.dim, &self.device());
        let mut states = vec![start];
        for k in 0..self.num_steps() {
            let steps = self.steps(&states[k], k..k + 1, condition);
            let next = self.draw(&steps, k, scale, noise);
            if let Some(scores) = scores.as_deref_mut() {
                let cube = next.clone().reshape([1, rows, self.dim]);
                scores.push(self.score(steps, cube, &(k..k + 1)));
            }
            states.push(next);
        }
        let condition = condition.clone();
        GaussianPath { states, condition }
    }

    /// As [`SequentialModel::step_log_probs`], whatever the denoiser.
    pub(super) fn scores_by_tensors(&self, path: &GaussianPath, steps: Range<usize>) -> Tensor<2> {
        let (count, paths, dim) = (steps.len(), path.states[0].dims()[0], self.dim);
        let x = Tensor::cat(path.states[steps.clone()].to_vec(), 0);
        let next = Tensor::cat(path.states[steps.start + 1..steps.end + 1].to_vec(), 0);
        let condition = if self.condition_dim > 0 {
            Tensor::cat(vec![path.condition.clone(); count], 0)
        } else {
            path.condition.clone()
        };
        let found = self.steps(&x, steps.clone(), &condition);
        self.score(found, next.reshape([count, paths, dim]), &steps)
    }

    /// Returns whether the CPU engine draws and scores this model's paths; else tensors do.
    pub fn is_compiled(&self) -> bool {
        self.compiled().is_some()
    }

    /// The fast form of this model, if there is one.
    fn compiled(&self) -> Option<&Compiled> {
        let made = self
            .compiled
            .get_or_init(|| self.denoiser.compiled(self.diffusion()));
        made.as_ref()
    }

    /// Conditions for the fast form: one column of zeros where the model has none.
    fn columns_of(&self, condition: &Tensor<2>) -> Vec<f32> {
        match self.condition_dim {
            0 => vec![0.0; condition.dims()[0]],
            _ => host(condition.clone()),
        }
    }

    /// The numbers of all steps, for the fast form.
    fn diffusion(&self) -> Diffusion {
        let steps = (0..self.num_steps()).map(|k| {
            let [state, output] = self.schedule.coefficients(k).map(|c| c as f32);
            let sigma = self.schedule.sigma[k] as f32;
            DiffusionStep {
                state,
                output: match self.step.units {
                    Units::Denoiser => output,
                    Units::Sigma => sigma,
                },
                exact: output,
                sigma,
                embedding: Vec::new(),
            }
        });
        Diffusion {
            dim: self.dim,
            condition_dim: self.condition_dim,
            steps: steps.collect(),
            log_sigma_limit: self.step.learned_variance.then_some(LOG_SIGMA_LIMIT as f32),
            guidance: self.step.guidance.clone(),
            exact: self.exact.clone(),
            waves: 0,
        }
    }

    pub(super) fn compiled_path(
        &self,
        condition: &Tensor<2>,
        noise: &mut Noise,
    ) -> Option<Scored<GaussianPath>> {
        let compiled = self.compiled()?;
        let (keep, parameters) = (compiled.keep(), &compiled.parameters);
        let values = self.columns_of(condition);
        let (states, scores) = compiled
            .sampler
            .paths(&values, 1.0, noise, keep, parameters);
        let path = self.path_of(states, condition);
        scores.map(|scores| Scored { path, scores })
    }

    pub(super) fn compiled_exploration(
        &self,
        condition: &Tensor<2>,
        scale: f64,
        noise: &mut Noise,
    ) -> Option<GaussianPath> {
        let compiled = self.compiled()?;
        let (keep, parameters) = (Keep::States, &compiled.parameters);
        let values = self.columns_of(condition);
        let (states, _) = compiled
            .sampler
            .paths(&values, scale, noise, keep, parameters);
        Some(self.path_of(states, condition))
    }

    pub(super) fn compiled_scores(
        &self,
        path: &GaussianPath,
        steps: &Range<usize>,
    ) -> Option<Tensor<2>> {
        let compiled = self.compiled()?;
        let states = &path.states[steps.start..steps.end + 1];
        let states = states.iter().map(|s| host(s.clone())).collect();
        let condition = self.columns_of(&path.condition);
        let (keep, parameters) = (compiled.keep(), &compiled.parameters);
        let sampler = &compiled.sampler;
        Some(sampler.scores(states, &condition, steps.clone(), keep, parameters))
    }

    fn path_of(&self, states: Vec<Vec<f32>>, condition: &Tensor<2>) -> GaussianPath {
        let device = self.device();
        let states = states.into_iter();
        GaussianPath {
            states: states.map(|s| matrix(s, self.dim, &device)).collect(),
            condition: condition.clone(),
        }
    }
}

impl Compiled {
    /// What its paths keep: the gradient, where the parameters record one.
    fn keep(&self) -> Keep {
        if self.parameters.is_autodiff() {
            Keep::Gradient
        } else {
            Keep::Scores
        }
    }
}
