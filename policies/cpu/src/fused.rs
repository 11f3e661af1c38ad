//! The fused perceptron as a burn operation with its own backward pass.
//!
//! On the CPU backend `mlp_forward` runs the loops of [`crate::mlp`]; on every other backend it composes plain
//! burn operations, which burn differentiates itself.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Device, Tensor, TensorData, activation};

use crate::engine::Engine;
use crate::math::Activation;
use crate::mlp::{Kept, backward, forward};
use crate::shape::MlpSpec;

/// Backends that run a whole perceptron as one operation.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait FusedBackend: Backend {
    /// Returns the network's output [rows, outputs] for `input` [rows, inputs] and flat `parameters`.
    fn fused_mlp(
        input: FloatTensor<Self>,
        parameters: FloatTensor<Self>,
        net: FusedNet,
    ) -> FloatTensor<Self>;
}

/// What the operation is besides its tensors.
#[derive(Clone, Debug)]
pub(crate) struct FusedNet {
    engine: Engine,
    spec: Arc<MlpSpec>,
}

impl FusedNet {
    fn parts(&self) -> (&Engine, &MlpSpec) {
        (&self.engine, &self.spec)
    }
}

type CpuTensor = FloatTensor<Flex>;

fn cpu_tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> CpuTensor {
    CpuTensor::from_data(TensorData::new(values, shape))
}

fn values(tensor: &CpuTensor) -> &[f32] {
    tensor
        .as_slice::<f32>()
        .expect("made contiguous before use")
}

/// A tensor whose values lie one after the other: the very one, where they do.
fn contiguous(tensor: CpuTensor) -> CpuTensor {
    if tensor.as_slice::<f32>().is_some() {
        return tensor;
    }
    tensor.to_contiguous()
}

/// What `read` makes of a tensor's values, one after the other.
fn with_values<R>(tensor: &CpuTensor, read: impl FnOnce(&[f32]) -> R) -> R {
    match tensor.as_slice::<f32>() {
        Some(values) => read(values),
        None => read(values(&tensor.to_contiguous())),
    }
}

fn run(
    input: &CpuTensor,
    parameters: &CpuTensor,
    (engine, spec): (&Engine, &MlpSpec),
    keep: bool,
) -> (CpuTensor, Option<Kept>) {
    let (output, kept) = with_values(parameters, |parameters| {
        with_values(input, |input| {
            forward(engine, spec, parameters, input, keep)
        })
    });
    let rows = output.len() / spec.outputs();
    (cpu_tensor(output, [rows, spec.outputs()]), kept)
}

impl FusedBackend for Flex {
    fn fused_mlp(
        input: FloatTensor<Self>,
        parameters: FloatTensor<Self>,
        net: FusedNet,
    ) -> FloatTensor<Self> {
        run(&input, &parameters, net.parts(), false).0
    }
}

#[derive(Debug)]
struct FusedMlp;

#[derive(Clone, Debug)]
struct FusedState {
    input: CpuTensor,
    parameters: CpuTensor,
    kept: Arc<Kept>,
    spec: Arc<MlpSpec>,
}

impl Backward<Flex, 2> for FusedMlp {
    type State = FusedState;

    fn backward(self, ops: Ops<FusedState, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [input_node, parameter_node] = ops.parents;
        let state = ops.state;
        let gradient = contiguous(grads.consume::<Flex>(&ops.node));
        let (parameters, input) = backward(
            &state.spec,
            values(&state.parameters),
            values(&state.input),
            &state.kept,
            values(&gradient),
            input_node.is_some(),
        );
        if let Some(node) = parameter_node {
            let length = parameters.len();
            grads.register::<Flex>(node.id, cpu_tensor(parameters, [length]));
        }
        if let (Some(node), Some(input)) = (input_node, input) {
            let rows = input.len() / state.spec.inputs();
            grads.register::<Flex>(node.id, cpu_tensor(input, [rows, state.spec.inputs()]));
        }
    }
}

impl<C: CheckpointStrategy> FusedBackend for Autodiff<Flex, C> {
    fn fused_mlp(
        input: FloatTensor<Self>,
        parameters: FloatTensor<Self>,
        net: FusedNet,
    ) -> FloatTensor<Self> {
        let guards = [input.node(), parameters.node()];
        let x = contiguous(input.into_primitive());
        let p = contiguous(parameters.into_primitive());
        match FusedMlp.prepare::<C>(guards).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (output, kept) = run(&x, &p, net.parts(), true);
                let kept = Arc::new(kept.expect("asked to keep activations"));
                prep.finish(
                    FusedState {
                        input: x,
                        parameters: p,
                        kept,
                        spec: net.spec,
                    },
                    output,
                )
            }
            OpsKind::UnTracked(prep) => prep.finish(run(&x, &p, net.parts(), false).0),
        }
    }
}

/// Returns the network's output, fused where the backend allows it.
///
/// # Shapes
/// `input` [rows, inputs], `parameters` `[num_parameters]` → [rows, outputs].
pub fn mlp_forward(
    engine: &Engine,
    spec: &Arc<MlpSpec>,
    parameters: Tensor<1>,
    input: Tensor<2>,
) -> Tensor<2> {
    let on = input.device();
    let recorded = on.is_autodiff() || parameters.is_autodiff();
    if !recorded && on == Device::flex() && parameters.device() == on {
        let float = "a float tensor of its own device";
        let input = input.try_into_primitive::<Flex>().expect(float);
        let parameters = parameters.try_into_primitive::<Flex>().expect(float);
        let (output, _) = run(&input, &parameters, (engine, spec), false);
        return Tensor::from_primitive::<Flex>(output);
    }
    if on.inner() == Device::flex() {
        let output = <Dispatch as FusedBackend>::fused_mlp(
            input.into_dispatch(),
            parameters.into_dispatch(),
            FusedNet {
                engine: engine.clone(),
                spec: spec.clone(),
            },
        );
        return Tensor::from_dispatch(output);
    }
    mlp_portable(spec, &parameters, input)
}

/// Returns the same output from plain burn operations: the reference, and the path of other backends.
pub fn mlp_portable(spec: &MlpSpec, parameters: &Tensor<1>, input: Tensor<2>) -> Tensor<2> {
    let layers = spec.layers();
    let mut current = input;
    for (i, layer) in layers.iter().enumerate() {
        let [inputs, outputs] = layer.shape;
        let weight = parameters
            .clone()
            .slice(layer.weight..layer.bias)
            .reshape([inputs, outputs]);
        let bias = parameters
            .clone()
            .slice(layer.bias..layer.bias + outputs)
            .reshape([1, outputs]);
        current = current.matmul(weight) + bias;
        if i + 1 == layers.len() {
            break;
        }
        if let Some(norm) = layer.norm {
            let gain = parameters
                .clone()
                .slice(norm..norm + outputs)
                .reshape([1, outputs]);
            let shift = parameters
                .clone()
                .slice(norm + outputs..layer.end)
                .reshape([1, outputs]);
            let centred = current.clone() - current.mean_dim(1);
            let variance = (centred.clone() * centred.clone()).mean_dim(1);
            current = centred / (variance + 1e-5).sqrt() * gain + shift;
        }
        current = match spec.activation {
            Activation::Relu => activation::relu(current),
            Activation::Silu => activation::silu(current),
            Activation::Mish => activation::mish(current),
            Activation::Gelu => activation::gelu(current),
        };
    }
    current
}
