//! A frozen diffusion policy compiled to plain slices: weights packed once, the step's embedding folded into the first
//! bias, the observation's part of the first layer computed once for all steps.
//!
//! Rows are cut into shards by their number alone; each runs all steps on its own. A row's bytes depend neither on the other
//! rows nor on the number of threads.

use std::sync::{Arc, Mutex};

use crate::gaussian::{EMBEDDING, GaussianDiffusion, LOG_SIGMA_LIMIT, Units, embedding};
use crate::kernels::host::HostVector;
use crate::kernels::mlp::MlpSpec;
use crate::kernels::parallel::for_each;
use crate::kernels::pass::{self, Workspace};
use crate::kernels::product::{Layout, Packed, matmul};
use crate::kernels::rows;
use crate::kernels::train::Packing;
use crate::noise::Noise;
use crate::schedule::Schedule;

const ROWS_PER_SHARD: usize = 32;

/// A sampler of one set of parameters of a [`GaussianDiffusion`].
pub struct FrozenPolicy {
    parameters: HostVector,
    schedule: Arc<Schedule>,
    spec: Arc<MlpSpec>,
    dim: usize,
    condition_dim: usize,
    state_weight: Packed,
    condition_weight: Packed,
    /// Bias of the first layer at each step.
    biases: Vec<Vec<f32>>,
    /// The layers after the first, and where their parameters start.
    rest: Packing,
    rest_start: usize,
}

impl FrozenPolicy {
    /// Compiles a model; `None` when it is not on the CPU backend, has an exact part or a guidance term, or no condition or
    /// hidden layer.
    pub fn new(model: &GaussianDiffusion) -> Option<Self> {
        let spec = &model.net.spec;
        let [dim, condition_dim] = [model.dim, model.condition_dim];
        let plain = model.exact.is_none()
            && model.kernel.guidance.is_none()
            && model.kernel.units == Units::Denoiser
            && spec.outputs() == model.kernel.outputs(dim);
        if !plain
            || condition_dim == 0
            || spec.sizes.len() < 3
            || spec.inputs() != GaussianDiffusion::net_inputs(dim, condition_dim)
        {
            return None;
        }
        let parameters = HostVector::share(&model.net.parameters)?;
        let layers = spec.layers();
        let first = layers[0];
        let [inputs, width] = first.shape;
        let weight = &parameters.values()[first.weight..first.bias];
        let (state, others) = weight.split_at(dim * width);
        let (embedded, condition) = others.split_at(EMBEDDING * width);
        let bias = &parameters.values()[first.bias..first.bias + width];
        let num_steps = model.schedule.num_steps();
        let biases = (0..num_steps).map(|k| {
            let mut sums = bias.to_vec();
            for (value, row) in embedding(k, num_steps)
                .iter()
                .zip(embedded.chunks_exact(width))
            {
                for (sum, w) in sums.iter_mut().zip(row) {
                    *sum += value * w;
                }
            }
            sums
        });
        let mut rest = Packing::new(&MlpSpec {
            sizes: spec.sizes[1..].to_vec(),
            ..(**spec).clone()
        });
        rest.pack(&parameters.values()[first.end..], false);
        Some(Self {
            state_weight: Packed::new([dim, width], (state, Layout::Plain)),
            condition_weight: Packed::new(
                [inputs - dim - EMBEDDING, width],
                (condition, Layout::Plain),
            ),
            biases: biases.collect(),
            rest,
            rest_start: first.end,
            parameters,
            schedule: model.schedule.clone(),
            spec: spec.clone(),
            dim,
            condition_dim,
        })
    }

