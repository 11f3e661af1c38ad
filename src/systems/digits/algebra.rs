//! The little linear algebra that images ask for: symmetric eigenproblems, Fréchet distances, principal components.

/// Eigenvalues with their vectors.
pub struct Eigen {
    /// The values, in no order.
    pub values: Vec<f64>,
    /// The vectors [n · n]: row i belongs to value i.
    pub vectors: Vec<f64>,
}

/// Returns what a symmetric matrix [n · n] does along its own directions, by Jacobi's rotations.
pub fn eigen(matrix: &[f64], n: usize) -> Eigen {
    let mut a = matrix.to_vec();
    let mut vectors = vec![0.0; n * n];
    (0..n).for_each(|i| vectors[i * n + i] = 1.0);
    let scale: f64 = a.iter().map(|v| v * v).sum::<f64>().max(f64::MIN_POSITIVE);
    for _ in 0..100 {
        let mut off = 0.0;
        for p in 0..n {
            for q in p + 1..n {
                off += a[p * n + q].powi(2);
                rotate(&mut a, &mut vectors, n, (p, q));
            }
        }
        if off < 1e-24 * scale {
            break;
        }
    }
    Eigen {
        values: (0..n).map(|i| a[i * n + i]).collect(),
        vectors,
    }
}

/// Zeroes entry (p, q).
fn rotate(a: &mut [f64], vectors: &mut [f64], n: usize, (p, q): (usize, usize)) {
    let off = a[p * n + q];
    if off == 0.0 {
        return;
    }
    let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * off);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let t = if theta == 0.0 { 1.0 } else { t };
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    for k in 0..n {
        let (x, y) = (a[k * n + p], a[k * n + q]);
        a[k * n + p] = c * x - s * y;
        a[k * n + q] = s * x + c * y;
    }
    for m in [a, vectors] {
        for k in 0..n {
            let (x, y) = (m[p * n + k], m[q * n + k]);
            m[p * n + k] = c * x - s * y;
            m[q * n + k] = s * x + c * y;
        }
    }
}

/// Returns the square root of a symmetric positive semi-definite matrix [n · n]; eigenvalues below zero count as zero.
fn root(matrix: &[f64], n: usize) -> Vec<f64> {
    let Eigen { values, vectors } = eigen(matrix, n);
    let mut out = vec![0.0; n * n];
    for (value, v) in values.iter().zip(vectors.chunks_exact(n)) {
        let weight = value.max(0.0).sqrt();
        for i in 0..n {
            for j in 0..n {
                out[i * n + j] += weight * v[i] * v[j];
            }
        }
    }
    out
}

fn product(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
    let mut out = vec![0.0; n * n];
    for i in 0..n {
        for k in 0..n {
            let x = a[i * n + k];
            for j in 0..n {
                out[i * n + j] += x * b[k * n + j];
            }
        }
    }
    out
}

/// Mean `[n]` and covariance [n · n] of rows.
#[derive(Clone, Debug)]
pub struct Moments {
    /// Mean of the rows, `[n]`.
    pub mean: Vec<f64>,
    /// Covariance, over the number of rows less one.
    pub covariance: Vec<f64>,
}

impl Moments {
    /// Returns the moments of rows [rows · n], of which there must be two.
    pub fn of(rows: &[f32], n: usize) -> Self {
        let count = (rows.len() / n) as f64;
        let mut mean = vec![0.0; n];
        for row in rows.chunks_exact(n) {
            mean.iter_mut()
                .zip(row)
                .for_each(|(m, &v)| *m += f64::from(v));
        }
        mean.iter_mut().for_each(|m| *m /= count);
        let mut covariance = vec![0.0; n * n];
        let mut centred = vec![0.0; n];
        for row in rows.chunks_exact(n) {
            for ((c, &v), m) in centred.iter_mut().zip(row).zip(&mean) {
                *c = f64::from(v) - m;
            }
            for i in 0..n {
                let x = centred[i];
                let line = &mut covariance[i * n..(i + 1) * n];
                line.iter_mut().zip(&centred).for_each(|(s, c)| *s += x * c);
            }
        }
        covariance.iter_mut().for_each(|c| *c /= count - 1.0);
        Self { mean, covariance }
    }
}

