//! Waves of a state: what a network sees of it besides itself.

/// Writes sin and cos of π/2 · 2^j · x for each octave j to `out` [rows, 2 dim octaves]: per row, [sin, cos] of `dim` columns an octave.
///
/// The perceptron's tensors write the same (`nets/perceptron.rs` of the models); `compiled_paths` of their tests holds the two together.
/// Octaves come by doubling the angle: sin 2a = 2 sin a cos a, cos 2a = 1 − 2 sin² a.
pub(super) fn waves(states: &[f32], dim: usize, octaves: usize, out: &mut Vec<f32>) {
    let columns = 2 * dim * octaves;
    out.clear();
    out.resize(states.len() / dim * columns, 0.0);
    for (x, row) in states.chunks_exact(dim).zip(out.chunks_exact_mut(columns)) {
        for (i, x) in x.iter().enumerate() {
            let (mut sin, mut cos) = (x * std::f32::consts::FRAC_PI_2).sin_cos();
            for octave in row.chunks_exact_mut(2 * dim) {
                octave[i] = sin;
                octave[dim + i] = cos;
                let doubled = sin * cos * 2.0;
                cos = sin * sin * -2.0 + 1.0;
                sin = doubled;
            }
        }
    }
}
