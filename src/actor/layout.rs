//! The families of actors: under which names their arrays stand, and how an action comes of them.

use super::activation::Activation;
use super::tensors::Tensors;
use crate::data::DataError;

/// Where the standard deviation of a Gaussian actor stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Deviation {
    /// Nowhere: the actor is deterministic.
    None,
    /// Its logarithm is the output of a layer, clamped.
    Layer(&'static str),
    /// Its logarithm is an array, the same for all observations.
    Array(&'static str),
    /// An array [1, action_dim] whose sigmoid stands between the limits of the logarithm.
    Sigmoid(&'static str),
}

/// Actors that are stored alike.
#[derive(Debug)]
pub(super) struct Family {
    /// Whose they are.
    pub(super) name: &'static str,
    /// What the file's `kind` may be; the first is assumed where nothing is stated.
    pub(super) kinds: &'static [&'static str],
    /// May stand before the names of `hidden`, `head` and `deviation`, all or none of them.
    pub(super) prefix: &'static str,
    /// Hidden layers, with their number behind it.
    pub(super) hidden: &'static str,
    /// Output layer; empty where it is the last of `hidden`.
    pub(super) head: &'static str,
    pub(super) deviation: Deviation,
    /// Between the layers, where nothing is stated.
    pub(super) activation: Activation,
    /// Whether the mean goes through tanh, where nothing is stated.
    pub(super) tanh: bool,
    /// Whether noise is added behind the tanh, and what lies outside of −1 … 1 is clipped.
    pub(super) noise_outside: bool,
    /// Whether it is one of Stable-Baselines3's: actions stand for the environment's bounds, normalised observations are clipped.
    pub(super) stable_baselines: bool,
    /// Whether layer normalisation may follow an activation.
    pub(super) norms: bool,
}

/// Other parts of Stable-Baselines3's policies, which acting does not need.
pub(super) const OTHER_PARTS: [&str; 6] = [
    "actor_target.",
    "critic.",
    "critic_target.",
    "mlp_extractor.value_net.",
    "value_net.",
    "log_ent_coef",
];

const SAC: Family = Family {
    name: "Stable-Baselines3 (SAC, TQC)",
    kinds: &["sac", "tqc"],
    prefix: "actor.",
    hidden: "latent_pi.",
    head: "mu",
    deviation: Deviation::Layer("log_std"),
    activation: Activation::Relu,
    tanh: true,
    noise_outside: false,
    stable_baselines: true,
    norms: false,
};

const TD3: Family = Family {
    name: "Stable-Baselines3 (TD3, DDPG)",
    kinds: &["td3", "ddpg"],
    hidden: "mu.",
    head: "",
    deviation: Deviation::None,
    ..SAC
};

const PPO: Family = Family {
    name: "Stable-Baselines3 (PPO, A2C, TRPO)",
    kinds: &["ppo", "a2c", "trpo"],
    prefix: "",
    hidden: "mlp_extractor.policy_net.",
    head: "action_net",
    deviation: Deviation::Array("log_std"),
    activation: Activation::Tanh,
    tanh: false,
    ..SAC
};

const D3RLPY_DETERMINISTIC: Family = Family {
    name: "d3rlpy (deterministic)",
    kinds: &[
        "d3rlpy-td3",
        "d3rlpy-ddpg",
        "d3rlpy-td3plusbc",
        "d3rlpy-rebrac",
        "d3rlpy-prdc",
        "d3rlpy-bc",
    ],
    prefix: "",
    hidden: "_encoder._layers.",
    head: "_fc",
    deviation: Deviation::None,
    stable_baselines: false,
    norms: true,
    ..SAC
};

const D3RLPY_SQUASHED: Family = Family {
    name: "d3rlpy (squashed Gaussian)",
    kinds: &["d3rlpy-sac", "d3rlpy-cql", "d3rlpy-calql", "d3rlpy-bc"],
    head: "_mu",
    deviation: Deviation::Layer("_logstd"),
    ..D3RLPY_DETERMINISTIC
};

const D3RLPY_GAUSSIAN: Family = Family {
    name: "d3rlpy (Gaussian around tanh)",
    kinds: &["d3rlpy-iql", "d3rlpy-awac"],
    deviation: Deviation::Sigmoid("_logstd"),
    noise_outside: true,
    ..D3RLPY_SQUASHED
};

/// All of them; a file is of the first whose arrays it has.
pub(super) const FAMILIES: [Family; 6] = [
    PPO,
    SAC,
    TD3,
    D3RLPY_GAUSSIAN,
    D3RLPY_SQUASHED,
    D3RLPY_DETERMINISTIC,
];

impl Family {
    /// Whether the output layer, and what tells this family from its like, stand in a file under a prefix.
    fn is_in(&self, file: &Tensors, prefix: &str) -> bool {
        let there = |name: &str| file.rank(&format!("{prefix}{name}")).is_some();
        let head = match self.head {
            "" => there(&format!("{}0.weight", self.hidden)),
            head => there(&format!("{head}.weight")),
        };
        head && match self.deviation {
            Deviation::Sigmoid(name) => there(name),
            _ => true,
        }
    }

    /// Whether any of its hidden layers stands in a file under a prefix.
    fn begins(&self, file: &Tensors, prefix: &str) -> bool {
        let start = format!("{prefix}{}", self.hidden);
        file.keys().any(|key| key.starts_with(&start))
    }
}

/// Returns the family of a file and the prefix of its names.
///
/// # Errors
/// [`DataError::ActorFile`] where the arrays are of no family, or the stated kind is none or another family's.
pub(super) fn recognise(
    file: &Tensors,
    kind: Option<&str>,
) -> Result<(&'static Family, &'static str), DataError> {
    const ALL: &[Family] = &FAMILIES;
    let places = || {
        ALL.iter()
            .flat_map(|family| [(family, family.prefix), (family, "")])
    };
    let whole = places().find(|(family, prefix)| family.is_in(file, prefix));
    // A file whose output layer is missing is told by what is there.
    let part = || places().find(|(family, prefix)| family.begins(file, prefix));
    let names: Vec<&str> = ALL
        .iter()
        .flat_map(|family| family.kinds)
        .copied()
        .collect();
    if let Some(kind) = kind.filter(|kind| !names.contains(kind)) {
        let expected = format!("one of {}", names.join(", "));
        let hint = "an actor that acts alike may be called by another's name; others (critics that choose, images, gSDE) are not read.";
        return Err(file.error("kind", &expected, &format!("`{kind}`"), hint));
    }
    let Some((family, prefix)) = whole.or_else(part) else {
        let known = "arrays of an actor of Stable-Baselines3 or d3rlpy, as `actor.mu.weight`, `action_net.weight`, `_mu.weight`";
        return Err(file.unknown(known));
    };
    let mixed = format!("{prefix}mu.0.weight");
    if family.hidden == TD3.hidden && SAC.begins(file, prefix) {
        let hint = "it was trained with use_sde=True, which is not read.";
        return Err(file.error(
            &mixed,
            "no such key beside `latent_pi`",
            "gSDE's layers",
            hint,
        ));
    }
    if let Some(kind) = kind.filter(|kind| !family.kinds.contains(kind)) {
        let expected = format!(
            "one of {} (its arrays are those of {})",
            family.kinds.join(", "),
            family.name
        );
        return Err(file.error(
            "kind",
            &expected,
            &format!("`{kind}`"),
            "state the algorithm that wrote it.",
        ));
    }
    Ok((family, prefix))
}

/// Returns the limits of log σ of a kind: d3rlpy 2.8.1's and Stable-Baselines3 2.9.2's own.
pub(super) fn log_std_limits(kind: &str) -> [f64; 2] {
    match kind {
        "d3rlpy-iql" => [-5.0, 2.0],
        "d3rlpy-awac" => [-6.0, 0.0],
        "d3rlpy-bc" => [-4.0, 15.0],
        _ => [-20.0, 2.0],
    }
}
