// Symmetric matrices with the sparsity of a kinematic tree, lower half, factored from the leaves to the root as H = LᵀDL
// (planar/tree.rs; R. Featherstone, "Rigid Body Dynamics Algorithms", 2008, §6.5).

// Whether degree of freedom i is an ancestor of k, or k itself; whether it is an ancestor.
DEVICE int on_chain(int k, int i) { return (dof_chain(k) >> i) & 1u; }
DEVICE int above(int k, int i) { return i < k && on_chain(k, i); }

DEVICE real dot(const real a[DOFS], const real b[DOFS]) {
  real sum = a[0] * b[0];
  UNROLLED for (int k = 1; k < DOFS; k++) sum += a[k] * b[k];
  return sum;
}

// The matrix times a vector.
DEVICE void multiply(const real matrix[DOFS][DOFS], const real vector[DOFS], real out[DOFS]) {
  UNROLLED for (int k = 0; k < DOFS; k++) {
    real sum = matrix[k][k] * vector[k];
    UNROLLED for (int i = 0; i < DOFS; i++)
      if (above(k, i)) {
        sum += matrix[k][i] * vector[i];
        out[i] += matrix[k][i] * vector[k];
      }
    out[k] = sum;
  }
}

// Replaces H by L (below the diagonal) and 1/D (on it).
DEVICE void factor(real matrix[DOFS][DOFS]) {
  UNROLLED for (int t = 0; t < DOFS; t++) {
    const int k = DOFS - 1 - t;
    const real inverse = 1 / matrix[k][k];
    real row[DOFS];
    UNROLLED for (int i = 0; i < DOFS; i++) if (above(k, i)) row[i] = matrix[k][i];
    UNROLLED for (int i = 0; i < DOFS; i++)
      if (above(k, i)) {
        const real scaled = row[i] * inverse;
        UNROLLED for (int j = 0; j < DOFS; j++) if (j <= i && on_chain(i, j)) matrix[i][j] -= row[j] * scaled;
        matrix[k][i] = scaled;
      }
    matrix[k][k] = inverse;
  }
}

// Replaces the right-hand side by the solution of LᵀDL x = b.
DEVICE void solve(const real factors[DOFS][DOFS], real vector[DOFS]) {
  UNROLLED for (int t = 0; t < DOFS; t++) {
    const int k = DOFS - 1 - t;
    UNROLLED for (int i = 0; i < DOFS; i++) if (above(k, i)) vector[i] -= factors[k][i] * vector[k];
  }
  UNROLLED for (int k = 0; k < DOFS; k++) {
    real value = vector[k] * factors[k][k];
    UNROLLED for (int i = 0; i < DOFS; i++) if (above(k, i)) value -= factors[k][i] * vector[i];
    vector[k] = value;
  }
}
