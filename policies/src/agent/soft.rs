//! Soft policy iteration on the prior's own samples: Q of the posterior that it will tilt the prior to.
//!
//! The posterior π ∝ μ exp(Q/α) has the soft value V(s) = α log E_μ exp(Q(s, ·)/α). Here V regresses to that expectation over a
//! fixed set of the prior's samples at states of the data, and Q to r + γ V(s'), after implicit Q-learning has warmed both up. With
//! `n_step` above 1 the rewards before the bootstrap are those of the data's policy, and Q is that much less the posterior's own.
//! No action is asked for that the prior would not take, as in Lu et al. 2023 (arXiv:2304.12824, in-support softmax). `lcb` above 0
//! puts a lower confidence bound in the place of the minimum (Fang et al. 2025, arXiv:2502.04778). α is set by a budget of the
//! target's KL from the prior, by the dual of MPO (Abdolmaleki et al. 2018, arXiv:1806.06920).

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tiltrl_tilt::TiltError;
use tiltrl_tilt::checkpoint::Checkpoint;
use tiltrl_tilt::noise::Noise;
use tiltrl_tilt::optimizer::cosine_decay;

use super::critic::{Critic, CriticKind, LearnerShape, Lesson, ValueNetworks, object, parse};
use super::iql::{Iql, IqlConfig, settings};
use super::setting::{Range, Setting, UPDATES};
use super::transitions::gather;

/// States at most whose samples of the prior are kept.
const POOL: usize = 100_000;
/// States whose samples are drawn at once.
const CHUNK: usize = 2048;
/// Share of a batch's own log α that enters log α per update.
const ALPHA_RATE: f64 = 0.02;

/// Settings of [`Soft`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SoftConfig {
    /// The warm-up, and the networks.
    #[serde(flatten)]
    pub iql: IqlConfig,
    /// Updates of soft policy iteration, after IQL's.
    pub soft_updates: u64,
    /// The prior's samples per state.
    pub samples: usize,
    /// States whose soft value an update computes.
    pub states: usize,
    /// Mean KL of the target from the prior, in nats, that α is set to meet.
    pub nats: f64,
    /// Whether V is charged for the KL: the soft value; otherwise the target's mean Q.
    pub charged: bool,
}

impl Default for SoftConfig {
    fn default() -> Self {
        Self {
            iql: IqlConfig::default(),
            soft_updates: 50_000,
            samples: 16,
            states: 64,
            nats: 1.0,
            charged: false,
        }
    }
}

/// The line of the table.
pub(super) const KIND: CriticKind = CriticKind {
    name: "soft",
    summary: "soft policy iteration on the prior's samples, after implicit Q-learning; brings its own α",
    settings: own_settings,
    growing: &["soft_updates"],
    defaults: || object(&SoftConfig::default()),
    fault: |settings| {
        parse(settings)
            .ok()
            .and_then(|config: SoftConfig| too_many_nats(&config))
    },
    make: |settings, shape| Ok(Box::new(Soft::new(parse(settings)?, shape))),
};

/// No weighting of so few samples is further from equal weights than log samples; near it one sample has all the weight.
fn too_many_nats(config: &SoftConfig) -> Option<String> {
    let most = (config.samples as f64).ln() - 0.5;
    (config.nats > most).then(|| {
        format!(
            "critic.nats: expected at most log(critic.samples) − 0.5 = {most:.3}, as {} samples cannot be further from the prior, found {}",
            config.samples, config.nats
        )
    })
}

fn own_settings() -> Vec<Setting> {
    let setting = |key, range, meaning| Setting {
        key,
        meaning,
        range,
    };
    let mut all = settings();
    all.extend([
        setting(
            "soft_updates",
            Range::Count(1, UPDATES),
            "Updates of soft policy iteration, after those of implicit Q-learning",
        ),
        setting(
            "samples",
            Range::Count(2, 1024),
            "The prior's samples per state",
        ),
        setting(
            "states",
            Range::Count(1, 65_536),
            "States per update whose soft value is computed",
        ),
        setting(
            "nats",
            Range::Above(0.0, 20.0),
            "Mean KL of the target from the prior that α is set to meet; at most log samples − 0.5",
        ),
        setting(
            "charged",
            Range::Flag,
            "Whether V pays for the KL: α log mean exp(Q/α); otherwise the target's mean Q",
        ),
    ]);
    all
}

