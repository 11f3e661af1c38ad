//! From a file of named arrays to an actor for one environment: shapes are checked, what is not stated is assumed and said.

use std::path::Path;

use tiltrl_envs::EnvSpec;

use super::activation::Activation;
use super::imported::{ImportedActor, Layer, Scale, Spread};
use super::layout::{Deviation, Family, OTHER_PARTS, log_std_limits, recognise};
use super::linear::Linear;
use super::tensors::Tensors;
use crate::data::DataError;

/// What a file may say of itself, beside its weights.
const FACTS: [&str; 7] = [
    "kind",
    "activation",
    "squash",
    "obs_epsilon",
    "obs_clip",
    "log_std_min",
    "log_std_max",
];
/// A file that is being read.
pub(super) struct Reading<'a> {
    pub(super) file: Tensors,
    pub(super) env: &'a EnvSpec,
    pub(super) family: &'static Family,
    /// Before the names of the actor's arrays.
    prefix: &'static str,
    kind: String,
    /// What the file does not state.
    pub(super) assumed: Vec<String>,
}

impl ImportedActor {
    /// Reads an actor from a `.safetensors` or `.npz` file in the layout of docs/actors.md.
    ///
    /// # Errors
    /// [`DataError::NotFound`] and [`DataError::Io`] from the disk; [`DataError::ActorFile`] and, for npz, [`DataError::Format`] with the
    /// key for arrays that are missing, unknown, not finite or of other shapes than the environment's, and for what cannot be meant.
    pub fn read(path: &Path, env: &EnvSpec) -> Result<Self, DataError> {
        let mut file = Tensors::read(path)?;
        let stated = file.text("kind").map(|kind| kind.to_lowercase());
        let (family, prefix) = recognise(&file, stated.as_deref())?;
        let assumed = match stated {
            Some(_) => Vec::new(),
            None => vec![format!("kind {} (by its arrays)", family.kinds[0])],
        };
        let kind = stated.unwrap_or_else(|| family.kinds[0].into());
        let reading = Reading {
            file,
            env,
            family,
            prefix,
            kind,
            assumed,
        };
        reading.actor(path)
    }
}

