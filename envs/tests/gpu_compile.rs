//! The kernels through NVIDIA's compilers, without a GPU: they compile, the PTX in the repository is theirs, and a robot fits
//! the registers. After a change of the kernels: `TILTRL_WRITE_PTX=1 NVIDIA_COMPILERS=$(.ci/get-nvidia target/nvidia) cargo
//! test -p tiltrl-envs --features cuda --test gpu_compile`.
#![allow(clippy::unwrap_used)]
#![allow(unsafe_code)]

#[path = "support/nvrtc.rs"]
mod nvrtc;

use nvrtc::{Nvrtc, Usage, assemble, assemble_entry};
use std::path::{Path, PathBuf};
use tiltrl_envs::gpu::Mode;
use tiltrl_envs::gpu::policy::{KERNELS, PolicyKernel};
use tiltrl_envs::gpu::program::{PROGRAMS, Program};

/// The oldest architecture that NVRTC 13.0 knows; drivers compile this for any newer one.
const ARCHITECTURE: &str = "--gpu-architecture=compute_75";

fn ptx_file(name: &str, mode: Mode) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("gpu/ptx/{name}-{mode}.ptx"))
}

fn policy_file(kernel: &PolicyKernel) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("gpu/ptx/{}.ptx", kernel.name))
}

/// The PTX as it is shipped: nothing in it is newer than PTX 7.0, so that drivers from CUDA 11.0 on take it. What NVRTC adds of
/// later versions are hints (which bytes of a load are used); they go.
fn for_older_drivers(ptx: &str) -> String {
    let mut text = String::new();
    for line in ptx.lines() {
        match line {
            ".version 9.0" => text.push_str(".version 7.0"),
            hint if hint.contains(".pragma \"used_bytes_mask") => continue,
            line => text.push_str(line),
        }
        text.push('\n');
    }
    assert!(
        text.contains("\n.version 7.0\n"),
        "NVRTC 13.0 writes PTX 9.0"
    );
    text
}

fn compile(nvrtc: &Nvrtc, name: &str, mode: Mode) -> String {
    let (_, id, margin) = PROGRAMS
        .into_iter()
        .find(|program| program.0 == name)
        .unwrap();
    let text = Program::of(id, margin).unwrap().source(mode).unwrap();
    // 177: what one robot has no use for, another has.
    let mut options = vec![ARCHITECTURE, "--std=c++17", "--diag-suppress=177"];
    options.extend(mode.compiler_options());
    let (ptx, log) = nvrtc
        .compile(&text, &options)
        .unwrap_or_else(|log| panic!("{name} {mode}: {log}"));
    assert_eq!(log.trim(), "", "{name} {mode}");
    for_older_drivers(&ptx)
}

#[test]
fn the_ptx_in_the_repository_is_what_nvrtc_makes_of_the_kernels() {
    let Some(folder) = nvrtc::folder() else {
        return;
    };
    let nvrtc = Nvrtc::new(&folder);
    for (name, ..) in PROGRAMS {
        let (_, id, margin) = PROGRAMS
            .into_iter()
            .find(|program| program.0 == name)
            .unwrap();
        for &mode in Program::of(id, margin).unwrap().modes() {
            agree(&ptx_file(name, mode), &compile(&nvrtc, name, mode));
        }
    }
    for kernel in KERNELS {
        let mut options = vec![ARCHITECTURE, "--std=c++17", "--diag-suppress=177"];
        options.extend(PolicyKernel::compiler_options());
        let (ptx, log) = nvrtc
            .compile(&kernel.source(), &options)
            .unwrap_or_else(|log| panic!("{}: {log}", kernel.name));
        assert_eq!(log.trim(), "", "{}", kernel.name);
        agree(&policy_file(&kernel), &for_older_drivers(&ptx));
    }
}

/// Compares the PTX of a kernel with the repository's, or writes it there.
fn agree(file: &Path, ptx: &str) {
    if std::env::var_os("TILTRL_WRITE_PTX").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, ptx).unwrap();
    }
    let committed = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        ptx == committed,
        "{} is not up to date: run with TILTRL_WRITE_PTX=1",
        file.display()
    );
}

#[test]
fn a_text_that_does_not_compile_is_refused_with_the_compilers_words() {
    let Some(folder) = nvrtc::folder() else {
        return;
    };
    let error = Nvrtc::new(&folder)
        .compile(
            "__global__ void f(float *x) { *x = nothing; }",
            &[ARCHITECTURE],
        )
        .unwrap_err();
    assert!(
        error.contains("identifier \"nothing\" is undefined"),
        "{error}"
    );
}

