//! The active constraint rows: joint limits, floor contacts and contacts between links.
//!
//! Each row asks for the acceleration J·a = reference and pushes with weight·(reference − J·a) when J·a falls short
//! (E. Todorov, "Convex and analytically-invertible dynamics with contacts and constraints", 2014; MuJoCo's
//! documentation, "Computation"). A contact with friction is a pyramid of four facets J = normal ± μ·tangent. The two
//! facets out of the plane equal the normal row there, so that row stands with twice the weight instead.
//! In a lane where a row is not active its weight is zero.

use super::lanes::{Lanes, Real};
use super::model::MAX_CONTACTS;
use super::tree::{Matrix, Tree};

/// One joint at one of its limits.
#[derive(Clone, Copy)]
pub struct LimitRow<const L: usize, T: Real = f64> {
    /// Index of the joint's degree of freedom.
    pub dof: usize,
    /// +1 at the lower limit, −1 at the upper.
    pub sign: Lanes<L, T>,
    /// Force per missing acceleration.
    pub weight: Lanes<L, T>,
    /// The acceleration asked for.
    pub reference: Lanes<L, T>,
    residual: Lanes<L, T>,
    slope: Lanes<L, T>,
}

/// One contact: its normal and tangent rows and the facets of its friction pyramid.
#[derive(Clone, Copy)]
pub struct ContactRows<const N: usize, const L: usize, T: Real = f64> {
    /// The degree of freedom whose chain moves the contact.
    pub last_dof: usize,
    /// Normal velocity per joint velocity.
    pub normal: [Lanes<L, T>; N],
    /// Tangential velocity per joint velocity.
    pub tangent: [Lanes<L, T>; N],
    /// Sliding friction coefficient μ.
    pub friction: f64,
    /// Weights of the facets normal + μ·tangent and normal − μ·tangent, and of the normal row.
    pub weights: [Lanes<L, T>; 3],
    /// The accelerations asked of the three rows.
    pub references: [Lanes<L, T>; 3],
    residuals: [Lanes<L, T>; 3],
    slopes: [Lanes<L, T>; 3],
}

/// All rows of one moment.
#[derive(Clone)]
pub struct Constraints<const N: usize, const L: usize, T: Real = f64> {
    limits: [LimitRow<L, T>; N],
    num_limits: usize,
    contacts: [ContactRows<N, L, T>; MAX_CONTACTS],
    num_contacts: usize,
}

impl<const N: usize, const L: usize, T: Real> Constraints<N, L, T> {
    /// Returns a set without rows.
    #[inline(always)]
    pub fn new() -> Self {
        let zero = Lanes::ZERO;
        let limit = LimitRow {
            dof: 0,
            sign: zero,
            weight: zero,
            reference: zero,
            residual: zero,
            slope: zero,
        };
        let contact = ContactRows {
            last_dof: 0,
            normal: [zero; N],
            tangent: [zero; N],
            friction: 0.0,
            weights: [zero; 3],
            references: [zero; 3],
            residuals: [zero; 3],
            slopes: [zero; 3],
        };
        Self {
            limits: [limit; N],
            num_limits: 0,
            contacts: [contact; MAX_CONTACTS],
            num_contacts: 0,
        }
    }

    /// Forgets all rows.
    #[inline(always)]
    pub fn clear(&mut self) {
        self.num_limits = 0;
        self.num_contacts = 0;
    }

    /// Adds a limit row: sign, weight and reference acceleration of joint `dof`.
    #[inline(always)]
    pub fn push_limit(
        &mut self,
        dof: usize,
        sign: Lanes<L, T>,
        weight: Lanes<L, T>,
        reference: Lanes<L, T>,
    ) {
        let row = &mut self.limits[self.num_limits];
        (row.dof, row.sign, row.weight, row.reference) = (dof, sign, weight, reference);
        self.num_limits += 1;
    }

    /// The next free contact, for the caller to fill; it counts from now on.
    #[inline(always)]
    pub fn push_contact(&mut self) -> &mut ContactRows<N, L, T> {
        self.num_contacts += 1;
        &mut self.contacts[self.num_contacts - 1]
    }

    /// Measures how far the acceleration is above what each row asks for.
    #[inline(always)]
    pub fn measure(&mut self, tree: &Tree<N>, acceleration: &[Lanes<L, T>; N]) {
        for row in &mut self.limits[..self.num_limits] {
            row.residual = row.sign * acceleration[row.dof] - row.reference;
        }
        for contact in &mut self.contacts[..self.num_contacts] {
            let values = contact.rows_times(tree, acceleration);
            for facet in 0..3 {
                contact.residuals[facet] = values[facet] - contact.references[facet];
            }
        }
    }

