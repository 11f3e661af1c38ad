//! The committed pages are what the specifications say.

use std::path::Path;
use tiltrl_envs::docs;

#[test]
fn the_committed_pages_are_those_of_the_specifications() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/environments");
    let hint = "run `tiltrl envs docs docs/environments`";
    let pages = docs::pages();
    for page in &pages {
        let path = folder.join(&page.name);
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(found, page.text, "{} has drifted; {hint}", path.display());
    }
    let files = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(files, pages.len(), "a page without an environment; {hint}");
}