/// Actions of the prior at states of the data.
struct Pool {
    /// Rows of the data.
    rows: Vec<usize>,
    /// Actions [rows · samples, action_dim].
    actions: Vec<f32>,
}

/// IQL's networks, trained on by soft policy iteration.
pub(super) struct Soft {
    config: SoftConfig,
    iql: Iql,
    action_dim: usize,
    observation_dim: usize,
    /// α in the critic's units; 0 before the first update that sets it.
    alpha: f64,
    pool: Option<Pool>,
}

/// What a set of samples says of one temperature.
struct Tempered {
    /// Soft value of each state.
    values: Vec<f32>,
    /// α after this batch.
    alpha: f64,
    /// Mean KL of the target from the prior at α, by the samples.
    kl: f64,
}

impl Soft {
    /// Returns an untrained critic.
    pub(super) fn new(config: SoftConfig, shape: &LearnerShape) -> Self {
        Self {
            iql: Iql::new(config.iql.clone(), shape),
            config,
            action_dim: shape.action_dim,
            observation_dim: shape.observation_dim,
            alpha: 0.0,
            pool: None,
        }
    }

    fn make_pool(&self, lesson: &Lesson<'_>) -> Pool {
        let transitions = lesson.transitions;
        let mut noise = Noise::keyed(lesson.seed, "soft-pool", 0);
        let count = transitions.count();
        let rows: Vec<usize> = if count <= POOL {
            (0..count).collect()
        } else {
            noise.indices(POOL, count)
        };
        let mut actions = Vec::with_capacity(rows.len() * self.config.samples * self.action_dim);
        for rows in rows.chunks(CHUNK) {
            let observations = self.repeated(lesson, rows);
            actions.extend((lesson.prior)(&observations, &mut noise));
        }
        Pool { rows, actions }
    }

    /// Observations of rows, each as often as it has samples.
    fn repeated(&self, lesson: &Lesson<'_>, rows: &[usize]) -> Vec<f32> {
        let copies = rows
            .iter()
            .flat_map(|&row| std::iter::repeat_n(row, self.config.samples));
        let copies: Vec<usize> = copies.collect();
        gather(
            &lesson.transitions.observations,
            self.observation_dim,
            &copies,
        )
    }

    /// The soft values of some states of the pool, whose rows are returned too.
    fn soft_values(&self, lesson: &Lesson<'_>, noise: &mut Noise) -> (Vec<usize>, Tempered) {
        let pool = self.pool.as_ref().expect("made before the first update");
        let chosen = noise.indices(self.config.states, pool.rows.len());
        let rows: Vec<usize> = chosen.iter().map(|&i| pool.rows[i]).collect();
        let width = self.config.samples * self.action_dim;
        let actions = gather(&pool.actions, width, &chosen);
        let values = self.iql.values(&self.repeated(lesson, &rows), &actions);
        let found = self.tempered(&values);
        (rows, found)
    }

    fn tempered(&self, values: &[f64]) -> Tempered {
        let config = &self.config;
        let own = alpha_of_kl(values, config.samples, config.nats);
        let alpha = if self.alpha > 0.0 {
            (self.alpha.ln() + ALPHA_RATE * (own.ln() - self.alpha.ln())).exp()
        } else {
            own
        };
        let states = values.chunks_exact(config.samples);
        let value = |q: &[f64]| {
            let soft = soft_value(q, alpha);
            let charge = if config.charged { 0.0 } else { alpha * soft.kl };
            (soft.value + charge) as f32
        };
        Tempered {
            values: states.clone().map(value).collect(),
            kl: mean_kl(values, config.samples, alpha),
            alpha,
        }
    }

    fn step(&mut self, lesson: &Lesson<'_>, update: u64) -> Option<Vec<f64>> {
        let share = cosine_decay(update, self.config.soft_updates);
        let rate = self.config.iql.learning_rate * share;
        let mut noise = Noise::keyed(lesson.seed, "soft-update", update);
        let config = &self.config.iql;
        let rows = noise.indices(config.batch_size, lesson.transitions.count());
        let batch = lesson
            .transitions
            .batch(&rows, config.n_step, config.discount);
        let (rows, found) = self.soft_values(lesson, &mut noise);
        let observations = gather(
            &lesson.transitions.observations,
            self.observation_dim,
            &rows,
        );
        let losses = self
            .iql
            .learn_towards(&batch, &observations, &found.values, rate)?;
        self.alpha = found.alpha;
        Some(vec![
            losses.q,
            losses.v,
            losses.value,
            found.alpha,
            found.kl,
        ])
    }
}

