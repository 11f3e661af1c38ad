//! The table of keys: name, meaning, range. The comments of `tiltrl config` and the check before a run both come from it.

use std::fmt;

/// A key of the config.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Key {
    /// Dotted name, as `--set` takes it.
    pub name: &'static str,
    /// Its meaning in one line.
    pub doc: &'static str,
    /// What its value may be.
    pub range: Range,
}

/// What a value may be; bounds belong to the range unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    /// A whole number from the first to the second.
    Count(u64, u64),
    /// A number from the first to the second.
    Number(f64, f64),
    /// A number between the two, neither of which belongs to the range.
    Between(f64, f64),
    /// A number above the first, at most the second.
    Above(f64, f64),
    /// At least so many whole numbers, each from the second to the third.
    Counts(usize, u64, u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// true or false.
    Flag,
    /// Any text.
    Text,
    /// A list of texts.
    Texts,
}

/// Largest single-precision number, which larger ones would overflow to infinity.
const LARGEST: f64 = f32::MAX as f64;
/// More updates than anybody waits for.
const UPDATES: u64 = 1_000_000_000;
/// Rows of a batch, episodes side by side.
const ROWS: u64 = 1_000_000;

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Count(low, high) => write!(f, "{low} to {high}"),
            Self::Number(low, LARGEST) => write!(f, "at least {low}, finite"),
            Self::Number(low, high) => write!(f, "{low} to {high}"),
            Self::Between(low, high) => write!(f, "above {low}, below {high}"),
            Self::Above(low, LARGEST) => write!(f, "above {low}, finite"),
            Self::Above(low, high) => write!(f, "above {low}, at most {high}"),
            Self::Counts(0, low, high) => write!(f, "a list, each {low} to {high}; may be empty"),
            Self::Counts(least, low, high) => {
                write!(f, "a list of at least {least}, each {low} to {high}")
            }
            Self::Choice(words) => f.write_str(&words.join(", ")),
            Self::Flag => f.write_str("true or false"),
            Self::Text => f.write_str("text"),
            Self::Texts => f.write_str("a list of texts"),
        }
    }
}

/// Returns the key of a dotted name.
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

const fn row(name: &'static str, range: Range, doc: &'static str) -> Key {
    Key { name, doc, range }
}

