//! RTB from 25 equal modes on a square grid to weighted ones, for `benches/peers/torchgfn`.
//!
//! The world comes in any units: `--spacing` of the modes, their `--std`, `--centres x,y,x,y,…` and `--weights` of the
//! posterior's modes. Inside, the spacing is 0.7. Writes samples in the given units as CSV to `--out` and prints one
//! line of JSON with the seconds of training.

use std::io::Write;
use std::time::Instant;

use tiltrl_policies::tilt::finetune::LogZ;
use tiltrl_policies::tilt::host::host;
use tiltrl_policies::tilt::noise::Noise;
use tiltrl_policies::worlds::{GaussianMixture, Recipe, Settings, measure, solve, square};

/// Distance of neighbouring modes that the network sees.
const SPACING: f64 = 0.7;

fn text(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|a| a != name);
    arguments.nth(1)
}

fn number<T: std::str::FromStr>(name: &str, default: T) -> T {
    text(name).map_or(default, |t| {
        t.parse()
            .ok()
            .unwrap_or_else(|| panic!("{name} {t}: expected a number"))
    })
}

fn numbers(name: &str) -> Vec<f64> {
    let list = text(name).unwrap_or_else(|| panic!("{name}: expected numbers, comma-separated"));
    let parse = |t: &str| {
        t.parse()
            .unwrap_or_else(|_| panic!("{name}: {t} is no number"))
    };
    list.split(',').map(parse).collect()
}

fn main() {
    // `cargo bench` and `cargo test --benches` call every bench without these.
    let Some(out) = text("--out") else { return };
    rayon::ThreadPoolBuilder::new()
        .num_threads(number("--threads", 1))
        .build_global()
        .expect("the first pool");
    let unit = number("--spacing", SPACING) / SPACING;
    let std = number("--std", 0.12 * unit) / unit;
    let ticks: Vec<f64> = (-2..=2).map(|i| SPACING * f64::from(i)).collect();
    let weights = numbers("--weights");
    let target = GaussianMixture {
        weights: weights
            .iter()
            .map(|w| w / weights.iter().sum::<f64>())
            .collect(),
        means: numbers("--centres")
            .chunks_exact(2)
            .map(|c| vec![c[0] / unit, c[1] / unit])
            .collect(),
        std,
    };
    let mut settings = Settings::new(number("--steps", 80), &[64, 64]);
    settings.waves = 4;
    settings.seed = number("--seed", 1);
    let problem = square("25 → 9", &ticks, std, &target, 0.0, settings);
    let mut recipe = Recipe::new(number("--updates", 2500), 128);
    recipe.paths.data = 128;
    recipe.learning_rate = number("--rate", 3e-2);
    recipe.max_gradient_norm = 10.0;
    recipe.options.log_z = LogZ::Robust;
    recipe.seed = number("--seed", 1);
    let clock = Instant::now();
    let model = solve(&problem, &recipe).expect("finite").into_posterior();
    let seconds = clock.elapsed().as_secs_f64();
    let mut noise = Noise::keyed(recipe.seed, "grid", 0);
    let condition = problem.condition(0, number("--samples", 2000));
    let samples = host(model.sample(&condition, &mut noise));
    let rows = samples.chunks_exact(2);
    let rows = rows.map(|p| format!("{},{}\n", f64::from(p[0]) * unit, f64::from(p[1]) * unit));
    std::fs::write(&out, rows.collect::<String>()).expect("a writable --out");
    let found = measure(&problem, &model, 5000, 2);
    let line = format!(
        "{{\"training_seconds\": {seconds}, \"log_z_error\": {}, \"ess\": {}, \"mode_error\": {}}}",
        found.log_z_error, found.ess, found.mode_error
    );
    writeln!(std::io::stdout(), "{line}").expect("a reader");
}
