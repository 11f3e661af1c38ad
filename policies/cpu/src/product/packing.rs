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
    let (rows, _) = panel.as_chunks_mut::<BLOCK>();
    for (out, from) in rows.iter_mut().zip(columns.chunks(step)) {
        if let (true, Some(from)) = (valid == BLOCK, from.first_chunk()) {
            *out = *from;
        } else {
            out[..valid].copy_from_slice(&from[..valid]);
            out[valid..].fill(0.0);
        }
    }
}

/// Writes the transpose of `columns` [≤ 16, k] to `panel` [k, 16]; missing columns become zero.
fn transpose(k: usize, columns: &[f32], panel: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        return crate::transpose::transpose(k, columns, panel);
    }
    transpose_plainly(k, columns, panel);
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
    for c in 0..valid {
        for row in whole..k {
            rows[row][c] = columns[c * k + row];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_transpose_write_the_same() {
        for (columns, k) in [(16, 256), (16, 37), (5, 16), (1, 1), (13, 33), (16, 3)] {
            let values: Vec<f32> = (0..columns * k).map(|i| i as f32 + 1.0).collect();
            let mut panels = [vec![f32::NAN; k * BLOCK], vec![f32::NAN; k * BLOCK]];
            transpose(k, &values, &mut panels[0]);
            transpose_plainly(k, &values, &mut panels[1]);
            assert_eq!(panels[0], panels[1], "{columns} {k}");
            assert_eq!(
                panels[0][(k - 1) * BLOCK + columns - 1],
                (columns * k) as f32
            );
        }
    }
}
