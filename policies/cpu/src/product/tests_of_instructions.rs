//! Every instruction set that the machine has, on random shapes: against f64 and against each other.

use super::*;
use crate::arithmetic::Arithmetic;

/// A small generator (splitmix64): shapes, and values between −1 and 1.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Small sizes as often as large ones.
    fn size(&mut self, least: usize) -> usize {
        let bound = [3, 9, 20, 40, 150][self.below(5)];
        least + self.below(bound)
    }

    fn values(&mut self, count: usize) -> Vec<f32> {
        let value = |_| (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
        (0..count).map(value).collect()
    }
}

/// A product, its operands stored in the given layouts.
struct Case {
    shape: [usize; 3],
    layouts: [Layout; 2],
    a: Vec<f32>,
    b: Vec<f32>,
    /// What the output holds before.
    start: Vec<f32>,
}

impl Case {
    fn draw(draws: &mut Draws, shape: [usize; 3]) -> Self {
        let [m, k, n] = shape;
        let mut layout = || [Layout::Plain, Layout::Transposed][draws.below(2)];
        Self {
            shape,
            layouts: [layout(), layout()],
            a: draws.values(m * k),
            b: draws.values(k * n),
            start: draws.values(m * n),
        }
    }

    /// The factors of element (row, column) in order.
    fn factors(&self, row: usize, column: usize) -> impl Iterator<Item = (f32, f32)> {
        let [m, k, n] = self.shape;
        (0..k).map(move |j| {
            let a = match self.layouts[0] {
                Layout::Plain => self.a[row * k + j],
                Layout::Transposed => self.a[j * m + row],
            };
            let b = match self.layouts[1] {
                Layout::Plain => self.b[j * n + column],
                Layout::Transposed => self.b[column * k + j],
            };
            (a, b)
        })
    }

    /// The output of `instructions`, with whatever right operands the layout allows: packed, and as it lies.
    fn outputs(&self, instructions: Instructions, accumulate: bool) -> Vec<Vec<f32>> {
        let [m, k, n] = self.shape;
        let operand = |values, layout| Operand { values, layout };
        let right = operand(&self.b[..], self.layouts[1]);
        let packed = Packed::new(Arithmetic::F32, [k, n], right);
        let mut rights = vec![Right::Packed(&packed)];
        // A single column that lies unpacked is summed in another order.
        if self.layouts[1] == Layout::Plain && n != 1 {
            rights.push(Right::Plain(&self.b, [k, n]));
        }
        let run = |right| {
            let mut out = match accumulate {
                true => self.start.clone(),
                false => vec![f32::NAN; m * n],
            };
            // What lies behind the output must stay.
            out.push(7.25);
            let left = operand(&self.a[..], self.layouts[0]);
            matmul_with(instructions, m, left, right, &mut out, accumulate);
            assert_eq!(out.pop(), Some(7.25), "{instructions:?} {:?}", self.shape);
            out
        };
        rights.into_iter().map(run).collect()
    }

    /// The chain of fused multiply-adds that every element is.
    fn expected(&self, accumulate: bool) -> Vec<f32> {
        let n = self.shape[2];
        let element = |(index, &start): (usize, &f32)| {
            let factors = self.factors(index / n, index % n);
            let sum = factors.fold(0.0f32, |sum, (a, b)| a.mul_add(b, sum));
            if accumulate { start + sum } else { sum }
        };
        self.start.iter().enumerate().map(element).collect()
    }

    /// Asserts that the distances to f64 stay within the bound of a chain of k roundings.
    fn check_against_f64(&self, found: &[f32], accumulate: bool) {
        let [_, k, n] = self.shape;
        for (index, &found) in found.iter().enumerate() {
            let products = self.factors(index / n, index % n);
            let products = products.map(|(a, b)| f64::from(a) * f64::from(b));
            let start = f64::from(if accumulate { self.start[index] } else { 0.0 });
            let (sum, size) = products.fold((start, start.abs()), |(sum, size), product| {
                (sum + product, size + product.abs())
            });
            let bound = (k + 2) as f64 * f64::from(f32::EPSILON) * size;
            let error = (f64::from(found) - sum).abs();
            assert!(error <= bound, "{:?}: {error:e} > {bound:e}", self.shape);
        }
    }
}

fn fused(instructions: Instructions) -> bool {
    match instructions {
        Instructions::Portable if cfg!(target_arch = "x86_64") => Instructions::Avx2.available(),
        Instructions::Portable => cfg!(target_arch = "aarch64"),
        _ => true,
    }
}

fn check(case: &Case) {
    for accumulate in [false, true] {
        let expected = case.expected(accumulate);
        for instructions in Instructions::ALL {
            if !instructions.available() {
                continue;
            }
            for out in case.outputs(instructions, accumulate) {
                case.check_against_f64(&out, accumulate);
                if fused(instructions) {
                    let (shape, layouts) = (case.shape, case.layouts);
                    let name = format!("{instructions:?} {shape:?} {layouts:?} {accumulate}");
                    assert_eq!(bits(&out), bits(&expected), "{name}");
                }
            }
        }
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn every_instruction_set_is_one_chain_of_multiply_adds_on_random_shapes() {
    let known = Instructions::ALL.into_iter().filter(|set| set.available());
    eprintln!("instruction sets here: {:?}", known.collect::<Vec<_>>());
    let mut draws = Draws(1);
    for _ in 0..400 {
        let shape = [draws.size(0), draws.size(0), draws.size(0)];
        check(&Case::draw(&mut draws, shape));
    }
}

#[test]
fn every_height_and_width_of_a_tile_is_right() {
    let mut draws = Draws(2);
    for m in 0..=26 {
        for n in 0..=50 {
            let k = draws.below(7);
            check(&Case::draw(&mut draws, [m, k, n]));
        }
    }
}

#[test]
fn operands_larger_than_a_cache_are_cut_without_a_trace() {
    let mut draws = Draws(3);
    for shape in [[197, 343, 17], [97, 700, 9]] {
        for _ in 0..2 {
            check(&Case::draw(&mut draws, shape));
        }
    }
}

/// Few rows take many columns of an unpacked matrix at once: a single one up to 256.
#[test]
fn few_rows_times_wide_matrices_are_right() {
    let mut draws = Draws(4);
    for m in 1..=4 {
        for n in [63, 64, 65, 127, 255, 256, 257, 320, 530] {
            let k = 1 + draws.below(30);
            let mut case = Case::draw(&mut draws, [m, k, n]);
            case.layouts[1] = Layout::Plain;
            check(&case);
        }
    }
}

#[test]
fn the_instructions_that_are_chosen_are_there() {
    assert!(Instructions::best().available());
    assert!(Instructions::Portable.available());
}

#[test]
#[should_panic(expected = "here")]
fn instructions_of_another_cpu_are_refused() {
    let other = if cfg!(target_arch = "aarch64") {
        Instructions::Avx2
    } else {
        Instructions::Neon
    };
    let right = Right::Plain(&[1.0, 2.0], [1, 2]);
    matmul_with(
        other,
        1,
        Operand::plain(&[1.0]),
        right,
        &mut [0.0; 2],
        false,
    );
}
