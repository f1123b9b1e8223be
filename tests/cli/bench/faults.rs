//! What is wrong with a server is found, counted and said, and the exit code is 1.

use std::net::TcpListener;
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::brief;
use super::servers::Server;
use crate::program::{SocketPath, run};

/// The last line on standard error, and the result that was printed all the same.
fn wrong(args: &[&str]) -> (String, Value) {
    ends_wrong(brief(&[args, &["--json", "--answer-timeout=100ms"]].concat()))
}

/// The same of one connection, for so long.
fn wrong_of_one(server: &Server, duration: &str) -> (String, Value) {
    let args = ["bench", "echo", &server.address, "--connections=1", "--warm-up=0", "--json", duration];
    ends_wrong(run(&args))
}

fn ends_wrong(output: Output) -> (String, Value) {
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let line = stderr.lines().last().unwrap_or_default().to_owned();
    assert!(line.starts_with("switchboard: "), "{stderr}");
    (line, serde_json::from_slice(&output.stdout).unwrap_or_default())
}

fn assert_finds(server: &Server, fault: &str, says: &str) {
    let (line, result) = wrong(&[&server.address]);
    assert!(result["faults"][fault].as_u64().unwrap() > 0, "{fault}: {line}");
    assert!(line.contains(says), "{line}");
    let verdict = &result["verdicts"][0];
    assert_eq!(verdict["tone"], "bad");
    assert!(verdict["text"].as_str().unwrap().contains(says), "{verdict}");
}

#[test]
fn a_corrupted_answer() {
    let flips = |number, mut payload: Vec<u8>| {
        if number == 1 {
            *payload.last_mut().unwrap() ^= 1;
        }
        vec![payload]
    };
    assert_finds(&Server::of_frames(flips), "corrupted", "from what was sent");
}

#[test]
fn an_answer_that_comes_twice() {
    let doubles = |number, payload: Vec<u8>| if number == 1 { vec![payload.clone(), payload] } else { vec![payload] };
    assert_finds(&Server::of_frames(doubles), "duplicated", "arrived twice");
}

#[test]
fn an_answer_that_never_comes() {
    let forgets = |number, payload| if number >= 1 { vec![] } else { vec![payload] };
    assert_finds(&Server::of_frames(forgets), "lost", "never arrived");
}

#[test]
fn a_connection_that_is_broken_off() {
    let leaves = Server::start(|_| Ok(()));
    let (line, result) = wrong(&[&leaves.address]);
    assert!(result["faults"]["broken"].as_u64().unwrap() > 0, "{line}");
    assert!(line.contains("closed by the server"), "{line}");
}

#[test]
fn one_connection_that_is_broken_off_once_does_not_end_the_run() {
    let server = Server::breaking_off_once();
    let (line, result) = wrong_of_one(&server, "--duration=500ms");
    assert_eq!((&result["faults"]["broken"], &result["ended_early"]), (&1.into(), &Value::Null), "{line}");
    assert!(result["elapsed_ns"].as_u64().unwrap() >= 500_000_000, "{}", result["elapsed_ns"]);
    assert!(result["answered"].as_u64().unwrap() > 0, "{line}");
}

#[test]
fn a_server_that_leaves_ends_the_run_after_a_second_and_it_is_said() {
    let began = Instant::now();
    let (line, result) = wrong_of_one(&Server::leaving(), "--duration=1h");
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!((&result["ended_early"], &result["interrupted"]), (&"no_connections".into(), &false.into()), "{line}");
    let verdicts = result["verdicts"].to_string();
    assert!(verdicts.contains("The run ended early: the server had no connection for a second, after "), "{verdicts}");
}

#[test]
fn nobody_who_listens() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (line, result) = wrong(&[&address]);
    assert!(line.contains(&format!("cannot connect to tcp {address}: ")), "{line}");
    assert!(line.contains("check that a server listens there"), "{line}");
    assert!(result.is_null(), "there is no result");

    let (line, _) = wrong(&[&SocketPath::new().listen()]);
    assert!(line.contains("cannot connect to unix /") && line.contains("check that a server listens there"), "{line}");
}
