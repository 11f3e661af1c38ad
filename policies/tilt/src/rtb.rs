//! Relative trajectory balance as plain functions of per-path numbers (arXiv:2405.20971).
//!
//! δ(τ) = log Z(s) + log q(τ|s) − log p(τ|s) − log r(x_T, s); the loss is ½ mean δ², and its gradient is
//! mean δ ∇log q. Everything here is f64 on the host: δ is needed there for the logs anyway, and
//! log q − log p is a small difference of larger numbers.

use serde::{Deserialize, Serialize};

/// Returns ℓ = log r + log p − log q of each path: its log importance weight towards the posterior.
pub fn log_weights(log_posterior: &[f64], log_prior: &[f64], log_reward: &[f64]) -> Vec<f64> {
    log_posterior
        .iter()
        .zip(log_prior)
        .zip(log_reward)
        .map(|((q, p), r)| r + p - q)
        .collect()
}

/// Returns, for each path, the mean of ℓ over the OTHER paths of its group: VarGrad's log Z, leave-one-out.
///
/// Groups are consecutive, of `paths_per_condition` ≥ 2 paths that share their condition.
///
/// # Panics
/// When a group has fewer than two paths or the length is not a multiple of the group.
pub fn vargrad_log_z(log_weights: &[f64], paths_per_condition: usize) -> Vec<f64> {
    assert!(
        paths_per_condition >= 2,
        "VarGrad needs at least two paths per condition"
    );
    assert_eq!(log_weights.len() % paths_per_condition, 0);
    let others = (paths_per_condition - 1) as f64;
    log_weights
        .chunks_exact(paths_per_condition)
        .flat_map(|group| {
            let total: f64 = group.iter().sum();
            group.iter().map(move |own| (total - own) / others)
        })
        .collect()
}

/// Returns, for each path, the z of its group that minimises Σ huber(z − ℓ): the residuals' weights then sum to zero.
///
/// With a cap the group's mean is the wrong centre: a few paths of very low ℓ drag it down but have capped weights, and
/// every other path is pushed up for nothing, which narrows the posterior. Solved by bisection.
///
/// # Panics
/// When the length is not a multiple of the group.
pub(crate) fn robust_log_z(
    log_weights: &[f64],
    paths_per_condition: usize,
    huber: f64,
) -> Vec<f64> {
    assert_eq!(log_weights.len() % paths_per_condition, 0);
    let limit = if huber > 0.0 { huber } else { f64::INFINITY };
    let centre = |group: &[f64]| -> f64 {
        let mut low = group.iter().copied().fold(f64::INFINITY, f64::min);
        let mut high = group.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            let slope: f64 = group
                .iter()
                .map(|l| (middle - l).clamp(-limit, limit))
                .sum();
            if slope > 0.0 {
                high = middle;
            } else {
                low = middle;
            }
        }
        0.5 * (low + high)
    };
    log_weights
        .chunks_exact(paths_per_condition)
        .flat_map(|group| std::iter::repeat_n(centre(group), group.len()))
        .collect()
}

/// Returns δ = log Z − ℓ.
pub fn residual(log_z: &[f64], log_weights: &[f64]) -> Vec<f64> {
    log_z.iter().zip(log_weights).map(|(z, l)| z - l).collect()
}

/// Returns ½ mean δ².
pub(crate) fn loss(residual: &[f64]) -> f64 {
    residual.iter().map(|d| 0.5 * d * d).sum::<f64>() / residual.len().max(1) as f64
}

/// Changes to the plain squared loss; 0 switches either off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shaping {
    /// No gradient from paths whose δ² is below this (a floor, not a cap).
    pub dead_zone: f64,
    /// Beyond this |δ| the loss grows linearly (Huber).
    pub huber: f64,
}

/// Returns the weight of ∇log q of each path: δ/N, 0 in the dead zone, capped at ±huber/N.
pub fn gradient_weights(residual: &[f64], shaping: Shaping) -> Vec<f64> {
    let count = residual.len().max(1) as f64;
    residual
        .iter()
        .map(|&d| {
            if d * d < shaping.dead_zone {
                return 0.0;
            }
            let limit = if shaping.huber > 0.0 {
                shaping.huber
            } else {
                f64::INFINITY
            };
            d.max(-limit).min(limit) / count
        })
        .collect()
}

