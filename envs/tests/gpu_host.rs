//! The host's side of the GPU against a driver that is none: every error says what to do, nothing is lost, and whole episodes
//! go through the same calls as on a device. Where there is a GPU, the same episodes run on it.
#![allow(clippy::unwrap_used)]
#![allow(unsafe_code)]

#[path = "support/device.rs"]
mod device;
#[path = "support/fake.rs"]
mod fake;

#[path = "support/twin.rs"]
mod twin;

use device::play;
use fake::{Fake, card};
use tiltrl_envs::Margin;
use tiltrl_envs::gpu::Refusal;
use tiltrl_envs::gpu::cuda::Cuda;
use tiltrl_envs::gpu::program::Program;
use tiltrl_envs::gpu::{DeviceEnvs, GpuError, Mode, devices};

const HOPPER: &str = "hopper-v4";

/// The error of making 1,000 hoppers on device `ordinal`, and how many bytes were still allocated afterwards.
fn refused(fake: Fake, ordinal: usize) -> (String, usize) {
    let ledger = fake.ledger.clone();
    let error = DeviceEnvs::new(
        Box::new(fake),
        ordinal,
        HOPPER,
        Margin::Max,
        Mode::Fast,
        1000,
    )
    .err()
    .unwrap();
    let allocated = ledger.lock().unwrap().allocated;
    (error.to_string(), allocated)
}

#[test]
fn this_machines_driver_is_there_or_the_error_says_what_to_install() {
    match devices::list_here() {
        Ok(found) => eprintln!("{found:?}"),
        Err(error) => {
            let text = error.to_string();
            eprintln!("{text}");
            assert!(text.contains("hint: "), "{text}");
            if matches!(error, GpuError::MissingDriver { .. }) {
                assert!(
                    text.contains("libcuda") && text.contains("apt-get install"),
                    "{text}"
                );
            }
        }
    }
}

#[test]
fn an_old_driver_is_named_with_the_version_that_is_needed() {
    let old = Fake {
        version: Ok(10_020),
        ..Fake::new()
    };
    let (text, _) = refused(old, 0);
    assert!(
        text.contains("CUDA 10.2") && text.contains("11.0") && text.contains("hint: update"),
        "{text}"
    );
}

#[test]
fn no_device_and_a_wrong_number_say_what_there_is() {
    let none = Fake {
        devices: Vec::new(),
        ..Fake::new()
    };
    let (text, _) = refused(none, 0);
    assert!(
        text.contains("sees no GPU") && text.contains("nvidia-smi"),
        "{text}"
    );
    let failing = Some(Refusal {
        call: "cuDeviceGetCount",
        code: 100,
    });
    assert_eq!(
        refused(
            Fake {
                failing,
                ..Fake::new()
            },
            0
        )
        .0,
        text
    );
    let two = vec![card(0, "Fake A100", (8, 0)), card(1, "Fake H100", (9, 0))];
    let (text, _) = refused(
        Fake {
            devices: two,
            ..Fake::new()
        },
        2,
    );
    assert!(
        text.contains("no device cuda:2")
            && text.contains("cuda:1  Fake H100, compute capability 9.0"),
        "{text}"
    );
}

#[test]
fn the_device_that_is_asked_for_is_the_one_that_is_opened() {
    let devices = vec![card(0, "Fake A100", (8, 0)), card(1, "Fake H100", (9, 0))];
    let fake = Fake {
        devices,
        ..Fake::new()
    };
    let ledger = fake.ledger.clone();
    let envs = DeviceEnvs::new(Box::new(fake), 1, HOPPER, Margin::Max, Mode::F64, 10).unwrap();
    assert_eq!(ledger.lock().unwrap().opened, Some(1));
    assert_eq!(envs.device().name, "Fake H100");
}

#[test]
fn an_old_device_is_refused_before_anything_is_loaded() {
    let devices = vec![card(0, "Fake V100", (7, 0))];
    let (text, allocated) = refused(
        Fake {
            devices,
            ..Fake::new()
        },
        0,
    );
    assert!(
        text.contains("Fake V100") && text.contains("7.5") && text.contains("hint: "),
        "{text}"
    );
    assert_eq!(allocated, 0);
}

