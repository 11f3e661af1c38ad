//! The exact distribution of a masked diffusion, by recursion over all partly masked strings.

use std::sync::Arc;

use burn::tensor::Tensor;
use tiltrl_tilt::host::host;
use tiltrl_tilt::sequential::Batched;

use super::MaskedDiffusion;
use super::table::Table;
use crate::models::strings::Strings;
use crate::nets::MaskedNet;

/// Strings that the network sees at once.
const ROWS: usize = 8192;

impl<N: MaskedNet> MaskedDiffusion<N> {
    /// Returns the same model with its network's outputs computed once for every partly masked string: for a frozen prior whose paths
    /// are scored at every update. [`scored_on_host`](Self::scored_on_host) reads them; a model with other weights has none.
    ///
    /// # Panics
    /// When the model has a condition.
    pub fn tabulated(mut self) -> Self {
        assert_eq!(self.condition_dim, 0, "a table has no condition");
        let (symbols, length, mask) = (self.vocabulary() + 1, self.length(), self.mask());
        let states = Strings::all(symbols, length);
        let all = states.tokens.chunks_exact(length).enumerate();
        let open: Vec<(usize, &[u32])> = all.filter(|(_, row)| row.contains(&mask)).collect();
        let mut rows = vec![u32::MAX; states.count()];
        let (mut outputs, mut width) = (Vec::new(), 0);
        for (chunk, some) in open.chunks(ROWS).enumerate() {
            let partial = Strings {
                tokens: some.iter().flat_map(|(_, row)| row.to_vec()).collect(),
                length,
            };
            let condition = Tensor::zeros([some.len(), 1], &self.device());
            let found = host(self.net.valid().outputs(&partial, &condition));
            width = found.len() / some.len();
            outputs.extend(found);
            let numbers = some.iter().zip(chunk * ROWS..);
            numbers.for_each(|(&(state, _), row)| rows[state] = row as u32);
        }
        self.table = Some(Arc::new(Table {
            outputs,
            width,
            rows,
        }));
        self
    }

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
        let (mut mass, columns) = (vec![0.0; count], self.columns());
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
                let positions = columns.positions(row, &masked, 1.0);
                for (&i, position) in masked.iter().zip(positions) {
                    let share = mass[state] * position;
                    for (token, p) in columns.tokens(row, i, 1.0).iter().enumerate() {
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
