//! Paths of a model, drawn and scored: compiled on the CPU where the model allows it, else step by step by tensors.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::Tensor;

use super::{GaussianDiffusion, GaussianPath};
use crate::acting::tape::Tape;
use crate::acting::{FrozenPolicy, Walked, Wanted};
use crate::nets::{host, matrix};
use crate::noise::Noise;
use crate::sequential::SequentialModel;

impl GaussianDiffusion {
    /// Returns samples [rows, dim] without scoring them.
    pub fn sample(&self, condition: &Tensor<2>, noise: &mut Noise) -> Tensor<2> {
        match FrozenPolicy::of(self) {
            Some(policy) => {
                let samples = policy.sample(&host(condition.clone()), noise);
                matrix(samples, self.dim, &self.device())
            }
            None => self.sample_by_tensors(condition, noise),
        }
    }

    /// As [`Self::sample`], whatever the model: the reference.
    pub fn sample_by_tensors(&self, condition: &Tensor<2>, noise: &mut Noise) -> Tensor<2> {
        let rows = condition.dims()[0];
        let mut x = matrix(noise.normals(rows, self.dim), self.dim, &self.device());
        for k in 0..self.num_steps() {
            let kernel = self.steps(x, k..k + 1, condition);
            x = self.draw(&kernel, k, 1.0, noise);
        }
        x
    }

    /// As [`SequentialModel::sample_path`], whatever the model: the reference.
    pub fn path_by_tensors(
        &self,
        condition: &Tensor<2>,
        noise: &mut Noise,
    ) -> (GaussianPath, Tensor<2>) {
        let rows = condition.dims()[0];
        let x = matrix(noise.normals(rows, self.dim), self.dim, &self.device());
        let (mut states, mut scores) = (vec![x], Vec::new());
        for k in 0..self.num_steps() {
            let kernel = self.steps(states[k].clone(), k..k + 1, condition);
            let next = self.draw(&kernel, k, 1.0, noise);
            let cube = next.clone().reshape([1, rows, self.dim]);
            scores.push(self.score(kernel, cube, &(k..k + 1)));
            states.push(next);
        }
        let condition = condition.clone();
        (GaussianPath { states, condition }, Tensor::cat(scores, 1))
    }

    /// As [`SequentialModel::explore`], whatever the model: the reference.
    pub fn exploration_by_tensors(
        &self,
        condition: &Tensor<2>,
        scale: f64,
        noise: &mut Noise,
    ) -> GaussianPath {
        let rows = condition.dims()[0];
        let x = matrix(noise.normals(rows, self.dim), self.dim, &self.device());
        let mut states = vec![x];
        for k in 0..self.num_steps() {
            let kernel = self.steps(states[k].clone(), k..k + 1, condition);
            states.push(self.draw(&kernel, k, scale, noise));
        }
        let condition = condition.clone();
        GaussianPath { states, condition }
    }

    /// As [`SequentialModel::step_log_probs`], whatever the model: the reference.
    pub fn scores_by_tensors(&self, path: &GaussianPath, steps: Range<usize>) -> Tensor<2> {
        let (count, paths, dim) = (steps.len(), path.states[0].dims()[0], self.dim);
        let x = Tensor::cat(path.states[steps.clone()].to_vec(), 0);
        let next = Tensor::cat(path.states[steps.start + 1..steps.end + 1].to_vec(), 0);
        let condition = if self.condition_dim > 0 {
            Tensor::cat(vec![path.condition.clone(); count], 0)
        } else {
            path.condition.clone()
        };
        let kernel = self.steps(x, steps.clone(), &condition);
        self.score(kernel, next.reshape([count, paths, dim]), &steps)
    }

    fn tracked(&self) -> bool {
        self.net.parameters.device().is_autodiff()
    }

    fn wanted(&self) -> Wanted {
        if self.tracked() {
            Wanted::Tape
        } else {
            Wanted::Scores
        }
    }

    pub(super) fn compiled_path(
        &self,
        condition: &Tensor<2>,
        noise: &mut Noise,
    ) -> Option<(GaussianPath, Tensor<2>)> {
        let policy = FrozenPolicy::of(self)?;
        let values = host(condition.clone());
        let walked = policy.paths(&values, 1.0, noise, self.wanted());
        let path = self.path_of(&walked, condition);
        Some((path, self.scores_of(policy, walked, values, 0)))
    }

    pub(super) fn compiled_exploration(
        &self,
        condition: &Tensor<2>,
        scale: f64,
        noise: &mut Noise,
    ) -> Option<GaussianPath> {
        let policy = FrozenPolicy::of(self)?;
        let walked = policy.paths(&host(condition.clone()), scale, noise, Wanted::States);
        Some(self.path_of(&walked, condition))
    }

    pub(super) fn compiled_scores(
        &self,
        path: &GaussianPath,
        steps: &Range<usize>,
    ) -> Option<Tensor<2>> {
        let policy = FrozenPolicy::of(self)?;
        let states = &path.states[steps.start..steps.end + 1];
        let states = states.iter().map(|s| host(s.clone())).collect();
        let condition = host(path.condition.clone());
        let walked = policy.score(states, &condition, steps.clone(), self.wanted());
        Some(self.scores_of(policy, walked, condition, steps.start))
    }

    fn path_of(&self, walked: &Walked, condition: &Tensor<2>) -> GaussianPath {
        let device = self.device();
        let states = walked.states.iter();
        GaussianPath {
            states: states
                .map(|s| matrix(s.clone(), self.dim, &device))
                .collect(),
            condition: condition.clone(),
        }
    }

    fn scores_of(
        &self,
        policy: Arc<FrozenPolicy>,
        walked: Walked,
        condition: Vec<f32>,
        first_step: usize,
    ) -> Tensor<2> {
        if self.tracked() {
            return Tape::scores(policy, walked, condition, first_step, &self.net.parameters);
        }
        let steps = walked.states.len() - 1;
        matrix(walked.scores, steps, &self.device())
    }
}
