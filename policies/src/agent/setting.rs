//! A setting that configurations name: its meaning and its range.

use std::fmt;

/// A key that a critic or an algorithm adds to the config.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// Name of the key.
    pub key: &'static str,
    /// Its meaning in one line.
    pub meaning: &'static str,
    /// What its value may be.
    pub range: Range,
}

/// What a value may be; bounds belong to the range unless it says otherwise. A number up to ∞ is any finite one of single
/// precision: what is larger would overflow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    /// A whole number from the first to the second.
    Count(u64, u64),
    /// A number from the first to the second.
    Number(f64, f64),
    /// A number between the two, neither of which belongs to the range.
    Between(f64, f64),
    /// A number above the first, at most the second.
    Above(f64, f64),
    /// At least so many whole numbers, each from the second to the third.
    Counts(usize, u64, u64),
    /// Nothing, or two growing numbers from the first to the second.
    Interval(f64, f64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// true or false.
    Flag,
    /// Text without further rules.
    Text,
    /// A list of texts.
    Texts,
}

/// More updates than anybody waits for.
pub const UPDATES: u64 = 1_000_000_000;
/// Rows of a batch.
pub const ROWS: u64 = 1_000_000;

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Count(low, high) => write!(f, "{low} to {high}"),
            Self::Number(low, f64::INFINITY) => write!(f, "at least {low}, finite"),
            Self::Number(low, high) => write!(f, "{low} to {high}"),
            Self::Between(low, high) => write!(f, "above {low}, below {high}"),
            Self::Above(low, f64::INFINITY) => write!(f, "above {low}, finite"),
            Self::Above(low, high) => write!(f, "above {low}, at most {high}"),
            Self::Counts(0, low, high) => write!(f, "a list, each {low} to {high}; may be empty"),
            Self::Counts(least, low, high) => {
                write!(f, "a list of at least {least}, each {low} to {high}")
            }
            Self::Interval(low, high) => {
                write!(f, "empty, or two growing numbers, {low} to {high}")
            }
            Self::Choice(words) => f.write_str(&words.join(", ")),
            Self::Flag => f.write_str("true or false"),
            Self::Text => f.write_str("text"),
            Self::Texts => f.write_str("a list of texts"),
        }
    }
}
