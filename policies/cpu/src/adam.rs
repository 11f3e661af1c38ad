//! Adam with decoupled weight decay, joint global-norm clipping and an exponential moving average, in one sweep.
//!
//! Kingma and Ba 2015 (arXiv:1412.6980); Loshchilov and Hutter 2019 (arXiv:1711.05101).

mod sweep;

use std::path::Path;

use burn::tensor::Tensor;
use tiltrl_tilt::TiltError;
use tiltrl_tilt::checkpoint::Checkpoint;
use tiltrl_tilt::optimizer::{AdamConfig, Optimizer, Stepped};

use crate::host::HostVector;
use sweep::{Factors, moving_average, squared_norm, sweep, sweep_over};

/// Parameters of a sweep's block: five vectors of them are 20 KB.
const BLOCK: usize = 1024;

/// What follows parameters: average ← decay · average + (1 − decay) · parameters.
pub struct Average<'a> {
    /// The average, of the parameters' length.
    pub values: &'a mut [f32],
    /// Share of the average that stays, in [0, 1).
    pub decay: f32,
}

/// Moments of one flat parameter vector.
#[derive(Clone, Debug, Default, PartialEq)]
struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Moments {
    fn new(length: usize) -> Self {
        Self {
            first: vec![0.0; length],
            second: vec![0.0; length],
        }
    }

    /// One sweep over parameters where they lie.
    fn sweep(
        &mut self,
        parameters: &mut [f32],
        gradient: &[f32],
        factors: Factors,
        average: Option<Average<'_>>,
    ) {
        assert_eq!(parameters.len(), gradient.len());
        let mut gradient = gradient.chunks(BLOCK);
        self.blocks(parameters, average, |p, m, v| {
            let g = gradient.next().unwrap_or_default();
            sweep(p, g, m, v, factors);
        });
    }

    /// One sweep that leaves the parameters and writes the new ones in the gradient's place.
    fn sweep_over(
        &mut self,
        parameters: &[f32],
        gradient: &mut [f32],
        factors: Factors,
        average: Option<Average<'_>>,
    ) {
        assert_eq!(parameters.len(), gradient.len());
        let mut parameters = parameters.chunks(BLOCK);
        self.blocks(gradient, average, |g, m, v| {
            let p = parameters.next().unwrap_or_default();
            sweep_over(p, g, m, v, factors);
        });
    }

    /// Calls `step(place, first, second)` block by block, so that the average finds the new parameters, which the step leaves in
    /// the place, in the first cache.
    fn blocks(
        &mut self,
        places: &mut [f32],
        mut average: Option<Average<'_>>,
        mut step: impl FnMut(&mut [f32], &mut [f32], &mut [f32]),
    ) {
        assert_eq!(places.len(), self.first.len());
        if let Some(average) = &average {
            assert_eq!(places.len(), average.values.len());
        }
        let moments = self
            .first
            .chunks_mut(BLOCK)
            .zip(self.second.chunks_mut(BLOCK));
        for (index, (place, (m, v))) in places.chunks_mut(BLOCK).zip(moments).enumerate() {
            step(place, m, v);
            if let Some(average) = &mut average {
                let start = index * BLOCK;
                let values = &mut average.values[start..start + place.len()];
                moving_average(values, place, average.decay);
            }
        }
    }
}

/// Adam of one flat parameter vector, for networks whose parameters lie in one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FlatAdam {
    pub config: AdamConfig,
    moments: Moments,
    pub count: u64,
}

impl FlatAdam {
    /// Returns an optimizer that has done nothing yet.
    pub(crate) fn new(config: AdamConfig, length: usize) -> Self {
        Self {
            config,
            moments: Moments::new(length),
            count: 0,
        }
    }

    /// Updates `parameters` in place and returns the gradient's norm before clipping.
    pub(crate) fn step(
        &mut self,
        parameters: &mut [f32],
        gradient: &[f32],
        average: Option<Average<'_>>,
    ) -> f64 {
        self.count += 1;
        let norm = squared_norm(gradient).sqrt();
        let factors = Factors::new(&self.config, self.count, norm);
        self.moments.sweep(parameters, gradient, factors, average);
        norm
    }

