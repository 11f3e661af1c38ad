//! The kernels compiled for the CPU: the same text, by g++, loaded as a library.
#![allow(dead_code)]

use libloading::Library;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use tiltrl_envs::gpu::Mode;
use tiltrl_envs::gpu::policy::PolicyKernel;
use tiltrl_envs::gpu::program::Program;

type Begin = unsafe extern "C" fn(
    *mut f64,
    *mut u8,
    *mut u64,
    *mut i32,
    *mut i32,
    *mut f64,
    *mut f32,
    u64,
    i32,
);
type Advance = unsafe extern "C" fn(
    *mut f64,
    *mut u8,
    *mut u64,
    *mut i32,
    *mut i32,
    *mut f64,
    *const f32,
    *mut f32,
    *mut f64,
    i32,
    i32,
);

/// `count` environments of a program on the twin. All arrays are `[component][environment]`.
pub struct Twin {
    library: Library,
    program: Program,
    mode: Mode,
    pub count: usize,
    pub way: Vec<f64>,
    /// Bytes of the rows of numbers: positions but x, velocities, guess.
    numbers: Vec<u8>,
    pub seeds: Vec<u64>,
    pub ages: Vec<i32>,
    pub status: Vec<i32>,
    pub returns: Vec<f64>,
    pub observations: Vec<f32>,
    pub rewards: Vec<f64>,
}

/// Whether there is a g++; if not, that is said aloud.
pub fn compiler() -> bool {
    let found = Command::new("g++").arg("--version").output().is_ok();
    if !found {
        eprintln!("SKIPPED: no g++ to compile the kernels' twin with (apt-get install g++)");
    }
    found
}

