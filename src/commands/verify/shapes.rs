//! Shapes in the plane as mixtures: chains of Gaussians along half circles and rings.

use std::f64::consts::PI;

use tiltrl_policies::worlds::GaussianMixture;

/// Returns two interleaved half circles of radius `radius`, each of `count` Gaussians.
pub fn moons(radius: f64, std: f64, count: usize) -> GaussianMixture {
    let arc = |i: usize| PI * (i as f64 + 0.5) / count as f64;
    let upper = (0..count).map(|i| {
        let t = arc(i);
        vec![radius * (t.cos() - 0.5), radius * (t.sin() - 0.25)]
    });
    let lower = (0..count).map(|i| {
        let t = arc(i);
        vec![radius * (0.5 - t.cos()), radius * (0.25 - t.sin())]
    });
    even(upper.chain(lower).collect(), std)
}

/// Returns concentric rings, each of `count` Gaussians per unit of radius.
pub fn rings(radii: &[f64], std: f64, count: usize) -> GaussianMixture {
    let ring = |&radius: &f64| {
        let number = (count as f64 * radius).ceil() as usize;
        (0..number).map(move |i| {
            let t = 2.0 * PI * i as f64 / number as f64;
            vec![radius * t.cos(), radius * t.sin()]
        })
    };
    even(radii.iter().flat_map(ring).collect(), std)
}

fn even(means: Vec<Vec<f64>>, std: f64) -> GaussianMixture {
    GaussianMixture {
        weights: vec![1.0 / means.len() as f64; means.len()],
        means,
        std,
    }
}