/// What the samples of one state say: its soft value, and the KL of weights ∝ exp(Q/α) from equal ones.
struct SoftValue {
    /// α log mean exp(Q/α).
    value: f64,
    /// KL of the normalised weights from equal ones.
    kl: f64,
}

fn soft_value(q: &[f64], alpha: f64) -> SoftValue {
    let top = q.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (mut sum, mut first) = (0.0, 0.0);
    for value in q {
        let scaled = (value - top) / alpha;
        let weight = scaled.exp();
        sum += weight;
        first += weight * scaled;
    }
    let log_mean = (sum / q.len() as f64).ln();
    SoftValue {
        value: top + alpha * log_mean,
        kl: first / sum - log_mean,
    }
}

fn mean_kl(values: &[f64], samples: usize, alpha: f64) -> f64 {
    let states = values.chunks_exact(samples);
    let count = states.len() as f64;
    states.map(|q| soft_value(q, alpha).kl).sum::<f64>() / count
}

/// Returns the α at which the mean KL from the prior over states is `nats`, by bisection in log α; `values` are [states, samples].
///
/// The KL falls with α, from log samples to 0. Where no α within 1e-6 … 1e6 meets it, the nearer end is returned.
fn alpha_of_kl(values: &[f64], samples: usize, nats: f64) -> f64 {
    let (mut low, mut high) = (1e-6f64.ln(), 1e6f64.ln());
    for _ in 0..48 {
        let middle = 0.5 * (low + high);
        if mean_kl(values, samples, middle.exp()) > nats {
            low = middle;
        } else {
            high = middle;
        }
    }
    (0.5 * (low + high)).exp()
}

impl Critic for Soft {
    fn updates(&self) -> u64 {
        self.config.iql.updates + self.config.soft_updates
    }

    fn figures(&self) -> Vec<&'static str> {
        let mut all = self.iql.figures();
        all.extend(["alpha", "target_kl"]);
        all
    }

    fn update(&mut self, lesson: &Lesson<'_>, update: u64) -> Result<Vec<f64>, TiltError> {
        let first = self.config.iql.updates;
        if update < first {
            let mut figures = self.iql.update(lesson, update)?;
            figures.extend([f64::NAN, f64::NAN]);
            return Ok(figures);
        }
        if self.pool.is_none() {
            self.pool = Some(self.make_pool(lesson));
        }
        let figures = self.step(lesson, update - first);
        figures.ok_or(TiltError::NonFinite {
            stage: "critic",
            what: "loss of soft policy iteration",
            update,
        })
    }

    fn values(&self, observations: &[f32], actions: &[f32]) -> Vec<f64> {
        self.iql.values(observations, actions)
    }

    fn gradient(&self, observations: &[f32], actions: &[f32]) -> Vec<f32> {
        self.iql.gradient(observations, actions)
    }

    fn alpha(&self) -> Option<f64> {
        (self.alpha > 0.0).then_some(self.alpha)
    }

    fn networks(&self) -> Option<ValueNetworks> {
        self.iql.networks()
    }

    fn save(&self, checkpoint: &mut Checkpoint) {
        self.iql.save(checkpoint);
        let bits = format!("{:016x}", self.alpha.to_bits());
        checkpoint
            .settings
            .insert("soft_alpha_bits".into(), bits.into());
    }

    fn load(&mut self, checkpoint: &Checkpoint, path: &Path) -> Result<(), TiltError> {
        self.iql.load(checkpoint, path)?;
        let bits = checkpoint.settings.get("soft_alpha_bits");
        let bits = bits.and_then(Value::as_str);
        let bits = bits.and_then(|b| u64::from_str_radix(b, 16).ok());
        let bits = bits.ok_or_else(|| TiltError::Checkpoint {
            path: path.to_path_buf(),
            reason: "`soft_alpha_bits` is missing or no hexadecimal number".into(),
            hint: "delete the file to redo its stage".into(),
        })?;
        self.alpha = f64::from_bits(bits);
        Ok(())
    }
}
