//! What tilts: log r(x, s) = value(x, s) / α, with the temperature α.

use crate::sequential::SequentialModel;

/// Returns one value per row for samples under their conditions, one row per path each.
pub(crate) type Value<'a, M> =
    dyn Fn(&<M as SequentialModel>::Sample, &<M as SequentialModel>::Condition) -> Vec<f64> + 'a;

/// A value and the α that divides it.
///
/// Values are kept apart from α so that what was stored under one α can be used under another.
pub struct Reward<'a, M: SequentialModel> {
    /// The value, Q(s, a) in control.
    pub value: &'a Value<'a, M>,
    /// α > 0, in units of the value.
    pub alpha: f64,
}

impl<M: SequentialModel> Clone for Reward<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: SequentialModel> Copy for Reward<'_, M> {}
