//! What a critic says about actions of one state: Q − V, learned apart from V.
//!
//! Most of Q's spread is between states, and a network that fits it tells actions of one state apart badly: off the data
//! it gives an action the value of the states where such actions are common. Here IQL is trained first; then networks regress to
//! r + γ V(s') − V(s) alone, and to a low label on the prior's own samples. Where prior and data agree the second only rescales and
//! shifts; where the prior strays from the data it is what the networks learn. V cancels in the posterior.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tiltrl_tilt::TiltError;
use tiltrl_tilt::checkpoint::Checkpoint;
use tiltrl_tilt::host::vector;
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::optimizer::{AdamConfig, cosine_decay};

use super::critic::{Critic, CriticKind, LearnerShape, Lesson, ValueNetworks, object, parse};
use super::ensemble::{action_gradient, conservative_rows, value_networks};
use super::iql::{Iql, IqlConfig, settings};
use super::setting::{Range, Setting, UPDATES};
use super::transitions::{Transitions, gather, joined};
use crate::fast::{Activation, MlpSpec, NetworkPass, Networks};
use crate::nets::initial;

/// Rows whose prior samples stand against the data.
const POOL: usize = 50_000;
/// Rows evaluated at once.
const CHUNK: usize = 4096;

/// Settings of [`Advantage`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AdvantageConfig {
    /// The critic that gives V, and the shape of the networks.
    #[serde(flatten)]
    pub iql: IqlConfig,
    /// Updates of the advantage networks, after IQL's.
    pub advantage_updates: u64,
    /// How far below zero the advantage of actions that only the prior knows is put, in deviations of its targets.
    pub caution: f64,
}

impl Default for AdvantageConfig {
    fn default() -> Self {
        Self {
            iql: IqlConfig::default(),
            advantage_updates: 10_000,
            caution: 1.0,
        }
    }
}

/// The line of the table.
pub(super) const KIND: CriticKind = CriticKind {
    name: "advantage",
    summary: "Q − V learned apart from V, after implicit Q-learning",
    settings: own_settings,
    growing: &["advantage_updates"],
    defaults: || object(&AdvantageConfig::default()),
    fault: |_| None,
    make: |settings, shape| Ok(Box::new(Advantage::new(parse(settings)?, shape))),
};

fn own_settings() -> Vec<Setting> {
    let mut all = settings();
    all.push(Setting {
        key: "advantage_updates",
        meaning: "Updates of the advantage networks, after those of Q and V",
        range: Range::Count(1, UPDATES),
    });
    all.push(Setting {
        key: "caution",
        meaning: "How far below zero the advantage of actions unknown to the data is put, in deviations",
        range: Range::Number(0.0, 1000.0),
    });
    all
}

/// What the networks regress to: made once, when IQL is done.
struct Targets {
    /// r + γ V(s') − V(s) of every row of the data, in the networks' unit.
    labels: Vec<f32>,
    /// Inputs of the prior's own samples at states of the data.
    pool: Vec<f32>,
}

/// IQL, and networks of the advantage.
pub(crate) struct Advantage {
    config: AdvantageConfig,
    iql: Iql,
    networks: Networks,
    widths: [usize; 2],
    /// Size of the networks' unit, in the critic's units: the deviation of the targets.
    unit: f64,
    targets: Option<Targets>,
}

impl Advantage {
    /// Returns an untrained critic.
    pub(crate) fn new(config: AdvantageConfig, shape: &LearnerShape) -> Self {
        let mut noise = Noise::keyed(shape.seed, "advantage-init", 0);
        let widths = [shape.observation_dim, shape.action_dim];
        let mut networks = Networks::new(&shape.compute.engine);
        for _ in 0..config.iql.ensemble.max(2) {
            let inputs = vec![widths[0] + widths[1]];
            let spec = MlpSpec {
                sizes: [inputs, config.iql.hidden.clone(), vec![1]].concat(),
                activation: Activation::Relu,
                layer_norm: config.iql.layer_norm,
            };
            let parameters = vector(initial(&spec, 1.0, &mut noise), &shape.compute.device);
            let adam = AdamConfig::plain(config.iql.learning_rate);
            networks.push(spec, parameters, adam, false);
        }
        Self {
            iql: Iql::new(config.iql.clone(), shape),
            config,
            networks,
            widths,
            unit: 1.0,
            targets: None,
        }
    }

