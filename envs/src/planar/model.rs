//! A robot as the engine reads it: masses, inertias, chains and contact rows compiled from its description.

use super::description::{Integrator, Softness};
use super::lanes::{Lanes, Real};
use super::tree::Tree;

/// The most contacts that the engine can hold at once: two per capsule for the floor and two per self-contact pair.
pub const MAX_CONTACTS: usize = 16;

/// A robot with `N` degrees of freedom, compiled.
#[derive(Clone, Debug)]
pub struct Model<const N: usize> {
    /// Length of one simulation step, s.
    pub timestep: f64,
    /// How a step's end follows from the accelerations.
    pub integrator: Integrator,
    /// Gravity (x, z), m/s².
    pub gravity: [f64; 2],
    /// Links, parents before children; at most `N`.
    pub bodies: Vec<Body>,
    /// One joint per degree of freedom.
    pub joints: [Joint; N],
    /// Motors, in the order of the action.
    pub motors: Vec<Motor>,
    /// Which degree of freedom hangs on which.
    pub tree: Tree<N>,
    /// Both ends of every capsule that can touch the floor.
    pub floor_contacts: Vec<FloorContact>,
    /// Pairs of capsules of the same robot that can touch.
    pub self_contacts: Vec<SelfContact>,
    /// Whether any joint is damped (then Euler takes the damping implicitly).
    pub damped: bool,
}

/// A rigid link.
#[derive(Clone, Copy, Debug)]
pub struct Body {
    /// Index of the link it hangs on; `None` for the world.
    pub parent: Option<usize>,
    /// Origin in the parent's frame, m.
    pub position: [f64; 2],
    /// Centre of mass in its own frame, m.
    pub mass_centre: [f64; 2],
    /// Mass of the link alone, kg.
    pub mass: f64,
    /// Mass of the link and everything that hangs on it, kg.
    pub subtree_mass: f64,
    /// Moment of inertia about the centre of mass, kg·m².
    pub inertia: f64,
    /// Index of its first degree of freedom.
    pub first_dof: usize,
    /// Number of its degrees of freedom, at least one.
    pub num_dofs: usize,
    /// Mean inverse mass felt at the centre of mass in the drawn pose, 1/kg (MuJoCo's body_invweight0).
    pub inverse_weight: f64,
}

impl Body {
    /// Index of its last degree of freedom, whose chain moves the whole link.
    #[inline(always)]
    pub fn last_dof(&self) -> usize {
        self.first_dof + self.num_dofs - 1
    }
}

/// How a degree of freedom moves its body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Motion {
    /// Along this world axis (x, z).
    Slide([f64; 2]),
    /// About +y (+1) or −y (−1), through this point of the body's frame.
    Hinge {
        /// +1 for +y, −1 for −y.
        sign: f64,
        /// Anchor in the body's frame, m.
        anchor: [f64; 2],
    },
}

/// One degree of freedom.
#[derive(Clone, Copy, Debug)]
pub struct Joint {
    /// The link that it moves.
    pub body: usize,
    /// How it moves the link.
    pub motion: Motion,
    /// Spring towards zero, N/m or N·m/rad.
    pub stiffness: f64,
    /// Damping, N·s/m or N·m·s/rad.
    pub damping: f64,
    /// Inertia added on the diagonal.
    pub armature: f64,
    /// The coordinate's value in the drawn pose.
    pub reference: f64,
    /// Limits, if it has any.
    pub limit: Option<Limit>,
}

/// A joint's limits.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Smallest and largest value, m or rad.
    pub range: [f64; 2],
    /// It acts from this distance on, m or rad.
    pub margin: f64,
    /// Inverse mass felt by the joint in the drawn pose (MuJoCo's dof_invweight0).
    pub inverse_weight: f64,
    /// How soft it is.
    pub spring: Spring,
}

/// A motor on a joint.
#[derive(Clone, Copy, Debug)]
pub struct Motor {
    /// The degree of freedom that it drives.
    pub dof: usize,
    /// Torque or force for a control of one.
    pub gear: f64,
    /// The control is clamped to ± this.
    pub control_limit: f64,
}

