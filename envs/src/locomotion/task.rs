//! A locomotion task: a robot, its rules and its specification, and one environment step of `L` robots at once.

use super::rules::{LocomotionRules, StartNoise};
use crate::batch::Rows;
use crate::env::{EnvSpec, Step};
use crate::planar::RobotDescription;
use crate::planar::engine::{Effort, State, advance};
use crate::planar::lanes::Lanes;
use crate::planar::model::Model;
use crate::random::Stream;

/// What all environments of one task share.
#[derive(Clone, Debug)]
pub struct Task<const N: usize> {
    /// What users see.
    pub spec: EnvSpec,
    /// The robot.
    pub model: Model<N>,
    /// The rules.
    pub rules: LocomotionRules,
    /// The robot as it was described.
    pub robot: &'static RobotDescription,
}

impl<const N: usize> Task<N> {
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
    /// actions. Bytes do not depend on how many robots go together.
    pub fn step<const L: usize>(
        &self,
        states: &mut [State<N, 1>],
        offset: usize,
        indices: &[usize],
        rows: Rows<'_>,
    ) -> Effort {
        let (action_dim, observation_dim) = (self.spec.action_dim, self.spec.observation_dim);
        assert!(!indices.is_empty() && indices.len() <= L && rows.steps.len() == indices.len());
        assert_eq!(
            rows.actions.len(),
            indices.len() * action_dim,
            "actions of {}",
            self.spec.id
        );
        let mut lanes = State::<N, L>::ZERO;
        let mut force = [Lanes::<L>::ZERO; N];
        for lane in 0..L {
            // Lanes without a robot repeat the last one; nobody reads them.
            let row = lane.min(indices.len() - 1);
            copy_lane(&states[indices[row] - offset], 0, &mut lanes, lane);
            let action = &rows.actions[row * action_dim..][..action_dim];
            for (motor, &control) in self.model.motors.iter().zip(action) {
                let limit = motor.control_limit;
                force[motor.dof].0[lane] += motor.gear * f64::from(control).clamp(-limit, limit);
            }
        }
        let outcome = advance(&self.model, &mut lanes, &force, self.rules.frame_skip);
        for (row, &index) in indices.iter().enumerate() {
            let state = &mut states[index - offset];
            let before = state.position[0].0[0];
            copy_lane(&lanes, row, state, 0);
            let action = &rows.actions[row * action_dim..][..action_dim];
            rows.steps[row] = self.judge(before, state, action);
            let observation = &mut rows.observations[row * observation_dim..][..observation_dim];
            self.observe(state, observation, |x| x as f32);
        }
        outcome.effort
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

/// Copies one robot's state from a lane to a lane.
#[inline]
fn copy_lane<const N: usize, const FROM: usize, const TO: usize>(
    from: &State<N, FROM>,
    from_lane: usize,
    to: &mut State<N, TO>,
    to_lane: usize,
) {
    for k in 0..N {
        to.position[k].0[to_lane] = from.position[k].0[from_lane];
        to.velocity[k].0[to_lane] = from.velocity[k].0[from_lane];
        to.guess[k].0[to_lane] = from.guess[k].0[from_lane];
    }
}
