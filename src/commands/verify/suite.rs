//! The worlds of `tiltrl verify`, with the recipe of each.

use std::sync::Arc;
use std::time::Instant;

use tiltrl_policies::agent::baselines::Tilt;
use tiltrl_policies::models::{Prediction, Schedule, ScheduleKind, StepShape};
use tiltrl_policies::worlds::{
    Bandit, GaussianMixture, GaussianReward, LinearGaussian, Lqr, Problem, Recipe, Settings,
    bandit, line, measure, shape, solve, square,
};
use tiltrl_tilt::finetune::LogZ;
use tiltrl_tilt::host::host;
use tiltrl_tilt::noise::Noise;

use super::shapes::{moons, rings};
use super::strings;
use super::world_result::{Requirement, WorldResult};
use crate::error::Error;

/// One row to come.
pub struct Task {
    /// Name of the world.
    pub name: String,
    /// Trains and measures.
    pub run: Work,
}

/// What a task does with its name.
pub type Work = Box<dyn Fn(&str) -> Result<WorldResult, Error> + Send>;

fn task(name: &str, run: impl Fn(&str) -> Result<WorldResult, Error> + Send + 'static) -> Task {
    Task {
        name: name.into(),
        run: Box::new(run),
    }
}

/// Returns all worlds; the longest come first, so that two threads end together.
pub fn tasks() -> Vec<Task> {
    let exact = |name: &str, problem: fn() -> Problem, recipe: Recipe| {
        let run = move |name: &str| diffusion(name, &problem(), &recipe, Requirement::Exact);
        task(name, run)
    };
    let shaped = |name: &str, problem: fn() -> Problem, recipe: Recipe| {
        let run = move |name: &str| diffusion(name, &problem(), &recipe, Requirement::Shape);
        task(name, run)
    };
    vec![
        exact("25 modes → 9, K = 3", grid, planar(2500)),
        shaped("two moons, K = −2", two_moons, planar(1500)),
        shaped("rings, K = 4", two_rings, planar(2000)),
        exact("F2 far modes 0.9/0.1, K = 7", far, plain(1000, 256)),
        exact("F2 three modes, K = 7", || three(7.0), plain(1800, 256)),
        exact("F2 three modes, K = −7", || three(-7.0), plain(1800, 256)),
        exact("F5 bandit, α = 0.5", contextual, conditional(5000)),
        exact("F6 LQR, α = 0.3", regulator, conditional(500)),
        exact("F1 b = 1.5, c = 0", || linear(1.5, 0.0), plain(500, 128)),
        exact("F1 b = −2.5, c = 2", || linear(-2.5, 2.0), plain(800, 128)),
        task("masked diffusion of strings", strings::masked),
        task("autoregressive strings", strings::autoregressive),
        task("control: schedule with memory", control),
    ]
}

fn plain(updates: u64, paths: usize) -> Recipe {
    let mut recipe = Recipe::new(updates, paths);
    recipe.learning_rate = 1e-2;
    recipe.options.log_z = LogZ::Robust;
    recipe
}

/// Half of the paths are noised backwards from prior samples drawn ∝ r: modes that no path meets cannot be learned.
fn planar(updates: u64) -> Recipe {
    let mut recipe = plain(updates, 128);
    recipe.paths.data = 128;
    recipe.learning_rate = 3e-2;
    recipe.max_gradient_norm = 10.0;
    recipe.shaping.huber = 2.0;
    recipe
}

/// Sharp shapes in the plane: Gaussian steps reach ESS/N 0.89 at best with T = 40 and 0.96 with T = 80 on the grid.
fn sharp() -> Settings {
    let mut settings = Settings::new(80, &[64, 64, 64]);
    settings.waves = 4;
    settings
}

fn conditional(updates: u64) -> Recipe {
    let mut recipe = plain(updates, 32);
    recipe.conditions = 8;
    recipe
}

/// F1 as a mixture of one component, so that its reward may shrink the variance.
pub fn linear(b: f64, c: f64) -> Problem {
    let mixture = GaussianMixture {
        weights: vec![1.0],
        means: vec![vec![0.4]],
        std: 0.8,
    };
    // b x − c x²/2 is a Gaussian reward for c > 0; c = 0 is its limit of great width.
    let curvature = if c > 0.0 { c } else { 1e-6 };
    let reward = GaussianReward {
        centre: vec![b / curvature],
        width: curvature.sqrt().recip(),
        log_scale: 0.5 * b * b / curvature,
    };
    line("F1", &mixture, &reward, Settings::new(15, &[48]))
}

/// Three modes under a Gaussian reward of height e^K.
pub fn three(log_scale: f64) -> Problem {
    let mixture = GaussianMixture {
        weights: vec![0.5, 0.3, 0.2],
        means: vec![vec![-1.2], vec![0.0], vec![1.3]],
        std: 0.3,
    };
    let reward = GaussianReward {
        centre: vec![0.8],
        width: 0.7,
        log_scale,
    };
    line("F2", &mixture, &reward, Settings::new(40, &[64, 64]))
}

/// Two modes 13 standard deviations apart; the reward lifts the small one.
pub fn far() -> Problem {
    let mixture = GaussianMixture {
        weights: vec![0.9, 0.1],
        means: vec![vec![-1.0], vec![1.0]],
        std: 0.15,
    };
    let reward = GaussianReward {
        centre: vec![1.0],
        width: 1.0,
        log_scale: 7.0,
    };
    line("F2", &mixture, &reward, Settings::new(40, &[64, 64]))
}

