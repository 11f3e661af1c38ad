//! A robot's and a task's numbers as the text that the kernels read: every table comes from the compiled [`Model`].

use super::Mode;
use crate::locomotion::{LocomotionRules, StartNoise, Task};
use crate::planar::PARALLEL;
use crate::planar::description::{Integrator, Softness};
use crate::planar::lanes::Real;
use crate::planar::model::{Model, Motion, SelfContact, Spring};
use crate::planar::trigonometry;
use std::fmt::Write;

/// The line search of the fast mode ends at this share of the slope that it began with. At the CPU's 1e-4 rounding keeps one
/// search in 33 of Hopper's from ever ending, and 31 neighbours wait: 12.7 evaluations a warp and moment in place of 2.3,
/// for the same number of Newton steps.
const FAST_LINE_TOLERANCE: f64 = 1e-2;

/// Two axes that cross have no normal in the plane and push nothing. With positions in f32 their nearest points are this far
/// apart, in metres, by rounding alone: a normal made of that throws the robot about.
const CROSSING_IN_F32: f64 = 1e-6;

/// The text under construction. Writing to a `String` cannot fail, so nothing here returns an error for it.
#[derive(Default)]
pub(super) struct Text(pub(super) String);

impl Text {
    pub(super) fn number(&mut self, name: &str, value: f64) {
        let value = literal(value);
        self.line(format_args!("#define {name} {value}"));
    }

    pub(super) fn count(&mut self, name: &str, value: usize) {
        self.line(format_args!("#define {name} {value}"));
    }

    pub(super) fn flag(&mut self, name: &str, value: bool) {
        self.count(name, usize::from(value));
    }

    pub(super) fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = self.0.write_fmt(line);
        self.0.push('\n');
    }

    /// A table, unless it is empty: C has no arrays of length zero.
    fn table(&mut self, kind: &str, name: &str, values: &[String]) {
        if !values.is_empty() {
            let (length, values) = (values.len(), values.join(", "));
            self.line(format_args!("TABLE({kind}, {name}, {length}, {values})"));
        }
    }

    fn reals(&mut self, name: &str, values: impl IntoIterator<Item = f64>) {
        self.floats("real", name, values);
    }

    pub(super) fn doubles(&mut self, name: &str, values: impl IntoIterator<Item = f64>) {
        self.floats("double", name, values);
    }

    fn floats(&mut self, kind: &str, name: &str, values: impl IntoIterator<Item = f64>) {
        let values: Vec<_> = values.into_iter().map(literal).collect();
        self.table(kind, name, &values);
    }

    pub(super) fn integers(
        &mut self,
        kind: &str,
        name: &str,
        values: impl IntoIterator<Item = i64>,
    ) {
        let values: Vec<_> = values.into_iter().map(|x| x.to_string()).collect();
        self.table(kind, name, &values);
    }
}

/// The shortest decimal that reads back as the same f64.
fn literal(value: f64) -> String {
    if value == f64::INFINITY {
        return "INFINITE".into();
    }
    format!("{value:?}")
}

/// What the preprocessor must know before `language.h`: the mode and the sizes.
pub(super) fn sizes<const N: usize>(name: &str, model: &Model<N>, mode: Mode) -> Text {
    let mut text = Text::default();
    text.line(format_args!(
        "// Generated from the Rust model of {name} by gpu/tables.rs; do not edit."
    ));
    text.line(format_args!("#define REAL {}", mode.real()));
    text.flag("EXACT", mode != Mode::Fast);
    text.count("BLOCK", super::BLOCK);
    text.count("DOFS", N);
    text.count("BODIES", model.bodies.len());
    text.count("MOTORS", model.motors.len());
    text.count("ENDS", model.floor_contacts.len());
    text.count("PAIRS", model.self_contacts.len());
    let most = model.floor_contacts.len() + 2 * model.self_contacts.len();
    text.count("MAX_CONTACTS", most.max(1));
    text.flag("RUNGE_KUTTA", model.integrator == Integrator::RungeKutta4);
    text.flag("DAMPED", model.damped);
    solver(&mut text, mode);
    text
}

