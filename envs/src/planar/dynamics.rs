//! The mass matrix and the forces that do not come from constraints.
//!
//! Composite rigid bodies in the plane: a subtree is its mass m, first moment p = Σ mᵢcᵢ and second moment
//! I = Σ (Iᵢ + mᵢ|cᵢ|²), so the hinges i above j share Mᵢⱼ = ±(I − p·(aᵢ + aⱼ) + m aᵢ·aⱼ) with anchors a.

use super::kinematics::{Kinematics, Vector};
use super::lanes::{Lanes, Real};
use super::model::{Model, Motion};
use super::tree::Matrix;

/// A link together with everything that hangs on it.
#[derive(Clone, Copy)]
struct Subtree<const L: usize, T: Real = f64> {
    moment: Vector<L, T>,
    second_moment: Lanes<L, T>,
    force: Vector<L, T>,
    torque: Lanes<L, T>,
}

/// Writes the mass matrix and returns the smooth force: springs, dampers and motors minus gravity and
/// velocity products. `motor_force` is the motors' force on each joint.
#[inline(always)]
pub fn mass_and_force<const N: usize, const L: usize, T: Real>(
    model: &Model<N>,
    kinematics: &Kinematics<N, L, T>,
    position: &[Lanes<L, T>; N],
    velocity: &[Lanes<L, T>; N],
    motor_force: &[Lanes<L, T>; N],
    mass: &mut Matrix<N, L, T>,
) -> [Lanes<L, T>; N] {
    let subtrees = subtrees(model, kinematics);
    let mut force = *motor_force;
    for dof in 0..N {
        let joint = &model.joints[dof];
        let subtree = &subtrees[joint.body];
        let subtree_mass = model.bodies[joint.body].subtree_mass;
        let anchor = kinematics.anchors[dof];
        // The momentum of the subtree for a unit velocity of this joint, and its bias force.
        let (momentum, bias) = match joint.motion {
            Motion::Slide(axis) => (
                axis.map(|component| Lanes::splat(component * subtree_mass)),
                subtree.force[0] * axis[0] + subtree.force[1] * axis[1],
            ),
            Motion::Hinge { sign, .. } => (
                [
                    (subtree.moment[1] - anchor[1] * subtree_mass) * sign,
                    (anchor[0] * subtree_mass - subtree.moment[0]) * sign,
                ],
                (subtree.torque - (subtree.force[0] * anchor[1] - subtree.force[1] * anchor[0]))
                    * sign,
            ),
        };
        for &other in model.tree.chains[dof].dofs() {
            mass[dof][other] = match (model.joints[other].motion, joint.motion) {
                (Motion::Slide(axis), _) => momentum[0] * axis[0] + momentum[1] * axis[1],
                (Motion::Hinge { sign, .. }, Motion::Hinge { sign: own_sign, .. }) => {
                    let above = kinematics.anchors[other];
                    let sum = [above[0] + anchor[0], above[1] + anchor[1]];
                    let product = above[0] * anchor[0] + above[1] * anchor[1];
                    (subtree.second_moment
                        - (subtree.moment[0] * sum[0] + subtree.moment[1] * sum[1])
                        + product * subtree_mass)
                        * (sign * own_sign)
                }
                (Motion::Hinge { .. }, Motion::Slide(_)) => Lanes::ZERO,
            };
        }
        mass[dof][dof] += Lanes::splat(joint.armature);
        force[dof] += -(position[dof] * joint.stiffness) - velocity[dof] * joint.damping - bias;
    }
    force
}

#[inline(always)]
fn subtrees<const N: usize, const L: usize, T: Real>(
    model: &Model<N>,
    kinematics: &Kinematics<N, L, T>,
) -> [Subtree<L, T>; N] {
    let nothing = Subtree {
        moment: [Lanes::ZERO; 2],
        second_moment: Lanes::ZERO,
        force: [Lanes::ZERO; 2],
        torque: Lanes::ZERO,
    };
    let mut subtrees = [nothing; N];
    for (index, body) in model.bodies.iter().enumerate().rev() {
        let frame = &kinematics.frames[index];
        let offset = frame.turn(body.mass_centre);
        let centre = [frame.origin[0] + offset[0], frame.origin[1] + offset[1]];
        let acceleration = frame.acceleration_at(offset);
        let force = [
            (acceleration[0] - Lanes::splat(model.gravity[0])) * body.mass,
            (acceleration[1] - Lanes::splat(model.gravity[1])) * body.mass,
        ];
        let square = centre[0] * centre[0] + centre[1] * centre[1];
        let own = Subtree {
            moment: [centre[0] * body.mass, centre[1] * body.mass],
            second_moment: square * body.mass + Lanes::splat(body.inertia),
            force,
            torque: force[0] * centre[1] - force[1] * centre[0],
        };
        accumulate(&mut subtrees[index], &own);
        if let Some(parent) = body.parent {
            let whole = subtrees[index];
            accumulate(&mut subtrees[parent], &whole);
        }
    }
    subtrees
}

#[inline(always)]
fn accumulate<const L: usize, T: Real>(sum: &mut Subtree<L, T>, part: &Subtree<L, T>) {
    for k in 0..2 {
        sum.moment[k] += part.moment[k];
        sum.force[k] += part.force[k];
    }
    sum.second_moment += part.second_moment;
    sum.torque += part.torque;
}
