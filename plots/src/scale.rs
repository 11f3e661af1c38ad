//! From numbers to pixels, and the range of numbers that an axis shows.

use crate::ticks::{self, Ticks};

/// Whether equal steps or equal ratios take equal space.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Linear,
    Logarithmic,
}

impl Kind {
    /// Returns whether a number has a place on such an axis. Beyond 1e300 a range could overflow.
    pub(crate) fn shows(self, value: f64) -> bool {
        value.is_finite() && value.abs() < 1e300 && (self == Kind::Linear || value > 1e-300)
    }
}

/// The range of numbers that an axis shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Domain {
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) kind: Kind,
}

/// How much room an axis leaves beyond its data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Room {
    Tight,
    Padded,
}

impl Domain {
    /// Returns the range of the values that have a place, or nothing if none has.
    pub(crate) fn of(
        values: impl IntoIterator<Item = f64>,
        kind: Kind,
        room: Room,
    ) -> Option<Self> {
        let shown = values.into_iter().filter(|value| kind.shows(*value));
        let (low, high) = shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
            (low.min(v), high.max(v))
        });
        (low <= high).then(|| Self { low, high, kind }.widened(room))
    }

    /// Returns the range with room around it; one value becomes a range that a reader can make sense of.
    fn widened(self, room: Room) -> Self {
        let Self { low, high, kind } = self;
        let largest = low.abs().max(high.abs());
        if kind == Kind::Logarithmic {
            let ratio = if high / low < 1.0 + 1e-9 {
                3.0
            } else {
                (high / low).powf(0.06)
            };
            return Self {
                low: low / ratio,
                high: high * ratio,
                kind,
            };
        }
        if high - low <= 1e-12 * largest || high - low < 1e-290 {
            let room = if largest < 1e-280 { 1.0 } else { 0.1 * largest };
            return Self {
                low: low - room,
                high: high + room,
                kind,
            };
        }
        let room = if room == Room::Padded {
            0.06 * (high - low)
        } else {
            0.0
        };
        Self {
            low: low - room,
            high: high + room,
            kind,
        }
    }

    /// Returns about `count` round numbers in the range.
    pub(crate) fn ticks(&self, count: usize) -> Ticks {
        match self.kind {
            Kind::Linear => ticks::linear(self.low, self.high, count),
            Kind::Logarithmic => ticks::logarithmic(self.low, self.high, count),
        }
    }

    /// Returns the domain laid between two pixels.
    pub(crate) fn between(self, from: f64, to: f64) -> Scale {
        Scale {
            domain: self,
            from,
            to,
        }
    }
}

/// A domain laid between two pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) domain: Domain,
    from: f64,
    to: f64,
}

impl Scale {
    /// Returns the pixel of a number.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let Domain { low, high, kind } = self.domain;
        let share = match kind {
            Kind::Linear => (value - low) / (high - low),
            Kind::Logarithmic => (value / low).ln() / (high / low).ln(),
        };
        self.from + share * (self.to - self.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_and_extremes_get_a_range() {
        for value in [0.0, 5.0, -3.0, 1e250, 1e-250, -1e-305] {
            let domain = Domain::of([value], Kind::Linear, Room::Tight).expect("a domain");
            assert!(
                domain.low < value && value < domain.high,
                "{value} in {domain:?}"
            );
            assert!(!domain.ticks(4).values.is_empty(), "{domain:?}");
        }
        assert!(Domain::of([f64::NAN, f64::INFINITY], Kind::Linear, Room::Tight).is_none());
        assert!(Domain::of([0.0, -1.0], Kind::Logarithmic, Room::Padded).is_none());
        let domain = Domain::of([-9e299, 9e299], Kind::Linear, Room::Padded).expect("a domain");
        assert!((domain.high - domain.low).is_finite());
    }

    #[test]
    fn a_logarithmic_scale_puts_equal_ratios_at_equal_distances() {
        let scale = Domain {
            low: 1.0,
            high: 100.0,
            kind: Kind::Logarithmic,
        }
        .between(0.0, 200.0);
        assert!((scale.at(10.0) - 100.0).abs() < 1e-9);
    }
}
