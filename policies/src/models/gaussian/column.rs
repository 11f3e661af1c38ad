//! One more column of a model's conditions: a posterior sees its temperature there, the prior does not look.

use std::sync::Arc;

use tiltrl_tilt::TiltError;

use super::{GaussianDiffusion, StepShape};
use crate::fast::HostField;
use crate::nets::Denoiser;

impl<N: Denoiser> GaussianDiffusion<N> {
    /// Returns the same distribution over conditions of one more column, the last, which it does not look at.
    ///
    /// A posterior that starts here learns to look. Host functions of the model get the conditions without the column.
    ///
    /// # Errors
    /// [`TiltError::Model`] when the denoiser cannot see one more column.
    pub fn with_condition_column(&self) -> Result<Self, TiltError> {
        let old = self.condition_dim;
        let narrow = |field: &Arc<HostField>| -> Arc<HostField> {
            let field = field.clone();
            Arc::new(move |x: &[f32], steps: &[usize], condition: &[f32]| {
                field(x, steps, &without_last(condition, old))
            })
        };
        self.over(self.denoiser.with_condition_column()?, old + 1, &narrow)
    }

    /// Returns the model of conditions without their last column, which is held at `value`. Densities differ by rounding.
    ///
    /// # Errors
    /// [`TiltError::Model`] when there is no such column, or the denoiser cannot do without.
    pub fn at_condition_column(&self, value: f32) -> Result<Self, TiltError> {
        let denoiser = self.denoiser.at_condition_column(value)?;
        let left = self.condition_dim - 1;
        let wide = |field: &Arc<HostField>| -> Arc<HostField> {
            let field = field.clone();
            Arc::new(move |x: &[f32], steps: &[usize], condition: &[f32]| {
                field(x, steps, &with_last(condition, left, value, steps.len()))
            })
        };
        self.over(denoiser, left, &wide)
    }

    fn over(
        &self,
        denoiser: N,
        condition_dim: usize,
        field: &dyn Fn(&Arc<HostField>) -> Arc<HostField>,
    ) -> Result<Self, TiltError> {
        let step = StepShape {
            guidance: self.step.guidance.as_ref().map(field),
            ..self.step.clone()
        };
        let schedule = (*self.schedule).clone();
        let mut model = Self::new(denoiser, schedule, [self.dim, condition_dim], step)?;
        model.exact = self.exact.as_ref().map(field);
        Ok(model)
    }
}

/// Conditions [rows, width + 1] without their last column; one column of zeros where none is left.
fn without_last(condition: &[f32], width: usize) -> Vec<f32> {
    let rows = condition.chunks_exact(width + 1);
    match width {
        0 => vec![0.0; rows.len()],
        _ => rows.flat_map(|row| &row[..width]).copied().collect(),
    }
}

/// Conditions [rows, width] with `value` as a last column.
fn with_last(condition: &[f32], width: usize, value: f32, rows: usize) -> Vec<f32> {
    let row = |i: usize| &condition[i * width..(i + 1) * width];
    (0..rows)
        .flat_map(|i| row(i).iter().copied().chain([value]))
        .collect()
}
