//! The table of keys: name, meaning, range. The comments of `tiltrl config` and the check before a run both come from it.
//! Those of the critic are the critic's own.

use tiltrl_policies::agent::{AlgorithmKind, CriticKind};
use tiltrl_policies::agent::{ROWS, UPDATES};

pub use tiltrl_policies::agent::Range;

use super::algorithm::BUDGETS;

/// A key of the config.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Dotted name, as `--set` takes it.
    pub name: String,
    /// Its meaning in one line.
    pub doc: &'static str,
    /// What its value may be.
    pub range: Range,
}

/// Where a critic's settings stand in the config.
const CRITIC: &str = "critic.";

/// Where the settings of the algorithms stand in the config.
const BASELINE: &str = "baseline.";

/// Returns the keys of a config with this kind of critic and this algorithm, in the order in which they are printed.
pub fn keys(critic: &CriticKind, algorithm: &AlgorithmKind) -> Vec<Key> {
    let mut all: Vec<Key> = KEYS.iter().map(FixedKey::key).collect();
    let settings = (critic.settings)();
    let own = settings.iter().map(|setting| Key {
        name: format!("{CRITIC}{}", setting.key),
        doc: setting.meaning,
        range: setting.range,
    });
    let after = all.iter().position(|k| k.name == "critic.kind");
    let at = after.map_or(all.len(), |i| i + 1);
    all.splice(at..at, own);
    all.extend(keys_of(algorithm));
    all
}

/// Returns the keys of an algorithm's own settings.
fn keys_of(algorithm: &AlgorithmKind) -> impl Iterator<Item = Key> {
    let settings = (algorithm.settings)().into_iter();
    let name = algorithm.name;
    settings.map(move |setting| Key {
        name: format!("{BASELINE}{name}.{}", setting.key),
        doc: setting.meaning,
        range: setting.range,
    })
}

/// Returns every key of every kind of critic and every algorithm, for hints.
pub fn all_names() -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for kind in CriticKind::all() {
        for algorithm in AlgorithmKind::all() {
            names.extend(keys(&kind, algorithm).into_iter().map(|k| k.name));
        }
    }
    names.sort();
    names.dedup();
    names
}

struct FixedKey {
    name: &'static str,
    doc: &'static str,
    range: Range,
}

impl FixedKey {
    fn key(&self) -> Key {
        Key {
            name: self.name.into(),
            doc: self.doc,
            range: self.range,
        }
    }
}

const fn key(name: &'static str, range: Range, doc: &'static str) -> FixedKey {
    FixedKey { name, doc, range }
}

/// Names of all algorithms.
const ALGORITHMS: [&str; AlgorithmKind::all().len()] = {
    let mut names = [""; AlgorithmKind::all().len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = AlgorithmKind::all()[at].name;
        at += 1;
    }
    names
};

