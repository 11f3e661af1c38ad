//! The tiles themselves. Written in assembly: the compiler has no stable names for these instructions.

use std::arch::asm;
use std::arch::x86_64::*;

use super::sizes::{CHUNK, SIDE, STEP, chunks, steps};
use super::split::{self, Line};
use crate::product::layout::Operand;

/// Asks Linux for the tile registers.
#[cfg(target_os = "linux")]
pub(super) fn permitted() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const REQUEST_PERMISSION: i64 = 0x1023;
    const TILE_DATA: i64 = 18;
    let bits = __cpuid_count(7, 0).edx;
    let (tiles, products) = (bits >> 24 & 1, bits >> 22 & 1);
    if tiles & products == 0 {
        return false;
    }
    let status: i64;
    // SAFETY: a system call that only changes what this process may use.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => status,
            in("rdi") REQUEST_PERMISSION,
            in("rsi") TILE_DATA,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    status == 0
}

#[cfg(not(target_os = "linux"))]
pub(super) fn permitted() -> bool {
    false
}

/// Shapes of the eight tile registers: 0, 1 and 4 have `heights[0]` rows, 2, 3 and 5 `heights[1]`, the others sixteen.
#[repr(C, align(64))]
struct Shapes([u8; 64]);

impl Shapes {
    fn new(heights: [usize; 2]) -> Self {
        let mut bytes = [0; 64];
        bytes[0] = 1;
        for register in 0..8 {
            bytes[16 + 2 * register] = 64;
            bytes[48 + register] = match register {
                0 | 1 | 4 => heights[0],
                2 | 3 | 5 => heights[1],
                _ => SIDE,
            } as u8;
        }
        Self(bytes)
    }
}

/// Brings a tile of the next step into the first cache: `at` bytes from this step's first line.
macro_rules! fetch {
    (next $at:literal) => {
        concat!(
            ".irp line, 0, 64, 128, 192, 256, 320, 384, 448, 512, 576, 640, 704, 768, 832, 896, 960\n",
            "prefetcht0 [{b} + ", $at, " + \\line]\n",
            ".endr"
        )
    };
    (nothing $at:literal) => {
        ""
    };
}

/// Multiplies the parts that count, left tiles with those of two blocks of columns, for all steps; stores the sums.
///
/// `d` is named in a comment because one block of rows has no use for it, and every operand must be used.
/// With tile registers 4 (and 5) on the left and 6, 7 on the right; the order needs the fewest loads and adds the largest
/// product last: x₂y₀, x₁y₀, x₁y₁, x₀y₁, x₀y₂, x₀y₀.
macro_rules! accumulate {
    ($left:expr, $right:expr, $steps:expr, $sums:expr;
     sums $($sum:literal at $place:literal),*; left $($register:literal from $base:literal),*; products $($product:literal),*; fetch $fetch:ident) => {
        asm!(
            "test {resume}, {resume} /* {d} */",
            "jnz 3f",
            $(concat!("tilezero ", $sum),)*
            "jmp 2f",
            "3:",
            $(concat!("tileloadd ", $sum, ", [", $place, "]"),)*
            "2:",
            $(concat!("tileloadd ", $register, ", [{a} + {line} + 2048 + ", $base, "]"),)*
            "tileloadd tmm6, [{b} + {line}]",
            "tileloadd tmm7, [{b} + {line} + 3072]",
            fetch!($fetch 6144),
            $($product,)*
            $(concat!("tileloadd ", $register, ", [{a} + {line} + 1024 + ", $base, "]"),)*
            fetch!($fetch 7168),
            $($product,)*
            "tileloadd tmm6, [{b} + {line} + 1024]",
            "tileloadd tmm7, [{b} + {line} + 4096]",
            fetch!($fetch 8192),
            $($product,)*
            $(concat!("tileloadd ", $register, ", [{a} + {line} + ", $base, "]"),)*
            fetch!($fetch 9216),
            $($product,)*
            "tileloadd tmm6, [{b} + {line} + 2048]",
            "tileloadd tmm7, [{b} + {line} + 5120]",
            fetch!($fetch 10240),
            $($product,)*
            "tileloadd tmm6, [{b} + {line}]",
            "tileloadd tmm7, [{b} + {line} + 3072]",
            fetch!($fetch 11264),
            $($product,)*
            "add {a}, 6144",
            "add {b}, 6144",
            "dec {steps}",
            "jnz 2b",
            $(concat!("tilestored [", $place, "], ", $sum),)*
            a = inout(reg) $left => _,
            b = inout(reg) $right => _,
            steps = inout(reg) $steps => _,
            c = in(reg) $sums.first,
            d = in(reg) $sums.first.wrapping_add(SIDE * $sums.stride),
            stride = in(reg) $sums.stride * size_of::<f32>(),
            resume = in(reg) u64::from($sums.resume),
            line = in(reg) size_of::<Line>(),
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        )
    };
}

