//! The programs for the device: one per robot, and one per rule that changes a robot's numbers.

use super::{Mode, tables};
use crate::locomotion::{Task, Variant, half_cheetah, hopper, walker2d};
use crate::planar::Margin;
use std::sync::Arc;

/// A task as the device runs it.
#[derive(Clone, Debug)]
pub struct Program {
    /// The file name of its PTX without the mode.
    pub name: &'static str,
    task: AnyTask,
}

/// A task of either number of joints.
#[derive(Clone, Debug)]
enum AnyTask {
    Six(Arc<Task<6>>),
    Nine(Arc<Task<9>>),
}

/// The programs that PTX is made of: `(name, id, margin rule)`. Other ids and rules share their numbers.
pub const PROGRAMS: [(&str, &str, Margin); 5] = [
    ("halfcheetah", "halfcheetah-v4", Margin::Max),
    ("hopper-max", "hopper-v4", Margin::Max),
    ("hopper-sum", "hopper-v4", Margin::Sum),
    ("walker2d-v4", "walker2d-v4", Margin::Max),
    ("walker2d-v5", "walker2d-v5", Margin::Max),
];

impl Program {
    /// The program of an environment id under a margin rule, or `None` if the device has none.
    pub fn of(id: &str, margin: Margin) -> Option<Self> {
        use Variant::{V4, V5};
        let nine = AnyTask::Nine;
        let (name, task) = match (id.to_lowercase().as_str(), margin) {
            ("halfcheetah-v4", _) => ("halfcheetah", nine(half_cheetah(V4, margin))),
            ("halfcheetah-v5", _) => ("halfcheetah", nine(half_cheetah(V5, margin))),
            ("hopper-v4", Margin::Max) => ("hopper-max", AnyTask::Six(hopper(V4, margin))),
            ("hopper-v5", Margin::Max) => ("hopper-max", AnyTask::Six(hopper(V5, margin))),
            ("hopper-v4", Margin::Sum) => ("hopper-sum", AnyTask::Six(hopper(V4, margin))),
            ("hopper-v5", Margin::Sum) => ("hopper-sum", AnyTask::Six(hopper(V5, margin))),
            ("walker2d-v4", _) => ("walker2d-v4", nine(walker2d(V4, margin))),
            ("walker2d-v5", _) => ("walker2d-v5", nine(walker2d(V5, margin))),
            _ => return None,
        };
        Some(Self { name, task })
    }

    /// The text that NVRTC compiles for a mode.
    ///
    /// # Errors
    /// If the robot has something that the kernels do not know; the text says what.
    pub fn source(&self, mode: Mode) -> Result<String, String> {
        self.text(mode, include_str!("../../gpu/kernels/kernels.cu"))
    }

