//! Where networks are computed: `--device cpu | wgpu | cuda:N | tch[:N]`, and in which arithmetic.
//!
//! The only file that names devices, build features and the environment variable `TILTRL_ARITHMETIC`.

#[cfg(feature = "cuda-networks")]
mod networks;

use burn::tensor::Device;
use tiltrl_envs::EnvOptions;
use tiltrl_policies::fast::{Arithmetic, Engine};

use crate::console::note;
use crate::error::Error;

/// Arithmetic of runs that did not record any.
pub const ARITHMETIC_OF_OLD: &str = "f32";
/// Whether this build computes networks on NVIDIA's cards; otherwise the processor does while a card plays.
pub const NETWORKS_ON_CARDS: bool = cfg!(feature = "cuda-networks");
/// Environment variable that names the arithmetic; unset, the fastest that the machine has.
const VARIABLE: &str = "TILTRL_ARITHMETIC";

/// A device with its name.
#[derive(Clone, Debug)]
pub struct Compute {
    /// Where tensors live, and the engine with its arithmetic.
    pub handle: tiltrl_policies::Compute,
    /// As `--device` names it.
    pub name: String,
    /// The card that plays episodes, where it is one of NVIDIA's; networks are there only if [`NETWORKS_ON_CARDS`].
    pub card: Option<Card>,
}

/// An NVIDIA card that plays episodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Card {
    /// Which of the machine's cards, from 0.
    pub ordinal: usize,
    /// Whether physics may round as it goes fastest (`cuda:0/fast`); else its bytes are the processor's.
    pub fast: bool,
}

/// A kind of device.
struct Kind {
    name: &'static str,
    /// What computes there, in words.
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

#[cfg(feature = "cuda")]
const CUDA: Option<fn(Option<usize>) -> Device> = Some(|_| processor());
#[cfg(not(feature = "cuda"))]
const CUDA: Option<fn(Option<usize>) -> Device> = None;

/// What a card needs besides the feature.
const DRIVER: &str = "for episodes, or with `--features cuda-networks` for networks too (longer to build; it needs CUDA's toolkit at run \
                      time), and install NVIDIA's driver (Debian, Ubuntu: `apt-get install nvidia-driver`; others: \
                      https://www.nvidia.com/drivers); building needs nothing of CUDA";

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
        feature: Some("cuda"),
        numbered: true,
        make: CUDA,
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
    /// [`Error::Usage`] for an unknown name; [`Error::Run`] for one that this build lacks, with the command that brings it.
    pub fn named(text: &str) -> Result<Self, Error> {
        let engine = Engine::new(asked_arithmetic()?);
        let (asked, fast) = match text.strip_suffix("/fast") {
            Some(asked) if asked.starts_with("cuda:") => (asked, true),
            _ => (text, false),
        };
        let (name, number) = match asked.split_once(':') {
            Some((name, number)) => (name, Some(number)),
            None => (asked, None),
        };
        let unknown = || {
            let names = "cpu, wgpu, cuda:N, cuda:N/fast, tch or tch:N";
            Error::Usage(format!(
                "--device {text}: expected {names}\n  hint: `tiltrl devices` lists them"
            ))
        };
        let kind = KINDS
            .iter()
            .find(|kind| kind.name == name)
            .ok_or_else(unknown)?;
        let number: Option<usize> = match number {
            None => None,
            Some(number) if kind.numbered => Some(number.parse().map_err(|_| unknown())?),
            Some(_) => return Err(unknown()),
        };
        let make = kind.make.ok_or_else(|| kind.missing(text))?;
        let card = (kind.name == "cuda").then(|| Card {
            ordinal: number.unwrap_or(0),
            fast,
        });
        let device = match card {
            Some(card) => card.device()?,
            None => make(number),
        };
        Ok(Self {
            handle: tiltrl_policies::Compute { device, engine },
            name: text.into(),
            card,
        })
    }

    /// Returns what computes a task with that environment. Where networks are on the card and the environment has no kernels for it,
    /// the processor plays, and the user is told; without networks there, naming the card asks for its kernels, and the card refuses.
    pub fn for_env(mut self, env: &str, options: &EnvOptions) -> Self {
        if NETWORKS_ON_CARDS && self.card.is_some() && !has_kernels(env, options) {
            let name = &self.name;
            note(&format!(
                "note: {name} computes networks; {env} is played by the processor, for there are no kernels of it"
            ));
            self.card = None;
        }
        self
    }

    /// Returns the name of an engine of environments together with the card that it runs on, if it does.
    pub fn engine_name(&self, engine: &str) -> String {
        match self.card {
            Some(_) => format!("{engine} on {}", self.name),
            None => engine.into(),
        }
    }

    /// Returns where networks are computed, as a run records it: builds with and without networks on cards do not go on with each
    /// other's runs.
    pub fn recorded(&self) -> String {
        let networks = NETWORKS_ON_CARDS && self.name.starts_with("cuda");
        format!(
            "{}{}",
            self.name,
            if networks { " with networks" } else { "" }
        )
    }

    /// Returns the arithmetic of products: results are the same bytes on all machines of one arithmetic.
    pub fn arithmetic(&self) -> String {
        self.handle.engine.arithmetic().to_string()
    }
}

