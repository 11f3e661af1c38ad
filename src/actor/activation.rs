//! What stands between the layers of a perceptron, under PyTorch's and d3rlpy's names.

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    Relu,
    LeakyRelu,
    Elu,
    Tanh,
    Silu,
    Mish,
    Identity,
}

/// Names in small letters; `swish` and `none` are d3rlpy's.
const NAMES: [(&str, Activation); 10] = [
    ("relu", Activation::Relu),
    ("leakyrelu", Activation::LeakyRelu),
    ("leaky_relu", Activation::LeakyRelu),
    ("elu", Activation::Elu),
    ("tanh", Activation::Tanh),
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
    ("mish", Activation::Mish),
    ("identity", Activation::Identity),
    ("none", Activation::Identity),
];

impl Activation {
    /// Returns the activation of a name in any letters.
    pub(super) fn named(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        let found = NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, activation)| *activation)
    }

    /// Returns the names that are known.
    pub(super) fn names() -> String {
        NAMES.map(|(name, _)| name).join(", ")
    }

    /// Returns its first name.
    pub(super) fn name(self) -> &'static str {
        let found = NAMES.iter().find(|(_, activation)| *activation == self);
        found.map_or("", |(name, _)| name)
    }

    /// Computes it, with PyTorch's default parameters.
    pub(super) fn apply(self, x: f32) -> f32 {
        match self {
            Self::Relu => x.max(0.0),
            Self::LeakyRelu => x.max(0.01 * x),
            Self::Elu if x > 0.0 => x,
            Self::Elu => x.exp_m1(),
            Self::Tanh => x.tanh(),
            Self::Silu => x / (1.0 + (-x).exp()),
            // softplus(x) = max(x, 0) + ln(1 + exp(−|x|))
            Self::Mish => x * (x.max(0.0) + (-x.abs()).exp().ln_1p()).tanh(),
            Self::Identity => x,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_pytorchs() {
        // torch.nn.functional at −1.5 and 0.75.
        for (name, low, high) in [
            ("ReLU", 0.0, 0.75),
            ("LeakyReLU", -0.015, 0.75),
            ("ELU", -0.776_869_8, 0.75),
            ("Tanh", -0.905_148_3, 0.635_149),
            ("SiLU", -0.273_638_3, 0.509_384),
            ("Mish", -0.298_099_8, 0.610_018_4),
            ("Identity", -1.5, 0.75),
        ] {
            let activation = Activation::named(name).expect("known");
            for (x, wanted) in [(-1.5, low), (0.75, high)] {
                let found: f32 = activation.apply(x);
                assert!((found - wanted).abs() < 2e-6, "{name}({x}): {found}");
            }
            assert_eq!(Activation::named(activation.name()), Some(activation));
        }
        assert_eq!(Activation::named("gelu"), None);
    }
}
