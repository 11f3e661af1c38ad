//! The curve against enumeration, closed forms and samples whose truth is known.

use super::*;

const SMALL: Settings = Settings {
    policies: 2,
    pulls: 4,
    trials: 40_000,
    exploration: 2.0,
    seed: 3,
};

/// All ways to take `k` of `0..n`, in every order.
fn orders(n: usize, k: usize) -> Vec<Vec<usize>> {
    if k == 0 {
        return vec![Vec::new()];
    }
    let longer = |short: Vec<usize>| {
        (0..n).filter_map(move |i| {
            let mut long = short.clone();
            long.push(i);
            (!short.contains(&i)).then_some(long)
        })
    };
    orders(n, k - 1).into_iter().flat_map(longer).collect()
}

/// Everything that may happen from here on, with its chance: written apart from the simulation, by recursion.
fn expected(
    halves: &[(Vec<f64>, f64)],
    played: &[Vec<f64>],
    left: usize,
    out: &mut [f64],
    chance: f64,
) {
    let average = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let t: usize = played.iter().map(Vec::len).sum();
    let mut taken = None;
    for (arm, rewards) in played.iter().enumerate().filter(|(_, r)| !r.is_empty()) {
        if taken.is_none_or(|(_, best)| average(rewards) > best) {
            taken = Some((arm, average(rewards)));
        }
    }
    out[t] += chance
        * taken.map_or(
            average(&halves.iter().map(|h| h.1).collect::<Vec<_>>()),
            |(arm, _)| halves[arm].1,
        );
    if left == 0 {
        return;
    }
    let deviations = halves
        .iter()
        .flat_map(|(c, _)| c.iter().map(|x| (x - average(c)).powi(2)));
    let freedom: usize = halves.iter().map(|h| h.0.len() - 1).sum();
    let s = (deviations.sum::<f64>() / freedom as f64).sqrt();
    let bound = |r: &Vec<f64>| average(r) + s * (2.0 * (t as f64).ln() / r.len() as f64).sqrt();
    let next = played.iter().position(Vec::is_empty).unwrap_or_else(|| {
        let mut best = 0;
        for arm in 1..played.len() {
            // Equal but for rounding: the first, as in the simulation.
            if bound(&played[arm]) > bound(&played[best]) + 1e-12 {
                best = arm;
            }
        }
        best
    });
    for reward in &halves[next].0 {
        let mut after = played.to_vec();
        after[next].push(*reward);
        expected(
            halves,
            &after,
            left - 1,
            out,
            chance / halves[next].0.len() as f64,
        );
    }
}

#[test]
fn a_small_curve_is_that_of_enumeration() {
    // No two means are equal, which would leave the choice to rounding.
    let policies = [
        vec![0.0, 1.1, 2.3, 1.9],
        vec![3.0, 4.05, 5.3, 4.7],
        vec![-2.0, 0.13, 6.1, 9.7],
    ];
    let cuts = [[0, 2], [0, 3], [1, 2], [1, 3]];
    let halves = |returns: &[f64], choose: &[usize; 2]| {
        let rest: Vec<f64> = (0..4)
            .filter(|i| !choose.contains(i))
            .map(|i| returns[i])
            .collect();
        (
            choose.iter().map(|&i| returns[i]).collect::<Vec<_>>(),
            mean(&rest),
        )
    };
    let mut exact = vec![0.0; 5];
    let pairs = orders(3, 2);
    let chance = 1.0 / (pairs.len() * cuts.len()) as f64;
    for pair in &pairs {
        for cut in &cuts {
            let arms = [
                halves(&policies[pair[0]], cut),
                halves(&policies[pair[1]], cut),
            ];
            expected(&arms, &[vec![], vec![]], 4, &mut exact, chance);
        }
    }
    let found = curve(&policies, &SMALL).expect("enough");
    for (t, exact) in exact.iter().enumerate() {
        let (mean, error) = (found.mean[t], found.simulation[t]);
        assert!(error < 0.02, "{error}");
        assert!(
            (mean - exact).abs() < 4.5 * error,
            "after {t}: {mean} is not {exact} ± {error}"
        );
    }
    assert!(exact[4] > exact[0] + 0.1, "choosing helps: {exact:?}");
}

#[test]
fn the_best_of_k_is_that_of_enumeration() {
    let ranked = [9.0, 4.5, 4.0, -1.0, -7.0];
    for k in 1..=5 {
        let all = orders(5, k);
        let best = |o: &Vec<usize>| ranked[*o.iter().min().expect("some")];
        let exact = all.iter().map(best).sum::<f64>() / all.len() as f64;
        assert!((best_of(&ranked, k) - exact).abs() < 1e-12, "{k}");
    }
}

/// Policies whose episodes all return the same: there is nothing to learn of one after its first episode.
#[test]
fn with_no_luck_in_episodes_the_curve_ends_at_the_best_of_k() {
    let values: Vec<f64> = (0..12).map(|i| f64::from(i * i % 17)).collect();
    let policies: Vec<Vec<f64>> = values.iter().map(|&v| vec![v; 6]).collect();
    let mut ranked = values.clone();
    ranked.sort_by(|a, b| b.total_cmp(a));
    let settings = Settings {
        policies: 5,
        pulls: 9,
        ..SMALL
    };
    let found = curve(&policies, &settings).expect("enough");
    for t in 1..=9usize {
        let exact = best_of(&ranked, t.min(5));
        let error = 4.5 * found.simulation[t].max(1e-9);
        assert!(
            (found.mean[t] - exact).abs() < error,
            "after {t}: {} is not {exact}",
            found.mean[t]
        );
    }
    assert!((found.limit - best_of(&ranked, 5)).abs() < 4.5 * found.simulation[9]);
    assert!((found.mean[0] - mean(&values)).abs() < 4.5 * found.simulation[0]);
}

