//! Products against f64, between instruction sets, and row by row.

use super::*;
use crate::arithmetic::Arithmetic;
use tiltrl_tilt::noise::Noise;

/// The fastest arithmetic of this machine, and f32 where that is another.
fn arithmetics() -> Vec<Arithmetic> {
    let mut all = vec![Arithmetic::best(), Arithmetic::F32];
    all.dedup();
    all
}

fn reference(
    shape: [usize; 3],
    a: impl Fn(usize, usize) -> f32,
    b: impl Fn(usize, usize) -> f32,
) -> Vec<f64> {
    let [m, k, n] = shape;
    let element = |i: usize, c: usize| -> f64 {
        (0..k)
            .map(|j| f64::from(a(i, j)) * f64::from(b(j, c)))
            .sum()
    };
    (0..m * n).map(|e| element(e / n, e % n)).collect()
}

#[test]
fn products_of_odd_sizes_agree_with_f64_in_every_layout() {
    for arithmetic in arithmetics() {
        odd_sizes_agree_with_f64(arithmetic);
    }
}

fn odd_sizes_agree_with_f64(arithmetic: Arithmetic) {
    let mut noise = Noise::keyed(1, "products", 0);
    for [m, k, n] in [
        [1, 1, 1],
        [1, 87, 256],
        [7, 14, 3],
        [13, 33, 64],
        [6, 5, 79],
        [64, 100, 130],
        [0, 4, 5],
        [5, 0, 4],
        [37, 45, 1],
        [1, 24, 16],
        [15, 33, 17],
        [33, 290, 47],
        [100, 50, 48],
        [257, 31, 30],
        [3, 0, 1],
    ] {
        let (a, b) = (noise.normals(m * k, 1), noise.normals(k * n, 1));
        for a_layout in [Layout::Plain, Layout::Transposed] {
            for b_layout in [Layout::Plain, Layout::Transposed] {
                let at = |i: usize, j: usize| match a_layout {
                    Layout::Plain => a[i * k + j],
                    Layout::Transposed => a[j * m + i],
                };
                let bt = |j: usize, c: usize| match b_layout {
                    Layout::Plain => b[j * n + c],
                    Layout::Transposed => b[c * k + j],
                };
                let expected = reference([m, k, n], at, bt);
                let packed = Packed::new(
                    arithmetic,
                    [k, n],
                    Operand {
                        values: &b,
                        layout: b_layout,
                    },
                );
                let mut rights = vec![Right::Packed(&packed)];
                if b_layout == Layout::Plain {
                    rights.push(Right::plain(arithmetic, &b, [k, n]));
                }
                for (right, accumulate) in rights.into_iter().flat_map(|r| [(r, false), (r, true)])
                {
                    let left = Operand {
                        values: &a,
                        layout: a_layout,
                    };
                    let start = if accumulate { 0.5 } else { 0.0 };
                    let mut out = vec![if accumulate { 0.5 } else { f32::NAN }; m * n];
                    matmul(m, left, right, &mut out, accumulate);
                    for (x, y) in out.iter().zip(&expected) {
                        assert!(
                            (f64::from(*x) - y - start).abs() < 1e-4,
                            "{arithmetic}: {m} {k} {n}"
                        );
                    }
                }
            }
        }
    }
}

/// Root mean square and largest distance to f64, relative to the root of Σ (a b)².
fn distances(found: &[f32], [m, k, n]: [usize; 3], a: &[f32], b: &[f32]) -> [f64; 2] {
    let exact = reference([m, k, n], |i, j| a[i * k + j], |j, c| b[j * n + c]);
    let squares = reference(
        [m, k, n],
        |i, j| a[i * k + j].powi(2),
        |j, c| b[j * n + c].powi(2),
    );
    let errors = found.iter().zip(&exact).zip(&squares);
    let errors: Vec<f64> = errors
        .map(|((x, y), s)| (f64::from(*x) - y).abs() / s.sqrt())
        .collect();
    let square: f64 = errors.iter().map(|e| e * e).sum();
    let largest = errors.iter().copied().fold(0.0, f64::max);
    [(square / errors.len() as f64).sqrt(), largest]
}

/// On machines with a matrix unit: its error is less than two thirds of f32's for values of like magnitude and at most a tenth
/// above it (the largest error twice) where magnitudes spread. Elsewhere both are the same.
#[test]
fn products_are_as_exact_as_in_f32_at_every_magnitude() {
    for arithmetic in arithmetics() {
        exact_at_every_magnitude(arithmetic);
    }
}

