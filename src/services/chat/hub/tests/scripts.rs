//! Every script of `tests/chat/scripts`, played to a hub alone.

use std::fs;
use std::path::Path;

use super::play::play;
use super::script::Script;

#[test]
fn every_script_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chat/scripts");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 20, "the scripts have gone");
    let mut failed = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let script = Script::parse(&name, &fs::read_to_string(&path).unwrap());
        if std::panic::catch_unwind(|| play(&script)).is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "these scripts do not hold, see above: {failed:?}");
}
