//! Point mazes: push a ball through a maze to a goal, with D4RL's maze2d geometry, rewards and physics.
//!
//! The ball (0.1 m, 4.19 kg, damping 1 N·s/m) slides without friction; a wall pushes like a MuJoCo contact does, through
//! the engine's solver; semi-implicit Euler of 0.01 s with implicit damping. The episode does not end at the goal. As in
//! D4RL, a cell's walls lie 0.2 m off the cell's whole-number coordinates. If the ball's centre is inside a wall, the
//! nearest side pushes it out (MuJoCo may choose the top, which cannot move it).

use super::maze_layouts::{FreeCells, Layout};
use crate::env::{Component, Env, EnvSpec, Joints, Rules, Stateful, Step};
use crate::planar::Margin;
use crate::planar::ball::{Ball, Wall};
use crate::random::Stream;
use crate::render::{Scene, Shape, scene_palette as palette};

const RADIUS: f64 = 0.1;
const DENSITY: f64 = 1000.0;
const DAMPING: f64 = 1.0;
const TIMESTEP: f64 = 0.01;
const GEOM_MARGIN: f64 = 0.002;
pub(crate) const MAX_FORCE: f64 = 100.0;
pub(crate) const MAX_SPEED: f64 = 5.0;
pub(crate) const GOAL_RADIUS: f64 = 0.5;
/// D4RL draws the ball at 1.2 and the walls at 1.0 beyond their cell's indices.
pub(crate) const WALL_OFFSET: f64 = -0.2;
pub(crate) const WALL_HALF_SIZE: f64 = 0.5;
/// The ball starts within ± this of its cell's middle, m.
pub(crate) const START_NOISE: f64 = 0.1;
/// Standard deviation of its first velocities, m/s.
pub(crate) const START_SPEED: f64 = 0.1;

/// How reaching the goal is rewarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MazeReward {
    /// 1 within half a metre of the goal, else 0.
    Sparse,
    /// exp(−distance to the goal), at every timestep.
    Dense,
}

/// The ball at rest.
pub(crate) fn ball(margin: Margin) -> Ball {
    let width = match margin {
        Margin::Max => GEOM_MARGIN,
        Margin::Sum => 2.0 * GEOM_MARGIN,
    };
    Ball::new(RADIUS, DENSITY, DAMPING, TIMESTEP, width)
}

/// A ball in a maze.
#[derive(Clone, Debug)]
pub struct PointMaze {
    spec: EnvSpec,
    layout: Layout,
    reward: MazeReward,
    starts: Vec<[f64; 2]>,
    goal: [f64; 2],
    ball: Ball,
}

impl PointMaze {
    /// A maze with the ball on the first free cell.
    pub fn new(layout: Layout, reward: MazeReward, margin: Margin) -> Self {
        let FreeCells {
            cells: starts,
            goal,
        } = layout.free_cells();
        let mut ball = ball(margin);
        ball.position = starts[0];
        Self {
            spec: spec(&layout, reward, margin),
            layout,
            reward,
            starts,
            goal,
            ball,
        }
    }

    /// Returns the walls and free cells.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Where the goal is, m.
    pub fn goal(&self) -> [f64; 2] {
        self.goal
    }

    /// The walls that the ball could touch: those of its cell and the eight around it.
    fn walls(&self) -> ([Wall; 9], usize) {
        let mut walls = [Wall {
            centre: [0.0; 2],
            half_size: WALL_HALF_SIZE,
        }; 9];
        let mut count = 0;
        let cell = self.ball.position.map(|x| (x - WALL_OFFSET).round() as i64);
        for row in cell[0] - 1..=cell[0] + 1 {
            for column in cell[1] - 1..=cell[1] + 1 {
                if self.layout.is_wall(row, column) {
                    let centre = [row as f64 + WALL_OFFSET, column as f64 + WALL_OFFSET];
                    walls[count].centre = centre;
                    count += 1;
                }
            }
        }
        (walls, count)
    }

    fn write<T>(&self, observation: &mut [T], narrow: impl Fn(f64) -> T) {
        let values = self.ball.position.iter().chain(&self.ball.velocity);
        for (slot, &value) in observation.iter_mut().zip(values) {
            *slot = narrow(value);
        }
    }
}

impl Env for PointMaze {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) {
        let mut stream = Stream::new(seed);
        let cell = self.starts[stream.below(self.starts.len())];
        self.ball.position = cell.map(|x| x + stream.uniform(-START_NOISE, START_NOISE));
        self.ball.velocity = [0; 2].map(|_| START_SPEED * stream.normal());
        self.ball.guess = [0.0; 2];
        self.write(observation, |x| x as f32);
    }

    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> Step {
        let [first, second] = action else {
            panic!("the point maze has two actions")
        };
        let force = [first, second].map(|&a| MAX_FORCE * f64::from(a.clamp(-1.0, 1.0)));
        self.ball.velocity = self.ball.velocity.map(|v| v.clamp(-MAX_SPEED, MAX_SPEED));
        let (walls, count) = self.walls();
        self.ball.step(force, &walls[..count]);
        self.write(observation, |x| x as f32);
        let [x, y] = self.ball.position;
        let distance = libm::hypot(x - self.goal[0], y - self.goal[1]);
        let reward = match self.reward {
            MazeReward::Sparse if distance <= GOAL_RADIUS => 1.0,
            MazeReward::Sparse => 0.0,
            MazeReward::Dense => libm::exp(-distance),
        };
        Step {
            reward,
            terminated: false,
        }
    }
}

