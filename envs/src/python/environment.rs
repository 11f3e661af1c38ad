//! The Rust end of the pipes.

use crate::env::{Component, Env, EnvSpec, Rules, Step};
use crate::error::EnvError;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const WORKER: &str = include_str!("worker.py");

/// A Gymnasium environment in a Python process. Actions are clamped to [−1, 1] and scaled to the environment's box.
///
/// # Panics
/// `reset` and `step` panic if the Python process dies; its own words are on the standard error.
pub struct PythonEnv {
    spec: EnvSpec,
    child: Child,
    to_python: ChildStdin,
    from_python: BufReader<ChildStdout>,
    low: Vec<f64>,
    high: Vec<f64>,
    buffer: Vec<u8>,
}

impl PythonEnv {
    /// Starts `python` (a program with `gymnasium` installed) with the environment of this Gymnasium id.
    ///
    /// # Errors
    /// If the program does not start, or what Python says when the environment cannot be made.
    pub fn new(python: &Path, id: &str) -> Result<Self, EnvError> {
        let failed = |reason: String| EnvError::Python {
            python: python.to_path_buf(),
            id: id.into(),
            reason,
        };
        let mut child = Command::new(python)
            .args(["-c", WORKER, id])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let (Some(to_python), Some(from_python)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed("its pipes are missing".into()));
        };
        let mut env = Self {
            spec: empty_spec(id),
            child,
            to_python,
            from_python: BufReader::new(from_python),
            low: Vec::new(),
            high: Vec::new(),
            buffer: Vec::new(),
        };
        env.shake_hands().map_err(failed)?;
        Ok(env)
    }

    /// Reads dimensions and bounds.
    fn shake_hands(&mut self) -> Result<(), String> {
        let mut line = String::new();
        self.from_python
            .read_line(&mut line)
            .map_err(|error| error.to_string())?;
        if let Some(reason) = line.strip_prefix("error ") {
            return Err(reason.trim().into());
        }
        let numbers: Vec<f64> = line
            .split(' ')
            .filter_map(|x| x.trim().parse().ok())
            .collect();
        let [observations, actions, horizon, timestep] = numbers[..] else {
            return Err(format!(
                "it did not introduce itself but said `{}`",
                line.trim()
            ));
        };
        let mut bounds = || -> Result<Vec<f64>, String> {
            let mut bytes = vec![0; 8 * actions as usize];
            self.from_python
                .read_exact(&mut bytes)
                .map_err(|error| error.to_string())?;
            Ok(bytes.chunks_exact(8).map(f64_from).collect())
        };
        (self.low, self.high) = (bounds()?, bounds()?);
        self.spec.observation_dim = observations as usize;
        self.spec.action_dim = actions as usize;
        self.spec.horizon = horizon as usize;
        self.spec.timestep = timestep;
        self.spec.observation = (0..observations as usize)
            .map(|k| Component::unbounded(format!("observation {k}"), ""))
            .collect();
        self.spec.action = (self.low.iter().zip(&self.high).enumerate())
            .map(|(k, (&low, &high))| Component::bounded(format!("action {k}"), "", [low, high]))
            .collect();
        Ok(())
    }

    /// Sends what is in the buffer and reads an answer of this length into it.
    fn exchange(&mut self, answer: usize) {
        let sent = self
            .to_python
            .write_all(&self.buffer)
            .and_then(|()| self.to_python.flush());
        self.buffer.resize(answer, 0);
        sent.and_then(|()| self.from_python.read_exact(&mut self.buffer))
            .unwrap_or_else(|error| {
                panic!("the Python process of {} is gone: {error}", self.spec.id)
            });
    }

    fn read_observation(&self, from: usize, observation: &mut [f32]) {
        let words = self.buffer[from..].chunks_exact(4);
        assert_eq!(observation.len(), words.len(), "length of the observation");
        for (slot, word) in observation.iter_mut().zip(words) {
            *slot = f32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        }
    }
}

fn f64_from(bytes: &[u8]) -> f64 {
    let mut word = [0; 8];
    word.copy_from_slice(bytes);
    f64::from_le_bytes(word)
}

impl Env for PythonEnv {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) {
        self.buffer.clear();
        self.buffer.push(b'r');
        self.buffer.extend_from_slice(&seed.to_le_bytes());
        self.exchange(4 * self.spec.observation_dim);
        self.read_observation(0, observation);
    }

    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Step {
        assert_eq!(action.len(), self.spec.action_dim, "length of the action");
        self.buffer.clear();
        self.buffer.push(b's');
        for (k, component) in action.iter().enumerate() {
            let share = 0.5 * (f64::from(component.clamp(-1.0, 1.0)) + 1.0);
            let scaled = self.low[k] + share * (self.high[k] - self.low[k]);
            self.buffer
                .extend_from_slice(&(scaled as f32).to_le_bytes());
        }
        self.exchange(9 + 4 * self.spec.observation_dim);
        self.read_observation(9, observation);
        Step {
            reward: f64_from(&self.buffer[..8]),
            terminated: self.buffer[8] != 0,
        }
    }
}

impl Drop for PythonEnv {
    fn drop(&mut self) {
        // Python may be in the middle of anything; nothing of it is needed any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn empty_spec(id: &str) -> EnvSpec {
    EnvSpec {
        id: id.into(),
        observation_dim: 0,
        action_dim: 0,
        horizon: 0,
        timestep: 0.0,
        engine: "gymnasium".into(),
        engine_version: "python".into(),
        margin: None,
        reference: None,
        observation: Vec::new(),
        action: Vec::new(),
        rules: Rules {
            summary: format!("Gymnasium's {id}."),
            source: "a Python process".into(),
            ..Rules::default()
        },
    }
}
