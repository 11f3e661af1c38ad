//! InvertedPendulum: a pole on a cart on a rail, 2 degrees of freedom.
//!
//! Numbers from Gymnasium's `inverted_pendulum.xml` (MIT licence), the same in v4 and v5.

use crate::planar::description::{
    BodyDescription, CapsuleDescription, Integrator, JointDescription, JointKind, MotorDescription,
    Placement, RobotDescription, Softness,
};
use std::f64::consts::FRAC_PI_2;

/// The cart, alike in the single and the double pendulum.
pub(super) const CART: CapsuleDescription = CapsuleDescription {
    name: "cart",
    placement: Placement::Centred {
        centre: [0.0, 0.0],
        angle: FRAC_PI_2,
        half_length: 0.1,
    },
    radius: 0.1,
    friction: 1.0,
    margin: 0.0,
};

/// A pole from the link's origin.
pub(super) const fn pole(name: &'static str, to: [f64; 2], radius: f64) -> CapsuleDescription {
    CapsuleDescription {
        name,
        placement: Placement::FromTo([0.0, 0.0], to),
        radius,
        friction: 1.0,
        margin: 0.0,
    }
}

/// The robot of InvertedPendulum-v4 and -v5.
pub const INVERTED_PENDULUM: RobotDescription = RobotDescription {
    name: "inverted_pendulum",
    source: "gymnasium/envs/mujoco/assets/inverted_pendulum.xml (MIT)",
    timestep: 0.02,
    integrator: Integrator::RungeKutta4,
    gravity: [0.0, -9.81],
    density: 1000.0,
    total_mass: None,
    limit_softness: Softness::DEFAULT,
    contact_softness: Softness::DEFAULT,
    floor: None,
    self_contact: false,
    bodies: &[
        BodyDescription {
            name: "cart",
            parent: None,
            position: [0.0, 0.0],
            joints: &[JointDescription {
                range: Some([-1.0, 1.0]),
                damping: 1.0,
                ..JointDescription::free("slider", JointKind::Slide([1.0, 0.0]), [0.0, 0.0])
            }],
            capsules: &[CART],
        },
        BodyDescription {
            name: "pole",
            parent: Some("cart"),
            position: [0.0, 0.0],
            joints: &[JointDescription {
                range: Some([-FRAC_PI_2, FRAC_PI_2]),
                damping: 1.0,
                ..JointDescription::free("hinge", JointKind::Hinge(1.0), [0.0, 0.0])
            }],
            capsules: &[pole("cpole", [0.001, 0.6], 0.049)],
        },
    ],
    motors: &[MotorDescription {
        joint: "slider",
        gear: 100.0,
        control_limit: 3.0,
    }],
};
