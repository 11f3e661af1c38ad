//! The way between tensors and host values.

use burn::backend::Flex;
use burn::tensor::{Device, Tensor, TensorData};

/// Returns a [rows, columns] tensor of row-major host values.
pub fn matrix(values: Vec<f32>, columns: usize, device: &Device) -> Tensor<2> {
    let rows = values.len() / columns;
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}

/// Returns a `[length]` tensor of host values.
pub fn vector(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), device)
}

/// Returns a tensor's values on the host, row-major; gradients are not followed.
///
/// # Panics
/// When the tensor does not hold f32.
pub fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .without_autodiff()
        .into_data()
        .try_into_vec()
        .expect("models compute in f32")
}

/// Returns what `read` makes of a tensor's values where they lie, without a copy; `None` where they lie elsewhere than in the memory
/// of the CPU backend, or a graph is recorded.
pub(crate) fn with_values<const D: usize, R>(
    tensor: &Tensor<D>,
    read: impl FnOnce(&[f32]) -> R,
) -> Option<R> {
    if tensor.device() != Device::flex() {
        return None;
    }
    let storage = tensor.clone().try_into_primitive::<Flex>().ok()?;
    storage.to_contiguous().as_slice().map(read)
}

/// As [`host`], in f64.
pub fn host64<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    host(tensor).iter().map(|&v| f64::from(v)).collect()
}
