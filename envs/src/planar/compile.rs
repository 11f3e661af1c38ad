//! Compiles a robot's description into the engine's model, as MuJoCo's compiler does.
//!
//! Masses and inertias come from the capsules' densities; inverse weights from the mass matrix in the drawn pose.

use super::description::{
    BodyDescription, CapsuleDescription, JointDescription, JointKind, Margin, Placement,
    RobotDescription, Softness,
};
use super::engine::pose;
use super::lanes::Lanes;
use super::model::{
    Body, Capsule, ContactPair, FloorContact, Joint, Limit, MAX_CONTACTS, Model, Motion, Motor,
    SelfContact, Spring,
};
use super::tree::{Chain, Tree};
use std::f64::consts::PI;

/// The engine's model of a robot under a margin rule.
///
/// # Panics
/// If the description is wrong: another number of joints than `N`, an unknown name, a link without a joint, a slide
/// that is not on a root link, or more contacts than the engine holds.
pub fn compile<const N: usize>(robot: &RobotDescription, margin: Margin) -> Model<N> {
    let mut bodies = compile_bodies(robot);
    scale_mass(robot, &mut bodies);
    let joints: Vec<Joint> = robot
        .bodies
        .iter()
        .enumerate()
        .flat_map(|(index, body)| body.joints.iter().map(move |joint| (index, body, joint)))
        .map(|(index, body, joint)| compile_joint(robot, index, body, joint))
        .collect();
    let joints: [Joint; N] = joints
        .try_into()
        .unwrap_or_else(|_| panic!("{} must have {N} joints", robot.name));
    let mut model = Model {
        timestep: robot.timestep,
        integrator: robot.integrator,
        gravity: robot.gravity,
        tree: Tree {
            chains: chains(&bodies),
        },
        damped: joints.iter().any(|joint| joint.damping > 0.0),
        motors: compile_motors(robot),
        bodies,
        joints,
        floor_contacts: Vec::new(),
        self_contacts: Vec::new(),
    };
    set_inverse_weights(&mut model);
    model.floor_contacts = floor_contacts(robot, margin, &model.bodies);
    model.self_contacts = self_contacts(robot, margin, &model.bodies);
    let most = model.floor_contacts.len() + 2 * model.self_contacts.len();
    assert!(
        most <= MAX_CONTACTS,
        "{} can have {most} contacts",
        robot.name
    );
    model
}

fn compile_bodies(robot: &RobotDescription) -> Vec<Body> {
    let mut first_dof = 0;
    let mut bodies = Vec::with_capacity(robot.bodies.len());
    for body in robot.bodies {
        assert!(!body.joints.is_empty(), "{} has no joint", body.name);
        let parent = body.parent.map(|name| body_index(robot, name));
        assert!(
            parent.is_none_or(|parent| parent < bodies.len()),
            "{} before its parent",
            body.name
        );
        let (mass, mass_centre, inertia) = mass_of(robot.density, body);
        bodies.push(Body {
            parent,
            position: body.position,
            mass_centre,
            mass,
            subtree_mass: mass,
            inertia,
            first_dof,
            num_dofs: body.joints.len(),
            inverse_weight: 0.0,
        });
        first_dof += body.joints.len();
    }
    bodies
}

fn body_index(robot: &RobotDescription, name: &str) -> usize {
    robot
        .bodies
        .iter()
        .position(|body| body.name == name)
        .unwrap_or_else(|| panic!("{} has no link {name}", robot.name))
}

/// Mass, centre of mass and moment of inertia about it.
fn mass_of(density: f64, body: &BodyDescription) -> (f64, [f64; 2], f64) {
    let parts: Vec<_> = body
        .capsules
        .iter()
        .map(|capsule| {
            let at = placed(capsule);
            let (mass, inertia) = capsule_mass(density, capsule.radius, at.half_length);
            (mass, at.centre, inertia)
        })
        .collect();
    let mass: f64 = parts.iter().map(|part| part.0).sum();
    let centre = [0, 1].map(|k| parts.iter().map(|part| part.0 * part.1[k]).sum::<f64>() / mass);
    let inertia = parts
        .iter()
        .map(|(part, at, inertia)| {
            inertia + part * ((at[0] - centre[0]).powi(2) + (at[1] - centre[1]).powi(2))
        })
        .sum();
    (mass, centre, inertia)
}

