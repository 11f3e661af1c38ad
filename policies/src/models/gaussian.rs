//! Conditional Gaussian diffusion with a memoryless schedule (arXiv:2006.11239) over any denoiser.
//!
//! x_0 ~ N(0, I); x_{k+1} = a_k x_k + b_k out(x_k, k, s) + σ_k z. `out` is a network plus, in closed-form
//! worlds, an exact function. By default variances are fixed and shared by prior and posterior; [`StepShape`] lets the
//! network shift the mean in units of σ_k, scale σ_k, and follow the gradient of the reward.

mod column;
mod denoising;
mod jacobian;
mod paths;
mod shape;
mod step;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use burn::tensor::{Device, Tensor};
use tiltrl_tilt::TiltError;
use tiltrl_tilt::host::{matrix, vector};
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::sequential::{
    Batched, ConditionFeatures, Explore, Scored, SequentialModel, StateFeatures, condition_columns,
};
use tiltrl_tilt::weights;

use super::schedule::Schedule;
use crate::fast::HostField;
use crate::nets::{Compiled, Denoiser, EMBEDDING, Network, embedding};

pub use shape::{LOG_SIGMA_LIMIT, StepShape, Units};
pub use step::Moments;

/// A diffusion model of `dim` values given `condition_dim` values.
#[derive(Clone)]
pub struct GaussianDiffusion<N: Denoiser = Network> {
    denoiser: N,
    schedule: Arc<Schedule>,
    dim: usize,
    condition_dim: usize,
    exact: Option<Arc<HostField>>,
    step: StepShape,
    /// The fast form of these weights, made when it is first asked for; a model with other weights starts without one.
    compiled: Arc<OnceLock<Option<Compiled>>>,
}

/// Paths of a batch: T + 1 states [paths, dim] and their condition.
#[derive(Clone, Debug)]
pub struct GaussianPath {
    /// x_0 (noise) … x_T (sample).
    pub states: Vec<Tensor<2>>,
    /// Condition [paths, condition_dim].
    pub condition: Tensor<2>,
}

impl<N: Denoiser> GaussianDiffusion<N> {
    /// Returns a model of `[dim, condition_dim]` values over a denoiser; `step` says what its outputs mean.
    ///
    /// # Errors
    /// [`TiltError::Model`] when the denoiser has another number of outputs than the step needs.
    pub fn new(
        denoiser: N,
        schedule: Schedule,
        [dim, condition_dim]: [usize; 2],
        step: StepShape,
    ) -> Result<Self, TiltError> {
        let (found, wanted) = (denoiser.num_outputs(), step.outputs(dim));
        if found != wanted {
            return Err(TiltError::Model(format!(
                "a step of {dim} values needs a network of {wanted} outputs, found {found}"
            )));
        }
        Ok(Self {
            denoiser,
            schedule: Arc::new(schedule),
            dim,
            condition_dim,
            exact: None,
            step,
            compiled: Arc::default(),
        })
    }

    /// Returns the model with an exact part of the denoiser's output beside the network.
    pub fn with_exact(mut self, exact: Arc<HostField>) -> Self {
        self.exact = Some(exact);
        self.compiled = Arc::default();
        self
    }

