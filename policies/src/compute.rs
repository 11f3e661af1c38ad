//! Where computing happens: a burn device, and the CPU engine with its arithmetic.

use burn::tensor::Device;

use crate::fast::Engine;

/// A device handle. It is passed in, never looked up: two of them may live side by side.
#[derive(Clone, Debug)]
pub struct Compute {
    /// Where tensors live.
    pub device: Device,
    /// The engine that models on the CPU backend ask for their fast form.
    pub engine: Engine,
}

impl Compute {
    /// Returns the CPU with the fastest arithmetic that it has.
    pub fn cpu() -> Self {
        Self::on(Device::flex())
    }

    /// Returns any burn device.
    pub fn on(device: Device) -> Self {
        Self {
            device,
            engine: Engine::best(),
        }
    }
}
