//! Row-major matrix products, the right operand packed beforehand or as it lies.
//!
//! A packed matrix is cut into panels of 32 columns, which fit the first cache up to 256 rows, the rest into panels of 16 padded
//! with zeros; a tile of up to fourteen rows times one panel stays in registers for the whole reduction. Every element is one
//! chain of multiply-adds over the reduced index, in order, whatever the number of rows (a single column read as it lies: sixteen
//! chains): a row's bytes depend neither on the other rows nor on threads, and are the same on every instruction set with fused
//! multiply-add.
//!
//! Where the CPU has a matrix unit, products of at least 24 reduced indices and 16 columns run there ([`Arithmetic::MatrixUnit`]). Their
//! bytes do not depend on other rows or threads either, but differ from those of f32.

mod column;
#[cfg(test)]
mod tests;

use multiversion::multiversion;

use crate::arithmetic::Arithmetic;
use crate::math::{fused, multiply_add};
#[cfg(target_arch = "x86_64")]
use crate::{amx, wide};

const WIDE: usize = 32;
const NARROW: usize = 16;

/// How a matrix is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As stored.
    Plain,
    /// Transposed.
    Transposed,
}

/// The right operand [k, n] of a product, cut into panels.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    k: usize,
    n: usize,
    values: Vec<f32>,
    arithmetic: Arithmetic,
    /// The same for the matrix unit, where it is used; `values` are stale then.
    #[cfg(target_arch = "x86_64")]
    lines: Vec<amx::Line>,
}

/// First column and width of each panel.
fn panels(n: usize) -> impl Iterator<Item = (usize, usize)> {
    let wide = n / WIDE;
    let narrow = (n - wide * WIDE).div_ceil(NARROW);
    let rest = (0..narrow).map(move |p| (wide * WIDE + p * NARROW, NARROW));
    (0..wide).map(|p| (p * WIDE, WIDE)).chain(rest)
}

impl Packed {
    /// Returns an empty matrix that packs for products in this arithmetic.
    pub fn on(arithmetic: Arithmetic) -> Self {
        Self {
            arithmetic,
            ..Self::default()
        }
    }

    /// Whether the matrix is packed for the matrix unit.
    #[cfg(target_arch = "x86_64")]
    fn on_unit(&self) -> bool {
        matches!(self.arithmetic, Arithmetic::MatrixUnit(_)) && amx::suits([self.k, self.n])
    }

    /// Returns rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        [self.k, self.n]
    }

    /// Packs `matrix`, stored as [k, n] or, when `Transposed`, as [n, k]; reuses the buffer.
    ///
    /// # Panics
    /// When `matrix` is shorter than its shape.
    pub fn pack(&mut self, [k, n]: [usize; 2], (matrix, layout): (&[f32], Layout)) {
        assert!(matrix.len() >= k * n);
        (self.k, self.n) = (k, n);
        #[cfg(target_arch = "x86_64")]
        if self.on_unit() {
            return amx::split_right([k, n], (matrix, layout), &mut self.lines);
        }
        self.pack_panels((matrix, layout));
    }

    fn pack_panels(&mut self, (matrix, layout): (&[f32], Layout)) {
        let (k, n) = (self.k, self.n);
        let length: usize = panels(n).map(|(_, width)| width * k).sum();
        self.values.resize(length, 0.0);
        let mut rest = &mut self.values[..];
        for (first, width) in panels(n) {
            let (panel, next) = rest.split_at_mut(width * k);
            rest = next;
            let valid = width.min(n - first);
            match layout {
                Layout::Plain if valid == WIDE => {
                    let (rows, _) = panel.as_chunks_mut::<WIDE>();
                    for (row, out) in rows.iter_mut().enumerate() {
                        let from = matrix[row * n + first..].first_chunk();
                        *out = *from.expect("whole panels");
                    }
                }
                Layout::Plain => {
                    for (row, out) in panel.chunks_exact_mut(width).enumerate() {
                        let start = row * n + first;
                        out[..valid].copy_from_slice(&matrix[start..start + valid]);
                        out[valid..].fill(0.0);
                    }
                }
                Layout::Transposed => {
                    let columns = &matrix[first * k..(first + valid) * k];
                    transpose([k, width], columns, panel);
                }
            }
        }
    }

    /// Returns a packed matrix.
    pub fn new(arithmetic: Arithmetic, shape: [usize; 2], matrix: (&[f32], Layout)) -> Self {
        let mut packed = Self::on(arithmetic);
        packed.pack(shape, matrix);
        packed
    }
}