/// Every key, in the order in which it is printed.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    row("preset", Range::Text, "Name of the experiment, as tables and pictures show it"),
    row("env", Range::Text, "Environment id, see `tiltrl envs`"),
    row("data_files", Range::Texts, "File names of the data set under --data-dir, when --data is not given"),
    row("recipe", Range::Choice(&["", "swing-up"]), "Data that the run makes itself when no file is named; empty = none"),
    row("prior.num_steps", Range::Count(2, 1000), "Denoising steps T"),
    row("prior.schedule", Range::Choice(&["cosine", "linear"]), "Noise schedule; linear is memoryless only with many steps"),
    row("prior.prediction", Range::Choice(&["velocity", "epsilon"]), "What the network predicts"),
    row("prior.hidden", Range::Counts(1, 1, 16_384), "Hidden widths of the network"),
    row("prior.activation", Range::Choice(&["relu", "silu", "mish", "gelu"]), "Non-linearity of the network"),
    row("prior.updates", Range::Count(1, UPDATES), "Updates"),
    row("prior.batch_size", Range::Count(1, ROWS), "Actions per update"),
    row("prior.learning_rate", Range::Above(0.0, LARGEST), "Step size of Adam"),
    row("prior.ema_decay", Range::Number(0.0, 0.999_999), "Decay of the moving average of the weights per update"),
    row("critic.updates", Range::Count(1, UPDATES), "Updates"),
    row("critic.batch_size", Range::Count(2, ROWS), "Transitions per update"),
    row("critic.hidden", Range::Counts(1, 1, 16_384), "Hidden widths of Q and V"),
    row("critic.layer_norm", Range::Flag, "Layer normalisation in Q and V"),
    row("critic.learning_rate", Range::Above(0.0, LARGEST), "Step size of Adam at the start; it falls along a cosine to 2 % of it"),
    row("critic.expectile", Range::Between(0.0, 1.0), "Expectile τ to which V regresses; above 0.5 is optimistic"),
    row("critic.discount", Range::Between(0.0, 1.0), "Discount γ"),
    row("critic.num_steps", Range::Count(1, 1000), "Rewards summed before the bootstrap; 1 is plain IQL"),
    row("critic.target_rate", Range::Above(0.0, 1.0), "Share of the online weights that enters the targets per update"),
    row("critic.ensemble", Range::Count(2, 64), "Networks for Q"),
    row("critic.lcb", Range::Number(0.0, 1000.0), "Q = mean − lcb · std over the networks; 0 = their minimum"),
    row("critic.advantage_updates", Range::Count(0, UPDATES), "Updates of the advantage networks afterwards; 0 = compare actions by Q itself"),
    row("critic.caution", Range::Number(0.0, 1000.0), "How far below zero the advantage of actions unknown to the data is put, in deviations"),
    row("finetune.updates", Range::Count(1, UPDATES), "Updates"),
    row("finetune.states", Range::Count(1, ROWS), "States per update"),
    row("finetune.learning_rate", Range::Above(0.0, LARGEST), "Step size of Adam at the start; it falls along a cosine to 2 % of it"),
    row("finetune.max_gradient_norm", Range::Number(0.0, LARGEST), "Limit of the joint gradient norm; 0 = none"),
    row("finetune.temperature", Range::Above(0.0, LARGEST), "Temperature α in units of the prior's mean standard deviation of Q within a state"),
    row("finetune.learned_variance", Range::Flag, "Let the posterior learn the variance of its steps"),
    row("finetune.guidance", Range::Flag, "Let the posterior follow the critic's gradient, by a learned scale that starts at zero"),
    row("finetune.paths.on_policy", Range::Count(1, 4096), "Paths per state from the posterior"),
    row("finetune.paths.prior", Range::Count(0, 4096), "Paths per state from the prior"),
    row("finetune.paths.data", Range::Count(0, 1), "Paths per state noised backwards from the data's one action"),
    row("finetune.shaping.dead_zone", Range::Number(0.0, LARGEST), "No gradient from paths whose δ² is below this; 0 = off"),
    row("finetune.shaping.huber", Range::Number(0.0, LARGEST), "Beyond this |δ| the loss grows linearly; 0 = off"),
    row("finetune.options.log_z", Range::Choice(&["vargrad", "robust", "learned"]), "Where log Z(s) comes from"),
    row("finetune.options.value_rate", Range::Above(0.0, 1e6), "Step size of the networks for log Z(s) and state values, as a multiple of the posterior's"),
    row("finetune.options.value_hidden", Range::Count(1, 16_384), "Width of the hidden layer of those networks"),
    row("finetune.options.segment", Range::Count(0, 1000), "Steps per segment of the sub-trajectory loss; 0 = the whole path"),
    row("finetune.options.chunk", Range::Count(0, 1000), "Steps whose graph is held at once; 0 = all. The gradient is the same"),
    row("finetune.options.sampled_steps", Range::Count(0, 1000), "Steps back-propagated per update, drawn at random; 0 = all"),
    row("finetune.options.exploration.paths", Range::Count(0, 4096), "Paths per state from a noisier posterior; 0 = none"),
    row("finetune.options.exploration.scale", Range::Number(1.0, 100.0), "Factor of its standard deviations at the start"),
    row("finetune.options.exploration.updates", Range::Count(1, UPDATES), "Updates until the factor is 1"),
    row("finetune.options.replay.groups", Range::Count(0, ROWS), "Entries replayed per update; 0 = no replay"),
    row("finetune.options.replay.paths", Range::Count(2, 4096), "Samples per entry"),
    row("finetune.options.replay.capacity", Range::Count(1, 100_000_000), "Entries kept; the oldest goes first"),
    row("finetune.options.replay.value_priority", Range::Number(0.0, 100.0), "Exponent of the rank by value"),
    row("finetune.options.replay.recency_priority", Range::Number(0.0, 100.0), "Exponent of the rank by age"),
    row("finetune.options.kl_budget.nats", Range::Number(0.0, LARGEST), "Path-KL to the prior that the temperature is moved to meet; 0 = it stays"),
    row("finetune.options.kl_budget.rate", Range::Above(0.0, 1.0), "Step of log α per update and relative excess"),
    row("evaluation.episodes", Range::Count(1, ROWS), "Episodes of each policy at the end"),
    row("evaluation.episodes_in_training", Range::Count(1, ROWS), "Episodes of each evaluation during fine-tuning"),
    row("evaluation.evaluations_in_training", Range::Count(1, ROWS), "Evaluations during fine-tuning, and its checkpoints"),
    row("evaluation.best_of", Range::Counts(0, 1, 65_536), "N of each best-of-N baseline"),
    row("evaluation.engine", Range::Text, "Physics: embedded, embedded-f32, mujoco[:PATH], gymnasium[:PYTHON]"),
    row("evaluation.margin", Range::Choice(&["default", "max", "sum"]), "Contact margin rule; default = the engine's"),
    row("evaluation.mjcf", Range::Text, "MJCF file of a robot of your own (ant, humanoid); empty = the environment's"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::overrides::leaves;
    use crate::config::preset;

    #[test]
    fn the_table_holds_the_keys_of_a_config_and_no_other() {
        let config = preset("quickstart").expect("known");
        let value = toml::Table::try_from(&config).expect("serialises");
        let mut found: Vec<String> = leaves(&value).into_iter().map(|(name, _)| name).collect();
        let mut named: Vec<String> = KEYS.iter().map(|k| k.name.to_string()).collect();
        found.sort();
        named.sort();
        assert_eq!(found, named);
    }
}
