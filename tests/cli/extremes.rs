//! Values near the ends of their types: each is served or refused, and none panics.

use std::process::Stdio;

use crate::manual::LIMITS;
use crate::program::{Program, Signal, command, run};
use crate::serving::{assert_echoes, connect};
use crate::text::{call, ended};

/// Durations that overflow if they are added to the present, or to each other.
const LONG: [&str; 4] = ["585y", "300000000000y", "18446744073709551615", "18446744073709551615s 999999999ns 1ns"];

/// Starts an echo server that must either serve or refuse its arguments.
fn serve_or_refuse(args: &[&str]) {
    let args = [&["serve", "echo", "--listen", "127.0.0.1:0"], args].concat();
    let mut server = Program::start(command(&args).stdout(Stdio::piped()));
    let Some(line) = server.line() else {
        let status = server.wait();
        let log = server.log();
        assert!(matches!(status.code(), Some(1 | 2)) && !log.contains("panicked"), "{args:?}: {status}: {log}");
        return;
    };
    assert_echoes(connect(line.rsplit_once(' ').unwrap().1), b"\0\0\0\x05hello");
    server.signal(Signal::TERM);
    let status = server.wait();
    assert_eq!(status.code(), Some(0), "{args:?}: {}", server.log());
}

#[test]
fn limits_near_the_ends_of_their_types() {
    for engine in ["reactor", "threads"] {
        for limit in LIMITS.iter().filter(|limit| !["--slow-consumer", "--panic"].contains(limit)) {
            let values: &[&str] = match limit {
                limit if limit.ends_with("-timeout") => &LONG,
                _ => &["4294967295", "9223372036854775807", "18446744073709551615"],
            };
            for value in values {
                serve_or_refuse(&["--engine", engine, limit, value]);
            }
        }
    }
}

#[test]
fn long_timeouts_of_clients_are_no_limit() {
    let mut server = Program::serve(&["--listen", "127.0.0.1:0", "--listen", "udp:127.0.0.1:0"]);
    let (tcp, udp) = (server.address("tcp"), format!("udp:{}", server.address("udp")));
    for timeout in LONG {
        for address in [&tcp, &udp] {
            let (code, output, error) = ended(call(&["echo", address, "--timeout", timeout], b"hello\n"));
            assert_eq!((code, &*output), (Some(0), "hello\n"), "{address} {timeout}: {error}");
        }
    }
}

#[test]
fn values_that_round_to_zero_are_refused() {
    for (args, says) in [
        (&["get", "http://127.0.0.1:1/", "--max-bytes", "0.4"][..], "less than one byte"),
        (&["get", "http://127.0.0.1:1/", "--max-bytes", "1e-1"], "less than one byte"),
        (&["serve", "echo", "--max-frame-bytes", "0.0004k"], "less than one byte"),
        (&["bench", "echo", "--payload", "0.4"], "less than one byte"),
        (&["serve", "echo", "--idle-timeout", "0.4ns"], "finer than a nanosecond"),
        (&["call", "echo", "--timeout", "0.0000000001"], "finer than a nanosecond"),
        (&["serve", "echo", "--idle-timeout", "1M"], "M stands for a month or a minute"),
        (&["get", "http://127.0.0.1:1/", "--max-bytes", "1e"], "e stands for 2^60, written EiB, or for an exponent"),
    ] {
        let output = run(args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(says), "{args:?}: {stderr}");
    }
}