    /// The compiled kernels, which a driver turns into code for its device.
    pub fn ptx(&self, mode: Mode) -> &'static str {
        match (self.name, mode) {
            ("halfcheetah", Mode::Fast) => include_str!("../../gpu/ptx/halfcheetah-fast.ptx"),
            ("halfcheetah", Mode::F32) => include_str!("../../gpu/ptx/halfcheetah-f32.ptx"),
            ("halfcheetah", Mode::F64) => include_str!("../../gpu/ptx/halfcheetah-f64.ptx"),
            ("hopper-max", Mode::Fast) => include_str!("../../gpu/ptx/hopper-max-fast.ptx"),
            ("hopper-max", Mode::F32) => include_str!("../../gpu/ptx/hopper-max-f32.ptx"),
            ("hopper-max", Mode::F64) => include_str!("../../gpu/ptx/hopper-max-f64.ptx"),
            ("hopper-sum", Mode::Fast) => include_str!("../../gpu/ptx/hopper-sum-fast.ptx"),
            ("hopper-sum", Mode::F32) => include_str!("../../gpu/ptx/hopper-sum-f32.ptx"),
            ("hopper-sum", Mode::F64) => include_str!("../../gpu/ptx/hopper-sum-f64.ptx"),
            ("walker2d-v4", Mode::Fast) => include_str!("../../gpu/ptx/walker2d-v4-fast.ptx"),
            ("walker2d-v4", Mode::F32) => include_str!("../../gpu/ptx/walker2d-v4-f32.ptx"),
            ("walker2d-v4", Mode::F64) => include_str!("../../gpu/ptx/walker2d-v4-f64.ptx"),
            (_, Mode::Fast) => include_str!("../../gpu/ptx/walker2d-v5-fast.ptx"),
            (_, Mode::F32) => include_str!("../../gpu/ptx/walker2d-v5-f32.ptx"),
            (_, Mode::F64) => include_str!("../../gpu/ptx/walker2d-v5-f64.ptx"),
        }
    }

    /// The text of the twin, the same functions for a C++ compiler.
    ///
    /// # Errors
    /// As [`Self::source`].
    pub fn twin_source(&self, mode: Mode) -> Result<String, String> {
        self.text(mode, include_str!("../../gpu/kernels/twin.cpp"))
    }

    fn text(&self, mode: Mode, entry_points: &str) -> Result<String, String> {
        let (sizes, tables) = match &self.task {
            AnyTask::Six(task) => (tables::sizes(task, mode), tables::tables(task)),
            AnyTask::Nine(task) => (tables::sizes(task, mode), tables::tables(task)),
        };
        let tables = tables.map_err(|what| format!("the kernels do not know {what}"))?;
        let parts = [
            sizes.as_str(),
            include_str!("../../gpu/kernels/language.h"),
            &tables,
            include_str!("../../gpu/kernels/numbers.h"),
            include_str!("../../gpu/kernels/random.h"),
            include_str!("../../gpu/kernels/tree.h"),
            include_str!("../../gpu/kernels/kinematics.h"),
            include_str!("../../gpu/kernels/contacts.h"),
            include_str!("../../gpu/kernels/solver.h"),
            include_str!("../../gpu/kernels/engine.h"),
            include_str!("../../gpu/kernels/locomotion.h"),
            entry_points,
        ];
        Ok(parts.join("\n"))
    }

    /// Length of an observation.
    pub fn observation_dim(&self) -> usize {
        match &self.task {
            AnyTask::Six(task) => task.spec.observation_dim,
            AnyTask::Nine(task) => task.spec.observation_dim,
        }
    }

    /// Length of an action.
    pub fn action_dim(&self) -> usize {
        match &self.task {
            AnyTask::Six(task) => task.spec.action_dim,
            AnyTask::Nine(task) => task.spec.action_dim,
        }
    }

    /// Numbers that the device keeps of a robot besides its way: positions but x, velocities, guess.
    pub fn state_rows(&self) -> usize {
        match &self.task {
            AnyTask::Six(_) => 3 * 6 - 1,
            AnyTask::Nine(_) => 3 * 9 - 1,
        }
    }

    /// Whether the alive bonus is also paid on the step that terminates.
    pub fn bonus_on_last_step(&self) -> bool {
        let rules = match &self.task {
            AnyTask::Six(task) => task.rules,
            AnyTask::Nine(task) => task.rules,
        };
        rules.health.is_some_and(|health| health.bonus_on_last_step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_rules_that_share_a_program_have_the_same_numbers() {
        for id in ["halfcheetah", "hopper", "walker2d"] {
            for version in ["v4", "v5"] {
                for margin in [Margin::Max, Margin::Sum] {
                    let program = Program::of(&format!("{id}-{version}"), margin).expect("known");
                    let (_, first_id, first_margin) = PROGRAMS
                        .into_iter()
                        .find(|(name, ..)| *name == program.name)
                        .expect("listed");
                    let first = Program::of(first_id, first_margin).expect("listed");
                    for mode in Mode::ALL {
                        let same = |text: String| text.split_once('\n').map(|(_, t)| t.to_string());
                        let (one, two) = (program.source(mode), first.source(mode));
                        assert_eq!(
                            one.map(same).expect("known"),
                            two.map(same).expect("known"),
                            "{id}-{version} {margin}"
                        );
                    }
                }
            }
        }
        assert!(Program::of("pendulum-v1", Margin::Max).is_none());
    }
}
