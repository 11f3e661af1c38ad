//! The experiment as data: settings, presets (files), overrides, one table of keys with their ranges, and the check against it.

mod algorithm;
mod check;
mod critic;
mod keys;
mod overrides;
mod presets;
mod print;
mod renamed;
mod settings;
mod tables;

pub use algorithm::{BUDGETS, known};
pub(crate) use check::network_of;
pub use critic::CriticConfig;
pub use keys::{Key, Range, keys};
pub use presets::{Source, preset, preset_names};
pub(crate) use renamed::rename;
pub use settings::{Baselines, Config, DataConfig, EvaluationConfig, FinetuneConfig, PriorConfig};
pub use tables::slot as value_at;
