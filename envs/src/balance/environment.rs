//! An environment on the planar engine whose observation and reward a [`Rule`] writes out.

use crate::env::{Component, Env, EnvSpec, Joints, Rules, Stateful, Step};
use crate::locomotion::Variant;
use crate::planar::description::RobotDescription;
use crate::planar::drawing::capsules;
use crate::planar::engine::{State, advance};
use crate::planar::lanes::Lanes;
use crate::planar::model::Model;
use crate::planar::{Margin, compile};
use crate::random::Stream;
use crate::render::{Scene, Shape};

/// What a rule sees of a moment.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<const N: usize> {
    /// Joint positions, m or rad.
    pub position: [f64; N],
    /// The joint positions from which the links' places were last computed. MuJoCo computes them before it takes a
    /// step's last stage, and Gymnasium reads them after: its tips lag behind its joints.
    pub pose: [f64; N],
    /// Joint velocities, m/s or rad/s.
    pub velocity: [f64; N],
    /// The limits' force on each joint, N or N·m.
    pub constraint_force: [f64; N],
    /// Where the target of the episode is, m (zero where there is none).
    pub target: [f64; 2],
}

/// The rules of one task.
pub trait Rule<const N: usize>: Send {
    /// Moves the drawn pose to a random first state and picks the target.
    fn start(&self, stream: &mut Stream, first: &mut Snapshot<N>);
    /// Writes the observation.
    fn observe(&self, now: &Snapshot<N>, observation: &mut [f64]);
    /// The reward and whether the task ended; `action` is in the motors' units.
    fn judge(&self, before: &Snapshot<N>, now: &Snapshot<N>, action: &[f32]) -> Step;
    /// What a picture shows behind the robot.
    fn scenery(&self, now: &Snapshot<N>) -> Vec<Shape>;
    /// Height of the picture's middle, and width and height of what is seen, m.
    fn view(&self) -> [f64; 3];
}

/// The most components that an observation of these tasks has.
const MAX_OBSERVATION: usize = 11;

/// A robot under a rule.
pub struct Balance<const N: usize, R> {
    spec: EnvSpec,
    model: Model<N>,
    rule: R,
    robot: &'static RobotDescription,
    frame_skip: usize,
    state: State<N, 1>,
    now: Snapshot<N>,
}

impl<const N: usize, R: Rule<N>> Balance<N, R> {
    /// The robot in the drawn pose. `words` are the specification's parts that differ from task to task.
    pub fn new(robot: &'static RobotDescription, rule: R, frame_skip: usize, words: Words) -> Self {
        let model: Model<N> = compile(robot, Margin::Max);
        let spec = spec(robot, frame_skip, words);
        assert!(spec.observation_dim <= MAX_OBSERVATION);
        let now = Snapshot {
            position: model.joints.map(|joint| joint.reference),
            pose: [0.0; N],
            velocity: [0.0; N],
            constraint_force: [0.0; N],
            target: [0.0; 2],
        };
        let mut env = Self {
            spec,
            model,
            rule,
            robot,
            frame_skip,
            state: State::ZERO,
            now,
        };
        env.place();
        env
    }

    /// The robot as it was compiled, with the margin rule in it.
    #[cfg(feature = "cuda")]
    pub(crate) fn model(&self) -> &Model<N> {
        &self.model
    }

    /// Simulation steps of an environment step.
    #[cfg(feature = "cuda")]
    pub(crate) fn frame_skip(&self) -> usize {
        self.frame_skip
    }

    /// Puts the engine's state where the snapshot is.
    fn place(&mut self) {
        self.state = State::ZERO;
        self.state.position = self.now.position.map(|x| Lanes([x]));
        self.state.velocity = self.now.velocity.map(|x| Lanes([x]));
        self.now.pose = self.now.position;
        self.now.constraint_force = [0.0; N];
    }

