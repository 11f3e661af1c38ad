//! Row-major matrix products on one thread: a checked front for the `gemm` crate.

/// How an operand is read.
#[derive(Clone, Copy)]
pub enum Layout {
    /// As stored.
    Plain,
    /// Transposed.
    Transposed,
}

/// Computes `output += a · b` (`Accumulate`) or `output = a · b`, all row-major.
///
/// # Shapes
/// `output` [m, n]; `a` is stored as [m, k] (or [k, m] when `Transposed`), `b` as [k, n] (or [n, k]).
///
/// # Panics
/// When a slice is shorter than its shape.
pub fn matmul(
    [m, k, n]: [usize; 3],
    (a, a_layout): (&[f32], Layout),
    (b, b_layout): (&[f32], Layout),
    output: &mut [f32],
    accumulate: bool,
) {
    assert!(a.len() >= m * k && b.len() >= k * n && output.len() >= m * n);
    let (a_row, a_column) = match a_layout {
        Layout::Plain => (k as isize, 1),
        Layout::Transposed => (1, m as isize),
    };
    let (b_row, b_column) = match b_layout {
        Layout::Plain => (n as isize, 1),
        Layout::Transposed => (1, k as isize),
    };
    // SAFETY: the assertion above keeps every access inside the three slices; `output` is borrowed mutably.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            output.as_mut_ptr(),
            1,
            n as isize,
            accumulate,
            a.as_ptr(),
            a_column,
            a_row,
            b.as_ptr(),
            b_column,
            b_row,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