/// Every key but the critic's own, in the order in which it is printed.
#[rustfmt::skip]
const KEYS: &[FixedKey] = &[
    key("preset", Range::Text, "Name of the experiment, as tables and pictures show it"),
    key("algorithm", Range::Choice(&ALGORITHMS), "What is trained: rtb, or a baseline, see `tiltrl algorithms`"),
    key("budget", Range::Choice(BUDGETS), "Updates of every stage where nothing else is said: minutes, the preset's, or as published"),
    key("env", Range::Text, "Environment id, see `tiltrl envs`"),
    key("data_files", Range::Texts, "File names of the data set under --data-dir, when --data is not given"),
    key("recipe", Range::Choice(&["", "swing-up"]), "Data that the run makes itself when no file is named; empty = none"),
    key("data.horizon", Range::Count(0, ROWS), "Timesteps after which the clock ended an episode; 0 = as the files say, else the environment's horizon"),
    key("data.both_flags", Range::Choice(&["terminal", "timeout"]), "What a row with both flags means: the task ended, or terminals = done was stored"),
    key("prior.num_steps", Range::Count(2, 1000), "Denoising steps T"),
    key("prior.schedule", Range::Choice(&["cosine", "linear"]), "Noise schedule; linear is memoryless only with many steps"),
    key("prior.prediction", Range::Choice(&["velocity", "epsilon"]), "What the network predicts"),
    key("prior.network", Range::Text, "Network of the prior, see `tiltrl networks`"),
    key("prior.hidden", Range::Counts(1, 1, 16_384), "Hidden widths of the network"),
    key("prior.activation", Range::Choice(&["relu", "silu", "mish", "gelu"]), "Non-linearity of the network"),
    key("prior.updates", Range::Count(1, UPDATES), "Updates"),
    key("prior.batch_size", Range::Count(1, ROWS), "Actions per update"),
    key("prior.learning_rate", Range::Above(0.0, f64::INFINITY), "Step size of Adam"),
    key("prior.ema_decay", Range::Number(0.0, 0.999_999), "Decay of the moving average of the weights per update"),
    key("prior.likelihood_updates", Range::Count(0, UPDATES), "Updates by maximum likelihood after those, which give every step a variance of its own; 0 = none"),
    key("prior.held_out", Range::Number(0.0, 0.5), "Share of the episodes that are held out and whose loss is logged; 0 = none"),
    key("critic.kind", Range::Text, "What the posterior is tilted by, see `tiltrl critics`"),
    key("finetune.updates", Range::Count(1, UPDATES), "Updates"),
    key("finetune.states", Range::Count(1, ROWS), "States per update"),
    key("finetune.learning_rate", Range::Above(0.0, f64::INFINITY), "Step size of Adam at the start; it falls along a cosine to 2 % of it"),
    key("finetune.max_gradient_norm", Range::Number(0.0, f64::INFINITY), "Limit of the joint gradient norm; 0 = none"),
    key("finetune.alpha", Range::Number(0.0, f64::INFINITY), "Temperature α as a price, reward per nat; 0 = finetune.alpha_in_std says it"),
    key("finetune.alpha_in_std", Range::Above(0.0, f64::INFINITY), "Temperature α in units of the prior's mean standard deviation of Q within a state, where finetune.alpha is 0"),
    key("finetune.dial", Range::Interval(0.01, 100.0), "Lowest and highest α of one posterior for a range of temperatures, as factors of α, such as [0.25, 4.0]; empty = α alone"),
    key("finetune.learned_variance", Range::Flag, "Let the posterior learn the variance of its steps"),
    key("finetune.guidance", Range::Flag, "Let the posterior follow the critic's gradient, by a learned scale that starts at zero"),
    key("finetune.paths.on_policy", Range::Count(1, 4096), "Paths per state from the posterior"),
    key("finetune.paths.prior", Range::Count(0, 4096), "Paths per state from the prior"),
    key("finetune.paths.data", Range::Count(0, 1), "Paths per state noised backwards from the data's one action"),
    key("finetune.shaping.dead_zone", Range::Number(0.0, f64::INFINITY), "No gradient from paths whose δ² is below this; 0 = off"),
    key("finetune.shaping.huber", Range::Number(0.0, f64::INFINITY), "Beyond this |δ| the loss grows linearly; 0 = off"),
    key("finetune.options.log_z", Range::Choice(&["vargrad", "robust", "learned"]), "Where log Z(s) comes from"),
    key("finetune.options.value_rate", Range::Above(0.0, 1e6), "Step size of the networks for log Z(s) and state values, as a multiple of the posterior's"),
    key("finetune.options.value_hidden", Range::Count(1, 16_384), "Width of the hidden layer of those networks"),
    key("finetune.options.sub_trajectory", Range::Count(0, 1000), "Steps per sub-trajectory of the multi-step loss; 0 = the whole path"),
    key("finetune.options.chunk", Range::Count(0, 1000), "Steps whose graph is held at once; 0 = all. The gradient is the same"),
    key("finetune.options.sampled_steps", Range::Count(0, 1000), "Steps back-propagated per update, drawn at random; 0 = all"),
    key("finetune.options.exploration.paths", Range::Count(0, 4096), "Paths per state from a noisier posterior; 0 = none"),
    key("finetune.options.exploration.scale", Range::Number(1.0, 100.0), "Factor of its standard deviations at the start"),
    key("finetune.options.exploration.updates", Range::Count(1, UPDATES), "Updates until the factor is 1"),
    key("finetune.options.replay.groups", Range::Count(0, ROWS), "Entries replayed per update; 0 = no replay"),
    key("finetune.options.replay.paths", Range::Count(2, 4096), "Samples per entry"),
    key("finetune.options.replay.capacity", Range::Count(1, 100_000_000), "Entries kept; the oldest goes first"),
    key("finetune.options.replay.value_priority", Range::Number(0.0, 100.0), "Exponent of the rank by value"),
    key("finetune.options.replay.recency_priority", Range::Number(0.0, 100.0), "Exponent of the rank by age"),
    key("finetune.options.kl_budget.nats", Range::Number(0.0, f64::INFINITY), "Path-KL to the prior that α is moved to meet; 0 = it stays"),
    key("finetune.options.kl_budget.rate", Range::Above(0.0, 1.0), "Step of log α per update and relative excess"),
    key("evaluation.episodes", Range::Count(1, ROWS), "Episodes of each policy at the end"),
    key("evaluation.episodes_in_training", Range::Count(1, ROWS), "Episodes of each evaluation during fine-tuning"),
    key("evaluation.evaluations_in_training", Range::Count(1, ROWS), "Evaluations during fine-tuning, and its checkpoints"),
    key("evaluation.best_of", Range::Counts(0, 1, 65_536), "N of each best-of-N baseline"),
    key("evaluation.tail", Range::Count(0, 1024), "N of tail-N, the posterior whose last steps are drawn N times, played and certified beside it; 0 = none"),
    key("evaluation.engine", Range::Text, "Physics: embedded, embedded-f32, mujoco[:PATH], gymnasium[:PYTHON]"),
    key("evaluation.margin", Range::Choice(&["default", "max", "sum"]), "Contact margin rule; default = the engine's"),
    key("evaluation.mjcf", Range::Text, "MJCF file of a robot of your own (ant, humanoid); empty = the environment's"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::preset;
    use crate::config::tables::leaves;

    #[test]
    fn the_table_holds_the_keys_of_a_config_and_no_other() {
        for name in ["quickstart", "hopper-medium-expert"] {
            let config = preset(name).expect("known");
            let value = toml::Table::try_from(&config).expect("serialises");
            let mut found: Vec<String> = leaves(&value).into_iter().map(|(name, _)| name).collect();
            let kind = config.critic.kind().expect("known");
            let algorithm = config.algorithm_kind().expect("known");
            let all = keys(&kind, &algorithm);
            let mut named: Vec<String> = all.into_iter().map(|k| k.name).collect();
            found.sort();
            named.sort();
            assert_eq!(found, named);
        }
    }
}
