//! The balancing tasks and the arm: their robots' and rules' numbers as the text that the kernels read.

use super::Mode;
use super::tables::{Text, angles, robot, sizes};
use crate::balance::{Balance, Rule, double_pendulum, pendulum, reacher};
use crate::balance::{inverted_double_pendulum, inverted_pendulum, reacher as arm};
use crate::env::{Env, EnvSpec};
use crate::locomotion::Variant;
use crate::planar::model::Model;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pendulum,
    DoublePendulum,
    Reacher,
}

/// A robot of either number of joints.
#[derive(Debug)]
enum Robot {
    Two(Box<Model<2>>),
    Three(Box<Model<3>>),
}

/// A balance task or Reacher, as the device runs it.
#[derive(Debug)]
pub(super) struct Balanced {
    /// The file name of its PTX without the mode.
    pub name: &'static str,
    /// What users see.
    pub spec: EnvSpec,
    kind: Kind,
    variant: Variant,
    robot: Robot,
    frame_skip: usize,
}

impl Balanced {
    /// The task of an environment id.
    pub fn of(id: &str) -> Option<Self> {
        use Variant::{V4, V5};
        Some(match id {
            "invertedpendulum-v4" => Self::pendulum(V4),
            "invertedpendulum-v5" => Self::pendulum(V5),
            "inverteddoublependulum-v4" => Self::double("inverteddoublependulum-v4", V4),
            "inverteddoublependulum-v5" => Self::double("inverteddoublependulum-v5", V5),
            "reacher-v4" => Self::reacher("reacher-v4", V4),
            "reacher-v5" => Self::reacher("reacher-v5", V5),
            _ => return None,
        })
    }

    fn new<const N: usize, R: Rule<N>>(
        (name, kind, variant): (&'static str, Kind, Variant),
        env: &Balance<N, R>,
        robot: fn(Box<Model<N>>) -> Robot,
    ) -> Self {
        Self {
            name,
            spec: env.spec().clone(),
            kind,
            variant,
            robot: robot(Box::new(env.model().clone())),
            frame_skip: env.frame_skip(),
        }
    }

    /// v4 and v5 differ by what the last step pays.
    fn pendulum(variant: Variant) -> Self {
        let what = ("invertedpendulum", Kind::Pendulum, variant);
        Self::new(what, &inverted_pendulum(variant), Robot::Two)
    }

    fn double(name: &'static str, variant: Variant) -> Self {
        let what = (name, Kind::DoublePendulum, variant);
        Self::new(what, &inverted_double_pendulum(variant), Robot::Three)
    }

    fn reacher(name: &'static str, variant: Variant) -> Self {
        let what = (name, Kind::Reacher, variant);
        Self::new(what, &arm(variant), Robot::Two)
    }

    /// Whether the alive bonus is also paid on the step that terminates.
    pub fn bonus_on_last_step(&self) -> bool {
        self.variant == Variant::V4
    }

    fn joints(&self) -> usize {
        match self.robot {
            Robot::Two(_) => 2,
            Robot::Three(_) => 3,
        }
    }

    /// Numbers of its state: positions, velocities and guess; the rail's forces; target and pose.
    pub fn state_rows(&self) -> usize {
        let more = match self.kind {
            Kind::Pendulum => 0,
            Kind::DoublePendulum => 3,
            Kind::Reacher => 4,
        };
        3 * self.joints() + more
    }

    /// Everything that stands before `language.h`, and after it.
    ///
    /// # Errors
    /// If the robot has something that the kernels do not know; the text says what.
    pub fn texts(&self) -> Result<[String; 2], String> {
        let (mut before, mut numbers) = match &self.robot {
            Robot::Two(model) => parts(self.name, model)?,
            Robot::Three(model) => parts(self.name, model)?,
        };
        before.flag("OUTCOME", true);
        before.flag("INVERTED_PENDULUM", self.kind == Kind::Pendulum);
        before.flag("DOUBLE_PENDULUM", self.kind == Kind::DoublePendulum);
        before.flag("REACHER", self.kind == Kind::Reacher);
        before.count("STATE_ROWS", self.state_rows());
        before.count("OBSERVATION", self.spec.observation_dim);
        before.count("ACTIONS", self.spec.action_dim);
        before.count("HORIZON", self.spec.horizon);
        before.count("FRAME_SKIP", self.frame_skip);
        match self.kind {
            Kind::Pendulum => {
                numbers.number("START_NOISE", pendulum::START_NOISE);
                numbers.number("LEAN", pendulum::LEAN);
            }
            Kind::DoublePendulum => double_pendulum_numbers(&mut numbers),
            Kind::Reacher => {
                numbers.flag("JUDGED_BEFORE", self.variant == Variant::V4);
                numbers.number("START_NOISE", reacher::START_NOISE);
                numbers.number("START_SPEED", reacher::START_SPEED);
                numbers.number("DISC", reacher::DISC);
                numbers.number("UPPER_ARM", reacher::ARM[0]);
                numbers.number("LOWER_ARM", reacher::ARM[1]);
            }
        }
        Ok([before.0, numbers.0])
    }
}

fn parts<const N: usize>(name: &str, model: &Model<N>) -> Result<(Text, Text), String> {
    let mut numbers = Text::default();
    angles(&mut numbers);
    robot(&mut numbers, model)?;
    Ok((sizes(name, model, Mode::F64), numbers))
}

fn double_pendulum_numbers(text: &mut Text) {
    text.number("START_NOISE", double_pendulum::START_NOISE);
    text.number("START_SPEED", double_pendulum::START_SPEED);
    text.number("POLE", double_pendulum::POLE);
    text.number("CLIP", double_pendulum::CLIP);
    text.number("ALIVE", double_pendulum::ALIVE);
    text.number("LOWEST", double_pendulum::LOWEST);
    text.number("HIGHEST", double_pendulum::HIGHEST);
    text.number("SIDEWAYS_COST", double_pendulum::SIDEWAYS_COST);
    text.number("LOWER_COST", double_pendulum::RATE_COSTS[0]);
    text.number("UPPER_COST", double_pendulum::RATE_COSTS[1]);
}
