//! Products against f64, between instruction sets, and row by row.

use super::*;
use crate::noise::Noise;

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
                let packed = Packed::new([k, n], (&b, b_layout));
                let mut rights = vec![Right::Packed(&packed)];
                if b_layout == Layout::Plain {
                    rights.push(Right::Plain(&b, [k, n]));
                }
                for (right, accumulate) in rights.into_iter().flat_map(|r| [(r, false), (r, true)])
                {
                    let start = if accumulate { 0.5 } else { 0.0 };
                    let mut out = vec![if accumulate { 0.5 } else { f32::NAN }; m * n];
                    matmul(m, (&a, a_layout), right, &mut out, accumulate);
                    for (x, y) in out.iter().zip(&expected) {
                        assert!((f64::from(*x) - y - start).abs() < 1e-4, "{m} {k} {n}");
                    }
                }
            }
        }
    }
}

#[test]
fn every_instruction_set_gives_the_same_bytes() {
    let mut noise = Noise::keyed(3, "products", 0);
    for [m, k, n] in [[7, 33, 150], [64, 14, 3], [13, 128, 64]] {
        let (a, b) = (noise.normals(m * k, 1), noise.normals(k * n, 1));
        let packed = Packed::new([k, n], (&b, Layout::Plain));
        for layout in [Layout::Plain, Layout::Transposed] {
            let rights = [Right::Packed(&packed), Right::Plain(&b, [k, n])];
            let mut chosen = vec![0.5; m * n];
            matmul(m, (&a, layout), rights[0], &mut chosen, true);
            for right in rights {
                let mut plain = [vec![0.5; m * n], vec![0.5; m * n]];
                matmul(m, (&a, layout), right, &mut plain[0], true);
                portable(&a, [m, k], layout, &right, &mut plain[1], true);
                assert_eq!([&chosen, &chosen], [&plain[0], &plain[1]]);
            }
        }
    }
}

#[test]
fn a_rows_bytes_do_not_depend_on_the_other_rows() {
    let mut noise = Noise::keyed(2, "products", 0);
    let (a, b) = (noise.normals(23, 50), noise.normals(50, 70));
    let packed = Packed::new([50, 70], (&b, Layout::Plain));
    let run = |a: &[f32]| {
        let mut out = vec![0.0; a.len() / 50 * 70];
        matmul(a.len() / 50, (a, Layout::Plain), &packed, &mut out, false);
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
