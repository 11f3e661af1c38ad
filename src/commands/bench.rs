//! `tiltrl envs bench`: environment steps a second, on the processor or on a card.

use std::time::{Duration, Instant};

use clap::Args;
use tiltrl_envs::random::Stream;
use tiltrl_envs::{EnvBatch, EnvOptions, Step, spec_with};

use super::env_args::EnvArgs;
use super::output::print;
use crate::card;
use crate::device::Compute;
use crate::error::Error;

/// Arguments of `tiltrl envs bench`.
#[derive(Args)]
pub struct BenchArgs {
    /// Id, see `tiltrl envs`.
    id: String,
    /// Environments side by side.
    #[arg(long, default_value_t = 1024)]
    count: usize,
    /// Seconds to measure for.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    #[command(flatten)]
    env: EnvArgs,
}

/// Steps environments under uniformly random actions and prints how many steps a second they make. New episodes begin where one
/// ends, and their starts are part of the time.
///
/// # Errors
/// When the environment is unknown, a number is out of range, or the card refuses.
pub fn bench(args: &BenchArgs, device: &str) -> Result<(), Error> {
    let compute = Compute::named(device)?;
    let options = args.env.options();
    let spec = spec_with(&args.id, &options)?;
    if args.count == 0 {
        return Err(Error::Usage("--count: expected at least 1".into()));
    }
    if !(args.seconds > 0.0 && args.seconds <= 3600.0) {
        return Err(Error::Usage(format!(
            "--seconds: expected more than 0 and at most 3600, found {}",
            args.seconds
        )));
    }
    let span = Duration::from_secs_f64(args.seconds);
    let (rate, place) = match compute.card {
        Some(of) => {
            let rate = card::steps_per_second(of, &args.id, &options, args.count, span)?;
            (rate, compute.name)
        }
        None => {
            let threads = rayon::current_num_threads();
            let rate = on_processor((&args.id, &options), args.count, span)?;
            (rate, format!("the processor, {threads} threads"))
        }
    };
    print(&format!(
        "{} on {} {}: {rate:.0} environment steps/s, {} side by side on {place}",
        spec.id, spec.engine, spec.engine_version, args.count
    ));
    Ok(())
}

fn on_processor(
    (id, options): (&str, &EnvOptions),
    count: usize,
    span: Duration,
) -> Result<f64, Error> {
    let mut batch = EnvBatch::new(id, options, count)?;
    let (width, dim) = (batch.spec().observation_dim, batch.spec().action_dim);
    let horizon = batch.spec().horizon;
    let all: Vec<usize> = (0..count).collect();
    let seeds: Vec<u64> = (0..count as u64).collect();
    let mut rows = vec![0.0; count * width];
    let mut steps = vec![Step::default(); count];
    batch.reset(&all, &seeds, &mut rows);
    let mut stream = Stream::new(3);
    let mut actions = vec![0.0f32; count * dim];
    let (mut ages, mut passed, mut turns) = (vec![0; count], Duration::ZERO, 0_usize);
    while passed < span {
        // Drawing actions is no part of the time.
        actions.fill_with(|| stream.uniform(-1.0, 1.0) as f32);
        let clock = Instant::now();
        batch.step(&all, &actions, &mut rows, &mut steps);
        ages.iter_mut().for_each(|age| *age += 1);
        let ends = |k: &usize| steps[*k].terminated || ages[*k] >= horizon;
        let ended: Vec<usize> = (0..count).filter(ends).collect();
        let seeds: Vec<u64> = ended.iter().map(|k| (turns * count + k) as u64).collect();
        batch.reset(&ended, &seeds, &mut rows[..ended.len() * width]);
        passed += clock.elapsed();
        ended.iter().for_each(|k| ages[*k] = 0);
        turns += 1;
    }
    Ok((turns * count) as f64 / passed.as_secs_f64())
}