/// Writes the transpose of `columns` [≤ width, k] to `panel` [k, width]; missing columns become zero.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn transpose([k, width]: [usize; 2], columns: &[f32], panel: &mut [f32]) {
    const BLOCK: usize = 16;
    let valid = columns.len() / k.max(1);
    if valid < width {
        panel.fill(0.0);
    }
    for row in (0..k).step_by(BLOCK) {
        let height = BLOCK.min(k - row);
        for column in (0..valid).step_by(BLOCK) {
            let across = BLOCK.min(valid - column);
            if height == BLOCK && across == BLOCK {
                let mut block = [[0.0f32; BLOCK]; BLOCK];
                for (c, line) in block.iter_mut().enumerate() {
                    line.copy_from_slice(&columns[(column + c) * k + row..][..BLOCK]);
                }
                for r in 0..BLOCK {
                    let out = &mut panel[(row + r) * width + column..][..BLOCK];
                    for (o, line) in out.iter_mut().zip(&block) {
                        *o = line[r];
                    }
                }
            } else {
                for c in 0..across {
                    for r in 0..height {
                        panel[(row + r) * width + column + c] = columns[(column + c) * k + row + r];
                    }
                }
            }
        }
    }
}

/// The sums of one tile: R rows of the left operand times N columns of a panel.
///
/// `left(j)` gives the R values of reduced index j; `panel` is [k, width], the tile starts at `column`.
#[inline(always)]
fn reduce<const R: usize, const N: usize, const FUSED: bool>(
    left: impl Fn(usize) -> [f32; R],
    (panel, width, column): (&[f32], usize, usize),
) -> [[f32; N]; R] {
    let mut sums = [[0.0f32; N]; R];
    for (j, row) in panel.chunks_exact(width).enumerate() {
        // A panic and not a `break`: a second way out of the loop would make the compiler keep the sums in memory.
        let row: &[f32; N] = row[column..].first_chunk().expect("whole tiles");
        let values = left(j);
        for r in 0..R {
            for c in 0..N {
                sums[r][c] = multiply_add::<FUSED>(values[r], row[c], sums[r][c]);
            }
        }
    }
    sums
}

/// Stores a tile. Nothing here indexes the sums by a variable: they must stay in registers.
#[inline(always)]
fn store<const R: usize, const N: usize>(
    sums: [[f32; N]; R],
    (out, stride, valid): (&mut [f32], usize, usize),
    accumulate: bool,
) {
    for (r, line) in sums.iter().enumerate() {
        let row = &mut out[r * stride..];
        if let (true, Some(row)) = (valid >= N, row.first_chunk_mut::<N>()) {
            for c in 0..N {
                row[c] = if accumulate {
                    row[c] + line[c]
                } else {
                    line[c]
                };
            }
        } else {
            for c in 0..N {
                if c < valid {
                    row[c] = if accumulate {
                        row[c] + line[c]
                    } else {
                        line[c]
                    };
                }
            }
        }
    }
}

/// The rows of the left operand: `a` [m, k] as stored, or [k, m] transposed.
#[derive(Clone, Copy)]
struct Left<'a> {
    a: &'a [f32],
    m: usize,
    k: usize,
    layout: Layout,
}