/// Mass of a capsule and its moment of inertia about an axis across it.
fn capsule_mass(density: f64, radius: f64, half_length: f64) -> (f64, f64) {
    let height = 2.0 * half_length;
    let ball = density * 4.0 / 3.0 * PI * radius.powi(3);
    let cylinder = density * PI * radius * radius * height;
    let inertia = cylinder * (3.0 * radius * radius + height * height) / 12.0
        + 2.0 * ball * radius * radius / 5.0
        + ball * height * (3.0 * radius + 2.0 * height) / 8.0;
    (ball + cylinder, inertia)
}

/// Where a capsule lies in its link's frame.
pub(super) struct Placed {
    /// Middle of its axis, m.
    pub(super) centre: [f64; 2],
    /// Unit vector along the axis.
    pub(super) axis: [f64; 2],
    /// Half the distance between the end points, m.
    pub(super) half_length: f64,
}

/// Returns where a capsule lies.
pub(super) fn placed(capsule: &CapsuleDescription) -> Placed {
    match capsule.placement {
        Placement::FromTo(from, to) => {
            let centre = [0.5 * (from[0] + to[0]), 0.5 * (from[1] + to[1])];
            let length = libm::hypot(to[0] - from[0], to[1] - from[1]);
            Placed {
                centre,
                axis: [(to[0] - from[0]) / length, (to[1] - from[1]) / length],
                half_length: 0.5 * length,
            }
        }
        Placement::Centred {
            centre,
            angle,
            half_length,
        } => Placed {
            centre,
            axis: [libm::sin(angle), libm::cos(angle)],
            half_length,
        },
    }
}

fn scale_mass(robot: &RobotDescription, bodies: &mut [Body]) {
    if let Some(total) = robot.total_mass {
        let scale = total / bodies.iter().map(|body| body.mass).sum::<f64>();
        for body in bodies.iter_mut() {
            body.mass *= scale;
            body.inertia *= scale;
        }
    }
    for index in (0..bodies.len()).rev() {
        let below: f64 = bodies
            .iter()
            .filter(|body| body.parent == Some(index))
            .map(|body| body.subtree_mass)
            .sum();
        bodies[index].subtree_mass = bodies[index].mass + below;
    }
}

fn compile_joint(
    robot: &RobotDescription,
    body_index: usize,
    body: &BodyDescription,
    joint: &JointDescription,
) -> Joint {
    let motion = match joint.kind {
        JointKind::Slide(axis) => {
            assert!(
                body.parent.is_none(),
                "{} slides but is not on a root link",
                joint.name
            );
            Motion::Slide(axis)
        }
        JointKind::Hinge(sign) => Motion::Hinge {
            sign,
            anchor: joint.anchor,
        },
    };
    Joint {
        body: body_index,
        motion,
        stiffness: joint.stiffness,
        damping: joint.damping,
        armature: joint.armature,
        reference: joint.reference,
        limit: joint.range.map(|range| Limit {
            range,
            margin: joint.limit_margin,
            inverse_weight: 0.0,
            spring: Spring::new(robot.limit_softness, robot.timestep),
        }),
    }
}

fn chains<const N: usize>(bodies: &[Body]) -> [Chain<N>; N] {
    let mut chains: Vec<Chain<N>> = Vec::with_capacity(N);
    for body in bodies {
        for dof in body.first_dof..body.first_dof + body.num_dofs {
            let parent = if dof > body.first_dof {
                Some(dof - 1)
            } else {
                body.parent.map(|parent| bodies[parent].last_dof())
            };
            let chain = Chain::below(parent.map(|parent| &chains[parent]), dof);
            chains.push(chain);
        }
    }
    chains
        .try_into()
        .unwrap_or_else(|_| panic!("one chain per joint"))
}

fn compile_motors(robot: &RobotDescription) -> Vec<Motor> {
    let names: Vec<_> = robot
        .bodies
        .iter()
        .flat_map(|body| body.joints)
        .map(|joint| joint.name)
        .collect();
    robot
        .motors
        .iter()
        .map(|motor| Motor {
            dof: names
                .iter()
                .position(|name| *name == motor.joint)
                .unwrap_or_else(|| panic!("{} has no joint {}", robot.name, motor.joint)),
            gear: motor.gear,
            control_limit: motor.control_limit,
        })
        .collect()
}

