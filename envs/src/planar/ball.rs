//! A ball that slides in a plane and touches square walls without friction, by the engine's contact equations.

use super::constraints::Constraints;
use super::description::Softness;
use super::lanes::Lanes;
use super::model::Spring;
use super::solver::minimise;
use super::tree::{Chain, Tree};
use std::f64::consts::PI;

/// An axis-aligned square wall.
#[derive(Clone, Copy, Debug)]
pub struct Wall {
    /// Its centre, m.
    pub centre: [f64; 2],
    /// Half its side, m.
    pub half_size: f64,
}

/// A ball with two degrees of freedom.
#[derive(Clone, Debug)]
pub struct Ball {
    /// Position of the centre in the plane, m.
    pub position: [f64; 2],
    /// Velocity of the centre, m/s.
    pub velocity: [f64; 2],
    /// The last solved acceleration, from which the solver starts.
    pub guess: [f64; 2],
    pub(crate) radius: f64,
    pub(crate) mass: f64,
    pub(crate) damping: f64,
    pub(crate) timestep: f64,
    pub(crate) margin: f64,
    pub(crate) spring: Spring,
    tree: Tree<2>,
}

impl Ball {
    /// A ball at rest: radius in m, density in kg/m³, damping in N·s/m, timestep in s, contact margin in m.
    pub fn new(radius: f64, density: f64, damping: f64, timestep: f64, margin: f64) -> Self {
        let first = Chain::below(None, 0);
        Self {
            position: [0.0; 2],
            velocity: [0.0; 2],
            guess: [0.0; 2],
            radius,
            mass: density * 4.0 / 3.0 * PI * radius.powi(3),
            damping,
            timestep,
            margin,
            spring: Spring::new(Softness::DEFAULT, timestep),
            tree: Tree {
                chains: [first, Chain::below(Some(&first), 1)],
            },
        }
    }

    /// One step under a force in N among walls: semi-implicit Euler, damping taken implicitly.
    pub fn step(&mut self, force: [f64; 2], walls: &[Wall]) {
        let mut constraints = Constraints::<2, 1>::new();
        for wall in walls {
            self.touch(wall, &mut constraints);
        }
        let zero = Lanes::ZERO;
        let mass = [[Lanes([self.mass]), zero], [zero, Lanes([self.mass])]];
        let total = [0, 1].map(|k| Lanes([force[k] - self.damping * self.velocity[k]]));
        let mut acceleration = self.guess.map(|x| Lanes([x]));
        minimise(
            &self.tree,
            &mass,
            &total,
            &mut constraints,
            &mut acceleration,
        );
        self.guess = acceleration.map(|x| x.0[0]);
        let share = self.damped_share();
        for k in 0..2 {
            self.velocity[k] += self.timestep * share * self.guess[k];
            self.position[k] += self.timestep * self.velocity[k];
        }
    }

    /// The part of the acceleration that is left when the damping is taken at the end of the step.
    pub(crate) fn damped_share(&self) -> f64 {
        self.mass / (self.mass + self.timestep * self.damping)
    }

    fn touch(&self, wall: &Wall, constraints: &mut Constraints<2, 1>) {
        let offset = [0, 1].map(|k| self.position[k] - wall.centre[k]);
        let nearest = offset.map(|x| x.clamp(-wall.half_size, wall.half_size));
        let apart = [offset[0] - nearest[0], offset[1] - nearest[1]];
        let length = (apart[0] * apart[0] + apart[1] * apart[1]).sqrt();
        let (distance, normal) = if length > 0.0 {
            (length - self.radius, [apart[0] / length, apart[1] / length])
        } else {
            // The centre is inside: out by the nearest side.
            let axis = usize::from(offset[1].abs() > offset[0].abs());
            let mut normal = [0.0; 2];
            normal[axis] = 1.0_f64.copysign(offset[axis]);
            (offset[axis].abs() - wall.half_size - self.radius, normal)
        };
        if distance >= self.margin {
            return;
        }
        let depth = Lanes([distance - self.margin]);
        let impedance = self.spring.impedance(depth);
        let weight = Spring::weight(impedance, 1.0 / self.mass);
        let speed = normal[0] * self.velocity[0] + normal[1] * self.velocity[1];
        let reference =
            Lanes([-self.spring.damping * speed]) - impedance * depth * self.spring.stiffness;
        let rows = constraints.push_contact();
        rows.last_dof = 1;
        rows.normal = normal.map(|x| Lanes([x]));
        rows.tangent = [Lanes::ZERO; 2];
        rows.friction = 0.0;
        rows.weights = [Lanes::ZERO, Lanes::ZERO, weight];
        rows.references = [reference; 3];
    }
}
