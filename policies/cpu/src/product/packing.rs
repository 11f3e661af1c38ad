//! Packing a right operand into panels of sixteen columns.

use multiversion::multiversion;

use super::layout::{BLOCK, Layout, Operand};

/// Packs `matrix`, stored as [k, n] or, when `Transposed`, as [n, k]; the last panel is padded with zeros.
pub(super) fn pack([k, n]: [usize; 2], matrix: Operand<'_>, panels: &mut Vec<f32>) {
    panels.resize(k * n.next_multiple_of(BLOCK), 0.0);
    if k == 0 {
        return;
    }
    for (index, panel) in panels.chunks_exact_mut(k * BLOCK).enumerate() {
        let first = index * BLOCK;
        let valid = BLOCK.min(n - first);
        match matrix.layout {
            Layout::Plain => copy(&matrix.values[first..], n, valid, panel),
            Layout::Transposed => {
                transpose(k, &matrix.values[first * k..(first + valid) * k], panel)
            }
        }
    }
}

/// Copies the first `valid` ≤ 16 columns of a matrix whose rows lie `step` apart to a panel; zeros after them.
pub(super) fn copy(columns: &[f32], step: usize, valid: usize, panel: &mut [f32]) {
    // So many columns are known when the code is compiled: a row takes a few moves and no call.
    macro_rules! widths {
        ($($width:literal)*) => {
            match valid {
                $($width => copy_columns::<$width>(columns, step, panel),)*
                _ => unreachable!("a panel has {BLOCK} columns"),
            }
        };
    }
    widths!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
}

fn copy_columns<const WIDTH: usize>(columns: &[f32], step: usize, panel: &mut [f32]) {
    let (rows, _) = panel.as_chunks_mut::<BLOCK>();
    for (out, from) in rows.iter_mut().zip(columns.chunks(step)) {
        let from: &[f32; WIDTH] = from.first_chunk().expect("a row holds its columns");
        *out = [0.0; BLOCK];
        out[..WIDTH].copy_from_slice(from);
    }
}

/// Writes the transpose of `columns` [≤ 16, k] to `panel` [k, 16]; missing columns become zero.
fn transpose(k: usize, columns: &[f32], panel: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        return crate::transpose::transpose(k, columns, panel);
    }
    transpose_halves(k, columns, panel);
}

/// As [`transpose`], eight values of eight columns at a time where the CPU has AVX2.
fn transpose_halves(k: usize, columns: &[f32], panel: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if columns.len() == BLOCK * k && is_x86_feature_detected!("avx2") {
        let whole = crate::transpose::avx2::transpose_whole(k, columns, panel);
        return transpose_from(whole, k, columns, panel);
    }
    transpose_plainly(k, columns, panel);
}

/// The rows of the panel from `first` on, one number after the other.
fn transpose_from(first: usize, k: usize, columns: &[f32], panel: &mut [f32]) {
    let (rows, _) = panel.as_chunks_mut::<BLOCK>();
    for (c, column) in columns.chunks_exact(k).enumerate() {
        for (row, value) in rows[first..k].iter_mut().zip(&column[first..]) {
            row[c] = *value;
        }
    }
}

/// As [`transpose`], without instructions of its own.
#[multiversion(targets("x86_64+avx2+fma", "aarch64+neon"))]
fn transpose_plainly(k: usize, columns: &[f32], panel: &mut [f32]) {
    let valid = columns.len() / k;
    let (rows, _) = panel.as_chunks_mut::<BLOCK>();
    if valid < BLOCK {
        rows.as_flattened_mut().fill(0.0);
    }
    let whole = if valid == BLOCK { k - k % BLOCK } else { 0 };
    for row in (0..whole).step_by(BLOCK) {
        let mut block = [[0.0f32; BLOCK]; BLOCK];
        for (c, line) in block.iter_mut().enumerate() {
            line.copy_from_slice(&columns[c * k + row..][..BLOCK]);
        }
        for (r, out) in rows[row..row + BLOCK].iter_mut().enumerate() {
            for (o, line) in out.iter_mut().zip(&block) {
                *o = line[r];
            }
        }
    }
    transpose_from(whole, k, columns, panel);
}

#[cfg(test)]
mod tests {
    use super::*;

    type Way = fn(usize, &[f32], &mut [f32]);

    #[test]
    fn all_ways_to_transpose_write_the_same() {
        for (columns, k) in [(16, 256), (16, 37), (5, 16), (1, 1), (13, 33), (16, 3)] {
            let values: Vec<f32> = (0..columns * k).map(|i| i as f32 + 1.0).collect();
            let ways: [Way; 3] = [transpose, transpose_halves, |k, values, panel| {
                transpose_plainly(k, values, panel);
            }];
            let panels = ways.map(|way| {
                let mut panel = vec![f32::NAN; k * BLOCK];
                way(k, &values, &mut panel);
                panel
            });
            assert!(
                panels[1..].iter().all(|panel| *panel == panels[0]),
                "{columns} {k}"
            );
            assert_eq!(
                panels[0][(k - 1) * BLOCK + columns - 1],
                (columns * k) as f32
            );
        }
    }
}
