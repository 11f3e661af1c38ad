//! The programs for the device: one per robot, and one per rule that changes a robot's numbers.

use super::balance::Balanced;
use super::classic::System;
use super::maze::Maze;
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

/// A runner of either number of joints, another robot, a maze, or a classic system.
#[derive(Clone, Debug)]
enum AnyTask {
    Six(Arc<Task<6>>),
    Nine(Arc<Task<9>>),
    Balance(Arc<Balanced>),
    Maze(Maze),
    Classic(System),
}

/// The programs that PTX is made of: `(name, id, margin rule)`. Other ids and rules share their numbers.
pub const PROGRAMS: [(&str, &str, Margin); 16] = [
    ("halfcheetah", "halfcheetah-v4", Margin::Max),
    ("hopper-max", "hopper-v4", Margin::Max),
    ("hopper-sum", "hopper-v4", Margin::Sum),
    ("walker2d-v4", "walker2d-v4", Margin::Max),
    ("walker2d-v5", "walker2d-v5", Margin::Max),
    ("pendulum", "pendulum-v1", Margin::Max),
    ("cartpole-swingup", "cartpole-swingup-v0", Margin::Max),
    ("mountaincar", "mountaincar-continuous-v0", Margin::Max),
    ("invertedpendulum", "invertedpendulum-v4", Margin::Max),
    (
        "inverteddoublependulum-v4",
        "inverteddoublependulum-v4",
        Margin::Max,
    ),
    (
        "inverteddoublependulum-v5",
        "inverteddoublependulum-v5",
        Margin::Max,
    ),
    ("reacher-v4", "reacher-v4", Margin::Max),
    ("reacher-v5", "reacher-v5", Margin::Max),
    ("pointmaze-umaze", "pointmaze-umaze-v1", Margin::Max),
    ("pointmaze-medium", "pointmaze-medium-v1", Margin::Max),
    ("pointmaze-large", "pointmaze-large-v1", Margin::Max),
];

/// The kernels of a runner, in order.
const RUNNER: &[&str] = &[
    include_str!("../../gpu/kernels/tree.h"),
    include_str!("../../gpu/kernels/kinematics.h"),
    include_str!("../../gpu/kernels/softness.h"),
    include_str!("../../gpu/kernels/contacts.h"),
    include_str!("../../gpu/kernels/solver.h"),
    include_str!("../../gpu/kernels/engine.h"),
    include_str!("../../gpu/kernels/locomotion.h"),
];

/// Of a robot that balances or reaches.
const BALANCE: &[&str] = &[
    include_str!("../../gpu/kernels/tree.h"),
    include_str!("../../gpu/kernels/kinematics.h"),
    include_str!("../../gpu/kernels/softness.h"),
    include_str!("../../gpu/kernels/contacts.h"),
    include_str!("../../gpu/kernels/solver.h"),
    include_str!("../../gpu/kernels/engine.h"),
    include_str!("../../gpu/kernels/balance.h"),
    include_str!("../../gpu/kernels/systems.h"),
];

/// Source texts of the kernels of a maze.
const MAZE: &[&str] = &[
    include_str!("../../gpu/kernels/tree.h"),
    include_str!("../../gpu/kernels/softness.h"),
    include_str!("../../gpu/kernels/maze_contacts.h"),
    include_str!("../../gpu/kernels/solver.h"),
    include_str!("../../gpu/kernels/maze.h"),
    include_str!("../../gpu/kernels/systems.h"),
];

/// Of a classic system.
const CLASSIC: &[&str] = &[
    include_str!("../../gpu/kernels/classic.h"),
    include_str!("../../gpu/kernels/systems.h"),
];

/// The environment ids that a device can run.
pub fn ids() -> Vec<&'static str> {
    let known = |id: &&str| Program::of(id, Margin::Max).is_some();
    crate::ids().into_iter().filter(known).collect()
}

