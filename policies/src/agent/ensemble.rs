//! The value of an ensemble: its minimum, or its mean less a multiple of its deviation, with the gradient.

use super::critic::ValueNetworks;
use crate::fast::{NetworkPass, Networks};

/// Returns the minimum of an ensemble, or its mean − lcb · std, of each row.
pub(super) fn conservative_rows(members: &[Vec<f32>], lcb: f64) -> Vec<f64> {
    let row = |row: usize| {
        let values: Vec<f64> = members.iter().map(|m| f64::from(m[row])).collect();
        conservative(&values, lcb)
    };
    (0..members[0].len()).map(row).collect()
}

fn spread(values: &[f64]) -> [f64; 2] {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    [mean, variance.sqrt()]
}

fn conservative(values: &[f64], lcb: f64) -> f64 {
    if lcb <= 0.0 {
        return values.iter().copied().fold(f64::INFINITY, f64::min);
    }
    let [mean, std] = spread(values);
    mean - lcb * std
}

/// ∂ conservative / ∂ value of member `index`.
fn share(index: usize, values: &[f64], lcb: f64) -> f64 {
    if lcb <= 0.0 {
        let lowest = (0..values.len()).fold(0, |b, i| if values[i] < values[b] { i } else { b });
        return f64::from(u8::from(lowest == index));
    }
    let n = values.len() as f64;
    let [mean, std] = spread(values);
    1.0 / n - lcb * (values[index] - mean) / (n * std.max(1e-9))
}

/// Returns the gradient of the conservative value of an ensemble with respect to the last `action_dim` inputs.
pub(super) fn action_gradient(
    networks: &Networks,
    passes: &[NetworkPass<'_>],
    action_dim: usize,
    lcb: f64,
) -> Vec<f32> {
    let gradients = networks.input_gradients(passes, |members| {
        let rows = members[0].len();
        let of_member = |index: usize| {
            let weight = |row: usize| {
                let values: Vec<f64> = members.iter().map(|m| f64::from(m[row])).collect();
                share(index, &values, lcb) as f32
            };
            (0..rows).map(weight).collect()
        };
        (0..members.len()).map(of_member).collect()
    });
    let mut sum = vec![0.0f32; passes[0].input.len()];
    for gradient in &gradients {
        sum.iter_mut().zip(gradient).for_each(|(s, g)| *s += g);
    }
    let width = networks.inputs(passes[0].network);
    let rows = sum.chunks_exact(width);
    rows.flat_map(|row| row[width - action_dim..].to_vec())
        .collect()
}

/// Returns these networks, or their slow copies, as a critic gives them away.
pub(super) fn value_networks(
    networks: &Networks,
    members: std::ops::Range<usize>,
    target: bool,
    lcb: f64,
) -> ValueNetworks {
    ValueNetworks {
        spec: networks.spec(members.start).clone(),
        parameters: members.map(|m| networks.values(m, target)).collect(),
        lcb,
    }
}