#[inline(always)]
fn rows_of<const R: usize, const N: usize, const FUSED: bool>(
    left: Left<'_>,
    first: usize,
    panel: (&[f32], usize, usize),
    out: (&mut [f32], usize, usize),
    accumulate: bool,
) {
    let Left { a, m, k, layout } = left;
    if layout == Layout::Plain {
        let rows: [&[f32]; R] = std::array::from_fn(|r| &a[(first + r) * k..(first + r + 1) * k]);
        let values = |j: usize| std::array::from_fn(|r| rows[r][j]);
        store(reduce::<R, N, FUSED>(values, panel), out, accumulate);
    } else {
        let values = |j: usize| *a[j * m + first..].first_chunk::<R>().unwrap_or(&[0.0; R]);
        store(reduce::<R, N, FUSED>(values, panel), out, accumulate);
    }
}

/// All rows times one panel of `columns` columns, whose rows lie `width` apart and start at `start`, in sub-panels of N columns.
#[inline(always)]
fn panel_product<const R: usize, const N: usize, const FUSED: bool>(
    left: Left<'_>,
    (panel, width, start): (&[f32], usize, usize),
    columns: usize,
    (out, n, first): (&mut [f32], usize, usize),
    accumulate: bool,
) {
    for column in (0..columns.min(n - first)).step_by(N) {
        let panel = (panel, width, start + column);
        let (mut row, start) = (0, first + column);
        while row < left.m {
            let block = (&mut out[row * n + start..], n, n - start);
            let missing = left.m - row;
            row += match missing {
                _ if missing >= R => {
                    rows_of::<R, N, FUSED>(left, row, panel, block, accumulate);
                    R
                }
                4.. => {
                    rows_of::<4, N, FUSED>(left, row, panel, block, accumulate);
                    4
                }
                2.. => {
                    rows_of::<2, N, FUSED>(left, row, panel, block, accumulate);
                    2
                }
                _ => {
                    rows_of::<1, N, FUSED>(left, row, panel, block, accumulate);
                    1
                }
            };
        }
    }
}

/// The product on instruction sets without a tile of their own.
#[multiversion(targets("x86_64+avx2+fma", "aarch64+neon"))]
fn portable(
    a: &[f32],
    [m, k]: [usize; 2],
    layout: Layout,
    right: &Right,
    out: &mut [f32],
    accumulate: bool,
) {
    const FUSED: bool = fused!();
    let left = Left { a, m, k, layout };
    let n = right.shape()[1];
    let mut start = 0;
    for (first, width) in panels(n) {
        let out = (&mut *out, n, first);
        match *right {
            Right::Packed(packed) => {
                let panel = (&packed.values[start..start + width * k], width, 0);
                panel_product::<4, NARROW, FUSED>(left, panel, width, out, accumulate);
            }
            Right::Plain(values, _) if first + width <= n => {
                let panel = (&values[..k * n], n, first);
                panel_product::<4, NARROW, FUSED>(left, panel, width, out, accumulate);
            }
            Right::Plain(values, _) | Right::PlainOnUnit(values, _) => {
                let mut padded = vec![0.0; k * NARROW];
                let rows = padded.chunks_exact_mut(NARROW);
                for (to, from) in rows.zip(values.chunks_exact(n)) {
                    to[..n - first].copy_from_slice(&from[first..]);
                }
                let panel = (&padded[..], NARROW, 0);
                panel_product::<4, NARROW, FUSED>(left, panel, width, out, accumulate);
            }
        }
        start += width * k;
    }
}