impl Program {
    /// The program of an environment id under a margin rule, or `None` if the device has none. Where
    /// nothing touches anything the rule does not matter.
    pub fn of(id: &str, margin: Margin) -> Option<Self> {
        use Variant::{V4, V5};
        let nine = AnyTask::Nine;
        let id = id.to_lowercase();
        if let Some(system) = System::of(&id) {
            let (name, ..) = PROGRAMS.into_iter().find(|(_, listed, _)| *listed == id)?;
            let task = AnyTask::Classic(system);
            return Some(Self { name, task });
        }
        if let Some(task) = Balanced::of(&id) {
            let name = task.name;
            let task = AnyTask::Balance(Arc::new(task));
            return Some(Self { name, task });
        }
        if let Some(maze) = Maze::of(&id, margin) {
            let (name, task) = (maze.name, AnyTask::Maze(maze));
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
            (name, Mode::F64) => return small_ptx(name),
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

    /// The same functions in OpenCL C, for tests on other compilers and for whoever drives other makers' cards.
    ///
    /// # Errors
    /// As [`Self::source`].
    pub fn opencl_source(&self, mode: Mode) -> Result<String, String> {
        self.text(mode, include_str!("../../gpu/kernels/kernels.cl"))
    }

    fn text(&self, mode: Mode, entry_points: &str) -> Result<String, String> {
        if !self.modes().contains(&mode) {
            return Err(format!("{} runs in f64 only", self.name));
        }
        let unknown = |what| format!("the kernels do not know {what}");
        let ([before, numbers], files) = match &self.task {
            AnyTask::Six(task) => (runner(task, mode).map_err(unknown)?, RUNNER),
            AnyTask::Nine(task) => (runner(task, mode).map_err(unknown)?, RUNNER),
            AnyTask::Balance(task) => (task.texts().map_err(unknown)?, BALANCE),
            AnyTask::Maze(maze) => (maze.texts(), MAZE),
            AnyTask::Classic(system) => (system.texts(), CLASSIC),
        };
        let mut parts = vec![
            before.as_str(),
            include_str!("../../gpu/kernels/language.h"),
            &numbers,
            include_str!("../../gpu/kernels/numbers.h"),
            include_str!("../../gpu/kernels/libm.h"),
            include_str!("../../gpu/kernels/random.h"),
            include_str!("../../gpu/kernels/environments.h"),
        ];
        parts.extend(files);
        parts.push(entry_points);
        Ok(parts.join("\n"))
    }

    /// The modes that it has: a runner all, the small systems, whose arithmetic is the CPU's, f64.
    pub fn modes(&self) -> &'static [Mode] {
        match &self.task {
            AnyTask::Balance(_) | AnyTask::Maze(_) | AnyTask::Classic(_) => &[Mode::F64],
            AnyTask::Six(_) | AnyTask::Nine(_) => &Mode::ALL,
        }
    }

    /// What is fixed about the environment.
    pub fn spec(&self) -> EnvSpec {
        match &self.task {
            AnyTask::Six(task) => task.spec.clone(),
            AnyTask::Nine(task) => task.spec.clone(),
            AnyTask::Balance(task) => task.spec.clone(),
            AnyTask::Maze(maze) => maze.spec(),
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
            AnyTask::Balance(task) => task.state_rows(),
            AnyTask::Maze(maze) => maze.state_rows(),
            AnyTask::Classic(system) => system.state_rows(),
        }
    }

    /// What tells tasks of one program apart, the kernel's argument. Bit 0: the alive bonus is also paid on the step that
    /// terminates, or the maze rewards densely. Bit 1: the margins of ball and wall add up.
    pub fn rule(&self) -> i32 {
        let rules = match &self.task {
            AnyTask::Six(task) => task.rules,
            AnyTask::Nine(task) => task.rules,
            AnyTask::Balance(task) => return i32::from(task.bonus_on_last_step()),
            AnyTask::Maze(maze) => return maze.rule(),
            AnyTask::Classic(_) => return 0,
        };
        i32::from(rules.health.is_some_and(|health| health.bonus_on_last_step))
    }
}

/// What stands before `language.h` and after it for a runner.
fn runner<const N: usize>(task: &Task<N>, mode: Mode) -> Result<[String; 2], String> {
    let sizes = tables::sizes(task.robot.name, &task.model, mode);
    Ok([sizes.0, tables::tables(task)?])
}

/// The compiled kernels of robots that balance or reach, and of mazes.
fn small_ptx(name: &str) -> Option<&'static str> {
    Some(match name {
        "invertedpendulum" => include_str!("../../gpu/ptx/invertedpendulum-f64.ptx"),
        "inverteddoublependulum-v4" => {
            include_str!("../../gpu/ptx/inverteddoublependulum-v4-f64.ptx")
        }
        "inverteddoublependulum-v5" => {
            include_str!("../../gpu/ptx/inverteddoublependulum-v5-f64.ptx")
        }
        "reacher-v4" => include_str!("../../gpu/ptx/reacher-v4-f64.ptx"),
        "reacher-v5" => include_str!("../../gpu/ptx/reacher-v5-f64.ptx"),
        "pointmaze-umaze" => include_str!("../../gpu/ptx/pointmaze-umaze-f64.ptx"),
        "pointmaze-medium" => include_str!("../../gpu/ptx/pointmaze-medium-f64.ptx"),
        "pointmaze-large" => include_str!("../../gpu/ptx/pointmaze-large-f64.ptx"),
        _ => return None,
    })
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
        for (one, other) in [
            ("invertedpendulum-v4", "invertedpendulum-v5"),
            ("pointmaze-large-v1", "pointmaze-large-dense-v1"),
        ] {
            let [one, other] = [(one, Margin::Max), (other, Margin::Sum)]
                .map(|(id, margin)| Program::of(id, margin).expect("known"));
            assert_eq!(one.source(Mode::F64), other.source(Mode::F64));
            assert!(one.ptx(Mode::F64).is_some() && one.rule() != other.rule());
        }
        assert!(Program::of("ant-v5", Margin::Max).is_none());
        let pendulum = Program::of("Pendulum-v1", Margin::Sum).expect("known");
        assert_eq!(
            (pendulum.name, pendulum.modes()),
            ("pendulum", &[Mode::F64][..])
        );
        assert!(pendulum.source(Mode::Fast).is_err() && pendulum.ptx(Mode::Fast).is_none());
    }
}