/// One end of a capsule above the floor.
#[derive(Clone, Copy, Debug)]
pub struct FloorContact {
    /// The capsule's link.
    pub body: usize,
    /// The end of its axis in the link's frame, m.
    pub end: [f64; 2],
    /// Radius of the capsule, m.
    pub radius: f64,
    /// How the pair touches.
    pub pair: ContactPair,
}

/// A capsule in its link's frame.
#[derive(Clone, Copy, Debug)]
pub struct Capsule {
    /// The capsule's link.
    pub body: usize,
    /// Middle of its axis, m.
    pub centre: [f64; 2],
    /// Unit vector along its axis.
    pub axis: [f64; 2],
    /// Half the distance between the end points, m.
    pub half_length: f64,
    /// Radius about its axis, m.
    pub radius: f64,
}

/// Two capsules of the same robot, one link an ancestor of the other; they touch without friction.
#[derive(Clone, Copy, Debug)]
pub struct SelfContact {
    /// The capsule nearer to the root.
    pub first: Capsule,
    /// The capsule farther from the root.
    pub second: Capsule,
    /// How the pair touches.
    pub pair: ContactPair,
}

/// What two touching geoms have in common.
#[derive(Clone, Copy, Debug)]
pub struct ContactPair {
    /// Sliding friction coefficient; zero is none.
    pub friction: f64,
    /// The contact acts below this distance, m.
    pub margin: f64,
    /// The links' inverse weights together, 1/kg.
    pub inverse_weight: f64,
    /// How soft it is.
    pub spring: Spring,
}

/// A soft constraint's compiled reference acceleration −damping·v − stiffness·impedance·depth and impedance profile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spring {
    /// K = 1/(d² t² ζ²), 1/s².
    pub stiffness: f64,
    /// B = 2/(d t), 1/s.
    pub damping: f64,
    pub(crate) start: f64,
    pub(crate) end: f64,
    pub(crate) inverse_width: f64,
    pub(crate) midpoint: f64,
}

// MuJoCo's bounds on an impedance, and its smallest regulariser.
const MIN_IMPEDANCE: f64 = 1e-4;
const MAX_IMPEDANCE: f64 = 0.9999;
const MIN_VALUE: f64 = 1e-15;

impl Spring {
    /// Compiles a softness for a timestep.
    ///
    /// # Panics
    /// If the profile's power is not 2, the only one that the engine knows.
    pub fn new(softness: Softness, timestep: f64) -> Self {
        let [start, end, width, midpoint, power] = softness.impedance;
        assert_eq!(
            power, 2.0,
            "the embedded engine knows impedance power 2 only"
        );
        let clamp = |x: f64| x.clamp(MIN_IMPEDANCE, MAX_IMPEDANCE);
        let (start, end) = (clamp(start), clamp(end));
        let [time_constant, damping_ratio] = softness.reference;
        let time = time_constant.max(2.0 * timestep);
        Self {
            stiffness: 1.0 / (end * end * time * time * damping_ratio * damping_ratio),
            damping: 2.0 / (end * time),
            start,
            end,
            inverse_width: 1.0 / width,
            midpoint: clamp(midpoint),
        }
    }

    /// The impedance at a depth (distance beyond the margin, m or rad; its sign does not matter).
    #[inline(always)]
    pub fn impedance<const L: usize, T: Real>(&self, depth: Lanes<L, T>) -> Lanes<L, T> {
        if self.start == self.end {
            return Lanes::splat(self.start);
        }
        let one = Lanes::splat(1.0);
        let x = (depth * self.inverse_width).abs().min(one);
        let rest = one - x;
        let low = x * x * (1.0 / self.midpoint);
        let high = one - rest * rest * (1.0 / (1.0 - self.midpoint));
        let profile = x.select_below(Lanes::splat(self.midpoint), low, high);
        profile * (self.end - self.start) + Lanes::splat(self.start)
    }

    /// 1/R for a row whose inverse weight is `inverse_weight` (times `scale`), R = (1 − d)/d · inverse_weight.
    #[inline(always)]
    pub fn weight<const L: usize, T: Real>(
        impedance: Lanes<L, T>,
        inverse_weight: f64,
    ) -> Lanes<L, T> {
        let regulariser = (Lanes::splat(1.0) - impedance) * inverse_weight / impedance;
        Lanes::splat(1.0) / regulariser.max(Lanes::splat(MIN_VALUE))
    }
}
