//! What models of strings ask of a network.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::Tensor;
use tiltrl_tilt::host::host;

use crate::models::Strings;

/// A network over partly masked strings; the mask is the token after the last, `vocabulary`.
pub trait MaskedNet: Module {
    /// Returns how many tokens there are, the mask not counted.
    fn vocabulary(&self) -> usize;
    /// Returns the tokens per string.
    fn length(&self) -> usize;
    /// Returns, for each position, the logits of its token and then the logit of being filled next:
    /// [rows, length, vocabulary + 1].
    ///
    /// # Shapes
    /// `condition` [rows, condition_dim], unused where its width is 0.
    fn logits(&self, partial: &Strings, condition: &Tensor<2>) -> Tensor<3>;
    /// Returns the same logits as [rows, columns], in whatever order is cheapest; [`Self::column`] finds them.
    fn outputs(&self, partial: &Strings, condition: &Tensor<2>) -> Tensor<2> {
        let logits = self.logits(partial, condition);
        let [rows, length, symbols] = logits.dims();
        logits.reshape([rows, length * symbols])
    }
    /// Returns the column of [`Self::outputs`] that holds the logit of a token at a position, or for the token `vocabulary`
    /// that of the position being filled next. The tokens of a position lie side by side.
    fn column(&self, position: usize, token: usize) -> usize {
        position * (self.vocabulary() + 1) + token
    }
}

/// Logits after contexts, each of which is read once.
pub struct Contexts {
    /// Logits [contexts, vocabulary].
    pub logits: Tensor<2>,
    /// The context of each position of each row, [rows, positions].
    pub which: Vec<usize>,
}

/// A network whose logits of a token depend on the tokens before it alone.
pub trait CausalNet: Module {
    /// Returns how many tokens there are, the end included.
    fn vocabulary(&self) -> usize;
    /// Returns the longest string.
    fn length(&self) -> usize;
    /// Returns the logits of the tokens at some positions given those before each, [rows, positions, vocabulary].
    ///
    /// # Shapes
    /// `condition` [rows, condition_dim], unused where its width is 0.
    fn logits(
        &self,
        strings: &Strings,
        positions: Range<usize>,
        condition: &Tensor<2>,
    ) -> Tensor<3>;
    /// Returns the same logits, where it can those of each distinct context once.
    fn contexts(
        &self,
        strings: &Strings,
        positions: Range<usize>,
        condition: &Tensor<2>,
    ) -> Contexts {
        let logits = self.logits(strings, positions, condition);
        let [rows, count, vocabulary] = logits.dims();
        Contexts {
            logits: logits.reshape([rows * count, vocabulary]),
            which: (0..rows * count).collect(),
        }
    }
    /// Returns what gives the logits position by position while strings are being written; it may remember what it computed.
    fn decoder<'a>(&'a self, condition: &'a Tensor<2>) -> Box<dyn Decoder + 'a> {
        Box::new(Anew {
            net: self,
            condition,
        })
    }
}

/// Gives logits of the next token while strings are being written.
pub trait Decoder {
    /// Returns the logits [rows, vocabulary] at `position`; called for 0, 1, … in order, with the tokens before it written.
    fn next(&mut self, strings: &Strings, position: usize) -> Vec<f32>;
}

/// Computes every prefix anew.
struct Anew<'a, N> {
    net: &'a N,
    condition: &'a Tensor<2>,
}

impl<N: CausalNet> Decoder for Anew<'_, N> {
    fn next(&mut self, strings: &Strings, position: usize) -> Vec<f32> {
        let positions = position..position + 1;
        let found = self.net.contexts(strings, positions, self.condition);
        let [contexts, vocabulary] = found.logits.dims();
        let logits = host(found.logits);
        if contexts == found.which.len() {
            return logits;
        }
        let rows = found.which.iter();
        rows.flat_map(|at| &logits[at * vocabulary..(at + 1) * vocabulary])
            .copied()
            .collect()
    }
}
