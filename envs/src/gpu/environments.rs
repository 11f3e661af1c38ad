//! Many environments that live on a device.

use super::actor::Actor;
use super::driver::{Address, Argument, Device, Driver, Kernel};
use super::error::{GpuError, OUT_OF_MEMORY};
use super::program::{Program, ids};
use super::{BLOCK, Mode, devices};
use crate::planar::Margin;

/// How an environment on a device stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Its episode goes on.
    Running,
    /// The task ended (fell over).
    Terminated,
    /// The episode was cut at its horizon.
    Truncated,
}

impl Status {
    const RUNNING: i32 = 0;
    const TERMINATED: i32 = 1;

    fn of(number: i32) -> Self {
        match number {
            Self::RUNNING => Self::Running,
            Self::TERMINATED => Self::Terminated,
            _ => Self::Truncated,
        }
    }
}

/// The device's arrays, in the order of the kernels' parameters; each holds one column for each environment.
#[derive(Clone, Copy)]
pub(super) enum Array {
    Way,
    Numbers,
    Seeds,
    Ages,
    Status,
    Returns,
    Actions,
    Observations,
    Rewards,
}

impl Array {
    const ALL: [Self; 9] = [
        Self::Way,
        Self::Numbers,
        Self::Seeds,
        Self::Ages,
        Self::Status,
        Self::Returns,
        Self::Actions,
        Self::Observations,
        Self::Rewards,
    ];

    /// Bytes of one environment.
    fn width(self, program: &Program, mode: Mode) -> usize {
        match self {
            Self::Way | Self::Seeds | Self::Returns | Self::Rewards => 8,
            Self::Ages | Self::Status => 4,
            Self::Numbers => program.state_rows() * mode.width(),
            Self::Actions => program.action_dim() * 4,
            Self::Observations => program.observation_dim() * 4,
        }
    }
}

/// Environments of one kind on one device. Episode n of environment k has the seed base + k + n·count, the rule of
/// [`crate::vector::VectorEnv`], and is the CPU's episode of that seed.
///
/// Arrays are `[component][environment]`. An environment whose episode has ended stands still and earns nothing until
/// [`Self::begin_ended`].
pub struct DeviceEnvs {
    pub(super) driver: Box<dyn Driver>,
    device: Device,
    program: Program,
    count: usize,
    begin: Kernel,
    advance: Kernel,
    arrays: Vec<Address>,
    pub(super) actor: Option<Actor>,
}

impl DeviceEnvs {
    /// `count` environments of an id on device `ordinal`. Call [`Self::reset`] first.
    ///
    /// # Errors
    /// If the id has no kernels, if the device is absent, too old or full, or what the driver answers. Memory that was
    /// taken before the error is given back.
    pub fn new(
        driver: Box<dyn Driver>,
        ordinal: usize,
        id: &str,
        margin: Margin,
        mode: Mode,
        count: usize,
    ) -> Result<Self, GpuError> {
        Self::with_registers(driver, ordinal, id, margin, mode, count, None)
    }