    /// Returns the compiled form of a model, from a small cache when its parameters have not changed.
    ///
    /// The cache shares the parameters' storage; a writer copies shared storage first, so an entry never goes stale.
    pub fn of(model: &GaussianDiffusion) -> Option<Arc<Self>> {
        static CACHE: Mutex<Vec<Arc<FrozenPolicy>>> = Mutex::new(Vec::new());
        const ENTRIES: usize = 4;
        let key = HostVector::share(&model.net.parameters)?;
        let mut cache = CACHE.lock().unwrap_or_else(|e| e.into_inner());
        let same = |entry: &Arc<Self>| {
            std::ptr::eq(entry.parameters.values(), key.values())
                && Arc::ptr_eq(&entry.schedule, &model.schedule)
                && entry.spec == model.net.spec
                && [entry.dim, entry.condition_dim] == [model.dim, model.condition_dim]
                && model.exact.is_none()
                && model.kernel.guidance.is_none()
                && model.kernel.units == Units::Denoiser
        };
        if let Some(entry) = cache.iter().find(|e| same(e)) {
            return Some(entry.clone());
        }
        let made = Arc::new(Self::new(model)?);
        if cache.len() == ENTRIES {
            cache.remove(0);
        }
        cache.push(made.clone());
        Some(made)
    }

    /// Returns samples [rows, dim] for conditions [rows, condition_dim]; draws what [`GaussianDiffusion::sample`] draws.
    pub fn sample(&self, condition: &[f32], noise: &mut Noise) -> Vec<f32> {
        let rows = condition.len() / self.condition_dim;
        let mut x = noise.normals(rows, self.dim);
        let steps = 0..self.schedule.num_steps();
        let draws: Vec<Vec<f32>> = steps.map(|_| noise.normals(rows, self.dim)).collect();
        let shard = rows.div_ceil((rows / ROWS_PER_SHARD).max(1)).max(1);
        let jobs: Vec<_> = x
            .chunks_mut(shard * self.dim)
            .zip(condition.chunks(shard * self.condition_dim))
            .enumerate()
            .collect();
        let run = |(index, (x, condition)): (usize, (&mut [f32], &[f32]))| {
            let start = index * shard * self.dim;
            let end = start + x.len();
            self.run(x, condition, |k| &draws[k][start..end]);
        };
        for_each(jobs, run);
        x
    }

    /// All steps of one shard.
    fn run<'a>(&self, x: &mut [f32], condition: &[f32], draws: impl Fn(usize) -> &'a [f32]) {
        let rows = x.len() / self.dim;
        let (width, outputs) = (self.biases[0].len(), self.spec.outputs());
        let first = self.spec.layers()[0];
        let values = self.parameters.values();
        let norm = first
            .norm
            .map_or(&[][..], |start| &values[start..first.end]);
        let net = self.rest.net(&values[self.rest_start..]);
        let (mut base, mut out) = (vec![0.0; rows * width], vec![0.0; rows * outputs]);
        let mut hidden = vec![0.0; rows * width];
        let mut work = Workspace::take();
        let plain = Layout::Plain;
        matmul(
            rows,
            (condition, plain),
            &self.condition_weight,
            &mut base,
            false,
        );
        for (k, bias) in self.biases.iter().enumerate() {
            hidden.copy_from_slice(&base);
            matmul(rows, (&*x, plain), &self.state_weight, &mut hidden, true);
            rows::forward(
                self.spec.activation,
                bias,
                norm,
                &mut hidden,
                &mut [],
                &mut [],
            );
            pass::forward(net, &hidden, &mut out, &mut work, false);
            let [a, b] = self.schedule.coefficients(k).map(|c| c as f32);
            let sigma = self.schedule.sigma[k] as f32;
            let states = x.chunks_exact_mut(self.dim);
            let drawn = draws(k).chunks_exact(self.dim);
            for ((x, out), z) in states.zip(out.chunks_exact(outputs)).zip(drawn) {
                let (mean, offsets) = out.split_at(self.dim);
                for (i, ((x, o), z)) in x.iter_mut().zip(mean).zip(z).enumerate() {
                    let scale = offsets.get(i).map_or(1.0, |&o| sigma_factor(o));
                    *x = *x * a + o * b + z * sigma * scale;
                }
            }
        }
        work.give_back();
    }
}

