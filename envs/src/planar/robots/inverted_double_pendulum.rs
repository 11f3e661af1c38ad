//! InvertedDoublePendulum: two poles on a cart on a rail, 3 degrees of freedom.
//!
//! Numbers from Gymnasium's `inverted_double_pendulum.xml` (MIT licence), the same in v4 and v5; gravity does lean by 1e-5.

use super::inverted_pendulum::{CART, pole};
use crate::planar::description::{
    BodyDescription, Integrator, JointDescription, JointKind, MotorDescription, RobotDescription,
    Softness,
};

const fn hinge(name: &'static str) -> JointDescription {
    JointDescription {
        damping: 0.05,
        ..JointDescription::free(name, JointKind::Hinge(1.0), [0.0, 0.0])
    }
}

/// The robot of InvertedDoublePendulum-v4 and -v5.
pub const INVERTED_DOUBLE_PENDULUM: RobotDescription = RobotDescription {
    name: "inverted_double_pendulum",
    source: "gymnasium/envs/mujoco/assets/inverted_double_pendulum.xml (MIT)",
    timestep: 0.01,
    integrator: Integrator::RungeKutta4,
    gravity: [1e-5, -9.81],
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
                limit_margin: 0.01,
                damping: 0.05,
                ..JointDescription::free("slider", JointKind::Slide([1.0, 0.0]), [0.0, 0.0])
            }],
            capsules: &[CART],
        },
        BodyDescription {
            name: "pole",
            parent: Some("cart"),
            position: [0.0, 0.0],
            joints: &[hinge("hinge")],
            capsules: &[pole("cpole", [0.0, 0.6], 0.045)],
        },
        BodyDescription {
            name: "pole2",
            parent: Some("pole"),
            position: [0.0, 0.6],
            joints: &[hinge("hinge2")],
            capsules: &[pole("cpole2", [0.0, 0.6], 0.045)],
        },
    ],
    motors: &[MotorDescription {
        joint: "slider",
        gear: 500.0,
        control_limit: 1.0,
    }],
};
