//! A network's outputs, looked up.

use tiltrl_tilt::sequential::Batched;

use crate::models::strings::Strings;

/// The network's outputs for every partly masked string, by its number in base vocabulary + 1.
pub(super) struct Table {
    /// The outputs [rows · width].
    pub(super) outputs: Vec<f32>,
    /// Outputs of a string.
    pub(super) width: usize,
    /// Row of outputs of each number; finished strings have none.
    pub(super) rows: Vec<u32>,
}

impl Table {
    /// Returns the outputs of partly masked strings [rows · width], in their order.
    pub(super) fn read(&self, partial: &Strings, symbols: usize) -> Vec<f32> {
        let mut out = Vec::with_capacity(partial.count() * self.width);
        for state in partial.index(symbols) {
            let at = self.rows[state] as usize * self.width;
            out.extend_from_slice(&self.outputs[at..at + self.width]);
        }
        out
    }
}