    /// As [`Self::new`], with at most so many registers a thread: fewer make room for more warps and spill more.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_registers(
        mut driver: Box<dyn Driver>,
        ordinal: usize,
        id: &str,
        margin: Margin,
        mode: Mode,
        count: usize,
        registers: Option<u32>,
    ) -> Result<Self, GpuError> {
        let program = Program::of(id, margin).ok_or_else(|| GpuError::Unsupported {
            id: id.into(),
            reason: "it has no kernels".into(),
            hint: format!("these have: {}; the CPU runs all", ids().join(", ")),
        })?;
        let ptx = program.ptx(mode).ok_or_else(|| GpuError::Unsupported {
            id: id.into(),
            reason: format!("it has no mode {mode}"),
            hint: "choose the mode f64, which has the CPU's bytes".into(),
        })?;
        let most = i32::MAX as usize / program.state_rows();
        if count == 0 || count > most {
            return Err(GpuError::Unsupported {
                id: id.into(),
                reason: format!("{count} environments were asked for"),
                hint: format!("choose from 1 to {most}"),
            });
        }
        let device = devices::open(&mut *driver, ordinal)?;
        let kernels = driver.load(ptx, &["begin", "advance"], registers)?;
        let mut all = Self {
            begin: kernels[0],
            advance: kernels[1],
            arrays: Vec::new(),
            actor: None,
            driver,
            device,
            program,
            count,
        };
        all.allocate(mode)?;
        Ok(all)
    }

    fn allocate(&mut self, mode: Mode) -> Result<(), GpuError> {
        let widths = Array::ALL.map(|array| array.width(&self.program, mode));
        for width in widths {
            let address = self
                .driver
                .allocate(width * self.count)
                .map_err(|refusal| {
                    if refusal.code != OUT_OF_MEMORY {
                        return refusal.into();
                    }
                    GpuError::OutOfMemory {
                        count: self.count,
                        bytes: widths.iter().sum::<usize>() * self.count,
                        device: self.device.to_string(),
                    }
                })?;
            self.arrays.push(address);
        }
        Ok(())
    }

    /// Number of environments.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none: never.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the device that the environments are on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Returns the task with its mode and kernels.
    pub fn program(&self) -> &Program {
        &self.program
    }

    pub(super) fn at(&self, array: Array) -> Address {
        self.arrays[array as usize]
    }

    /// The six arrays that every kernel takes first.
    fn state(&self) -> Vec<Argument> {
        let last = Array::Returns as usize;
        self.arrays[..=last]
            .iter()
            .copied()
            .map(Argument::Pointer)
            .collect()
    }

    fn launch(&mut self, kernel: Kernel, arguments: &[Argument]) -> Result<(), GpuError> {
        let blocks = self.count.div_ceil(BLOCK) as u32;
        Ok(self
            .driver
            .launch(kernel, blocks, BLOCK as u32, arguments)?)
    }

    /// Begins the first episodes of a base seed.
    ///
    /// # Errors
    /// What the driver answers.
    pub fn reset(&mut self, base_seed: u64) -> Result<(), GpuError> {
        let seeds: Vec<u64> = (0..self.count as u64)
            .map(|k| base_seed.wrapping_add(k))
            .collect();
        self.reset_to(&seeds)
    }

    /// Begins the episodes of these seeds, one in each environment; those that follow have the seeds s + count, s + 2 count, ….
    ///
    /// # Errors
    /// What the driver answers.
    ///
    /// # Panics
    /// If there is another number of seeds.
    pub fn reset_to(&mut self, seeds: &[u64]) -> Result<(), GpuError> {
        assert_eq!(seeds.len(), self.count, "one seed for each environment");
        let seeds: Vec<u8> = seeds.iter().flat_map(|seed| seed.to_ne_bytes()).collect();
        self.driver.write(self.at(Array::Seeds), &seeds)?;
        let ended: Vec<u8> = (0..self.count)
            .flat_map(|_| Status::TERMINATED.to_ne_bytes())
            .collect();
        self.driver.write(self.at(Array::Status), &ended)?;
        self.begin_ended()
    }

    /// Begins the next episode wherever one has ended; observations are then its first.
    ///
    /// # Errors
    /// What the driver answers.
    pub fn begin_ended(&mut self) -> Result<(), GpuError> {
        let mut arguments = self.state();
        arguments.push(Argument::Pointer(self.at(Array::Observations)));
        arguments.push(Argument::Long(self.count as u64));
        arguments.push(Argument::Int(self.count as i32));
        self.launch(self.begin, &arguments)
    }

    /// Puts actions on the device, `[action_dim][count]`.
    ///
    /// # Errors
    /// What the driver answers.
    ///
    /// # Panics
    /// If there is another number of them.
    pub fn set_actions(&mut self, actions: &[f32]) -> Result<(), GpuError> {
        let want = self.program.action_dim() * self.count;
        assert_eq!(actions.len(), want, "actions [action_dim][count]");
        let bytes: Vec<u8> = actions.iter().flat_map(|x| x.to_ne_bytes()).collect();
        Ok(self.driver.write(self.at(Array::Actions), &bytes)?)
    }

    /// Moves every running environment one step under the actions on the device. Returns before the device is done.
    ///
    /// # Errors
    /// What the driver answers.
    pub fn step(&mut self) -> Result<(), GpuError> {
        let mut arguments = self.state();
        for array in [Array::Actions, Array::Observations, Array::Rewards] {
            arguments.push(Argument::Pointer(self.at(array)));
        }
        arguments.push(Argument::Int(self.program.rule()));
        arguments.push(Argument::Int(self.count as i32));
        self.launch(self.advance, &arguments)
    }

    /// Waits until the device has done what it was told.
    ///
    /// # Errors
    /// What the driver answers: a kernel's failure shows here.
    pub fn wait(&mut self) -> Result<(), GpuError> {
        Ok(self.driver.wait()?)
    }

    fn read<const W: usize, T>(
        &mut self,
        array: Array,
        rows: usize,
        number: fn([u8; W]) -> T,
    ) -> Result<Vec<T>, GpuError> {
        let mut bytes = vec![0; rows * self.count * W];
        let address = self.at(array);
        self.driver.read(address, &mut bytes)?;
        let (numbers, _) = bytes.as_chunks::<W>();
        Ok(numbers.iter().copied().map(number).collect())
    }

    /// The last observations, `[observation_dim][count]`.
    ///
    /// # Errors
    /// What the driver answers.
    pub fn observations(&mut self) -> Result<Vec<f32>, GpuError> {
        let rows = self.program.observation_dim();
        self.read(Array::Observations, rows, f32::from_ne_bytes)
    }

    /// The last step's rewards, `[count]`; zero where the episode had ended before.
    ///
    /// # Errors
    /// What the driver answers.
    pub fn rewards(&mut self) -> Result<Vec<f64>, GpuError> {
        self.read(Array::Rewards, 1, f64::from_ne_bytes)
    }

    /// The sums of the rewards of the episodes so far, `[count]`.
    ///
    /// # Errors
    /// What the driver answers.
    pub fn returns(&mut self) -> Result<Vec<f64>, GpuError> {
        self.read(Array::Returns, 1, f64::from_ne_bytes)
    }

    /// Steps of the episodes so far, `[count]`.
    ///
    /// # Errors
    /// What the driver answers.
    pub fn ages(&mut self) -> Result<Vec<i32>, GpuError> {
        self.read(Array::Ages, 1, i32::from_ne_bytes)
    }

    /// The last actions, `[action_dim][count]`.
    ///
    /// # Errors
    /// What the driver answers.
    pub fn actions(&mut self) -> Result<Vec<f32>, GpuError> {
        let rows = self.program.action_dim();
        self.read(Array::Actions, rows, f32::from_ne_bytes)
    }

    /// How the environments stand, `[count]`.
    ///
    /// # Errors
    /// What the driver answers.
    pub fn statuses(&mut self) -> Result<Vec<Status>, GpuError> {
        let number = |bytes| Status::of(i32::from_ne_bytes(bytes));
        self.read(Array::Status, 1, number)
    }
}

impl Drop for DeviceEnvs {
    fn drop(&mut self) {
        if let Some(mut actor) = self.actor.take() {
            actor.free(&mut *self.driver);
        }
        for address in self.arrays.drain(..) {
            self.driver.free(address);
        }
    }
}
