//! The classic systems' numbers as the text that the kernels read.

use super::BLOCK;
use super::tables::{Text, angles};
use crate::classic::{cart_pole, mountain_car, pendulum};
use crate::env::EnvSpec;
use std::f64::consts::{PI, TAU};

/// A system whose equations are written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum System {
    Pendulum,
    CartPole,
    MountainCar,
}

impl System {
    const ALL: [Self; 3] = [Self::Pendulum, Self::CartPole, Self::MountainCar];

    /// The system of an environment id.
    pub fn of(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|system| system.spec().id == id)
    }

    /// What users see.
    pub fn spec(self) -> EnvSpec {
        match self {
            Self::Pendulum => pendulum::spec(),
            Self::CartPole => cart_pole::spec(),
            Self::MountainCar => mountain_car::spec(),
        }
    }

    /// Numbers of its state.
    pub fn state_rows(self) -> usize {
        match self {
            Self::Pendulum | Self::MountainCar => 2,
            Self::CartPole => 4,
        }
    }

    /// Everything that stands before `language.h`, and after it.
    pub fn texts(self) -> [String; 2] {
        let (mut sizes, mut numbers) = (Text::default(), Text::default());
        let spec = self.spec();
        sizes.line(format_args!(
            "// Generated from the Rust constants of {} by gpu/classic.rs; do not edit.",
            spec.id
        ));
        sizes.line(format_args!("#define REAL double"));
        sizes.flag("EXACT", true);
        sizes.count("BLOCK", BLOCK);
        sizes.flag("PENDULUM", self == Self::Pendulum);
        sizes.flag("CART_POLE", self == Self::CartPole);
        sizes.flag("MOUNTAIN_CAR", self == Self::MountainCar);
        sizes.count("STATE_ROWS", self.state_rows());
        sizes.count("OBSERVATION", spec.observation_dim);
        sizes.count("ACTIONS", spec.action_dim);
        sizes.count("HORIZON", spec.horizon);
        numbers.number("PI", PI);
        numbers.number("TAU", TAU);
        angles(&mut numbers);
        match self {
            Self::Pendulum => pendulum_numbers(&mut numbers),
            Self::CartPole => cart_pole_numbers(&mut numbers),
            Self::MountainCar => mountain_car_numbers(&mut numbers),
        }
        [sizes.0, numbers.0]
    }
}

fn pendulum_numbers(text: &mut Text) {
    text.number("MAX_SPEED", pendulum::MAX_SPEED);
    text.number("MAX_TORQUE", f64::from(pendulum::MAX_TORQUE));
    text.number("TIMESTEP", pendulum::TIMESTEP);
    text.number("GRAVITY_SHARE", 3.0 * pendulum::GRAVITY / 2.0);
    text.number("EFFORT_COST", f64::from(pendulum::EFFORT_COST));
    text.number("SPEED_COST", pendulum::SPEED_COST);
    text.number("START_SPEED", pendulum::START_SPEED);
}

fn cart_pole_numbers(text: &mut Text) {
    text.number("GRAVITY", cart_pole::GRAVITY);
    text.number("CART_MASS", cart_pole::CART_MASS);
    text.number("POLE_MASS", cart_pole::POLE_MASS);
    text.number("HALF_LENGTH", cart_pole::HALF_LENGTH);
    text.number("MAX_FORCE", cart_pole::MAX_FORCE);
    text.number("TIMESTEP", cart_pole::TIMESTEP);
    text.number("TRACK", cart_pole::TRACK);
    text.number("CONTROL_COST", cart_pole::CONTROL_COST);
    text.number("START_NOISE", cart_pole::START_NOISE);
}

fn mountain_car_numbers(text: &mut Text) {
    text.number("POSITION_LOW", f64::from(mountain_car::POSITION[0]));
    text.number("POSITION_HIGH", f64::from(mountain_car::POSITION[1]));
    text.number("MAX_SPEED", f64::from(mountain_car::MAX_SPEED));
    text.number("GOAL", f64::from(mountain_car::GOAL));
    text.number("POWER", f64::from(mountain_car::POWER));
    text.number("SLOPE", mountain_car::SLOPE);
    text.number("FUEL_COST", mountain_car::FUEL_COST);
    text.number("GOAL_REWARD", mountain_car::GOAL_REWARD);
    text.number("START_LOW", mountain_car::START[0]);
    text.number("START_HIGH", mountain_car::START[1]);
}