impl Stateful for PointMaze {
    fn state_dims(&self) -> [usize; 2] {
        [2, 2]
    }

    fn set_state(&mut self, position: &[f64], velocity: &[f64]) {
        self.ball.position = [position[0], position[1]];
        self.ball.velocity = [velocity[0], velocity[1]];
        self.ball.guess = [0.0; 2];
    }

    fn state(&self) -> Joints {
        Joints {
            position: self.ball.position.to_vec(),
            velocity: self.ball.velocity.to_vec(),
        }
    }

    fn observe(&self, observation: &mut [f64]) {
        self.write(observation, |x| x);
    }

    fn scene(&self) -> Scene {
        let rows = self.layout.rows;
        let size = [rows.len(), rows[0].len()].map(|cells| cells as f64);
        let mut shapes = Vec::new();
        for row in 0..rows.len() {
            for column in 0..rows[row].len() {
                if self.layout.is_wall(row as i64, column as i64) {
                    let centre = [row as f64 + WALL_OFFSET, column as f64 + WALL_OFFSET];
                    let (half_size, colour) = ([WALL_HALF_SIZE; 2], palette::FLOOR);
                    shapes.push(Shape::Rectangle {
                        centre,
                        half_size,
                        colour,
                    });
                }
            }
        }
        let mut disc = |at: [f64; 2], radius, colour| {
            shapes.push(Shape::Capsule {
                from: at,
                to: at,
                radius,
                colour,
            });
        };
        disc(self.goal, 0.25, palette::GOAL);
        disc(self.ball.position, RADIUS, palette::BODY);
        let centre = size.map(|cells| 0.5 * (cells - 1.0) + WALL_OFFSET);
        Scene {
            centre,
            size: size.map(|cells| cells + 0.2),
            shapes,
        }
    }
}

pub(crate) fn spec(layout: &Layout, reward: MazeReward, margin: Margin) -> EnvSpec {
    let (kind, reference, formula) = match reward {
        MazeReward::Sparse => ("", layout.sparse, "1 within 0.5 m of the goal, else 0"),
        MazeReward::Dense => (
            "-dense",
            layout.dense,
            "exp(−distance to the goal in metres)",
        ),
    };
    EnvSpec {
        id: format!("pointmaze-{}{kind}-v1", layout.name),
        observation_dim: 4,
        action_dim: 2,
        horizon: layout.horizon,
        timestep: TIMESTEP,
        engine: "tiltrl-planar".into(),
        engine_version: env!("CARGO_PKG_VERSION").into(),
        margin: Some(margin),
        reference: Some(reference),
        observation: vec![
            Component::unbounded("x of the ball", "m"),
            Component::unbounded("y of the ball", "m"),
            Component::unbounded("x velocity of the ball", "m/s"),
            Component::unbounded("y velocity of the ball", "m/s"),
        ],
        action: ["x", "y"]
            .map(|axis| Component::bounded(format!("force along {axis}"), "N", [-MAX_FORCE, MAX_FORCE]))
            .to_vec(),
        rules: Rules {
            summary: format!("Push a ball through the {} maze to the goal.", layout.name),
            reward: formula.into(),
            start: "a random free cell, moved by a uniform number within ±0.1 m; velocities normal with deviation 0.1"
                .into(),
            termination: "never (nor at the goal)".into(),
            versions: "v1, as maze2d-*-v1 of D4RL.".into(),
            source: "d4rl/pointmaze (Apache 2.0)".into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::maze_layouts::{LARGE, MEDIUM, UMAZE};
    use super::*;

    #[test]
    fn the_ball_never_enters_a_wall() {
        for layout in [UMAZE, MEDIUM, LARGE] {
            let mut maze = PointMaze::new(layout, MazeReward::Sparse, Margin::Max);
            let mut observation = [0.0; 4];
            maze.reset(3, &mut observation);
            let mut stream = Stream::new(4);
            let mut action = [0.0; 2];
            for t in 0..3000 {
                if t % 40 == 0 {
                    action = [
                        stream.uniform(-1.0, 1.0) as f32,
                        stream.uniform(-1.0, 1.0) as f32,
                    ];
                }
                maze.step(&action, &mut observation);
                let cell = maze.ball.position.map(|x| (x - WALL_OFFSET).round() as i64);
                assert!(!layout.is_wall(cell[0], cell[1]), "{} at {t}", layout.name);
            }
        }
    }

    #[test]
    fn only_the_neighbourhood_of_the_goal_pays() {
        let mut maze = PointMaze::new(UMAZE, MazeReward::Sparse, Margin::Max);
        let goal = maze.goal();
        assert_eq!(goal, [1.0, 1.0]);
        maze.set_state(&[goal[0], goal[1] + 0.49], &[0.0; 2]);
        assert_eq!(maze.step(&[0.0; 2], &mut [0.0; 4]).reward, 1.0);
        maze.set_state(&[goal[0], goal[1] + 0.51], &[0.0; 2]);
        assert_eq!(maze.step(&[0.0; 2], &mut [0.0; 4]).reward, 0.0);
        let mut dense = PointMaze::new(UMAZE, MazeReward::Dense, Margin::Max);
        dense.set_state(&goal, &[0.0; 2]);
        assert!((dense.step(&[0.0; 2], &mut [0.0; 4]).reward - 1.0).abs() < 1e-12);
    }
}
