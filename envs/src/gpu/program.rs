//! The programs for the device: one per robot, and one per rule that changes a robot's numbers.

use super::classic::System;
use super::{Mode, tables};
use crate::env::EnvSpec;
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

/// A runner of either number of joints, or a classic system.
#[derive(Clone, Debug)]
enum AnyTask {
    Six(Arc<Task<6>>),
    Nine(Arc<Task<9>>),
    Classic(System),
}

/// The programs that PTX is made of: `(name, id, margin rule)`. Other ids and rules share their numbers.
pub const PROGRAMS: [(&str, &str, Margin); 8] = [
    ("halfcheetah", "halfcheetah-v4", Margin::Max),
    ("hopper-max", "hopper-v4", Margin::Max),
    ("hopper-sum", "hopper-v4", Margin::Sum),
    ("walker2d-v4", "walker2d-v4", Margin::Max),
    ("walker2d-v5", "walker2d-v5", Margin::Max),
    ("pendulum", "pendulum-v1", Margin::Max),
    ("cartpole-swingup", "cartpole-swingup-v0", Margin::Max),
    ("mountaincar", "mountaincar-continuous-v0", Margin::Max),
];

/// The environment ids that a device can run.
pub fn ids() -> Vec<&'static str> {
    let known = |id: &&str| Program::of(id, Margin::Max).is_some();
    crate::ids().into_iter().filter(known).collect()
}

impl Program {
    /// The program of an environment id under a margin rule, or `None` if the device has none. The classic systems touch
    /// nothing: for them the rule does not matter.
    pub fn of(id: &str, margin: Margin) -> Option<Self> {
        use Variant::{V4, V5};
        let nine = AnyTask::Nine;
        let id = id.to_lowercase();
        if let Some(system) = System::of(&id) {
            let (name, ..) = PROGRAMS.into_iter().find(|(_, listed, _)| *listed == id)?;
            let task = AnyTask::Classic(system);
            return Some(Self { name, task });
        }
        let (name, task) = match (id.as_str(), margin) {
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

    /// The compiled kernels, which a driver turns into code for its device; `None` in a mode that it does not have.
    pub fn ptx(&self, mode: Mode) -> Option<&'static str> {
        Some(match (self.name, mode) {
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
            ("walker2d-v5", Mode::Fast) => include_str!("../../gpu/ptx/walker2d-v5-fast.ptx"),
            ("walker2d-v5", Mode::F32) => include_str!("../../gpu/ptx/walker2d-v5-f32.ptx"),
            ("walker2d-v5", Mode::F64) => include_str!("../../gpu/ptx/walker2d-v5-f64.ptx"),
            ("pendulum", Mode::F64) => include_str!("../../gpu/ptx/pendulum-f64.ptx"),
            ("cartpole-swingup", Mode::F64) => {
                include_str!("../../gpu/ptx/cartpole-swingup-f64.ptx")
            }
            ("mountaincar", Mode::F64) => include_str!("../../gpu/ptx/mountaincar-f64.ptx"),
            _ => return None,
        })
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
            AnyTask::Classic(system) => return self.classic(*system, mode, entry_points),
        };
        let tables = tables.map_err(|what| format!("the kernels do not know {what}"))?;
        let parts = [
            sizes.as_str(),
            include_str!("../../gpu/kernels/language.h"),
            &tables,
            include_str!("../../gpu/kernels/numbers.h"),
            include_str!("../../gpu/kernels/libm.h"),
            include_str!("../../gpu/kernels/random.h"),
            include_str!("../../gpu/kernels/environments.h"),
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

    fn classic(&self, system: System, mode: Mode, entry_points: &str) -> Result<String, String> {
        if !self.modes().contains(&mode) {
            return Err(format!("{} runs in f64 only", self.name));
        }
        let [sizes, numbers] = system.texts();
        let parts = [
            sizes.as_str(),
            include_str!("../../gpu/kernels/language.h"),
            &numbers,
            include_str!("../../gpu/kernels/numbers.h"),
            include_str!("../../gpu/kernels/libm.h"),
            include_str!("../../gpu/kernels/random.h"),
            include_str!("../../gpu/kernels/environments.h"),
            include_str!("../../gpu/kernels/classic.h"),
            entry_points,
        ];
        Ok(parts.join("\n"))
    }

    /// The modes that it has: all, and for a classic system, whose arithmetic is the CPU's, f64.
    pub fn modes(&self) -> &'static [Mode] {
        match &self.task {
            AnyTask::Classic(_) => &[Mode::F64],
            AnyTask::Six(_) | AnyTask::Nine(_) => &Mode::ALL,
        }
    }

    /// What is fixed about the environment.
    pub fn spec(&self) -> EnvSpec {
        match &self.task {
            AnyTask::Six(task) => task.spec.clone(),
            AnyTask::Nine(task) => task.spec.clone(),
            AnyTask::Classic(system) => system.spec(),
        }
    }

    /// Length of an observation.
    pub fn observation_dim(&self) -> usize {
        self.spec().observation_dim
    }

    /// Length of an action.
    pub fn action_dim(&self) -> usize {
        self.spec().action_dim
    }

    /// Numbers that the device keeps of an environment: a robot's positions but x (that stands apart), velocities and
    /// guess; a system's state.
    pub fn state_rows(&self) -> usize {
        match &self.task {
            AnyTask::Six(_) => 3 * 6 - 1,
            AnyTask::Nine(_) => 3 * 9 - 1,
            AnyTask::Classic(system) => system.state_rows(),
        }
    }

    /// Whether the alive bonus is also paid on the step that terminates.
    pub fn bonus_on_last_step(&self) -> bool {
        let rules = match &self.task {
            AnyTask::Six(task) => task.rules,
            AnyTask::Nine(task) => task.rules,
            AnyTask::Classic(_) => return false,
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
        assert!(Program::of("reacher-v4", Margin::Max).is_none());
        let pendulum = Program::of("Pendulum-v1", Margin::Sum).expect("known");
        assert_eq!(
            (pendulum.name, pendulum.modes()),
            ("pendulum", &[Mode::F64][..])
        );
        assert!(pendulum.source(Mode::Fast).is_err() && pendulum.ptx(Mode::Fast).is_none());
    }
}
