//! Writes a robot's description as MJCF, MuJoCo's model format.
//!
//! Numbers are written with all their digits, shapes as the description gives them (end points, or centre and angle), so
//! that MuJoCo compiles the same model as from Gymnasium's own file.

use crate::planar::description::{
    BodyDescription, CapsuleDescription, Integrator, JointDescription, JointKind, Placement,
    RobotDescription, Softness,
};
use std::fmt::Write;

/// The robot as an MJCF document.
pub fn write(robot: &RobotDescription) -> String {
    let mut out = String::new();
    let integrator = match robot.integrator {
        Integrator::Euler => "Euler",
        Integrator::RungeKutta4 => "RK4",
    };
    let total = robot
        .total_mass
        .map(|mass| format!(" settotalmass=\"{mass}\""))
        .unwrap_or_default();
    let (limit, contact) = (
        softness("limit", robot.limit_softness),
        softness("", robot.contact_softness),
    );
    let [gx, gz] = robot.gravity;
    let (condim, affinity) = if robot.self_contact { (1, 1) } else { (3, 0) };
    let collides = i32::from(robot.floor.is_some());
    let _ = writeln!(
        out,
        r#"<mujoco model="{name}">
  <compiler angle="radian" inertiafromgeom="true"{total}/>
  <option gravity="{gx} 0 {gz}" timestep="{timestep}" integrator="{integrator}"/>
  <default>
    <joint{limit}/>
    <geom type="capsule" density="{density}" condim="{condim}" contype="{collides}" conaffinity="{affinity}"{contact}/>
  </default>
  <worldbody>"#,
        name = robot.name,
        timestep = robot.timestep,
        density = robot.density,
    );
    if let Some(floor) = robot.floor {
        let _ = writeln!(
            out,
            r#"    <geom name="floor" type="plane" size="40 40 40" condim="3" conaffinity="1" friction="{} .1 .1" margin="{}"/>"#,
            floor.friction, floor.margin
        );
    }
    for body in robot.bodies.iter().filter(|body| body.parent.is_none()) {
        write_body(&mut out, robot, body, 2);
    }
    out.push_str("  </worldbody>\n  <actuator>\n");
    for motor in robot.motors {
        let _ = writeln!(
            out,
            r#"    <motor joint="{}" gear="{}" ctrllimited="true" ctrlrange="{} {}"/>"#,
            motor.joint, motor.gear, -motor.control_limit, motor.control_limit
        );
    }
    out.push_str("  </actuator>\n</mujoco>\n");
    out
}

fn softness(suffix: &str, softness: Softness) -> String {
    let [time, ratio] = softness.reference;
    let [start, end, width, midpoint, power] = softness.impedance;
    format!(
        " solref{suffix}=\"{time} {ratio}\" solimp{suffix}=\"{start} {end} {width} {midpoint} {power}\""
    )
}

fn write_body(out: &mut String, robot: &RobotDescription, body: &BodyDescription, depth: usize) {
    let indent = "  ".repeat(depth);
    let [x, z] = body.position;
    let _ = writeln!(
        out,
        r#"{indent}<body name="{}" pos="{x} 0 {z}">"#,
        body.name
    );
    for joint in body.joints {
        write_joint(out, joint, &indent);
    }
    for capsule in body.capsules {
        write_capsule(out, capsule, &indent);
    }
    for child in robot
        .bodies
        .iter()
        .filter(|child| child.parent == Some(body.name))
    {
        write_body(out, robot, child, depth + 1);
    }
    let _ = writeln!(out, "{indent}</body>");
}

fn write_joint(out: &mut String, joint: &JointDescription, indent: &str) {
    let (kind, axis) = match joint.kind {
        JointKind::Slide([x, z]) => ("slide", format!("{x} 0 {z}")),
        JointKind::Hinge(sign) => ("hinge", format!("0 {sign} 0")),
    };
    let range = joint
        .range
        .map(|[low, high]| format!(" limited=\"true\" range=\"{low} {high}\""))
        .unwrap_or_else(|| " limited=\"false\"".into());
    let [x, z] = joint.anchor;
    let _ = writeln!(
        out,
        r#"{indent}  <joint name="{}" type="{kind}" axis="{axis}" pos="{x} 0 {z}"{range} margin="{}" stiffness="{}" damping="{}" armature="{}" ref="{}"/>"#,
        joint.name,
        joint.limit_margin,
        joint.stiffness,
        joint.damping,
        joint.armature,
        joint.reference
    );
}

fn write_capsule(out: &mut String, capsule: &CapsuleDescription, indent: &str) {
    let radius = capsule.radius;
    let shape = match capsule.placement {
        Placement::FromTo([fx, fz], [tx, tz]) => {
            format!(r#"fromto="{fx} 0 {fz} {tx} 0 {tz}" size="{radius}""#)
        }
        Placement::Centred {
            centre: [x, z],
            half_length: 0.0,
            ..
        } => {
            format!(r#"type="sphere" pos="{x} 0 {z}" size="{radius}""#)
        }
        Placement::Centred {
            centre: [x, z],
            angle: 0.0,
            half_length,
        } => {
            format!(r#"pos="{x} 0 {z}" size="{radius} {half_length}""#)
        }
        Placement::Centred {
            centre: [x, z],
            angle,
            half_length,
        } => {
            format!(r#"pos="{x} 0 {z}" axisangle="0 1 0 {angle}" size="{radius} {half_length}""#)
        }
    };
    let _ = writeln!(
        out,
        r#"{indent}  <geom name="{}" {shape} friction="{} .1 .1" margin="{}"/>"#,
        capsule.name, capsule.friction, capsule.margin
    );
}
