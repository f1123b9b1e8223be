//! Faulty servers: each fault is counted and reported, and the exit code is 1.

use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;
use socket2::Type;

use super::brief;
use super::servers::Server;
use crate::localhost::refusing;
use crate::program::{SocketPath, run};

/// Runs a bench that must fail. Returns the last line of standard error, and the printed result.
fn failing_bench(args: &[&str]) -> (String, Value) {
    assert_failed(brief(&[args, &["--json", "--answer-timeout=100ms"]].concat()))
}

/// Runs a bench of one connection that must fail, for `duration`.
fn failing_bench_of_one(server: &Server, duration: &str) -> (String, Value) {
    let args = ["bench", "echo", &server.address, "--connections=1", "--warm-up=0", "--json", duration];
    assert_failed(run(&args))
}

fn assert_failed(output: Output) -> (String, Value) {
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let line = stderr.lines().last().unwrap_or_default().to_owned();
    assert!(line.starts_with("switchboard: "), "{stderr}");
    (line, serde_json::from_slice(&output.stdout).unwrap_or_default())
}

fn assert_finds(server: &Server, fault: &str, says: &str) {
    let (line, result) = failing_bench(&[&server.address]);
    assert!(result["faults"][fault].as_u64().unwrap() > 0, "{fault}: {line}");
    assert!(line.contains(says), "{line}");
    let verdict = &result["verdicts"][0];
    assert_eq!(verdict["tone"], "bad");
    assert!(verdict["text"].as_str().unwrap().contains(says), "{verdict}");
}

#[test]
fn corrupted_answer_is_counted() {
    let flips = |number, mut payload: Vec<u8>| {
        if number == 1 {
            *payload.last_mut().unwrap() ^= 1;
        }
        vec![payload]
    };
    assert_finds(&Server::of_frames(flips), "corrupted", "from what was sent");
}

#[test]
fn duplicated_answer_is_counted() {
    let doubles = |number, payload: Vec<u8>| if number == 1 { vec![payload.clone(), payload] } else { vec![payload] };
    assert_finds(&Server::of_frames(doubles), "duplicated", "arrived twice");
}

#[test]
fn lost_answer_is_counted() {
    let forgets = |number, payload| if number >= 1 { vec![] } else { vec![payload] };
    assert_finds(&Server::of_frames(forgets), "lost", "never arrived");
}

#[test]
fn broken_connection_is_counted() {
    let leaves = Server::start(|_| Ok(()));
    let (line, result) = failing_bench(&[&leaves.address]);
    assert!(result["faults"]["broken"].as_u64().unwrap() > 0, "{line}");
    assert!(line.contains("closed by the server"), "{line}");
}

#[test]
fn one_broken_connection_does_not_end_the_run() {
    let server = Server::breaking_off_once();
    let (line, result) = failing_bench_of_one(&server, "--duration=500ms");
    assert_eq!((&result["faults"]["broken"], &result["ended_early"]), (&1.into(), &Value::Null), "{line}");
    assert!(result["elapsed_ns"].as_u64().unwrap() >= 500_000_000, "{}", result["elapsed_ns"]);
    assert!(result["answered"].as_u64().unwrap() > 0, "{line}");
}

#[test]
fn no_connection_for_a_second_ends_the_run() {
    let began = Instant::now();
    let (line, result) = failing_bench_of_one(&Server::leaving(), "--duration=1h");
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!((&result["ended_early"], &result["interrupted"]), (&"no_connections".into(), &false.into()), "{line}");
    let verdicts = result["verdicts"].to_string();
    assert!(verdicts.contains("The run ended early: the server had no connection for a second, after "), "{verdicts}");
}

#[test]
fn refused_connect_has_advice() {
    let (address, _socket) = refusing(Type::STREAM);
    let address = address.to_string();
    let (line, result) = failing_bench(&[&address]);
    assert!(line.contains(&format!("cannot connect to tcp {address}: ")), "{line}");
    assert!(line.contains("check that a server listens there"), "{line}");
    assert!(result.is_null(), "a result was printed");

    let (line, _) = failing_bench(&[&SocketPath::new().listen()]);
    assert!(line.contains("cannot connect to unix /") && line.contains("check that a server listens there"), "{line}");
}
