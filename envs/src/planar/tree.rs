//! Symmetric matrices with the sparsity of a kinematic tree, and their factorization.
//!
//! Entry (i, j) can differ from zero only if one degree of freedom is the other's ancestor. Factoring from the leaves to
//! the root as H = LᵀDL then makes no new entries (R. Featherstone, "Rigid Body Dynamics Algorithms", 2008, §6.5).

use super::lanes::{Lanes, Real};

/// A symmetric matrix, lower half: `matrix[i][j]` with j ≤ i.
pub type Matrix<const N: usize, const L: usize, T = f64> = [[Lanes<L, T>; N]; N];

/// A degree of freedom's ancestors, root first, and last itself.
#[derive(Clone, Copy, Debug)]
pub struct Chain<const N: usize> {
    dofs: [usize; N],
    len: usize,
}

impl<const N: usize> Chain<N> {
    /// The chain of a dof that hangs on `parent` (none: on the world).
    pub fn below(parent: Option<&Self>, dof: usize) -> Self {
        let mut chain = parent.copied().unwrap_or(Self {
            dofs: [0; N],
            len: 0,
        });
        chain.dofs[chain.len] = dof;
        chain.len += 1;
        chain
    }

    /// The ancestors and the dof itself, root first.
    #[inline(always)]
    pub fn dofs(&self) -> &[usize] {
        &self.dofs[..self.len]
    }

    /// The ancestors without the dof itself, root first.
    #[inline(always)]
    pub fn ancestors(&self) -> &[usize] {
        &self.dofs[..self.len - 1]
    }
}

/// Which degree of freedom hangs on which.
#[derive(Clone, Debug)]
pub struct Tree<const N: usize> {
    /// The chain of each degree of freedom.
    pub chains: [Chain<N>; N],
}

impl<const N: usize> Tree<N> {
    /// Replaces H by L (below the diagonal) and 1/D (on it), H = LᵀDL.
    #[inline(always)]
    pub fn factor<const L: usize, T: Real>(&self, matrix: &mut Matrix<N, L, T>) {
        for k in (0..N).rev() {
            let inverse = Lanes::splat(1.0) / matrix[k][k];
            let row = matrix[k];
            let ancestors = self.chains[k].ancestors();
            for (position, &i) in ancestors.iter().enumerate() {
                let scaled = row[i] * inverse;
                for &j in &ancestors[..=position] {
                    matrix[i][j] -= row[j] * scaled;
                }
                matrix[k][i] = scaled;
            }
            matrix[k][k] = inverse;
        }
    }

    /// Replaces the right-hand side by the solution of LᵀDL x = b.
    #[inline(always)]
    pub fn solve<const L: usize, T: Real>(
        &self,
        factors: &Matrix<N, L, T>,
        vector: &mut [Lanes<L, T>; N],
    ) {
        for k in (0..N).rev() {
            let value = vector[k];
            for &i in self.chains[k].ancestors() {
                vector[i] -= factors[k][i] * value;
            }
        }
        for k in 0..N {
            let mut value = vector[k] * factors[k][k];
            for &i in self.chains[k].ancestors() {
                value -= factors[k][i] * vector[i];
            }
            vector[k] = value;
        }
    }

    /// The matrix times a vector.
    #[inline(always)]
    pub fn multiply<const L: usize, T: Real>(
        &self,
        matrix: &Matrix<N, L, T>,
        vector: &[Lanes<L, T>; N],
    ) -> [Lanes<L, T>; N] {
        let mut out = [Lanes::ZERO; N];
        for k in 0..N {
            let mut sum = matrix[k][k] * vector[k];
            for &i in self.chains[k].ancestors() {
                sum += matrix[k][i] * vector[i];
                out[i] += matrix[k][i] * vector[k];
            }
            out[k] += sum;
        }
        out
    }
}

/// The scalar product of two vectors.
#[inline(always)]
pub fn dot<const N: usize, const L: usize, T: Real>(
    a: &[Lanes<L, T>; N],
    b: &[Lanes<L, T>; N],
) -> Lanes<L, T> {
    let mut sum = Lanes::ZERO;
    for k in 0..N {
        sum += a[k] * b[k];
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fork() -> Tree<4> {
        // 0 ← 1, 0 ← 2 ← 3
        let root = Chain::below(None, 0);
        let third = Chain::below(Some(&root), 2);
        Tree {
            chains: [
                root,
                Chain::below(Some(&root), 1),
                third,
                Chain::below(Some(&third), 3),
            ],
        }
    }

    #[test]
    fn solving_a_tree_system_undoes_the_multiplication() {
        let tree = fork();
        let mut matrix = [[Lanes::ZERO; 4]; 4];
        for (i, j, value) in [
            (0, 0, 9.0),
            (1, 0, 1.0),
            (1, 1, 4.0),
            (2, 0, -2.0),
            (2, 2, 5.0),
            (3, 0, 0.5),
            (3, 2, 1.5),
            (3, 3, 3.0),
        ] {
            matrix[i][j] = Lanes([value, 2.0 * value]);
        }
        let want = [1.0, -2.0, 3.0, 0.25].map(|x| Lanes([x, -x]));
        let mut vector = tree.multiply(&matrix, &want);
        assert_eq!(vector[0].0[0], 9.0 - 2.0 - 6.0 + 0.125);
        tree.factor(&mut matrix);
        tree.solve(&matrix, &mut vector);
        for (got, want) in vector.iter().zip(want) {
            assert!((got.0[0] - want.0[0]).abs() < 1e-14 && (got.0[1] - want.0[1]).abs() < 1e-14);
        }
    }
}
