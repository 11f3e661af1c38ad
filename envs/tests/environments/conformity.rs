//! Every registered environment keeps the promises of `Env`.

#[test]
fn every_registered_environment_conforms() {
    for id in tiltrl_envs::ids() {
        let make = || tiltrl_envs::make(id).expect("known id");
        if let Err(broken) = tiltrl_envs::conformity::check(&make) {
            panic!("{id}: {broken:#?}");
        }
    }
}
