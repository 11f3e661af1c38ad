//! The weights of a model, a burn module, as a list of flat tensors: one per parameter, in the module's own order.
//!
//! Optimizers, checkpoints and sums of gradients work on the list and need not know the module. A parameter that a module
//! froze (`set_require_grad(false)`, the base of a low-rank adapter) has no gradient and is left as it is.

use std::any::Any;
use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor};

use crate::checkpoint::Checkpoint;
use crate::error::TiltError;
use crate::host::{host, vector};

/// A parameter, flat, with its gradient.
struct Entry {
    name: String,
    values: Tensor<1>,
    gradient: Option<Tensor<1>>,
    trainable: bool,
}

struct Collector<'a> {
    path: Vec<String>,
    gradients: Option<&'a Gradients>,
    entries: Vec<Entry>,
}

impl ModuleVisitor for Collector<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.base();
        let length = tensor.shape().num_elements();
        let gradient = self.gradients.and_then(|g| tensor.grad(g));
        self.entries.push(Entry {
            name: self.path.join("."),
            trainable: tensor.is_require_grad(),
            gradient: gradient.map(|g| g.reshape([length])),
            values: tensor.without_autodiff().reshape([length]),
        });
    }
}

fn entries<W: Module>(weights: &W, gradients: Option<&Gradients>) -> Vec<Entry> {
    let mut collector = Collector {
        path: Vec::new(),
        gradients,
        entries: Vec::new(),
    };
    weights.visit(&mut collector);
    collector.entries
}

/// Returns the parameters, flat, without their gradients' graph.
pub fn tensors<W: Module>(weights: &W) -> Vec<Tensor<1>> {
    entries(weights, None)
        .into_iter()
        .map(|e| e.values)
        .collect()
}

/// Returns the names of the parameters, as `layers.0.weight`.
pub fn names<W: Module>(weights: &W) -> Vec<String> {
    entries(weights, None).into_iter().map(|e| e.name).collect()
}

/// Returns the names of the parameters that record gradients.
pub fn tracked_names<W: Module>(weights: &W) -> Vec<String> {
    let tracked = entries(weights, None).into_iter().filter(|e| e.trainable);
    tracked.map(|e| e.name).collect()
}

/// Returns the gradient of each parameter; none for those that are frozen or that the loss did not use.
pub fn gradient<W: Module>(weights: &W, gradients: &Gradients) -> Vec<Option<Tensor<1>>> {
    let all = entries(weights, Some(gradients)).into_iter();
    all.map(|e| e.gradient).collect()
}

struct Replacer {
    tensors: std::vec::IntoIter<Tensor<1>>,
}

impl ModuleMapper for Replacer {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let next = self.tensors.next().expect("one tensor per parameter");
        param.map(|old| shaped(next, &old))
    }
}

/// A flat tensor in the shape of another. One that is to be flat stays the very tensor: a reshaped leaf of a graph is none.
fn shaped<const D: usize>(flat: Tensor<1>, like: &Tensor<D>) -> Tensor<D> {
    let mut flat = Some(flat);
    let same = (&mut flat as &mut dyn Any).downcast_mut::<Option<Tensor<D>>>();
    if let Some(tensor) = same.and_then(Option::take) {
        assert_eq!(tensor.dims(), like.dims(), "as many values as before");
        return tensor;
    }
    let flat = flat.expect("not taken");
    flat.reshape(like.shape())
}

/// Returns the module with other parameters, in the order of [`tensors`].
///
/// # Panics
/// When there are fewer tensors than parameters, or one has another length.
pub fn with_tensors<W: Module>(weights: W, tensors: Vec<Tensor<1>>) -> W {
    weights.map(&mut Replacer {
        tensors: tensors.into_iter(),
    })
}

/// Returns the device of a module's weights, without gradients.
pub fn device<W: Module>(weights: &W) -> Device {
    let mut devices = weights.devices();
    devices.pop().map_or_else(Device::flex, Device::inner)
}

/// Stores the weights as `prefix.NAME`.
pub fn put<W: Module>(checkpoint: &mut Checkpoint, prefix: &str, weights: &W) {
    for entry in entries(weights, None) {
        let name = format!("{prefix}.{}", entry.name);
        checkpoint.tensors.insert(name, host(entry.values));
    }
}

/// Returns the module with the weights that [`put`] stored, bit by bit.
///
/// # Errors
/// [`TiltError::Checkpoint`] when one is missing or has another length.
pub fn get<W: Module>(
    checkpoint: &Checkpoint,
    path: &Path,
    prefix: &str,
    weights: W,
) -> Result<W, TiltError> {
    let device = device(&weights);
    let stored: Result<Vec<_>, _> = entries(&weights, None)
        .into_iter()
        .map(|entry| {
            let name = format!("{prefix}.{}", entry.name);
            let length = entry.values.dims()[0];
            Ok(vector(checkpoint.tensor(path, &name, length)?, &device))
        })
        .collect();
    Ok(with_tensors(weights, stored?))
}

/// Adds gradients parameter by parameter.
pub(crate) fn add(
    mut sum: Vec<Option<Tensor<1>>>,
    other: Vec<Option<Tensor<1>>>,
) -> Vec<Option<Tensor<1>>> {
    if sum.is_empty() {
        return other;
    }
    for (sum, other) in sum.iter_mut().zip(other) {
        *sum = match (sum.take(), other) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
    }
    sum
}