    /// Measures how fast each residual changes along a direction of acceleration.
    #[inline(always)]
    pub fn measure_slopes(&mut self, tree: &Tree<N>, direction: &[Lanes<L, T>; N]) {
        for row in &mut self.limits[..self.num_limits] {
            row.slope = row.sign * direction[row.dof];
        }
        for contact in &mut self.contacts[..self.num_contacts] {
            contact.slopes = contact.rows_times(tree, direction);
        }
    }

    /// Moves all residuals by `length` times their slopes.
    #[inline(always)]
    pub fn advance(&mut self, length: Lanes<L, T>) {
        for row in &mut self.limits[..self.num_limits] {
            row.residual += length * row.slope;
        }
        for contact in &mut self.contacts[..self.num_contacts] {
            for facet in 0..3 {
                contact.residuals[facet] += length * contact.slopes[facet];
            }
        }
    }

    /// Adds the constraints' part of the cost's gradient, −Jᵀ·force; returns the largest force of a row.
    #[inline(always)]
    pub fn add_gradient(&self, tree: &Tree<N>, gradient: &mut [Lanes<L, T>; N]) -> Lanes<L, T> {
        let mut largest = Lanes::ZERO;
        for row in &self.limits[..self.num_limits] {
            let pull = row.weight.where_negative(row.residual) * row.residual;
            gradient[row.dof] += pull * row.sign;
            largest = largest.max(pull.abs());
        }
        for contact in &self.contacts[..self.num_contacts] {
            let mut pulls = [Lanes::ZERO; 3];
            for facet in 0..3 {
                let residual = contact.residuals[facet];
                pulls[facet] = contact.weights[facet].where_negative(residual) * residual;
                largest = largest.max(pulls[facet].abs());
            }
            let along_normal = pulls[0] + pulls[1] + pulls[2];
            let along_tangent = (pulls[0] - pulls[1]) * contact.friction;
            for &k in tree.chains[contact.last_dof].dofs() {
                gradient[k] +=
                    contact.normal[k] * along_normal + contact.tangent[k] * along_tangent;
            }
        }
        largest
    }

    /// Adds the constraints' part of the cost's Hessian, Jᵀ·weight·J over the rows that push.
    #[inline(always)]
    pub fn add_hessian(&self, tree: &Tree<N>, hessian: &mut Matrix<N, L, T>) {
        for row in &self.limits[..self.num_limits] {
            hessian[row.dof][row.dof] += row.weight.where_negative(row.residual);
        }
        for contact in &self.contacts[..self.num_contacts] {
            let [plus, minus, normal] =
                [0, 1, 2].map(|f| contact.weights[f].where_negative(contact.residuals[f]));
            let both = plus + minus + normal;
            if !Lanes::ZERO.any_below(both) {
                continue;
            }
            let mixed = (plus - minus) * contact.friction;
            let sideways = (plus + minus) * (contact.friction * contact.friction);
            let dofs = tree.chains[contact.last_dof].dofs();
            for (position, &i) in dofs.iter().enumerate() {
                let normal_part = contact.normal[i] * both + contact.tangent[i] * mixed;
                let tangent_part = contact.normal[i] * mixed + contact.tangent[i] * sideways;
                for &j in &dofs[..=position] {
                    hessian[i][j] +=
                        contact.normal[j] * normal_part + contact.tangent[j] * tangent_part;
                }
            }
        }
    }

    /// Adds the first and second derivative of the constraints' cost at `length` along the measured slopes.
    #[inline(always)]
    pub fn add_derivatives(
        &self,
        length: Lanes<L, T>,
        first: &mut Lanes<L, T>,
        second: &mut Lanes<L, T>,
    ) {
        let mut add = |weight: Lanes<L, T>, residual: Lanes<L, T>, slope: Lanes<L, T>| {
            let moved = residual + length * slope;
            let pull = weight.where_negative(moved) * slope;
            *first += pull * moved;
            *second += pull * slope;
        };
        for row in &self.limits[..self.num_limits] {
            add(row.weight, row.residual, row.slope);
        }
        for contact in &self.contacts[..self.num_contacts] {
            for facet in 0..3 {
                add(
                    contact.weights[facet],
                    contact.residuals[facet],
                    contact.slopes[facet],
                );
            }
        }
    }
}

impl<const N: usize, const L: usize, T: Real> ContactRows<N, L, T> {
    /// The three rows times a vector: normal + μ·tangent, normal − μ·tangent, normal.
    #[inline(always)]
    pub fn rows_times(&self, tree: &Tree<N>, vector: &[Lanes<L, T>; N]) -> [Lanes<L, T>; 3] {
        let (mut normal, mut tangent) = (Lanes::ZERO, Lanes::ZERO);
        for &k in tree.chains[self.last_dof].dofs() {
            normal += self.normal[k] * vector[k];
            tangent += self.tangent[k] * vector[k];
        }
        let sideways = tangent * self.friction;
        [normal + sideways, normal - sideways, normal]
    }
}
