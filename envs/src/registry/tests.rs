//! What the registry makes and refuses.

use super::*;
use crate::EnvBatch;

#[test]
fn an_unknown_id_names_the_nearest_one() {
    let error = make("hoper-v4").err().expect("must fail").to_string();
    assert!(
        error.contains("hoper-v4") && error.contains("did you mean `hopper-v4`"),
        "{error}"
    );
    let error = make("zzz").err().expect("must fail").to_string();
    assert_eq!(error, "unknown environment `zzz`");
}

#[test]
fn every_id_makes_an_environment_whose_spec_fits() {
    for id in ids() {
        let spec = spec_of(id).expect("known id");
        assert_eq!(spec.id, id);
        assert_eq!(spec.observation.len(), spec.observation_dim, "{id}");
        assert_eq!(spec.action.len(), spec.action_dim, "{id}");
        assert!(spec.horizon > 0 && spec.timestep > 0.0, "{id}");
    }
}

/// A pendulum under another name.
struct Renamed(Box<dyn Env>, EnvSpec);

impl Env for Renamed {
    fn spec(&self) -> &EnvSpec {
        &self.1
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) {
        self.0.reset(seed, observation);
    }

    fn step(&mut self, action: &[f32], observation: &mut [f32]) -> crate::Step {
        self.0.step(action, observation)
    }
}

fn renamed(id: &str) -> Box<dyn Env> {
    let inner = make("pendulum-v1").expect("known");
    let mut spec = inner.spec().clone();
    spec.id = id.into();
    Box::new(Renamed(inner, spec))
}

#[test]
fn a_registered_environment_is_found_by_name_and_a_taken_name_is_refused() {
    register(|| renamed("Swing-v0")).expect("free");
    assert_eq!(registered_ids(), ["swing-v0"]);
    let options = EnvOptions::default();
    assert_eq!(spec_of("swing-v0").expect("registered").id, "Swing-v0");
    assert_eq!(
        EnvBatch::new("SWING-v0", &options, 3)
            .expect("registered")
            .len(),
        3
    );
    for taken in ["swing-V0", "hopper-v4", "ant-v5", ""] {
        let error = register(move || renamed(taken))
            .expect_err(taken)
            .to_string();
        assert!(error.contains("no free name"), "{error}");
    }
    let sum = EnvOptions {
        margin: Some(Margin::Sum),
        ..EnvOptions::default()
    };
    let error = make_with("swing-v0", &sum).err().expect("its own physics");
    assert!(error.to_string().contains("its own physics"), "{error}");
    assert!(make_stateful("swing-v0", &options).is_err());
}

#[test]
fn a_pendulum_has_no_margin_rule() {
    let options = EnvOptions {
        margin: Some(Margin::Sum),
        ..EnvOptions::default()
    };
    assert!(matches!(
        make_with("pendulum-v1", &options),
        Err(EnvError::Unsupported { .. })
    ));
    assert_eq!(
        make_with("hopper-v4", &options).expect("ok").spec().margin,
        Some(Margin::Sum)
    );
}
