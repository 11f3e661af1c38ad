//! The update on the CPU against the same update by tensors.

use tiltrl_tilt::noise::Noise;

use super::*;
use crate::arithmetic::Arithmetic;
use crate::math::Activation;

const WIDTHS: [usize; 3] = [5, 5, 3];

/// Two followed networks of one input, and one of another without a slow copy.
fn networks(arithmetic: Arithmetic) -> Networks {
    let mut networks = Networks::new(&Engine::new(arithmetic));
    let mut noise = Noise::keyed(1, "networks", 0);
    for (i, inputs) in WIDTHS.into_iter().enumerate() {
        let spec = MlpSpec {
            sizes: vec![inputs, 40, 33, 1],
            activation: Activation::Relu,
            layer_norm: i != 1,
        };
        let values = noise.normals(spec.num_parameters(), 1);
        let values = values.iter().map(|v| 0.3 * v).collect();
        let parameters = vector(values, &Device::flex());
        let config = AdamConfig {
            max_gradient_norm: 1.0,
            ..AdamConfig::plain(1e-2)
        };
        networks.push(spec, parameters, config, i < 2);
    }
    networks
}

/// Half the squared distance of each trained network to the mean of all others' outputs.
fn loss(outputs: &[&[f32]], gradients: &mut [&mut [f32]]) -> Option<f64> {
    let rows = outputs[0].len();
    let mut sum = 0.0;
    for row in 0..rows {
        let others: f32 = outputs[3..].iter().map(|o| o[row]).sum();
        for (output, gradient) in outputs.iter().zip(&mut *gradients) {
            let error = output[row] - others / 3.0 - 0.5;
            sum += f64::from(error * error);
            gradient[row] = error / rows as f32;
        }
    }
    Some(sum)
}

fn all(networks: &Networks) -> Vec<f32> {
    let mut checkpoint = Checkpoint::new("test", 0);
    networks.put(&mut checkpoint, "net");
    checkpoint.tensors.into_values().flatten().collect()
}

fn largest_gap(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let gaps = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    gaps.fold(0.0, f32::max)
}

fn passes(inputs: &[Vec<f32>; 2]) -> Vec<NetworkPass<'_>> {
    let pass = |network: usize, target, train, input: usize| NetworkPass {
        network,
        target,
        train,
        input: &inputs[input],
    };
    vec![
        pass(0, false, true, 0),
        pass(1, false, true, 0),
        pass(2, false, true, 1),
        pass(0, true, false, 0),
        pass(1, true, false, 0),
        pass(2, false, false, 1),
    ]
}

#[test]
fn an_update_on_the_cpu_is_the_update_by_tensors() {
    let mut noise = Noise::keyed(2, "networks", 0);
    let inputs = [noise.normals(70, 5), noise.normals(70, 3)];
    let passes = passes(&inputs);
    for arithmetic in [Arithmetic::best(), Arithmetic::F32] {
        let (mut one, mut two) = (networks(arithmetic), networks(arithmetic));
        let start = all(&one);
        for update in 0..3 {
            let found = one.learn(&passes, 0.9, loss).expect("finite");
            let reference = two.learn_by_tensors(&passes, 0.9, loss).expect("finite");
            assert!(
                (found - reference).abs() < 1e-4 * reference,
                "{arithmetic}, update {update}: {found} {reference}"
            );
        }
        let gap = largest_gap(&all(&one), &all(&two));
        // Adam divides by the gradient's size: rounding of small entries moves them by a share of 3 · 1e-2.
        assert!(gap < 1e-3, "{arithmetic}: {gap}");
        assert!(largest_gap(&all(&one), &start) > 1e-2);
        let (found, reference) = (one.evaluate(&passes), two.evaluate(&passes));
        for (found, reference) in found.iter().zip(&reference) {
            assert!(largest_gap(found, reference) < 1e-3, "{arithmetic}");
        }
    }
}

#[test]
fn a_loss_that_refuses_changes_nothing() {
    let inputs = [vec![0.5; 4 * 5], vec![0.5; 4 * 3]];
    let mut networks = networks(Arithmetic::best());
    let start = all(&networks);
    let refused = networks.learn(&passes(&inputs), 0.9, |_, gradients| -> Option<()> {
        gradients.iter_mut().for_each(|g| g.fill(1.0));
        None
    });
    assert_eq!(refused, None);
    assert_eq!(all(&networks), start);
}

/// An actor [3 → 2] and two critics of [its input, its squashed output].
fn actor_and_critics(engine: &Engine) -> Networks {
    let mut networks = Networks::new(engine);
    let mut noise = Noise::keyed(3, "networks", 0);
    for (sizes, layer_norm) in [
        (vec![3, 40, 2], false),
        (vec![5, 33, 40, 1], true),
        (vec![5, 33, 1], false),
    ] {
        let spec = MlpSpec {
            sizes,
            activation: Activation::Relu,
            layer_norm,
        };
        let values = noise.normals(spec.num_parameters(), 1);
        let parameters = vector(values.iter().map(|v| 0.3 * v).collect(), &Device::flex());
        networks.push(spec, parameters, AdamConfig::plain(1e-2), true);
    }
    networks
}