/// A folder under the target folder, alike for all tests.
pub fn folder() -> PathBuf {
    let folder = match option_env!("CARGO_TARGET_TMPDIR") {
        Some(folder) => Path::new(folder).join("gpu"),
        None => std::env::temp_dir().join("tiltrl-gpu"),
    };
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Compiles a program's twin, unless the same text has been compiled before; returns the library's path.
pub fn build(program: &Program, mode: Mode, options: &[&str]) -> PathBuf {
    let name = format!("{}-{mode}{}", program.name, options.join(""));
    compile(&name, &program.twin_source(mode).unwrap(), options)
}

/// As [`build`], for a kernel of policies.
pub fn build_policy(kernel: &PolicyKernel) -> PathBuf {
    compile(kernel.name, &kernel.twin_source(), &[])
}

fn compile(name: &str, text: &str, options: &[&str]) -> PathBuf {
    // Tests run side by side and want the same twins: one after the other.
    static BUILDING: Mutex<()> = Mutex::new(());
    let _one = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let (source, library) = (
        folder().join(format!("{name}.cpp")),
        folder().join(format!("{name}.so")),
    );
    let same = std::fs::read_to_string(&source).is_ok_and(|old| old == text);
    if same && library.exists() {
        return library;
    }
    std::fs::write(&source, text).unwrap();
    // Written aside and moved, so that a run that is cut off leaves no half of one.
    let part = folder().join(format!("{name}.part"));
    let output = Command::new("g++")
        .args([
            "-O3",
            "-ffp-contract=off",
            "-fPIC",
            "-shared",
            "-Wall",
            "-Wextra",
        ])
        // What one robot has no use for, another has.
        .args(["-Wno-unused-function", "-Wno-unknown-pragmas"])
        .args(options)
        .arg("-o")
        .args([&part, &source])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::rename(&part, &library).unwrap();
    library
}

impl Twin {
    pub fn new(program: &Program, mode: Mode, count: usize) -> Self {
        let path = build(program, mode, &[]);
        // SAFETY: the library is the twin that was just compiled; loading it runs nothing of its own.
        let library = unsafe { Library::new(path) }.unwrap();
        Self {
            library,
            mode,
            count,
            way: vec![0.0; count],
            numbers: vec![0; program.state_rows() * count * mode.width()],
            seeds: vec![0; count],
            ages: vec![0; count],
            status: vec![1; count],
            returns: vec![0.0; count],
            observations: vec![0.0; program.observation_dim() * count],
            rewards: vec![0.0; count],
            program: program.clone(),
        }
    }

    /// Begins an episode wherever the last one has ended.
    pub fn begin(&mut self, stride: u64) {
        // SAFETY: the function has this signature (twin.cpp) and every array the length that the text reads and writes.
        unsafe {
            let begin = self.library.get::<Begin>(b"begin").unwrap();
            begin(
                self.way.as_mut_ptr(),
                self.numbers.as_mut_ptr(),
                self.seeds.as_mut_ptr(),
                self.ages.as_mut_ptr(),
                self.status.as_mut_ptr(),
                self.returns.as_mut_ptr(),
                self.observations.as_mut_ptr(),
                stride,
                self.count as i32,
            );
        }
    }

    /// One step of all environments. `actions`: `[action_dim][count]`.
    pub fn advance(&mut self, actions: &[f32]) {
        assert_eq!(actions.len(), self.program.action_dim() * self.count);
        // SAFETY: as above.
        unsafe {
            let advance = self.library.get::<Advance>(b"advance").unwrap();
            advance(
                self.way.as_mut_ptr(),
                self.numbers.as_mut_ptr(),
                self.seeds.as_mut_ptr(),
                self.ages.as_mut_ptr(),
                self.status.as_mut_ptr(),
                self.returns.as_mut_ptr(),
                actions.as_ptr(),
                self.observations.as_mut_ptr(),
                self.rewards.as_mut_ptr(),
                self.program.rule(),
                self.count as i32,
            );
        }
    }

    fn number(&self, row: usize, env: usize) -> f64 {
        let at = (row * self.count + env) * self.mode.width();
        let bytes = &self.numbers[at..at + self.mode.width()];
        match self.mode {
            Mode::F64 => f64::from_ne_bytes(bytes.try_into().unwrap()),
            Mode::F32 | Mode::Fast => f64::from(f32::from_ne_bytes(bytes.try_into().unwrap())),
        }
    }

    fn set_number(&mut self, row: usize, env: usize, value: f64) {
        let at = (row * self.count + env) * self.mode.width();
        let place = &mut self.numbers[at..at + self.mode.width()];
        match self.mode {
            Mode::F64 => place.copy_from_slice(&value.to_ne_bytes()),
            Mode::F32 | Mode::Fast => place.copy_from_slice(&(value as f32).to_ne_bytes()),
        }
    }

    fn joints(&self) -> usize {
        (self.program.state_rows() + 1) / 3
    }

    /// Positions, velocities of one environment.
    pub fn state(&self, env: usize) -> (Vec<f64>, Vec<f64>) {
        let n = self.joints();
        let position = (0..n - 1).map(|k| self.number(k, env));
        let position = std::iter::once(self.way[env]).chain(position).collect();
        let velocity = (0..n).map(|k| self.number(n - 1 + k, env)).collect();
        (position, velocity)
    }

    /// Puts an environment into a state without a guess, in the middle of an episode.
    pub fn set_state(&mut self, env: usize, position: &[f64], velocity: &[f64]) {
        let n = self.joints();
        self.way[env] = position[0];
        for k in 1..n {
            self.set_number(k - 1, env, position[k]);
        }
        for k in 0..n {
            self.set_number(n - 1 + k, env, velocity[k]);
            self.set_number(2 * n - 1 + k, env, 0.0);
        }
        self.status[env] = 0;
        self.ages[env] = 0;
    }

    /// Puts a classic system into a state, in the middle of an episode.
    pub fn set_rows(&mut self, env: usize, state: &[f64]) {
        for (row, value) in state.iter().enumerate() {
            self.set_number(row, env, *value);
        }
        self.status[env] = 0;
        self.ages[env] = 0;
    }

    /// A classic system's state.
    pub fn rows(&self, env: usize) -> Vec<f64> {
        let rows = self.program.state_rows();
        (0..rows).map(|row| self.number(row, env)).collect()
    }

    /// One environment's observation.
    pub fn observation(&self, env: usize) -> Vec<f32> {
        let column = self.observations.iter().skip(env).step_by(self.count);
        column.copied().collect()
    }
}