impl Reading<'_> {
    fn actor(mut self, path: &Path) -> Result<ImportedActor, DataError> {
        let activation = self.activation()?;
        let tanh = self.squash()?;
        let (mut hidden, mut width) = self.hidden()?;
        let mean = self.head(&mut hidden, &mut width)?;
        let spread = self.spread(width)?;
        let normalizer = self.normalizer()?;
        let (actor, environment) = (self.bounds()?, self.environment());
        let left_out = self.finish()?;
        let beyond = |of: usize, sign: f64| {
            (actor[of].iter().zip(&environment[of])).any(|(own, env)| sign * (own - env) > 1e-6)
        };
        let mut notes = Vec::new();
        let place = path.display();
        if !self.assumed.is_empty() {
            let sizes = hidden
                .iter()
                .map(|layer| layer.linear.outputs().to_string());
            let sizes: Vec<String> = sizes.chain([mean.outputs().to_string()]).collect();
            notes.push(format!(
                "{place}: an actor of {}, {} → {}; not stated there, so assumed: {}",
                self.family.name,
                self.env.observation_dim,
                sizes.join(" → "),
                self.assumed.join(", ")
            ));
        }
        if left_out > 0 {
            notes.push(format!(
                "{place}: left out {left_out} arrays of critics, values and targets"
            ));
        }
        if beyond(0, -1.0) || beyond(1, 1.0) {
            notes.push(format!(
                "{place}: its actions {actor:?} reach beyond those of {}, {environment:?}; they are clipped",
                self.env.id
            ));
        }
        Ok(ImportedActor {
            normalizer,
            hidden,
            activation,
            mean,
            spread,
            scale: Scale {
                tanh,
                noise_outside: self.family.noise_outside,
                actor,
                environment,
            },
            notes,
        })
    }

    fn activation(&mut self) -> Result<Activation, DataError> {
        let Some(name) = self.file.text("activation") else {
            let assumed = self.family.activation;
            self.assumed.push(format!("activation {}", assumed.name()));
            return Ok(assumed);
        };
        Activation::named(&name).ok_or_else(|| {
            let expected = format!("one of {}", Activation::names());
            let hint = "other functions are not known here.";
            self.file
                .error("activation", &expected, &format!("`{name}`"), hint)
        })
    }

    /// Whether the mean goes through tanh.
    fn squash(&mut self) -> Result<bool, DataError> {
        match self.file.text("squash").as_deref() {
            Some("tanh") => Ok(true),
            Some("none") => Ok(false),
            Some(other) => {
                let hint = "tanh: −1 … 1 stands for the bounds; none: clipped to the bounds.";
                Err(self
                    .file
                    .error("squash", "tanh or none", &format!("`{other}`"), hint))
            }
            None => {
                let words = ["none (actions are clipped)", "tanh"];
                let word = words[usize::from(self.family.tanh)];
                self.assumed.push(format!("squash {word}"));
                Ok(self.family.tanh)
            }
        }
    }

    /// The layers under the family's name for them, with the width behind them.
    fn hidden(&mut self) -> Result<(Vec<Layer>, usize), DataError> {
        let start = format!("{}{}", self.prefix, self.family.hidden);
        let (mut layers, mut at): (Vec<Layer>, usize) = (Vec::new(), 0);
        let mut width = self.env.observation_dim;
        let mut why = format!("{width} numbers are an observation of {}", self.env.id);
        while let Some(rank) = self.file.rank(&format!("{start}{at}.weight")) {
            let key = format!("{start}{at}");
            let open = layers.last_mut().filter(|layer| layer.norm.is_none());
            if let (1, true, Some(layer)) = (rank, self.family.norms, open) {
                let sizes = [Some(width)];
                let (_, gain) = self.file.take(&format!("{key}.weight"), &sizes, &why)?;
                let (_, shift) = self.file.take(&format!("{key}.bias"), &sizes, &why)?;
                layer.norm = Some([gain, shift]);
                at += 1;
                continue;
            }
            let linear = self.linear(&key, width, None, &why)?;
            width = linear.outputs();
            why = format!("{width} numbers come out of the layer before it");
            layers.push(Layer { linear, norm: None });
            at += 2;
        }
        match self.file.keys().find(|key| key.starts_with(&start)) {
            None => Ok((layers, width)),
            Some(later) => {
                let expected = format!("`{start}{at}.weight` before it");
                let hint = "layers are counted 0, 2, 4, … with an activation between them; is one missing? Dropout and batch norm are not read.";
                Err(self.file.error(later, &expected, "none", hint))
            }
        }
    }

    /// The output layer, which for some is the last of the hidden ones.
    fn head(&mut self, hidden: &mut Vec<Layer>, width: &mut usize) -> Result<Linear, DataError> {
        let dim = self.env.action_dim;
        let why = format!("{dim} numbers are an action of {}", self.env.id);
        if !self.family.head.is_empty() {
            let key = format!("{}{}", self.prefix, self.family.head);
            return self.linear(&key, *width, Some(dim), &why);
        }
        let start = format!("{}{}", self.prefix, self.family.hidden);
        let key = format!("{start}{}.weight", 2 * hidden.len().saturating_sub(1));
        let Some(layer) = hidden.pop() else {
            return Err(self.file.missing(&key));
        };
        *width = layer.linear.inputs;
        if layer.linear.outputs() != dim {
            let (expected, found) = (
                format!("shape [{dim}, {width}] ({why})"),
                layer.linear.outputs(),
            );
            let hint = "is it an actor for another environment, or is the last layer missing?";
            return Err(self
                .file
                .error(&key, &expected, &format!("[{found}, {width}]"), hint));
        }
        Ok(layer.linear)
    }

    fn linear(
        &mut self,
        key: &str,
        inputs: usize,
        outputs: Option<usize>,
        why: &str,
    ) -> Result<Linear, DataError> {
        let (shape, weights) =
            self.file
                .take(&format!("{key}.weight"), &[outputs, Some(inputs)], why)?;
        let why = "one per row of its weights";
        let (_, bias) = self
            .file
            .take(&format!("{key}.bias"), &[Some(shape[0])], why)?;
        Ok(Linear {
            inputs,
            weights,
            bias,
        })
    }

    fn spread(&mut self, width: usize) -> Result<Spread, DataError> {
        let dim = self.env.action_dim;
        let why = format!("{dim} numbers are an action of {}", self.env.id);
        let key = |name: &str| format!("{}{name}", self.prefix);
        let [mut low, mut high] = log_std_limits(&self.kind);
        let stated = [
            self.file.number("log_std_min")?,
            self.file.number("log_std_max")?,
        ];
        if let [Some(least), Some(most)] = stated {
            [low, high] = [least, most];
        } else if stated != [None, None] {
            let hint = "state both or none.";
            return Err(self
                .file
                .error("log_std_min", "it and log_std_max", "one of them", hint));
        }
        if low > high {
            let found = format!("{low} and {high}");
            return Err(self.file.error(
                "log_std_min",
                "at most log_std_max",
                &found,
                "swap them.",
            ));
        }
        Ok(match self.family.deviation {
            Deviation::None => Spread::None,
            Deviation::Layer(name) => {
                let linear = self.linear(&key(name), width, Some(dim), &why)?;
                Spread::Layer(linear, [low as f32, high as f32])
            }
            Deviation::Array(name) => {
                let (_, logs) = self.file.take(&key(name), &[Some(dim)], &why)?;
                Spread::Fixed(logs.into_iter().map(f32::exp).collect())
            }
            Deviation::Sigmoid(name) => {
                let (_, raw) = self.file.take(&key(name), &[Some(1), Some(dim)], &why)?;
                let sigmoid = |x: f32| 1.0 / (1.0 + (-f64::from(x)).exp());
                let std = |x: f32| (low + sigmoid(x) * (high - low)).exp() as f32;
                Spread::Fixed(raw.into_iter().map(std).collect())
            }
        })
    }

    /// Refuses what was not read, and returns how many arrays of other parts there are.
    fn finish(&self) -> Result<usize, DataError> {
        let other = |key: &&str| {
            self.family.stable_baselines && OTHER_PARTS.iter().any(|part| key.starts_with(part))
        };
        if let Some(key) = self.file.keys().find(|key| !other(key)) {
            let expected = format!("no such key in an actor of {}", self.family.name);
            let hint = "docs/actors.md has the keys; images, dictionaries, recurrent networks and gSDE are not read.";
            return Err(self.file.error(key, &expected, "an array", hint));
        }
        self.file.refuse_near(&FACTS)?;
        Ok(self.file.keys().count())
    }
}