    pub(crate) fn put(&self, checkpoint: &mut Checkpoint, suffix: &str) {
        self.moments.put(checkpoint, suffix);
        let key = format!("count{suffix}");
        checkpoint.settings.insert(key, self.count.into());
    }

    pub(crate) fn get(
        &mut self,
        checkpoint: &Checkpoint,
        path: &Path,
        suffix: &str,
    ) -> Result<(), TiltError> {
        let length = self.moments.first.len();
        self.moments = Moments::get(checkpoint, path, suffix, length)?;
        let count = checkpoint.settings.get(&format!("count{suffix}"));
        self.count = count.and_then(|c| c.as_u64()).unwrap_or(checkpoint.update);
        Ok(())
    }
}

impl Moments {
    fn put(&self, checkpoint: &mut Checkpoint, suffix: &str) {
        let mut insert = |name: &str, values: &[f32]| {
            let name = format!("{name}{suffix}");
            checkpoint.tensors.insert(name, values.to_vec());
        };
        insert("first", &self.first);
        insert("second", &self.second);
    }

    fn get(
        checkpoint: &Checkpoint,
        path: &Path,
        suffix: &str,
        length: usize,
    ) -> Result<Self, TiltError> {
        Ok(Self {
            first: checkpoint.tensor(path, &format!("first{suffix}"), length)?,
            second: checkpoint.tensor(path, &format!("second{suffix}"), length)?,
        })
    }
}

/// Adam of a model's parameters on the CPU: tensors of the CPU backend are stepped where they lie, others on a copy.
#[derive(Clone, Debug)]
pub struct HostAdam {
    config: AdamConfig,
    moments: Vec<Moments>,
    count: u64,
}

impl HostAdam {
    /// Returns an optimizer that has done nothing yet.
    pub fn new(config: AdamConfig) -> Self {
        Self {
            config,
            moments: Vec::new(),
            count: 0,
        }
    }

    /// As [`Optimizer::step`], and in the same sweep `averages`, one per parameter, follow with `decay`.
    pub fn step_averaged(
        &mut self,
        parameters: Vec<Tensor<1>>,
        gradient: Vec<Option<Tensor<1>>>,
        averages: &mut [Vec<f32>],
        decay: f32,
    ) -> Stepped {
        if self.moments.is_empty() {
            let new = |p: &Tensor<1>| Moments::new(p.dims()[0]);
            self.moments = parameters.iter().map(new).collect();
        }
        self.count += 1;
        let gradient: Vec<Option<HostVector>> = gradient
            .into_iter()
            .map(|g| g.map(HostVector::of))
            .collect();
        let squares = gradient.iter().flatten().map(|g| squared_norm(g.values()));
        let norm = squares.sum::<f64>().sqrt();
        let factors = Factors::new(&self.config, self.count, norm);
        let mut averages = averages.iter_mut();
        let all = parameters.into_iter().zip(gradient).zip(&mut self.moments);
        let stepped = all.map(|((parameter, gradient), moments)| {
            let values = averages.next();
            let Some(gradient) = gradient else {
                return parameter;
            };
            let device = parameter.device();
            let (mut owned, mut gradient) = (HostVector::of(parameter), gradient);
            let average = values.map(|values| Average { values, decay });
            // A model still holds its parameters: the gradient's storage becomes that of the new ones, and nothing is copied.
            if !owned.is_own()
                && let Some(place) = gradient.own_mut()
            {
                moments.sweep_over(owned.values(), place, factors, average);
                return gradient.into_tensor().to_device(&device);
            }
            moments.sweep(owned.values_mut(), gradient.values(), factors, average);
            owned.into_tensor().to_device(&device)
        });
        let parameters = stepped.collect();
        Stepped { parameters, norm }
    }
}