/// Returns the squared Fréchet distance of two Gaussians: |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½) (Dowson and Landau 1982; the
/// distance of arXiv:1706.08500, in whatever features the rows are).
pub fn frechet(a: &Moments, b: &Moments) -> f64 {
    let n = a.mean.len();
    let between: f64 = a
        .mean
        .iter()
        .zip(&b.mean)
        .map(|(x, y)| (x - y).powi(2))
        .sum();
    let half = root(&a.covariance, n);
    let inner = product(&product(&half, &b.covariance, n), &half, n);
    let values = eigen(&inner, n).values;
    let cross: f64 = values.iter().map(|v| v.max(0.0).sqrt()).sum();
    let trace = |m: &[f64]| (0..n).map(|i| m[i * n + i]).sum::<f64>();
    (between + trace(&a.covariance) + trace(&b.covariance) - 2.0 * cross).max(0.0)
}

/// Directions of largest variance, the largest first.
pub struct Principal {
    /// Rows [count · n] of length one.
    pub directions: Vec<f64>,
    /// The variance along each.
    pub variances: Vec<f64>,
}

/// Returns the `count` directions of largest variance of a covariance [n · n], by orthogonal iteration.
pub fn principal(covariance: &[f64], n: usize, count: usize) -> Principal {
    const SWEEPS: usize = 60;
    // A start that no symmetry of images makes orthogonal to what is looked for.
    let start = |i: usize, j: usize| (((i * 7919 + j * 104_729 + 13) % 2027) as f64 / 2027.0) - 0.5;
    let mut rows: Vec<f64> = (0..count * n).map(|at| start(at / n, at % n)).collect();
    for _ in 0..SWEEPS {
        orthonormalise(&mut rows, n);
        rows = applied(&rows, covariance, n);
    }
    orthonormalise(&mut rows, n);
    // The subspace stands; within it a small eigenproblem gives the directions.
    let moved = applied(&rows, covariance, n);
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let mut inner = vec![0.0; count * count];
    for i in 0..count {
        for j in 0..count {
            let forth = dot(&rows[i * n..(i + 1) * n], &moved[j * n..(j + 1) * n]);
            let back = dot(&rows[j * n..(j + 1) * n], &moved[i * n..(i + 1) * n]);
            inner[i * count + j] = 0.5 * (forth + back);
        }
    }
    let Eigen { values, vectors } = eigen(&inner, count);
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    let mut out = vec![0.0; count * n];
    for (to, &from) in out.chunks_exact_mut(n).zip(&order) {
        for (k, weight) in vectors[from * count..(from + 1) * count].iter().enumerate() {
            let row = &rows[k * n..(k + 1) * n];
            to.iter_mut().zip(row).for_each(|(t, r)| *t += weight * r);
        }
    }
    Principal {
        directions: out,
        variances: order.iter().map(|&i| values[i]).collect(),
    }
}

fn applied(rows: &[f64], matrix: &[f64], n: usize) -> Vec<f64> {
    let mut out = vec![0.0; rows.len()];
    for (to, row) in out.chunks_exact_mut(n).zip(rows.chunks_exact(n)) {
        for (x, line) in row.iter().zip(matrix.chunks_exact(n)) {
            to.iter_mut().zip(line).for_each(|(t, m)| *t += x * m);
        }
    }
    out
}

/// Gram and Schmidt, twice for the sake of rounding.
fn orthonormalise(rows: &mut [f64], n: usize) {
    let count = rows.len() / n;
    for i in 0..count {
        let (before, rest) = rows.split_at_mut(i * n);
        let row = &mut rest[..n];
        for _ in 0..2 {
            for other in before.chunks_exact(n) {
                let along: f64 = row.iter().zip(other).map(|(x, y)| x * y).sum();
                row.iter_mut().zip(other).for_each(|(x, y)| *x -= along * y);
            }
        }
        let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        row.iter_mut().for_each(|x| *x /= length.max(1e-300));
    }
}

