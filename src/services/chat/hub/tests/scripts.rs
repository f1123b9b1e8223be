//! Runs every script of `tests/services/chat/scripts` against a hub without an engine.

use std::fs;
use std::path::Path;

use super::play::play;
use super::script::Script;

#[test]
fn chat_scripts_pass_without_an_engine() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/chat/scripts");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 20, "{} scripts are too few: is the path right?", paths.len());
    let mut failed = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let script = Script::parse(&name, &fs::read_to_string(&path).unwrap());
        if std::panic::catch_unwind(|| play(&script)).is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "failed scripts: {failed:?}; the panics are above");
}

#[test]
fn chat_page_examples_pass() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/chat.md")).unwrap();
    let examples: Vec<_> = page.split("```chat\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!examples.is_empty());
    for (at, example) in examples.iter().enumerate() {
        play(&Script::parse(&format!("docs/chat.md, example {}", at + 1), example));
    }
}