/// The right operand of a product.
#[derive(Clone, Copy)]
pub enum Right<'a> {
    /// Packed beforehand: for operands that are used again.
    Packed(&'a Packed),
    /// Values [k, n] as they lie: for operands that are used once.
    Plain(&'a [f32], [usize; 2]),
    /// As `Plain`, on the matrix unit where the product suits it.
    PlainOnUnit(&'a [f32], [usize; 2]),
}

impl<'a> Right<'a> {
    /// Returns values [k, n] as they lie, for a product in this arithmetic.
    pub fn plain(arithmetic: Arithmetic, values: &'a [f32], shape: [usize; 2]) -> Self {
        match arithmetic {
            Arithmetic::F32 => Self::Plain(values, shape),
            Arithmetic::MatrixUnit(_) => Self::PlainOnUnit(values, shape),
        }
    }
}

impl Right<'_> {
    fn shape(&self) -> [usize; 2] {
        match self {
            Right::Packed(packed) => packed.shape(),
            Right::Plain(_, shape) | Right::PlainOnUnit(_, shape) => *shape,
        }
    }
}

impl<'a> From<&'a Packed> for Right<'a> {
    fn from(packed: &'a Packed) -> Self {
        Right::Packed(packed)
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512(left: Left<'_>, right: Right<'_>, out: &mut [f32], accumulate: bool) {
    let Left { a, m, k, layout } = left;
    let left = wide::Left {
        values: a,
        steps: match layout {
            Layout::Plain => [k, 1],
            Layout::Transposed => [1, m],
        },
    };
    let n = right.shape()[1];
    let mut start = 0;
    for (first, width) in panels(n) {
        let valid = width.min(n - first);
        let (values, step) = match right {
            Right::Packed(packed) => (&packed.values[start..start + width * k], width),
            Right::Plain(values, _) | Right::PlainOnUnit(values, _) => {
                (values.get(first..).unwrap_or_default(), n)
            }
        };
        start += width * k;
        // A packed panel is padded with zeros, so that all of it can be read.
        let packed = matches!(right, Right::Packed(_));
        let panel = wide::Right {
            values,
            k,
            step,
            columns: if packed { width } else { valid },
            valid,
        };
        let out = (&mut out[first..], n);
        if width == WIDE {
            wide::panel::<14, 2>(left, m, panel, out, accumulate);
        } else {
            wide::panel::<12, 1>(left, m, panel, out, accumulate);
        }
    }
}

/// Computes `output = a · b` or, with `accumulate`, `output += a · b`.
///
/// # Shapes
/// `a` is stored as [m, k] (or [k, m] when `Transposed`), `b` is [k, n], `output` is [m, n].
///
/// # Panics
/// When a slice is shorter than its shape.
pub fn matmul<'a>(
    m: usize,
    (a, layout): (&[f32], Layout),
    b: impl Into<Right<'a>>,
    output: &mut [f32],
    accumulate: bool,
) {
    let b = b.into();
    let [k, n] = b.shape();
    assert!(a.len() >= m * k && output.len() >= m * n);
    #[cfg(target_arch = "x86_64")]
    let on_unit = match b {
        Right::Packed(packed) => packed.on_unit(),
        Right::PlainOnUnit(..) => layout == Layout::Transposed && amx::suits_once(m, [k, n]),
        Right::Plain(..) => false,
    };
    let b = match b {
        Right::PlainOnUnit(values, shape) => Right::Plain(values, shape),
        other => other,
    };
    if let Right::Plain(values, _) = b {
        assert!(values.len() >= k * n);
    }
    if m == 0 || n == 0 {
        return;
    }
    if let (Right::Plain(values, _), 1) = (b, n) {
        return column::column(&Left { a, m, k, layout }, values, output, accumulate);
    }
    #[cfg(target_arch = "x86_64")]
    {
        if on_unit {
            let right = match b {
                Right::Packed(packed) => amx::Right::Split(&packed.lines),
                Right::Plain(values, _) | Right::PlainOnUnit(values, _) => {
                    amx::Right::Plain(values)
                }
            };
            return amx::matmul([m, k, n], (a, layout), right, output, accumulate);
        }
    }
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        let left = Left { a, m, k, layout };
        // SAFETY: the CPU has AVX-512, asked a line above.
        return unsafe { avx512(left, b, output, accumulate) };
    }
    portable(a, [m, k], layout, &b, output, accumulate);
}