    fn passes<'a>(&self, input: &'a [f32], train: bool) -> Vec<NetworkPass<'a>> {
        let pass = |network| NetworkPass {
            network,
            target: false,
            train,
            input,
        };
        (0..self.networks.len()).map(pass).collect()
    }

    /// r + γ V(s') − V(s) of every row, over the configured number of timesteps.
    fn labels(&self, transitions: &Transitions) -> Vec<f32> {
        let config = &self.config.iql;
        let rows: Vec<usize> = (0..transitions.count()).collect();
        let chunks = rows.chunks(CHUNK);
        let parts = chunks.map(|rows| {
            let batch = transitions.batch(rows, config.n_step, config.discount);
            self.iql.temporal_differences(&batch)
        });
        parts.collect::<Vec<_>>().concat()
    }

    fn inputs(&self, transitions: &Transitions, rows: &[usize], actions: &[f32]) -> Vec<f32> {
        let observations = gather(&transitions.observations, self.widths[0], rows);
        joined(&observations, actions, self.widths)
    }

    fn make_targets(&mut self, lesson: &Lesson<'_>) -> Targets {
        let transitions = lesson.transitions;
        let mut labels = self.labels(transitions);
        let square = |sum: f64, v: &f32| sum + f64::from(*v).powi(2);
        let mean_square = labels.iter().fold(0.0, square) / labels.len() as f64;
        self.unit = mean_square.sqrt().max(1e-9);
        let unit = self.unit as f32;
        labels.iter_mut().for_each(|v| *v /= unit);
        let mut noise = Noise::keyed(lesson.seed, "advantage-pool", 0);
        let rows = noise.indices(POOL, transitions.count());
        let mut pool = Vec::new();
        for rows in rows.chunks(CHUNK) {
            let observations = gather(&transitions.observations, self.widths[0], rows);
            let actions = (lesson.prior)(&observations, &mut noise);
            pool.extend(self.inputs(transitions, rows, &actions));
        }
        Targets { labels, pool }
    }

    /// One batch: rows of the data with their targets, and half as many samples of the prior with the low label.
    fn step(&mut self, lesson: &Lesson<'_>, update: u64) -> Option<f64> {
        let config = &self.config.iql;
        let mut noise = Noise::keyed(lesson.seed, "advantage-update", update);
        let rows = noise.indices(config.batch_size, lesson.transitions.count());
        let actions = gather(&lesson.transitions.actions, self.widths[1], &rows);
        let mut inputs = self.inputs(lesson.transitions, &rows, &actions);
        let targets = self.targets.as_ref().expect("made before the first step");
        let mut wanted: Vec<f32> = rows.iter().map(|&row| targets.labels[row]).collect();
        if self.config.caution > 0.0 {
            let width = self.widths[0] + self.widths[1];
            let others = noise.indices(config.batch_size / 2, targets.pool.len() / width);
            inputs.extend(gather(&targets.pool, width, &others));
            wanted.resize(rows.len() + others.len(), -self.config.caution as f32);
        }
        let rate = config.learning_rate * cosine_decay(update, self.config.advantage_updates);
        let passes = self.passes(&inputs, true);
        self.networks.set_learning_rate(rate);
        self.networks.learn(&passes, 0.0, |outputs, gradients| {
            let (count, members) = (wanted.len() as f64, outputs.len() as f64);
            let mut total = 0.0;
            for (output, gradient) in outputs.iter().zip(gradients) {
                for ((o, w), g) in output.iter().zip(&wanted).zip(gradient.iter_mut()) {
                    let error = o - w;
                    total += f64::from(error * error) / (count * members);
                    *g = 2.0 * error / count as f32;
                }
            }
            total.is_finite().then_some(total)
        })
    }
}

impl Critic for Advantage {
    fn updates(&self) -> u64 {
        self.config.iql.updates + self.config.advantage_updates
    }

    fn figures(&self) -> Vec<&'static str> {
        let mut all = self.iql.figures();
        all.push("advantage_loss");
        all
    }

    fn update(&mut self, lesson: &Lesson<'_>, update: u64) -> Result<Vec<f64>, TiltError> {
        let first = self.config.iql.updates;
        if update < first {
            let mut figures = self.iql.update(lesson, update)?;
            figures.push(f64::NAN);
            return Ok(figures);
        }
        if self.targets.is_none() {
            self.targets = Some(self.make_targets(lesson));
        }
        let loss = self.step(lesson, update - first);
        let loss = loss.ok_or(TiltError::NonFinite {
            stage: "critic",
            what: "loss of the advantage",
            update,
        })?;
        Ok(vec![f64::NAN, f64::NAN, f64::NAN, loss])
    }

    fn values(&self, observations: &[f32], actions: &[f32]) -> Vec<f64> {
        let input = joined(observations, actions, self.widths);
        let members = self.networks.evaluate(&self.passes(&input, false));
        let rows = conservative_rows(&members, self.config.iql.lcb).into_iter();
        rows.map(|v| v * self.unit).collect()
    }

    fn gradient(&self, observations: &[f32], actions: &[f32]) -> Vec<f32> {
        let input = joined(observations, actions, self.widths);
        let passes = self.passes(&input, false);
        let found = action_gradient(&self.networks, &passes, self.widths[1], self.config.iql.lcb);
        found.iter().map(|g| g * self.unit as f32).collect()
    }

    fn networks(&self) -> Option<ValueNetworks> {
        let members = 0..self.networks.len();
        let lcb = self.config.iql.lcb;
        Some(value_networks(&self.networks, members, false, lcb))
    }

    fn save(&self, checkpoint: &mut Checkpoint) {
        self.iql.save(checkpoint);
        self.networks.put(checkpoint, "advantage");
        let unit = format!("{:016x}", self.unit.to_bits());
        checkpoint.settings.insert("unit_bits".into(), unit.into());
    }

    fn load(&mut self, checkpoint: &Checkpoint, path: &Path) -> Result<(), TiltError> {
        self.iql.load(checkpoint, path)?;
        self.networks.get(checkpoint, path, "advantage")?;
        let bits = checkpoint.settings.get("unit_bits");
        let bits = bits.and_then(Value::as_str);
        if let Some(bits) = bits.and_then(|b| u64::from_str_radix(b, 16).ok()) {
            self.unit = f64::from_bits(bits);
        }
        Ok(())
    }
}
