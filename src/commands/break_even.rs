//! At how many milliseconds per action the posterior breaks even with choosing among samples of the prior.

use serde::Serialize;

/// Cost and return of one policy.
#[derive(Clone, Debug, Serialize)]
pub struct Priced {
    /// Samples of the prior per action; 1 for the posterior.
    pub samples: usize,
    /// Mean return of the episodes.
    pub mean_return: f64,
    /// Wall milliseconds of acting per action, in the batch of all episodes.
    pub milliseconds: f64,
    /// Wall milliseconds of one action on its own.
    pub milliseconds_alone: f64,
}

/// A family of policies beside the posterior.
#[derive(Clone, Debug, Serialize)]
pub struct BreakEven {
    /// "best-of-N" or "resample-N".
    pub family: String,
    /// The posterior, which the family is held against.
    pub posterior: Priced,
    /// The family's members, by N.
    pub members: Vec<Priced>,
    /// The smallest N whose mean return reaches the posterior's; `null` if none does.
    pub reached_at: Option<usize>,
}

impl BreakEven {
    /// Compares; `members` may come in any order.
    pub fn new(family: &str, posterior: Priced, mut members: Vec<Priced>) -> Self {
        members.sort_by_key(|m| m.samples);
        let reached = members
            .iter()
            .find(|m| m.mean_return >= posterior.mean_return);
        Self {
            family: family.into(),
            reached_at: reached.map(|m| m.samples),
            posterior,
            members,
        }
    }

    /// Returns the comparison as a row of [`HEADER`]'s table.
    pub fn line(&self) -> String {
        let p = &self.posterior;
        let ours = format!(
            "{:<12} {:>10.1} {:>9.4} {:>9.3}",
            self.family, p.mean_return, p.milliseconds, p.milliseconds_alone
        );
        let member = |m: &Priced| {
            format!(
                "{:>10.1} {:>9.4} {:>9.3}",
                m.mean_return, m.milliseconds, m.milliseconds_alone
            )
        };
        let at = |n: usize| self.members.iter().find(|m| m.samples == n);
        if let Some(m) = self.reached_at.and_then(at) {
            let ratio = m.milliseconds / p.milliseconds;
            return format!("{ours}   N = {:<10} {}   {ratio:.1}×", m.samples, member(m));
        }
        let by_return = |a: &&Priced, b: &&Priced| a.mean_return.total_cmp(&b.mean_return);
        let largest = self.members.last().map_or(0, |m| m.samples);
        let best = self.members.iter().max_by(by_return);
        let best = best.map_or(String::new(), |m| {
            format!("{}   best at N = {}", member(m), m.samples)
        });
        format!("{ours}   never to {largest:<5} {best}")
    }
}

/// Titles of [`BreakEven::line`].
pub const HEADER: &str = "break-even    posterior    ms/act     alone   reached at       return    ms/act     alone   price of the same return";

#[cfg(test)]
mod tests {
    use super::*;

    fn priced(samples: usize, mean_return: f64) -> Priced {
        let milliseconds = samples as f64;
        Priced {
            samples,
            mean_return,
            milliseconds,
            milliseconds_alone: milliseconds,
        }
    }

    #[test]
    fn the_smallest_member_that_reaches_the_posterior_is_named() {
        let members = vec![priced(16, 5.0), priced(4, 3.0), priced(2, 1.0)];
        let found = BreakEven::new("best-of-N", priced(1, 2.5), members.clone());
        assert_eq!(found.reached_at, Some(4));
        assert!(found.line().contains("N = 4 ") && found.line().contains("4.0×"));
        let never = BreakEven::new("best-of-N", priced(1, 9.0), members);
        assert_eq!(never.reached_at, None);
        assert!(never.line().contains("never to 16"), "{}", never.line());
    }
}