/// Returns log of the mean of exp(values).
pub fn log_mean_exp(values: &[f64]) -> f64 {
    let top = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !top.is_finite() {
        return top;
    }
    top + (values.iter().map(|v| (v - top).exp()).sum::<f64>() / values.len() as f64).ln()
}

/// Returns ESS/N = (Σ w)² / (N Σ w²) of weights exp(values), in (0, 1].
pub fn effective_share(log_weights: &[f64]) -> f64 {
    let top = log_weights
        .iter()
        .copied()
        .fold(f64::NEG_INFINITY, f64::max);
    let (mut sum, mut square) = (0.0, 0.0);
    for l in log_weights {
        let w = (l - top).exp();
        sum += w;
        square += w * w;
    }
    sum * sum / (square * log_weights.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_failure_01_adding_a_constant_to_the_reward_moves_log_z_and_not_delta() {
        let (q, p, r) = (
            [0.3, -1.0, 2.0, 0.0],
            [0.1, 0.4, -0.2, 0.9],
            [1.0, 2.0, 3.0, 4.0],
        );
        let base = log_weights(&q, &p, &r);
        for k in [-7.0, 7.0] {
            let moved = log_weights(&q, &p, &r.map(|x| x + k));
            let (z0, z1) = (vargrad_log_z(&base, 2), vargrad_log_z(&moved, 2));
            assert!(z0.iter().zip(&z1).all(|(a, b)| (b - a - k).abs() < 1e-12));
            let (d0, d1) = (residual(&z0, &base), residual(&z1, &moved));
            assert!(d0.iter().zip(&d1).all(|(a, b)| (a - b).abs() < 1e-12));
            assert!(loss(&d0) > 0.1);
        }
    }

    #[test]
    fn silent_failure_16_groups_do_not_mix() {
        let weights = [1.0, 3.0, 10.0, 20.0];
        let shifted = [1.0, 3.0, 110.0, 120.0];
        let delta = |w: &[f64]| residual(&vargrad_log_z(w, 2), w);
        assert_eq!(delta(&weights), delta(&shifted));
        assert_eq!(delta(&weights), vec![2.0, -2.0, 10.0, -10.0]);
    }

    #[test]
    fn the_robust_centre_balances_the_capped_weights() {
        let weights = [1.0, 1.5, 2.0, -40.0, 7.0, 7.5, 8.0, 8.5];
        let shaping = Shaping {
            dead_zone: 0.0,
            huber: 3.0,
        };
        let delta = residual(&robust_log_z(&weights, 4, 3.0), &weights);
        for group in gradient_weights(&delta, shaping).chunks_exact(4) {
            assert!(group.iter().sum::<f64>().abs() < 1e-9);
        }
        // Within the cap it is the mean.
        assert!((robust_log_z(&weights[4..], 4, 3.0)[0] - 7.75).abs() < 1e-9);
    }

    #[test]
    fn silent_failure_18_the_dead_zone_is_a_floor_and_not_a_cap() {
        let shaping = Shaping {
            dead_zone: 0.1,
            huber: 0.0,
        };
        let weights = gradient_weights(&[0.3, 0.32, -5.0, 100.0], shaping);
        assert_eq!(weights, vec![0.0, 0.08, -1.25, 25.0]);
        let capped = gradient_weights(
            &[0.3, 0.32, -5.0, 100.0],
            Shaping {
                dead_zone: 0.0,
                huber: 2.0,
            },
        );
        assert_eq!(capped, vec![0.075, 0.08, -0.5, 0.5]);
    }

    #[test]
    fn effective_share_is_one_for_equal_weights_and_one_over_n_for_one_winner() {
        assert!((effective_share(&[3.0; 8]) - 1.0).abs() < 1e-12);
        assert!((effective_share(&[0.0, -1e3, -1e3, -1e3]) - 0.25).abs() < 1e-12);
        assert!((log_mean_exp(&[1000.0, 1000.0]) - 1000.0).abs() < 1e-9);
    }
}
