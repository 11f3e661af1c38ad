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