    /// Returns the model with other noise levels.
    pub fn with_schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = Arc::new(schedule);
        self.compiled = Arc::default();
        self
    }

    /// Returns the same distribution in another shape of steps: new outputs start at zero, those no longer used go.
    ///
    /// Widen the prior before fine-tuning, so that the posterior has outputs of its own.
    ///
    /// # Errors
    /// [`TiltError::Model`] when the denoiser cannot have so many outputs.
    ///
    /// # Panics
    /// When the step has other units.
    pub fn reshaped(&self, step: StepShape) -> Result<Self, TiltError> {
        assert!(
            step.units == self.step.units,
            "new outputs cannot change the units of the old"
        );
        let denoiser = self.denoiser.with_outputs(step.outputs(self.dim))?;
        let widths = [self.dim, self.condition_dim];
        let mut model = Self::new(denoiser, (*self.schedule).clone(), widths, step)?;
        model.exact = self.exact.clone();
        Ok(model)
    }

    /// Returns the noise levels.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Returns the width of a sample.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Returns what the network's outputs mean.
    pub fn step(&self) -> &StepShape {
        &self.step
    }

    /// Returns where the weights are.
    pub fn device(&self) -> Device {
        weights::device(&self.denoiser)
    }

    fn step_scale(&self, steps: &Range<usize>, values: impl Fn(usize) -> f64) -> Tensor<3> {
        let scales: Vec<f32> = steps.clone().map(|k| values(k) as f32).collect();
        vector(scales, &self.device()).reshape([steps.len(), 1, 1])
    }
}

impl<N: Denoiser> SequentialModel for GaussianDiffusion<N> {
    type Weights = N;
    type Condition = Tensor<2>;
    type Sample = Tensor<2>;
    type Path = GaussianPath;

    fn weights(&self) -> &N {
        &self.denoiser
    }

    fn with_weights(&self, denoiser: N) -> Self {
        Self {
            denoiser,
            compiled: Arc::default(),
            ..self.clone()
        }
    }

    fn num_steps(&self) -> usize {
        self.schedule.num_steps()
    }

    fn sample_path(&self, condition: &Tensor<2>, noise: &mut Noise) -> Scored<GaussianPath> {
        let compiled = self.compiled_path(condition, noise);
        compiled.unwrap_or_else(|| self.path_by_tensors(condition, noise))
    }

    fn path_to(
        &self,
        condition: &Tensor<2>,
        sample: &Tensor<2>,
        noise: &mut Noise,
    ) -> GaussianPath {
        let rows = condition.dims()[0];
        let mut states = vec![sample.clone()];
        for t in 1..=self.num_steps() {
            let alpha = self.schedule.alpha_bar[t] / self.schedule.alpha_bar[t - 1];
            let z = matrix(noise.normals(rows, self.dim), self.dim, &self.device());
            let previous = states[t - 1].clone();
            states.push(previous * alpha.sqrt() + z * (1.0 - alpha).sqrt());
        }
        states.reverse();
        GaussianPath {
            states,
            condition: condition.clone(),
        }
    }

    fn sample_of(&self, path: &GaussianPath) -> Tensor<2> {
        path.states[self.num_steps()].clone()
    }

    fn step_log_probs(&self, path: &GaussianPath, steps: Range<usize>) -> Tensor<2> {
        let compiled = self.compiled_scores(path, &steps);
        compiled.unwrap_or_else(|| self.scores_by_tensors(path, steps))
    }
}

impl<N: Denoiser> Explore for GaussianDiffusion<N> {
    fn explore(&self, condition: &Tensor<2>, scale: f64, noise: &mut Noise) -> GaussianPath {
        let compiled = self.compiled_exploration(condition, scale, noise);
        compiled.unwrap_or_else(|| self.exploration_by_tensors(condition, scale, noise))
    }
}

impl<N: Denoiser> ConditionFeatures for GaussianDiffusion<N> {
    fn condition_width(&self) -> usize {
        self.condition_dim.max(1)
    }

    fn condition_features(&self, condition: &Tensor<2>) -> Tensor<2> {
        condition_columns(condition, self.condition_dim)
    }
}

impl<N: Denoiser> StateFeatures for GaussianDiffusion<N> {
    fn state_width(&self) -> usize {
        self.dim + EMBEDDING + self.condition_width()
    }

    fn state_features(&self, path: &GaussianPath, step: usize) -> Tensor<2> {
        let state = path.states[step].clone();
        let time = embedding(step, self.num_steps()).to_vec();
        let times = matrix(time, EMBEDDING, &self.device()).repeated(state.count());
        let condition = self.condition_features(&path.condition);
        Tensor::cat(vec![state, times, condition], 1)
    }
}