/// MuJoCo's dof_invweight0 and body_invweight0: J·M⁻¹·Jᵀ in the drawn pose, of each joint and, as the mean over three
/// dimensions, of each link's centre of mass.
fn set_inverse_weights<const N: usize>(model: &mut Model<N>) {
    let drawn = model.joints.map(|joint| Lanes([joint.reference]));
    let (mut factors, kinematics) = pose(model, &drawn);
    model.tree.factor(&mut factors);
    let weight = |row: [Lanes<1>; N], model: &Model<N>| {
        let mut solved = row;
        model.tree.solve(&factors, &mut solved);
        super::tree::dot(&row, &solved).0[0]
    };
    for dof in 0..N {
        let mut row = [Lanes::ZERO; N];
        row[dof] = Lanes([1.0]);
        let inverse_weight = weight(row, model);
        if let Some(limit) = &mut model.joints[dof].limit {
            limit.inverse_weight = inverse_weight;
        }
    }
    for index in 0..model.bodies.len() {
        let body = model.bodies[index];
        let frame = &kinematics.frames[index];
        let offset = frame.turn(body.mass_centre);
        let centre = [frame.origin[0] + offset[0], frame.origin[1] + offset[1]];
        let [along_x, along_z] = kinematics.jacobian(model, &body, centre);
        let inverse_weight = (weight(along_x, model) + weight(along_z, model)) / 3.0;
        model.bodies[index].inverse_weight = inverse_weight;
    }
}

fn joined_margin(rule: Margin, first: f64, second: f64) -> f64 {
    match rule {
        Margin::Max => first.max(second),
        Margin::Sum => first + second,
    }
}

fn floor_contacts(robot: &RobotDescription, rule: Margin, bodies: &[Body]) -> Vec<FloorContact> {
    let Some(floor) = robot.floor else {
        return Vec::new();
    };
    let mut contacts = Vec::new();
    for (body, description) in robot.bodies.iter().enumerate() {
        for capsule in description.capsules {
            let at = placed(capsule);
            let pair = ContactPair {
                friction: capsule.friction.max(floor.friction),
                margin: joined_margin(rule, capsule.margin, floor.margin),
                inverse_weight: bodies[body].inverse_weight,
                spring: spring(robot.contact_softness, robot),
            };
            for side in [at.half_length, -at.half_length] {
                let end = [0, 1].map(|k| at.centre[k] + side * at.axis[k]);
                contacts.push(FloorContact {
                    body,
                    end,
                    radius: capsule.radius,
                    pair,
                });
            }
        }
    }
    contacts
}

fn spring(softness: Softness, robot: &RobotDescription) -> Spring {
    Spring::new(softness, robot.timestep)
}

fn self_contacts(robot: &RobotDescription, rule: Margin, bodies: &[Body]) -> Vec<SelfContact> {
    let mut contacts = Vec::new();
    if !robot.self_contact {
        return contacts;
    }
    let capsules: Vec<_> = robot
        .bodies
        .iter()
        .enumerate()
        .flat_map(|(body, description)| description.capsules.iter().map(move |c| (body, c)))
        .collect();
    for (position, &(first, a)) in capsules.iter().enumerate() {
        for &(second, b) in &capsules[position + 1..] {
            if first == second || bodies[second].parent == Some(first) {
                continue;
            }
            assert!(
                is_ancestor(bodies, first, second),
                "self contact across branches"
            );
            let pair = ContactPair {
                friction: 0.0,
                margin: joined_margin(rule, a.margin, b.margin),
                inverse_weight: bodies[first].inverse_weight + bodies[second].inverse_weight,
                spring: spring(robot.contact_softness, robot),
            };
            contacts.push(SelfContact {
                first: shape(first, a),
                second: shape(second, b),
                pair,
            });
        }
    }
    contacts
}

fn shape(body: usize, capsule: &CapsuleDescription) -> Capsule {
    let at = placed(capsule);
    Capsule {
        body,
        centre: at.centre,
        axis: at.axis,
        half_length: at.half_length,
        radius: capsule.radius,
    }
}

fn is_ancestor(bodies: &[Body], ancestor: usize, of: usize) -> bool {
    let mut body = bodies[of].parent;
    while let Some(index) = body {
        if index == ancestor {
            return true;
        }
        body = bodies[index].parent;
    }
    false
}