/// σ over σ_k of a step whose variance is learned, from the network's output.
fn sigma_factor(output: f32) -> f32 {
    let limit = LOG_SIGMA_LIMIT as f32;
    ((output / limit).tanh() * limit).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    use crate::gaussian::Kernel;
    use crate::kernels::math::Activation;
    use crate::nets::{Mlp, host, matrix};
    use crate::schedule::{Prediction, ScheduleKind};

    fn model(layer_norm: bool) -> GaussianDiffusion {
        let spec = MlpSpec {
            sizes: vec![GaussianDiffusion::net_inputs(3, 7), 40, 24, 3],
            activation: Activation::Silu,
            layer_norm,
        };
        let schedule = Schedule::new(ScheduleKind::Cosine, 6, Prediction::Velocity);
        GaussianDiffusion {
            net: Mlp::new(
                spec,
                1.0,
                &mut Noise::keyed(1, "acting", 0),
                &Device::flex(),
            ),
            schedule: Arc::new(schedule.expect("memoryless")),
            dim: 3,
            condition_dim: 7,
            exact: None,
            kernel: Kernel::default(),
        }
    }

    /// A model whose network also sets the variance of each step.
    fn with_learned_variance() -> GaussianDiffusion {
        let kernel = Kernel {
            learned_variance: true,
            ..Kernel::default()
        };
        let mut wide = model(false).widened(kernel);
        let mut values = HostVector::take(&mut wide.net.parameters);
        let (noise, count) = (&mut Noise::keyed(5, "acting", 0), values.values().len());
        for (value, z) in values.values_mut().iter_mut().zip(noise.normals(count, 1)) {
            *value += 0.1 * z;
        }
        wide.net.parameters = values.into_tensor();
        wide
    }

    #[test]
    fn the_compiled_policy_samples_what_the_tensors_sample() {
        let cases = [
            (model(false), 1),
            (model(true), 70),
            (model(false), 200),
            (model(true), 0),
            (with_learned_variance(), 70),
        ];
        for (model, rows) in cases {
            let condition = Noise::keyed(2, "acting", 0).normals(rows, 7);
            let noise = || Noise::keyed(3, "acting", 0);
            let frozen = FrozenPolicy::new(&model).expect("plain");
            let compiled = frozen.sample(&condition, &mut noise());
            if rows == 0 {
                assert!(compiled.is_empty());
                continue;
            }
            let tensor = matrix(condition, 7, &Device::flex());
            let plain = host(model.sample(&tensor, &mut noise()));
            let worst = compiled.iter().zip(&plain).map(|(a, b)| (a - b).abs());
            assert!(worst.fold(0.0, f32::max) < 1e-4, "{rows} rows");
        }
    }

    #[test]
    fn threads_and_other_rows_change_no_bit() {
        let frozen = FrozenPolicy::new(&model(true)).expect("plain");
        let streams: Vec<u64> = (0..150).collect();
        let condition = Noise::keyed(2, "acting", 0).normals(150, 7);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let sample = || frozen.sample(&condition, &mut Noise::streams(4, "acting", &streams));
            pool.build().expect("pool").install(sample)
        };
        let one = run(1);
        assert_eq!(one, run(3));
        let alone = frozen.sample(
            &condition[77 * 7..78 * 7],
            &mut Noise::streams(4, "acting", &[77]),
        );
        assert_eq!(alone, one[77 * 3..78 * 3]);
    }

    #[test]
    fn the_cache_follows_the_parameters() {
        let mut model = model(false);
        let first = FrozenPolicy::of(&model).expect("plain");
        assert!(Arc::ptr_eq(
            &first,
            &FrozenPolicy::of(&model).expect("plain")
        ));
        let mut values = HostVector::take(&mut model.net.parameters);
        values.values_mut()[0] += 1.0;
        model.net.parameters = values.into_tensor();
        let second = FrozenPolicy::of(&model).expect("plain");
        assert!(!Arc::ptr_eq(&first, &second));
        assert_ne!(first.parameters.values()[0], second.parameters.values()[0]);
    }
}
