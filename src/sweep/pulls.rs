//! How good a policy is found with so many episodes: the curve over pulls of Jackson et al. (Unifloral, arXiv 2504.11453).
//!
//! K policies of a sweep are drawn. A bandit (UCB) plays one episode of one of them at a time, and after every episode the policy
//! with the best mean so far would be taken. The curve is the true mean of that policy, averaged over many such draws.
//!
//! Two things are done in another way than there. The episodes are cut at random into a half to choose by and a half to score by,
//! anew in every draw: with the same episodes for both, the policy that was lucky is chosen and its luck is scored, which lifts
//! the curve. And the interval speaks about policies: each is left out once (jackknife). Redrawing the simulated draws, as there,
//! gives an interval that shrinks with their number and says nothing about the sweep; redrawing policies would put one twice
//! among the K, which the curve itself never does. Luck that policies share, as start states of one seed, is not in it: it says
//! how far the curve would move with other policies on the same episodes.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tiltrl_tilt::Noise;

use crate::stats::{below, mean};

/// How the curve is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// K: policies of each draw, at least 1.
    pub policies: usize,
    /// Episodes that the bandit may play.
    pub pulls: usize,
    /// Draws, at least 2.
    pub trials: usize,
    /// α of UCB: its bonus is s √(α log t / n) after t pulls, n of them of this policy; s is the standard deviation of returns
    /// within policies, so that no unit of reward matters.
    pub exploration: f64,
    /// Seed of the draws.
    pub seed: u64,
}

/// The curve; index t is after t pulls, t = 0 the mean of a policy drawn blindly.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Mean of the policy that would be taken.
    pub mean: Vec<f64>,
    /// Half of its 95 % interval over policies; none where every draw holds all policies.
    pub half_width: Option<Vec<f64>>,
    /// Standard error of the simulation, which more trials make smaller.
    pub simulation: Vec<f64>,
    /// What the curve tends to: the best of K by all episodes to choose by.
    pub limit: f64,
}

/// Returns the curve for the final returns of each policy.
///
/// # Errors
/// When there are fewer policies than are to be drawn, or one has fewer than two episodes.
pub fn curve(policies: &[Vec<f64>], settings: &Settings) -> Result<Curve, String> {
    let (count, drawn) = (policies.len(), settings.policies);
    if drawn < 1 || count < drawn {
        return Err(format!(
            "expected at least {drawn} finished policies, found {count}"
        ));
    }
    if let Some(few) = policies.iter().find(|p| p.len() < 2) {
        return Err(format!(
            "expected at least 2 final episodes of each policy, one half to choose by and one to score by, found {}",
            few.len()
        ));
    }
    let steps = settings.pulls + 1;
    let longest = policies.iter().map(Vec::len).max().unwrap_or(0);
    let mut all = Sums::new(steps);
    let mut with = vec![Sums::new(steps); count];
    let mut limit = 0.0;
    for trial in 0..settings.trials {
        let mut random = random(settings.seed, trial);
        let chosen = draw(count, drawn, &mut random);
        // One cut for all: policies of one seed play the same episodes, and an episode that is easy for one is easy for all. Were
        // it used to choose one policy and to score another, what was chosen for its luck would be scored against it.
        let coins: Vec<bool> = (0..longest.div_ceil(2))
            .map(|_| below(&mut random, 2) == 0)
            .collect();
        let arms: Vec<Arm> = chosen
            .iter()
            .map(|&i| Arm::cut(&policies[i], &coins))
            .collect();
        let found = play(&arms, settings, &mut random);
        limit += best_arm(&arms).score / settings.trials as f64;
        all.add(&found);
        for &policy in &chosen {
            with[policy].add(&found);
        }
    }
    Ok(Curve {
        half_width: (count > drawn).then(|| half_width(&all, &with)),
        simulation: all.standard_errors(),
        mean: all.means(),
        limit,
    })
}

/// Returns the expected value of the best of k values drawn without replacement; `ranked` are the values in the order in which
/// they would be preferred, the best first: Σ_r ranked_r C(n − r, k − 1) / C(n, k), r from 1.
///
/// # Panics
/// If k is 0 or larger than the number of values.
pub fn best_of(ranked: &[f64], k: usize) -> f64 {
    let n = ranked.len();
    assert!((1..=n).contains(&k), "{k} of {n} values");
    let mut weight = k as f64 / n as f64;
    let mut sum = 0.0;
    for (r, value) in ranked.iter().enumerate().take(n - k + 1) {
        sum += weight * value;
        weight *= (n - r - k) as f64 / (n - r - 1).max(1) as f64;
    }
    sum
}

fn random(seed: u64, trial: usize) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(Noise::keyed(seed, "pulls", trial as u64).seed())
}

/// `drawn` of `count`, none twice, in random order.
fn draw(count: usize, drawn: usize, random: &mut ChaCha8Rng) -> Vec<usize> {
    let mut all: Vec<usize> = (0..count).collect();
    for at in 0..drawn {
        let other = at + below(random, count - at);
        all.swap(at, other);
    }
    all.truncate(drawn);
    all
}

