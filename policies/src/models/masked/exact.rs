//! The exact distribution of a masked diffusion, by recursion over all partly masked strings.

use burn::tensor::Tensor;
use tiltrl_tilt::host::host;

use super::MaskedDiffusion;
use crate::models::strings::Strings;
use crate::nets::MaskedNet;

/// Strings that the network sees at once.
const ROWS: usize = 8192;

impl<N: MaskedNet> MaskedDiffusion<N> {
    /// Returns the exact probability of every string, in the order of [`Strings::all`], for one condition row.
    ///
    /// Each state is reached by filling any of its positions last. The network sees every partly masked string once:
    /// (v + 1)^l − v^l of them, 74,465 for four letters.
    pub fn enumerate(&self, condition: &Tensor<2>) -> Vec<f64> {
        let (symbols, length, mask) = (self.vocabulary() + 1, self.length(), self.mask());
        let states = Strings::all(symbols, length);
        let tokens = |state: usize| &states.tokens[state * length..(state + 1) * length];
        let place = |i: usize| symbols.pow((length - 1 - i) as u32);
        let count = states.tokens.len() / length;
        let mut mass = vec![0.0; count];
        let known = |(i, token): (usize, &Option<u32>)| {
            let removed = token.map_or(0, |token| mask - token) as usize;
            removed * place(i)
        };
        let start = count - 1 - self.evidence.iter().enumerate().map(known).sum::<usize>();
        mass[start] = 1.0;
        // From most masks to none: filling a position makes the index smaller.
        let is_open = |&state: &usize| {
            let row = tokens(state);
            let mut fits = row.iter().zip(self.evidence.iter());
            row.contains(&mask) && fits.all(|(t, known)| known.is_none_or(|k| k == *t))
        };
        let open: Vec<usize> = (0..count).rev().filter(is_open).collect();
        for some in open.chunks(ROWS) {
            let partial = Strings {
                tokens: some.iter().flat_map(|&s| tokens(s).to_vec()).collect(),
                length,
            };
            let rows = condition.clone().expand([some.len(), condition.dims()[1]]);
            let logits = host(self.net.outputs(&partial, &rows));
            let width = logits.len() / some.len();
            for (&state, row) in some.iter().zip(logits.chunks_exact(width)) {
                let own = tokens(state);
                let masked: Vec<usize> = (0..length).filter(|&i| own[i] == mask).collect();
                let positions = self.positions(row, &masked, 1.0);
                for (&i, position) in masked.iter().zip(positions) {
                    let share = mass[state] * position;
                    for (token, p) in self.tokens(row, i, 1.0).iter().enumerate() {
                        let next = state - (self.vocabulary() - token) * place(i);
                        mass[next] += share * p;
                    }
                }
            }
        }
        let done = |&state: &usize| tokens(state).iter().all(|&t| t < mask);
        (0..count).filter(done).map(|state| mass[state]).collect()
    }
}
