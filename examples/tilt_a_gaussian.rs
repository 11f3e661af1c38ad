//! Tilts N(0, 1) by exp(2 x − x²) and prints what was found beside the exact answer.

#![allow(clippy::print_stdout)]

use tiltrl::policies::fast::HostAdam;
use tiltrl::policies::worlds::{LinearGaussian, Settings};
use tiltrl::tilt::finetune::{Batch, Finetuner, Mixture};
use tiltrl::tilt::host::{host64, matrix};
use tiltrl::tilt::optimizer::AdamConfig;
use tiltrl::tilt::{Noise, TiltError};

fn main() -> Result<(), TiltError> {
    let noise = |update| Noise::keyed(1, "update", update);
    // log r(x) = b x − c x²/2: the posterior is a Gaussian again.
    let (mean, std, b, c, dim) = (0.0, 1.0, 2.0, 2.0, 1);
    #[rustfmt::skip]
    let world = LinearGaussian { mean, std, b, c, dim };
    let settings = Settings::new(20, &[32]);
    let prior = world.prior(&settings);
    let rows = |count: usize| matrix(vec![0.0; count], 1, &settings.compute.device);
    let adam = HostAdam::new(AdamConfig::plain(1e-2));
    let paths = Mixture::on_policy(128);
    let mut tuner = Finetuner::new(prior.clone(), prior, adam, paths, &rows(8))?;
    let reward = |x: &_, _: &_| {
        let samples = host64::<2>(Clone::clone(x)).into_iter();
        samples.map(|x| world.log_reward(x)).collect()
    };
    for update in 0..800 {
        tuner.set_learning_rate(1e-2 * (1.0 - update as f32 / 800.0) + 2e-4);
        tuner.update(&Batch::new(rows(1)), &reward, &mut noise(update))?;
    }
    let samples = host64(tuner.posterior().sample(&rows(50_000), &mut noise(800)));
    let found = samples.iter().sum::<f64>() / 5e4;
    let spread = samples.iter().map(|x| (x - found).powi(2)).sum::<f64>() / 5e4;
    let [_, exact, variance] = world.posterior(&settings.schedule);
    println!("mean      exact {exact:.3}   found {found:.3}");
    println!("variance  exact {variance:.3}   found {spread:.3}");
    assert!((found - exact).abs() < 0.02 && (spread - variance).abs() < 0.02);
    Ok(())
}