/// A policy in one draw.
struct Arm {
    /// Returns that a pull draws from, with replacement.
    choose: Vec<f64>,
    /// Mean of the returns in `choose`.
    mean: f64,
    /// Mean of the other half.
    score: f64,
}

impl Arm {
    /// Of each pair of episodes a coin puts one into either half; an odd last one goes where the coin says.
    fn cut(returns: &[f64], coins: &[bool]) -> Self {
        let half = |wanted: bool| -> Vec<f64> {
            let own = |at: &usize| (coins[at / 2] == at.is_multiple_of(2)) == wanted;
            (0..returns.len())
                .filter(own)
                .map(|at| returns[at])
                .collect()
        };
        let choose = half(true);
        Self {
            mean: mean(&choose),
            score: mean(&half(false)),
            choose,
        }
    }
}

/// The arm that is best by all episodes to choose by; the first of several.
fn best_arm(arms: &[Arm]) -> &Arm {
    let better = |best: usize, at: usize| {
        if arms[at].mean > arms[best].mean {
            at
        } else {
            best
        }
    };
    &arms[(1..arms.len()).fold(0, better)]
}

/// Standard deviation of returns within arms.
fn spread(arms: &[Arm]) -> f64 {
    let squares = |arm: &Arm| {
        arm.choose
            .iter()
            .map(|x| (x - arm.mean).powi(2))
            .sum::<f64>()
    };
    let freedom: usize = arms.iter().map(|arm| arm.choose.len() - 1).sum();
    (arms.iter().map(squares).sum::<f64>() / freedom.max(1) as f64).sqrt()
}

/// The score of the arm that would be taken after each number of pulls.
fn play(arms: &[Arm], settings: &Settings, random: &mut ChaCha8Rng) -> Vec<f64> {
    let scores: Vec<f64> = arms.iter().map(|arm| arm.score).collect();
    let mut found = vec![mean(&scores)];
    let scale = spread(arms) * settings.exploration.sqrt();
    let mut pulled = vec![(0.0f64, 0.0f64); arms.len()];
    for step in 0..settings.pulls {
        // Every arm once, in the order of the draw, then by the bound.
        let next = if step < arms.len() {
            step
        } else {
            let log = (step as f64).ln().sqrt() * scale;
            first_best(&pulled, |(sum, n)| sum / n + log / n.sqrt())
        };
        let arm = &arms[next].choose;
        pulled[next].0 += arm[below(random, arm.len())];
        pulled[next].1 += 1.0;
        let tried = &pulled[..arms.len().min(step + 1)];
        found.push(scores[first_best(tried, |(sum, n)| sum / n)]);
    }
    found
}

fn first_best(pulled: &[(f64, f64)], value: impl Fn((f64, f64)) -> f64) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (at, &arm) in pulled.iter().enumerate() {
        let found = value(arm);
        if found > best.1 {
            best = (at, found);
        }
    }
    best.0
}

/// Sums over trials, by number of pulls.
#[derive(Clone)]
struct Sums {
    trials: f64,
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Sums {
    fn new(steps: usize) -> Self {
        Self {
            trials: 0.0,
            first: vec![0.0; steps],
            second: vec![0.0; steps],
        }
    }

    fn add(&mut self, values: &[f64]) {
        self.trials += 1.0;
        for ((first, second), value) in self.first.iter_mut().zip(&mut self.second).zip(values) {
            *first += value;
            *second += value * value;
        }
    }

    fn means(&self) -> Vec<f64> {
        self.first.iter().map(|sum| sum / self.trials).collect()
    }

    fn standard_errors(&self) -> Vec<f64> {
        let of = |(first, second): (&f64, &f64)| {
            let variance = (second / self.trials - (first / self.trials).powi(2)).max(0.0);
            (variance / (self.trials - 1.0).max(1.0)).sqrt()
        };
        self.first.iter().zip(&self.second).map(of).collect()
    }
}

/// Half the width of the jackknife's 95 % interval. The draws without a policy are draws from the others, so that leaving one out
/// needs no further simulation.
fn half_width(all: &Sums, with: &[Sums]) -> Vec<f64> {
    let n = with.len() as f64;
    let quantile = student(with.len() - 1);
    let at = |step: usize| {
        let without: Vec<f64> = with
            .iter()
            .map(|own| (all.first[step] - own.first[step]) / (all.trials - own.trials).max(1.0))
            .collect();
        let middle = mean(&without);
        let squares: f64 = without.iter().map(|x| (x - middle).powi(2)).sum();
        quantile * ((n - 1.0) / n * squares).sqrt()
    };
    (0..all.first.len()).map(at).collect()
}

/// The 97.5 % quantile of Student's t: the expansion of Cornish and Fisher (Abramowitz and Stegun 26.7.5), within 1 % from three
/// degrees of freedom on; below, tabulated.
fn student(freedom: usize) -> f64 {
    if let Some(value) = [f64::INFINITY, 12.706, 4.303].get(freedom) {
        return *value;
    }
    let (z, v) = (1.959_964_f64, freedom as f64);
    let terms = [
        z,
        (z.powi(3) + z) / 4.0,
        (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0,
        (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0,
    ];
    terms.iter().rev().fold(0.0, |sum, term| sum / v + term)
}

#[cfg(test)]
#[path = "tests_pulls.rs"]
mod tests;
