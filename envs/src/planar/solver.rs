//! The acceleration under constraints: the minimum of a strictly convex, piecewise quadratic cost.
//!
//! cost(a) = ½ aᵀMa − fᵀa + ½ Σ weightᵢ·min(0, Jᵢa − referenceᵢ)², by Newton's method with an exact line search, from
//! the acceleration of the step before. A lane that has converged stands still while its neighbours go on.

use super::constraints::Constraints;
use super::lanes::{Lanes, Real};
use super::tree::{Matrix, Tree, dot};

/// Replaces `acceleration` (the guess) by the minimum; returns how many Newton steps the slowest lane took.
#[inline(always)]
pub fn minimise<const N: usize, const L: usize, T: Real>(
    tree: &Tree<N>,
    mass: &Matrix<N, L, T>,
    force: &[Lanes<L, T>; N],
    constraints: &mut Constraints<N, L, T>,
    acceleration: &mut [Lanes<L, T>; N],
) -> usize {
    let mut pull = tree.multiply(mass, acceleration);
    let mut force_scale = Lanes::ZERO;
    for k in 0..N {
        force_scale = force_scale.max(force[k].abs()).max(pull[k].abs());
        pull[k] -= force[k];
    }
    constraints.measure(tree, acceleration);
    for iteration in 0..T::MAX_NEWTON_STEPS {
        let mut gradient = pull;
        let largest = constraints.add_gradient(tree, &mut gradient);
        let mut norm = Lanes::ZERO;
        for component in gradient {
            norm = norm.max(component.abs());
        }
        let tolerance = force_scale.max(largest) * T::SOLVER_TOLERANCE;
        if !tolerance.any_below(norm) {
            return iteration;
        }
        let mut hessian = *mass;
        constraints.add_hessian(tree, &mut hessian);
        tree.factor(&mut hessian);
        let mut direction = gradient.map(|component| -component);
        tree.solve(&hessian, &mut direction);
        let mass_direction = tree.multiply(mass, &direction);
        constraints.measure_slopes(tree, &direction);
        let start = [
            dot(&pull, &direction),
            dot(&mass_direction, &direction),
            dot(&gradient, &direction),
        ];
        let length = line_search(constraints, start);
        let length = tolerance.select_below(norm, length, Lanes::ZERO);
        for k in 0..N {
            acceleration[k] += length * direction[k];
            pull[k] += length * mass_direction[k];
        }
        constraints.advance(length);
    }
    T::MAX_NEWTON_STEPS
}

/// The length at which the cost along the measured slopes is least. `start` holds the quadratic part's first and second
/// derivative and the whole cost's first derivative, all at length zero.
#[inline(always)]
fn line_search<const N: usize, const L: usize, T: Real>(
    constraints: &Constraints<N, L, T>,
    start: [Lanes<L, T>; 3],
) -> Lanes<L, T> {
    let [slope, curvature, whole_slope] = start;
    let enough = whole_slope.abs() * T::LINE_TOLERANCE;
    let mut length = Lanes::splat(1.0);
    let mut low = Lanes::ZERO;
    let mut high = Lanes::splat(f64::INFINITY);
    for _ in 0..T::MAX_LINE_SEARCH {
        let (mut first, mut second) = (slope + length * curvature, curvature);
        constraints.add_derivatives(length, &mut first, &mut second);
        let size = first.abs();
        if !enough.any_below(size) {
            break;
        }
        let falling = first.select_below(Lanes::ZERO, length, low);
        high = first.select_below(Lanes::ZERO, high, length);
        low = falling;
        let newton = length - first / second;
        let middle = (low + high) * 0.5;
        // Bisect when Newton leaves the bracket.
        let inside = low.select_below(newton, newton, middle);
        let inside = newton.select_below(high, inside, middle);
        length = enough.select_below(size, inside, length);
    }
    length
}