/// Where the sums of 32 columns lie, and whether they go on from what is there.
#[derive(Clone, Copy)]
struct Place {
    first: *mut f32,
    /// Distance of neighbouring rows.
    stride: usize,
    resume: bool,
}

/// Sums over `steps` steps of one or two blocks of rows and two blocks of columns.
///
/// # Safety
/// The pointers are to `steps` > 0 steps of lines each; the registers have their shapes; 32 columns of the blocks' rows are
/// writable at `sums`.
unsafe fn multiply_pair(
    two: bool,
    left: *const Line,
    right: *const Line,
    steps: usize,
    sums: Place,
) {
    // SAFETY: reads and writes what the caller vouches for.
    unsafe {
        if two {
            accumulate!(left, right, steps, sums;
                sums "tmm0" at "{c} + {stride}", "tmm1" at "{c} + {stride} + 64",
                    "tmm2" at "{d} + {stride}", "tmm3" at "{d} + {stride} + 64";
                left "tmm4" from 0, "tmm5" from 3072;
                products "tdpbf16ps tmm0, tmm4, tmm6", "tdpbf16ps tmm1, tmm4, tmm7",
                    "tdpbf16ps tmm2, tmm5, tmm6", "tdpbf16ps tmm3, tmm5, tmm7";
                fetch next);
        } else {
            accumulate!(left, right, steps, sums;
                sums "tmm0" at "{c} + {stride}", "tmm1" at "{c} + {stride} + 64";
                left "tmm4" from 0;
                products "tdpbf16ps tmm0, tmm4, tmm6", "tdpbf16ps tmm1, tmm4, tmm7";
                fetch nothing);
        }
    }
}

/// Buffers of [`multiply`].
#[derive(Default)]
pub(super) struct Scratch {
    left: Vec<Line>,
    /// The last columns, when there are fewer than 32.
    rest: Vec<f32>,
}

const PAIR: usize = 2 * SIDE;

/// Multiplies `a` [m, k] by a split operand.
///
/// # Safety
/// The unit must be available.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn multiply(
    [m, k, n]: [usize; 3],
    a: Operand<'_>,
    right: &[Line],
    output: &mut [f32],
    accumulate: bool,
    scratch: &mut Scratch,
) {
    let (steps, pairs) = (steps(k), n.div_ceil(PAIR));
    assert!(steps > 0 && a.values.len() >= m * k && output.len() >= m * n);
    assert!(right.len() >= 2 * pairs * steps * STEP);
    scratch.left.resize(2 * CHUNK * STEP, Line::default());
    scratch.rest.resize(PAIR * PAIR, 0.0);
    let mut shaped = [0; 2];
    for row in (0..m).step_by(PAIR) {
        let rows = (m - row).min(PAIR);
        let two = rows > SIDE;
        let heights = [rows.min(SIDE), if two { rows - SIDE } else { SIDE }];
        if heights != shaped {
            shaped = heights;
            let shapes = Shapes::new(heights);
            // SAFETY: a valid configuration; nothing is kept in tiles between products.
            unsafe { asm!("ldtilecfg [{}]", in(reg) &shapes, options(nostack, readonly)) };
        }
        let output = &mut output[row * n..(row + rows) * n];
        if accumulate {
            copy_rest(output, n, &mut scratch.rest, true);
        }
        for chunk in chunks(steps) {
            let left = &mut scratch.left[..2 * chunk.len() * STEP];
            split::left([m, k], a, [row, chunk.start], left);
            for pair in 0..pairs {
                let whole = (pair + 1) * PAIR <= n;
                let sums = Place {
                    first: if whole {
                        output[pair * PAIR..].as_mut_ptr()
                    } else {
                        scratch.rest.as_mut_ptr()
                    },
                    stride: if whole { n } else { PAIR },
                    resume: accumulate || chunk.start > 0,
                };
                let right = &right[2 * STEP * (chunk.start * pairs + pair * chunk.len())..];
                // SAFETY: the assertions above; the shapes are loaded; 32 columns exist at either place.
                unsafe { multiply_pair(two, left.as_ptr(), right.as_ptr(), chunk.len(), sums) };
            }
        }
        copy_rest(output, n, &mut scratch.rest, false);
    }
    // SAFETY: leaves no tiles behind for the operating system to save.
    unsafe { asm!("tilerelease", options(nostack, nomem)) };
}

/// Copies the last columns, when there are fewer than 32, from all rows of `output` to `rest` or back.
fn copy_rest(output: &mut [f32], n: usize, rest: &mut [f32], away: bool) {
    let columns = n % PAIR;
    if columns == 0 {
        return;
    }
    for (row, rest) in output.chunks_exact_mut(n).zip(rest.chunks_exact_mut(PAIR)) {
        let (row, rest) = (&mut row[n - columns..], &mut rest[..columns]);
        if away {
            rest.copy_from_slice(row);
        } else {
            row.copy_from_slice(rest);
        }
    }
}
