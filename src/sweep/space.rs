//! The space of a sweep: every combination of listed values, or seeded random draws.

use sha2::{Digest, Sha256};
use tiltrl_tilt::Noise;
use toml::Value;

/// What a key may be.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// One of these values.
    Among(Vec<Value>),
    /// Anything between two whole numbers, both included.
    Whole {
        /// Least and greatest value.
        ends: [i64; 2],
        /// Whether the logarithm is uniform.
        log: bool,
    },
    /// Anything between two numbers.
    Real {
        /// Least and greatest value.
        ends: [f64; 2],
        /// Whether the logarithm is uniform.
        log: bool,
    },
}

/// One value of every key of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// Keys and values, sorted by key.
    pub settings: Vec<(String, Value)>,
}

impl Configuration {
    /// Returns the settings as `--set` takes them.
    pub fn overrides(&self) -> Vec<String> {
        let entry = |(key, value): &(String, Value)| format!("{key}={value}");
        self.settings.iter().map(entry).collect()
    }

    /// Returns the name of its folder: eight digits of the SHA-256 of its settings, so that it stays where it is when the sweep
    /// grows.
    pub fn name(&self) -> String {
        let hash = Sha256::digest(self.overrides().join("\n").as_bytes());
        hash.iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// Returns every combination; the last key moves fastest.
pub fn grid(keys: &[(String, Vec<Value>)]) -> Vec<Configuration> {
    let mut all = vec![Vec::new()];
    for (key, values) in keys {
        let longer = |short: Vec<(String, Value)>| {
            values.iter().map(move |value| {
                let mut long = short.clone();
                long.push((key.clone(), value.clone()));
                long
            })
        };
        all = all.into_iter().flat_map(longer).collect();
    }
    all.into_iter()
        .map(|settings| Configuration { settings })
        .collect()
}

/// Returns draw number `index` of a random search. It depends on the seed, the index and each key alone: more draws, or another
/// key, leave the others as they are.
pub fn drawn(keys: &[(String, Choice)], seed: u64, index: u64) -> Configuration {
    let value = |(key, choice): &(String, Choice)| {
        let u = Noise::keyed(seed, &format!("sweep {key}"), index).uniform();
        (key.clone(), choice.at(u))
    };
    Configuration {
        settings: keys.iter().map(value).collect(),
    }
}

impl Choice {
    /// Returns the value at a share u in [0, 1) of the range.
    fn at(&self, u: f64) -> Value {
        match self {
            Self::Among(values) => {
                let at = (u * values.len() as f64) as usize;
                values[at.min(values.len() - 1)].clone()
            }
            // A whole number stands for all that would be rounded down to it.
            Self::Whole {
                ends: [low, high],
                log,
            } => {
                let ends = [*low as f64, *high as f64 + 1.0];
                Value::Integer((between(ends, *log, u).floor() as i64).clamp(*low, *high))
            }
            Self::Real { ends, log } => {
                let digits = format!("{:.3e}", between(*ends, *log, u));
                let rounded: f64 = digits.parse().unwrap_or(ends[0]);
                Value::Float(rounded.clamp(ends[0], ends[1]))
            }
        }
    }

    /// Returns the values that a check has to see: all of a list, the ends of a range.
    pub fn extremes(&self) -> Vec<Value> {
        match self {
            Self::Among(values) => values.clone(),
            Self::Whole { ends, .. } => ends.map(Value::Integer).to_vec(),
            Self::Real { ends, .. } => ends.map(Value::Float).to_vec(),
        }
    }
}

fn between([low, high]: [f64; 2], log: bool, u: f64) -> f64 {
    if log {
        low * (high / low).powf(u)
    } else {
        low + (high - low) * u
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_is_every_combination_and_names_hang_on_settings_alone() {
        let keys = [
            ("a".to_string(), vec![Value::Integer(1), Value::Integer(2)]),
            (
                "b".to_string(),
                vec![
                    Value::String("x".into()),
                    Value::Boolean(true),
                    Value::Float(0.5),
                ],
            ),
        ];
        let all = grid(&keys);
        assert_eq!(all.len(), 6);
        assert_eq!(all[1].overrides(), ["a=1", "b=true"]);
        let mut names: Vec<String> = all.iter().map(Configuration::name).collect();
        // printf 'a=1\nb="x"' | sha256sum
        assert_eq!(names[0], "8ea6817d");
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 6);
    }

    /// Uniform, whole and logarithmic draws have the means of their distributions.
    #[test]
    fn draws_have_their_distributions_and_do_not_move_when_others_come() {
        let choices = [
            (
                Choice::Real {
                    ends: [2.0, 6.0],
                    log: false,
                },
                4.0,
            ),
            // ∫ x d(ln x) / ln(b/a) = (b − a)/ln(b/a)
            (
                Choice::Real {
                    ends: [0.01, 1.0],
                    log: true,
                },
                0.99 / 100f64.ln(),
            ),
            (
                Choice::Whole {
                    ends: [1, 4],
                    log: false,
                },
                2.5,
            ),
            // Of ln x uniform on [ln 1, ln 4]: Σ k ln((k + 1)/k) / ln 4 for k = 1..3.
            (
                Choice::Whole {
                    ends: [1, 3],
                    log: true,
                },
                (2f64.ln() + 2.0 * 1.5f64.ln() + 3.0 * (4f64 / 3.0).ln()) / 4f64.ln(),
            ),
            (
                Choice::Among(vec![Value::Float(1.0), Value::Float(5.0)]),
                3.0,
            ),
        ];
        for (choice, exact) in choices {
            let key = [("prior.learning_rate".to_string(), choice.clone())];
            let number = |i: u64| match &drawn(&key, 7, i).settings[0].1 {
                Value::Integer(x) => *x as f64,
                Value::Float(x) => *x,
                other => panic!("{other}"),
            };
            let all: Vec<f64> = (0..4000).map(number).collect();
            let mean = all.iter().sum::<f64>() / 4000.0;
            let square = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 4000.0;
            let error = (square / 4000.0).sqrt();
            assert!(
                (mean - exact).abs() < 4.0 * error,
                "{choice:?}: {mean} is not {exact} ± {error}"
            );
            let ends = choice.extremes();
            let of = |v: &Value| v.as_float().unwrap_or(v.as_integer().unwrap_or(0) as f64);
            let [low, high] = [of(&ends[0]), of(&ends[ends.len() - 1])];
            assert!(all.iter().all(|x| low <= *x && *x <= high));
        }
        let one = (
            "a".to_string(),
            Choice::Real {
                ends: [0.0, 1.0],
                log: false,
            },
        );
        let two = [one.clone(), ("b".to_string(), one.1.clone())];
        let [alone, beside] = [drawn(&[one], 1, 5), drawn(&two, 1, 5)];
        assert_eq!(alone.settings[0], beside.settings[0]);
        assert_ne!(beside.settings[0].1, beside.settings[1].1);
    }
}