/// How far the solver goes in a mode.
pub(super) fn solver(text: &mut Text, mode: Mode) {
    fn lengths<T: Real>(text: &mut Text) {
        text.count("MAX_NEWTON_STEPS", T::MAX_NEWTON_STEPS);
        text.count("MAX_LINE_SEARCH", T::MAX_LINE_SEARCH);
    }
    let (solver, line) = match mode {
        Mode::F64 => (f64::SOLVER_TOLERANCE, f64::LINE_TOLERANCE),
        Mode::F32 => (f32::SOLVER_TOLERANCE, f32::LINE_TOLERANCE),
        Mode::Fast => (f32::SOLVER_TOLERANCE, FAST_LINE_TOLERANCE),
    };
    text.number("SOLVER_TOLERANCE", solver);
    text.number("LINE_TOLERANCE", line);
    // The CPU's f32 engine gives up after 8 Newton steps, because 16 robots wait for the slowest. From states deep in
    // the ground that costs up to 7e-2; with f64's patience the fast mode stays within 1e-4 and rarely needs it.
    match mode {
        Mode::F32 => lengths::<f32>(text),
        Mode::Fast | Mode::F64 => lengths::<f64>(text),
    }
    text.number("PARALLEL", PARALLEL);
    let crossing = match mode {
        Mode::F32 | Mode::F64 => PARALLEL,
        Mode::Fast => CROSSING_IN_F32,
    };
    text.number("CROSSING", crossing);
}

/// The robot's numbers and the task's rules.
///
/// # Errors
/// If the model has something that the kernels do not know; the text says what.
pub(super) fn tables<const N: usize>(task: &Task<N>) -> Result<String, String> {
    let mut text = Text::default();
    angles(&mut text);
    rules(&mut text, task)?;
    robot(&mut text, &task.model)?;
    Ok(text.0)
}

/// The robot's numbers.
///
/// # Errors
/// As [`tables`].
pub(super) fn robot<const N: usize>(text: &mut Text, model: &Model<N>) -> Result<(), String> {
    text.number("TIMESTEP", model.timestep);
    text.number("GRAVITY_X", model.gravity[0]);
    text.number("GRAVITY_Z", model.gravity[1]);
    links(text, model);
    joints(text, model)?;
    motors(text, model)?;
    floor(text, model)?;
    pairs(text, model)
}

pub(super) fn angles(text: &mut Text) {
    text.number("TWO_OVER_PI", trigonometry::TWO_OVER_PI);
    text.number("HALF_PI_HIGH", trigonometry::HALF_PI_HIGH);
    text.number("HALF_PI_MIDDLE", trigonometry::HALF_PI_MIDDLE);
    text.number("HALF_PI_LOW", trigonometry::HALF_PI_LOW);
    text.number("ROUNDER", trigonometry::ROUNDER);
    text.doubles("sine_coefficient", trigonometry::SIN);
    text.doubles("cosine_coefficient", trigonometry::COS);
}

fn rules<const N: usize>(text: &mut Text, task: &Task<N>) -> Result<(), String> {
    let LocomotionRules {
        frame_skip,
        control_cost,
        velocity_clip,
        health,
        start,
    } = task.rules;
    let model = &task.model;
    if task.spec.observation_dim != 2 * N - 1 {
        return Err("an observation other than all positions but x and all velocities".into());
    }
    text.count("FRAME_SKIP", frame_skip);
    text.count("HORIZON", task.spec.horizon);
    text.count("STATE_ROWS", 3 * N - 1);
    text.number("CONTROL_COST", f64::from(control_cost));
    text.number("STEP_DURATION", model.timestep * frame_skip as f64);
    text.flag("VELOCITY_CLIPPED", velocity_clip.is_some());
    text.number("VELOCITY_CLIP", velocity_clip.unwrap_or(f64::INFINITY));
    let (scale, normal) = match start {
        StartNoise::Uniform(scale) => (scale, false),
        StartNoise::UniformAndNormal(scale) => (scale, true),
    };
    text.number("START_NOISE", scale);
    text.flag("START_NORMAL", normal);
    text.flag("HEALTH", health.is_some());
    if let Some(health) = health {
        text.number("HEALTH_LOW", health.height[0]);
        text.number("HEALTH_HIGH", health.height[1]);
        text.number("HEALTH_ANGLE", health.angle);
        text.flag("HEALTH_BOUNDED", health.state_bound.is_some());
        text.number("HEALTH_BOUND", health.state_bound.unwrap_or(f64::INFINITY));
    }
    Ok(())
}

