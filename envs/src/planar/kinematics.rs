//! Where the links are and how they move: rotations, origins, joint anchors and velocity-product accelerations.
//!
//! Horizontal positions are relative to the root: sliding along x changes no force, and small numbers keep more digits
//! after a run of hundreds of metres.

use super::lanes::{Lanes, Real};
use super::model::{Body, Model, Motion};
use super::trigonometry::sin_cos;

/// A point or vector (x, z).
pub type Vector<const L: usize, T = f64> = [Lanes<L, T>; 2];

/// One link's frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<const L: usize, T: Real = f64> {
    /// Angle about +y, rad.
    pub angle: Lanes<L, T>,
    /// Sine of the angle.
    pub sine: Lanes<L, T>,
    /// Cosine of the angle.
    pub cosine: Lanes<L, T>,
    /// The origin, m (x relative to the root).
    pub origin: Vector<L, T>,
    /// Angular velocity, rad/s.
    pub angular_velocity: Lanes<L, T>,
    /// Acceleration of the origin if all joint accelerations were zero, m/s².
    pub acceleration: Vector<L, T>,
}

impl<const L: usize, T: Real> Frame<L, T> {
    /// The world's frame.
    pub const WORLD: Self = Self {
        angle: Lanes::ZERO,
        sine: Lanes::ZERO,
        cosine: Lanes([T::ONE; L]),
        origin: [Lanes::ZERO; 2],
        angular_velocity: Lanes::ZERO,
        acceleration: [Lanes::ZERO; 2],
    };

    /// A vector of the link's frame, turned into the world's.
    #[inline(always)]
    pub fn turn(&self, vector: [f64; 2]) -> Vector<L, T> {
        [
            self.cosine * vector[0] + self.sine * vector[1],
            self.cosine * vector[1] - self.sine * vector[0],
        ]
    }

    /// The acceleration of the point at `offset` from the origin if all joint accelerations were zero.
    #[inline(always)]
    pub fn acceleration_at(&self, offset: Vector<L, T>) -> Vector<L, T> {
        let square = self.angular_velocity * self.angular_velocity;
        [
            self.acceleration[0] - square * offset[0],
            self.acceleration[1] - square * offset[1],
        ]
    }
}

/// All links and joints at one moment.
#[derive(Clone, Debug)]
pub struct Kinematics<const N: usize, const L: usize, T: Real = f64> {
    /// The links' frames.
    pub frames: [Frame<L, T>; N],
    /// The hinges' anchors, m.
    pub anchors: [Vector<L, T>; N],
}

impl<const N: usize, const L: usize, T: Real> Kinematics<N, L, T> {
    /// Every link in the world's frame, to be filled by [`Self::update`].
    #[inline(always)]
    pub fn new() -> Self {
        Self {
            frames: [Frame::WORLD; N],
            anchors: [[Lanes::ZERO; 2]; N],
        }
    }

    /// Moves every link to the joint positions and velocities given.
    #[inline(always)]
    pub fn update(
        &mut self,
        model: &Model<N>,
        position: &[Lanes<L, T>; N],
        velocity: &[Lanes<L, T>; N],
    ) {
        for (index, body) in model.bodies.iter().enumerate() {
            let parent = body
                .parent
                .map_or(Frame::WORLD, |parent| self.frames[parent]);
            let offset = parent.turn(body.position);
            let mut frame = parent;
            frame.origin = [parent.origin[0] + offset[0], parent.origin[1] + offset[1]];
            frame.acceleration = parent.acceleration_at(offset);
            for dof in body.first_dof..body.first_dof + body.num_dofs {
                let joint = &model.joints[dof];
                let displacement = position[dof] - Lanes::splat(joint.reference);
                match joint.motion {
                    Motion::Slide(axis) => frame.origin[1] += displacement * axis[1],
                    Motion::Hinge { sign, anchor } => {
                        let turn = [displacement * sign, velocity[dof] * sign];
                        self.anchors[dof] = rotate_about(&mut frame, anchor, turn);
                    }
                }
            }
            self.frames[index] = frame;
        }
    }

    /// How fast each joint moves the point `point` of `body`, along x and along z; only the body's chain is written.
    #[inline(always)]
    pub fn jacobian(
        &self,
        model: &Model<N>,
        body: &Body,
        point: Vector<L, T>,
    ) -> [[Lanes<L, T>; N]; 2] {
        let (mut along_x, mut along_z) = ([Lanes::ZERO; N], [Lanes::ZERO; N]);
        for &dof in model.tree.chains[body.last_dof()].dofs() {
            match model.joints[dof].motion {
                Motion::Slide(axis) => {
                    along_x[dof] = Lanes::splat(axis[0]);
                    along_z[dof] = Lanes::splat(axis[1]);
                }
                Motion::Hinge { sign, .. } => {
                    along_x[dof] = (point[1] - self.anchors[dof][1]) * sign;
                    along_z[dof] = (self.anchors[dof][0] - point[0]) * sign;
                }
            }
        }
        [along_x, along_z]
    }
}

/// Turns a frame by `turn[0]` with the velocity `turn[1]` about a point fixed in it; returns where that point is.
#[inline(always)]
fn rotate_about<const L: usize, T: Real>(
    frame: &mut Frame<L, T>,
    anchor: [f64; 2],
    turn: [Lanes<L, T>; 2],
) -> Vector<L, T> {
    let before = frame.turn(anchor);
    let fixed = [frame.origin[0] + before[0], frame.origin[1] + before[1]];
    let fixed_acceleration = frame.acceleration_at(before);
    frame.angle += turn[0];
    frame.angular_velocity += turn[1];
    (frame.sine, frame.cosine) = sin_cos(frame.angle);
    let after = frame.turn(anchor);
    let square = frame.angular_velocity * frame.angular_velocity;
    frame.origin = [fixed[0] - after[0], fixed[1] - after[1]];
    frame.acceleration = [
        fixed_acceleration[0] + square * after[0],
        fixed_acceleration[1] + square * after[1],
    ];
    fixed
}