#[cfg(test)]
mod tests {
    use tiltrl_tilt::noise::Noise;

    use super::*;

    fn diagonal(mean: &[f64], variances: &[f64]) -> Moments {
        let n = mean.len();
        let mut covariance = vec![0.0; n * n];
        (0..n).for_each(|i| covariance[i * n + i] = variances[i]);
        Moments {
            mean: mean.to_vec(),
            covariance,
        }
    }

    /// Commuting covariances: |Δμ|² + Σ (σ₁ − σ₂)².
    #[test]
    fn frechet_of_two_gaussians_is_the_closed_form() {
        let a = diagonal(&[0.0, 1.0, 2.0], &[1.0, 4.0, 9.0]);
        let b = diagonal(&[0.5, 1.0, 0.0], &[4.0, 4.0, 1.0]);
        let exact = 0.25 + 4.0 + 1.0 + 0.0 + 4.0;
        assert!((frechet(&a, &b) - exact).abs() < 1e-9);
        assert!(frechet(&a, &a).abs() < 1e-9);
    }

    /// In two dimensions tr (Σ₁Σ₂)^½ = √(tr Σ₁Σ₂ + 2 √det Σ₁Σ₂), also where they do not commute.
    #[test]
    fn frechet_of_gaussians_that_do_not_commute() {
        let with = |covariance: [f64; 4]| Moments {
            mean: vec![0.0; 2],
            covariance: covariance.to_vec(),
        };
        let (a, b) = ([2.0, 0.7, 0.7, 1.0], [1.0, -0.4, -0.4, 3.0]);
        let trace = a[0] * b[0] + 2.0 * a[1] * b[1] + a[3] * b[3];
        let det = |m: [f64; 4]| m[0] * m[3] - m[1] * m[2];
        let cross = (trace + 2.0 * (det(a) * det(b)).sqrt()).sqrt();
        let exact = a[0] + a[3] + b[0] + b[3] - 2.0 * cross;
        let found = frechet(&with(a), &with(b));
        assert!((found - exact).abs() < 1e-9, "{found} {exact}");
    }

    #[test]
    fn moments_of_samples_come_near_those_of_their_distribution() {
        let z = Noise::keyed(1, "moments", 0).normals(40_000, 2);
        let rows: Vec<f32> = z
            .chunks_exact(2)
            .flat_map(|z| [1.0 + 2.0 * z[0], z[0] + 0.5 * z[1]])
            .collect();
        let found = Moments::of(&rows, 2);
        let exact = Moments {
            mean: vec![1.0, 0.0],
            covariance: vec![4.0, 2.0, 2.0, 1.25],
        };
        let pairs = found.covariance.iter().zip(&exact.covariance);
        assert!(
            pairs.clone().all(|(f, e)| (f - e).abs() < 0.08),
            "{found:?}"
        );
        assert!(frechet(&found, &exact) < 1e-3);
    }

    #[test]
    fn principal_directions_are_eigenvectors_in_order() {
        let n = 6;
        let mut matrix = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..n {
                let shared = if i == j { (n - i) as f64 } else { 0.0 };
                matrix[i * n + j] = shared + 0.3 / (1.0 + (i as f64 - j as f64).abs());
            }
        }
        let Principal {
            directions: rows,
            variances: values,
        } = principal(&matrix, n, 3);
        let mut all = eigen(&matrix, n).values;
        all.sort_by(|a, b| b.total_cmp(a));
        for (k, row) in rows.chunks_exact(n).enumerate() {
            assert!((values[k] - all[k]).abs() < 1e-6, "{values:?} {all:?}");
            let moved = applied(row, &matrix, n);
            let error = moved
                .iter()
                .zip(row)
                .map(|(m, r)| (m - values[k] * r).abs());
            assert!(error.fold(0.0, f64::max) < 1e-3);
        }
    }
}