/// 25 equal modes to 9 of unequal weights.
pub fn grid() -> Problem {
    let ticks: Vec<f64> = (-2..=2).map(|i| 0.7 * f64::from(i)).collect();
    let weights = [4.0, 1.0, 2.0, 1.0, 3.0, 1.0, 2.0, 1.0, 4.0];
    let target = GaussianMixture {
        weights: weights.iter().map(|w| w / 19.0).collect(),
        means: (0..9)
            .map(|i| vec![ticks[2 * (i / 3)], ticks[2 * (i % 3)]])
            .collect(),
        std: 0.12,
    };
    square("25 → 9", &ticks, 0.12, &target, 3.0, sharp())
}

/// Two half circles from N(0, 1).
pub fn two_moons() -> Problem {
    let target = moons(1.3, 0.12, 16);
    shape("moons", &target, -2.0, Vec::new(), sharp())
}

fn two_rings() -> Problem {
    let target = rings(&[0.6, 1.6], 0.12, 14);
    shape("rings", &target, 4.0, Vec::new(), sharp())
}

/// A mixture that moves with the state.
pub fn contextual() -> Problem {
    let world = Bandit {
        weights: vec![0.5, 0.5],
        centres: vec![[-0.8, 0.3], [0.8, -0.4]],
        std: 0.3,
        best: [0.3, 0.8],
        curvature: 1.0,
        height: 1.0,
    };
    let states = [-0.9, -0.3, 0.3, 0.9];
    bandit("F5", &world, 0.5, &states, Settings::new(20, &[64, 64]))
}

fn regulator() -> Problem {
    let world = Lqr {
        transition: [[1.0, 0.2], [0.0, 0.95]],
        input: [0.02, 0.2],
        noise: 0.05,
        state_cost: [1.0, 0.1],
        action_cost: 0.1,
        discount: 0.95,
        gain: [-0.3, -0.4],
        std: 0.6,
    };
    let states = [[0.5, -1.0], [-1.0, 0.2], [1.5, 1.0]];
    world.problem("F6", 0.3, &states, Settings::new(20, &[64, 64]))
}

fn diffusion(
    name: &str,
    problem: &Problem,
    recipe: &Recipe,
    requirement: Requirement,
) -> Result<WorldResult, Error> {
    let clock = Instant::now();
    let model = solve(problem, recipe)?.into_posterior();
    let measured = measure(problem, &model, 20_000, 2);
    let pictures = (problem.tilt.prior.dim() == 2).then(|| {
        let mut noise = Noise::keyed(3, "pictures", 0);
        let samples = host(model.sample(&problem.condition(0, 1000), &mut noise));
        let exact = (problem.exact)(0, 1000, &mut noise);
        let model = samples.chunks_exact(2);
        [
            model.map(|p| [f64::from(p[0]), f64::from(p[1])]).collect(),
            exact.chunks_exact(2).map(|p| [p[0], p[1]]).collect(),
        ]
    });
    Ok(WorldResult {
        world: name.into(),
        requirement,
        measured,
        total_variation: None,
        shift: None,
        seconds: clock.elapsed().as_secs_f64(),
        passed: false,
        pictures,
    }
    .judged())
}

/// The public schedule, not rescaled: ᾱ_T = 0.454 at T = 75, so the noise and the sample stay correlated.
fn control(name: &str) -> Result<WorldResult, Error> {
    let clock = Instant::now();
    let world = LinearGaussian {
        mean: 0.0,
        std: 1.0,
        b: 1.0,
        c: 0.0,
        dim: 1,
    };
    let settings = Settings {
        schedule: Schedule::unchecked(ScheduleKind::UnscaledLinear, 75, Prediction::Epsilon),
        step: StepShape::default(),
        ..Settings::new(20, &[32])
    };
    let [m, v, _] = world.marginal(&settings.schedule);
    let [log_z, mean, variance] = world.posterior(&settings.schedule);
    let problem = Problem {
        name: name.into(),
        tilt: Tilt {
            prior: world.prior(&settings),
            log_reward: Arc::new(move |x, _| {
                x.iter().map(|&x| world.log_reward(f64::from(x))).collect()
            }),
            gradient: Arc::new(|x, _| vec![1.0; x.len()]),
        },
        width: 1,
        draw: Arc::new(|rows, _| vec![0.0; rows]),
        conditions: vec![0.0],
        log_z: vec![log_z],
        exact: Arc::new(move |_, count, noise| {
            let z = noise.normals(count, 1);
            z.iter()
                .map(|&z| mean + variance.sqrt() * f64::from(z))
                .collect()
        }),
        modes: vec![Vec::new()],
    };
    let mut recipe = Recipe::new(400, 128);
    recipe.max_gradient_norm = 0.0;
    recipe.shaping.huber = 0.0;
    let model = solve(&problem, &recipe)?.into_posterior();
    let measured = measure(&problem, &model, 20_000, 2);
    let mut noise = Noise::keyed(3, "control", 0);
    let samples = host(model.sample(&problem.condition(0, 20_000), &mut noise));
    let found = samples.iter().map(|&x| f64::from(x)).sum::<f64>() / 20_000.0;
    Ok(WorldResult {
        world: name.into(),
        requirement: Requirement::Control,
        measured,
        total_variation: None,
        shift: Some((found - m) / (world.b * v)),
        seconds: clock.elapsed().as_secs_f64(),
        passed: false,
        pictures: None,
    }
    .judged())
}
