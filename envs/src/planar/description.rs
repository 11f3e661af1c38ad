//! A planar robot as its author wrote it: links, joints, capsules, motors, in MJCF's terms.
//!
//! One description feeds both engines: [`super::compile()`] turns it into the embedded engine's model and
//! `mujoco::mjcf` writes it as MJCF for MuJoCo. The plane is (x, z); the hinge axis ±1 stands for (0, ±1, 0). Lengths
//! are metres, angles radians, masses kilograms, densities kg/m³, torques N·m, forces N.

/// How time advances inside one simulation step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integrator {
    /// Semi-implicit Euler, joint damping taken implicitly (MuJoCo's default).
    Euler,
    /// The classical fourth-order Runge–Kutta rule.
    RungeKutta4,
}

/// The rule by which two geoms' contact margins make the pair's margin. It changed between MuJoCo 3.2.7 and 3.6.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Margin {
    /// The larger of the two: MuJoCo up to 3.2.7, the rule under which D4RL's data was recorded.
    Max,
    /// The sum of the two: MuJoCo from 3.6.0.
    Sum,
}

/// A soft constraint's time constant and stiffness profile (MuJoCo's solref and solimp).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Softness {
    /// Time constant in seconds and damping ratio.
    pub reference: [f64; 2],
    /// Impedance at zero depth, at full width, the width in metres (radians), midpoint and power.
    pub impedance: [f64; 5],
}

impl Softness {
    /// MuJoCo's default: (0.02, 1) and (0.9, 0.95, 0.001, 0.5, 2).
    pub const DEFAULT: Self = Self {
        reference: [0.02, 1.0],
        impedance: [0.9, 0.95, 0.001, 0.5, 2.0],
    };

    /// MuJoCo's default time constant with another impedance (start, end, width).
    pub const fn with_impedance(start: f64, end: f64, width: f64) -> Self {
        Self {
            reference: [0.02, 1.0],
            impedance: [start, end, width, 0.5, 2.0],
        }
    }
}

/// What a joint lets its body do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum JointKind {
    /// Moves along a unit axis (x, z) fixed in the world; only a root link may slide.
    Slide([f64; 2]),
    /// Turns about (0, sign, 0).
    Hinge(f64),
}

/// One degree of freedom.
#[derive(Clone, Copy, Debug)]
pub struct JointDescription {
    /// Name, unique in the robot.
    pub name: &'static str,
    /// Whether it slides or turns, and about what.
    pub kind: JointKind,
    /// Anchor in the body's frame (x, z), m.
    pub anchor: [f64; 2],
    /// Limits, m or rad; `None` is unlimited.
    pub range: Option<[f64; 2]>,
    /// A limit acts from this distance on, m or rad.
    pub limit_margin: f64,
    /// Spring towards zero, N/m or N·m/rad.
    pub stiffness: f64,
    /// Damping, N·s/m or N·m·s/rad.
    pub damping: f64,
    /// Inertia added on the diagonal (the rotor's), kg or kg·m².
    pub armature: f64,
    /// The coordinate's value in the drawn pose (MJCF's `ref`), m or rad.
    pub reference: f64,
}

impl JointDescription {
    /// A free, massless joint: no limits, spring, damping or armature.
    pub const fn free(name: &'static str, kind: JointKind, anchor: [f64; 2]) -> Self {
        Self {
            name,
            kind,
            anchor,
            range: None,
            limit_margin: 0.0,
            stiffness: 0.0,
            damping: 0.0,
            armature: 0.0,
            reference: 0.0,
        }
    }
}

/// Where a capsule lies in its body's frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Placement {
    /// Between two points (x, z), m.
    FromTo([f64; 2], [f64; 2]),
    /// Centre (x, z), turn of its axis about +y away from +z in radians, half length in metres.
    Centred {
        /// Centre in the body's frame, m.
        centre: [f64; 2],
        /// Angle from +z about +y, rad.
        angle: f64,
        /// Half the distance between the end points, m.
        half_length: f64,
    },
}

/// A capsule: a segment with a radius.
#[derive(Clone, Copy, Debug)]
pub struct CapsuleDescription {
    /// Name, unique in the robot.
    pub name: &'static str,
    /// Where it lies.
    pub placement: Placement,
    /// Radius about its axis, m.
    pub radius: f64,
    /// Sliding friction coefficient.
    pub friction: f64,
    /// Contact margin, m.
    pub margin: f64,
}

/// A rigid link.
#[derive(Clone, Copy, Debug)]
pub struct BodyDescription {
    /// Name, unique in the robot.
    pub name: &'static str,
    /// Name of the link it hangs on; `None` for the world.
    pub parent: Option<&'static str>,
    /// Origin in the parent's frame (x, z), m.
    pub position: [f64; 2],
    /// Its joints, in the order in which they act.
    pub joints: &'static [JointDescription],
    /// Its shapes; they make its mass.
    pub capsules: &'static [CapsuleDescription],
}

/// A motor on a joint.
#[derive(Clone, Copy, Debug)]
pub struct MotorDescription {
    /// The joint that it turns or pushes.
    pub joint: &'static str,
    /// Torque (N·m) or force (N) for a control of one.
    pub gear: f64,
    /// The control is clamped to ± this.
    pub control_limit: f64,
}

/// The floor z = 0 and how capsules touch it.
#[derive(Clone, Copy, Debug)]
pub struct FloorDescription {
    /// Sliding friction coefficient; a pair takes the larger of the two.
    pub friction: f64,
    /// Contact margin, m.
    pub margin: f64,
}

/// A whole robot.
#[derive(Clone, Copy, Debug)]
pub struct RobotDescription {
    /// Name of the robot, as half_cheetah.
    pub name: &'static str,
    /// Where the numbers come from.
    pub source: &'static str,
    /// Length of one simulation step, s.
    pub timestep: f64,
    /// How a step's end follows from the accelerations.
    pub integrator: Integrator,
    /// Gravity (x, z), m/s².
    pub gravity: [f64; 2],
    /// Density of every capsule, kg/m³.
    pub density: f64,
    /// All masses are scaled to this sum, kg.
    pub total_mass: Option<f64>,
    /// Joint limits' softness.
    pub limit_softness: Softness,
    /// How contacts give way.
    pub contact_softness: Softness,
    /// The floor; `None` where nothing touches it.
    pub floor: Option<FloorDescription>,
    /// Whether the links collide with one another (without friction), parent and child excepted.
    pub self_contact: bool,
    /// Links, parents before children.
    pub bodies: &'static [BodyDescription],
    /// Motors, in the order of the action.
    pub motors: &'static [MotorDescription],
}
