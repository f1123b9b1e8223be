//! Stop and other commands by signal.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::program::{Program, Signal, SocketPath};
use crate::serving::{assert_echoes, connect, connect_unix};

#[test]
fn the_first_signal_drains_and_connections_see_the_end() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut server = Program::serve(&["--listen", "127.0.0.1:0"]);
        let mut client = connect(&server.address("tcp"));
        assert_echoes(&client, b"\0\0\0\x01x");
        server.signal(signal);
        assert_eq!(client.read(&mut [0; 16]).unwrap(), 0);
        drop(client);
        assert_eq!(server.wait().code(), Some(0));
        server.logged("draining 1 connection,");
    }
}

#[test]
fn each_signal_removes_the_socket_file() {
    for engine in ["reactor", "threads"] {
        for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
            let unix = SocketPath::new();
            let mut server = Program::serve(&["--engine", engine, "--listen", &unix.listen()]);
            server.address("unix");
            assert!(unix.path().exists());
            server.signal(signal);
            assert_eq!(server.wait().code(), Some(0));
            assert!(!unix.path().exists(), "{engine} {signal:?}");
        }
    }
}

#[test]
fn hangup_that_was_ignored_at_the_start_stays_ignored() {
    // As nohup(1) does: an ignored signal stays ignored in the program that is executed.
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" serve echo --listen 127.0.0.1:0", env!("CARGO_BIN_EXE_switchboard")]);
    let mut server = Program::start(shell.env_remove("RUST_LOG").stdout(std::process::Stdio::piped()));
    let client = connect(&server.address("tcp"));
    server.signal(Signal::HUP);
    assert_echoes(&client, b"\0\0\0\x01x");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

/// A terminal that is closed sends SIGHUP twice, and the second must not cut the drain short.
#[test]
fn second_hangup_does_not_end_the_drain() {
    let mut server = Program::serve(&["--listen", "127.0.0.1:0"]);
    let client = connect(&server.address("tcp"));
    assert_echoes(&client, b"\0\0\0\x01x");
    server.signal(Signal::STOP);
    server.signal(Signal::HUP);
    server.signal(Signal::TERM);
    server.signal(Signal::CONT);
    drop(client);
    assert_eq!(server.wait().code(), Some(0));
}

/// Both signals are delivered before the program can act on the first.
#[test]
fn signals_at_the_same_time_remove_the_socket_file() {
    for engine in ["reactor", "threads"] {
        let unix = SocketPath::new();
        let mut server = Program::serve(&["--engine", engine, "--listen", &unix.listen()]);
        let mut client = connect_unix(&server.address("unix"));
        assert_echoes(&client, b"\0\0\0\x01x");
        // A partial frame keeps the connection open.
        client.write_all(b"\0\0").unwrap();
        server.signal(Signal::STOP);
        server.signal(Signal::INT);
        server.signal(Signal::TERM);
        server.signal(Signal::CONT);
        let code = server.wait().code();
        assert!(matches!(code, Some(130 | 143)), "{engine}: {code:?}");
        assert!(!unix.path().exists(), "{engine}");
    }
}

/// Returns a server that drains, because of `signal`, until the client has read its reply.
fn draining(engine: &str, unix: &SocketPath, signal: Signal) -> (Program, UnixStream) {
    let limits = ["--max-frame-bytes", "8MiB", "--drain-timeout", "1h", "--write-timeout", "0", "--engine", engine];
    let mut server = Program::serve(&[&limits[..], &["--listen", &unix.listen()]].concat());
    let mut client = connect_unix(&server.address("unix"));
    // More than the kernel buffers: the rest of the reply stays queued until the client reads.
    let payload = vec![0; 8 << 20];
    client.write_all(&u32::try_from(payload.len()).unwrap().to_be_bytes()).unwrap();
    client.write_all(&payload).unwrap();
    client.read_exact(&mut [0]).unwrap();
    server.signal(signal);
    server.logged("draining 1 connection,");
    (server, client)
}

#[test]
fn second_signal_stops_at_once() {
    let cases = [("reactor", Signal::TERM, 143), ("reactor", Signal::INT, 130), ("threads", Signal::INT, 130)];
    for (engine, second, code) in cases {
        let unix = SocketPath::new();
        let (mut server, _client) = draining(engine, &unix, Signal::TERM);
        server.signal(second);
        assert_eq!(server.wait().code(), Some(code));
        assert!(!unix.path().exists());
    }
}

/// A hangup does not count, so the signal after it is the first.
#[test]
fn signal_after_a_hangup_does_not_end_the_drain() {
    for engine in ["reactor", "threads"] {
        let unix = SocketPath::new();
        let (mut server, mut client) = draining(engine, &unix, Signal::HUP);
        server.signal(Signal::TERM);
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).unwrap();
        assert_eq!(rest.len(), 4 + (8 << 20) - 1, "{engine}");
        drop(client);
        assert_eq!(server.wait().code(), Some(0), "{engine}");
    }
}

#[test]
fn the_counters_are_logged_on_request() {
    let mut server = Program::serve(&["--listen", "127.0.0.1:0"]);
    let client = connect(&server.address("tcp"));
    assert_echoes(&client, b"\0\0\0\x01x");
    server.signal(Signal::USR1);
    let line = server.logged("accepted=1");
    assert!(line.contains("INFO") && line.contains("connections: open=1 "), "{line}");
    let line = server.logged("traffic: ");
    assert!(line.contains("bytes_in=5"), "{line}");
    assert_echoes(&client, b"\0\0\0\x01y");
}

#[test]
fn verbosity_flags_set_the_log_level() {
    for (args, debug, info) in [(&[][..], false, true), (&["-v"], true, true), (&["-q"], false, false)] {
        let mut server = Program::serve(&[args, &["--listen", "127.0.0.1:0"]].concat());
        assert_echoes(connect(&server.address("tcp")), b"\0\0\0\x01x");
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0));
        let log = server.log();
        assert_eq!((log.contains("DEBUG"), log.contains("INFO")), (debug, info), "{args:?}:\n{log}");
    }
}
