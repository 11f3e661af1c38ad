//! Flat actor files: golden numbers of NumPy (fixtures/make_actor.py), damage, the trained actors.

use std::path::{Path, PathBuf};

use tiltrl::actor::FlatActor;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/actor.bin")
}

fn assert_close(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (f64::from(*found) - expected).abs() < 2e-6,
            "{found} is not {expected}"
        );
    }
}

#[test]
fn actions_are_those_of_numpy() {
    let actor = FlatActor::read(&fixture()).expect("a good file");
    assert_eq!((actor.observation_dim(), actor.action_dim()), (5, 3));
    let observation = [0.5, -1.0, 0.25, 2.0, -0.125];
    let mut action = [0.0; 3];
    actor.act(&observation, None, &mut action);
    assert_close(
        &action,
        &[
            0.3585994844229238,
            -0.25961380094253517,
            0.29712694819541025,
        ],
    );
    let mut noise = [1.5, -0.5, 0.25].into_iter();
    let mut draw = || noise.next().expect("one draw per action entry");
    actor.act(&observation, Some(&mut draw), &mut action);
    assert_close(
        &action,
        &[0.35859948711707745, -0.846568124637175, 0.9734172331608505],
    );
}

#[test]
fn damaged_actor_files_name_the_layer() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("actor.bin");
    let good = std::fs::read(fixture()).expect("readable");
    for length in 0..good.len() {
        std::fs::write(&path, &good[..length]).expect("written");
        let message = FlatActor::read(&path).expect_err("truncated").to_string();
        assert!(
            message.contains("actor.bin") && message.contains("truncated"),
            "{message}"
        );
    }
    let refused = |position: usize, value: [u8; 4]| {
        let mut bytes = good.clone();
        bytes[position..position + 4].copy_from_slice(&value);
        std::fs::write(&path, bytes).expect("written");
        FlatActor::read(&path).expect_err("damaged").to_string()
    };
    let message = refused(0, i32::MAX.to_le_bytes());
    assert!(
        message.contains("latent_pi.0") && message.contains("2147483647"),
        "{message}"
    );
    let message = refused(4, (-1_i32).to_le_bytes());
    assert!(message.contains("found -1"), "{message}");
    let message = refused(8, f32::NAN.to_le_bytes());
    assert!(message.contains("finite weights"), "{message}");
    let second_layer = 8 + 20 * 5 * 4 + 20 * 4;
    let message = refused(second_layer + 4, 21_i32.to_le_bytes());
    assert!(
        message.contains("latent_pi.2") && message.contains("expected 20 inputs"),
        "{message}"
    );
    std::fs::write(&path, [good.as_slice(), &[0]].concat()).expect("written");
    let message = FlatActor::read(&path).expect_err("too long").to_string();
    assert!(message.contains("1 bytes more"), "{message}");
    let message = FlatActor::read(&folder.path().join("none.bin"))
        .expect_err("absent")
        .to_string();
    assert!(message.contains("no such file"), "{message}");
}

#[test]
fn the_trained_actors_load_with_their_dimensions() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/agents");
    if !folder.is_dir() {
        eprintln!("SKIPPED: {} is absent", folder.display());
        return;
    }
    for (robot, dims) in [
        ("HalfCheetah", (17, 6)),
        ("Hopper", (11, 3)),
        ("Walker2d", (17, 6)),
    ] {
        for algorithm in ["sac", "tqc"] {
            let actor = FlatActor::read(&folder.join(format!("{algorithm}_{robot}.bin")))
                .expect("a good file");
            assert_eq!((actor.observation_dim(), actor.action_dim()), dims);
            let mut action = vec![f32::NAN; dims.1];
            actor.act(&vec![0.1; dims.0], None, &mut action);
            assert!(action.iter().all(|entry| entry.abs() <= 1.0), "{action:?}");
        }
    }
}
