//! A locomotion task: a robot, its rules and its specification, and one environment step of `L` robots at once.

use super::rules::{LocomotionRules, StartNoise};
use crate::env::{EnvSpec, Step};
use crate::fleet::StepBuffers;
use crate::planar::RobotDescription;
use crate::planar::engine::{Effort, State, advance};
use crate::planar::lanes::{Lanes, Real};
use crate::planar::model::Model;
use crate::random::Stream;

/// In which numbers a task's physics is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// As MuJoCo computes.
    #[default]
    F64,
    /// Twice as many robots at once; a step is right to 1e-3 or better instead of 1e-9 (docs/throughput.md, "Single precision"). The state between
    /// steps, the way along x, reward and termination stay in f64.
    F32,
}

/// What all environments of one task share.
#[derive(Clone, Debug)]
pub struct Task<const N: usize> {
    /// What users see.
    pub spec: EnvSpec,
    /// Bodies, joints and motors.
    pub model: Model<N>,
    /// Reward, ends and starts.
    pub rules: LocomotionRules,
    /// The robot as it was described.
    pub robot: &'static RobotDescription,
    /// In which numbers the physics is computed.
    pub precision: Precision,
}

impl<const N: usize> Task<N> {
    /// The same task in f32.
    pub fn in_f32(&self) -> Self {
        let mut task = self.clone();
        task.spec.engine.push_str("-f32");
        task.precision = Precision::F32;
        task
    }

    /// The drawn pose at rest.
    pub fn drawn_pose(&self) -> State<N, 1> {
        let position = self.model.joints.map(|joint| Lanes([joint.reference]));
        State {
            position,
            ..State::ZERO
        }
    }

    /// The first state of the episode that belongs to `seed`.
    pub fn start(&self, seed: u64) -> State<N, 1> {
        let mut stream = Stream::new(seed);
        let mut state = self.drawn_pose();
        let (StartNoise::Uniform(scale) | StartNoise::UniformAndNormal(scale)) = self.rules.start;
        for position in &mut state.position {
            *position += Lanes([stream.uniform(-scale, scale)]);
        }
        for velocity in &mut state.velocity {
            *velocity = Lanes([match self.rules.start {
                StartNoise::Uniform(_) => stream.uniform(-scale, scale),
                StartNoise::UniformAndNormal(_) => scale * stream.normal(),
            }]);
        }
        state
    }

    /// The observation: joint positions but x, then velocities.
    pub fn observe<T>(
        &self,
        state: &State<N, 1>,
        observation: &mut [T],
        narrow: impl Fn(f64) -> T,
    ) {
        assert_eq!(
            observation.len(),
            2 * N - 1,
            "length of the observation of {}",
            self.spec.id
        );
        for k in 1..N {
            observation[k - 1] = narrow(state.position[k].0[0]);
        }
        for k in 0..N {
            let velocity = self.rules.observed_velocity(state.velocity[k].0[0]);
            observation[N - 1 + k] = narrow(velocity);
        }
    }

    /// One environment step of up to `L` robots: robot `indices[k] - offset` of `states` moves under row k of the
    /// actions, computed in `T`. Bytes do not depend on how many robots go together.
    pub fn step<const L: usize, T: Real>(
        &self,
        states: &mut [State<N, 1>],
        offset: usize,
        indices: &[usize],
        buffers: StepBuffers<'_>,
    ) -> Effort {
        let (action_dim, observation_dim) = (self.spec.action_dim, self.spec.observation_dim);
        assert!(!indices.is_empty() && indices.len() <= L && buffers.steps.len() == indices.len());
        assert_eq!(
            buffers.actions.len(),
            indices.len() * action_dim,
            "actions of {}",
            self.spec.id
        );
        let mut lanes = State::<N, L, T>::ZERO;
        let mut force = [Lanes::<L, T>::ZERO; N];
        for lane in 0..L {
            // Lanes without a robot repeat the last one; nobody reads them.
            let row = lane.min(indices.len() - 1);
            self.load(&states[indices[row] - offset], &mut lanes, lane);
            let action = &buffers.actions[row * action_dim..][..action_dim];
            for (motor, &control) in self.model.motors.iter().zip(action) {
                let limit = motor.control_limit;
                let push = T::of(motor.gear * f64::from(control).clamp(-limit, limit));
                force[motor.dof].0[lane] = force[motor.dof].0[lane] + push;
            }
        }
        let outcome = advance(&self.model, &mut lanes, &force, self.rules.frame_skip);
        for (row, &index) in indices.iter().enumerate() {
            let state = &mut states[index - offset];
            let before = state.position[0].0[0];
            self.store(&lanes, row, state);
            let action = &buffers.actions[row * action_dim..][..action_dim];
            buffers.steps[row] = self.judge(before, state, action);
            let observation = &mut buffers.observations[row * observation_dim..][..observation_dim];
            self.observe(state, observation, |x| x as f32);
        }
        outcome.effort
    }

    /// Copies one robot's state into a lane. In f32 the way along x starts from zero, since it would swallow the step's digits.
    #[inline]
    fn load<const L: usize, T: Real>(
        &self,
        from: &State<N, 1>,
        to: &mut State<N, L, T>,
        lane: usize,
    ) {
        for k in 0..N {
            to.position[k].0[lane] = T::of(from.position[k].0[0]);
            to.velocity[k].0[lane] = T::of(from.velocity[k].0[0]);
            to.guess[k].0[lane] = T::of(from.guess[k].0[0]);
        }
        if self.precision == Precision::F32 {
            to.position[0].0[lane] = T::ZERO;
        }
    }

    /// Copies a lane back into one robot's state.
    #[inline]
    fn store<const L: usize, T: Real>(
        &self,
        from: &State<N, L, T>,
        lane: usize,
        to: &mut State<N, 1>,
    ) {
        let way = to.position[0].0[0];
        for k in 0..N {
            to.position[k].0[0] = from.position[k].0[lane].to_f64();
            to.velocity[k].0[0] = from.velocity[k].0[lane].to_f64();
            to.guess[k].0[0] = from.guess[k].0[lane].to_f64();
        }
        if self.precision == Precision::F32 {
            to.position[0].0[0] += way;
        }
    }

    fn judge(&self, x_before: f64, state: &State<N, 1>, action: &[f32]) -> Step {
        let duration = self.model.timestep * self.rules.frame_skip as f64;
        let forward_velocity = (state.position[0].0[0] - x_before) / duration;
        let position = state.position.map(|x| x.0[0]);
        let velocity = state.velocity.map(|x| x.0[0]);
        let healthy = self.rules.is_healthy(&position, &velocity);
        let reward = self.rules.reward(forward_velocity, action, healthy);
        Step {
            reward,
            terminated: !healthy,
        }
    }
}
