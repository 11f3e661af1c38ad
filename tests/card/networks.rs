//! Networks on a card, without one: what is missing is named, and NVIDIA's compilers take the kernels that burn writes.

use std::path::Path;
use std::process::Command;

use crate::commands::Place;

/// Where a library of that name, with nothing in it, is found beside the stand-in.
fn empty_library(place: &Place, name: &str) {
    let folder = place.library.as_deref().unwrap();
    let built = Command::new("g++")
        .args(["-shared", "-x", "c++", "/dev/null", "-o"])
        .arg(folder.join(name))
        .status();
    assert!(built.unwrap().success());
}

#[test]
fn what_networks_need_besides_the_driver_is_named() {
    if !crate::twin::compiler() || cfg!(not(target_os = "linux")) {
        return;
    }
    let place = Place::new(true);
    let refused = |words: &[&str]| {
        for command in [&["tilt", "words"][..], &["run", "--config", "tiny.toml"]] {
            let arguments = [command, &["--device", "cuda:0"]].concat();
            let mut command = place.command(&arguments);
            let output = command.env("CUDA_PATH", place.folder.path()).output();
            let output = output.expect("the binary runs");
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{text}");
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
        }
        assert!(
            !place.folder.path().join("runs").exists(),
            "nothing was begun"
        );
    };
    if std::env::var_os("LD_LIBRARY_PATH").is_none() {
        refused(&[
            "--device cuda:0",
            "libnvrtc.so could not be loaded",
            "hint: ",
            "--features cuda`",
        ]);
        let [list, _] = place.done(&["devices"]);
        assert!(
            list.contains("networks need NVIDIA's run-time compiler"),
            "{list}"
        );
    }
    empty_library(&place, "libnvrtc.so");
    refused(&["CUDA's headers", "include/cuda_fp16.h", "CUDA_PATH"]);
}

/// The kernels of a training of words: a transformer or a perceptron, its gradients, its samples.
#[test]
fn nvidia_s_compilers_take_the_kernels_of_a_training() {
    let Some(compilers) = std::env::var_os("NVIDIA_COMPILERS") else {
        eprintln!("SKIPPED: NVIDIA_COMPILERS is not set; `.ci/get-nvidia` prints it");
        return;
    };
    let compilers = Path::new(&compilers);
    let place = Place::new(true);
    let kernels = place.folder.path().join("ptx");
    std::fs::create_dir(&kernels).unwrap();
    let updates = [
        "prior_updates=2",
        "updates=2",
        "infilling_updates=2",
        "baseline_updates=0",
    ];
    let set = updates.iter().flat_map(|update| ["--set", update]);
    let mut command = place.command(&["--device", "cuda:0", "tilt", "words"]);
    let libraries = [place.library.as_deref().unwrap(), &compilers.join("lib")];
    command
        .args(set)
        .env("LD_LIBRARY_PATH", std::env::join_paths(libraries).unwrap())
        .env("CUDA_PATH", compilers)
        .env("TILTRL_FAKE_PTX", &kernels);
    let output = command.output().expect("the binary runs");
    // No kernel ran, so that the numbers are none; that all of them compiled is what is asked.
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !said.contains("Compilation Error") && !said.contains("panicked"),
        "{said}"
    );
    let mut count = 0;
    for kernel in std::fs::read_dir(&kernels).unwrap() {
        let assembled = Command::new(compilers.join("bin/ptxas"))
            .args(["-arch=sm_90a", "-o", "/dev/null"])
            .arg(kernel.unwrap().path())
            .output()
            .unwrap();
        assert!(
            assembled.status.success(),
            "{}",
            String::from_utf8_lossy(&assembled.stderr)
        );
        count += 1;
    }
    eprintln!("{count} kernels");
    assert!(count > 50, "{count}: {said}");
}