fn links<const N: usize>(text: &mut Text, model: &Model<N>) {
    let bodies = &model.bodies;
    let parent = |b: usize| bodies[b].parent;
    let parents = bodies.iter().map(|b| b.parent.map_or(-1, |p| p as i64));
    text.integers("int", "body_parent", parents);
    let leaf = |b| (0..bodies.len()).all(|c| parent(c) != Some(b));
    let last = |b| (b + 1..bodies.len()).all(|c| parent(c) != parent(b));
    let all = 0..bodies.len();
    text.integers(
        "int",
        "body_is_leaf",
        all.clone().map(|b| i64::from(leaf(b))),
    );
    text.integers("int", "body_is_last_child", all.map(|b| i64::from(last(b))));
    text.reals("body_position_x", bodies.iter().map(|b| b.position[0]));
    text.reals("body_position_z", bodies.iter().map(|b| b.position[1]));
    text.reals("mass_centre_x", bodies.iter().map(|b| b.mass_centre[0]));
    text.reals("mass_centre_z", bodies.iter().map(|b| b.mass_centre[1]));
    text.reals("body_mass", bodies.iter().map(|b| b.mass));
    text.reals("subtree_mass", bodies.iter().map(|b| b.subtree_mass));
    text.reals("body_inertia", bodies.iter().map(|b| b.inertia));
}

fn joints<const N: usize>(text: &mut Text, model: &Model<N>) -> Result<(), String> {
    let joints = &model.joints;
    let slide = |k: usize| match joints[k].motion {
        Motion::Slide(axis) => Some(axis),
        Motion::Hinge { .. } => None,
    };
    let hinge = |k: usize| match joints[k].motion {
        Motion::Slide(_) => (1.0, [0.0; 2]),
        Motion::Hinge { sign, anchor } => (sign, anchor),
    };
    let all = || 0..N;
    text.integers("u32", "dof_chain", all().map(|k| chain(model, k)));
    text.integers("int", "joint_body", joints.iter().map(|j| j.body as i64));
    let slides = all().map(|k| i64::from(slide(k).is_some()));
    text.integers("int", "joint_slides", slides);
    text.reals("slide_x", all().map(|k| slide(k).map_or(0.0, |a| a[0])));
    text.reals("slide_z", all().map(|k| slide(k).map_or(0.0, |a| a[1])));
    text.reals("hinge_sign", all().map(|k| hinge(k).0));
    text.reals("anchor_x", all().map(|k| hinge(k).1[0]));
    text.reals("anchor_z", all().map(|k| hinge(k).1[1]));
    text.doubles("joint_reference", joints.iter().map(|j| j.reference));
    text.reals("stiffness", joints.iter().map(|j| j.stiffness));
    text.reals("damping", joints.iter().map(|j| j.damping));
    let steps = joints.iter().map(|j| model.timestep * j.damping);
    text.reals("damping_step", steps);
    text.reals("armature", joints.iter().map(|j| j.armature));
    let limits = || joints.iter().map(|j| j.limit);
    let limited = limits().map(|l| i64::from(l.is_some()));
    text.integers("int", "joint_limited", limited);
    text.reals("limit_low", limits().map(|l| l.map_or(0.0, |l| l.range[0])));
    text.reals(
        "limit_high",
        limits().map(|l| l.map_or(0.0, |l| l.range[1])),
    );
    text.reals(
        "limit_margin",
        limits().map(|l| l.map_or(0.0, |l| l.margin)),
    );
    let weights = limits().map(|l| l.map_or(0.0, |l| l.inverse_weight));
    text.reals("limit_inverse_weight", weights);
    let springs: Vec<Spring> = limits().flatten().map(|l| l.spring).collect();
    spring(text, "LIMIT", &springs)
}

/// One bit for each degree of freedom on the chain of `dof`.
fn chain<const N: usize>(model: &Model<N>, dof: usize) -> i64 {
    let bits = model.tree.chains[dof].dofs().iter().map(|&k| 1_i64 << k);
    bits.sum()
}

/// One softness for all rows of a kind: the kernels keep it in constants, which must be there if no row uses them.
fn spring(text: &mut Text, kind: &str, springs: &[Spring]) -> Result<(), String> {
    let unused = || Spring::new(Softness::DEFAULT, 1.0);
    let first = springs.first().copied().unwrap_or_else(unused);
    if springs.iter().any(|spring| *spring != first) {
        return Err(format!("two softnesses of its {}s", kind.to_lowercase()));
    }
    softness(text, kind, first);
    Ok(())
}

pub(super) fn softness(text: &mut Text, kind: &str, spring: Spring) {
    for (name, value) in [
        ("STIFFNESS", spring.stiffness),
        ("DAMPING", spring.damping),
        ("START", spring.start),
        ("RANGE", spring.end - spring.start),
        ("INVERSE_WIDTH", spring.inverse_width),
        ("MIDPOINT", spring.midpoint),
        ("LOW_SCALE", 1.0 / spring.midpoint),
        ("HIGH_SCALE", 1.0 / (1.0 - spring.midpoint)),
    ] {
        text.number(&format!("{kind}_{name}"), value);
    }
}

