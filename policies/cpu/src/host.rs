//! Parameter tensors of the CPU backend, read and written where they lie.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{Device, Tensor};

/// The storage of a flat tensor on the CPU backend.
pub(crate) struct HostVector(FloatTensor<Flex>);

impl HostVector {
    /// Shares a tensor's storage for reading; `None` on another backend or while gradients are recorded.
    pub(crate) fn share(tensor: &Tensor<1>) -> Option<Self> {
        if tensor.device() != Device::flex() {
            return None;
        }
        let storage = tensor.clone().try_into_primitive::<Flex>().ok()?;
        Some(Self(storage.to_contiguous()))
    }

    /// Takes a tensor's values: its storage on the CPU backend, else a copy.
    pub(crate) fn of(tensor: Tensor<1>) -> Self {
        let tensor = tensor.without_autodiff().to_device(&Device::flex());
        let storage = tensor
            .try_into_primitive::<Flex>()
            .expect("a CPU tensor without gradients");
        Self(storage.to_contiguous())
    }

    /// Takes a tensor's storage for writing and leaves a tensor without values behind.
    pub(crate) fn take(tensor: &mut Tensor<1>) -> Self {
        Self::of(std::mem::replace(
            tensor,
            Tensor::empty([0], &Device::flex()),
        ))
    }

    /// Returns the values.
    pub(crate) fn values(&self) -> &[f32] {
        self.0.as_slice::<f32>().expect("contiguous f32")
    }

    /// Returns the values for writing; copies them first when another tensor shares them.
    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        let length = self.values().len();
        if self.0.storage::<f32>().len() != length {
            self.0 = FloatTensor::<Flex>::from_data(self.0.clone().into_data());
        }
        self.0.storage_mut::<f32>()
    }

    /// Returns whether no other tensor shares the storage.
    pub(crate) fn is_own(&self) -> bool {
        self.0.is_unique()
    }

    /// Returns the values for writing where that takes no copy: the storage is this tensor's alone and holds nothing else.
    pub(crate) fn own_mut(&mut self) -> Option<&mut [f32]> {
        let length = self.values().len();
        let storage = self.0.try_storage_mut::<f32>()?;
        (storage.len() == length).then_some(storage)
    }

    /// Returns a tensor with these values.
    pub(crate) fn into_tensor(self) -> Tensor<1> {
        Tensor::from_primitive::<Flex>(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tiltrl_tilt::host::{host, vector};

    #[test]
    fn writing_changes_this_tensor_and_not_its_clones() {
        let mut tensor = vector(vec![1.0, 2.0, 3.0, 4.0], &Device::flex());
        let clone = tensor.clone();
        let mut part = tensor.clone().slice(1..3);
        for (target, length) in [(&mut tensor, 4), (&mut part, 2)] {
            let mut taken = HostVector::take(target);
            assert_eq!(taken.values_mut().len(), length);
            taken.values_mut().fill(7.0);
            *target = taken.into_tensor();
            assert_eq!(host(target.clone()), vec![7.0; length]);
        }
        assert_eq!(host(clone), vec![1.0, 2.0, 3.0, 4.0]);
        assert!(HostVector::share(&tensor.autodiff().require_grad()).is_none());
    }
}
