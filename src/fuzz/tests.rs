//! The inputs of `fuzz/corpus/`, among them those that once broke an invariant. The program's tests
//! have those of the target `config`.

use std::fs;
use std::path::Path;

use super::*;

fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut inputs: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{name} has no inputs");
    for input in inputs {
        // The last line of a failing test names the input.
        println!("{}", input.display());
        target(&fs::read(input).unwrap());
    }
}

#[test]
fn corpus_of_decoder() {
    replay("decoder", decoder);
}

#[test]
fn corpus_of_connection() {
    replay("connection", connection);
}

#[test]
fn corpus_of_chat_json() {
    replay("chat_json", chat_json);
}

#[test]
fn corpus_of_chat_lines() {
    replay("chat_lines", chat_lines);
}

#[test]
fn corpus_of_exec_wire() {
    replay("exec_wire", exec_wire);
}

#[test]
fn corpus_of_files_wire() {
    replay("files_wire", files_wire);
}