fn motors<const N: usize>(text: &mut Text, model: &Model<N>) -> Result<(), String> {
    let motors = &model.motors;
    let mut driven = [false; N];
    for motor in motors {
        if std::mem::replace(&mut driven[motor.dof], true) {
            return Err("two motors on one joint".into());
        }
    }
    text.integers("int", "motor_dof", motors.iter().map(|m| m.dof as i64));
    text.doubles("motor_gear", motors.iter().map(|m| m.gear));
    text.doubles("control_limit", motors.iter().map(|m| m.control_limit));
    Ok(())
}

fn floor<const N: usize>(text: &mut Text, model: &Model<N>) -> Result<(), String> {
    let ends = &model.floor_contacts;
    let chains: Vec<i64> = ends
        .iter()
        .map(|end| chain(model, model.bodies[end.body].last_dof()))
        .collect();
    // Joints that move every contact need no question at run time; a pair's contact leaves out the common ones.
    let common = if model.self_contacts.is_empty() {
        chains.iter().fold(!0, |all, chain| all & chain)
    } else {
        0
    };
    text.integers("int", "dof_is_common", (0..N).map(|k| (common >> k) & 1));
    if ends.iter().any(|end| end.pair.friction <= 0.0) {
        return Err("a floor contact without friction".into());
    }
    let friction = |k: usize| ends[k].pair.friction;
    let one = (1..ends.len()).all(|k| friction(k) == friction(0));
    text.flag("ONE_FRICTION", one);
    let first = ends.first().map_or(0.0, |end| end.pair.friction);
    text.number("FRICTION", first);
    text.number("FRICTION_SQUARE", first * first);
    text.integers("int", "end_body", ends.iter().map(|e| e.body as i64));
    text.integers("u32", "end_chain", chains);
    text.reals("end_x", ends.iter().map(|e| e.end[0]));
    text.reals("end_z", ends.iter().map(|e| e.end[1]));
    text.reals("end_radius", ends.iter().map(|e| e.radius));
    text.reals("end_margin", ends.iter().map(|e| e.pair.margin));
    let frictions = || (0..ends.len()).map(friction);
    text.reals("end_friction", frictions());
    text.reals("end_friction_square", frictions().map(|f| f * f));
    // MuJoCo's pyramid: all four facets share R = 2μ²·(1 − d)/d·(1 + μ²)·w.
    let regularisers = ends.iter().map(|end| {
        let square = end.pair.friction * end.pair.friction;
        2.0 * square * (1.0 + square) * end.pair.inverse_weight
    });
    text.reals("end_regulariser", regularisers);
    let pairs = model
        .self_contacts
        .iter()
        .map(|contact| contact.pair.spring);
    let springs: Vec<Spring> = ends.iter().map(|e| e.pair.spring).chain(pairs).collect();
    spring(text, "CONTACT", &springs)
}

fn pairs<const N: usize>(text: &mut Text, model: &Model<N>) -> Result<(), String> {
    let pairs = &model.self_contacts;
    if pairs.iter().any(|contact| contact.pair.friction != 0.0) {
        return Err("friction between its own links".into());
    }
    let of = |body: usize| chain(model, model.bodies[body].last_dof());
    let chains = pairs.iter().map(|c| of(c.second.body) & !of(c.first.body));
    text.integers("u32", "pair_chain", chains);
    text.doubles("pair_margin", pairs.iter().map(|c| c.pair.margin));
    let weights = pairs.iter().map(|c| c.pair.inverse_weight);
    text.doubles("pair_inverse_weight", weights);
    text.doubles("pair_reach_square", pairs.iter().map(reach_square));
    for (name, side) in [("first", 0), ("second", 1)] {
        let capsules = || pairs.iter().map(move |c| [c.first, c.second][side]);
        let named = |what: &str| format!("pair_{name}_{what}");
        text.integers("int", &named("body"), capsules().map(|c| c.body as i64));
        text.reals(&named("centre_x"), capsules().map(|c| c.centre[0]));
        text.reals(&named("centre_z"), capsules().map(|c| c.centre[1]));
        text.reals(&named("axis_x"), capsules().map(|c| c.axis[0]));
        text.reals(&named("axis_z"), capsules().map(|c| c.axis[1]));
        text.doubles(&named("half_length"), capsules().map(|c| c.half_length));
        text.doubles(&named("radius"), capsules().map(|c| c.radius));
    }
    Ok(())
}

/// The square of the distance of two capsules' centres from which on they cannot touch.
fn reach_square(contact: &SelfContact) -> f64 {
    let reach = contact.reach();
    reach * reach
}