impl Optimizer for HostAdam {
    fn step(&mut self, parameters: Vec<Tensor<1>>, gradient: Vec<Option<Tensor<1>>>) -> Stepped {
        self.step_averaged(parameters, gradient, &mut [], 0.0)
    }

    fn set_learning_rate(&mut self, learning_rate: f32) {
        self.config.learning_rate = learning_rate;
    }

    fn learning_rate(&self) -> f32 {
        self.config.learning_rate
    }

    fn count(&self) -> u64 {
        self.count
    }

    fn put(&self, checkpoint: &mut Checkpoint, suffix: &str) {
        for (i, moments) in self.moments.iter().enumerate() {
            moments.put(checkpoint, &format!("{suffix}.{i}"));
        }
    }

    fn get(
        &mut self,
        checkpoint: &Checkpoint,
        path: &Path,
        suffix: &str,
        lengths: &[usize],
    ) -> Result<(), TiltError> {
        let lengths = lengths.iter().enumerate();
        let moments = lengths
            .map(|(i, &length)| Moments::get(checkpoint, path, &format!("{suffix}.{i}"), length));
        self.moments = moments.collect::<Result<_, _>>()?;
        self.count = checkpoint.update;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_step_moves_by_the_learning_rate_against_the_gradient() {
        let config = AdamConfig {
            learning_rate: 0.1,
            weight_decay: 0.0,
            max_gradient_norm: 0.0,
        };
        let mut adam = FlatAdam::new(config, 2);
        let mut parameters = [1.0, -1.0];
        let norm = adam.step(&mut parameters, &[3.0, -4.0], None);
        assert!((norm - 5.0).abs() < 1e-9);
        assert!((parameters[0] - 0.9).abs() < 1e-5 && (parameters[1] + 0.9).abs() < 1e-5);
    }

    /// Four ways to hold parameters and gradient, three steps: the same bytes, and what others hold stays as it was.
    #[test]
    fn whoever_else_holds_parameters_or_gradient_the_step_is_the_same() {
        use tiltrl_tilt::host::{host, vector};
        let device = burn::tensor::Device::flex();
        let length = BLOCK + 37;
        let wave = |rate: f32| (0..length).map(|i| (rate * i as f32).sin()).collect();
        let (start, gradient): (Vec<f32>, Vec<f32>) = (wave(0.7), wave(1.3));
        let config = AdamConfig {
            learning_rate: 0.01,
            weight_decay: 0.1,
            max_gradient_norm: 1.0,
        };
        let mut found = Vec::new();
        for (holds_parameters, holds_gradient) in
            [(false, false), (false, true), (true, false), (true, true)]
        {
            let mut adam = HostAdam::new(config.clone());
            let mut parameters = vector(start.clone(), &device);
            let mut averages = vec![start.clone()];
            for _ in 0..3 {
                let before = host(parameters.clone());
                let g = vector(gradient.clone(), &device);
                let held = holds_parameters.then(|| parameters.clone());
                let held_gradient = holds_gradient.then(|| g.clone());
                let stepped =
                    adam.step_averaged(vec![parameters], vec![Some(g)], &mut averages, 0.9);
                parameters = stepped.parameters.into_iter().next().expect("one");
                assert!(held.is_none_or(|held| host(held) == before));
                assert!(held_gradient.is_none_or(|held| host(held) == gradient));
            }
            found.push((host(parameters), averages, adam.moments));
        }
        assert!(found[0].0 != start);
        assert!(found.iter().all(|f| *f == found[0]));
    }

    #[test]
    fn clipping_scales_all_parameters_by_one_factor() {
        let config = AdamConfig {
            learning_rate: 0.1,
            weight_decay: 0.0,
            max_gradient_norm: 1.0,
        };
        let mut adam = FlatAdam::new(config, 2);
        adam.step(&mut [0.0, 0.0], &[30.0, -40.0], None);
        assert!(
            (adam.moments.first[0] - 0.06).abs() < 1e-6
                && (adam.moments.first[1] + 0.08).abs() < 1e-6
        );
    }
}