fn normal(seed: u64, count: usize) -> Vec<f64> {
    let drawn = Noise::keyed(seed, "test", 0).normals(count, 1);
    drawn.into_iter().map(f64::from).collect()
}

/// Nothing to be found: the truth is 0 everywhere. Scored by the episodes that chose, it would rise to about 0.6.
#[test]
fn policies_that_are_the_same_give_a_flat_curve() {
    let settings = Settings {
        policies: 8,
        pulls: 60,
        trials: 400,
        ..SMALL
    };
    let (mut ends, mut optimistic) = (Vec::new(), Vec::new());
    for seed in 0..150 {
        let policies: Vec<Vec<f64>> = (0..16).map(|i| normal(1000 * seed + i, 10)).collect();
        let found = curve(&policies, &settings).expect("enough");
        ends.push(found.mean[60] - found.mean[0]);
        let mut means: Vec<f64> = policies.iter().map(|p| mean(p)).collect();
        means.sort_by(|a, b| b.total_cmp(a));
        optimistic.push(best_of(&means, 8) - mean(&means));
    }
    let variance = ends.iter().map(|x| (x - mean(&ends)).powi(2)).sum::<f64>() / 149.0;
    let error = (variance / 150.0).sqrt();
    assert!(
        mean(&ends).abs() < 4.0 * error && error < 0.03,
        "{} ± {error}",
        mean(&ends)
    );
    assert!(mean(&optimistic) > 0.3, "{}", mean(&optimistic));
}

/// Policies that are the same and play the same episodes, all but for a little: the luck that chose one is not held against it.
#[test]
fn luck_that_all_share_moves_nothing() {
    let settings = Settings {
        policies: 8,
        pulls: 60,
        trials: 400,
        ..SMALL
    };
    let ends = (0..40).map(|seed| {
        let luck = normal(seed, 11);
        let own = |i: u64| normal(1000 + 100 * seed + i, 11);
        let policy = |i: u64| luck.iter().zip(own(i)).map(|(l, o)| l + 0.01 * o).collect();
        let policies: Vec<Vec<f64>> = (0..16).map(policy).collect();
        let found = curve(&policies, &settings).expect("enough");
        found.mean[60] - found.mean[0]
    });
    let ends: Vec<f64> = ends.collect();
    assert!(mean(&ends).abs() < 0.005, "{}", mean(&ends));
    let same = vec![normal(5, 7); 9];
    let found = curve(&same, &settings).expect("enough");
    assert!(found.mean.iter().all(|m| (m - found.mean[0]).abs() < 1e-12));
}

/// Policies from N(0, 1) without luck in episodes: the best of 4 is 1.0294 (Harter 1961), and 95 % of the intervals hold it.
#[test]
fn the_interval_holds_the_truth_as_often_as_it_says() {
    let settings = Settings {
        policies: 4,
        pulls: 4,
        trials: 1500,
        ..SMALL
    };
    let mut held = [0; 2];
    for seed in 0..200 {
        let policies: Vec<Vec<f64>> = normal(seed, 20).into_iter().map(|v| vec![v; 2]).collect();
        let found = curve(&policies, &settings).expect("enough");
        let half = found.half_width.expect("more than are drawn");
        for (held, (t, truth)) in held.iter_mut().zip([(0, 0.0), (4, 1.0294)]) {
            *held += usize::from((found.mean[t] - truth).abs() < half[t]);
        }
    }
    assert!(
        held.iter().all(|h| (176..=199).contains(h)),
        "{held:?} of 200"
    );
}

#[test]
fn what_cannot_be_drawn_is_refused_and_seeds_decide() {
    let policies = vec![vec![1.0, 2.0]; 2];
    let settings = Settings {
        policies: 3,
        trials: 10,
        ..SMALL
    };
    assert!(
        curve(&policies, &settings)
            .expect_err("few")
            .contains("at least 3")
    );
    let one = Settings {
        policies: 1,
        ..settings
    };
    assert!(
        curve(&[vec![1.0], vec![1.0]], &one)
            .expect_err("short")
            .contains("2 final episodes")
    );
    let two = Settings {
        policies: 2,
        ..settings
    };
    let found = curve(&policies, &two).expect("enough");
    assert_eq!((found.half_width.clone(), found.mean.len()), (None, 5));
    assert_eq!(curve(&policies, &two), Ok(found));
}

#[test]
fn quantiles_of_student_are_those_of_tables() {
    for (freedom, exact) in [
        (2, 4.303),
        (3, 3.182),
        (4, 2.776),
        (7, 2.365),
        (19, 2.093),
        (100, 1.984),
    ] {
        let found = student(freedom);
        assert!((found / exact - 1.0).abs() < 0.01, "{freedom}: {found}");
    }
}