    fn write(&self, observation: &mut [f32]) {
        let mut values = [0.0; MAX_OBSERVATION];
        let values = &mut values[..self.spec.observation_dim];
        self.rule.observe(&self.now, values);
        assert_eq!(observation.len(), values.len(), "length of the observation");
        for (slot, value) in observation.iter_mut().zip(values) {
            *slot = *value as f32;
        }
    }
}

impl<const N: usize, R: Rule<N>> Env for Balance<N, R> {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) {
        self.now.position = self.model.joints.map(|joint| joint.reference);
        self.now.velocity = [0.0; N];
        self.rule.start(&mut Stream::new(seed), &mut self.now);
        self.place();
        self.write(observation);
    }

    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Step {
        assert_eq!(action.len(), self.spec.action_dim, "length of the action");
        let before = self.now;
        let mut force = [Lanes::ZERO; N];
        for (motor, &control) in self.model.motors.iter().zip(action) {
            let control = f64::from(control).clamp(-1.0, 1.0) * motor.control_limit;
            force[motor.dof] += Lanes([motor.gear * control]);
        }
        let outcome = advance(&self.model, &mut self.state, &force, self.frame_skip);
        self.now.position = self.state.position.map(|x| x.0[0]);
        self.now.velocity = self.state.velocity.map(|x| x.0[0]);
        self.now.pose = outcome.evaluated_position.map(|x| x.0[0]);
        self.now.constraint_force = outcome.constraint_force.map(|x| x.0[0]);
        self.write(observation);
        self.rule.judge(&before, &self.now, action)
    }
}

impl<const N: usize, R: Rule<N>> Stateful for Balance<N, R> {
    /// A target, where there is one, follows the joints' positions as two more.
    fn state_dims(&self) -> [usize; 2] {
        [N, N]
    }

    fn set_state(&mut self, position: &[f64], velocity: &[f64]) {
        self.now.position.copy_from_slice(&position[..N]);
        self.now.velocity.copy_from_slice(&velocity[..N]);
        if let Some(target) = position.get(N..N + 2) {
            self.now.target.copy_from_slice(target);
        }
        self.place();
    }

    fn state(&self) -> Joints {
        Joints {
            position: self.now.position.to_vec(),
            velocity: self.now.velocity.to_vec(),
        }
    }

    fn observe(&self, observation: &mut [f64]) {
        self.rule.observe(&self.now, observation);
    }

    fn scene(&self) -> Scene {
        let mut shapes = self.rule.scenery(&self.now);
        shapes.extend(capsules(self.robot, &self.model, &self.now.position));
        let [centre, width, height] = self.rule.view();
        Scene {
            centre: [0.0, centre],
            size: [width, height],
            shapes,
        }
    }
}

/// The parts of a specification that differ from task to task.
pub struct Words {
    /// Id without the version.
    pub name: &'static str,
    /// v4 or v5.
    pub variant: Variant,
    /// Steps of an episode.
    pub horizon: usize,
    /// The parts of the observation, in order.
    pub observation: Vec<Component>,
    /// The rules in words; the source is the robot's.
    pub rules: Rules,
}

fn spec(robot: &RobotDescription, frame_skip: usize, words: Words) -> EnvSpec {
    let version = match words.variant {
        Variant::V4 => "v4",
        Variant::V5 => "v5",
    };
    let action = robot.motors.iter().map(|motor| {
        let most = motor.gear * motor.control_limit;
        let (what, unit) = if motor.joint == "slider" {
            ("force", "N")
        } else {
            ("torque", "N·m")
        };
        Component::bounded(format!("{what} on {}", motor.joint), unit, [-most, most])
    });
    EnvSpec {
        id: format!("{}-{version}", words.name),
        observation_dim: words.observation.len(),
        action_dim: robot.motors.len(),
        horizon: words.horizon,
        timestep: robot.timestep * frame_skip as f64,
        engine: "tiltrl-planar".into(),
        engine_version: env!("CARGO_PKG_VERSION").into(),
        margin: None,
        reference: None,
        observation: words.observation,
        action: action.collect(),
        rules: Rules {
            source: robot.source.into(),
            ..words.rules
        },
    }
}
