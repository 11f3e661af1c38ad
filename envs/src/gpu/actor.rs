//! A policy on a device: its numbers, the noise of each environment, and the launch that writes actions.

use super::driver::{Address, Argument, Driver, Kernel};
use super::error::{GpuError, OUT_OF_MEMORY};
use super::policy::{PolicyKernel, PolicyTables, THREADS, ziggurat};

/// A ChaCha8 key of each environment: its noise is the numbers that a stream of this key gives.
pub type NoiseKey = [u8; 32];

/// The device's arrays, in the order in which they are allocated.
const KEYS: usize = 0;
const DRAWN: usize = 1;
const NUMBERS: usize = 2;
const SHAPE: usize = 3;
const ZIGGURAT: usize = 4;

/// A policy that acts for `count` environments.
pub(super) struct Actor {
    kernel: Kernel,
    rows: usize,
    count: usize,
    arrays: Vec<Address>,
}

fn bytes_of<T, const W: usize>(values: &[T], bytes: fn(&T) -> [u8; W]) -> Vec<u8> {
    values.iter().flat_map(bytes).collect()
}

impl Actor {
    /// Puts a policy on the open device.
    ///
    /// # Errors
    /// If the kernels cannot hold it, the device's memory is full, or what the driver answers.
    pub fn new(
        driver: &mut dyn Driver,
        tables: &PolicyTables,
        keys: &[NoiseKey],
        device: &str,
    ) -> Result<Self, GpuError> {
        let PolicyKernel { ptx, rows, .. } = tables.kernel()?;
        let kernels = driver.load(ptx, &["act"], None)?;
        let mut actor = Self {
            kernel: kernels[0],
            rows,
            count: keys.len(),
            arrays: Vec::new(),
        };
        let contents = [
            words(keys),
            vec![0; 4 * keys.len()],
            bytes_of(&tables.numbers(), |x| x.to_ne_bytes()),
            bytes_of(&tables.shape(), |x| x.to_ne_bytes()),
            bytes_of(&ziggurat(), |x| x.to_ne_bytes()),
        ];
        let placed = actor.place(driver, &contents);
        if let Err(refusal) = placed {
            actor.free(driver);
            if refusal.code != OUT_OF_MEMORY {
                return Err(refusal.into());
            }
            return Err(GpuError::OutOfMemory {
                count: keys.len(),
                bytes: contents.iter().map(Vec::len).sum(),
                device: device.into(),
            });
        }
        Ok(actor)
    }

    fn place(
        &mut self,
        driver: &mut dyn Driver,
        contents: &[Vec<u8>],
    ) -> Result<(), super::error::Refusal> {
        for bytes in contents {
            let address = driver.allocate(bytes.len())?;
            self.arrays.push(address);
            driver.write(address, bytes)?;
        }
        Ok(())
    }

    /// Begins the noise of every environment anew, with these keys.
    ///
    /// # Errors
    /// What the driver answers.
    pub fn begin(&self, driver: &mut dyn Driver, keys: &[NoiseKey]) -> Result<(), GpuError> {
        driver.write(self.arrays[KEYS], &words(keys))?;
        Ok(driver.write(self.arrays[DRAWN], &vec![0; 4 * self.count])?)
    }

    /// Writes the actions of the running environments for their observations.
    ///
    /// # Errors
    /// What the driver answers.
    pub fn act(
        &self,
        driver: &mut dyn Driver,
        [observations, actions, status]: [Address; 3],
    ) -> Result<(), GpuError> {
        let of = |k: usize| Argument::Pointer(self.arrays[k]);
        let arguments = [
            Argument::Pointer(observations),
            Argument::Pointer(actions),
            Argument::Pointer(status),
            of(KEYS),
            of(DRAWN),
            of(NUMBERS),
            of(SHAPE),
            of(ZIGGURAT),
            Argument::Int(self.count as i32),
        ];
        let blocks = self.count.div_ceil(self.rows) as u32;
        Ok(driver.launch(self.kernel, blocks, THREADS as u32, &arguments)?)
    }

    /// Gives the memory back.
    pub fn free(&mut self, driver: &mut dyn Driver) {
        for address in self.arrays.drain(..) {
            driver.free(address);
        }
    }
}

/// The keys' words, `[8][count]`.
fn words(keys: &[NoiseKey]) -> Vec<u8> {
    let word = |k: usize| {
        keys.iter()
            .flat_map(move |key| key[4 * k..][..4].iter().copied())
    };
    (0..8).flat_map(word).collect()
}