fn exact_at_every_magnitude(arithmetic: Arithmetic) {
    let mut noise = Noise::keyed(4, "products", 0);
    for [m, k, n] in [[40, 24, 33], [33, 256, 48], [20, 1000, 32]] {
        for spread in [0.0f32, 8.0] {
            // Magnitudes from e^-24 to e^24 beside each other.
            let values = |noise: &mut Noise, count: usize| -> Vec<f32> {
                let pairs = noise.normals(count, 2);
                let pairs = pairs.chunks_exact(2);
                pairs
                    .map(|p| p[0] * (spread * p[1].clamp(-3.0, 3.0)).exp())
                    .collect()
            };
            let (a, b) = (values(&mut noise, m * k), values(&mut noise, k * n));
            let packed = Packed::new(arithmetic, [k, n], Operand::plain(&b));
            let mut chosen = vec![0.0; m * n];
            matmul(m, Operand::plain(&a), &packed, &mut chosen, false);
            let mut plain = vec![0.0; m * n];
            let right = Right::Plain(&b, [k, n]);
            let left = Operand::plain(&a[..]);
            matmul_with(Instructions::Portable, m, left, right, &mut plain, false);
            let [chosen, plain] = [chosen, plain].map(|out| distances(&out, [m, k, n], &a, &b));
            let unit = arithmetic != Arithmetic::F32;
            let share = if unit && spread == 0.0 { 0.67 } else { 1.1 };
            assert!(
                chosen[0] <= share * plain[0] && chosen[1] <= 2.0 * plain[1],
                "{arithmetic}: {m} {k} {n}, spread {spread}: {chosen:?}, in f32 {plain:?}"
            );
        }
    }
}

#[test]
fn what_is_not_finite_stays_in_its_row() {
    for arithmetic in arithmetics() {
        not_finite_stays_in_its_row(arithmetic);
    }
}

fn not_finite_stays_in_its_row(arithmetic: Arithmetic) {
    let mut noise = Noise::keyed(5, "products", 0);
    let (m, k, n) = (40, 50, 33);
    let (mut a, b) = (noise.normals(m * k, 1), noise.normals(k * n, 1));
    let packed = Packed::new(arithmetic, [k, n], Operand::plain(&b));
    let mut clean = vec![0.0; m * n];
    matmul(m, Operand::plain(&a), &packed, &mut clean, false);
    (a[3 * k + 7], a[20 * k], a[39 * k + 49]) =
        (f32::from_bits(u32::MAX), f32::INFINITY, f32::NEG_INFINITY);
    let mut out = vec![0.0; m * n];
    // Twice: what the first product left in buffers must not come back.
    for _ in 0..2 {
        matmul(m, Operand::plain(&a), &packed, &mut out, false);
    }
    for (row, (found, clean)) in out.chunks_exact(n).zip(clean.chunks_exact(n)).enumerate() {
        if [3, 20, 39].contains(&row) {
            assert!(
                found.iter().all(|x| !x.is_finite()),
                "{arithmetic}: row {row}"
            );
        } else {
            assert_eq!(found, clean, "{arithmetic}: row {row}");
        }
    }
    matmul(1, Operand::plain(&a[..k]), &packed, &mut out, false);
    assert_eq!(out[..n], clean[..n]);
}

#[test]
fn a_rows_bytes_do_not_depend_on_the_other_rows() {
    for arithmetic in arithmetics() {
        rows_do_not_depend_on_others(arithmetic);
    }
}

fn rows_do_not_depend_on_others(arithmetic: Arithmetic) {
    let mut noise = Noise::keyed(2, "products", 0);
    let (a, b) = (noise.normals(23, 50), noise.normals(50, 70));
    let packed = Packed::new(arithmetic, [50, 70], Operand::plain(&b));
    let run = |a: &[f32]| {
        let mut out = vec![0.0; a.len() / 50 * 70];
        matmul(a.len() / 50, Operand::plain(a), &packed, &mut out, false);
        out
    };
    let together = run(&a);
    for row in 0..23 {
        assert_eq!(
            run(&a[row * 50..(row + 1) * 50]),
            together[row * 70..(row + 1) * 70]
        );
    }
}
