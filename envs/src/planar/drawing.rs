//! A robot's capsules where they are, for pictures.

use super::compile::placed;
use super::description::{JointKind, RobotDescription};
use super::engine::pose;
use super::lanes::Lanes;
use super::model::Model;
use crate::render::scene_palette as palette;
use crate::render::{Scene, Shape};

/// The robot's capsules at these joint positions, in the world's plane; the trunk in one colour, limbs in others.
pub fn capsules<const N: usize>(
    robot: &RobotDescription,
    model: &Model<N>,
    position: &[f64],
) -> Vec<Shape> {
    let joints: [Lanes<1>; N] = std::array::from_fn(|k| Lanes([position[k]]));
    let (_, kinematics) = pose(model, &joints);
    let shift = root_x(robot, position);
    let mut shapes = Vec::new();
    // The far limbs first, so that the trunk lies over them.
    for (index, body) in robot.bodies.iter().enumerate().rev() {
        let frame = &kinematics.frames[index];
        for capsule in body.capsules {
            let at = placed(capsule);
            let end = |side: f64| {
                let offset = [0, 1].map(|k| at.centre[k] + side * at.half_length * at.axis[k]);
                let turned = frame.turn(offset);
                [0, 1]
                    .map(|k| (frame.origin[k] + turned[k]).0[0] + if k == 0 { shift } else { 0.0 })
            };
            let colour = match index {
                0 => palette::BODY,
                limb => palette::LIMBS[(limb - 1) % palette::LIMBS.len()],
            };
            shapes.push(Shape::Capsule {
                from: end(-1.0),
                to: end(1.0),
                radius: capsule.radius,
                colour,
            });
        }
    }
    shapes
}

/// How far the root has slid along x (the engine's own positions are relative to it).
fn root_x(robot: &RobotDescription, position: &[f64]) -> f64 {
    let joints = robot.bodies.iter().flat_map(|body| body.joints);
    joints
        .zip(position)
        .map(|(joint, x)| match joint.kind {
            JointKind::Slide(axis) => axis[0] * (x - joint.reference),
            JointKind::Hinge(_) => 0.0,
        })
        .sum()
}

/// A runner on a tiled floor; the camera moves with it.
pub fn runner<const N: usize>(
    robot: &RobotDescription,
    model: &Model<N>,
    position: &[f64],
) -> Scene {
    let centre = [root_x(robot, position), 1.0];
    let first = (centre[0] - 3.0).floor() as i64;
    let mut shapes: Vec<Shape> = (first..first + 7)
        .map(|tile| Shape::Rectangle {
            centre: [tile as f64 + 0.5, -0.5],
            half_size: [0.5, 0.5],
            colour: if tile % 2 == 0 {
                palette::FLOOR
            } else {
                palette::FLOOR_LIGHT
            },
        })
        .collect();
    shapes.extend(capsules(robot, model, position));
    Scene {
        centre,
        size: [3.6, 2.4],
        shapes,
    }
}