fn squashed(input: &[f32], output: &[f32], joined: &mut Vec<f32>) {
    joined.clear();
    for (x, u) in input.chunks_exact(3).zip(output.chunks_exact(2)) {
        joined.extend_from_slice(x);
        joined.extend(u.iter().map(|u| u.tanh()));
    }
}

/// Σ over rows of first − ½ second²: its gradient with respect to the two outputs.
fn differentiate(outputs: &[&[f32]], gradients: &mut [&mut [f32]]) {
    gradients[0].fill(1.0);
    let second = gradients[1].iter_mut().zip(outputs[1]);
    second.for_each(|(g, o)| *g = -o);
}

fn finish(output: &[f32], through: &[&[f32]], gradient: &mut [f32]) -> Option<()> {
    for (row, (g, u)) in gradient
        .chunks_exact_mut(2)
        .zip(output.chunks_exact(2))
        .enumerate()
    {
        for d in 0..2 {
            let back: f32 = through.iter().map(|t| t[row * 5 + 3 + d]).sum();
            g[d] = back * (1.0 - u[d].tanh().powi(2));
        }
    }
    Some(())
}

#[test]
fn a_step_through_other_networks_is_the_step_by_tensors_and_touches_no_other() {
    let input = Noise::keyed(4, "networks", 0).normals(300, 3);
    let pass = NetworkPass {
        network: 0,
        target: false,
        train: true,
        input: &input,
    };
    for arithmetic in [Arithmetic::best(), Arithmetic::F32] {
        let engine = Engine::new(arithmetic);
        let (mut one, mut two) = (actor_and_critics(&engine), actor_and_critics(&engine));
        let start = one.values(0, false);
        for _ in 0..3 {
            let join = |o: &[f32], j: &mut Vec<f32>| squashed(&input, o, j);
            one.learn_through(pass, &[1, 2], 0.9, join, differentiate, finish)
                .expect("done");
            let join = |o: &[f32], j: &mut Vec<f32>| squashed(&input, o, j);
            two.learn_through_by_tensors(pass, &[1, 2], 0.9, join, differentiate, finish)
                .expect("done");
        }
        assert!(largest_gap(&one.values(0, false), &start) > 1e-2);
        assert!(
            largest_gap(&one.values(0, true), &start) > 1e-4,
            "the slow copy follows"
        );
        let gap = largest_gap(&all(&one), &all(&two));
        assert!(gap < 1e-3, "{arithmetic}: {gap}");
        for network in [1, 2] {
            assert_eq!(
                one.values(network, false),
                actor_and_critics(&engine).values(network, false)
            );
        }
        let mut outputs = Vec::new();
        one.outputs_into(&[pass], &mut outputs);
        assert_eq!(outputs, one.evaluate(&[pass]));
    }
}

/// The loss at shifted outputs of the actor, by differences, against the gradient that [`finish`] is given.
#[test]
fn the_gradient_through_other_networks_is_that_of_differences() {
    let input = Noise::keyed(5, "networks", 0).normals(6, 3);
    let mut networks = actor_and_critics(&Engine::new(Arithmetic::F32));
    let pass = NetworkPass {
        network: 0,
        target: false,
        train: true,
        input: &input,
    };
    let (mut outputs, mut gradient) = (Vec::new(), Vec::new());
    let join = |o: &[f32], j: &mut Vec<f32>| squashed(&input, o, j);
    let refused = networks.learn_through(pass, &[1, 2], 0.9, join, differentiate, |o, t, g| {
        finish(o, t, g);
        (outputs, gradient) = (o.to_vec(), g.to_vec());
        None::<()>
    });
    assert!(refused.is_none() && outputs.len() == 12);
    let loss = |outputs: &[f32]| -> f64 {
        let mut joined = Vec::new();
        squashed(&input, outputs, &mut joined);
        let of = |network| NetworkPass {
            network,
            target: false,
            train: false,
            input: &joined,
        };
        let found = networks.evaluate(&[of(1), of(2)]);
        let pairs = found[0].iter().zip(&found[1]);
        pairs
            .map(|(a, b)| f64::from(*a) - 0.5 * f64::from(*b).powi(2))
            .sum()
    };
    for i in 0..outputs.len() {
        let at = |h: f32| {
            let mut shifted = outputs.clone();
            shifted[i] += h;
            loss(&shifted)
        };
        let numeric = (at(5e-3) - at(-5e-3)) / 1e-2;
        let gap = (numeric - f64::from(gradient[i])).abs();
        assert!(
            gap < 2e-2 * numeric.abs().max(1.0),
            "{i}: {numeric} {}",
            gradient[i]
        );
    }
}
