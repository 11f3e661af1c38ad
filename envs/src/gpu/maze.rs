//! The mazes' numbers as the text that the kernels read.

use super::tables::{Text, angles, softness, solver};
use super::{BLOCK, Mode};
use crate::classic::MazeReward;
use crate::classic::maze_layouts::{LARGE, Layout, MEDIUM, UMAZE};
use crate::classic::point_maze;
use crate::env::EnvSpec;
use crate::planar::Margin;
use crate::planar::model::MAX_CONTACTS;

/// The two bits that tell tasks of one maze apart: the dense reward, and margins that add up.
const DENSE: i32 = 1;
const SUM: i32 = 2;

/// A maze under a reward and a margin rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Maze {
    /// The file name of its PTX without the mode.
    pub name: &'static str,
    layout: Layout,
    reward: MazeReward,
    margin: Margin,
}

impl Maze {
    /// The maze of an environment id.
    pub fn of(id: &str, margin: Margin) -> Option<Self> {
        let all = [
            ("pointmaze-umaze", UMAZE),
            ("pointmaze-medium", MEDIUM),
            ("pointmaze-large", LARGE),
        ];
        let every = all.into_iter().flat_map(|(name, layout)| {
            [MazeReward::Sparse, MazeReward::Dense].map(|reward| Self {
                name,
                layout,
                reward,
                margin,
            })
        });
        every.into_iter().find(|maze| maze.spec().id == id)
    }

    /// What users see.
    pub fn spec(&self) -> EnvSpec {
        point_maze::spec(&self.layout, self.reward, self.margin)
    }

    /// The kernel's argument.
    pub fn rule(&self) -> i32 {
        let reward = match self.reward {
            MazeReward::Sparse => 0,
            MazeReward::Dense => DENSE,
        };
        let margin = match self.margin {
            Margin::Max => 0,
            Margin::Sum => SUM,
        };
        reward | margin
    }

    /// Numbers of its state: position, velocity, guess.
    pub fn state_rows(&self) -> usize {
        6
    }

    /// Everything that stands before `language.h`, and after it.
    pub fn texts(&self) -> [String; 2] {
        let (mut sizes, mut numbers) = (Text::default(), Text::default());
        let spec = self.spec();
        sizes.line(format_args!(
            "// Generated from the Rust layout of {} by gpu/maze.rs; do not edit.",
            self.name
        ));
        sizes.line(format_args!("#define REAL double"));
        sizes.flag("EXACT", true);
        sizes.count("BLOCK", BLOCK);
        sizes.count("DOFS", 2);
        sizes.count("STATE_ROWS", self.state_rows());
        sizes.count("OBSERVATION", spec.observation_dim);
        sizes.count("ACTIONS", spec.action_dim);
        sizes.count("HORIZON", spec.horizon);
        sizes.count("MAX_CONTACTS", MAX_CONTACTS.min(9));
        solver(&mut sizes, Mode::F64);
        angles(&mut numbers);
        self.cells(&mut numbers);
        ball(&mut numbers);
        [sizes.0, numbers.0]
    }

    fn cells(&self, text: &mut Text) {
        let (rows, columns) = (self.layout.rows.len(), self.layout.rows[0].len());
        let cells = self.layout.free_cells();
        let (free, goal) = (cells.cells, cells.goal);
        text.count("MAZE_ROWS", rows);
        text.count("MAZE_COLUMNS", columns);
        let mut words = vec![0_i64; (rows * columns).div_ceil(32)];
        for cell in 0..rows * columns {
            let [row, column] = [cell / columns, cell % columns].map(|k| k as i64);
            words[cell / 32] |= i64::from(self.layout.is_wall(row, column)) << (cell % 32);
        }
        text.count("MAZE_WORDS", words.len());
        text.integers("u32", "maze_word", words);
        text.count("FREE_CELLS", free.len());
        text.number("GOAL_X", goal[0]);
        text.number("GOAL_Y", goal[1]);
        text.number("GOAL_RADIUS", point_maze::GOAL_RADIUS);
        text.number("WALL_OFFSET", point_maze::WALL_OFFSET);
        text.number("WALL_HALF_SIZE", point_maze::WALL_HALF_SIZE);
        // The two degrees of freedom as the engine's solver sees them.
        text.integers("u32", "dof_chain", [1, 3]);
        text.integers("int", "joint_limited", [0, 0]);
    }
}

fn ball(text: &mut Text) {
    let ball = point_maze::ball(Margin::Max);
    text.number("MARGIN_MAX", ball.margin);
    text.number("MARGIN_SUM", point_maze::ball(Margin::Sum).margin);
    text.number("RADIUS", ball.radius);
    text.number("MASS", ball.mass);
    text.number("INVERSE_MASS", 1.0 / ball.mass);
    text.number("DAMPING", ball.damping);
    text.number("TIMESTEP", ball.timestep);
    text.number("TIMESTEP_SHARE", ball.timestep * ball.damped_share());
    text.number("MAX_FORCE", point_maze::MAX_FORCE);
    text.number("MAX_SPEED", point_maze::MAX_SPEED);
    text.number("START_NOISE", point_maze::START_NOISE);
    text.number("START_SPEED", point_maze::START_SPEED);
    softness(text, "CONTACT", ball.spring);
}