/// The most that the step of a robot may use on an H100: registers, spilled bytes (stores and loads), local bytes.
const LIMITS: [(&str, Mode, [usize; 3]); 26] = [
    ("halfcheetah", Mode::Fast, [208, 0, 832]),
    ("halfcheetah", Mode::F32, [208, 0, 832]),
    ("halfcheetah", Mode::F64, [255, 1800, 2048]),
    ("hopper-max", Mode::Fast, [168, 0, 1008]),
    ("hopper-max", Mode::F32, [168, 0, 1008]),
    ("hopper-max", Mode::F64, [255, 300, 2112]),
    ("hopper-sum", Mode::Fast, [168, 0, 1008]),
    ("hopper-sum", Mode::F32, [168, 0, 1008]),
    ("hopper-sum", Mode::F64, [255, 300, 2112]),
    ("walker2d-v4", Mode::Fast, [255, 0, 856]),
    ("walker2d-v4", Mode::F32, [255, 0, 856]),
    ("walker2d-v4", Mode::F64, [255, 2900, 2368]),
    ("walker2d-v5", Mode::Fast, [255, 0, 856]),
    ("walker2d-v5", Mode::F32, [255, 0, 856]),
    ("walker2d-v5", Mode::F64, [255, 2900, 2368]),
    ("pendulum", Mode::F64, [64, 0, 64]),
    ("cartpole-swingup", Mode::F64, [96, 0, 64]),
    ("mountaincar", Mode::F64, [64, 0, 64]),
    ("invertedpendulum", Mode::F64, [112, 0, 0]),
    ("inverteddoublependulum-v4", Mode::F64, [152, 0, 0]),
    ("inverteddoublependulum-v5", Mode::F64, [152, 0, 0]),
    ("reacher-v4", Mode::F64, [128, 0, 0]),
    ("reacher-v5", Mode::F64, [128, 0, 0]),
    ("pointmaze-umaze", Mode::F64, [72, 0, 864]),
    ("pointmaze-medium", Mode::F64, [72, 0, 864]),
    ("pointmaze-large", Mode::F64, [72, 0, 864]),
];

#[test]
fn a_robot_fits_the_registers_and_f32_spills_nothing() {
    let Some(folder) = nvrtc::folder() else {
        return;
    };
    for (name, mode, [registers, spilled, local]) in LIMITS {
        let usage = assemble(&folder, &ptx_file(name, mode), "sm_90");
        eprintln!("{name} {mode}: {usage:?}");
        let Usage {
            registers: r,
            spilled_bytes: s,
            local_bytes: l,
        } = usage;
        assert!(
            r <= registers && s <= spilled && l <= local,
            "{name} {mode}: {usage:?}"
        );
    }
}

/// The most that the policies' kernels may use on an H100: registers, spilled bytes, and no local memory but the stream's block.
#[test]
fn a_policys_sums_fit_the_registers_and_its_block_the_shared_memory() {
    let Some(folder) = nvrtc::folder() else {
        return;
    };
    for kernel in KERNELS {
        let usage = assemble_entry(&folder, &policy_file(&kernel), "sm_90", "act");
        eprintln!("{}: {usage:?}", kernel.name);
        assert!(usage.registers <= 168, "{}: {usage:?}", kernel.name);
        assert_eq!(usage.spilled_bytes, 0, "{}", kernel.name);
        // ptxas refuses more than 48 KiB of static shared memory: that it assembles is the test.
        assemble_entry(&folder, &policy_file(&kernel), "sm_75", "act");
    }
}

#[test]
fn the_ptx_assembles_for_every_generation_from_turing_to_blackwell() {
    let Some(folder) = nvrtc::folder() else {
        return;
    };
    for architecture in ["sm_75", "sm_80", "sm_86", "sm_89", "sm_100", "sm_120"] {
        for (name, mode) in [
            ("halfcheetah", Mode::Fast),
            ("hopper-sum", Mode::F32),
            ("walker2d-v4", Mode::F64),
        ] {
            let usage = assemble(&folder, &ptx_file(name, mode), architecture);
            assert!(usage.registers > 100, "{name} {architecture}: {usage:?}");
        }
    }
}
