//! Reacher: an arm of two links on a table, 2 degrees of freedom.
//!
//! Numbers from Gymnasium's `reacher.xml` (MIT licence), the same in v4 and v5. The table is the engine's plane: its y is the
//! engine's z, so a turn about the table's normal is one about −y, and gravity does not act. The target does not move and
//! is left to the task.

use crate::planar::description::{
    BodyDescription, CapsuleDescription, Integrator, JointDescription, JointKind, MotorDescription,
    Placement, RobotDescription, Softness,
};
use std::f64::consts::FRAC_PI_2;

const fn link(name: &'static str) -> CapsuleDescription {
    CapsuleDescription {
        name,
        placement: Placement::FromTo([0.0, 0.0], [0.1, 0.0]),
        radius: 0.01,
        friction: 1.0,
        margin: 0.0,
    }
}

const fn hinge(name: &'static str, range: Option<[f64; 2]>) -> JointDescription {
    JointDescription {
        range,
        damping: 1.0,
        armature: 1.0,
        ..JointDescription::free(name, JointKind::Hinge(-1.0), [0.0, 0.0])
    }
}

/// The robot of Reacher-v4 and -v5.
pub const REACHER: RobotDescription = RobotDescription {
    name: "reacher",
    source: "gymnasium/envs/mujoco/assets/reacher.xml (MIT)",
    timestep: 0.01,
    integrator: Integrator::RungeKutta4,
    gravity: [0.0, 0.0],
    density: 1000.0,
    total_mass: None,
    limit_softness: Softness::DEFAULT,
    contact_softness: Softness::DEFAULT,
    floor: None,
    self_contact: false,
    bodies: &[
        BodyDescription {
            name: "body0",
            parent: None,
            position: [0.0, 0.0],
            joints: &[hinge("joint0", None)],
            capsules: &[link("link0")],
        },
        BodyDescription {
            name: "body1",
            parent: Some("body0"),
            position: [0.1, 0.0],
            joints: &[hinge("joint1", Some([-3.0, 3.0]))],
            capsules: &[
                link("link1"),
                CapsuleDescription {
                    name: "fingertip",
                    placement: Placement::Centred {
                        centre: [0.11, 0.0],
                        angle: FRAC_PI_2,
                        half_length: 0.0,
                    },
                    radius: 0.01,
                    friction: 1.0,
                    margin: 0.0,
                },
            ],
        },
    ],
    motors: &[
        MotorDescription {
            joint: "joint0",
            gear: 200.0,
            control_limit: 1.0,
        },
        MotorDescription {
            joint: "joint1",
            gear: 200.0,
            control_limit: 1.0,
        },
    ],
};
