//! Walker2d: a planar biped, 9 degrees of freedom.
//!
//! Numbers from Gymnasium's `walker2d.xml` and `walker2d_v5.xml` (MIT licence); they differ in the right foot's friction
//! alone (0.9 in v4, 1.9 in v5). After T. Erez, Y. Tassa, E. Todorov, "Infinite-Horizon Model Predictive Control for
//! Periodic Tasks with Contacts", 2011.

use crate::planar::description::{
    BodyDescription, CapsuleDescription, FloorDescription, Integrator, JointDescription, JointKind,
    MotorDescription, Placement, RobotDescription, Softness,
};
use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, PI};

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
        damping: 0.1,
        armature: 0.01,
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
        margin: 0.0,
    }
}

const fn foot(name: &'static str, friction: f64) -> CapsuleDescription {
    CapsuleDescription {
        name,
        placement: Placement::Centred {
            centre: [-0.1, 0.1],
            angle: -FRAC_PI_2,
            half_length: 0.1,
        },
        radius: 0.06,
        friction,
        margin: 0.0,
    }
}

const fn motor(joint: &'static str) -> MotorDescription {
    MotorDescription {
        joint,
        gear: 100.0,
        control_limit: 1.0,
    }
}

const TORSO: BodyDescription = BodyDescription {
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
};

const THIGH_RIGHT: BodyDescription = BodyDescription {
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
};

const LEG_RIGHT: BodyDescription = BodyDescription {
    name: "leg",
    parent: Some("thigh"),
    position: [0.0, -0.700_000_000_000_000_07],
    joints: &[joint("leg_joint", [0.0, 0.25], [-FOLDED, 0.0])],
    capsules: &[upright("leg_geom", 0.0, 0.04, 0.25)],
};

const FOOT_RIGHT: BodyDescription = BodyDescription {
    name: "foot",
    parent: Some("leg"),
    position: [0.2, -0.35],
    joints: &[joint("foot_joint", [-0.2, 0.1], [-FRAC_PI_4, FRAC_PI_4])],
    capsules: &[foot("foot_geom", 0.9)],
};

const FOOT_RIGHT_V5: BodyDescription = BodyDescription {
    name: "foot",
    parent: Some("leg"),
    position: [0.2, -0.35],
    joints: &[joint("foot_joint", [-0.2, 0.1], [-FRAC_PI_4, FRAC_PI_4])],
    capsules: &[foot("foot_geom", 1.9)],
};

const THIGH_LEFT: BodyDescription = BodyDescription {
    name: "thigh_left",
    parent: Some("torso"),
    position: [0.0, -0.199_999_999_999_999_96],
    joints: &[joint("thigh_left_joint", [0.0, 0.0], [-FOLDED, 0.0])],
    capsules: &[upright(
        "thigh_left_geom",
        -0.225_000_000_000_000_09,
        0.05,
        0.225_000_000_000_000_03,
    )],
};

const LEG_LEFT: BodyDescription = BodyDescription {
    name: "leg_left",
    parent: Some("thigh_left"),
    position: [0.0, -0.700_000_000_000_000_07],
    joints: &[joint("leg_left_joint", [0.0, 0.25], [-FOLDED, 0.0])],
    capsules: &[upright("leg_left_geom", 0.0, 0.04, 0.25)],
};

const FOOT_LEFT: BodyDescription = BodyDescription {
    name: "foot_left",
    parent: Some("leg_left"),
    position: [0.2, -0.35],
    joints: &[joint(
        "foot_left_joint",
        [-0.2, 0.1],
        [-FRAC_PI_4, FRAC_PI_4],
    )],
    capsules: &[foot("foot_left_geom", 1.9)],
};

/// The robot of Walker2d-v4.
pub const WALKER2D: RobotDescription = RobotDescription {
    name: "walker2d",
    source: "gymnasium/envs/mujoco/assets/walker2d.xml (MIT)",
    timestep: 0.002,
    integrator: Integrator::RungeKutta4,
    gravity: [0.0, -9.81],
    density: 1000.0,
    total_mass: None,
    limit_softness: Softness::DEFAULT,
    contact_softness: Softness::DEFAULT,
    floor: Some(FloorDescription {
        friction: 0.7,
        margin: 0.0,
    }),
    self_contact: false,
    bodies: &[
        TORSO,
        THIGH_RIGHT,
        LEG_RIGHT,
        FOOT_RIGHT,
        THIGH_LEFT,
        LEG_LEFT,
        FOOT_LEFT,
    ],
    motors: &[
        motor("thigh_joint"),
        motor("leg_joint"),
        motor("foot_joint"),
        motor("thigh_left_joint"),
        motor("leg_left_joint"),
        motor("foot_left_joint"),
    ],
};

/// The robot of Walker2d-v5: both feet have friction 1.9.
pub const WALKER2D_V5: RobotDescription = RobotDescription {
    name: "walker2d_v5",
    source: "gymnasium/envs/mujoco/assets/walker2d_v5.xml (MIT)",
    bodies: &[
        TORSO,
        THIGH_RIGHT,
        LEG_RIGHT,
        FOOT_RIGHT_V5,
        THIGH_LEFT,
        LEG_LEFT,
        FOOT_LEFT,
    ],
    ..WALKER2D
};
