//! Where networks are computed: `--device cpu | wgpu | cuda:N | tch[:N]`, and in which arithmetic.
//!
//! The only file that names devices, build features and the environment variable `TILTRL_ARITHMETIC`.

use burn::tensor::Device;
use tiltrl_policies::fast::{Arithmetic, Engine};

use crate::error::Error;

/// Arithmetic of runs that did not record any.
pub const ARITHMETIC_OF_OLD: &str = "f32";
/// Environment variable that names the arithmetic; unset, the fastest that the machine has.
const VARIABLE: &str = "TILTRL_ARITHMETIC";

/// A device with its name.
#[derive(Clone, Debug)]
pub struct Compute {
    /// Where tensors live, and the engine with its arithmetic.
    pub handle: tiltrl_policies::Compute,
    /// As `--device` names it.
    pub name: String,
}

/// A kind of device.
struct Kind {
    name: &'static str,
    /// What it is.
    what: &'static str,
    /// The feature that brings it; none = always there, or nowhere yet.
    feature: Option<&'static str>,
    /// Whether `:N` may follow.
    numbered: bool,
    /// Makes the device of that number, where the build has it.
    make: Option<fn(Option<usize>) -> Device>,
}

#[cfg(feature = "wgpu")]
const WGPU: Option<fn(Option<usize>) -> Device> =
    Some(|_| Device::wgpu(burn::tensor::DeviceKind::DefaultDevice));
#[cfg(not(feature = "wgpu"))]
const WGPU: Option<fn(Option<usize>) -> Device> = None;

#[cfg(feature = "tch")]
const TCH: Option<fn(Option<usize>) -> Device> = Some(|card| match card {
    Some(index) => Device::libtorch_cuda(index),
    None => Device::libtorch(),
});
#[cfg(not(feature = "tch"))]
const TCH: Option<fn(Option<usize>) -> Device> = None;

const KINDS: &[Kind] = &[
    Kind {
        name: "cpu",
        what: "this machine's processor",
        feature: None,
        numbered: false,
        make: Some(|_| processor()),
    },
    Kind {
        name: "wgpu",
        what: "a graphics card through Vulkan, Metal or DirectX",
        feature: Some("wgpu"),
        numbered: false,
        make: WGPU,
    },
    Kind {
        name: "cuda",
        what: "an NVIDIA card by its number, as cuda:0",
        feature: None,
        numbered: true,
        make: None,
    },
    Kind {
        name: "tch",
        what: "libtorch on the processor, or on a card by its number; see .ci/get-libtorch",
        feature: Some("tch"),
        numbered: true,
        make: TCH,
    },
];

impl Compute {
    /// Returns the processor.
    ///
    /// # Errors
    /// [`Error::Usage`] when `TILTRL_ARITHMETIC` names an arithmetic that this machine lacks.
    pub fn cpu() -> Result<Self, Error> {
        Self::named("cpu")
    }

    /// Returns the device of that name.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown name, and for one that this build lacks, with the command that brings it.
    pub fn named(text: &str) -> Result<Self, Error> {
        let engine = Engine::new(asked_arithmetic()?);
        let (name, number) = match text.split_once(':') {
            Some((name, number)) => (name, Some(number)),
            None => (text, None),
        };
        let unknown = || {
            let names = "cpu, wgpu, cuda:N, tch or tch:N";
            Error::Usage(format!(
                "--device {text}: expected {names}\n  hint: `tiltrl devices` lists them"
            ))
        };
        let kind = KINDS
            .iter()
            .find(|kind| kind.name == name)
            .ok_or_else(unknown)?;
        let number = match number {
            None => None,
            Some(number) if kind.numbered => Some(number.parse().map_err(|_| unknown())?),
            Some(_) => return Err(unknown()),
        };
        let make = kind.make.ok_or_else(|| kind.missing(text))?;
        Ok(Self {
            handle: tiltrl_policies::Compute {
                device: make(number),
                engine,
            },
            name: text.into(),
        })
    }

    /// Returns the arithmetic of products: results are the same bytes on all machines of one arithmetic.
    pub fn arithmetic(&self) -> String {
        self.handle.engine.arithmetic().to_string()
    }
}

impl Kind {
    fn command(&self) -> String {
        match self.feature {
            Some(feature) => format!("cargo build --release --features {feature}"),
            None => "--device wgpu or tch:0, which compute networks on such a card; CUDA itself does not yet".into(),
        }
    }

    fn missing(&self, asked: &str) -> Error {
        Error::Usage(format!(
            "--device {asked}: this build has no {} ({})\n  hint: use {}",
            self.name,
            self.what,
            self.command()
        ))
    }
}

/// Returns the arithmetic that the environment variable asks for.
fn asked_arithmetic() -> Result<Arithmetic, Error> {
    let name = std::env::var(VARIABLE).unwrap_or_default();
    Arithmetic::named(&name).map_err(|e| Error::Usage(format!("{VARIABLE}: {e}")))
}

fn processor() -> Device {
    Device::flex()
}

/// Returns a line for each kind of device: what there is and what is missing.
pub fn devices() -> Vec<String> {
    let line = |kind: &Kind| {
        let state = match kind.make {
            Some(_) if kind.name == "cpu" => {
                format!("here, arithmetic {}", Arithmetic::best())
            }
            Some(_) => "here".into(),
            None => format!("not in this build: {}", kind.command()),
        };
        format!("{:<5} {:<50} {state}", kind.name, kind.what)
    };
    KINDS.iter().map(line).collect()
}

/// Returns how to go on with a run of another arithmetic.
pub fn hint_for(arithmetic_of_run: &str) -> String {
    if arithmetic_of_run == ARITHMETIC_OF_OLD {
        return format!("set {VARIABLE}={arithmetic_of_run}, or use another --out");
    }
    format!("unset {VARIABLE}, continue it on a CPU with a matrix unit (AMX), or use another --out")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_the_build_lacks_is_refused_with_the_command_that_brings_it() {
        assert_eq!(Compute::named("cpu").expect("here").name, "cpu");
        for (text, words) in [
            ("cuda:1", "--device wgpu or tch:0"),
            ("cpu:1", "expected cpu, wgpu, cuda:N, tch or tch:N"),
            ("cuda:x", "expected cpu"),
            ("tpu", "tiltrl devices"),
        ] {
            let error = Compute::named(text).expect_err(text);
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(words), "{error}");
        }
        assert!(
            devices()
                .iter()
                .any(|line| line.starts_with("cpu") && line.contains("here"))
        );
    }
}