impl Card {
    /// Returns where tensors live while this card, which must be there, plays: on it, or on the processor in a build without networks
    /// on cards.
    #[cfg(feature = "cuda")]
    fn device(self) -> Result<Device, Error> {
        use tiltrl_envs::gpu::{GpuError, devices};
        let found = devices::list_here().map_err(|e| self.refused(&e))?;
        #[cfg(feature = "cuda-networks")]
        if self.ordinal < found.len() {
            return networks::device(self.ordinal);
        }
        #[cfg(not(feature = "cuda-networks"))]
        if self.ordinal < found.len() {
            return Ok(processor());
        }
        let asked = self.ordinal;
        let found = found.iter().map(ToString::to_string).collect();
        Err(self.refused(&GpuError::NoSuchDevice { asked, found }))
    }

    /// Returns an error of the card by its name.
    #[cfg(feature = "cuda")]
    pub(crate) fn refused(self, error: &tiltrl_envs::gpu::GpuError) -> Error {
        let text = error.to_string().replace("\nhint: ", "\n  hint: ");
        Error::Run(format!("--device cuda:{}: {text}", self.ordinal))
    }

    /// Without the feature no card was made.
    #[cfg(not(feature = "cuda"))]
    fn device(self) -> Result<Device, Error> {
        Ok(processor())
    }
}

impl Kind {
    fn command(&self) -> String {
        let driver = if self.name == "cuda" { DRIVER } else { "" };
        let command = self.feature.map_or(String::new(), |feature| {
            format!("build with `cargo build --release --features {feature}`")
        });
        if driver.is_empty() {
            return command;
        }
        format!("{command}, {driver}")
    }

    /// What is missing. A build that lacks it is no wrong usage, nor is a card that is not there.
    fn missing(&self, asked: &str) -> Error {
        Error::Run(format!(
            "--device {asked}: this build has no {} ({})\n  hint: {}",
            self.name,
            self.what,
            self.command()
        ))
    }

    /// How it stands.
    fn state(&self) -> String {
        match (self.make, self.name) {
            (None, _) => format!("not in this build: {}", self.command()),
            (Some(_), "cpu") => format!("here, arithmetic {}", Arithmetic::best()),
            (Some(_), "cuda") => cards(),
            (Some(_), _) => "here".into(),
        }
    }
}

/// The cards of this machine, or what is missing.
#[cfg(feature = "cuda")]
fn cards() -> String {
    match tiltrl_envs::gpu::devices::list_here() {
        Ok(found) => {
            let lines: Vec<String> = found.iter().map(|card| format!("\n      {card}")).collect();
            #[cfg(feature = "cuda-networks")]
            let state = networks::state();
            #[cfg(not(feature = "cuda-networks"))]
            let state = "plays episodes; networks are computed on the processor, or with `--features cuda-networks` on the card";
            format!("{state}{}", lines.concat())
        }
        Err(error) => error.to_string().replace("\nhint: ", "; "),
    }
}

#[cfg(not(feature = "cuda"))]
fn cards() -> String {
    String::new()
}

/// Whether cards have kernels of an environment under that engine.
#[cfg(feature = "cuda")]
fn has_kernels(env: &str, options: &EnvOptions) -> bool {
    use tiltrl_envs::{Engine, Margin, gpu::program::Program};
    let ours = matches!(options.engine, Engine::Embedded | Engine::EmbeddedF32);
    ours && Program::of(env, options.margin.unwrap_or(Margin::Max)).is_some()
}

#[cfg(not(feature = "cuda"))]
fn has_kernels(_: &str, _: &EnvOptions) -> bool {
    false
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
    let line = |kind: &Kind| format!("{:<5} {:<50} {}", kind.name, kind.what, kind.state());
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
        let cpu = Compute::named("cpu").expect("here");
        assert_eq!((&*cpu.name, &*cpu.recorded()), ("cpu", "cpu"));
        let name = "cuda:0".to_string();
        let recorded = Compute { name, ..cpu }.recorded();
        assert_eq!(recorded == "cuda:0 with networks", NETWORKS_ON_CARDS);
        for (text, words) in [
            (
                "cpu:1",
                "expected cpu, wgpu, cuda:N, cuda:N/fast, tch or tch:N",
            ),
            ("cuda:x", "expected cpu"),
            ("cpu/fast", "expected cpu"),
            ("tpu", "tiltrl devices"),
        ] {
            let error = Compute::named(text).expect_err(text);
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(words), "{error}");
        }
        // What is not there is no wrong usage, with the feature or without.
        for asked in ["cuda:99/fast", "wgpu", "tch:0"] {
            let Err(error) = Compute::named(asked) else {
                continue;
            };
            assert_eq!(error.exit_code(), 1);
            let text = error.to_string();
            let asked = asked.trim_end_matches("/fast");
            assert!(
                text.contains(&format!("--device {asked}")) && text.contains("hint: "),
                "{text}"
            );
        }
        assert!(
            devices()
                .iter()
                .any(|line| line.starts_with("cpu") && line.contains("here"))
        );
    }
}
