//! HalfCheetah: a two-legged planar runner, 9 degrees of freedom, 14 kg.
//!
//! Numbers from Gymnasium's `half_cheetah.xml` (MIT licence), the same in v2, v4 and v5. P. Wawrzyński, "A Cat-Like Robot
//! Real-Time Learning to Run", 2009.

use crate::planar::description::{
    BodyDescription, CapsuleDescription, FloorDescription, Integrator, JointDescription, JointKind,
    MotorDescription, Placement, RobotDescription, Softness,
};

const fn leg_joint(
    name: &'static str,
    range: [f64; 2],
    stiffness: f64,
    damping: f64,
) -> JointDescription {
    JointDescription {
        name,
        kind: JointKind::Hinge(1.0),
        anchor: [0.0, 0.0],
        range: Some(range),
        limit_margin: 0.0,
        stiffness,
        damping,
        armature: 0.1,
        reference: 0.0,
    }
}

const fn capsule(
    name: &'static str,
    centre: [f64; 2],
    angle: f64,
    half_length: f64,
) -> CapsuleDescription {
    CapsuleDescription {
        name,
        placement: Placement::Centred {
            centre,
            angle,
            half_length,
        },
        radius: 0.046,
        friction: 0.4,
        margin: 0.0,
    }
}

const fn motor(joint: &'static str, gear: f64) -> MotorDescription {
    MotorDescription {
        joint,
        gear,
        control_limit: 1.0,
    }
}

/// The robot of HalfCheetah-v2, -v4 and -v5.
pub const HALF_CHEETAH: RobotDescription = RobotDescription {
    name: "half_cheetah",
    source: "gymnasium/envs/mujoco/assets/half_cheetah.xml (MIT)",
    timestep: 0.01,
    integrator: Integrator::Euler,
    gravity: [0.0, -9.81],
    density: 1000.0,
    total_mass: Some(14.0),
    limit_softness: Softness::with_impedance(0.0, 0.8, 0.03),
    contact_softness: Softness::with_impedance(0.0, 0.8, 0.01),
    floor: Some(FloorDescription {
        friction: 0.4,
        margin: 0.0,
    }),
    self_contact: false,
    bodies: &[
        BodyDescription {
            name: "torso",
            parent: None,
            position: [0.0, 0.7],
            joints: &[
                JointDescription::free("rootx", JointKind::Slide([1.0, 0.0]), [0.0, 0.0]),
                JointDescription::free("rootz", JointKind::Slide([0.0, 1.0]), [0.0, 0.0]),
                JointDescription::free("rooty", JointKind::Hinge(1.0), [0.0, 0.0]),
            ],
            capsules: &[
                CapsuleDescription {
                    name: "torso",
                    placement: Placement::FromTo([-0.5, 0.0], [0.5, 0.0]),
                    radius: 0.046,
                    friction: 0.4,
                    margin: 0.0,
                },
                capsule("head", [0.6, 0.1], 0.87, 0.15),
            ],
        },
        BodyDescription {
            name: "bthigh",
            parent: Some("torso"),
            position: [-0.5, 0.0],
            joints: &[leg_joint("bthigh", [-0.52, 1.05], 240.0, 6.0)],
            capsules: &[capsule("bthigh", [0.1, -0.13], -3.8, 0.145)],
        },
        BodyDescription {
            name: "bshin",
            parent: Some("bthigh"),
            position: [0.16, -0.25],
            joints: &[leg_joint("bshin", [-0.785, 0.785], 180.0, 4.5)],
            capsules: &[capsule("bshin", [-0.14, -0.07], -2.03, 0.15)],
        },
        BodyDescription {
            name: "bfoot",
            parent: Some("bshin"),
            position: [-0.28, -0.14],
            joints: &[leg_joint("bfoot", [-0.4, 0.785], 120.0, 3.0)],
            capsules: &[capsule("bfoot", [0.03, -0.097], -0.27, 0.094)],
        },
        BodyDescription {
            name: "fthigh",
            parent: Some("torso"),
            position: [0.5, 0.0],
            joints: &[leg_joint("fthigh", [-1.0, 0.7], 180.0, 4.5)],
            capsules: &[capsule("fthigh", [-0.07, -0.12], 0.52, 0.133)],
        },
        BodyDescription {
            name: "fshin",
            parent: Some("fthigh"),
            position: [-0.14, -0.24],
            joints: &[leg_joint("fshin", [-1.2, 0.87], 120.0, 3.0)],
            capsules: &[capsule("fshin", [0.065, -0.09], -0.6, 0.106)],
        },
        BodyDescription {
            name: "ffoot",
            parent: Some("fshin"),
            position: [0.13, -0.18],
            joints: &[leg_joint("ffoot", [-0.5, 0.5], 60.0, 1.5)],
            capsules: &[capsule("ffoot", [0.045, -0.07], -0.6, 0.07)],
        },
    ],
    motors: &[
        motor("bthigh", 120.0),
        motor("bshin", 90.0),
        motor("bfoot", 60.0),
        motor("fthigh", 120.0),
        motor("fshin", 60.0),
        motor("ffoot", 30.0),
    ],
};
