//! Which devices there are, and if there is none, what is missing.

use super::cuda::Cuda;
use super::driver::{Device, Driver};
use super::error::{GpuError, OLDEST_CAPABILITY, OLDEST_DRIVER};

/// The devices of a driver.
///
/// # Errors
/// If the driver is too old for the kernels, or sees no device.
pub fn list(driver: &dyn Driver) -> Result<Vec<Device>, GpuError> {
    let found = driver.version()?;
    if found < OLDEST_DRIVER {
        return Err(GpuError::OldDriver { found });
    }
    let devices = driver.devices()?;
    if devices.is_empty() {
        return Err(GpuError::NoDevice);
    }
    Ok(devices)
}

/// The devices of this machine.
///
/// # Errors
/// If there is no driver, if it is too old, or if it sees no device; the error says what to install.
pub fn list_here() -> Result<Vec<Device>, GpuError> {
    list(&Cuda::new()?)
}

/// The device of this number, made the one that the driver means.
///
/// # Errors
/// As [`list`]; also if there are fewer devices, or if this one is older than the kernels.
pub(super) fn open(driver: &mut dyn Driver, ordinal: usize) -> Result<Device, GpuError> {
    let devices = list(driver)?;
    let Some(device) = devices.get(ordinal).cloned() else {
        return Err(GpuError::NoSuchDevice {
            asked: ordinal,
            found: devices.iter().map(Device::to_string).collect(),
        });
    };
    if device.capability < OLDEST_CAPABILITY {
        return Err(GpuError::OldDevice {
            device: device.to_string(),
        });
    }
    driver.open(ordinal)?;
    Ok(device)
}
