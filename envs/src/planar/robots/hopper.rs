//! Hopper: a planar one-legged jumper, 6 degrees of freedom.
//!
//! Numbers from Gymnasium's `hopper.xml` (MIT licence), the same in v4 and v5. T. Erez, Y. Tassa, E. Todorov,
//! "Infinite-Horizon Model Predictive Control for Periodic Tasks with Contacts", 2011.

use crate::planar::description::{
    BodyDescription, CapsuleDescription, FloorDescription, Integrator, JointDescription, JointKind,
    MotorDescription, Placement, RobotDescription, Softness,
};
use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, PI};

const FLOOR_MARGIN: f64 = 0.001;
/// 150 degrees, in radians.
const FOLDED: f64 = 150.0 / 180.0 * PI;

const fn joint(name: &'static str, anchor: [f64; 2], range: [f64; 2]) -> JointDescription {
    JointDescription {
        name,
        kind: JointKind::Hinge(-1.0),
        anchor,
        range: Some(range),
        limit_margin: 0.0,
        stiffness: 0.0,
        damping: 1.0,
        armature: 1.0,
        reference: 0.0,
    }
}

const fn upright(
    name: &'static str,
    centre_z: f64,
    radius: f64,
    half_length: f64,
) -> CapsuleDescription {
    CapsuleDescription {
        name,
        placement: Placement::Centred {
            centre: [0.0, centre_z],
            angle: 0.0,
            half_length,
        },
        radius,
        friction: 0.9,
        margin: FLOOR_MARGIN,
    }
}

const fn motor(joint: &'static str) -> MotorDescription {
    MotorDescription {
        joint,
        gear: 200.0,
        control_limit: 1.0,
    }
}

/// The robot of Hopper-v4 and -v5.
pub const HOPPER: RobotDescription = RobotDescription {
    name: "hopper",
    source: "gymnasium/envs/mujoco/assets/hopper.xml (MIT)",
    timestep: 0.002,
    integrator: Integrator::RungeKutta4,
    gravity: [0.0, -9.81],
    density: 1000.0,
    total_mass: None,
    limit_softness: Softness::DEFAULT,
    contact_softness: Softness::with_impedance(0.8, 0.8, 0.01),
    floor: Some(FloorDescription {
        friction: 1.0,
        margin: FLOOR_MARGIN,
    }),
    self_contact: true,
    bodies: &[
        BodyDescription {
            name: "torso",
            parent: None,
            position: [0.0, 1.25],
            joints: &[
                JointDescription::free("rootx", JointKind::Slide([1.0, 0.0]), [0.0, -1.25]),
                JointDescription {
                    reference: 1.25,
                    ..JointDescription::free("rootz", JointKind::Slide([0.0, 1.0]), [0.0, -1.25])
                },
                JointDescription::free("rooty", JointKind::Hinge(1.0), [0.0, 0.0]),
            ],
            capsules: &[upright("torso_geom", 0.0, 0.05, 0.199_999_999_999_999_96)],
        },
        BodyDescription {
            name: "thigh",
            parent: Some("torso"),
            position: [0.0, -0.199_999_999_999_999_96],
            joints: &[joint("thigh_joint", [0.0, 0.0], [-FOLDED, 0.0])],
            capsules: &[upright(
                "thigh_geom",
                -0.225_000_000_000_000_09,
                0.05,
                0.225_000_000_000_000_03,
            )],
        },
        BodyDescription {
            name: "leg",
            parent: Some("thigh"),
            position: [0.0, -0.700_000_000_000_000_07],
            joints: &[joint("leg_joint", [0.0, 0.25], [-FOLDED, 0.0])],
            capsules: &[upright("leg_geom", 0.0, 0.04, 0.25)],
        },
        BodyDescription {
            name: "foot",
            parent: Some("leg"),
            position: [0.13, -0.35],
            joints: &[joint("foot_joint", [-0.13, 0.1], [-FRAC_PI_4, FRAC_PI_4])],
            capsules: &[CapsuleDescription {
                name: "foot_geom",
                placement: Placement::Centred {
                    centre: [-0.065, 0.1],
                    angle: -FRAC_PI_2,
                    half_length: 0.195,
                },
                radius: 0.06,
                friction: 2.0,
                margin: FLOOR_MARGIN,
            }],
        },
    ],
    motors: &[
        motor("thigh_joint"),
        motor("leg_joint"),
        motor("foot_joint"),
    ],
};
