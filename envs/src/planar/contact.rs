//! Finds the constraints of a moment: which joints are past a limit, which capsules touch the floor or one another.

use super::constraints::Constraints;
use super::kinematics::{Kinematics, Vector};
use super::lanes::{Lanes, Real};
use super::model::{ContactPair, FloorContact, Model, SelfContact, Spring};
use super::segments::nearest_points;

/// Fills `constraints` for the joint positions and velocities given.
#[inline(always)]
pub fn find<const N: usize, const L: usize, T: Real>(
    model: &Model<N>,
    kinematics: &Kinematics<N, L, T>,
    position: &[Lanes<L, T>; N],
    velocity: &[Lanes<L, T>; N],
    constraints: &mut Constraints<N, L, T>,
) {
    constraints.clear();
    find_limits(model, position, velocity, constraints);
    for contact in &model.floor_contacts {
        find_floor(model, kinematics, velocity, contact, constraints);
    }
    for contact in &model.self_contacts {
        find_self(model, kinematics, velocity, contact, constraints);
    }
}

#[inline(always)]
fn find_limits<const N: usize, const L: usize, T: Real>(
    model: &Model<N>,
    position: &[Lanes<L, T>; N],
    velocity: &[Lanes<L, T>; N],
    constraints: &mut Constraints<N, L, T>,
) {
    for dof in 0..N {
        let Some(limit) = &model.joints[dof].limit else {
            continue;
        };
        let above_low = position[dof] - Lanes::splat(limit.range[0]);
        let below_high = Lanes::splat(limit.range[1]) - position[dof];
        let depth = above_low.min(below_high) - Lanes::splat(limit.margin);
        if !depth.any_below(Lanes::ZERO) {
            continue;
        }
        let sign = above_low.select_below(below_high, Lanes::splat(1.0), Lanes::splat(-1.0));
        let impedance = limit.spring.impedance(depth);
        let weight = Spring::weight(impedance, limit.inverse_weight).where_negative(depth);
        let reference = -(sign * velocity[dof] * limit.spring.damping)
            - impedance * depth * limit.spring.stiffness;
        constraints.push_limit(dof, sign, weight, reference);
    }
}

#[inline(always)]
fn find_floor<const N: usize, const L: usize, T: Real>(
    model: &Model<N>,
    kinematics: &Kinematics<N, L, T>,
    velocity: &[Lanes<L, T>; N],
    contact: &FloorContact,
    constraints: &mut Constraints<N, L, T>,
) {
    let frame = &kinematics.frames[contact.body];
    let offset = frame.turn(contact.end);
    let distance = frame.origin[1] + offset[1] - Lanes::splat(contact.radius);
    if !distance.any_below(Lanes::splat(contact.pair.margin)) {
        return;
    }
    // The contact lies half way between the two surfaces.
    let point = [frame.origin[0] + offset[0], distance * 0.5];
    let body = &model.bodies[contact.body];
    let [along_x, along_z] = kinematics.jacobian(model, body, point);
    let rows = constraints.push_contact();
    rows.last_dof = body.last_dof();
    rows.normal = along_z;
    rows.tangent = along_x;
    finish(model, &contact.pair, distance, velocity, rows);
}

#[inline(always)]
fn find_self<const N: usize, const L: usize, T: Real>(
    model: &Model<N>,
    kinematics: &Kinematics<N, L, T>,
    velocity: &[Lanes<L, T>; N],
    contact: &SelfContact,
    constraints: &mut Constraints<N, L, T>,
) {
    let Some(near) = nearest_points(kinematics, contact) else {
        return;
    };
    for touch in near {
        if !touch.distance.any_below(Lanes::splat(contact.pair.margin)) {
            continue;
        }
        let first = &model.bodies[contact.first.body];
        let second = &model.bodies[contact.second.body];
        let above = kinematics.jacobian(model, first, touch.point);
        let below = kinematics.jacobian(model, second, touch.point);
        let rows = constraints.push_contact();
        rows.last_dof = second.last_dof();
        rows.normal = separation(above, below, touch.normal);
        rows.tangent = [Lanes::ZERO; N];
        finish(model, &contact.pair, touch.distance, velocity, rows);
    }
}

/// How fast two links part along a normal, per joint velocity.
#[inline(always)]
fn separation<const N: usize, const L: usize, T: Real>(
    above: [[Lanes<L, T>; N]; 2],
    below: [[Lanes<L, T>; N]; 2],
    normal: Vector<L, T>,
) -> [Lanes<L, T>; N] {
    let mut row = [Lanes::ZERO; N];
    for k in 0..N {
        row[k] = normal[0] * (below[0][k] - above[0][k]) + normal[1] * (below[1][k] - above[1][k]);
    }
    row
}

/// Completes a contact whose rows are set: weights and reference accelerations.
#[inline(always)]
fn finish<const N: usize, const L: usize, T: Real>(
    model: &Model<N>,
    pair: &ContactPair,
    distance: Lanes<L, T>,
    velocity: &[Lanes<L, T>; N],
    rows: &mut super::constraints::ContactRows<N, L, T>,
) {
    let depth = distance - Lanes::splat(pair.margin);
    let impedance = pair.spring.impedance(depth);
    let square = pair.friction * pair.friction;
    rows.friction = pair.friction;
    rows.weights = if pair.friction > 0.0 {
        // MuJoCo's pyramid: all four facets share R = 2μ²·(1 − d)/d·(1 + μ²)·w.
        let regulariser = 2.0 * square * (1.0 + square) * pair.inverse_weight;
        let facet = Spring::weight(impedance, regulariser).where_negative(depth);
        [facet, facet, facet * 2.0]
    } else {
        let weight = Spring::weight(impedance, pair.inverse_weight).where_negative(depth);
        [Lanes::ZERO, Lanes::ZERO, weight]
    };
    let speeds = rows.rows_times(&model.tree, velocity);
    let pull = impedance * depth * pair.spring.stiffness;
    rows.references = speeds.map(|speed| -(speed * pair.spring.damping) - pull);
}
