//! The bugs in `tests/planted/` still apply to the tree. `tests/planted/run` shows that the
//! simulator finds each.

use std::path::Path;
use std::process::Command;

#[test]
fn every_planted_bug_still_applies() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let patches = std::fs::read_dir(root.join("tests/planted")).unwrap().map(|entry| entry.unwrap().path());
    let patches: Vec<_> = patches.filter(|path| path.extension().is_some_and(|it| it == "patch")).collect();
    assert!(patches.len() >= 10, "only {} bugs are planted", patches.len());
    for patch in patches {
        let applies = Command::new("git").arg("apply").arg("--check").arg(&patch).current_dir(root).output();
        let Ok(output) = applies else {
            eprintln!("skipped: there is no git to check the planted bugs with");
            return;
        };
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} no longer applies: {error}", patch.display());
    }
}
