//! The mazes of D4RL's maze2d (J. Fu et al., arXiv 2004.07219, Apache 2.0): # is a wall, G the goal. Rows run along x,
//! columns along y.

use crate::scores::{self, ReferenceScores};

/// A maze and its rules.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// What the id calls it.
    pub name: &'static str,
    /// One string per row.
    pub rows: &'static [&'static str],
    /// Steps of an episode.
    pub horizon: usize,
    /// Returns that score 0 and 100 with the sparse reward.
    pub sparse: ReferenceScores,
    /// Returns that score 0 and 100 with the dense reward.
    pub dense: ReferenceScores,
}

/// Cells of a maze without a wall, by row and column.
pub struct FreeCells {
    /// All of them, the goal last.
    pub cells: Vec<[f64; 2]>,
    /// Where the goal is.
    pub goal: [f64; 2],
}

impl Layout {
    /// Whether a cell is a wall; outside the maze everything is.
    pub fn is_wall(&self, row: i64, column: i64) -> bool {
        let cell = usize::try_from(row)
            .ok()
            .and_then(|row| self.rows.get(row))
            .zip(usize::try_from(column).ok())
            .and_then(|(row, column)| row.as_bytes().get(column));
        cell.is_none_or(|&cell| cell == b'#')
    }

    /// Returns the cells without a wall.
    pub fn free_cells(&self) -> FreeCells {
        let (mut cells, mut goal) = (Vec::new(), [0.0; 2]);
        for (row, line) in self.rows.iter().enumerate() {
            for (column, cell) in line.bytes().enumerate() {
                match cell {
                    b'G' => goal = [row as f64, column as f64],
                    b'#' => {}
                    _ => cells.push([row as f64, column as f64]),
                }
            }
        }
        cells.push(goal);
        FreeCells { cells, goal }
    }
}

/// One bend: start and goal lie on both sides of a wall.
pub const UMAZE: Layout = Layout {
    name: "umaze",
    rows: &["#####", "#G..#", "###.#", "#...#", "#####"],
    horizon: 300,
    sparse: scores::MAZE_UMAZE,
    dense: ReferenceScores {
        min: 68.537_689,
        max: 193.662_856_423_814_82,
    },
};

/// D4RL's medium maze, 8 × 8 cells.
pub const MEDIUM: Layout = Layout {
    name: "medium",
    rows: &[
        "########", "#..##..#", "#..#...#", "##...###", "#..#...#", "#.#..#.#", "#...#.G#",
        "########",
    ],
    horizon: 600,
    sparse: scores::MAZE_MEDIUM,
    dense: ReferenceScores {
        min: 44.264_742,
        max: 297.455_254_777_712_5,
    },
};

/// D4RL's large maze.
pub const LARGE: Layout = Layout {
    name: "large",
    rows: &[
        "############",
        "#....#.....#",
        "#.##.#.#.#.#",
        "#......#...#",
        "#.####.###.#",
        "#..#.#.....#",
        "##.#.#.#.###",
        "#..#...#.G.#",
        "############",
    ],
    horizon: 800,
    sparse: scores::MAZE_LARGE,
    dense: ReferenceScores {
        min: 30.569_041,
        max: 303.485_738_270_900_2,
    },
};