#[test]
fn a_full_memory_names_what_was_needed_and_gives_all_of_it_back() {
    let (text, allocated) = refused(
        Fake {
            memory: 100_000,
            ..Fake::new()
        },
        0,
    );
    // 17 numbers, 11 observations and 3 actions of 4 bytes; way, seed, return, reward; age, status.
    let bytes = 1000 * (4 * (17 + 11 + 3) + 4 * 8 + 2 * 4);
    assert!(
        text.contains(&format!("1000 environments need {bytes} bytes")),
        "{text}"
    );
    assert!(text.contains("hint: take fewer"), "{text}");
    assert_eq!(allocated, 0, "what was allocated before must be given back");
}

#[test]
fn kernels_for_another_architecture_and_a_kernel_that_fails_are_named() {
    for (call, code, words) in [
        ("cuModuleLoadDataEx", 209, "cannot compile the kernels"),
        ("cuModuleLoadDataEx", 222, "update the driver"),
        ("cuDevicePrimaryCtxRetain", 46, "in exclusive use"),
        ("cuMemAlloc", 719, "a kernel failed"),
        ("cuDeviceGetCount", 999, "nvidia-smi"),
    ] {
        let failing = Some(Refusal { call, code });
        let (text, allocated) = refused(
            Fake {
                failing,
                ..Fake::new()
            },
            0,
        );
        assert!(
            text.contains(call) && text.contains(&code.to_string()) && text.contains(words),
            "{text}"
        );
        assert_eq!(allocated, 0);
    }
    for call in ["cuCtxSynchronize", "cuMemcpyDtoH"] {
        let failing = Some(Refusal { call, code: 700 });
        let mut envs = DeviceEnvs::new(
            Box::new(Fake {
                failing,
                ..Fake::new()
            }),
            0,
            HOPPER,
            Margin::Max,
            Mode::F32,
            5,
        )
        .unwrap();
        let error = envs.wait().err().or_else(|| envs.rewards().err()).unwrap();
        assert!(
            error.to_string().contains("what the device held is lost"),
            "{error}"
        );
    }
}

#[test]
fn an_environment_without_kernels_and_too_many_of_them_are_refused() {
    let error = |id, count| {
        DeviceEnvs::new(Box::new(Fake::new()), 0, id, Margin::Max, Mode::Fast, count)
            .err()
            .unwrap()
            .to_string()
    };
    assert!(error("ant-v5", 1).contains(
        "`ant-v5` cannot run on a GPU: it has no kernels\nhint: these have: halfcheetah"
    ));
    assert!(error("hopper-v4", 0).contains("hint: choose from 1 to"));
    assert!(error("hopper-v4", usize::MAX).contains("hint: choose from 1 to"));
}

const TASKS: [(&str, Margin); 7] = [
    ("halfcheetah-v4", Margin::Max),
    ("hopper-v5", Margin::Sum),
    ("walker2d-v5", Margin::Max),
    ("pendulum-v1", Margin::Max),
    ("inverteddoublependulum-v4", Margin::Max),
    ("reacher-v5", Margin::Max),
    ("pointmaze-umaze-dense-v1", Margin::Sum),
];

/// The modes that promise the CPU's bytes.
fn exact(id: &str, margin: Margin) -> &'static [Mode] {
    let modes = Program::of(id, margin).unwrap().modes();
    // The first of three is the fast one.
    &modes[modes.len() / 2..]
}

#[test]
fn episodes_through_the_hosts_calls_are_the_cpus_byte_for_byte() {
    if !twin::compiler() {
        return;
    }
    for (id, margin) in TASKS {
        for &mode in exact(id, margin) {
            let program = Some((Program::of(id, margin).unwrap(), mode));
            let fake = Fake {
                program,
                ..Fake::new()
            };
            let ledger = fake.ledger.clone();
            play(Box::new(fake), (id, margin), mode);
            let ledger = ledger.lock().unwrap();
            assert_eq!((ledger.allocated, ledger.launches), (0, 241), "{id}");
        }
    }
}

#[test]
fn episodes_on_this_machines_gpu_are_the_cpus_byte_for_byte() {
    if let Err(error) = devices::list_here() {
        eprintln!("SKIPPED: {error}");
        return;
    }
    for (id, margin) in TASKS {
        for &mode in exact(id, margin) {
            play(Box::new(Cuda::new().unwrap()), (id, margin), mode);
        }
    }
}
